/* SPDX-License-Identifier: ISC */
#include "master/succession.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

enum {
	/* In this time a worker whose loop turns has read its links. */
	SETTLE_MS = 1000,
};

/*
 * The report.
 */

static struct succession_report *
succession_report_new(struct master *master, enum status_kind kind)
{
	struct succession_report *report;

	if ((report = calloc(1, sizeof(*report))) == NULL)
		return (NULL);
	TAILQ_INSERT_TAIL(&master->reports, report, link);
	report->begun_ms = clock_ms();
	report->told.kind = kind;
	report->told.result = STATUS_DONE;
	report->told.generation = master->running->number;
	report->told.begun = time(NULL);
	report->told.read_ms = master->reload.begun_ms;
	if (kind == STATUS_ROLLBACK)
		snprintf(report->told.why, sizeof(report->told.why), "%s",
		    master->reload.back_why.text);
	return (report);
}

static void
succession_tally(const struct worker_proc *worker, struct counters_tally *tally)
{
	const struct generation *generation = worker->generation;

	counters_tally(&worker->process.master->counters[worker->slot->number],
	    worker->block, generation->listener_number,
	    generation->conf->nlisteners, tally);
}

void
succession_mark(struct worker_proc *worker, bool is_marked)
{
	worker->is_marked = is_marked;
	worker->shared_us = 0;
	succession_tally(worker, &worker->before);
}

void
succession_report_join(struct succession_report **report,
    struct worker_proc *worker,
    enum status_kind kind)
{
	if (*report == NULL)
		*report = succession_report_new(worker->process.master, kind);
	/* Without memory there is none. */
	worker->report = *report;
	if (*report == NULL)
		return;
	(*report)->workers++;
	/* What a canary has moved counts too, and all that a new worker had. */
	if (!worker->is_marked && worker->state != WORKER_DEAD)
		succession_tally(worker, &worker->before);
	worker->is_marked = false;
}

static void
succession_tell(struct master *master, struct succession_report *report)
{
	struct status_report *told = &report->told;

	told->duration_ms = clock_ms() - report->begun_ms;
	LOG(INFO, RELOAD_REPORT, F_STR("kind", status_kind_name(told->kind)),
	    F_STR("result", status_result_name(told->result)),
	    F_U64("generation", told->generation), F_U64("held", told->held),
	    F_U64("carried", told->carried),
	    F_U64("finished", told->finished),
	    F_U64("closed", report->closed), F_U64("cut", told->cut),
	    F_U64("lost", told->lost), F_U64("longest_us", told->longest_us),
	    F_U64("duration_ms", told->duration_ms));
	status_add_report(&master->status, told);
	TAILQ_REMOVE(&master->reports, report, link);
	free(report);
}

static uint64_t
succession_longest(const struct worker_proc *worker)
{
	uint64_t longest_us = worker->given.longest_us;

	if (worker->drained.longest_us > longest_us)
		longest_us = worker->drained.longest_us;
	if (worker->shared_us > longest_us)
		longest_us = worker->shared_us;
	return (longest_us);
}

void
succession_report_close(struct succession_report **report,
    struct master *master, enum status_kind kind)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->report == NULL && worker->state == WORKER_DRAINING)
			succession_report_join(report, worker, kind);
	if (*report == NULL &&
	    (*report = succession_report_new(master, kind)) != NULL)
		succession_tell(master, *report);
}

void
succession_report_refuse(struct succession_report *report, const char *why)
{
	if (report == NULL)
		return;
	report->told.result = STATUS_REFUSED;
	snprintf(report->told.why, sizeof(report->told.why), "%s", why);
}

/* What its worker has counted, not what it has said: one can die before it could
 * say anything, and both ends of a link count what passed. */
static void
succession_account(struct succession_report *report,
    const struct worker_proc *worker)
{
	struct status_report *told = &report->told;
	unsigned slot = worker->slot->number;
	struct counters_tally now;
	struct counters_fates fates;

	succession_tally(worker, &now);
	counters_compare(&worker->before, &now, &fates);
	/* Of a worker that is no longer waited for, those that it has go on. */
	told->held += fates.held - fates.left;
	told->carried += fates.carried;
	told->finished += fates.finished;
	report->closed += fates.closed;
	told->cut += fates.cut;
	told->lost += fates.lost;
	if (succession_longest(worker) > told->longest_us)
		told->longest_us = succession_longest(worker);
	told->slot_ms[slot] = (uint32_t)(clock_ms() - report->begun_ms);
	if (slot >= told->slots)
		told->slots = slot + 1;
}

/* A worker is gone, or no longer waited for. */
static void
succession_leave(struct worker_proc *worker)
{
	struct succession_report *report = worker->report;

	worker->report = NULL;
	if (report == NULL)
		return;
	succession_account(report, worker);
	if (--report->workers == 0)
		succession_tell(worker->process.master, report);
}

void
succession_report_end(struct master *master)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->report != NULL &&
		    worker->report->told.result == STATUS_REFUSED)
			succession_leave(worker);
}

/*
 * Links.
 */

/* Without a channel it hears no orders: it is about to die. */
static bool
succession_can_give(const struct worker_proc *worker)
{
	return (worker->state == WORKER_DRAINING &&
	    worker->process.channel != NULL);
}

/* Both get the link, or the giver none: without a giver the taker sees the end of
 * the link.  Returns -1 with errno set. */
static int
succession_link(struct worker_proc *giver, struct worker_proc *taker,
    uint64_t quota)
{
	const struct ctl_give order = { .quota = quota };
	const struct ctl_take take = {
		.giver = process_speaks(&giver->process),
		.generation = giver->generation->number,
	};
	int fds[2], linked = -1;

	errno = EAGAIN;
	if (!process_has_room(&taker->process) ||
	    !process_has_room(&giver->process))
		return (-1);
	if (channel_pair(fds) == -1)
		return (-1);
	if (process_pass(&taker->process, CTL_TAKE, &take, fds[0], -1) == 0 &&
	    process_pass(&giver->process, CTL_GIVE, &order, fds[1], -1) == 0)
		linked = 0;
	close(fds[0]);
	close(fds[1]);
	return (linked);
}

void
succession_connect(struct worker_proc *giver, struct worker_proc *taker,
    uint64_t quota)
{
	giver->again_ms = 0;
	if (succession_link(giver, taker, quota) == 0) {
		giver->unlinked = false;
		giver->passing++;
		return;
	}
	if (errno != EAGAIN)
		worker_proc_log(LOG_LEVEL_WARN, EVENT_HANDOVER_BROKEN, giver,
		    "error", strerror(errno));
	giver->again_ms = clock_ms() + (errno == EAGAIN ? MASTER_TICK_MS :
	    WORKER_RETRY_MS);
}

static struct worker_proc *
succession_heir(const struct master *master, const struct worker_proc *worker)
{
	unsigned slot = worker->slot->number % master->running->slots;
	struct worker_proc *serving = master->slots[slot].serving;

	return (serving != NULL && serving->state == WORKER_SERVING ?
	    serving : NULL);
}

void
succession_begin(struct master *master)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (succession_can_give(worker)) {
			worker->again_ms = clock_ms();
			worker->unlinked = true;
		}
}

void
succession_resume(struct master *master, struct worker_proc *taker)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (succession_can_give(worker) &&
		    succession_heir(master, worker) == taker)
			worker->again_ms = clock_ms();
}

void
succession_run(struct master *master)
{
	uint64_t now_ms = clock_ms();
	struct worker_proc *worker, *taker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->again_ms != 0 && now_ms >= worker->again_ms &&
		    succession_can_give(worker) &&
		    (taker = succession_heir(master, worker)) != NULL)
			succession_connect(worker, taker, CTL_GIVE_ALL);
}

/* Whether a connection may be on its way. */
static bool
succession_is_any_moving(const struct master *master)
{
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->state != WORKER_SERVING || worker->passing > 0)
			return (true);
	return (false);
}

/* Whether all have had the time to read what a giver that died has sent. */
static bool
succession_have_read(const struct master *master)
{
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (counter_get(&worker_proc_counters(worker)->worker.beat_ms) <
		    master->settling.quiet_ms + SETTLE_MS)
			return (false);
	return (true);
}

static void
succession_count_lost(struct master *master)
{
	struct counters *counters = &master->counters[0];
	int block = workers_free_block(master, &master->slots[0]);
	uint64_t lost;

	if (block == -1)
		return;
	counters->listeners = master->listener_names.n;
	lost = counters_settle(master->counters, master->nslots, counters,
	    (unsigned)block);
	if (lost > 0)
		LOG(WARN, HANDOVER_BROKEN,
		    F_STR("error", "the giver and the taker have died"),
		    F_U64("conns_lost", lost));
}

void
succession_tick(struct master *master)
{
	struct settling *settling = &master->settling;

	if (!settling->is_due)
		return;
	if (succession_is_any_moving(master))
		settling->quiet_ms = 0;
	else if (settling->quiet_ms == 0)
		settling->quiet_ms = clock_ms();
	else if (succession_have_read(master)) {
		*settling = (struct settling){ .is_due = false };
		succession_count_lost(master);
	}
}

void
succession_return(struct master *master)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker != worker->slot->serving &&
		    worker->state <= WORKER_SERVING)
			worker_proc_drain(worker, CTL_DRAIN_REPLACED);
}

/* A reload is not done before its workers could begin to give. */
static bool
succession_gives(const struct worker_proc *worker)
{
	return (worker->passing > 0 || (worker->unlinked &&
	    succession_can_give(worker) &&
	    succession_heir(worker->process.master, worker) != NULL));
}

bool
succession_is_passing(const struct master *master)
{
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (succession_gives(worker))
			return (true);
	return (false);
}

bool
succession_is_leaving(const struct master *master)
{
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->generation != master->running &&
		    (succession_gives(worker) || worker->given.left == 0 ||
		    worker->state == WORKER_ENDING))
			return (true);
	return (false);
}

void
succession_on_death(struct worker_proc *worker)
{
	worker->process.master->settling = (struct settling){ .is_due = true };
	succession_leave(worker);
}

/*
 * Over an upgrade.
 */

uint64_t
succession_so_far(const struct worker_proc *worker,
    struct counters_fates *fates)
{
	struct counters_tally now;

	*fates = worker->adopted;
	if (worker->process.kind != NULL) {
		succession_tally(worker, &now);
		counters_compare(&worker->before, &now, fates);
	}
	return (succession_longest(worker));
}

void
succession_adopt(struct master *master)
{
	struct succession_report *report;
	struct worker_proc *worker;

	TAILQ_FOREACH(report, &master->reports, link) {
		report->told.result = STATUS_DONE;
		report->closed = status_closed(&report->told);
	}
	master->settling.is_due = true;
	TAILQ_FOREACH(worker, &master->workers, link) {
		/* As if it had been replaced now, but for what became of its
		 * connections before. */
		succession_tally(worker, &worker->before);
		worker->before.carried_out -= worker->adopted.carried;
		worker->before.finished -= worker->adopted.finished;
		worker->before.closed -= worker->adopted.closed;
		worker->before.cut -= worker->adopted.cut;
		/* A link may have been due again. */
		if (succession_can_give(worker))
			worker->again_ms = clock_ms() + WORKER_RETRY_MS;
	}
}
