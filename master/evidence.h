/* SPDX-License-Identifier: ISC */
/*
 * Whether a generation is worse for its handlers' messages than the generation
 * before it.
 *
 * Executors that die with a message say nothing about a generation as long as
 * the message may be to blame: the previous handler may crash on it too.  So
 * the deaths of both are compared, by the workers' counters.
 */
#ifndef MASTER_EVIDENCE_H
#define MASTER_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/counters.h"
#include "common/status.h"
#include "common/why.h"

struct worker_proc;
struct master;

enum {
	/* A generation that is to be rolled back loses an executor with at
	 * least one of so many messages, */
	EVIDENCE_SHARE = 10,
	/* and this many times as often as the generation before it. */
	EVIDENCE_TIMES = 4,
};

/* What a handler did, or its executors of one worker. */
struct evidence {
	uint64_t messages;	/* that executors were given, and answered or
				   lost */
	uint64_t crashes;	/* executors that ended with a message */
	uint64_t offenders;	/* connections that lost one for the first
				   time */
};

/* By the number of a handler. */
struct evidence_before {
	struct evidence before[COUNTERS_HANDLERS];	/* of the generation
							   before */
	struct evidence all[COUNTERS_HANDLERS];	/* when that had ended */
};

/* What a worker counts for a handler of its generation. */
const struct counters_handler *evidence_counters(const struct worker_proc *,
    unsigned handler);

/* What the block of a worker that is about to begin says by now. */
void evidence_note(const struct worker_proc *, unsigned handler,
    struct evidence *);

/* The running generation holds from now on, and came by a reload, upgrade or
 * roll-back: what was counted since the last call is that of the generation
 * before it. */
void evidence_begin(struct master *, enum status_kind);

/* The number is to be another handler's. */
void evidence_forget(struct master *, unsigned number);

/* Whether the deaths of a handler's executors show that the running generation
 * is worse than the one before, and why; handler is its index there. */
bool evidence_is_worse(const struct master *, unsigned handler,
    struct why *);

#endif
