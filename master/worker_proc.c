/* SPDX-License-Identifier: ISC */
#include "master/worker_proc.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

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
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->access_log_due &&
		    process_has_room(&worker->process))
			worker_proc_use_access_log(worker);
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
	case CTL_EXECUTOR:
	case CTL_DIED:
	case CTL_ANCHOR:
	case CTL_RESCUE:
	case CTL_RESCUER:
	case CTL_RESCUED:
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
 * Death.
 */

static void
worker_proc_on_death(void *owner, int status)
{
	struct worker_proc *worker = owner;
	struct process *process = &worker->process;
	struct master *master = process->master;
	struct counters *counters = &master->counters[worker->slot->number];
	uint64_t lost;

	/* It was told to end, and did. */
	if (status == DEATH_UNSEEN && worker->state == WORKER_ENDING &&
	    !worker->was_killed)
		status = 0;
	counters->listeners = master->listener_names.n;
	counters->handlers = master->handler_names.n;
	lost = counters_bury(counters, worker->block);
	log_tell_lost(counter_get(
	    &counters->map->block[worker->block].worker.log_untold));

	/* Its last words may tell why; they are no longer acted on. */
	worker->state = WORKER_DEAD;
	while (process->channel != NULL && channel_catch_up(process->channel))
		;
	channel_free(process->channel);
	process->channel = NULL;
	crew_dismiss(worker);
	worker->status = status;
	worker->conns_lost = lost;
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

/* What the last worker of the block left in its table is not ours to show. */
static void
worker_proc_clean_block(struct master *master, const struct worker_proc *worker)
{
	struct counters *counters = &master->counters[worker->slot->number];

	counters_forget(counters, worker->block, 0, counters->records);
	counter_set(&counters->map->block[worker->block].worker.beat_ms,
	    clock_ms());
	counter_set(&counters->map->block[worker->block].worker.at_rest, 0);
	counter_set(&counters->map->block[worker->block].worker.log_untold, 0);
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
	pid = process_fork(&worker->process, generation->number,
	    &heritage.channel, heritage.speaks);
	if (pid == 0)
		worker_proc_become(master, &heritage, &generation->identity);
	saved = errno;
	worker_proc_free_heritage(&heritage);
	errno = saved;
	if (pid != -1 && worker->process.channel == NULL)
		why_set(&worker->why, "the master cannot listen to it: %s",
		    strerror(errno));
	return (pid == -1 ? -1 : 0);
}

struct worker_proc *
worker_proc_new(struct master *master, struct slot *slot,
    struct generation *generation, bool prepared)
{
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
	worker_proc_log(LOG_LEVEL_INFO, EVENT_WORKER_START, worker, "", NULL);
	if (crew_start(worker) == -1)
		worker_proc_disown(worker, strerror(errno));
	return (worker);
fail:
	saved = errno;
	if (worker != NULL)
		generation_release(worker->generation);
	free(worker);
	errno = saved;
	return (NULL);
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
	return (process_adopt(&worker->process, worker->generation->number));
}
