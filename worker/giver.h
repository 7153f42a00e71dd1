/* SPDX-License-Identifier: ISC */
/*
 * Handing connections over: the giver's side.
 *
 * The master orders it, with a link to the worker that takes them.  When this
 * one is replaced, all connections go that the other has a listener for, each
 * as it comes to rest; to even out the load, so many of those that are idle.
 * What the taker cannot take is served on, and offered again later.
 */
#ifndef WORKER_GIVER_H
#define WORKER_GIVER_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/ctl.h"
#include "worker/conn.h"
#include "worker/handover.h"

struct custody_link;
struct worker;

enum {
	/* Batches without an answer: enough to keep both sides busy, few enough
	 * that nobody is long without an owner, nor near the most descriptors
	 * that an unprivileged process may have on their way: unix(7). */
	GIVER_WINDOW = 4,
	/* Descriptors that a worker may have on their way, however many workers
	 * there are; and those of a batch that is worth its message. */
	GIVER_SHARE_MIN = 8,
	/* A batch is complete when it has that many bytes; the last connection
	 * can go over that. */
	GIVER_BATCH_BYTES = 1048576,
	/* When what stayed is offered again. */
	GIVER_RETRY_MS = 1000,
	/* How long a taker may be silent while it owes an answer, and how long
	 * the next taker may take to come: longer than the master takes to
	 * replace a worker that fails again and again. */
	GIVER_PATIENCE_MS = 60000,
	/* A request that is with its handler for so long is slow. */
	GIVER_SLOW_MS = 1000,
};

struct giver_batch {
	uint64_t number;		/* 0: not in use */
	uint64_t parked_us;
	unsigned n;
	struct conn *conns[HANDOVER_CONNS_MAX];
};

struct giver {
	bool on;			/* there is a link */
	bool greeted;			/* and the taker has said HELLO */
	bool rested;			/* perhaps there is one more to give */
	bool blocked;			/* wait with the next batch */
	bool said;			/* GIVEN */
	bool orphaned;			/* no further link will come */
	struct event event;		/* owns the link */
	struct ctl_give order;
	int next;			/* a newer link, -1: none; taken up when
					   nothing is on its way */
	struct ctl_give next_order;
	unsigned version;		/* of the HELLO, */
	uint8_t protocol[COUNTERS_LISTENERS];	/* and as in it */
	struct giver_batch *batches;	/* GIVER_WINDOW, owned */
	unsigned window;		/* of these used at a time */
	unsigned batch_conns;		/* connections of a batch, at most */
	unsigned unanswered;		/* of these in use */
	uint64_t numbered;		/* batches so far */
	uint64_t ordered_ms;
	uint64_t heard_ms;		/* when a taker, or the end of one, was
					   last heard of */
	uint64_t retry_ms;		/* when to offer again; 0: nothing */
	uint64_t carried;		/* through this link; */
	uint64_t carried_said;		/* of these in a GIVEN */
	uint64_t longest_us;
};

/* Returns -1 with errno set. */
int giver_init(struct worker *);
/* Connections that are on their way are left to the taker. */
void giver_free(struct worker *);

/* Hand over through link, which is owned from here on. */
void giver_begin(struct worker *, int link, const struct ctl_give *);
/* The same, where there is no link: say that nothing was given. */
void giver_decline(struct worker *);
/* Give no more than is on its way. */
void giver_end(struct worker *);

/*
 * In a rescuer: go on with the batches that the dead worker had sent, or was
 * about to send, through its link.  First all batches, each by its index in the
 * window with its n connections, then the link.  The latter returns -1 with errno
 * set.
 */
void giver_restore_batch(struct worker *, int index, uint64_t number,
    struct conn *const *conns, unsigned n);
int giver_restore(struct worker *, const struct custody_link *);

/* Send off what is at rest: called at the end of a turn.  Returns whether all
 * that could be given has been given. */
bool giver_settle(struct worker *);
/* Called with the worker's tick. */
void giver_tick(struct worker *);

/* The worker did not run for that long: a taker had no time to say more. */
void giver_forgive(struct worker *, uint64_t stall_ms);

/* Begin to wait for a link that the master has promised; or know that there
 * will be none, as the master is gone. */
void giver_expect(struct worker *);
void giver_orphan(struct worker *);

/* How many connections are between this worker and the taker. */
uint64_t giver_under_way(const struct giver *);

#endif
