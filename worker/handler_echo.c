/* SPDX-License-Identifier: ISC */
/*
 * The reply is the message.
 */
#include "worker/handler.h"
#include "worker/proto.h"

static enum handler_verdict
handle(struct handler *handler, struct conn *conn,
    const struct proto_message *message, struct payload *reply)
{
	(void)handler;
	(void)conn;
	*reply = (struct payload){ message->payload, message->len };
	return (HANDLER_REPLY);
}

const struct handler_kind handler_echo = {
	.name = "echo",
	.handle = handle,
};
