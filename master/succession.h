/* SPDX-License-Identifier: ISC */
/*
 * Which worker hands its connections to which, and what became of them.
 *
 * A worker that is replaced gives to the worker that serves in its slot now, its
 * heir.  If the slot does not exist any more, a worker of another slot is the
 * heir.  Workers that are replaced together share a report, which is complete
 * when the last of them has ended.
 */
#ifndef MASTER_SUCCESSION_H
#define MASTER_SUCCESSION_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/counters.h"
#include "common/ctl.h"
#include "common/status.h"

/* If a giver and its taker have both died, the connections between them are
 * lost.  They are counted when no connection changes hands. */
struct settling {
	bool is_due;
	uint64_t quiet_ms;	/* none has since then; 0: not known */
};

struct worker_proc;
struct master;

struct succession_report {
	TAILQ_ENTRY(succession_report) link;	/* in master->reports */
	unsigned workers;		/* that have not ended yet */
	uint64_t begun_ms;
	struct status_report told;
	uint64_t closed;		/* of told.held; the rest of it */
	unsigned number;		/* in a state */
};

TAILQ_HEAD(succession_report_list, succession_report);

/* Note what the worker has counted: the report that it joins later begins here.
 * is_marked says that a canary begins; false forgets that. */
void succession_mark(struct worker_proc *, bool is_marked);

/* A worker is replaced: it joins the report, which is made if there is none. */
void succession_report_join(struct succession_report **, struct worker_proc *,
    enum status_kind);

/* Workers that drain by themselves join it too.  If no worker has joined, the
 * report is complete now. */
void succession_report_close(struct succession_report **, struct master *,
    enum status_kind);

/* The reload is refused, and why.  The report, which may be NULL, accounts for
 * the workers that served in its canary. */
void succession_report_refuse(struct succession_report *, const char *why);

/* Complete the reports of refused reloads as far as is known: the state of an
 * upgrade has no place for them. */
void succession_report_end(struct master *);

/* After a master has died amid a reload: the new workers of that reload hand
 * back what they have, and exit. */
void succession_return(struct master *);

/* Another generation holds: all workers that drain give their connections to its
 * workers. */
void succession_begin(struct master *);
/* A worker has begun to serve: those that drain in its slot give to it. */
void succession_resume(struct master *, struct worker_proc *taker);
/* Give each worker that drains a link to its heir, if one is due. */
void succession_run(struct master *);
/* Called with the master's tick: count what deaths have lost. */
void succession_tick(struct master *);
/* Let a worker give up to quota connections to another one. */
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
