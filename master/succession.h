/* SPDX-License-Identifier: ISC */
/*
 * Who hands its connections to whom, and what became of everybody.
 *
 * Workers that are replaced give to the one that has their place now; where
 * there is no such place any more, to that of another slot.  All that were
 * replaced together share a report, which is complete when the last of them has
 * gone.
 */
#ifndef MASTER_SUCCESSION_H
#define MASTER_SUCCESSION_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/counters.h"
#include "common/ctl.h"
#include "common/status.h"

/* After deaths, what was between a giver and a taker that are both gone is looked
 * for when no connection changes hands. */
struct settling {
	bool is_due;
	uint64_t quiet_ms;	/* none has since then; 0: some do, or it is not
				   known */
};

struct worker_proc;
struct master;

struct succession_report {
	TAILQ_ENTRY(succession_report) link;	/* in master->reports */
	unsigned workers;		/* whose end is awaited */
	uint64_t begun_ms;
	struct status_report told;
	uint64_t closed;		/* of told.held; the rest of it */
	unsigned number;		/* in a state */
};

TAILQ_HEAD(succession_report_list, succession_report);

/* From here on, what becomes of a worker's connections is part of the report that
 * it joins later: a canary begins, or the worker is born.  Or that is forgotten,
 * if is_marked is false. */
void succession_mark(struct worker_proc *, bool is_marked);

/* A worker is replaced: it is part of the report, which is made if there is
 * none. */
void succession_report_join(struct succession_report **, struct worker_proc *,
    enum status_kind);

/* So are those who were released, and drain by themselves.  Where nobody is left
 * whose end could be awaited, the report is complete now. */
void succession_report_close(struct succession_report **, struct master *,
    enum status_kind);

/* What was begun is refused, and why; the report tells of the workers that had
 * served nevertheless.  It may be NULL. */
void succession_report_refuse(struct succession_report *, const char *why);

/* Complete the reports of what was refused as far as is known: the state of an
 * upgrade has no place for them. */
void succession_report_end(struct master *);

/* Workers of a reload that had begun when the master died, which is another one
 * now: those that accept hand back what they have, and all of them exit. */
void succession_return(struct master *);

/* Another generation holds: all that drain, since whenever, give to its workers
 * what they still have. */
void succession_begin(struct master *);
/* A worker has begun to serve, in the place of one that died perhaps: it gets
 * what that one did. */
void succession_resume(struct master *, struct worker_proc *taker);
/* Let each worker that drains, and has no link, give to the one that serves in
 * its place. */
void succession_run(struct master *);
/* Called with the master's tick: look for what deaths have lost. */
void succession_tick(struct master *);
/* Let a worker give so many connections to another. */
void succession_connect(struct worker_proc *giver, struct worker_proc *taker,
    uint64_t quota);

/* Whether somebody has not given all that was at rest. */
bool succession_is_passing(const struct master *);
/* Whether that is so, or a worker that has nothing left is still there. */
bool succession_is_leaving(const struct master *);

/* It is gone, and its counters are final. */
void succession_on_death(struct worker_proc *);

/* What has become of a worker's connections since it was replaced; returns the
 * longest time that one had no owner. */
uint64_t succession_so_far(const struct worker_proc *, struct counters_fates *);

/* Go on with the reports that another program has begun, and its workers. */
void succession_adopt(struct master *);

#endif
