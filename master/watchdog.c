/* SPDX-License-Identifier: ISC */
#include "master/watchdog.h"

#include <signal.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

/* The time since a child's loop has turned. */
static uint64_t
watchdog_silence_ms(const struct worker_proc *worker)
{
	/* Read before the clock, which would else seem to lag behind it. */
	uint64_t beat_ms =
	    counter_get(&worker_proc_counters(worker)->worker.beat_ms);
	uint64_t now_ms = clock_ms();

	/* The child wrote this: a time to come is no excuse for ever. */
	if (beat_ms > now_ms)
		return (now_ms - worker->process.born_ms);
	return (now_ms - beat_ms);
}

static bool
watchdog_is_hung(const struct master *master, const struct worker_proc *worker)
{
	uint64_t timeout_ms;

	if (master->running == NULL || worker->state == WORKER_STARTING ||
	    worker->state == WORKER_ENDING)
		return (false);
	timeout_ms = master->running->conf->watchdog_timeout_ms;
	return (timeout_ms > 0 &&
	    watchdog_silence_ms(worker) > timeout_ms);
}

/* If we did not run ourselves, neither did perhaps the children: a suspended
 * machine, a stopped process group.  Their time begins again. */
static void
watchdog_allow_absence(struct master *master, uint64_t now_ms)
{
	uint64_t timeout_ms;

	if (master->running == NULL)
		return;
	timeout_ms = master->running->conf->watchdog_timeout_ms;
	if (timeout_ms > 0 && now_ms - master->tick_ms > timeout_ms / 2)
		master->lenient_until_ms = now_ms + timeout_ms;
}

/* Nothing is done between the second look and the signal; the log is told
 * afterwards. */
static void
watchdog_look(struct master *master, struct worker_proc *worker,
    uint64_t now_ms)
{
	const char *awaited = worker->process.patience_for;

	/* A rescuer that is not there yet. */
	if (!worker->process.is_alive)
		return;
	if (process_is_hung(&worker->process,
	    watchdog_is_hung(master, worker))) {
		worker_proc_kill(worker, SIGABRT, STATUS_HUNG);
		worker_proc_log(LOG_LEVEL_ERROR, EVENT_WORKER_HUNG, worker,
		    "signal",
		    "SIGABRT");
	} else if (process_is_late(&worker->process, now_ms)) {
		worker_proc_kill(worker, SIGKILL, STATUS_LATE);
		worker_proc_log(LOG_LEVEL_WARN, EVENT_WORKER_KILLED, worker,
		    "waited_for", awaited);
	}
}

void
watchdog_run(struct master *master)
{
	uint64_t now_ms = clock_ms();
	struct worker_proc *worker;

	watchdog_allow_absence(master, now_ms);
	if (now_ms < master->lenient_until_ms)
		return;
	TAILQ_FOREACH(worker, &master->workers, link)
		watchdog_look(master, worker, now_ms);
}
