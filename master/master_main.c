/* SPDX-License-Identifier: ISC */
#include "config.h"

#include "master/master.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/title.h"
#include "master/daemon.h"
#include "master/evidence.h"
#include "master/limits.h"
#include "master/notify.h"
#include "master/options.h"
#include "master/publish.h"
#include "master/watchdog.h"

enum {
	/* How often the files of sockets are looked at. */
	SOCKETS_MS = 1000,
};

static void
master_on_order(enum order order, void *arg)
{
	struct master *master = arg;

	switch (order) {
	case ORDER_STOP:
		phase_stop(master);
		return;
	case ORDER_STOP_NOW:
		phase_stop_now(master);
		return;
	case ORDER_RELOAD:
		phase_reload(master);
		return;
	case ORDER_REOPEN:
		if (master->running != NULL)
			loggers_reopen(master);
		return;
	case ORDER_UPGRADE:
		phase_upgrade(master);
		return;
	case ORDER_REBALANCE:
		balance_demand(master);
		return;
	case ORDER_REAP:
		processes_reap(master);
		return;
	}
}

/* Nobody has had an answer from us for that long, and perhaps the others did
 * not run themselves. */
static void
master_forgive(struct master *master, uint64_t stall_ms)
{
	processes_forgive(master, stall_ms);
	monitor_proc_forgive(master, stall_ms);
	reload_forgive(&master->reload, stall_ms);
	upgrade_forgive(&master->upgrade, stall_ms);
}

static void
master_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct master *master = arg;

	uint64_t stall_ms = clock_stall_ms(master->tick_ms, clock_ms(),
	    MASTER_TICK_MS);

	(void)fd;
	(void)what;
	if (stall_ms > 0)
		master_forgive(master, stall_ms);
	/* Each look is a system call for each unix socket. */
	if (master->tick_ms / SOCKETS_MS != clock_ms() / SOCKETS_MS) {
		sockets_watch(&master->sockets);
		sockets_watch(&master->monitor.sockets);
	}
	watchdog_run(master);
	processes_tick(master);
	workers_tick(master);
	crews_watch(master);
	slots_revive(master);
	monitor_proc_watch(master);
	loggers_watch(master);
	succession_tick(master);
	if (master->phase == PHASE_RUNNING || master->phase == PHASE_CHECKING)
		balance_tick(master);
	keeper_run(master);
	master_changed(master);
	log_flush_suppressed();
	master->tick_ms = clock_ms();
}

static void
master_on_turn_end(evutil_socket_t fd, short what, void *arg)
{
	struct master *master = arg;

	(void)fd;
	(void)what;
	master->is_changed = false;
	phase_advance(master);
}

/*
 * Start and end.
 */

static int
master_start_loop(struct master *master)
{
	struct timeval interval = { .tv_usec = MASTER_TICK_MS * 1000 };

	master->base = loop_new();
	master->signals.on_order = master_on_order;
	master->signals.arg = master;
	if (master->base == NULL ||
	    signals_start(&master->signals, master->base) == -1)
		return (-1);
	event_assign(&master->turn_end, master->base, -1, 0, master_on_turn_end,
	    master);
	master->tick_ms = clock_ms();
	master->tick = event_new(master->base, -1, EV_PERSIST, master_on_tick,
	    master);
	if (master->tick == NULL)
		return (-1);
	return (event_add(master->tick, &interval));
}

static void
master_free(struct master *master)
{
	loggers_end(master);
	pidfile_remove(&master->pidfiles.now);
	sockets_close(&master->sockets);
	monitor_proc_free(master);
	keeper_end(master);
	signals_stop(&master->signals);
	if (master->tick != NULL)
		event_free(master->tick);
	if (master->base != NULL)
		event_base_free(master->base);
	for (size_t i = 0; i < master->nslots; i++)
		counters_free(&master->counters[i]);
	registry_free(&master->listener_names);
	registry_free(&master->handler_names);
	status_free(&master->status);
	spans_free(&master->spans);
	probation_end(master);
	upgrade_free(&master->upgrade);
	generation_release(master->running);
}

static int
master_fail(const char *what, const char *why)
{
	fprintf(stderr, "penstock: %s: %s\n", what, why);
	return (EXIT_FAILED);
}

static int
master_claim_pidfile(struct master *master, const struct conf *conf)
{
	struct why why;
	pid_t owner;

	if (pidfile_claim(&master->pidfiles.now, conf->pid_file,
	    &owner) == 0)
		return (0);
	pidfile_explain(owner, &why);
	LOG(ERROR, START_FAILED, F_STR("pid_file", conf->pid_file),
	    F_STR("error", why.text));
	return (master_fail(conf->pid_file, why.text));
}

static int
master_serve_on(struct master *master)
{
	if (!phase_is_over(master))
		event_base_dispatch(master->base);
	LOG(INFO, STOPPED, F_I64("status", master->exit_status));
	return (master->exit_status);
}

/* Serve until the end.  Owns conf. */
static int
master_serve(struct master *master, struct conf *conf)
{
	signals_block();
	log_configure(conf->log.level, conf->log.format);
	if (master_start_loop(master) == -1) {
		conf_free(conf);
		return (master_fail("event loop", strerror(errno)));
	}
	if (loggers_start(master, conf) == -1) {
		master_fail(*conf->log.file != '\0' ? conf->log.file : "log",
		    strerror(errno));
		conf_free(conf);
		return (EXIT_FAILED);
	}
	if (master_claim_pidfile(master, conf) != 0) {
		conf_free(conf);
		return (EXIT_FAILED);
	}
	log_identify("master", -1, -1);
	LOG(INFO, START, F_STR("version", PENSTOCK_VERSION),
	    F_STR("file", master->conf_path));
	limits_raise();
	master->started = (int64_t)time(NULL);
	if (status_new(&master->status) == -1 ||
	    spans_new(&master->spans) == -1) {
		conf_free(conf);
		return (master_fail("shared memory", strerror(errno)));
	}
	phase_start(master, conf);
	return (master_serve_on(master));
}

/* Serve on in place of the previous program. */
static int
master_take_over(struct master *master, const struct upgrade_legacy *legacy)
{
	signals_block();
	if (master_start_loop(master) == -1)
		return (master_fail("event loop", strerror(errno)));
	if (upgrade_take_over(master, legacy) == -1) {
		/* Nothing is removed: the keeper may still need it. */
		fflush(NULL);
		_exit(EXIT_FAILED);
	}
	phase_resume(master);
	return (master_serve_on(master));
}

/*
 * What else the program can be asked for.
 */

static int
master_signal_running(const struct conf *conf, int number)
{
	pid_t pid;

	if (*conf->pid_file == '\0') {
		fprintf(stderr, "penstock: -s: %s sets no pid_file: set it, "
		    "or use penstockctl\n", conf->path);
		return (EXIT_NOT_RUNNING);
	}
	if ((pid = pidfile_owner(conf->pid_file)) == -1) {
		master_fail(conf->pid_file, strerror(errno));
		return (EXIT_NOT_RUNNING);
	}
	if (pid == 0) {
		fprintf(stderr, "penstock: %s: no running master has it\n",
		    conf->pid_file);
		return (EXIT_NOT_RUNNING);
	}
	if (kill(pid, number) == -1)
		return (master_fail("kill", strerror(errno)));
	return (EXIT_FINE);
}

static int
master_print(const struct conf *conf)
{
	if (conf_print(stdout, conf) == -1 || fflush(stdout) == EOF)
		return (master_fail("standard output", strerror(errno)));
	return (EXIT_FINE);
}

/* What a start needs beyond a good configuration. */
static int
master_prepare_start(struct master *master, const struct conf *conf,
    const struct options *options)
{
	if (master->upgrade.path == NULL ||
	    access("/proc/self/fd", X_OK) == -1)
		return (master_fail("cannot start without /proc",
		    "mount it: mount -t proc proc /proc"));
	if (options->daemonize && *conf->log.file == '\0' &&
	    !daemon_may_keep(STDERR_FILENO)) {
		fprintf(stderr, "penstock: -D: %s sets no log.file: set it, or "
		    "let standard error be a file\n", conf->path);
		return (EXIT_CONF);
	}
	/* A lock, pipe or socket of the caller's would stay open as long as the
	 * server runs. */
	fd_close_all_but(NULL, 0);
	if (options->daemonize && (master->daemon_fd = daemon_start()) == -1)
		return (master_fail("fork", strerror(errno)));
	return (EXIT_FINE);
}

static int
master_run(struct master *master, const struct options *options)
{
	int status = EXIT_FINE;
	struct conf *conf;

	conf = reload_load_or_tell(options->conf_path,
	    options->signal == 0 && !options->print);
	if (conf == NULL)
		return (EXIT_CONF);
	if (options->signal != 0)
		status = master_signal_running(conf, options->signal);
	else if (options->print)
		status = master_print(conf);
	else if (options->test)
		printf("%s: the configuration is good\n", options->conf_path);
	else if ((status = master_prepare_start(master, conf, options)) ==
	    EXIT_FINE)
		return (master_serve(master, conf));
	conf_free(conf);
	return (status);
}

/* A number is another listener's now.  Monitors see that before the counters
 * change: monitor/names.h. */
static void
master_renew_listener(void *arg, unsigned number, uint64_t life)
{
	struct master *master = arg;

	if (master->nslots == 0)
		return;
	counter_set(&master->counters[0].map->block[0].listener[number].life,
	    life);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (size_t i = 0; i < master->nslots; i++)
		counters_renew_listener(&master->counters[i], number);
}

static void
master_renew_handler(void *arg, unsigned number, uint64_t life)
{
	struct master *master = arg;

	if (master->nslots == 0)
		return;
	counter_set(&master->counters[0].map->block[0].listener[number]
	    .handler_life, life);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (size_t i = 0; i < master->nslots; i++)
		counters_renew_handler(&master->counters[i], number);
	counter_set(&master->status.map->counts.executor_deaths[number], 0);
	memset(&master->stderr_limits[number], 0,
	    sizeof(master->stderr_limits[number]));
	evidence_forget(master, number);
}

void
master_init(struct master *master)
{
	*master = (struct master){
		.daemon_fd = -1,
		.probation.program = -1,
		.status.fd = -1,
		.spans.fd = -1,
		.pidfiles = { .now.fd = -1, .next.fd = -1 },
		.upgrade = { .log = -1, .previous = -1 },
	};
	TAILQ_INIT(&master->generations);
	TAILQ_INIT(&master->workers);
	TAILQ_INIT(&master->dead);
	TAILQ_INIT(&master->leaving);
	TAILQ_INIT(&master->kept);
	TAILQ_INIT(&master->loggers);
	TAILQ_INIT(&master->processes);
	TAILQ_INIT(&master->reports);
	master->listener_names.most = COUNTERS_LISTENERS;
	master->listener_names.renew = master_renew_listener;
	master->listener_names.arg = master;
	master->handler_names.most = COUNTERS_HANDLERS;
	master->handler_names.renew = master_renew_handler;
	master->handler_names.arg = master;
}

int
master_main(int argc, char *argv[], const struct roles *roles)
{
	static struct master master;
	struct upgrade_legacy legacy;
	struct options options;
	int status;

	master_init(&master);
	fd_open_standard();
	upgrade_inherit(&legacy);
	keeper_inherit(&master);
	if ((status = options_parse(&options, argc, argv)) != -1)
		return (status);
	if (upgrade_init(&master.upgrade, argc, argv) == -1)
		return (master_fail("the command line", strerror(errno)));
	master.roles = roles;
	master.conf_path = options.conf_path;
	if (legacy.state == -1)
		status = master_run(&master, &options);
	else if (options.test)
		/* What it has read is another process's, and nothing is to be
		 * closed or removed. */
		return (upgrade_check(&master, &legacy));
	else
		status = master_take_over(&master, &legacy);
	master_free(&master);
	return (status);
}
