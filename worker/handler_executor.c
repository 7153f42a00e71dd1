/* SPDX-License-Identifier: ISC */
/*
 * The message goes to one of the processes that run the user's code.
 */
#include "worker/handler.h"
#include "worker/queue.h"

static enum handler_verdict
handle(struct handler *handler, struct conn *conn,
    const struct proto_message *message, struct payload *reply)
{
	(void)reply;
	return (queue_submit(handler->queue, conn, message));
}

const struct handler_kind handler_executor = {
	.name = "executor",
	.handle = handle,
};
