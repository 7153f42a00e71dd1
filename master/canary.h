/* SPDX-License-Identifier: ISC */
/*
 * The canary of a reload: the new workers prove that they can serve before the
 * old ones hand over.
 *
 * When all new workers are READY, they accept connections beside the old ones.
 * Then one old worker hands a bounded share of its idle connections to its
 * successor.  At each step every new worker has to stay alive, and the loop of
 * every one has to turn.  If one does not, the reload is refused: the new
 * workers hand back what they have, and the old ones never stopped serving.
 *
 * The first start has no canary, as there is nothing to lose.  A roll-back has
 * none either: what it goes back to has served before.
 */
#ifndef MASTER_CANARY_H
#define MASTER_CANARY_H

#include <stdbool.h>
#include <stdint.h>

#include "master/phase.h"

struct worker_proc;
struct event;
struct master;

enum {
	/* The loop of each new worker has to turn this long after a step. */
	CANARY_STEP_MS = 100,
	/* A worker whose loop does not turn within that time is hung. */
	CANARY_HUNG_MS = 3000,
	/* The share: at most that many connections, and that part of what the
	 * old worker has. */
	CANARY_SHARE_MAX = 64,
	CANARY_SHARE_PART = 8,
};

enum canary_step {
	CANARY_ACCEPTING,	/* the new workers accept connections */
	CANARY_GIVING,		/* an old worker gives its share */
	CANARY_SERVING,		/* the share is with its new worker */
};

struct canary {
	enum canary_step step;
	struct event *timer;	/* owned; NULL: there is no canary */
	uint64_t step_ms;	/* when the step began */
	uint64_t polled_ms;	/* when it was last looked at */
	uint64_t waited_ms;	/* in this step, while the master ran */
};

/* Whether the reload that is prepared needs a canary. */
bool canary_is_needed(const struct master *);

/* Let the workers that are READY accept.  Returns -1 if there is no memory. */
int canary_begin(struct master *);

/* Look, and take the next step if it is time.  It is done when the new workers
 * have proved themselves. */
enum step canary_run(struct master *, struct why *);

/* A canary is over, well or not: forget it. */
void canary_end(struct master *);

/* Let the new workers hand back what they have to the old ones, and exit.  dead
 * is one that has died, or NULL.  The report of the refusal says why, and what
 * became of the connections; it is complete when the last new worker is gone. */
void canary_take_back(struct master *, struct worker_proc *dead,
    const char *why);

#endif
