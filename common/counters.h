/* SPDX-License-Identifier: ISC */
/*
 * The shared mappings: one memfd per worker slot, with the counters of the
 * slot's workers and the table of their connections.
 *
 * Made by the master, written by the slot's own workers, read by everyone, who
 * trust nothing in them.  A mapping outlives the workers of its slot, so that
 * counters never go back.  As an old and a new worker of one slot can live at
 * the same time, a mapping has several blocks: the master lends each to one
 * living worker, which goes on from what the last one left there.  So every
 * counter has a single writer and needs no lock; a reader adds up the blocks.
 */
#ifndef COMMON_COUNTERS_H
#define COMMON_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/reasons.h"
#include "common/spans.h"

enum {
	COUNTERS_VERSION = 2,
	/* The workers that one slot can have at a time: one that starts, one
	 * that serves, and those before it that still drain, as they have what
	 * could not be handed over. */
	COUNTERS_BLOCKS = 4,
	/* Names of listeners that are in use at a time, see
	 * master/registry.h. */
	COUNTERS_LISTENERS = 128,
	COUNTERS_HANDLERS = 64,	/* names of handlers, likewise */
};

enum {
	/* Bucket i of a histogram counts values below 2^i microseconds that no
	 * bucket before it counts; the last one has no bound. */
	HISTOGRAM_BUCKETS = 28,
};

struct histogram {
	uint64_t count[HISTOGRAM_BUCKETS];
	uint64_t sum_us;
};

/* What a worker counts for one listener. */
struct counters_listener {
	uint64_t active;	/* gauge: connections held */
	uint64_t peak;		/* the most that active has been */
	uint64_t accepted;	/* with carried_in always closed[] summed up,
				   plus carried_out, plus active */
	uint64_t rejected[REJECT_REASON_COUNT];
	uint64_t closed[CLOSE_REASON_COUNT];
	uint64_t carried_out;	/* given to another worker; one that came
				   back counts in both */
	uint64_t carried_in;	/* taken from another worker */
	uint64_t messages_in;
	uint64_t messages_out;
	uint64_t bytes_in;	/* as they crossed the wire, framing included */
	uint64_t bytes_out;
	/* Three that earlier programs leave at 0, where they have padding.
	 *
	 * Connections that came from listeners of other names in a hand-over, less
	 * those that went to them: their worker's new block counts both.  Below 0
	 * it wraps, so that only the sum of all blocks says something. */
	uint64_t moved;
	/* Used in block 0 of slot 0 only, and written by the master: how often the
	 * listener's number has been given to another name, and the handler's. */
	uint64_t life;
	uint64_t handler_life;
} __attribute__((aligned(64)));

/* What a worker has counted so far of the connections of some listeners. */
struct counters_tally {
	uint64_t accepted;
	uint64_t carried_in;
	uint64_t carried_out;
	uint64_t finished;	/* closed by the client, or after its last
				   request */
	uint64_t closed;	/* closed by us: timeouts, limits, errors, orders */
	uint64_t cut;		/* CLOSE_CUT */
	uint64_t lost;		/* CLOSE_LOST */
};

/*
 * What became of the connections that a worker had at one time, and of those
 * that it got until another time.  held is the sum of all the rest.
 */
struct counters_fates {
	uint64_t held;
	uint64_t carried;	/* to another worker */
	uint64_t finished, closed, cut, lost;	/* as above */
	uint64_t left;		/* still there */
};

struct counters_worker {
	uint64_t beat_ms;	/* clock_ms() of the loop's last turn */
	uint64_t active;	/* gauge: connections of all listeners */
	uint64_t buffered;	/* gauge: bytes held for messages and replies */
	uint64_t buffered_peak;
	uint64_t accept_pauses;	/* times that descriptors ran out */
	uint64_t access_lost;	/* lines of the access log */
	uint64_t spans;		/* put into the ring */
	uint64_t spans_dropped;	/* not: it was full */
	uint64_t lag_peak_us;	/* the latest that the tick ever ran */
	struct histogram lag;	/* how much later than due each tick ran */
	/* Earlier programs leave it at 0, where they have padding. */
	uint64_t at_rest;	/* bit i: when the worker left, no executor of
				   the handler with index i had a request */
	uint64_t log_untold;	/* gauge: log_share_untold() */
} __attribute__((aligned(64)));

/* What a worker counts for one handler. */
struct counters_handler {
	uint64_t waiting;	/* gauge: requests in the queue */
	uint64_t waiting_peak;
	uint64_t executors;	/* gauge */
	uint64_t executors_busy; /* gauge, as of the last tick */
	uint64_t waits;		/* requests that had to wait */
	uint64_t held_back;	/* messages whose client was not read from */
	uint64_t shed;		/* answered busy: the queue was full */
	uint64_t expired;	/* answered busy: queue_timeout */
	uint64_t timeouts;	/* request_timeout */
	uint64_t failed;	/* the executor died or gave up */
	struct histogram wait;	/* in the queue, of those that had to */
	struct histogram handling;
	/* Four that earlier programs leave at 0, where they have padding. */
	uint64_t used;		/* executors that ended and had had a message */
	uint64_t crashes;	/* of these: with a message that was not
				   answered */
	uint64_t slowed;	/* times that a connection was slowed for it */
	uint64_t offenders;	/* connections that were, for the first time */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct counters_worker) == 320 &&
    sizeof(struct counters_handler) == 576,
    "the layout is that of earlier programs");

struct counters_block {
	struct counters_worker worker;
	struct counters_listener listener[COUNTERS_LISTENERS];
	struct counters_handler handler[COUNTERS_HANDLERS];
};

struct counters_map {
	uint32_t version;
	uint32_t records;	/* capacity of each block's table */
	uint64_t conns_begun;	/* where connection ids come from; atomic */
	struct counters_block block[COUNTERS_BLOCKS];
	/* struct conn_record [COUNTERS_BLOCKS][records], page-aligned */
	/* struct spans [COUNTERS_BLOCKS], likewise */
};

_Static_assert((int)SPANS_BLOCKS == (int)COUNTERS_BLOCKS,
    "each block has a ring");

/* The previous release maps what this one has made, and the reverse.  The
 * padding of struct counters_listener, counters_worker and counters_handler is
 * room for new counters at their ends, which are 0 where nobody counts them. */
_Static_assert(sizeof(struct counters_listener) == 256 &&
    offsetof(struct counters_listener, carried_out) == 168 &&
    offsetof(struct counters_listener, bytes_out) == 208 &&
    sizeof(struct counters_worker) == 320 &&
    offsetof(struct counters_worker, lag) == 72 &&
    sizeof(struct counters_handler) == 576 &&
    offsetof(struct counters_handler, handling) == 312 &&
    sizeof(struct counters_map) == 279872, "the layout of COUNTERS_VERSION");

struct conn_record;

/* One mapping, as a process sees it. */
struct counters {
	int fd;			/* -1 in children */
	size_t size;
	uint32_t records;
	unsigned listeners;	/* numbers in use; higher ones were never */
	unsigned handlers;
	struct counters_map *map;
};

/* Make the mapping of a slot.  Returns -1 with errno set. */
int counters_new(struct counters *, unsigned slot, uint32_t records);
/* Map a memfd that is there already.  Returns -1 with errno set; EINVAL if it is
 * not what counters_new() makes. */
int counters_open(struct counters *, int fd, bool writable);
void counters_free(struct counters *);

/* Forbid this process to write to the mapping, also by its descriptor: a
 * worker's view of other slots, and the monitor's. */
int counters_seal(struct counters *);

/* The table of one block. */
struct conn_record *counters_records(const struct counters *, unsigned block);

/* The ring of one block. */
struct spans *counters_spans(const struct counters *, unsigned block);

/*
 * The numbers [*first, *end) of records, from number i on, whose pages are
 * there; to look at others would take memory.  Returns false if there are none.
 * Needs a fd of this process's own, see counters_seal().
 */
bool counters_find_records(const struct counters *, unsigned block, uint32_t i,
    uint32_t *first, uint32_t *end);

/* Make the records [first, first + n) zero and give their pages back; both are
 * to be whole pages where memory is to be returned. */
void counters_forget(struct counters *, unsigned block, uint32_t first,
    uint32_t n);

/* How many connections were closed, for whatever reason. */
uint64_t counters_closed(const struct counters_listener *);

/* How many connections a listener has, each counted once, by the sums of what all
 * blocks say. */
uint64_t counters_once(uint64_t accepted, uint64_t moved, uint64_t closed);

/* A number is to be another listener's or handler's, and no worker uses it: set
 * its counters to 0. */
void counters_renew_listener(struct counters *, unsigned number);
void counters_renew_handler(struct counters *, unsigned number);

/*
 * After the death of the worker that had the block: count what it held as lost,
 * and set the gauges to 0.  Returns the number of connections lost.
 */
uint64_t counters_bury(struct counters *, unsigned block);

/*
 * While no connection changes hands: what one worker has given and no other one
 * has taken was lost with both of them.  Count it as such in a block that no
 * worker has, of one of the slots.  Returns how many.
 */
uint64_t counters_settle(const struct counters slots[], size_t n,
    struct counters *, unsigned block);

/* Add up what the worker of a block has counted for n listeners, by their
 * numbers; and what became of its connections since then. */
void counters_tally(const struct counters *, unsigned block,
    const unsigned listeners[], size_t n, struct counters_tally *);
void counters_compare(const struct counters_tally *before,
    const struct counters_tally *now, struct counters_fates *);

/* Single writer, any reader. */
static inline uint64_t
counter_get(const uint64_t *counter)
{
	return (__atomic_load_n(counter, __ATOMIC_RELAXED));
}

static inline void
counter_set(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static inline void
counter_add(uint64_t *counter, uint64_t n)
{
	counter_set(counter, counter_get(counter) + n);
}

static inline void
histogram_add(struct histogram *histogram, uint64_t us)
{
	unsigned bucket = us == 0 ? 0 : 64 - (unsigned)__builtin_clzll(us);

	if (bucket >= HISTOGRAM_BUCKETS)
		bucket = HISTOGRAM_BUCKETS - 1;
	counter_add(&histogram->count[bucket], 1);
	counter_add(&histogram->sum_us, us);
}

/* A gauge never goes below 0, whatever a dead worker left there. */
static inline void
counter_sub(uint64_t *counter, uint64_t n)
{
	uint64_t value = counter_get(counter);

	counter_set(counter, value > n ? value - n : 0);
}

#endif
