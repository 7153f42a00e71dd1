/* SPDX-License-Identifier: ISC */
#include "master/worker_proc.h"

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

void
worker_proc_log(enum log_level level, enum log_event event,
    const struct worker_proc *worker, const char *key, const char *value)
{
	LOG_WITH(log_write, level, event, F_I64("child", worker->process.pid),
	    F_U64("child_slot", worker->slot->number),
	    F_U64("child_gen", worker->generation->number), F_STR(key, value));
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
	worker_proc_disown(owner, why);
}

static void
on_hangup(void *owner)
{
	struct worker_proc *worker = owner;

	if (worker->state < WORKER_ENDING)
		process_await(&worker->process, MASTER_EXIT_MS,
		    "exit after it closed its channel");
}

void
worker_proc_tell(struct worker_proc *worker, enum ctl_type type,
    const void *payload)
{
	(void)process_tell(&worker->process, type, payload, NULL);
}

int
worker_proc_pass(struct worker_proc *worker, enum ctl_type type,
    const void *payload, int fd)
{
	const int fds[CTL_FDS_MAX] = { fd, -1 };

	return (process_tell(&worker->process, type, payload, fds));
}

int
worker_proc_pass_fds(struct worker_proc *worker, enum ctl_type type,
    const void *payload,
    const int fds[CTL_FDS_MAX])
{
	return (process_tell(&worker->process, type, payload, fds));
}

bool
worker_proc_has_room(const struct worker_proc *worker)
{
	const struct channel *channel = worker->process.channel;

	return (channel == NULL || channel_has_room(channel));
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
worker_proc_hint(struct worker_proc *worker, enum ctl_type type,
    const void *payload)
{
	struct pollfd room = { .events = POLLOUT };

	if (worker->process.channel == NULL)
		return;
	room.fd = channel_fd(worker->process.channel);
	/* So it polls while no more than a quarter of it is full. */
	if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0)
		worker_proc_tell(worker, type, payload);
}

static void on_death(void *, int);

static void
describe(struct worker_proc *worker)
{
	static const struct process_kind kind = {
		.on_message = on_message,
		.on_misconduct = on_misconduct,
		.on_hangup = on_hangup,
		.on_death = on_death,
	};

	worker->process.master = worker->master;
	worker->process.kind = &kind;
	worker->process.owner = worker;
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
		status = master->roles->worker->main(heritage);
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
fill_heritage(struct heritage *heritage, const struct master *master,
    const struct worker_proc *worker, const struct generation *generation,
    bool prepared)
{
	*heritage = (struct heritage){
		.slot = worker->slot->number,
		.generation = generation->number,
		.conf = generation->conf,
		.slots = generation->slots,
		.counters = (struct counters *)(uintptr_t)master->counters,
		.ncounters = master->nslots,
		.block = worker->block,
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
	    worker->slot->number, generation->slots, prepared,
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
clean_block(struct master *master, const struct worker_proc *worker)
{
	struct counters *counters = &master->counters[worker->slot->number];

	counters_forget(counters, worker->block, 0, counters->records);
	counter_set(&counters->map->block[worker->block].worker.beat_ms,
	    clock_ms());
	counter_set(&counters->map->block[worker->block].worker.at_rest, 0);
	counter_set(&counters->map->block[worker->block].worker.log_untold, 0);
}

static int
spawn(struct worker_proc *worker, const struct generation *generation,
    bool prepared)
{
	struct master *master = worker->master;
	struct heritage heritage;
	pid_t pid;
	int saved;

	if (fill_heritage(&heritage, master, worker, generation,
	    prepared) == -1)
		return (-1);
	heritage.access_log = loggers_access_log(master, generation->conf);
	pid = process_fork(&worker->process, generation->number,
	    &heritage.channel, heritage.speaks);
	if (pid == 0)
		become(master, &heritage, &generation->identity);
	saved = errno;
	free_heritage(&heritage);
	errno = saved;
	if (pid != -1 && worker->process.channel == NULL)
		snprintf(worker->why, sizeof(worker->why),
		    "the master cannot listen to it: %s", strerror(errno));
	return (pid == -1 ? -1 : 0);
}

struct worker_proc *
worker_proc_new(struct master *master, struct slot *slot,
    struct generation *generation, bool prepared)
{
	struct worker_proc *worker;
	int block, saved;

	if ((block = take_block(slot)) == -1)
		return (NULL);
	if ((worker = calloc(1, sizeof(*worker))) == NULL)
		goto fail;
	worker->master = master;
	worker->slot = slot;
	worker->generation = generation_hold(generation);
	worker->block = (unsigned)block;
	TAILQ_INIT(&worker->crew.members);
	TAILQ_INIT(&worker->crew.dead);
	crew_note(worker);
	describe(worker);
	process_await(&worker->process, MASTER_READY_MS, "READY");
	clean_block(master, worker);
	if (spawn(worker, generation, prepared) == -1)
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
	slot->lent[block] = false;
	errno = saved;
	return (NULL);
}

/*
 * Adoption.
 */

/* What it was told or is to say, its state tells well enough. */
static const char *
reason_for_patience(enum worker_state state)
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
	worker->master = master;
	describe(worker);
	crew_note(worker);
	worker->given.left = UINT64_MAX;
	worker->process.patience_for = reason_for_patience(worker->state);
	return (process_adopt(&worker->process, worker->generation->number));
}

unsigned
worker_proc_speaks(const struct worker_proc *worker)
{
	return (worker->process.channel == NULL ? CTL_PREVIOUS :
	    channel_speaks(worker->process.channel));
}

bool
worker_proc_is_complete(const struct worker_proc *worker)
{
	return (worker->state == WORKER_READY && worker->crew.awaited == 0);
}

/*
 * Orders.
 */

void
worker_proc_start(struct worker_proc *worker)
{
	worker->state = WORKER_SERVING;
	worker_proc_tell(worker, CTL_START, NULL);
}

void
worker_proc_drain(struct worker_proc *worker, enum ctl_drain_mode mode)
{
	const struct conf *conf = worker->master->running->conf;
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
	/* One that is replaced keeps what can be handed over as long as that
	 * takes; the watchdog finds one that is stuck. */
	worker->process.patience_ms = mode == CTL_DRAIN_REPLACED ? 0 :
	    clock_ms() + conf->drain_timeout_ms + 1000;
	worker->process.patience_for = "end of the drain";
	worker_proc_tell(worker, CTL_DRAIN, &order);
}

void
worker_proc_stop(struct worker_proc *worker)
{
	if (worker->state < WORKER_ENDING) {
		worker->state = WORKER_ENDING;
		process_await(&worker->process, MASTER_EXIT_MS,
		    "exit after STOP");
	}
	worker_proc_tell(worker, CTL_STOP, NULL);
}

void
worker_proc_kill(struct worker_proc *worker, int signal,
    enum status_cause cause)
{
	if (worker->state == WORKER_DEAD)
		return;
	(void)foster_kill(worker->master, worker->process.pid, signal);
	if (!worker->was_killed)
		worker->cause = cause;
	worker->was_killed = true;
	worker->state = WORKER_ENDING;
	process_await(&worker->process, MASTER_EXIT_MS / 2,
	    "end after a signal");
}

void
worker_proc_disown(struct worker_proc *worker, const char *why)
{
	if (worker->state >= WORKER_ENDING)
		return;
	if (*worker->why == '\0')
		snprintf(worker->why, sizeof(worker->why), "%s", why);
	worker_proc_log(LOG_LEVEL_ERROR, EVENT_WORKER_DISOWNED, worker, "error",
	    why);
	worker_proc_kill(worker, SIGKILL, STATUS_DISOWNED);
}

void
worker_proc_use_log(struct worker_proc *worker)
{
	const struct conf_log *conf = &worker->master->running->conf->log;
	struct ctl_log order = {
		.level = conf->level,
		.format = conf->format,
	};

	worker->log_due = worker_proc_pass(worker, CTL_LOG, &order,
	    log_fd()) == -1;
}

void
worker_proc_use_access_log(struct worker_proc *worker)
{
	int fd = loggers_access_log(worker->master, worker->generation->conf);

	worker->access_log_due = fd != -1 &&
	    worker_proc_pass(worker, CTL_ACCESS_LOG, NULL, fd) == -1;
}

void
workers_tick(struct master *master)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link) {
		if (worker->process.channel == NULL)
			continue;
		(void)channel_flush(worker->process.channel);
		if (!worker_proc_has_room(worker))
			continue;
		if (worker->log_due)
			worker_proc_use_log(worker);
		if (worker->access_log_due)
			worker_proc_use_access_log(worker);
	}
}

/*
 * Death.
 */

static void
on_death(void *owner, int status)
{
	struct worker_proc *worker = owner;
	struct process *process = &worker->process;
	struct master *master = worker->master;
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
	TAILQ_REMOVE(&worker->master->dead, worker, link);
	worker->slot->lent[worker->block] = false;
	generation_release(worker->generation);
	free(worker);
}
