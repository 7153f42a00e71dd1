/* SPDX-License-Identifier: ISC */
#include "master/canary.h"

#include <signal.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

enum {
	POLL_MS = 20,
	/* An old worker that does not answer for that long does not give: that
	 * is not the fault of the new ones. */
	GIVE_MS = 1000,
};

/* A worker that serves the running generation. */
static struct worker_proc *
canary_serving(const struct master *master, unsigned slot)
{
	struct worker_proc *worker = master->slots[slot].serving;

	return (worker != NULL && worker->state == WORKER_SERVING ? worker :
	    NULL);
}

bool
canary_is_needed(const struct master *master)
{
	if (master->running == NULL ||
	    master->reload.kind == STATUS_ROLLBACK)
		return (false);
	for (unsigned i = 0; i < master->running->slots; i++)
		if (canary_serving(master, i) != NULL)
			return (true);
	return (false);
}

void
canary_end(struct master *master)
{
	struct canary *canary = &master->reload.canary;

	if (canary->timer != NULL)
		event_free(canary->timer);
	*canary = (struct canary){ .timer = NULL };
}

/*
 * The steps.
 */

static void
canary_enter(struct canary *canary, enum canary_step step)
{
	canary->step = step;
	canary->step_ms = canary->polled_ms = clock_ms();
	canary->waited_ms = 0;
}

/* The first new worker from a slot on whose loop has not turned since the step
 * began; NULL if there is none. */
static struct worker_proc *
canary_find_silent(const struct master *master, size_t slot)
{
	uint64_t since_ms = master->reload.canary.step_ms + CANARY_STEP_MS;
	struct worker_proc *worker;

	for (size_t i = slot; i < master->nslots; i++) {
		worker = master->slots[i].next;
		if (worker != NULL && counter_get(
		    &worker_proc_counters(worker)->worker.beat_ms) < since_ms)
			return (worker);
	}
	return (NULL);
}

/* The old worker that has most gives its share, of those whose slot has a new
 * one. */
static void
canary_give(struct master *master)
{
	struct worker_proc *worker, *giver = NULL;
	uint64_t load, most = 0, share;

	for (unsigned i = 0; i < master->running->slots; i++) {
		worker = canary_serving(master, i);
		if (worker == NULL || master->slots[i].next == NULL)
			continue;
		load = counter_get(&worker_proc_counters(worker)->
		    worker.active);
		if (giver == NULL || load > most) {
			giver = worker;
			most = load;
		}
	}
	if (giver == NULL)
		return;
	share = most / CANARY_SHARE_PART;
	if (share > CANARY_SHARE_MAX)
		share = CANARY_SHARE_MAX;
	succession_connect(giver, giver->slot->next, share > 0 ? share : 1);
}

/* Time in which the master did not run, as in a suspended machine, is no time
 * in which a worker could have run. */
static void
canary_count_wait(struct canary *canary)
{
	uint64_t now_ms = clock_ms();
	uint64_t waited_ms = now_ms - canary->polled_ms;

	canary->polled_ms = now_ms;
	canary->waited_ms += waited_ms < MASTER_TICK_MS ? waited_ms :
	    MASTER_TICK_MS;
}

/* Whether the loop of every new worker turns. */
static enum step
canary_look(struct master *master, struct why *why)
{
	struct worker_proc *silent = canary_find_silent(master, 0);

	if (silent == NULL)
		return (STEP_DONE);
	if (master->reload.canary.waited_ms < CANARY_HUNG_MS)
		return (STEP_WAITS);
	why_set(why, "the loop of the new worker of slot %u did not turn for "
	    "%d s", silent->slot->number, CANARY_HUNG_MS / 1000);
	for (; silent != NULL; silent = canary_find_silent(master,
	    silent->slot->number + 1)) {
		worker_proc_log(LOG_LEVEL_ERROR, EVENT_WORKER_HUNG, silent,
		    "signal", "SIGABRT");
		worker_proc_kill(silent, SIGABRT, STATUS_HUNG);
	}
	return (STEP_FAILED);
}

static bool
canary_has_given(const struct master *master)
{
	const struct worker_proc *worker;

	if (master->reload.canary.waited_ms >= GIVE_MS)
		return (true);
	for (unsigned i = 0; i < master->running->slots; i++)
		if ((worker = canary_serving(master, i)) != NULL &&
		    worker->passing > 0)
			return (false);
	return (true);
}

static void
canary_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	master_changed(arg);
}

enum step
canary_run(struct master *master, struct why *why)
{
	struct canary *canary = &master->reload.canary;
	enum step answer;

	canary_count_wait(canary);
	switch (canary->step) {
	case CANARY_ACCEPTING:
		if ((answer = canary_look(master, why)) != STEP_DONE)
			return (answer);
		canary_give(master);
		canary_enter(canary, CANARY_GIVING);
		return (STEP_WAITS);
	case CANARY_GIVING:
		if (canary_has_given(master))
			canary_enter(canary, CANARY_SERVING);
		return (STEP_WAITS);
	case CANARY_SERVING:
		break;
	}
	if ((answer = canary_look(master, why)) == STEP_DONE)
		canary_end(master);
	return (answer);
}

int
canary_begin(struct master *master)
{
	static const struct timeval interval = { .tv_usec = POLL_MS * 1000 };
	struct canary *canary = &master->reload.canary;

	for (size_t i = 0; i < master->nslots; i++) {
		if (master->slots[i].serving != NULL)
			succession_mark(master->slots[i].serving, true);
		if (master->slots[i].next != NULL)
			worker_proc_start(master->slots[i].next);
	}
	LOG(INFO, CANARY, F_STR("kind", status_kind_name(master->reload.kind)),
	    F_U64("generation", master->reload.fresh->number));
	canary_enter(canary, CANARY_ACCEPTING);
	canary->timer = event_new(master->base, -1, EV_PERSIST,
	    canary_on_timer, master);
	return (canary->timer == NULL ? -1 :
	    event_add(canary->timer, &interval));
}

void
canary_take_back(struct master *master, struct worker_proc *dead,
    const char *why)
{
	struct succession_report *report = NULL;
	struct worker_proc *worker;

	canary_end(master);
	if (dead != NULL)
		succession_report_join(&report, dead, master->reload.kind);
	for (size_t i = 0; i < master->nslots; i++) {
		/* The old workers have what they had before. */
		if (master->slots[i].serving != NULL)
			succession_mark(master->slots[i].serving, false);
		if ((worker = slot_take_next(&master->slots[i])) == NULL)
			continue;
		succession_report_join(&report, worker, master->reload.kind);
		worker_proc_drain(worker, CTL_DRAIN_REPLACED);
	}
	succession_report_refuse(report, why);
}
