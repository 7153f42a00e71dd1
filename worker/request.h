/* SPDX-License-Identifier: ISC */
/*
 * A message that is answered later: from its arrival to its reply.
 *
 * It is in two lists.  The list of its connection keeps the order in which the
 * replies leave.  The other list says where the work is: in a lane of the
 * queue, or with an executor.  If its connection ends first, the request is an
 * orphan, and its reply is dropped.
 */
#ifndef WORKER_REQUEST_H
#define WORKER_REQUEST_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "worker/buffer.h"
#include "worker/handler.h"

struct conn;
struct exchange;
struct proto;
struct queue;
struct trace;

enum request_state {
	REQUEST_WAITING,	/* in a lane */
	REQUEST_RUNNING,	/* with an executor */
	REQUEST_DONE,		/* waits for the replies before it */
	REQUEST_PARKED,		/* in no lane: its connection changes hands */
};

enum request_result {
	REQUEST_REPLIED,
	REQUEST_SILENT,		/* handled; nothing is answered */
	REQUEST_BUSY,		/* waited longer than queue_timeout */
	REQUEST_TIMEOUT,	/* ran longer than request_timeout */
	REQUEST_FAILED,		/* its executor died, or gave up */
};

struct request {
	TAILQ_ENTRY(request) of_conn;
	TAILQ_ENTRY(request) of_work;
	struct conn *conn;	/* borrowed; NULL: it has ended */
	struct handler *handler;	/* borrowed; NULL for a reply that was
					   there at once, and waits for earlier
					   replies */
	struct queue *queue;	/* borrowed, of the handler; NULL if none has
				   let it in */
	const struct proto *proto;	/* of its connection */
	struct exchange *exchange;	/* kept in facts; NULL if the protocol
					   has none */
	struct buffer *facts;	/* owned; never moves; may be NULL */
	struct buffer *payload;	/* owned; the message while WAITING or
				   PARKED, the reply
				   when DONE; may be NULL */
	struct buffer *fields;	/* owned; the response fields that its handler
				   gave; NULL if none */
	struct trace *trace;	/* owned; NULL: tracing is off */
	uint64_t number;	/* counts the messages of its connection; of no
				   use where there is no handler */
	uint64_t tag;		/* names it to its executor */
	uint64_t arrived_us;
	uint64_t begun_us;	/* when an executor got it */
	uint64_t since_us;	/* from when queue_timeout counts while WAITING,
				   and request_timeout while RUNNING */
	struct payload reply;	/* borrowed: the reply when DONE, if it is
				   there and not in payload; is_leaving */
	uint8_t state;		/* enum request_state */
	uint8_t result;		/* enum request_result, when DONE */
	bool is_leaving;	/* DONE, as are all before it: it is sent when
				   its connection is run, which is ready */
	bool is_ahead;		/* sent to an executor that has no thread for
				   it yet */
	bool is_routed;		/* for its handler, whatever the listener's
				   comes to be */
};

TAILQ_HEAD(request_list, request);

/* A request's connection has ended. */
void request_abandon(struct request *);
/* The last that happens to a request. */
void request_free(struct worker *, struct request *);

#endif
