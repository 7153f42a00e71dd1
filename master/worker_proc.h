/* SPDX-License-Identifier: ISC */
/*
 * The workers as the master sees them: birth, orders, death and rescue.
 *
 * Owns every struct worker_proc and the master's end of its channel.  Knows how
 * to start and reap a worker, not when one should be replaced: slot.c and
 * phase.c decide.
 *
 * If a worker with an anchor dies, its rescuer takes its place: a worker of the
 * same generation with the same block of counters, that is cloned by the anchor
 * and drains.  It gets its orders before it is there.
 */
#ifndef MASTER_WORKER_PROC_H
#define MASTER_WORKER_PROC_H

#include <sys/queue.h>
#include <sys/types.h>

#include "common/counters.h"
#include "common/log.h"
#include "common/status.h"
#include "master/crew.h"
#include "master/generation.h"
#include "master/process.h"

struct anchor_proc;
struct succession_report;
struct master;
struct slot;

enum {
	/* When a worker whose link has ended gets another one. */
	WORKER_RETRY_MS = 1000,
};

/* In the order of life. */
enum worker_state {
	WORKER_STARTING,		/* not READY yet */
	WORKER_READY,		/* waits for START */
	WORKER_SERVING,
	WORKER_DRAINING,
	WORKER_ENDING,		/* told to stop, or killed: about to exit */
	WORKER_DEAD		/* reaped, and in master->dead until it is
				   buried at the end of the turn */
};

struct worker_proc {
	TAILQ_ENTRY(worker_proc) link;
	struct process process;
	struct slot *slot;
	struct generation *generation;	/* a reference */
	struct crew crew;
	unsigned block;			/* of the slot's counters */
	enum worker_state state;
	struct why why;			/* what it said went wrong */
	struct succession_report *report; /* that it is part of, or NULL */
	unsigned passing;		/* GIVEs that it has not answered */
	uint64_t again_ms;		/* when it gets another link; 0: no
					   need */
	bool unlinked;			/* that will be the first one since
					   it drains */
	struct ctl_given given;		/* all its answers, added up */
	uint64_t shared_us;		/* the same, of a canary */
	struct counters_tally before;	/* as it was born, or replaced: */
	struct counters_fates adopted;	/* what had become of its connections
					   when the program was exchanged */
	bool serving;			/* in its slot, at that time */
	bool is_marked;			/* a canary has begun */
	struct ctl_drained drained;	/* what it said at its end */
	bool access_log_due;		/* ACCESS_LOG is to be sent */
	bool was_killed;		/* by us, and why: */
	enum status_cause cause;
	struct anchor_proc *anchor;	/* owned; NULL: none */
	bool has_lost_anchor;		/* there was one */
	bool is_dismissed;		/* told to exit, or has said that it
					   will: there is nothing to rescue */
	bool is_rescuer;
	bool has_adopted;		/* and has said RESCUED */
	uint64_t death_ms;		/* when the one before it died */
	pid_t rescues;			/* that one */
	int status;			/* of a dead one: as waitpid(2) says */
	uint64_t conns_lost;		/* with it */
	struct worker_proc *rescuer;	/* has its connections now; NULL */
};

TAILQ_HEAD(worker_list, worker_proc);

/* Fork a worker for a slot.  prepared says whether it gets sockets that are not
 * yet committed; renews is the one that it is to replace though that lives, or
 * NULL.  Returns NULL with errno set. */
struct worker_proc *worker_proc_new(struct master *, struct slot *,
    struct generation *, bool prepared, const struct worker_proc *renews);

/* Take over a worker that another program has forked, as it was read.  Returns -1
 * with errno set. */
int worker_proc_adopt(struct master *, struct worker_proc *);

/* Whether it could be rescued if it died now. */
bool worker_proc_has_custody(const struct worker_proc *);

/* Whether a rescuer has not adopted yet: the state of an upgrade has no place
 * for it. */
bool workers_are_rescued(const struct master *);

/* Whether it and its crew are ready, and it waits for START. */
bool worker_proc_is_complete(const struct worker_proc *);

/* Whether a worker of the slot writes to that block of its counters, or has and
 * is not buried yet; and a block that none does, or -1 with errno set. */
bool workers_use_block(const struct master *, const struct slot *,
    unsigned block);
int workers_free_block(const struct master *, const struct slot *);

/* It is dead and in no list, and what follows from that is done. */
void worker_proc_free(struct worker_proc *);

void worker_proc_start(struct worker_proc *);
void worker_proc_drain(struct worker_proc *, enum ctl_drain_mode);
/* Have it exit at once. */
void worker_proc_stop(struct worker_proc *);
/* Send it a signal, and some time later SIGKILL; cause is what its death is
 * counted as. */
void worker_proc_kill(struct worker_proc *, int signal,
    enum status_cause cause);

/* Send what could not be sent before; called with the master's tick. */
void workers_tick(struct master *);

/* Whether an order, such as START, DRAIN or an executor, could not be sent
 * yet. */
bool workers_have_unsent(const struct master *);

/* A line of the log about a worker, with one more field if value is not NULL. */
void worker_proc_log(enum log_level, enum log_event, const struct worker_proc *,
    const char *key, const char *value);

#endif
