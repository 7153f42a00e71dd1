/* SPDX-License-Identifier: ISC */
#include "master/slot.h"

#include <sys/wait.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/limits.h"
#include "master/master.h"
#include "master/pause.h"

int
slots_prepare(struct master *master, unsigned slots)
{
	while (master->nslots < slots) {
		unsigned n = (unsigned)master->nslots;

		if (counters_new(&master->counters[n], n,
		    limits_records()) == -1)
			return (-1);
		master->slots[n] = (struct slot){ .number = n };
		master->nslots++;
	}
	return (0);
}

bool
slots_have_room(const struct master *master)
{
	for (size_t i = 0; i < master->nslots; i++)
		if (workers_free_block(master, &master->slots[i]) == -1)
			return (false);
	return (true);
}

/*
 * From one generation to the next.
 */

static struct worker_proc *
slot_start(struct master *master, struct slot *slot,
    struct generation *generation, bool prepared,
    const struct worker_proc *renews)
{
	struct worker_proc *worker;

	worker = worker_proc_new(master, slot, generation, prepared, renews);
	if (worker != NULL)
		succession_mark(worker, false);
	return (worker);
}

int
slots_fill(struct master *master, struct generation *generation,
    unsigned *number)
{
	for (*number = 0; *number < generation->slots; ++*number) {
		struct slot *slot = &master->slots[*number];

		slot->next = slot_start(master, slot, generation, true, NULL);
		if (slot->next == NULL)
			return (-1);
	}
	return (0);
}

struct worker_proc *
slot_take_next(struct slot *slot)
{
	struct worker_proc *next = slot->next;

	slot->next = NULL;
	return (next);
}

void
slots_discard(struct master *master)
{
	struct worker_proc *next;

	for (size_t i = 0; i < master->nslots; i++)
		if ((next = slot_take_next(&master->slots[i])) != NULL)
			worker_proc_stop(next);
}

struct worker_proc *
slot_promote(struct slot *slot)
{
	struct worker_proc *old = slot->serving;

	slot->serving = slot_take_next(slot);
	slot->pause = (struct pause){ .young_deaths = 0 };
	if (slot->serving != NULL && slot->serving->state == WORKER_READY)
		worker_proc_start(slot->serving);
	return (old);
}

void
slots_close(struct master *master)
{
	for (size_t i = 0; i < master->nslots; i++) {
		master->slots[i].serving = NULL;
		master->slots[i].renewal = NULL;
		master->slots[i].pause.again_ms = 0;
	}
}

/*
 * From one worker to the next.
 */

void
slots_steer(struct master *master)
{
	bool live[CONF_WORKERS_MAX];

	for (unsigned i = 0; i < master->running->slots; i++)
		live[i] = master->slots[i].serving != NULL &&
		    master->slots[i].serving->state == WORKER_SERVING;
	sockets_steer(&master->sockets, live, master->running->slots);
}

static void
slot_log_failure(const struct slot *slot)
{
	LOG(ERROR, WORKER_FAILED, F_U64("child_slot", slot->number),
	    F_ERRNO(errno));
}

static void
slot_revive(struct master *master, struct slot *slot)
{
	slot->pause.again_ms = 0;
	/* One that was to replace it has been started. */
	slot->serving = slot->renewal != NULL ? slot->renewal :
	    slot_start(master, slot, master->running, false, NULL);
	slot->renewal = NULL;
	if (slot->serving == NULL) {
		slot_log_failure(slot);
		pause_shortly(&slot->pause);
	}
}

static void
slot_log_death(const struct worker_proc *worker, uint64_t retry_ms)
{
	uint64_t alive_ms = clock_ms() - worker->process.born_ms;
	uint64_t lost = worker->conns_lost;
	int status = worker->status;
	char how[PAUSE_HOW_MAX];

	/* The end of the custody of a rescuer that was never there is logged. */
	if (worker->process.pid == 0)
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && lost == 0 &&
	    worker->rescuer == NULL) {
		LOG(INFO, WORKER_EXIT, F_I64("child", worker->process.pid),
		    F_U64("child_slot", worker->slot->number),
		    F_U64("child_gen", worker->generation->number),
		    F_U64("alive_ms", alive_ms));
		return;
	}
	LOG(ERROR, WORKER_DIED, F_I64("child", worker->process.pid),
	    F_U64("child_slot", worker->slot->number),
	    F_U64("child_gen", worker->generation->number),
	    F_STR("how", describe_death(status, how)),
	    F_I64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
	    F_I64("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
	    F_U64("alive_ms", alive_ms), F_U64("conns_lost", lost),
	    F_STR("rescue", worker->rescuer != NULL ? "yes" : NULL),
	    F_U64("retry_ms", retry_ms));
}

static enum status_cause
slot_cause_of(const struct worker_proc *worker)
{
	if (worker->was_killed)
		return (worker->cause);
	return (WIFSIGNALED(worker->status) ? STATUS_SIGNAL : STATUS_EXIT);
}

static void
slot_replace(struct slot *slot, const struct worker_proc *worker)
{
	struct master *master = worker->process.master;
	char how[PAUSE_HOW_MAX];
	uint64_t pause;

	pause = pause_after(&slot->pause,
	    clock_ms() - worker->process.born_ms);
	if (slot->renewal != NULL)
		pause = 0;
	slot_log_death(worker, pause);
	probation_on_death(master, worker->generation, slot->pause.young_deaths,
	    "workers", describe_death(worker->status, how));
	status_count_death(&master->status, slot->number,
	    slot_cause_of(worker));
	slots_steer(master);
	if (pause == 0)
		slot_revive(master, slot);
}

bool
slot_on_death(struct worker_proc *worker)
{
	struct slot *slot = worker->slot;

	if (worker == slot->serving) {
		slot->serving = NULL;
		slot_replace(slot, worker);
		return (false);
	}
	slot_log_death(worker, 0);
	if (worker == slot->renewal)
		slot->renewal = NULL;
	if (worker != slot->next)
		return (false);
	slot->next = NULL;
	return (true);
}

void
slots_revive(struct master *master)
{
	uint64_t now_ms = clock_ms();

	for (size_t i = 0; i < master->nslots; i++)
		if (master->slots[i].pause.again_ms != 0 &&
		    now_ms >= master->slots[i].pause.again_ms)
			slot_revive(master, &master->slots[i]);
}

bool
slots_admit(struct master *master)
{
	struct worker_proc *worker;
	bool any = false;

	for (size_t i = 0; i < master->nslots; i++) {
		worker = master->slots[i].serving;
		if (worker == NULL || !worker_proc_is_complete(worker))
			continue;
		worker_proc_start(worker);
		succession_resume(master, worker);
		any = true;
	}
	if (any)
		slots_steer(master);
	return (any);
}

/*
 * From one that has lost its anchor to the next.
 */

static bool
slot_is_due_for_renewal(const struct master *master, const struct slot *slot)
{
	const struct worker_proc *worker = slot->serving;

	return (worker != NULL && worker->state == WORKER_SERVING &&
	    worker->has_lost_anchor &&
	    clock_ms() >= slot->renewals.again_ms &&
	    workers_free_block(master, slot) != -1);
}

static void
slot_begin_renewal(struct master *master, struct slot *slot)
{
	(void)pause_after_several(&slot->renewals);
	slot->renewal = slot_start(master, slot, master->running, false,
	    slot->serving);
	if (slot->renewal == NULL) {
		slot_log_failure(slot);
		pause_shortly(&slot->renewals);
	}
}

static void
slot_end_renewal(struct slot *slot)
{
	if (slot->renewal != NULL)
		worker_proc_stop(slot->renewal);
	slot->renewal = NULL;
}

/* The old one gives all that it has, and belongs to no report. */
static void
slot_finish_renewal(struct slot *slot)
{
	struct worker_proc *old = slot->serving, *worker = slot->renewal;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)old->process.pid);
	worker_proc_log(LOG_LEVEL_INFO, EVENT_CUSTODY_RENEWED, worker,
	    "replaces", pid);
	slot->serving = worker;
	slot->renewal = NULL;
	worker_proc_start(worker);
	worker_proc_drain(old, CTL_DRAIN_REPLACED);
}

static void
slot_renew(struct master *master, struct slot *slot)
{
	if (slot->renewal == NULL) {
		if (slot_is_due_for_renewal(master, slot))
			slot_begin_renewal(master, slot);
	/* It has none either. */
	} else if (slot->renewal->anchor == NULL)
		slot_end_renewal(slot);
	/* An old one that was killed is about to leave it the place. */
	else if (worker_proc_is_complete(slot->renewal) &&
	    slot->serving->state == WORKER_SERVING)
		slot_finish_renewal(slot);
}

void
slots_renew(struct master *master)
{
	for (unsigned i = 0; i < master->running->slots; i++)
		slot_renew(master, &master->slots[i]);
}

void
slots_end_renewals(struct master *master)
{
	for (size_t i = 0; i < master->nslots; i++)
		slot_end_renewal(&master->slots[i]);
}
