/* SPDX-License-Identifier: ISC */
/*
 * Messages are taken, and nothing is said.
 */
#include "worker/handler.h"

static enum handler_verdict
handle(struct handler *handler, struct conn *conn,
    const struct proto_message *message, struct payload *reply)
{
	(void)handler;
	(void)conn;
	(void)message;
	(void)reply;
	return (HANDLER_SILENT);
}

const struct handler_kind handler_discard = {
	.name = "discard",
	.handle = handle,
};
