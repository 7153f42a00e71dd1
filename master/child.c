/* SPDX-License-Identifier: ISC */
#include "master/child.h"

#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "master/master.h"
#include "master/signals.h"
#include "master/state.h"

void
child_log(enum log_level level, enum log_event event,
    const struct child *child, const char *key, const char *value)
{
	LOG_WITH(log_write, level, event, F_I64("child", child->process.pid),
	    F_U64("child_slot", child->slot->number),
	    F_U64("child_gen", child->generation->number), F_STR(key, value));
}

/*
 * The channel.
 */

static void
on_message(void *owner, struct ctl *msg)
{
	master_dispatch(owner, msg);
}

static void
on_misconduct(void *owner, const char *why)
{
	child_disown(owner, why);
}

static void
on_hangup(void *owner)
{
	struct child *child = owner;

	if (child->state != CHILD_ENDING)
		process_await(&child->process, MASTER_EXIT_MS,
		    "exit after it closed its channel");
}

void
child_tell(struct child *child, enum ctl_type type, const void *payload)
{
	(void)process_tell(&child->process, type, payload, NULL);
}

int
child_pass(struct child *child, enum ctl_type type, const void *payload, int fd)
{
	const int fds[CTL_FDS_MAX] = { fd, -1 };

	return (process_tell(&child->process, type, payload, fds));
}

int
child_pass_fds(struct child *child, enum ctl_type type, const void *payload,
    const int fds[CTL_FDS_MAX])
{
	return (process_tell(&child->process, type, payload, fds));
}

bool
child_has_room(const struct child *child)
{
	const struct channel *channel = child->process.channel;

	return (channel == NULL || channel_has_room(channel));
}

bool
children_have_unsent(const struct master *master)
{
	const struct channel *channel;
	const struct child *child;

	TAILQ_FOREACH(child, &master->children, link) {
		channel = child->process.channel;
		if ((channel != NULL && channel_has_unsent(channel)) ||
		    crew_is_waiting(child))
			return (true);
	}
	return (false);
}

void
child_hint(struct child *child, enum ctl_type type, const void *payload)
{
	struct pollfd room = { .events = POLLOUT };

	if (child->process.channel == NULL)
		return;
	room.fd = channel_fd(child->process.channel);
	/* So it polls while no more than a quarter of it is full. */
	if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0)
		child_tell(child, type, payload);
}

static void on_death(void *, int);

static struct process
describe(struct child *child)
{
	static const struct process_kind worker = {
		.on_message = on_message,
		.on_misconduct = on_misconduct,
		.on_hangup = on_hangup,
		.on_death = on_death,
	};

	return ((struct process){
		.master = child->master,
		.kind = &worker,
		.owner = child,
	});
}

/*
 * Birth.
 */

static int
take_block(struct slot *slot)
{
	for (int i = 0; i < COUNTERS_BLOCKS; i++)
		if (!slot->lent[i]) {
			slot->lent[i] = true;
			return (i);
		}
	errno = EBUSY;
	return (-1);
}

/* Of what the master has open, a child keeps what it inherits, and the log. */
static int
close_the_rest(const struct heritage *heritage)
{
	int *keep;
	size_t n = 0;

	keep = calloc(heritage->nsockets + 3, sizeof(*keep));
	if (keep == NULL)
		return (-1);
	for (size_t i = 0; i < heritage->nsockets; i++)
		keep[n++] = heritage->sockets[i].fd;
	keep[n++] = heritage->channel;
	keep[n++] = log_fd();
	if (heritage->access_log != -1)
		keep[n++] = heritage->access_log;
	fd_close_all_but(keep, n);
	free(keep);
	return (0);
}

/* A worker writes to the mapping of its own slot alone. */
static int
seal_mappings(struct heritage *heritage)
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
become(struct master *master, struct heritage *heritage,
    const struct identity *identity)
{
	int status = EXIT_FAILURE;

	signals_reset_in_child();
	status_free(&master->status);
	/* Whoever waits for the end of a daemon's output need not wait for
	 * us. */
	if (master->daemon_fd != -1 && !log_is_stderr())
		fd_redirect_to_null(STDERR_FILENO);
	if (seal_mappings(heritage) == 0 && close_the_rest(heritage) == 0 &&
	    privileges_drop(identity) == 0)
		status = master->worker->main(heritage);
	else
		LOG(ERROR, WORKER_FAILED, F_ERRNO(errno));
	free(heritage->sockets);
	free(heritage->ancestors);
	exit(status);
}

/* All generations of workers that live. */
static int
find_ancestors(struct heritage *heritage, const struct master *master)
{
	const struct child *child;
	size_t n = 0, i;

	TAILQ_FOREACH(child, &master->children, link)
		n++;
	heritage->ancestors = calloc(n + 1, sizeof(*heritage->ancestors));
	if (heritage->ancestors == NULL)
		return (-1);
	TAILQ_FOREACH(child, &master->children, link) {
		const struct generation *generation = child->generation;

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
fill_heritage(struct heritage *heritage, const struct master *master,
    const struct child *child, const struct generation *generation,
    bool prepared)
{
	*heritage = (struct heritage){
		.slot = child->slot->number,
		.generation = generation->number,
		.conf = generation->conf,
		.slots = generation->slots,
		.counters = (struct counters *)(uintptr_t)master->counters,
		.ncounters = master->nslots,
		.block = child->block,
		.speaks = upgrade_speaks(&master->upgrade),
		.access_log = -1,
		.spans = master->spans,
	};
	memcpy(heritage->listener_number, generation->listener_number,
	    sizeof(heritage->listener_number));
	memcpy(heritage->handler_number, generation->handler_number,
	    sizeof(heritage->handler_number));
	if (find_ancestors(heritage, master) == -1)
		return (-1);
	heritage->sockets = sockets_for(&master->sockets, generation->conf,
	    child->slot->number, generation->slots, prepared,
	    &heritage->nsockets);
	if (heritage->sockets != NULL)
		return (0);
	free(heritage->ancestors);
	return (-1);
}

static void
free_heritage(struct heritage *heritage)
{
	free(heritage->sockets);
	free(heritage->ancestors);
}

/* What the last worker of the block left in its table is not ours to show. */
static void
clean_block(struct master *master, const struct child *child)
{
	struct counters *counters = &master->counters[child->slot->number];

	counters_forget(counters, child->block, 0, counters->records);
	counter_set(&counters->map->block[child->block].worker.beat_ms,
	    clock_ms());
	counter_set(&counters->map->block[child->block].worker.at_rest, 0);
	counter_set(&counters->map->block[child->block].worker.log_untold, 0);
}

static int
spawn(struct child *child, const struct generation *generation, bool prepared)
{
	struct master *master = child->master;
	struct heritage heritage;
	pid_t pid;
	int saved;

	if (fill_heritage(&heritage, master, child, generation, prepared) == -1)
		return (-1);
	heritage.access_log = loggers_access_log(master, generation->conf);
	pid = process_fork(&child->process, generation->number,
	    &heritage.channel, heritage.speaks);
	if (pid == 0)
		become(master, &heritage, &generation->identity);
	saved = errno;
	free_heritage(&heritage);
	errno = saved;
	if (pid != -1 && child->process.channel == NULL)
		snprintf(child->why, sizeof(child->why),
		    "the master cannot listen to it: %s", strerror(errno));
	return (pid == -1 ? -1 : 0);
}

struct child *
child_new(struct master *master, struct slot *slot,
    struct generation *generation, bool prepared)
{
	struct child *child;
	int block, saved;

	if ((block = take_block(slot)) == -1)
		return (NULL);
	if ((child = calloc(1, sizeof(*child))) == NULL)
		goto fail;
	child->master = master;
	child->slot = slot;
	child->generation = generation_hold(generation);
	child->block = (unsigned)block;
	crew_init(child);
	child->process = describe(child);
	process_await(&child->process, MASTER_READY_MS, "READY");
	clean_block(master, child);
	succession_mark(child, false);
	if (spawn(child, generation, prepared) == -1)
		goto fail;
	TAILQ_INSERT_TAIL(&master->children, child, link);
	child_log(LOG_LEVEL_INFO, EVENT_WORKER_START, child, "", NULL);
	if (crew_start(child) == -1)
		child_disown(child, strerror(errno));
	return (child);
fail:
	saved = errno;
	if (child != NULL)
		generation_release(child->generation);
	free(child);
	slot->lent[block] = false;
	errno = saved;
	return (NULL);
}

/*
 * Adoption.
 */

/* What it was told or is to say, its state tells well enough. */
static const char *
reason_for_patience(enum child_state state)
{
	switch (state) {
	case CHILD_STARTING:
		return ("READY");
	case CHILD_DRAINING:
		return ("end of the drain");
	case CHILD_READY:
	case CHILD_SERVING:
	case CHILD_ENDING:
		break;
	}
	return ("exit");
}

struct child *
child_adopt(struct master *master, const struct state_child *saved,
    struct generation *generation)
{
	struct child *child;

	if ((child = calloc(1, sizeof(*child))) == NULL)
		return (NULL);
	child->master = master;
	child->slot = &master->slots[saved->slot];
	child->process = describe(child);
	child->generation = generation_hold(generation);
	child->block = saved->block;
	crew_init(child);
	child->crew.awaited = saved->awaited;
	child->state = (enum child_state)saved->state;
	child->given.left = UINT64_MAX;
	child->process.born_ms = saved->born_ms;
	child->process.patience_ms = saved->patience_ms;
	child->process.patience_for = reason_for_patience(child->state);
	snprintf(child->why, sizeof(child->why), "%s", saved->why);
	child->slot->lent[child->block] = true;
	if (saved->serving)
		child->slot->serving = child;
	TAILQ_INSERT_TAIL(&master->children, child, link);
	return (process_adopt(&child->process, (pid_t)saved->pid,
	    generation->number, saved->channel, saved->speaks) == 0 ? child :
	    NULL);
}

unsigned
child_speaks(const struct child *child)
{
	return (child->process.channel == NULL ? CTL_PREVIOUS :
	    channel_speaks(child->process.channel));
}

void
child_on_complete(struct child *child)
{
	if (child->state != CHILD_READY || child->crew.awaited > 0)
		return;
	if (child == child->slot->next)
		reload_on_ready(child);
	else if (child == child->slot->serving) {
		child_start(child);
		slots_steer(child->master);
		succession_resume(child->master, child);
		balance_order(child->master);
	}
}

/*
 * Orders.
 */

void
child_start(struct child *child)
{
	child->state = CHILD_SERVING;
	child_tell(child, CTL_START, NULL);
}

void
child_drain(struct child *child, enum ctl_drain_mode mode)
{
	const struct conf *conf = child->master->running->conf;
	struct ctl_drain order = {
		.mode = mode,
		.timeout_ms = conf->drain_timeout_ms,
		.spread_ms = conf->drain_spread_ms,
	};

	if (child->state == CHILD_ENDING)
		return;
	if (child->state < CHILD_SERVING) {
		child_stop(child);
		return;
	}
	child->state = CHILD_DRAINING;
	child->given = (struct ctl_given){ .left = UINT64_MAX };
	/* One that is replaced keeps what can be handed over as long as that
	 * takes; the watchdog finds one that is stuck. */
	child->process.patience_ms = mode == CTL_DRAIN_REPLACED ? 0 :
	    clock_ms() + conf->drain_timeout_ms + 1000;
	child->process.patience_for = "end of the drain";
	child_tell(child, CTL_DRAIN, &order);
}

void
child_stop(struct child *child)
{
	if (child->state != CHILD_ENDING) {
		child->state = CHILD_ENDING;
		process_await(&child->process, MASTER_EXIT_MS,
		    "exit after STOP");
	}
	child_tell(child, CTL_STOP, NULL);
}

void
child_kill(struct child *child, int signal, enum status_cause cause)
{
	(void)foster_kill(child->master, child->process.pid, signal);
	if (!child->was_killed)
		child->cause = cause;
	child->was_killed = true;
	child->state = CHILD_ENDING;
	process_await(&child->process, MASTER_EXIT_MS / 2,
	    "end after a signal");
}

void
child_disown(struct child *child, const char *why)
{
	if (child->state == CHILD_ENDING)
		return;
	if (*child->why == '\0')
		snprintf(child->why, sizeof(child->why), "%s", why);
	child_log(LOG_LEVEL_ERROR, EVENT_WORKER_DISOWNED, child, "error", why);
	child_kill(child, SIGKILL, STATUS_DISOWNED);
}

void
child_use_log(struct child *child)
{
	const struct conf_log *conf = &child->master->running->conf->log;
	struct ctl_log order = {
		.level = conf->level,
		.format = conf->format,
	};

	child->log_due = child_pass(child, CTL_LOG, &order, log_fd()) == -1;
}

void
child_use_access_log(struct child *child)
{
	int fd = loggers_access_log(child->master, child->generation->conf);

	child->access_log_due = fd != -1 &&
	    child_pass(child, CTL_ACCESS_LOG, NULL, fd) == -1;
}

void
children_tick(struct master *master)
{
	struct child *child;

	TAILQ_FOREACH(child, &master->children, link) {
		if (child->process.channel == NULL)
			continue;
		(void)channel_flush(child->process.channel);
		if (!child_has_room(child))
			continue;
		if (child->log_due)
			child_use_log(child);
		if (child->access_log_due)
			child_use_access_log(child);
	}
}

/*
 * Death.
 */

static void
on_death(void *owner, int status)
{
	struct child *child = owner;
	struct process *process = &child->process;
	struct master *master = child->master;
	struct counters *counters = &master->counters[child->slot->number];
	uint64_t lost;

	/* It was told to end, and did. */
	if (status == DEATH_UNSEEN && child->state == CHILD_ENDING &&
	    !child->was_killed)
		status = 0;
	counters->listeners = master->listener_names.n;
	counters->handlers = master->handler_names.n;
	lost = counters_bury(counters, child->block);
	log_tell_lost(counter_get(
	    &counters->map->block[child->block].worker.log_untold));

	/* Its last words may tell why; they are no longer acted on. */
	child->state = CHILD_ENDING;
	child->is_dead = true;
	while (process->channel != NULL && channel_catch_up(process->channel))
		;
	TAILQ_REMOVE(&master->children, child, link);
	child->slot->lent[child->block] = false;
	slot_on_death(child->slot, child, status, lost);
	succession_on_death(child);
	crew_dismiss(child);
	channel_free(process->channel);
	generation_release(child->generation);
	free(child);
	master_changed(master);
}
