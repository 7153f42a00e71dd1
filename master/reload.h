/* SPDX-License-Identifier: ISC */
/*
 * From one generation to the next.
 *
 * In two steps, so that whatever goes wrong changes nothing.  First everything
 * that the new generation needs is made beside the old one: its sockets, bound
 * but not listening, its log, a worker for each slot.  When all of these are
 * READY, they have to prove themselves, see canary.h.  Then the new generation
 * holds: the old workers stop accepting and give it their connections.
 * When these have given what they can, it is done.  The first start is the
 * same, from nothing.
 */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "master/canary.h"
#include "master/probation.h"

struct worker_proc;
struct conf;
struct generation;
struct master;

struct reload {
	struct generation *fresh;	/* owned; NULL: none is under way */
	enum status_kind kind;		/* of that one, or the last */
	bool ordered;			/* one is to follow: */
	enum status_kind ordered_kind;
	struct generation *back;	/* a reference; where a roll-back goes */
	char back_why[PROBATION_WHY_MAX];	/* and why */
	bool said_waiting;
	bool passing;			/* the old workers give to the new */
	unsigned awaited;		/* workers that are not READY, and
					   logs that are not open */
	struct canary canary;
	uint64_t begun_ms;
	uint64_t retry_until_ms;	/* see may_retry(); 0: not yet */
};

/* Carry out the order to reload; folded into one that follows if that cannot be
 * now. */
void reload_order(struct master *);

/* Whether the next generation could be begun now. */
bool reload_may_begin(struct master *);

/* Exchange the workers that another program has left us. */
void reload_after_upgrade(struct master *);

/* Go back to an earlier generation, and say why. */
void reload_back(struct master *, struct generation *, const char *why);

/* Begin what was ordered, if that can be now. */
void reload_try(struct master *);
/* If the one that is under way waits for a handler that may never be ready, and a
 * later order has come, give it up for that. */
void reload_give_way(struct master *);

/* The master did not run for that long. */
void reload_forgive(struct reload *, uint64_t stall_ms);

/* Start from nothing with a configuration, which is owned from here on.
 * Returns -1 when that failed, as the log then says. */
int reload_first(struct master *, struct conf *);

void reload_on_ready(struct worker_proc *);
/* The new workers have proved that they can serve. */
void reload_on_proof(struct master *);
/* Something went wrong that the new generation does not survive; dead is a
 * worker of it that is gone, or NULL. */
void reload_fail(struct master *, struct worker_proc *dead, const char *why);
/* A log of the fresh generation is open, or why not. */
void reload_on_logger(struct master *, const char *why);
/* A worker has given what it had, or is gone. */
void reload_on_given(struct master *);
/* A child of the fresh generation is gone. */
void reload_on_death(struct worker_proc *, const char *how);

/* Give up a reload that is under way, if one is. */
void reload_abort(struct master *, const char *why);

#endif
