/* SPDX-License-Identifier: ISC */
/*
 * The bounded queue in front of a handler that answers later.
 *
 * If no executor is free, a request waits in one of two lanes, in the order of
 * arrival.  The high lane goes first, but of QUEUE_HIGH_RUN + 1 requests that
 * begin while both lanes wait, one is of the normal lane.  When a lane is full,
 * or handlers' work takes too much memory, a connection that has one more
 * message is not read, or is answered busy.  Connections that wait have their
 * turn in the order in which they came, with up to QUEUE_CALL_RUN messages
 * each: replies that leave together cost much less.
 */
#ifndef WORKER_QUEUE_H
#define WORKER_QUEUE_H

#include <sys/queue.h>

#include "common/ctl.h"
#include "worker/handler.h"
#include "worker/exec_link.h"
#include "worker/lane.h"
#include "worker/request.h"

struct proto_message;
struct worker;

enum {
	QUEUE_HIGH_RUN = 7,
	QUEUE_CALL_RUN = 16,
};

struct queue {
	struct worker *worker;		/* borrowed */
	struct handler *handler;	/* borrowed; owns us */
	const struct conf_handler *conf;
	struct counters_handler *counters;	/* in our block */
	struct lane lanes[LANES];
	unsigned waiting;		/* in both lanes */
	unsigned limit;			/* of each: our share of conf->queue */
	unsigned high_run;		/* high ones since a normal one */
	bool is_roomy;			/* there may be room: to be pumped */
	TAILQ_ENTRY(queue) roomy;	/* in worker->roomy */
	struct exec_link_list links;
};

TAILQ_HEAD(queue_list, queue);

/* The feeder that is run now, as there is room for its messages. */
struct queue_call {
	const struct conn *conn;	/* NULL: none */
	const struct queue *queue;
	unsigned rest;		/* messages that it may bring yet */
};

/* index is that of the handler in the configuration.  NULL with errno set. */
struct queue *queue_new(struct worker *, struct handler *, size_t index);
/* Everything in it is gone with it; no connection may be left. */
void queue_free(struct queue *);

enum handler_verdict queue_submit(struct queue *, struct conn *,
    const struct proto_message *);

/* Give out what waits in the first queue that has become roomy.  Returns its
 * next feeder, if there is room for one: the caller runs it before it asks
 * again, and clears worker->call. */
struct conn *queue_call_next(struct worker *);

/* Whether its executors have nothing of ours, and we have nothing of theirs. */
bool queue_is_at_rest(const struct queue *);

/* Begin what waits, as far as executors have room. */
void queue_give_out(struct queue *);

/* Whether requests have waited longer than queue_timeout, and end them. */
bool queue_has_late(const struct queue *, uint64_t now_us);
void queue_expire(struct queue *, uint64_t now_us);

/* The worker did not run for that long: no request has waited meanwhile. */
void queue_forgive(struct queue *, uint64_t stall_us);

#endif
