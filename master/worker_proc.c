/* SPDX-License-Identifier: ISC */
#include "master/worker_proc.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/anchor_proc.h"
#include "master/master.h"

enum {
	/* When the last ones of a slot have died within this time, no other
	 * rescuer is tried. */
	RESCUER_DEATHS_MS = 10000,
};

static void worker_proc_on_death(void *, int status);
static void worker_proc_on_rescuer(struct worker_proc *,
    const struct ctl_cloned *);
static void worker_proc_on_anchor_end(struct worker_proc *, const char *why);

static const struct anchor_events anchor_events = {
	.on_rescuer = worker_proc_on_rescuer,
	.on_end = worker_proc_on_anchor_end,
};

void
worker_proc_log(enum log_level level, enum log_event event,
    const struct worker_proc *worker, const char *key, const char *value)
{
	LOG_WITH(log_write, level, event, F_I64("child", worker->process.pid),
	    F_U64("child_slot", worker->slot->number),
	    F_U64("child_gen", worker->generation->number), F_STR(key, value));
}

/*
 * Orders.
 */

void
worker_proc_start(struct worker_proc *worker)
{
	worker->state = WORKER_SERVING;
	process_tell(&worker->process, CTL_START, NULL);
}

void
worker_proc_drain(struct worker_proc *worker, enum ctl_drain_mode mode)
{
	const struct conf *conf = worker->process.master->running->conf;
	struct ctl_drain order = {
		.mode = mode,
		.timeout_ms = conf->drain_timeout_ms,
		.spread_ms = conf->drain_spread_ms,
	};

	if (worker->state >= WORKER_ENDING)
		return;
	if (worker->state < WORKER_SERVING) {
		worker_proc_stop(worker);
		return;
	}
	worker->state = WORKER_DRAINING;
	worker->is_dismissed |= mode == CTL_DRAIN_STOP;
	worker->given = (struct ctl_given){ .left = UINT64_MAX };
	worker->again_ms = clock_ms();
	worker->unlinked = true;
	/* One that is replaced keeps what can be handed over as long as that
	 * takes; the watchdog finds one that is stuck. */
	worker->process.patience_ms = mode == CTL_DRAIN_REPLACED ? 0 :
	    clock_ms() + conf->drain_timeout_ms + 1000;
	worker->process.patience_for = "end of the drain";
	process_tell(&worker->process, CTL_DRAIN, &order);
}

void
worker_proc_stop(struct worker_proc *worker)
{
	if (worker->state < WORKER_ENDING) {
		worker->state = WORKER_ENDING;
		process_await(&worker->process, MASTER_EXIT_MS,
		    "exit after STOP");
	}
	worker->is_dismissed = true;
	process_tell(&worker->process, CTL_STOP, NULL);
}

void
worker_proc_kill(struct worker_proc *worker, int signal,
    enum status_cause cause)
{
	if (worker->state == WORKER_DEAD)
		return;
	process_kill(&worker->process, signal);
	if (!worker->was_killed)
		worker->cause = cause;
	worker->was_killed = true;
	worker->state = WORKER_ENDING;
	process_await(&worker->process, MASTER_EXIT_MS / 2,
	    "end after a signal");
}

/* It sent nonsense, or does not read its orders. */
static void
worker_proc_disown(struct worker_proc *worker, const char *why)
{
	if (worker->state >= WORKER_ENDING)
		return;
	if (*worker->why.text == '\0')
		why_set(&worker->why, "%s", why);
	worker_proc_log(LOG_LEVEL_ERROR, EVENT_WORKER_DISOWNED, worker, "error",
	    why);
	worker_proc_kill(worker, SIGKILL, STATUS_DISOWNED);
}

/* Give it the pipe to the access log of its configuration. */
static void
worker_proc_use_access_log(struct worker_proc *worker)
{
	int fd = loggers_access_log(worker->process.master,
	    worker->generation->conf);

	worker->access_log_due = fd != -1 &&
	    process_pass(&worker->process, CTL_ACCESS_LOG, NULL, fd, -1) == -1;
}

bool
workers_have_unsent(const struct master *master)
{
	const struct channel *channel;
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link) {
		channel = worker->process.channel;
		if ((channel != NULL && channel_has_unsent(channel)) ||
		    crew_is_waiting(worker))
			return (true);
	}
	return (false);
}

void
workers_tick(struct master *master)
{
	struct worker_proc *worker, *next;

	for (worker = TAILQ_FIRST(&master->workers); worker != NULL;
	    worker = next) {
		next = TAILQ_NEXT(worker, link);
		if (worker->access_log_due &&
		    process_has_room(&worker->process))
			worker_proc_use_access_log(worker);
		if (worker->anchor != NULL)
			anchor_proc_watch(worker->anchor, clock_ms());
	}
}

/*
 * What it says.
 */

bool
worker_proc_is_complete(const struct worker_proc *worker)
{
	return (worker->state == WORKER_READY && worker->crew.awaited == 0);
}

static void
worker_proc_on_ready(struct worker_proc *worker)
{
	if (worker->state != WORKER_STARTING) {
		worker_proc_disown(worker, "it was READY before");
		return;
	}
	worker->state = WORKER_READY;
	worker->process.patience_ms = 0;
	worker_proc_log(LOG_LEVEL_INFO, EVENT_WORKER_READY, worker, "", NULL);
	master_changed(worker->process.master);
}

static void
worker_proc_on_failed(struct worker_proc *worker,
    const struct ctl_failed *failed)
{
	why_set(&worker->why, "%.*s", (int)sizeof(failed->why) - 1,
	    failed->why);
	worker_proc_log(LOG_LEVEL_ERROR, EVENT_WORKER_FAILED, worker, "error",
	    worker->why.text);
}

static void
worker_proc_on_drained(struct worker_proc *worker,
    const struct ctl_drained *drained)
{
	if (worker->state < WORKER_DRAINING) {
		worker_proc_disown(worker, "it was not to drain");
		return;
	}
	/* Also of one that is dead by now, or that we have killed. */
	worker->drained = *drained;
	worker->is_dismissed = true;
	if (worker->state >= WORKER_ENDING)
		return;
	worker->state = WORKER_ENDING;
	process_await(&worker->process, MASTER_EXIT_MS, "exit after DRAINED");
}

static void
worker_proc_on_given(struct worker_proc *worker, const struct ctl_given *given)
{
	uint64_t longest_us = worker->given.longest_us;

	worker->given.left = given->left;
	worker->given.longest_us = given->longest_us > longest_us ?
	    given->longest_us : longest_us;
	if (worker->passing > 0)
		worker->passing--;
	/* A shortage has ended it, perhaps. */
	if (given->ended && given->left > 0 && worker->passing == 0)
		worker->again_ms = clock_ms() + WORKER_RETRY_MS;
	if (worker->is_marked)
		worker->shared_us = given->longest_us;
	else if (worker->state == WORKER_SERVING)
		worker->process.master->shared += given->carried;
	master_changed(worker->process.master);
}

/* It has adopted what it could, and serves. */
static void
worker_proc_on_rescued(struct worker_proc *worker,
    const struct ctl_rescued *rescued)
{
	struct counters_custody *counts = &worker->process.master->counters[
	    worker->slot->number].map->custody;
	uint64_t duration_ms = clock_ms() - worker->death_ms;
	const uint64_t *dropped = rescued->dropped;

	/* It says more when it knows more of what had changed hands. */
	if (!worker->has_adopted)
		counter_add(&counts->rescues, 1);
	worker->has_adopted = true;
	counter_add(&counts->kept, rescued->kept);
	counter_add(&counts->answered, rescued->answered);
	for (int i = 0; i < RESCUE_REASON_COUNT; i++)
		counter_add(&counts->dropped[i], dropped[i]);
	LOG(INFO, RESCUED, F_I64("child", worker->process.pid),
	    F_U64("child_slot", worker->slot->number),
	    F_U64("child_gen", worker->generation->number),
	    F_U64("kept", rescued->kept),
	    F_U64("answered", rescued->answered),
	    F_U64("busy", dropped[RESCUE_BUSY]),
	    F_U64("counts", dropped[RESCUE_COUNTS]),
	    F_U64("offered", dropped[RESCUE_OFFERED]),
	    F_U64("damaged", dropped[RESCUE_DAMAGED]),
	    F_U64("touched", dropped[RESCUE_TOUCHED]),
	    F_U64("full", dropped[RESCUE_FULL]),
	    F_U64("duration_ms", duration_ms));
	master_changed(worker->process.master);
}

static void
worker_proc_on_anchor(struct worker_proc *worker,
    const struct ctl_cloned *cloned)
{
	const char *why;

	if (worker->anchor == NULL || (why =
	    anchor_proc_arrive(worker->anchor, cloned)) == NULL)
		return;
	worker_proc_on_anchor_end(worker, why);
	/* If it could not be cloned, another worker would fare no better. */
	worker->has_lost_anchor = cloned->pid > 0;
}

static void
worker_proc_on_message(void *owner, struct ctl *msg)
{
	struct worker_proc *worker = owner;

	switch ((enum ctl_type)msg->header.type) {
	case CTL_READY:
		worker_proc_on_ready(worker);
		return;
	case CTL_FAILED:
		worker_proc_on_failed(worker, &msg->failed);
		return;
	case CTL_DRAINED:
		worker_proc_on_drained(worker, &msg->drained);
		return;
	case CTL_DISOWN:
		crew_disown(worker, &msg->disown);
		return;
	case CTL_RETIRE:
		crew_retire(worker, &msg->disown);
		return;
	case CTL_GIVEN:
		worker_proc_on_given(worker, &msg->given);
		return;
	case CTL_ANCHOR:
		worker_proc_on_anchor(worker, &msg->cloned);
		return;
	case CTL_RESCUED:
		if (!worker->is_rescuer)
			break;
		worker_proc_on_rescued(worker, &msg->rescued);
		return;
	case CTL_EXECUTOR:
	case CTL_DIED:
	case CTL_RESCUE:
	case CTL_RESCUER:	/* an anchor's */
	case CTL_GIVE:
	case CTL_TAKE:
	case CTL_ACCESS_LOG:
	case CTL_START:
	case CTL_DRAIN:
	case CTL_STOP:
	case CTL_LOG:
	case CTL_CLOSE:
	case CTL_ASK_CLOSE:	/* the monitor's alone */
	case CTL_ASK_REBALANCE:
	case CTL_BEAT:
	case CTL_SPEAK:		/* the channel obeys */
	case CTL_SPEAKING:
	case CTL_NONE:
	case CTL_TYPE_COUNT:
		break;		/* ours to send, or nobody's */
	}
	/* A child that talks nonsense is replaced; it must never be able to
	 * take the master, and with it every other child, down. */
	worker_proc_disown(worker, ctl_name(msg->header.type));
}

static void
worker_proc_on_misconduct(void *owner, const char *why)
{
	worker_proc_disown(owner, why);
}

static void
worker_proc_on_hangup(void *owner)
{
	struct worker_proc *worker = owner;

	if (worker->state < WORKER_ENDING)
		process_await(&worker->process, MASTER_EXIT_MS,
		    "exit after it closed its channel");
}

/*
 * Birth.
 */

static void
worker_proc_describe(struct worker_proc *worker, struct master *master)
{
	static const struct process_kind kind = {
		.on_message = worker_proc_on_message,
		.on_misconduct = worker_proc_on_misconduct,
		.on_hangup = worker_proc_on_hangup,
		.on_death = worker_proc_on_death,
		.writes_log = true,
	};

	process_init(&worker->process, master, &kind, worker);
	crew_note(worker);
}

bool
workers_use_block(const struct master *master, const struct slot *slot,
    unsigned block)
{
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->slot == slot && worker->block == block)
			return (true);
	TAILQ_FOREACH(worker, &master->dead, link)
		if (worker->slot == slot && worker->block == block)
			return (true);
	return (false);
}

int
workers_free_block(const struct master *master, const struct slot *slot)
{
	for (int i = 0; i < COUNTERS_BLOCKS; i++)
		if (!workers_use_block(master, slot, (unsigned)i))
			return (i);
	errno = EBUSY;
	return (-1);
}

/* A worker writes to the mapping of its own slot alone. */
static int
worker_proc_seal(struct heritage *heritage)
{
	for (size_t i = 0; i < heritage->ncounters; i++) {
		if (i != heritage->slot &&
		    counters_seal(&heritage->counters[i]) == -1)
			return (-1);
		heritage->counters[i].fd = -1;
	}
	if (spans_seal(&heritage->spans) == -1)
		return (-1);
	heritage->spans.fd = -1;
	return (0);
}

static void __attribute__((noreturn))
worker_proc_become(struct master *master, struct heritage *heritage,
    const struct identity *identity)
{
	status_free(&master->status);
	if (worker_proc_seal(heritage) == 0)
		process_become(master, master->roles->worker, heritage,
		    identity);
	LOG(ERROR, WORKER_FAILED, F_ERRNO(errno));
	exit(EXIT_FAILURE);
}

/* All generations of workers that live. */
static int
worker_proc_find_ancestors(struct heritage *heritage,
    const struct master *master)
{
	const struct worker_proc *worker;
	size_t n = 0, i;

	TAILQ_FOREACH(worker, &master->workers, link)
		n++;
	heritage->ancestors = calloc(n + 1, sizeof(*heritage->ancestors));
	if (heritage->ancestors == NULL)
		return (-1);
	TAILQ_FOREACH(worker, &master->workers, link) {
		const struct generation *generation = worker->generation;

		for (i = 0; i < heritage->nancestors; i++)
			if (heritage->ancestors[i].generation ==
			    generation->number)
				break;
		if (i < heritage->nancestors)
			continue;
		heritage->ancestors[heritage->nancestors++] =
		    (struct heritage_ancestor){
			.generation = generation->number,
			.conf = generation->conf,
			.listener_number = generation->listener_number,
		};
	}
	return (0);
}

static int
worker_proc_fill_heritage(struct heritage *heritage,
    const struct master *master, const struct worker_proc *worker,
    bool prepared)
{
	const struct generation *generation = worker->generation;

	*heritage = (struct heritage){
		.slot = worker->slot->number,
		.generation = generation->number,
		.conf = generation->conf,
		.slots = generation->slots,
		.counters = (struct counters *)(uintptr_t)master->counters,
		.ncounters = master->nslots,
		.block = worker->block,
		.speaks = master->upgrade.newborn_speaks,
		.access_log = -1,
		.anchor = -1,
		.spans = master->spans,
	};
	memcpy(heritage->listener_number, generation->listener_number,
	    sizeof(heritage->listener_number));
	memcpy(heritage->handler_number, generation->handler_number,
	    sizeof(heritage->handler_number));
	if (worker_proc_find_ancestors(heritage, master) == -1)
		return (-1);
	heritage->sockets = sockets_for(&master->sockets, generation->conf,
	    worker->slot->number, generation->slots, prepared,
	    &heritage->nsockets);
	if (heritage->sockets != NULL)
		return (0);
	free(heritage->ancestors);
	return (-1);
}

static void
worker_proc_free_heritage(struct heritage *heritage)
{
	free(heritage->sockets);
	free(heritage->ancestors);
}

/* The watchdog gives it time. */
static void
worker_proc_beat(const struct worker_proc *worker)
{
	counter_set(&worker_proc_counters(worker)->worker.beat_ms, clock_ms());
}

/* What the last worker of the block left in its table is not ours to show. */
static void
worker_proc_clean_block(struct master *master, const struct worker_proc *worker)
{
	struct counters *counters = &master->counters[worker->slot->number];

	counters_forget(counters, worker->block, 0, counters->records);
	worker_proc_beat(worker);
	counter_set(&counters->map->block[worker->block].worker.at_rest, 0);
	counter_set(&counters->map->block[worker->block].worker.log_untold, 0);
}

/* Expect its anchor, if it is to have one, whose end of the link goes to
 * *link. */
static void
worker_proc_expect_anchor(struct worker_proc *worker, int *link)
{
	const struct upgrade *upgrade = &worker->process.master->upgrade;

	*link = -1;
	/* The previous release knows none. */
	if (!worker->generation->conf->custody ||
	    upgrade->newborn_speaks == CTL_PREVIOUS)
		return;
	worker->anchor = anchor_proc_new(worker, &anchor_events, link);
	if (worker->anchor == NULL)
		worker_proc_log(LOG_LEVEL_WARN, EVENT_CUSTODY_ENDED, worker,
		    "error", strerror(errno));
}

static int
worker_proc_spawn(struct worker_proc *worker, bool prepared)
{
	const struct generation *generation = worker->generation;
	struct master *master = worker->process.master;
	struct heritage heritage;
	pid_t pid;
	int saved;

	if (worker_proc_fill_heritage(&heritage, master, worker,
	    prepared) == -1)
		return (-1);
	heritage.access_log = loggers_access_log(master, generation->conf);
	worker_proc_expect_anchor(worker, &heritage.anchor);
	pid = process_fork(&worker->process, generation->number,
	    &heritage.channel, heritage.speaks);
	if (pid == 0)
		worker_proc_become(master, &heritage, &generation->identity);
	saved = errno;
	worker_proc_free_heritage(&heritage);
	if (heritage.anchor != -1)
		close(heritage.anchor);
	errno = saved;
	if (pid != -1 && worker->process.channel == NULL)
		why_set(&worker->why, "the master cannot listen to it: %s",
		    strerror(errno));
	return (pid == -1 ? -1 : 0);
}

struct worker_proc *
worker_proc_new(struct master *master, struct slot *slot,
    struct generation *generation, bool prepared,
    const struct worker_proc *renews)
{
	char pid[16] = "";
	struct worker_proc *worker;
	int block, saved;

	if ((block = workers_free_block(master, slot)) == -1)
		return (NULL);
	if ((worker = calloc(1, sizeof(*worker))) == NULL)
		goto fail;
	worker->slot = slot;
	worker->generation = generation_hold(generation);
	worker->block = (unsigned)block;
	TAILQ_INIT(&worker->crew.members);
	TAILQ_INIT(&worker->crew.dead);
	worker_proc_describe(worker, master);
	process_await(&worker->process, MASTER_READY_MS, "READY");
	worker_proc_clean_block(master, worker);
	if (worker_proc_spawn(worker, prepared) == -1)
		goto fail;
	TAILQ_INSERT_TAIL(&master->workers, worker, link);
	if (renews != NULL)
		snprintf(pid, sizeof(pid), "%d", (int)renews->process.pid);
	worker_proc_log(LOG_LEVEL_INFO, EVENT_WORKER_START, worker, "renews",
	    renews != NULL ? pid : NULL);
	if (crew_start(worker) == -1)
		worker_proc_disown(worker, strerror(errno));
	return (worker);
fail:
	saved = errno;
	if (worker != NULL) {
		anchor_proc_end(worker->anchor);
		generation_release(worker->generation);
	}
	free(worker);
	errno = saved;
	return (NULL);
}

/*
 * The end.
 */

/* No process has its connections any more.  Returns how many are lost. */
static uint64_t
worker_proc_bury(struct worker_proc *worker)
{
	struct master *master = worker->process.master;
	struct counters *counters = &master->counters[worker->slot->number];

	anchor_proc_end(worker->anchor);
	worker->anchor = NULL;
	counters->listeners = master->listener_names.n;
	counters->handlers = master->handler_names.n;
	return (counters_bury(counters, worker->block));
}

/* What follows from that is done at the end of the turn. */
static void
worker_proc_depart(struct worker_proc *worker)
{
	struct master *master = worker->process.master;

	TAILQ_REMOVE(&master->workers, worker, link);
	TAILQ_INSERT_TAIL(&master->dead, worker, link);
	master_changed(master);
}

void
worker_proc_free(struct worker_proc *worker)
{
	process_end(&worker->process);
	generation_release(worker->generation);
	free(worker);
}

/*
 * Rescue.
 */

bool
worker_proc_has_custody(const struct worker_proc *worker)
{
	return (worker->anchor != NULL &&
	    anchor_proc_is_there(worker->anchor));
}

bool
workers_are_rescued(const struct master *master)
{
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->is_rescuer && !worker->has_adopted)
			return (true);
	return (false);
}

/* Whether a dead worker has left connections that nobody has told it to close,
 * also such as were on their way to another worker. */
static bool
worker_proc_left_any(const struct worker_proc *worker)
{
	struct master *master = worker->process.master;
	struct counters *counters = &master->counters[worker->slot->number];
	const struct counters_worker *counts =
	    &counters->map->block[worker->block].worker;

	counters->listeners = master->listener_names.n;
	return (!worker->is_dismissed && master->phase != PHASE_STOPPING &&
	    (counter_get(&counts->active) > 0 ||
	    counters_held(counters, worker->block) > 0));
}

/* Note when the last rescuers of the slot have died. */
static void
worker_proc_note_rescuer_death(struct slot *slot)
{
	memmove(&slot->rescuer_deaths_ms[0], &slot->rescuer_deaths_ms[1],
	    sizeof(slot->rescuer_deaths_ms) -
	    sizeof(slot->rescuer_deaths_ms[0]));
	slot->rescuer_deaths_ms[SLOT_RESCUER_DEATHS - 1] = clock_ms();
}

/* How many connections a dead worker has left, about. */
static uint64_t
worker_proc_count_left(const struct worker_proc *worker)
{
	return (counter_get(&worker_proc_counters(worker)->worker.active));
}

/* Of those of the slot that end, or have given what they could, the one with the
 * fewest connections left, if these are fewer than a dead one's; or NULL. */
static struct worker_proc *
worker_proc_find_least(const struct worker_proc *dead)
{
	struct worker_proc *worker, *least = NULL;
	uint64_t left = worker_proc_count_left(dead), has;

	TAILQ_FOREACH(worker, &dead->process.master->workers, link) {
		if (worker == dead || worker->slot != dead->slot)
			continue;
		if (worker->state == WORKER_ENDING)
			return (worker);
		has = worker_proc_count_left(worker);
		if (worker->state == WORKER_DRAINING &&
		    worker->given.left != UINT64_MAX && has < left) {
			least = worker;
			left = has;
		}
	}
	return (least);
}

/* The rescuer keeps the block of a dead worker.  If its successor would have
 * none, one that only waits for the last of its clients gives way to it.  Returns
 * false if there is none. */
static bool
worker_proc_make_room(const struct worker_proc *dead)
{
	struct worker_proc *least;

	if (dead != dead->slot->serving || workers_free_block(
	    dead->process.master, dead->slot) != -1)
		return (true);
	if ((least = worker_proc_find_least(dead)) == NULL)
		return (false);
	if (least->state == WORKER_DRAINING)
		worker_proc_stop(least);
	return (true);
}

/* Why a dead worker cannot be rescued; NULL. */
static const char *
worker_proc_find_obstacle(const struct worker_proc *worker)
{
	uint64_t first_ms = worker->slot->rescuer_deaths_ms[0];

	if (first_ms != 0 && clock_ms() < first_ms + RESCUER_DEATHS_MS)
		return ("too many of its rescuers have died");
	if (!worker_proc_make_room(worker))
		return ("its successor would have no block");
	return (NULL);
}

/* The rescuer of a worker, which has all that the worker leaves. */
static struct worker_proc *
worker_proc_new_rescuer(struct worker_proc *dead)
{
	struct worker_proc *worker;

	if ((worker = calloc(1, sizeof(*worker))) == NULL)
		return (NULL);
	worker->slot = dead->slot;
	worker->block = dead->block;
	worker->generation = generation_hold(dead->generation);
	TAILQ_INIT(&worker->crew.members);
	TAILQ_INIT(&worker->crew.dead);
	worker_proc_describe(worker, dead->process.master);
	worker->state = WORKER_SERVING;
	worker->before = dead->before;
	worker->is_marked = dead->is_marked;
	worker->shared_us = dead->shared_us;
	worker->is_rescuer = true;
	worker->death_ms = clock_ms();
	worker->rescues = dead->process.pid;
	return (worker);
}

/* Have the anchor clone the rescuer, which finds its orders waiting. */
static int
worker_proc_call_rescuer(struct worker_proc *worker, struct anchor_proc *anchor)
{
	int ends[2];

	if (channel_pair(ends) == -1)
		return (-1);
	if (process_expect(&worker->process, worker->generation->number,
	    ends[0], process_speaks(&anchor->process)) == -1) {
		close(ends[0]);
		close(ends[1]);
		return (-1);
	}
	if (anchor_proc_ask(anchor, ends[1]) == -1) {
		close(ends[1]);
		return (-1);
	}
	close(ends[1]);
	return (0);
}

/* A worker is dead: if it has custody, its rescuer takes its place. */
static void
worker_proc_rescue(struct worker_proc *dead)
{
	struct worker_proc *worker = NULL;
	const char *obstacle;

	if (dead->is_rescuer && !dead->is_dismissed)
		worker_proc_note_rescuer_death(dead->slot);
	if (!worker_proc_has_custody(dead) || !worker_proc_left_any(dead))
		return;
	if ((obstacle = worker_proc_find_obstacle(dead)) == NULL &&
	    ((worker = worker_proc_new_rescuer(dead)) == NULL ||
	    worker_proc_call_rescuer(worker, dead->anchor) == -1))
		obstacle = strerror(errno);
	if (obstacle != NULL) {
		worker_proc_log(LOG_LEVEL_WARN, EVENT_CUSTODY_ENDED, dead,
		    "error", obstacle);
		if (worker != NULL)
			worker_proc_free(worker);
		return;
	}
	worker->anchor = dead->anchor;
	worker->anchor->worker = worker;
	worker->report = dead->report;
	dead->anchor = NULL;
	dead->report = NULL;
	dead->rescuer = worker;
	TAILQ_INSERT_TAIL(&worker->process.master->workers, worker, link);
	worker_proc_beat(worker);
	process_use_log(&worker->process);
	worker_proc_use_access_log(worker);
	worker_proc_drain(worker, CTL_DRAIN_REPLACED);
	worker->given.longest_us = dead->given.longest_us;
}

/* There is no process that could adopt them. */
static void
worker_proc_give_up(struct worker_proc *worker)
{
	worker->state = WORKER_DEAD;
	channel_free(worker->process.channel);
	worker->process.channel = NULL;
	worker->conns_lost = worker_proc_bury(worker);
	worker_proc_depart(worker);
}

static void
worker_proc_on_anchor_end(struct worker_proc *worker, const char *why)
{
	bool is_awaited = worker->process.pid == 0;

	anchor_proc_end(worker->anchor);
	worker->anchor = NULL;
	worker->has_lost_anchor = true;
	if (is_awaited)
		worker_proc_give_up(worker);
	LOG(WARN, CUSTODY_ENDED, F_U64("child_slot", worker->slot->number),
	    F_U64("child_gen", worker->generation->number),
	    F_STR("error", why), F_U64("conns_lost", worker->conns_lost));
	master_changed(worker->process.master);
}

static void
worker_proc_on_rescuer(struct worker_proc *worker,
    const struct ctl_cloned *cloned)
{
	char rescues[16];

	if (cloned->pid <= 0) {
		worker_proc_on_anchor_end(worker, strerror(cloned->error));
		return;
	}
	if (process_arrive(&worker->process, cloned->pid) == -1) {
		/* It has died, and was reaped by then. */
		worker->process.pid = cloned->pid;
		worker_proc_on_death(worker, DEATH_UNSEEN);
		return;
	}
	snprintf(rescues, sizeof(rescues), "%d", (int)worker->rescues);
	worker_proc_log(LOG_LEVEL_INFO, EVENT_WORKER_START, worker, "rescues",
	    rescues);
	worker_proc_beat(worker);
	/* It was disowned before it was there. */
	if (worker->was_killed)
		process_kill(&worker->process, SIGKILL);
	master_changed(worker->process.master);
}

/*
 * Death.
 */

static void
worker_proc_on_death(void *owner, int status)
{
	struct worker_proc *worker = owner;
	struct process *process = &worker->process;

	/* It was told to end, and did. */
	if (status == DEATH_UNSEEN && worker->state == WORKER_ENDING &&
	    !worker->was_killed)
		status = 0;
	log_tell_lost(counter_get(
	    &worker_proc_counters(worker)->worker.log_untold));

	/* Its last words may tell why; they are no longer acted on. */
	worker->state = WORKER_DEAD;
	while (process->channel != NULL && channel_catch_up(process->channel))
		;
	channel_free(process->channel);
	process->channel = NULL;
	crew_dismiss(worker);
	worker->status = status;
	worker_proc_rescue(worker);
	if (worker->rescuer == NULL)
		worker->conns_lost = worker_proc_bury(worker);
	worker_proc_depart(worker);
}

/*
 * Adoption.
 */

/* What it was told or is to say, its state tells well enough. */
static const char *
worker_proc_awaits(enum worker_state state)
{
	switch (state) {
	case WORKER_STARTING:
		return ("READY");
	case WORKER_DRAINING:
		return ("end of the drain");
	case WORKER_READY:
	case WORKER_SERVING:
	case WORKER_ENDING:
	case WORKER_DEAD:
		break;
	}
	return ("exit");
}

int
worker_proc_adopt(struct master *master, struct worker_proc *worker)
{
	worker_proc_describe(worker, master);
	worker->given.left = UINT64_MAX;
	worker->process.patience_for = worker_proc_awaits(worker->state);
	if (process_adopt(&worker->process, worker->generation->number) == -1)
		return (-1);
	return (worker->anchor == NULL ? 0 :
	    anchor_proc_adopt(worker->anchor, master, &anchor_events));
}
