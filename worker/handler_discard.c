/* SPDX-License-Identifier: ISC */
/*
 * Messages are taken, and nothing is said.
 */
#include "worker/handler.h"

static enum handler_verdict
handle(const struct payload *message, struct payload *reply)
{
	(void)message;
	(void)reply;
	return (HANDLER_SILENT);
}

const struct handler handler_discard = {
	.name = "discard",
	.handle = handle,
};
