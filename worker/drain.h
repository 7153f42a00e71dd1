/* SPDX-License-Identifier: ISC */
/*
 * Leaving: a worker that drains accepts no more, and exits when its connections
 * have come to their end or their time is over.
 *
 * The time of drain_timeout is for connections that nobody takes over.  One
 * that can be handed over, now or when its request has its reply, is neither
 * closed nor cut while there is a taker or one is to come: departure_is_possible().
 */
#ifndef WORKER_DRAIN_H
#define WORKER_DRAIN_H

#include "common/counters.h"
#include "common/ctl.h"

struct worker;

struct drain {
	bool on;
	bool closing;		/* those who come to rest are closed */
	bool left;		/* all is sent, and the loop ends */
	struct ctl_drain order;
	uint64_t begun_ms;
	uint64_t closing_ms;	/* when closing began */
	uint64_t cut_ms;	/* when a connection was last cut; 0: none was
				   due yet */
	uint64_t idle;		/* connections between messages then */
	uint64_t closed;	/* of these, as the spread went on */
	struct counters_tally before;	/* as it began */
};

/* Begin, or go on under another order: the last one holds. */
void drain_begin(struct worker *, const struct ctl_drain *);

/* Called with the worker's tick. */
void drain_tick(struct worker *);

/* The worker did not run for that long: no time of the drain is over. */
void drain_forgive(struct worker *, uint64_t stall_ms);

#endif
