/* SPDX-License-Identifier: ISC */
/*
 * A handler turns a message into a reply, at once or later.  It knows no
 * protocol, so every handler works with every protocol.
 */
#ifndef WORKER_HANDLER_H
#define WORKER_HANDLER_H

#include <stdint.h>

#include "conf/conf.h"
#include "worker/buffer.h"

struct conn;
struct handler;
struct proto_message;
struct request;
struct worker;

enum handler_verdict {
	HANDLER_REPLY,		/* *reply is the answer */
	HANDLER_SILENT,		/* handled; nothing is answered */
	HANDLER_LATER,		/* the request gets its result once */
	HANDLER_FULL,		/* not taken: to be offered again when the
				   handler says so: queue_call_next() */
	HANDLER_BUSY,		/* not taken, and the reply says so */
};

/* What a handler does with a message. */
typedef enum handler_verdict handler_function(struct handler *, struct conn *,
    const struct proto_message *, struct payload *reply);

struct handler {
	handler_function *handle;
	const struct conf_handler *conf;
	struct queue *queue;		/* owned; NULL if it replies at once */
};

/* Handle what another worker, or another handler of this one, let in and did
 * not begin: it waits in our queue, or is done at once. */
void handler_readmit(struct request *);

/* The number that a handler has in every worker, and the handler of a number;
 * NULL if the configuration does not have it. */
unsigned handler_number(const struct worker *, const struct handler *);
struct handler *handler_by_number(const struct worker *, unsigned number);

/* Bit i: no executor of the handler with index i has a request. */
uint64_t handlers_at_rest(const struct worker *);

/* Begin what waits. */
void handlers_pump(struct worker *);

/* The handlers of the configuration.  Returns -1 with errno set. */
int handlers_init(struct worker *);
void handlers_free(struct worker *);

#endif
