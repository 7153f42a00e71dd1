/* SPDX-License-Identifier: ISC */
/*
 * The reply is the message.
 */
#include "worker/handler.h"

static enum handler_verdict
handle(struct handler *handler, struct conn *conn,
    const struct payload *message, struct payload *reply)
{
	(void)handler;
	(void)conn;
	*reply = *message;
	return (HANDLER_REPLY);
}

const struct handler_kind handler_echo = {
	.name = "echo",
	.handle = handle,
};
