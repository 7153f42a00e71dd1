/* SPDX-License-Identifier: ISC */
/*
 * A slot: a place for a worker.  Which worker has it is changed here only.
 *
 * Decides when the worker of a slot is replaced after its death: at once, and
 * with a growing pause if that keeps happening.  A worker that serves and has
 * lost its anchor is renewed: another one starts, and when that is ready, the old
 * one hands over to it.
 */
#ifndef MASTER_SLOT_H
#define MASTER_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "master/pause.h"

struct generation;
struct worker_proc;
struct master;

enum {
	/* So many rescuers of a slot may die within some seconds. */
	SLOT_RESCUER_DEATHS = 3,
};

struct slot {
	unsigned number;
	struct worker_proc *serving;	/* of the running generation; NULL
					   while dead */
	struct worker_proc *next;	/* of the generation that a reload
					   brings */
	struct worker_proc *renewal;	/* of the running generation; starts in
					   place of one that serves and has
					   lost its anchor; NULL */
	struct pause pause;	/* again_ms is 0 if there is nothing to start */
	struct pause renewals;	/* again_ms: when the next one may start */
	uint64_t rescuer_deaths_ms[SLOT_RESCUER_DEATHS]; /* the last ones, the
					   newest at the end; 0: fewer */
};

/* Make the slots up to a number, with their counters.  Returns -1 with
 * errno. */
int slots_prepare(struct master *, unsigned slots);

/* Whether every slot can have one more worker than it has. */
bool slots_have_room(const struct master *);

/* Start the workers of a generation that a reload brings.  Returns -1 with
 * errno set, and says for which slot. */
int slots_fill(struct master *, struct generation *, unsigned *slot);

/* The same workers are of no use: they are to exit at once. */
void slots_discard(struct master *);

/* The worker that was to be the next one; NULL.  It is that no longer. */
struct worker_proc *slot_take_next(struct slot *);

/* The next worker serves from now on.  Returns the one that did; NULL. */
struct worker_proc *slot_promote(struct slot *);

/* Go on with renewals, and begin those that are due; or give up those that are
 * not done. */
void slots_renew(struct master *);
void slots_end_renewals(struct master *);

/* No slot has a worker from now on, or gets one. */
void slots_close(struct master *);

/* Those that wait for START may serve.  Returns whether there was one. */
bool slots_admit(struct master *);

/* The worker is dead: another one takes its place, if it had one.  Returns
 * whether it was the next one. */
bool slot_on_death(struct worker_proc *);

/* Start again what is due; called with the master's tick. */
void slots_revive(struct master *);

/* Send newcomers to the slots that have a worker. */
void slots_steer(struct master *);

#endif
