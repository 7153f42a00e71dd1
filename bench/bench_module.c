/* SPDX-License-Identifier: ISC */
/*
 * A handler module that answers each message with itself: all that is measured
 * is the way there and back.
 */
#include <penstock/handler.h>

static int
echo_handle(void *state, const struct penstock_request *request,
    struct penstock_reply *reply)
{
	(void)state;
	penstock_append(reply, request->payload, request->length);
	return (PENSTOCK_REPLY);
}

const struct penstock_handler penstock_handler = {
	.version = PENSTOCK_HANDLER_VERSION,
	.size = sizeof(struct penstock_handler),
	.name = "echo",
	.handle = echo_handle,
};
