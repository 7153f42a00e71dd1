/* SPDX-License-Identifier: ISC */
/*
 * A server without root, so that the kernel enforces limits: descriptors on
 * their way between processes count against RLIMIT_NOFILE of the user, over all
 * of its processes.  Reloads and reopened logs once killed healthy workers.
 */
#include <sys/resource.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/harness.h"

#define LONG	"idle_timeout = 600.0; read_timeout = 600.0; "		\
		"write_timeout = 600.0;"

enum {
	NOBODY = 65534,
	LIMIT = 176,		/* descriptors of a process, and on their way */
	WORKERS = 24,
	CLIENTS = WORKERS * 60,
	RELOADS = 4,
	REOPENS = 600,		/* more than a channel holds */
};

/* Become somebody whom the limits concern; in the server's directory. */
static void
drop_root(void)
{
	const struct rlimit limit = { LIMIT, LIMIT };

	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		_exit(126);
	if (geteuid() == 0 && (chown(".", NOBODY, NOBODY) == -1 ||
	    chown("stdout", NOBODY, NOBODY) == -1 ||
	    chown("stderr", NOBODY, NOBODY) == -1 ||
	    setresgid(NOBODY, NOBODY, NOBODY) == -1 ||
	    setresuid(NOBODY, NOBODY, NOBODY) == -1))
		_exit(126);
}

static struct server *
start(unsigned workers, const char *more)
{
	struct server *srv = server_new();
	char globals[256];

	snprintf(globals, sizeof(globals), "workers = %u; "
	    "drain_timeout = 300.0; probation = 0.0; %s", workers, more);
	server_configure(srv, globals, FRAMES(LONG));
	/* The build's directory may be closed to others. */
	server_install(srv, "penstock");
	srv->prepare = drop_root;
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

static struct hold_process *
start_load(unsigned clients)
{
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = clients;
	ck_assert_ptr_nonnull(load = hold_start(&options));
	await(hold_peek(load)->open == clients);
	hold_set_rate(load, 200);
	return (load);
}

static void
stop_load(struct hold_process *load, unsigned clients)
{
	expect_unharmed(hold_verify(load));
	ck_assert_uint_eq(hold_peek(load)->verified, clients);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
}

START_TEST(reloads_within_the_users_limits_lose_no_client)
{
	struct server *srv = start(WORKERS, "");
	struct hold_process *load = start_load(CLIENTS);
	const char *line;

	for (int i = 0; i < RELOADS; i++) {
		server_mark(srv);
		server_signal(srv, SIGHUP);
		/* Logs are passed on at the same time. */
		server_signal(srv, SIGUSR1);
		server_expect(srv, "event=reload_done");
		line = server_expect(srv, "event=reload_report");
		ck_assert_uint_eq(log_number(line, "carried"), CLIENTS);
		ck_assert_uint_eq(log_number(line, "held"), CLIENTS);
	}
	stop_load(load, CLIENTS);
	server_end(srv);
}
END_TEST

/* Send SIGUSR1 that often; a signal that is pending is not sent once more. */
static void
reopen_often(struct server *srv)
{
	server_mark(srv);
	for (unsigned n = 0; n < REOPENS; n++) {
		server_signal(srv, SIGUSR1);
		await(server_count(srv, "event=reopen") > n);
	}
}

/* Whether the end of one more connection stands in the log of now. */
static bool
tells_of_a_client(struct server *srv)
{
	stop_load(start_load(1), 1);
	return (strstr(server_file(srv, "log"), "role=worker") != NULL);
}

START_TEST(a_stopped_worker_survives_any_number_of_reopened_logs)
{
	struct server *srv = start(1, "watchdog_timeout = 0.0; "
	    "access_log = { file = \"access\"; };");
	struct hold_process *load = start_load(20);
	pid_t worker = server_worker(srv, 0);
	char old[128];

	ck_assert_int_eq(kill(worker, SIGSTOP), 0);
	reopen_often(srv);
	/* The last order counts. */
	snprintf(old, sizeof(old), "%s", server_path(srv, "log.old"));
	ck_assert_int_eq(rename(server_path(srv, "log"), old), 0);
	server_signal(srv, SIGUSR1);
	await(server_has_file(srv, "log"));
	ck_assert_int_eq(kill(worker, SIGCONT), 0);
	stop_load(load, 20);
	await(tells_of_a_client(srv));
	ck_assert_int_eq(server_worker(srv, 0), worker);
	server_end(srv);
}
END_TEST

START_TEST(a_stopped_worker_survives_a_reload_that_it_holds_up)
{
	struct server *srv = start(2, "watchdog_timeout = 0.0;");
	struct hold_process *load = start_load(40);
	pid_t worker = server_worker(srv, 0);

	ck_assert_int_eq(kill(worker, SIGSTOP), 0);
	reopen_often(srv);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=worker_ready child_slot=1");
	holds_for(500, server_log(srv, "event=reload_done") == NULL);
	ck_assert_int_eq(kill(worker, SIGCONT), 0);
	server_expect(srv, "event=reload_done");
	await(server_children(srv) == 2);
	stop_load(load, 40);
	server_end(srv);
}
END_TEST

RUN_TESTS("unprivileged",
    reloads_within_the_users_limits_lose_no_client,
    a_stopped_worker_survives_any_number_of_reopened_logs,
    a_stopped_worker_survives_a_reload_that_it_holds_up)
