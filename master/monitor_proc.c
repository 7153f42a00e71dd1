/* SPDX-License-Identifier: ISC */
#include "master/monitor_proc.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/state.h"

enum {
	/* Who reads metrics is few. */
	BACKLOG = 128,
};

/*
 * Sockets.
 */

/* To socket.c the monitor's addresses are those of a listener, in a
 * configuration that has no other. */
struct view {
	struct conf conf;
	struct conf_listener listener;
};

static const struct conf *
monitor_proc_look(struct view *view, const struct conf *conf, bool muted)
{
	static char name[] = "monitor";

	*view = (struct view){
		.listener = {
			.name = name,
			.addresses = conf->monitor.addresses,
			.naddresses = conf->monitor.naddresses,
			.backlog = BACKLOG,
			.nodelay = true,
		},
		.conf.nlisteners = conf->monitor.enabled && !muted ? 1 : 0,
	};
	view->conf.listeners = &view->listener;
	return (&view->conf);
}

static bool
monitor_proc_is_default(const struct conf *conf)
{
	for (size_t i = 0; i < conf->monitor.naddresses; i++)
		if (!conf->monitor.addresses[i].from_default)
			return (false);
	return (true);
}

int
monitor_proc_prepare(struct master *master, const struct conf *conf,
    struct why *why)
{
	struct monitor_proc *monitor = &master->monitor;
	struct view view;

	monitor->muted = false;
	monitor->sockets.is_private = true;
	if (sockets_prepare(&monitor->sockets, monitor_proc_look(&view, conf,
	    false), 1, why) == 0)
		return (0);
	if (!monitor_proc_is_default(conf))
		return (-1);
	LOG(WARN, MONITOR_FAILED, F_STR("error", why->text),
	    F_STR("kept", "the server has no monitor"));
	monitor->muted = true;
	return (0);
}

void
monitor_proc_undo(struct master *master)
{
	sockets_undo(&master->monitor.sockets);
}

int
monitor_proc_listen(struct master *master, const struct conf *conf,
    struct why *why)
{
	struct view view;

	return (sockets_listen(&master->monitor.sockets,
	    monitor_proc_look(&view, conf, master->monitor.muted), why));
}

/*
 * The channel.
 */

static void
monitor_proc_kill_it(struct process *process)
{
	process_kill(process, SIGKILL);
	process->patience_ms = 0;
}

static void
monitor_proc_disown(void *owner, const char *why)
{
	struct master *master = owner;
	struct monitor_proc *monitor = &master->monitor;

	LOG(ERROR, MONITOR_FAILED, F_I64("child", monitor->process.pid),
	    F_STR("error", why));
	monitor_proc_kill_it(&monitor->process);
}

/* Which worker has the connection, they know themselves.  Orders come as fast
 * as an operator's script makes them; a worker that is slow is not to die of
 * them. */
static void
monitor_proc_ask_workers(struct master *master, const struct ctl_conn *order)
{
	struct worker_proc *worker;

	LOG_CLIENT(INFO, CLOSE_ORDERED, F_U64("conn", order->id));
	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->state == WORKER_SERVING ||
		    worker->state == WORKER_DRAINING)
			process_hint(&worker->process, CTL_CLOSE, order);
}

static void
monitor_proc_on_message(void *owner, struct ctl *msg)
{
	struct master *master = owner;
	struct monitor_proc *monitor = &master->monitor;

	if (msg->header.type == CTL_BEAT)
		monitor->beat_ms = clock_ms();
	else if (msg->header.type == CTL_ASK_CLOSE)
		monitor_proc_ask_workers(master, &msg->conn);
	else if (msg->header.type == CTL_ASK_REBALANCE) {
		master->balance.is_demanded = true;
		master_changed(master);
	} else if (msg->header.type == CTL_FAILED)
		LOG(ERROR, MONITOR_FAILED, F_I64("child", monitor->process.pid),
		    F_STR("error", "it could not be set up"));
	else if (msg->header.type != CTL_READY)
		monitor_proc_disown(master, ctl_name(msg->header.type));
}

static void
monitor_proc_on_hangup(void *owner)
{
	struct master *master = owner;
	struct process *process = &master->monitor.process;

	if (process->patience_ms == 0)
		process_await(process, MASTER_EXIT_MS, "exit");
}

static void
monitor_proc_mourn(struct monitor_proc *monitor, const struct master *master,
    int status)
{
	uint64_t alive_ms = clock_ms() - monitor->process.born_ms, pause;
	char how[PAUSE_HOW_MAX];

	pause = pause_after(&monitor->pause, alive_ms);
	counter_add(&master->status.map->counts.monitor_deaths, 1);
	LOG(ERROR, MONITOR_DIED, F_I64("child", monitor->process.pid),
	    F_STR("how", describe_death(status, how)),
	    F_U64("alive_ms", alive_ms), F_U64("retry_ms", pause));
	monitor->due = true;
}

static void
monitor_proc_on_death(void *owner, int status)
{
	struct master *master = owner;
	struct monitor_proc *monitor = &master->monitor;

	if (monitor->leaving)
		LOG(INFO, MONITOR_EXIT, F_I64("child", monitor->process.pid));
	else
		monitor_proc_mourn(monitor, master, status);
	process_end(&monitor->process);
	master_changed(master);
}

static void
monitor_proc_describe(struct master *master)
{
	static const struct process_kind kind = {
		.on_message = monitor_proc_on_message,
		.on_misconduct = monitor_proc_disown,
		.on_hangup = monitor_proc_on_hangup,
		.on_death = monitor_proc_on_death,
		.writes_log = true,
	};

	process_init(&master->monitor.process, master, &kind, master);
}

/*
 * Birth.
 */

/* All that it looks at, it can read and no more; how far it has read the spans,
 * it tells. */
static int
monitor_proc_seal(struct heritage *heritage)
{
	for (size_t i = 0; i < heritage->ncounters; i++)
		if (counters_seal(&heritage->counters[i]) == -1)
			return (-1);
	return (status_seal(&heritage->status));
}

static void __attribute__((noreturn))
monitor_proc_become(struct master *master, struct heritage *heritage)
{
	if (monitor_proc_seal(heritage) == 0)
		process_become(master, master->roles->monitor, heritage,
		    &master->running->identity);
	LOG(ERROR, MONITOR_FAILED, F_ERRNO(errno));
	exit(EXIT_FAILURE);
}

static int
monitor_proc_fill_heritage(struct heritage *heritage, struct master *master)
{
	const struct generation *running = master->running;
	struct view view;

	*heritage = (struct heritage){
		.generation = running->number,
		.speaks = master->upgrade.newborn_speaks,
		.conf = running->conf,
		.slots = running->slots,
		.counters = master->counters,
		.ncounters = master->nslots,
		.status = master->status,
		.access_log = -1,
		.anchor = -1,
		.spans = master->spans,
		.listener_names = master->listener_names.names,
		.listener_lives = master->listener_names.lives,
		.nlistener_names = master->listener_names.n,
		.handler_names = master->handler_names.names,
		.handler_lives = master->handler_names.lives,
		.nhandler_names = master->handler_names.n,
	};
	heritage->sockets = sockets_for(&master->monitor.sockets,
	    monitor_proc_look(&view, running->conf, false), 0, 1, false,
	    &heritage->nsockets);
	return (heritage->sockets == NULL ? -1 : 0);
}

static int
monitor_proc_spawn(struct master *master)
{
	struct monitor_proc *monitor = &master->monitor;
	struct heritage heritage;
	pid_t pid;
	int saved;

	if (monitor_proc_fill_heritage(&heritage, master) == -1)
		return (-1);
	monitor->process = (struct process){ .pid = 0 };
	monitor_proc_describe(master);
	pid = process_fork(&monitor->process, heritage.generation,
	    &heritage.channel, heritage.speaks);
	if (pid == 0)
		monitor_proc_become(master, &heritage);
	saved = errno;
	free(heritage.sockets);
	errno = saved;
	return (pid == -1 ? -1 : 0);
}

static bool
monitor_proc_is_wanted(const struct master *master)
{
	return (master->running != NULL &&
	    master->running->conf->monitor.enabled &&
	    master->monitor.sockets.n > 0);
}

static void
monitor_proc_start(struct master *master)
{
	struct monitor_proc *monitor = &master->monitor;

	monitor->beat_ms = clock_ms();
	monitor->leaving = false;
	monitor->due = false;
	if (monitor_proc_spawn(master) == 0) {
		LOG(INFO, MONITOR_START, F_I64("child", monitor->process.pid));
		return;
	}
	LOG(ERROR, MONITOR_FAILED, F_ERRNO(errno));
	monitor->due = true;
	pause_shortly(&monitor->pause);
}

void
monitor_proc_commit(struct master *master)
{
	struct monitor_proc *monitor = &master->monitor;
	struct view view;

	sockets_commit(&monitor->sockets,
	    monitor_proc_look(&view, master->running->conf, monitor->muted), 1);
	monitor->due = true;
	monitor->pause = (struct pause){ .young_deaths = 0 };
	if (monitor->process.pid != 0)
		monitor_proc_stop(master);
	monitor_proc_revive(master);
}

/*
 * Orders, and watching.
 */

void
monitor_proc_stop(struct master *master)
{
	struct monitor_proc *monitor = &master->monitor;

	if (monitor->leaving)
		return;
	monitor->leaving = true;
	process_await(&monitor->process, MASTER_EXIT_MS, "exit after STOP");
	process_tell(&monitor->process, CTL_STOP, NULL);
}

static bool
monitor_proc_is_hung(const struct master *master, uint64_t now_ms)
{
	const struct monitor_proc *monitor = &master->monitor;
	uint64_t timeout_ms;

	if (monitor->process.pid == 0 || monitor->process.patience_ms != 0 ||
	    now_ms < master->lenient_until_ms)
		return (false);
	timeout_ms = master->running->conf->watchdog_timeout_ms;
	return (timeout_ms > 0 && now_ms - monitor->beat_ms > timeout_ms);
}

void
monitor_proc_forgive(struct master *master, uint64_t stall_ms)
{
	struct monitor_proc *monitor = &master->monitor;

	monitor->beat_ms = clock_later(monitor->beat_ms, stall_ms, clock_ms());
}

void
monitor_proc_watch(struct master *master)
{
	struct monitor_proc *monitor = &master->monitor;
	uint64_t now_ms = clock_ms();

	if (process_is_hung(&monitor->process, monitor_proc_is_hung(master,
	    now_ms))) {
		process_kill(&monitor->process, SIGABRT);
		process_await(&monitor->process, MASTER_EXIT_MS / 2,
		    "end after a signal");
		LOG(ERROR, MONITOR_HUNG, F_I64("child", monitor->process.pid),
		    F_STR("signal", "SIGABRT"));
	}
	if (monitor->process.pid != 0 &&
	    process_is_late(&monitor->process, now_ms))
		monitor_proc_kill_it(&monitor->process);
}

void
monitor_proc_revive(struct master *master)
{
	const struct monitor_proc *monitor = &master->monitor;

	if (monitor->process.pid == 0 && monitor->due &&
	    clock_ms() >= monitor->pause.again_ms &&
	    monitor_proc_is_wanted(master))
		monitor_proc_start(master);
}

/*
 * From one program to the next.
 */

int
monitor_proc_adopt(struct master *master)
{
	struct monitor_proc *monitor = &master->monitor;

	if (monitor->process.pid == 0) {
		monitor->due = true;
		return (0);
	}
	monitor_proc_describe(master);
	monitor->beat_ms = clock_ms();
	return (process_adopt(&monitor->process, monitor->process.generation));
}

void
monitor_proc_free(struct master *master)
{
	struct monitor_proc *monitor = &master->monitor;

	process_end(&monitor->process);
	sockets_close(&monitor->sockets);
}
