/* SPDX-License-Identifier: ISC */
/*
 * A worker: a libevent loop with the connections of one slot.
 *
 * Accepts on the sockets that it was born with, serves, drains.  Never binds,
 * forks or opens a file, and never blocks.  It has one thread, so nothing needs a
 * lock.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/heritage.h"
#include "worker/acceptor.h"
#include "worker/buffer.h"
#include "worker/conn.h"
#include "worker/conn_table.h"
#include "worker/drain.h"
#include "worker/exec_link.h"
#include "worker/giver.h"
#include "worker/listener.h"
#include "worker/notice.h"
#include "worker/output.h"
#include "worker/taker.h"
#include "worker/trace.h"
#include "worker/queue.h"

enum {
	/* How often deadlines, drains and paused acceptors are looked at. */
	WORKER_TICK_MS = 100,
	/* Bytes read at a time. */
	WORKER_SCRATCH = 65536,
};

struct custody_map;

struct worker {
	const struct heritage *heritage;	/* borrowed */
	struct event_base *base;
	struct channel *channel;
	struct event *tick;
	struct handler *handlers;
	size_t nhandlers;
	struct listener *listeners;
	size_t nlisteners;
	struct acceptors acceptors;
	struct conn_table conns;
	struct custody_map *custody;	/* owned; NULL: no anchor */
	bool is_rescuer;
	struct ctl_rescued rescued;	/* what it has not told of its rescue */
	bool has_told_rescue;		/* ever */
	struct buffer_pool buffers;
	struct output output;
	struct event turn_end;		/* active while is_end_due */
	bool is_end_due;		/* worker_end_turn() is to be called */
	struct conn_pending_list ready;	/* who is to be run: in this turn */
	unsigned nready;
	struct exec_link_list unsent;	/* links with requests of this turn */
	struct queue_list roomy;	/* queues that may have room */
	struct queue_call call;
	struct conn_pending_list starved;	/* who waits for memory */
	bool is_leaving;		/* the last message may be unsent */
	struct notice_list notices;	/* owned */
	struct conn_pending_list slowed;	/* see blame.h */
	struct drain drain;
	struct giver giver;
	struct taker_list takers;
	struct access_log *access_log;		/* owned; NULL: none */
	struct tracing tracing;
	struct counters_worker *counters;	/* borrowed: our block's */
	uint64_t now_ms;			/* coarse; as of this event */
	uint64_t tick_us;			/* the last tick */
	uint64_t now_us;			/* 0: see worker_now_us() */
	uint8_t *scratch;			/* WORKER_SCRATCH bytes */
	uint8_t *exec_scratch;			/* and as many for replies */
};

/* The entry of the role: returns the exit status of the process. */
int worker_main(struct heritage *);

/* Read the clock: called first by every callback of the loop. */
static inline void
worker_turn(struct worker *worker)
{
	worker->now_ms = clock_coarse_ms();
	worker->now_us = 0;
}

/* Exact, as of when this was first asked in this event: for requests, of which
 * many come and go at once. */
static inline uint64_t
worker_now_us(struct worker *worker)
{
	if (worker->now_us == 0)
		worker->now_us = clock_us();
	return (worker->now_us);
}

/* Lists that are empty, and the end of a turn, on worker->base. */
void worker_init_turn(struct worker *);

/*
 * Do what this turn of the loop has made possible, when all that was ready in
 * it has been looked at.  Replies, room in a queue and memory make connections
 * ready, and these bring requests; what there is for executors leaves last,
 * together.
 */
void worker_end_turn(struct worker *);

/* There is something to do at the end of this turn: what becomes active last is
 * run last.  A turn without such things costs nothing. */
static inline void
worker_end_later(struct worker *worker)
{
	if (worker->is_end_due)
		return;
	worker->is_end_due = true;
	event_active(&worker->turn_end, EV_TIMEOUT, 0);
}

/* A connection has ended: acceptors that wait for that go on at the end of this
 * turn. */
static inline void
acceptors_note_room(struct worker *worker)
{
	if (!worker->acceptors.held_back)
		return;
	worker->acceptors.has_room = true;
	worker_end_later(worker);
}

#endif
