/* SPDX-License-Identifier: ISC */
/*
 * The two lanes of a queue: the requests that no executor has yet, and the
 * connections that are not read because there is no room for their message.
 *
 * Only keeps them in order and counts them.  queue.c decides what begins.
 */
#ifndef WORKER_LANE_H
#define WORKER_LANE_H

#include <stdbool.h>

#include "worker/conn.h"
#include "worker/request.h"

struct queue;

enum { LANE_HIGH, LANE_NORMAL, LANES };

struct lane {
	struct request_list requests;
	unsigned waiting;
	struct conn_pending_list feeders;	/* told HANDLER_FULL */
	unsigned nfeeders;
	unsigned ncalls;	/* of these, how many may be called yet */
};

struct lane *lane_of(struct queue *, const struct conn *);

/* Let a request wait behind the others of its lane. */
void lane_append(struct queue *, struct request *);
/* Take it out, to begin or to end. */
void lane_leave(struct request *);

/* Take a request that waits out of its lane; and put it into that of a queue,
 * in the order of arrival, whatever the limit: it was let in once.  It does not
 * begin before the end of this turn, after lanes_make_roomy(). */
void lane_withdraw(struct request *);
void lane_readmit(struct queue *, struct request *);

/* A connection was told HANDLER_FULL for a message of len bytes. */
void lane_add_feeder(struct queue *, struct conn_pending *, size_t len);
void lane_remove_feeder(struct conn_pending *);
/* It ends, or need not be called any more. */
void lane_forget_feeder(struct conn_pending *);

/* There may be room: what waits is given out, and the feeders are called, at
 * the end of this turn. */
void lanes_make_roomy(struct queue *);
void lanes_list_roomy(struct queue *);

/* Whether an executor of the queue works; and whether something will be done
 * that calls the feeders. */
bool lanes_are_running(const struct queue *);
bool lanes_are_busy(const struct queue *);

#endif
