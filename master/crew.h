/* SPDX-License-Identifier: ISC */
/*
 * The crew of a worker: the executors that run the user's code for it.
 *
 * The master starts them with the worker.  When an executor is ready, the worker
 * gets its end of the channel.  An executor that dies is replaced: at once if it
 * had a message, and with a growing pause if executors keep dying without one.
 * The counters of the worker say which of the two it was, when the worker has
 * seen the end of the channel.  When the worker has gone, its executors see the
 * end of their input; those that do not exit are killed.
 */
#ifndef MASTER_CREW_H
#define MASTER_CREW_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/ctl.h"
#include "common/why.h"
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

struct crew {
	struct executor_list members;
	struct executor_list dead;
	unsigned awaited;		/* of the first ones, not ready yet */
	struct why why;			/* its worker will never be ready */
	struct shortage shortage[CONF_HANDLERS_MAX];
};

/* Log which handlers have another number of processes or threads than
 * configured, as each worker has the same number. */
void crews_check(const struct generation *);

/* Read the counters of a worker that was born or adopted. */
void crew_note(struct worker_proc *);

/* Start the crew of a worker that was just forked.  Returns -1 with errno
 * set. */
int crew_start(struct worker_proc *);

/* Take over an executor that another program has started, as it was read.
 * Returns -1 with errno set. */
int crew_adopt(struct master *, struct executor_proc *);

/* Let executors leave that the previous release cannot take over: it passes a
 * worker one descriptor, and does not wait for the death of an executor that has
 * hung up.  It starts others in their place. */
void crews_suit_previous(struct master *);

/* Whether the worker has not been passed an executor that is ready, or not been
 * told of one that is dead. */
bool crew_is_waiting(const struct worker_proc *);

/* Whether an executor has not been ready for seconds. */
bool crew_is_late(const struct worker_proc *);

/* Executors of a handler that are dead and not replaced yet. */
unsigned crew_missing(const struct worker_proc *, unsigned handler);

/* The worker is dead.  If the server may go back to its generation, executors
 * at rest are kept. */
void crew_dismiss(struct worker_proc *);

/* No roll-back will use executors that were kept: let them leave. */
void crews_release(struct master *);

/* The worker has no more use for that executor. */
void crew_disown(struct worker_proc *, const struct ctl_disown *);

/* The worker gives that executor no more requests: start another one. */
void crew_retire(struct worker_proc *, const struct ctl_disown *);

/* Have executors that leave exit at once, within that many milliseconds. */
void crews_hurry(struct master *, uint64_t ms);

/* Called with the master's tick. */
void crews_watch(struct master *);

#endif
