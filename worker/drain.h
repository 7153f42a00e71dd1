/* SPDX-License-Identifier: ISC */
/*
 * Leaving: a worker that drains accepts no more, and exits when its connections
 * have come to their end or their time is over.
 */
#ifndef WORKER_DRAIN_H
#define WORKER_DRAIN_H

#include "common/ctl.h"

struct worker;

struct drain {
	bool on;
	bool closing;		/* those who come to rest are closed */
	bool left;		/* all is told, and the loop ends */
	struct ctl_drain order;
	uint64_t begun_ms;
	uint64_t closing_ms;	/* when closing began */
	uint64_t idle;		/* connections between messages then */
	uint64_t closed;	/* of these, as the spread went on */
	uint64_t conns;		/* all that were there, or came since */
	uint64_t cut;
	uint64_t carried_before;	/* what was handed over before it */
};

/* Begin, or go on under another order: the last one holds. */
void drain_begin(struct worker *, const struct ctl_drain *);

/* Called with the worker's tick. */
void drain_tick(struct worker *);

/* Whether a connection that comes to rest is to be closed there and then. */
bool drain_is_due(const struct drain *);

#endif
