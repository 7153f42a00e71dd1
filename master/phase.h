/* SPDX-License-Identifier: ISC */
/*
 * What the master as a whole is doing, and what it does next.
 *
 * Orders and what has become of processes are only noted.  At the end of the
 * turn phase_advance() looks at all of it and does what follows: start the next
 * thing that was ordered, go on with a reload, refuse it, end.  Files below this
 * one never call it; they say master_changed().
 */
#ifndef MASTER_PHASE_H
#define MASTER_PHASE_H

#include <stdbool.h>

#include "common/status.h"
#include "common/why.h"

struct conf;
struct master;

enum phase {
	PHASE_STARTING,		/* the first workers get ready */
	PHASE_RUNNING,
	PHASE_PREPARING,	/* the workers of a reload get ready */
	PHASE_CANARY,		/* they accept beside the old ones */
	PHASE_HANDING_OVER,	/* the old ones give to them */
	PHASE_CHECKING,		/* a new program is checked, then executed */
	PHASE_STOPPING,		/* all workers drain */
};

/* How a step of a phase went. */
enum step {
	STEP_DONE,
	STEP_WAITS,		/* look, or try, again later */
	STEP_FAILED		/* and why */
};

/* What was ordered and is not begun yet. */
struct pending {
	bool reload;
	enum status_kind kind;		/* of that */
	bool upgrade;			/* follows the reload */
};

/* Start from nothing with a configuration, which is owned from here on. */
void phase_start(struct master *, struct conf *);

/* Go on where another program was. */
void phase_resume(struct master *);

/* Orders. */
void phase_reload(struct master *);
void phase_upgrade(struct master *);
void phase_stop(struct master *);	/* the second one: now */
void phase_stop_now(struct master *);

/* Do what the changes of this turn have made possible. */
void phase_advance(struct master *);

/* Whether a stop has come to its end: no process is left but the monitor. */
bool phase_is_over(const struct master *);

#endif
