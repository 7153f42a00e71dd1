/* SPDX-License-Identifier: ISC */
/*
 * The shared mappings: one memfd per slot, with the counters of the slot's
 * workers and the table of their connections.
 *
 * The master makes them, the workers of the slot write them, and all processes
 * read them and check what they read.  A mapping outlives the workers of its
 * slot, so that counters never decrease.  An old and a new worker of one slot
 * can live at the same time, so a mapping has several blocks: the master lends
 * each to one living worker, which continues from what the previous one left
 * there.  So every counter has a single writer and needs no lock; a reader adds
 * up the blocks.
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
	 * that serves, and older ones that still drain connections that could
	 * not be handed over. */
	COUNTERS_BLOCKS = 4,
	/* Names of listeners and handlers in use at a time, see
	 * master/registry.h. */
	COUNTERS_LISTENERS = 128,
	COUNTERS_HANDLERS = 64,
};

enum {
	/* Bucket i of a histogram counts values below 2^i microseconds that no
	 * earlier bucket counts; the last one has no limit. */
	HISTOGRAM_BUCKETS = 28,
};

struct histogram {
	uint64_t count[HISTOGRAM_BUCKETS];
	uint64_t sum_us;
};

/* What a worker counts for one listener. */
struct counters_listener {
	uint64_t active;	/* gauge: open connections */
	uint64_t peak;		/* highest value of active */
	uint64_t accepted;	/* accepted + carried_in is always the sum of
				   closed[], carried_out and active */
	uint64_t rejected[REJECT_REASON_COUNT];
	uint64_t closed[CLOSE_REASON_COUNT];
	uint64_t carried_out;	/* handed over to another worker; one that
				   came back counts in both */
	uint64_t carried_in;	/* adopted from another worker */
	uint64_t messages_in;
	uint64_t messages_out;
	uint64_t bytes_in;	/* with framing */
	uint64_t bytes_out;
	/* The next four are 0 in previous programs, which have padding there.
	 *
	 * Connections that came from listeners of other names in a hand-over,
	 * less those that went to them: the new worker's block counts both.
	 * Below 0 it wraps, so only the sum of all blocks is meaningful. */
	uint64_t moved;
	/* New clients that were rejected, as proxy_from has no such address. */
	uint64_t not_proxied;
	/* Only in block 0 of slot 0, written by the master: how often the
	 * number of the listener, and of the handler, has got another name. */
	uint64_t life;
	uint64_t handler_life;
} __attribute__((aligned(64)));

/* A worker's counts so far for the connections of some listeners. */
struct counters_tally {
	uint64_t accepted;
	uint64_t carried_in;
	uint64_t carried_out;
	uint64_t finished;	/* closed by the client, or after its last
				   request */
	uint64_t closed;	/* by the server, except cut and lost */
	uint64_t cut;		/* CLOSE_CUT */
	uint64_t lost;		/* CLOSE_LOST */
};

/*
 * What became of the connections that a worker had at one time and got until
 * another time.  held is the sum of all others.
 */
struct counters_fates {
	uint64_t held;
	uint64_t carried;	/* to another worker */
	uint64_t finished, closed, cut, lost;	/* as above */
	uint64_t left;		/* still open */
};

struct counters_worker {
	uint64_t beat_ms;	/* clock_ms() of the loop's last turn */
	uint64_t active;	/* gauge: connections of all listeners */
	uint64_t buffered;	/* gauge: bytes of messages and replies */
	uint64_t buffered_peak;
	uint64_t accept_pauses;	/* how often descriptors ran out */
	uint64_t access_lost;	/* lost lines of the access log */
	uint64_t spans;		/* put into the ring */
	uint64_t spans_dropped;	/* because the ring was full */
	uint64_t lag_peak_us;	/* longest delay of a tick */
	struct histogram lag;	/* delay of each tick */
	/* The next is 0 in previous programs, which have padding there. */
	uint64_t at_rest;	/* bit i: when the worker exited, no executor
				   of the handler with index i had a request */
	uint64_t log_untold;	/* gauge: log_share_untold() */
} __attribute__((aligned(64)));

/* What a worker counts for one handler. */
struct counters_handler {
	uint64_t waiting;	/* gauge: requests in the queue */
	uint64_t waiting_peak;
	uint64_t executors;	/* gauge */
	uint64_t executors_busy; /* gauge, at the last tick */
	uint64_t waits;		/* requests that had to wait */
	uint64_t held_back;	/* messages not read: the queue was full */
	uint64_t shed;		/* answered busy: the queue was full */
	uint64_t expired;	/* answered busy: queue_timeout */
	uint64_t timeouts;	/* request_timeout */
	uint64_t failed;	/* the executor died or reported a failure */
	struct histogram wait;	/* in the queue, only of those that waited */
	struct histogram handling;
	/* The next four are 0 in previous programs, which have padding
	 * there. */
	uint64_t used;		/* executors that ended after a message */
	uint64_t crashes;	/* of these: with an unanswered message */
	uint64_t slowed;	/* how often a connection was slowed for it */
	uint64_t offenders;	/* connections slowed for the first time */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct counters_worker) == 320 &&
    sizeof(struct counters_handler) == 576,
    "the layout is that of previous programs");

struct counters_block {
	struct counters_worker worker;
	struct counters_listener listener[COUNTERS_LISTENERS];
	struct counters_handler handler[COUNTERS_HANDLERS];
};

/* What the master counts of the rescues in a slot. */
struct counters_custody {
	uint64_t rescues;	/* in which a rescuer has adopted */
	uint64_t kept;		/* connections */
	uint64_t answered;	/* requests that were with handlers */
	uint64_t dropped[RESCUE_REASON_COUNT];	/* those that were over are
						   not shown */
};

struct counters_map {
	uint32_t version;
	uint32_t records;	/* capacity of each block's table */
	uint64_t conns_begun;	/* source of connection ids; atomic */
	struct counters_block block[COUNTERS_BLOCKS];
	struct counters_custody custody;	/* 0 in previous programs */
	/* struct conn_record [COUNTERS_BLOCKS][records], page-aligned */
	/* struct spans [COUNTERS_BLOCKS], page-aligned */
};

_Static_assert((int)SPANS_BLOCKS == (int)COUNTERS_BLOCKS,
    "each block has a ring");

/* The previous release maps the memory of this one, and the reverse.  The
 * padding at the end of struct counters_listener, counters_worker and
 * counters_handler is room for new counters; a counter is 0 if no program
 * counts it. */
_Static_assert(sizeof(struct counters_listener) == 256 &&
    offsetof(struct counters_listener, carried_out) == 168 &&
    offsetof(struct counters_listener, bytes_out) == 208 &&
    sizeof(struct counters_worker) == 320 &&
    offsetof(struct counters_worker, lag) == 72 &&
    sizeof(struct counters_handler) == 576 &&
    offsetof(struct counters_handler, handling) == 312 &&
    offsetof(struct counters_map, custody) == 279872 &&
    /* The tables begin with the next page. */
    sizeof(struct counters_map) <= 69 * 4096, "the layout of COUNTERS_VERSION");

struct conn_record;

/* One mapping, as a process sees it. */
struct counters {
	int fd;			/* -1 in children */
	size_t size;
	uint32_t records;
	unsigned listeners;	/* numbers below this may be in use */
	unsigned handlers;
	struct counters_map *map;
};

/* Make the mapping of a slot.  Returns -1 with errno set. */
int counters_new(struct counters *, unsigned slot, uint32_t records);
/* Map an existing memfd.  Returns -1 with errno set; EINVAL if it was not made
 * by counters_new(). */
int counters_open(struct counters *, int fd, bool writable);
void counters_free(struct counters *);

/* Forbid this process to write to the mapping, also through its descriptor: for
 * other slots in a worker, and for all slots in the monitor. */
int counters_seal(struct counters *);

/* The table of one block. */
struct conn_record *counters_records(const struct counters *, unsigned block);

/* The ring of one block. */
struct spans *counters_spans(const struct counters *, unsigned block);

/*
 * Find the records [*first, *end), from number i on, whose pages exist; reading
 * others would allocate memory.  Returns false if there are none.  Needs a
 * descriptor of this process, see counters_seal().
 */
bool counters_find_records(const struct counters *, unsigned block, uint32_t i,
    uint32_t *first, uint32_t *end);

/* Set the records [first, first + n) to zero and free their pages; only whole
 * pages are freed. */
void counters_forget(struct counters *, unsigned block, uint32_t first,
    uint32_t n);

/* How many connections were closed, for any reason. */
uint64_t counters_closed(const struct counters_listener *);

/* How many connections a listener has had, each counted once; the arguments are
 * sums over all blocks. */
uint64_t counters_once(uint64_t accepted, uint64_t moved, uint64_t closed);

/* A number gets the name of another listener or handler, and no worker uses it:
 * set its counters to 0. */
void counters_renew_listener(struct counters *, unsigned number);
void counters_renew_handler(struct counters *, unsigned number);

/* How many connections a worker has that its block says were not closed, nor
 * handed over. */
uint64_t counters_held(const struct counters *, unsigned block);

/*
 * After the death of the worker of a block: count its connections as lost, and
 * set the gauges to 0.  Returns the number of lost connections.
 */
uint64_t counters_bury(struct counters *, unsigned block);

/*
 * After the death of the worker of a block, whose connections another process
 * goes on with there: for each of n listeners, so many are its own, and so many
 * are here that were counted as given, or not yet as taken.  The others are
 * counted as lost, and all gauges are set.  If it was counting connections as
 * given or taken, that is what it may have begun or not ended.
 */
void counters_go_on(struct counters *, unsigned block,
    const unsigned listeners[], size_t n, const uint32_t own[],
    const uint32_t guests[], bool is_moving);

/*
 * While no hand-over is running: connections that one worker has given and no
 * other one has adopted were lost with both workers.  Count them in a block of
 * one of the slots that no worker has.  Returns how many.
 */
uint64_t counters_settle(const struct counters slots[], size_t n,
    struct counters *, unsigned block);

/* Add up the counts of a block's worker for n listeners, given by their
 * numbers; and compute what became of its connections between two such sums. */
void counters_tally(const struct counters *, unsigned block,
    const unsigned listeners[], size_t n, struct counters_tally *);
void counters_compare(const struct counters_tally *before,
    const struct counters_tally *now, struct counters_fates *);

/* One writer, any number of readers. */
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

/* A gauge never goes below 0, even if a dead worker left a wrong value. */
static inline void
counter_sub(uint64_t *counter, uint64_t n)
{
	uint64_t value = counter_get(counter);

	counter_set(counter, value > n ? value - n : 0);
}

#endif
