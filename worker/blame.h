/* SPDX-License-Identifier: ISC */
/*
 * Connections with messages that cost executors are slowed down.
 *
 * When an executor dies, or is given up, with a message, the connection of that
 * message gets a strike: its next message is given to a handler only after a
 * delay, which doubles with each strike.  A strike is forgiven after a minute
 * without another one.  When the executor had messages of several connections,
 * each of these is a suspect; a suspect gets a strike when this has happened to
 * it several times without a reply in between.  Other connections are not
 * affected.
 *
 * A slowed connection is not read.  Its requests that no executor has begun are
 * taken out of their queue until the delay is over.
 */
#ifndef WORKER_BLAME_H
#define WORKER_BLAME_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct exec_link;
struct worker;

enum {
	BLAME_FIRST_MS = 200,		/* the delay after the first strike */
	BLAME_MAX_MS = 30000,
	BLAME_FORGIVE_MS = 60000,	/* for each strike */
	/* Deaths in a row that make a suspect guilty. */
	BLAME_COINCIDENCES = 3,
};

/* Part of a struct conn_pending; all zero for a connection that is not
 * blamed. */
struct blame {
	uint64_t until_ms;	/* no message is handled before */
	uint64_t struck_ms;	/* the last strike */
	uint8_t strikes;
	uint8_t coincidences;	/* in a row */
	bool is_slowed;		/* in worker->slowed */
};

/* An executor has ended with the requests that it has. */
void blame_for(const struct exec_link *);

/* A message of the connection was answered: it is no suspect. */
static inline void
blame_clear_suspicion(struct blame *blame)
{
	blame->coincidences = 0;
}

/* Whether there is nothing to remember. */
bool blame_is_over(const struct blame *, uint64_t now_ms);

/* Stop the delay of a connection that is parked or ends; and go on with it
 * where it wakes.  Returns whether it is slowed. */
void blame_suspend(struct conn *);
bool blame_resume(struct conn *);

/* In the form that goes to another worker, which is 0 if there is nothing to
 * remember; and back. */
uint32_t blame_pack(const struct blame *, uint64_t now_ms);
void blame_unpack(struct blame *, uint32_t packed, uint64_t now_ms);

/* A connection that has waited out its delay, NULL if there is none.  The
 * caller calls conn_on_patience(). */
struct conn *blame_next_over(struct worker *);

#endif
