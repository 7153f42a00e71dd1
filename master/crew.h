/* SPDX-License-Identifier: ISC */
/*
 * The crew of a worker: the executors that run the user's code for it.
 *
 * The master starts them with the worker, passes the worker its end of each
 * channel when the executor is ready, and replaces those that die: at once, if
 * they had had a message, and with a growing pause if they keep dying without
 * one.  Which of the two it was, the worker says by its counters when it sees
 * the end of the channel.  A crew lives as long as its
 * worker; then each of its members sees the end of its input, and is ended if
 * it does not leave by itself.
 */
#ifndef MASTER_CREW_H
#define MASTER_CREW_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/ctl.h"
#include "conf/conf.h"
#include "master/evidence.h"
#include "master/executor_proc.h"
#include "master/pause.h"

struct worker_proc;
struct generation;
struct master;

/* What a crew is short of, for one handler. */
struct shortage {
	unsigned missing;
	struct pause pause;		/* young deaths are those without a
					   message */
	uint64_t used;			/* as in struct counters_handler: */
	uint64_t crashes;		/* known to us */
	struct evidence noted;		/* when the worker began */
};

enum { CREW_WHY_MAX = 360 };

struct crew {
	struct executor_list members;
	struct executor_list dead;
	unsigned awaited;		/* of the first ones, not ready yet */
	char why[CREW_WHY_MAX];		/* its worker will never be ready */
	struct shortage shortage[CONF_HANDLERS_MAX];
};

/* Say which handlers have more processes or threads than configured, as each
 * worker has as many. */
void crews_check(const struct generation *);

/* Note what the counters of a worker say that is born or adopted. */
void crew_note(struct worker_proc *);

/* Start the crew of a worker that was just forked.  Returns -1 with errno
 * set. */
int crew_start(struct worker_proc *);

/* Take over an executor that another program has started, as it was read.
 * Returns -1 with errno set. */
int crew_adopt(struct master *, struct executor_proc *);

/* Part with those of no use to the previous release, which passes a worker one
 * descriptor, and does not wait for the end of one whose channel has ended.  It
 * starts others in their place. */
void crews_suit_previous(struct master *);

/* Whether an executor is ready that its worker could not be passed yet, or dead
 * and its worker not told. */
bool crew_is_waiting(const struct worker_proc *);

/* Whether one has not said for seconds that it is ready. */
bool crew_is_late(const struct worker_proc *);

/* Executors of a handler that are dead and not replaced yet. */
unsigned crew_missing(const struct worker_proc *, unsigned handler);

/* The worker is gone.  Executors of a generation that may be gone back to are
 * kept, if they are at rest. */
void crew_dismiss(struct worker_proc *);

/* No roll-back will use those that are kept: let them leave. */
void crews_release(struct master *);

/* The worker wants that one no more. */
void crew_disown(struct worker_proc *, const struct ctl_disown *);

/* The worker gives that one no more requests: start another one beside it. */
void crew_retire(struct worker_proc *, const struct ctl_disown *);

/* Ask those that are to leave at once, and let them have so long. */
void crews_hurry(struct master *, uint64_t ms);

/* Called with the master's tick. */
void crews_watch(struct master *);

#endif
