/* SPDX-License-Identifier: ISC */
/*
 * The table of protocols.
 */
#include "worker/proto.h"

#include <string.h>

const struct proto *
proto_find(enum conf_protocol protocol)
{
	switch (protocol) {
	case CONF_PROTOCOL_FRAME:
		return (&proto_frame);
	case CONF_PROTOCOL_HTTP:
		return (&proto_http);
	case CONF_PROTOCOL_LINE:
		return (&proto_line);
	}
	return (NULL);
}

bool
proto_can_resume(const struct proto *proto,
    const struct proto_progress *progress, size_t len)
{
	return (progress->scanned <= len && (proto->can_resume == NULL ||
	    proto->can_resume(progress, len)));
}

struct payload
proto_explain(const struct proto *proto, enum proto_trouble trouble,
    const char *text, struct exchange *exchange)
{
	if (proto->has_exchange)
		return (proto->explain(trouble, exchange));
	return ((struct payload){ (const uint8_t *)text, strlen(text) });
}
