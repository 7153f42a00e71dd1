/* SPDX-License-Identifier: ISC */
/*
 * A handler module that answers each message with the number of the thread that
 * handled it, and the message: "3: hello".
 *
 *	handlers = ( { name = "prefix"; type = "module";
 *	    module = "example_prefix"; } );
 */
#include <penstock/handler.h>

static int
prefix_handle(void *state, const struct penstock_request *request,
    struct penstock_reply *reply)
{
	(void)state;
	/* If there is no memory for the reply, the client gets "failed". */
	penstock_printf(reply, "%u: ", request->thread);
	penstock_append(reply, request->payload, request->length);
	return (PENSTOCK_REPLY);
}

const struct penstock_handler penstock_handler = {
	.version = PENSTOCK_HANDLER_VERSION,
	.size = sizeof(struct penstock_handler),
	.name = "prefix",
	.handle = prefix_handle,
};
