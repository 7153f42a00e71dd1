/* SPDX-License-Identifier: ISC */
/*
 * A handler turns a message into a reply.  It knows no protocol and no
 * connection, so that each works behind every protocol.
 */
#ifndef WORKER_HANDLER_H
#define WORKER_HANDLER_H

#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"

/* Bytes that belong to somebody else and live until the handler's caller has
 * used its reply. */
struct payload {
	const uint8_t *bytes;
	size_t len;
};

enum handler_verdict {
	HANDLER_REPLY,		/* *reply is the answer */
	HANDLER_SILENT,		/* handled; nothing is answered */
};

struct handler {
	const char *name;
	enum handler_verdict (*handle)(const struct payload *message,
	    struct payload *reply);
};

extern const struct handler handler_echo;
extern const struct handler handler_discard;

const struct handler *handler_find(enum conf_handler_type);

#endif
