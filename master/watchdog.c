/* SPDX-License-Identifier: ISC */
#include "master/watchdog.h"

#include <signal.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

/* The time since a child's loop has turned. */
static uint64_t
silence_ms(const struct master *master, const struct child *child)
{
	/* Read before the clock, which would else seem to lag behind it. */
	uint64_t beat_ms = counter_get(&master->counters[child->slot->number]
	    .map->block[child->block].worker.beat_ms);

	uint64_t now_ms = clock_ms();

	/* The child wrote this: a time to come is no excuse for ever. */
	if (beat_ms > now_ms)
		return (now_ms - child->process.born_ms);
	return (now_ms - beat_ms);
}

static bool
is_hung(const struct master *master, const struct child *child)
{
	uint64_t timeout_ms;

	if (master->running == NULL || child->state == CHILD_STARTING ||
	    child->state == CHILD_ENDING)
		return (false);
	timeout_ms = master->running->conf->watchdog_timeout_ms;
	return (timeout_ms > 0 &&
	    silence_ms(master, child) > timeout_ms);
}

/* If we did not run ourselves, neither did perhaps the children: a suspended
 * machine, a stopped process group.  They get their time anew. */
static void
allow_for_our_own_absence(struct master *master, uint64_t now_ms)
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
watch(struct master *master, struct child *child, uint64_t now_ms)
{
	const char *awaited = child->process.patience_for;

	if (process_is_hung(&child->process, is_hung(master, child))) {
		child_kill(child, SIGABRT, STATUS_HUNG);
		child_log(LOG_LEVEL_ERROR, EVENT_WORKER_HUNG, child, "signal",
		    "SIGABRT");
	} else if (process_is_late(&child->process, now_ms)) {
		child_kill(child, SIGKILL, STATUS_LATE);
		child_log(LOG_LEVEL_WARN, EVENT_WORKER_KILLED, child,
		    "waited_for", awaited);
	}
}

void
watchdog_run(struct master *master)
{
	uint64_t now_ms = clock_ms();
	struct child *child;

	allow_for_our_own_absence(master, now_ms);
	if (now_ms < master->lenient_until_ms)
		return;
	TAILQ_FOREACH(child, &master->children, link)
		watch(master, child, now_ms);
}
