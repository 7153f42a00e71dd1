/* SPDX-License-Identifier: ISC */
#include "common/reasons.h"

static const char *const close_reason_names[] = {
#define CLOSE_REASON_NAME(id, name) [CLOSE_##id] = name,
	CLOSE_REASONS(CLOSE_REASON_NAME)
};

static const char *const reject_reason_names[] = {
#define REJECT_REASON_NAME(id, name) [REJECT_##id] = name,
	REJECT_REASONS(REJECT_REASON_NAME)
};

static const char *const rescue_reason_names[] = {
#define RESCUE_REASON_NAME(id, name) [RESCUE_##id] = name,
	RESCUE_REASONS(RESCUE_REASON_NAME)
};

const char *
close_reason_name(enum close_reason reason)
{
	return (close_reason_names[reason]);
}

const char *
reject_reason_name(enum reject_reason reason)
{
	return (reject_reason_names[reason]);
}

const char *
rescue_reason_name(enum rescue_reason reason)
{
	return (rescue_reason_names[reason]);
}
