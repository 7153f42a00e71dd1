/* SPDX-License-Identifier: ISC */
/*
 * The table of protocols.
 */
#include "worker/proto.h"

#include <string.h>

const struct proto *const protos[] = {
	[CONF_PROTOCOL_FRAME] = &proto_frame,
	[CONF_PROTOCOL_LINE] = &proto_line,
	[CONF_PROTOCOL_HTTP] = &proto_http,
};

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
