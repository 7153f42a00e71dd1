/* SPDX-License-Identifier: ISC */
/*
 * A slot: a place for a worker.
 *
 * Decides when the worker of a slot is replaced after its death: at once, and
 * with a growing pause if that keeps happening.
 */
#ifndef MASTER_SLOT_H
#define MASTER_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/counters.h"

struct worker_proc;
struct master;

struct slot {
	unsigned number;
	struct worker_proc *serving;	/* of the running generation; NULL
					   while dead */
	struct worker_proc *next;	/* of the generation that a reload
					   brings */
	bool lent[COUNTERS_BLOCKS];
	unsigned young_deaths;	/* in a row */
	uint64_t again_ms;	/* when to try again; 0: nothing to try */
};

/* Make the slots up to a number, with their counters.  Returns -1 with
 * errno. */
int slots_prepare(struct master *, unsigned slots);

/* Whether a slot can have one more worker than it has. */
bool slot_has_room(const struct slot *);

/* A child is gone; lost is the number of connections that went with it. */
void slot_on_death(struct slot *, struct worker_proc *, int status,
    uint64_t lost);

/* Start again what is due. */
void slots_revive(struct master *);

/* Send newcomers to the slots that have a worker. */
void slots_steer(struct master *);

#endif
