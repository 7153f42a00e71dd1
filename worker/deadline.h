/* SPDX-License-Identifier: ISC */
/*
 * Deadlines of connections.
 *
 * All deadlines of one kind on one listener are equally long, so the
 * connections that wait for one stand in a queue in the order in which they
 * began to wait: to set a deadline is to go to the end of a queue, and only
 * heads can be due.  The worker's tick serves them all.
 */
#ifndef WORKER_DEADLINE_H
#define WORKER_DEADLINE_H

#include <sys/queue.h>

#include <stdint.h>

#include "conf/conf.h"

struct conn;
struct worker;

enum deadline_kind {
	DEADLINE_NONE,
	DEADLINE_IDLE,		/* no message begun */
	DEADLINE_READ,		/* a message begun and not complete */
	DEADLINE_WRITE,		/* replies not taken */
	DEADLINE_REPLY,		/* a handler owes a reply: never due, as the
				   handler has deadlines of its own */
	DEADLINE_LINGER,	/* all said; waiting for the peer's EOF */
	DEADLINE_PROXY,		/* the PROXY header is not complete */
	DEADLINE_KINDS
};

enum {
	/* A peer that was told all and has nothing to say itself is let go. */
	DEADLINE_LINGER_MS = 800,
	/* A proxy sends its header as it connects; a segment may get lost. */
	DEADLINE_PROXY_MS = 5000,
};

struct deadline_queue {
	TAILQ_HEAD(conn_waiting_list, conn) waiting;
	struct conn *restored;	/* the last one that deadline_restore() put
				   here, if it still waits; or NULL */
	uint64_t length_ms;	/* 0: never due */
};

void deadline_init(struct deadline_queue[DEADLINE_KINDS],
    const struct conf_listener *);

/* Begin to wait at the time since_ms, which is now or not long ago; gives up
 * what the connection waited for before. */
void deadline_set(struct conn *, enum deadline_kind, uint64_t since_ms);
void deadline_clear(struct conn *);
/* The same for a connection that waits since a time in the past, and stands in
 * no queue.  Cheap if those that are restored together come in the order of
 * their times. */
void deadline_restore(struct conn *, enum deadline_kind, uint64_t since_ms);

/* The worker did not run for that long: nobody has waited meanwhile. */
void deadline_forgive(struct worker *, uint64_t stall_ms);

/* A connection that is due, NULL if there is none.  The caller ends
 * it, sets another deadline, or puts this one off to the next tick. */
struct conn *deadline_next_due(struct worker *);
void deadline_put_off(struct conn *);

/* The connection that waits longest for its peer to send the rest of a message
 * or to take its replies, other than the one given; NULL if there is none. */
struct conn *deadline_slowest(struct worker *, const struct conn *but);

#endif
