/* SPDX-License-Identifier: ISC */
/*
 * The probation of a generation: if its processes crash in a loop soon after it
 * began to hold, the server goes back to what was before.
 *
 * A loop is the third death in a row of young processes (see pause.h), either
 * of the workers of one slot or of the executors that one worker has for one
 * handler, if these had no message.  Executors that die with a message count
 * where they show that the generation is worse than the one before it: see
 * evidence.h.  The probation ends when its time is over, or with the next order of
 * the administrator's, who then knows better.
 */
#ifndef MASTER_PROBATION_H
#define MASTER_PROBATION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "master/phase.h"

struct generation;
struct master;

enum {
	PROBATION_DEATHS = 3,
};

struct probation {
	uint64_t until_ms;		/* 0: none is under way */
	enum status_kind of;		/* what brought the generation */
	struct generation *before;	/* a reference; NULL: none to go to */
	int program;			/* the previous one, to go back to; -1 */
	bool refused;			/* by a canary: the program goes back,
					   the old workers never left */
	struct why why;			/* to go back; "": nothing yet */
};

/* The running generation holds from now on, instead of the one before, and came
 * by a reload, upgrade or roll-back. */
void probation_begin(struct master *, enum status_kind,
    struct generation *before);

/* The workers of an upgrade have failed before they took over: go back to the
 * previous program, and keep the workers. */
void probation_refuse(struct master *, const char *why);

/* What was before is of no interest any more. */
void probation_end(struct master *);

/* A process has died: the n-th of its kind in a row that was young. */
void probation_on_death(struct master *, const struct generation *, unsigned n,
    const char *whose, const char *how);

/* An executor has died with a message; handler is its index in the
 * generation. */
void probation_on_crash(struct master *, const struct generation *,
    unsigned handler, const char *how);

/* End it if its time is over, or a later order overrules it. */
void probation_run(struct master *);

#endif
