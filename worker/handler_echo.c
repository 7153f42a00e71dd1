/* SPDX-License-Identifier: ISC */
/*
 * The reply is the message.
 */
#include "worker/handler.h"

static enum handler_verdict
handle(const struct payload *message, struct payload *reply)
{
	*reply = *message;
	return (HANDLER_REPLY);
}

const struct handler handler_echo = {
	.name = "echo",
	.handle = handle,
};
