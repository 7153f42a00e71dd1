/* SPDX-License-Identifier: ISC */
/*
 * Upgrade in place, probation and roll-back: what is kept over them, and that
 * whatever is wrong with a new program changes nothing.
 */
#include <sys/resource.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/status.h"
#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define TWO	"workers = 2; drain_timeout = 2.0;"
/* A message that has begun may wait for an upgrade on a slow machine. */
#define PATIENT	"read_timeout = 60.0;"
#define NEXT	"tests/programs/penstock-next"

/* A handler that lives, and one that dies soon after it was ready. */
#define LIVING								\
	"handlers = ( { name = \"cat\"; type = \"command\"; processes = 2; " \
	"command = [ \"/bin/cat\" ]; } );"
#define DYING								\
	"handlers = ( { name = \"cat\"; type = \"command\"; processes = 2; " \
	"ready = true; "							\
	"command = [ \"/bin/sh\", \"-c\", \"printf '\\\\0\\\\0\\\\0\\\\0'; " \
	"sleep 1; echo ouch >&2; exit 3\" ]; } );"
#define CATS	LISTENER("cats", "9003", "frame", "cat", "")

/* A server with a program that can be exchanged. */
static struct server *
start(const char *globals, const char *listeners)
{
	struct server *srv = server_new();

	server_configure(srv, globals, listeners);
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

static void
upgrade_to(struct server *srv, const char *program)
{
	server_install(srv, program);
	server_mark(srv);
	server_signal(srv, SIGUSR2);
}

static void
expect_service(void)
{
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "at your service");
	close(fd);
}

static void
expect_upgrade(struct server *srv, const char *version)
{
	char words[64];

	snprintf(words, sizeof(words), "event=upgraded to=%s", version);
	server_expect(srv, words);
	server_expect(srv, "event=reload_done kind=upgrade");
}

/* Nothing has changed but for a line of the log, which says this. */
static void
expect_refusal(struct server *srv, const pid_t workers[2], const char *why)
{
	const char *line = server_expect(srv, "event=upgrade_refused");

	ck_assert_msg(strstr(line, why) != NULL, "not \"%s\": %s", why, line);
	await(server_children(srv) == 2);
	ck_assert_int_eq(server_worker(srv, 0), workers[0]);
	ck_assert_int_eq(server_worker(srv, 1), workers[1]);
	ck_assert_ptr_null(server_log(srv, "event=upgraded"));
	expect_service();
}

/*
 * What is kept.
 */

START_TEST(an_upgrade_keeps_pid_clients_and_counters)
{
	struct server *srv = start(TWO, FRAMES(PATIENT) ", " LINES(PATIENT));
	int frames = client_connect(FRAME_PORT);
	int lines = client_connect(LINE_PORT);
	pid_t workers[2] = { server_worker(srv, 0), server_worker(srv, 1) };
	uint64_t accepted;
	char title[128];

	client_echo(frames, "before");
	client_send(frames, "\0\0\0\4ha", 6);
	client_echo_line(lines, "before");
	accepted = server_counters(srv).accepted;
	upgrade_to(srv, NEXT);
	expect_upgrade(srv, "next");
	client_send_text(frames, "lf");
	client_expect_text_frame(frames, "half");
	client_echo_line(lines, "after");
	expect_service();
	ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")), srv->master);
	ck_assert_int_ne(server_worker(srv, 0), workers[0]);
	ck_assert_int_ne(server_worker(srv, 1), workers[1]);
	ck_assert_uint_eq(server_counters(srv).accepted, accepted + 1);
	await((proc_title(srv->master, title, sizeof(title)),
	    strcmp(title, "penstock: master gen=2") == 0));
	close(frames);
	close(lines);
	await(server_children(srv) == 2);
	/* The pid file is still locked: its owner is found. */
	ck_assert_int_eq(server_run(srv, NULL, 0, "-c", "conf", "-s", "reload",
	    NULL), 0);
	server_expect(srv, "event=reload_done kind=reload");
	server_end(srv);
}
END_TEST

START_TEST(upgrades_back_and_forth_refuse_no_client)
{
	struct server *srv = start(TWO, FRAMES(PATIENT));
	struct hold_process *load = start_churn(20);
	const struct hold_report *report;

	for (int i = 0; i < 6; i++) {
		upgrade_to(srv, i % 2 == 0 ? NEXT : "penstock");
		server_expect(srv, "event=upgraded");
		server_expect(srv, "event=reload_done kind=upgrade");
		await(server_children(srv) == 2);
	}
	report = hold_stop(load);
	print_report("6 upgrades", report);
	expect_unharmed(report);
	hold_drop(load);
	server_end(srv);
}
END_TEST

START_TEST(upgrades_leak_no_descriptor)
{
	struct server *srv = start(TWO LIVING "probation = 0.0;",
	    FRAMES(PATIENT) ", " CATS);
	size_t after_two = 0;

	for (int i = 1; i <= 12; i++) {
		upgrade_to(srv, i % 2 == 1 ? NEXT : "penstock");
		server_expect(srv, "event=reload_done kind=upgrade");
		/* Two workers, two executors. */
		await(server_children(srv) == 4);
		if (i == 2)
			after_two = proc_fds(srv->master, NULL, 0);
	}
	/* What was about to be closed may have been counted. */
	await(proc_fds(srv->master, NULL, 0) <= after_two);
	server_end(srv);
}
END_TEST

START_TEST(adopted_workers_are_supervised)
{
	struct server *srv = start(TWO "watchdog_timeout = 1.0;", FRAMES(PATIENT));
	int port = take_port(EXTRA_PORT);
	pid_t old;

	srv->expects_deaths = true;
	server_configure(srv, TWO "watchdog_timeout = 1.0;",
	    FRAMES(PATIENT) ", " EXTRA(""));
	upgrade_to(srv, NEXT);
	server_expect(srv, "event=upgraded to=next");
	server_expect(srv, "event=reload_refused kind=upgrade");
	expect_service();
	old = server_worker(srv, 0);
	kill(old, SIGKILL);
	server_await_successor(srv, 0, old);
	server_expect(srv, "event=worker_died signal=9");
	old = server_worker(srv, 1);
	kill(old, SIGSTOP);
	server_await_successor(srv, 1, old);
	server_expect(srv, "event=worker_hung");
	expect_service();
	/* Their channels pass orders on. */
	close(port);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done gen=2");
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

START_TEST(adopted_executors_are_supervised)
{
	struct server *srv = start(TWO LIVING, FRAMES(PATIENT) ", " CATS);
	int port = take_port(SINK_PORT), fd = client_connect(EXTRA_PORT);
	pid_t old;

	client_echo(fd, "before");
	server_configure(srv, TWO LIVING, FRAMES(PATIENT) ", " CATS ", " SINK(""));
	upgrade_to(srv, NEXT);
	server_expect(srv, "event=upgraded to=next");
	server_expect(srv, "event=reload_refused kind=upgrade");
	client_echo(fd, "adopted");
	srv->log_mark = 0;
	old = (pid_t)log_number(server_expect(srv,
	    "event=executor_ready executor=1"), "child");
	kill(old, SIGKILL);
	server_expect(srv, "event=executor_died executor=1");
	server_expect(srv, "event=executor_ready executor=3");
	client_echo(fd, "replaced");
	await(server_children(srv) == 4);
	close(fd);
	close(port);
	server_end(srv);
}
END_TEST

START_TEST(upgrades_work_with_relative_paths_limits_and_a_daemon)
{
	struct server *srv = server_new();

	server_configure(srv, TWO "max_connections = 20;", FRAMES(PATIENT));
	server_install(srv, "penstock");
	ck_assert_int_eq(server_run(srv, NULL, 0, "-D", "-c", "conf", NULL),
	    0);
	srv->master = atoi(server_file(srv, "penstock.pid"));
	srv->is_daemon = true;
	for (int i = 0; i < 2; i++) {
		upgrade_to(srv, NEXT);
		expect_upgrade(srv, "next");
		await(server_children(srv) == 2);
	}
	ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")), srv->master);
	expect_service();
	server_end(srv);
}
END_TEST

static void
allow_few_descriptors(void)
{
	struct rlimit limit = { .rlim_cur = 64, .rlim_max = 64 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

START_TEST(sixty_four_descriptors_are_enough)
{
	struct server *srv = server_new();

	srv->prepare = allow_few_descriptors;
	server_configure(srv, TWO "max_connections = 20;", FRAMES(PATIENT));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	upgrade_to(srv, NEXT);
	expect_upgrade(srv, "next");
	expect_service();
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

/* The report comes when the last worker of the previous generation has gone,
 * whichever process is the master then. */
START_TEST(reports_that_are_not_complete_go_along)
{
	struct server *srv = start("workers = 1; drain_timeout = 300.0;",
	    FRAMES(PATIENT) ", " LINES(PATIENT));
	int frames = client_connect(FRAME_PORT);
	int lines = client_connect(LINE_PORT);
	const char *line;

	client_echo(frames, "carried");
	client_echo_line(lines, "stays, as its listener goes");
	server_configure(srv, "workers = 1; drain_timeout = 300.0;",
	    FRAMES(PATIENT));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done kind=reload");
	upgrade_to(srv, NEXT);
	expect_upgrade(srv, "next");
	/* That of the upgrade is complete. */
	server_expect(srv, "event=reload_report kind=upgrade held=1 carried=1");
	ck_assert_ptr_null(server_log(srv, "event=reload_report kind=reload"));
	upgrade_to(srv, "penstock");
	server_expect(srv, "event=upgraded from=next");
	server_expect(srv, "event=reload_report kind=upgrade held=1 carried=1");
	client_echo_line(lines, "still there");
	close(lines);
	line = server_expect(srv, "event=reload_report kind=reload "
	    "generation=2 held=2 carried=1 finished=1 closed=0 cut=0 lost=0");
	ck_assert_uint_gt(log_number(line, "longest_us"), 0);
	ck_assert_uint_gt(log_number(line, "duration_ms"), 0);
	/* The log of a worker can come after that of the master. */
	server_expect(srv, "event=worker_drained gen=1");
	ck_assert_uint_eq(server_count(srv, "event=worker_drained gen=1"), 1);
	client_echo(frames, "carried on");
	close(frames);
	await(server_children(srv) == 1);
	server_end(srv);
}
END_TEST

START_TEST(a_log_that_was_reopened_goes_on)
{
	struct server *srv = start(TWO, FRAMES(PATIENT));
	char old[PATH_MAX];

	snprintf(old, sizeof(old), "%s", server_path(srv, "log"));
	ck_assert_int_eq(rename(old, server_path(srv, "log.1")), 0);
	server_signal(srv, SIGUSR1);
	await(server_has_file(srv, "log"));
	upgrade_to(srv, NEXT);
	expect_upgrade(srv, "next");
	ck_assert_ptr_nonnull(strstr(server_file(srv, "log"),
	    "event=upgraded"));
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

/*
 * What is refused.
 */

/* The last report of the master: whether something was refused, and why. */
static void
expect_report(struct server *srv, enum status_kind kind, const char *why)
{
	struct status_report report;
	struct proc_fd fds[64];
	struct status status;
	char path[64];
	size_t n = proc_fds(srv->master, fds, 64);

	for (size_t i = 0; i < n && i < 64; i++) {
		if (strstr(fds[i].target, "penstock-status") == NULL)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%d",
		    (int)srv->master, fds[i].number);
		ck_assert_int_eq(status_open(&status,
		    open(path, O_RDONLY | O_CLOEXEC), false), 0);
		ck_assert(status_get_report(&status, status.map->reports,
		    &report));
		status_free(&status);
		ck_assert_str_eq(status_kind_name(report.kind),
		    status_kind_name(kind));
		ck_assert_str_eq(status_result_name(report.result), "refused");
		ck_assert_ptr_nonnull(strstr(report.why, why));
		return;
	}
	ck_abort_msg("there is no status");
}

/* A deployment turns a link over, and may take away what it led to. */
START_TEST(the_next_program_is_where_a_link_leads)
{
	struct server *srv = server_new();
	char real[sizeof(srv->program)], copy[sizeof(srv->program) + 8];

	server_configure(srv, TWO, FRAMES(PATIENT));
	server_install(srv, "penstock");
	memcpy(real, srv->program, sizeof(real));
	snprintf(copy, sizeof(copy), "%s.one", real);
	ck_assert_int_eq(rename(real, copy), 0);
	ck_assert_int_eq(symlink("program.one", real), 0);
	server_launch(srv);
	server_await_ready(srv);
	ck_assert_int_eq(unlink(copy), 0);
	for (int i = 0; i < 2; i++) {
		upgrade_to(srv, i == 0 ? NEXT : "penstock");
		server_expect(srv, "event=reload_done kind=upgrade");
		ck_assert_ptr_nonnull(server_log(srv, "event=upgraded"));
	}
	server_end(srv);
}
END_TEST

START_TEST(a_program_that_is_not_penstock_refuses_the_upgrade)
{
	struct server *srv = start(TWO, FRAMES(PATIENT));
	pid_t workers[2] = { server_worker(srv, 0), server_worker(srv, 1) };

	ck_assert_int_eq(unlink(srv->program), 0);
	server_mark(srv);
	server_signal(srv, SIGUSR2);
	expect_refusal(srv, workers, "No such file");
	expect_report(srv, STATUS_UPGRADE, "No such file");
	upgrade_to(srv, "/bin/true");
	expect_refusal(srv, workers, "no penstock that can take over");
	upgrade_to(srv, "/bin/false");
	expect_refusal(srv, workers, "exit status 1");
	upgrade_to(srv, "/etc/passwd");
	expect_refusal(srv, workers, "Exec format error");
	/* And then one that is as it should be. */
	upgrade_to(srv, NEXT);
	expect_upgrade(srv, "next");
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

START_TEST(a_wrong_configuration_refuses_the_upgrade)
{
	struct server *srv = start(TWO, FRAMES(PATIENT));
	pid_t workers[2] = { server_worker(srv, 0), server_worker(srv, 1) };

	server_configure(srv, "worker = 3;", FRAMES(PATIENT));
	upgrade_to(srv, NEXT);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=upgrade_stderr"), "conf:3: unknown key"));
	expect_refusal(srv, workers, "unknown key");
	server_end(srv);
}
END_TEST

static void
refuse_decoy(const char *decoy, const char *why)
{
	struct server *srv;
	pid_t workers[2];

	ck_assert_int_eq(setenv("DECOY", decoy, 1), 0);
	srv = start(TWO, FRAMES(PATIENT));
	workers[0] = server_worker(srv, 0);
	workers[1] = server_worker(srv, 1);
	upgrade_to(srv, "tests/programs/decoy");
	expect_refusal(srv, workers, why);
	/* Whatever it did, nothing is in the way of the next one. */
	upgrade_to(srv, NEXT);
	expect_upgrade(srv, "next");
	await(server_children(srv) == 2);
	server_end(srv);
}

START_TEST(a_check_that_crashes_refuses_the_upgrade)
{
	refuse_decoy("crash", "signal 6");
}
END_TEST

START_TEST(a_check_that_hangs_refuses_the_upgrade)
{
	refuse_decoy("hang", "not done with the check within 10 s");
}
END_TEST

START_TEST(a_check_of_another_state_refuses_the_upgrade)
{
	refuse_decoy("lie", "no penstock that can take over");
}
END_TEST

START_TEST(an_exec_that_fails_refuses_the_upgrade)
{
	refuse_decoy("vanish", "exec: Permission denied");
}
END_TEST

START_TEST(a_program_that_cannot_take_over_executes_the_previous_one)
{
	struct server *srv = start(TWO LIVING, FRAMES(PATIENT) ", " CATS);
	pid_t workers[2] = { server_worker(srv, 0), server_worker(srv, 1) };
	int fd = client_connect(EXTRA_PORT);
	size_t fds;

	client_echo(fd, "before");
	fds = proc_fds(srv->master, NULL, 0);
	server_write(srv, "fault", "adopt fail");
	upgrade_to(srv, NEXT);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=upgrade_refused"), "torn in two"));
	ck_assert_int_eq(server_worker(srv, 0), workers[0]);
	ck_assert_int_eq(server_worker(srv, 1), workers[1]);
	ck_assert_ptr_nonnull(strstr(server_file(srv, "stderr"),
	    "cannot take over: torn in two"));
	client_echo(fd, "after");
	expect_service();
	await(server_children(srv) == 4);
	await(proc_fds(srv->master, NULL, 0) <= fds);
	/* With part of the processes taken over already. */
	server_write(srv, "fault", "channel fail");
	upgrade_to(srv, NEXT);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=upgrade_refused"), "processes: "));
	client_echo(fd, "after");
	await(proc_fds(srv->master, NULL, 0) <= fds);
	unlink(server_path(srv, "fault"));
	upgrade_to(srv, NEXT);
	expect_upgrade(srv, "next");
	client_echo(fd, "and on");
	close(fd);
	await(server_children(srv) == 4);
	server_end(srv);
}
END_TEST

/*
 * The previous release.
 */

/* Clients of a server in one of the states that a connection can be in. */
struct clients {
	int idle, partial, lines, cats;
};

static struct clients
connect_clients(void)
{
	struct clients clients = {
		.idle = client_connect(FRAME_PORT),
		.partial = client_connect(FRAME_PORT),
		.lines = client_connect(LINE_PORT),
		.cats = client_connect(EXTRA_PORT),
	};

	client_echo(clients.idle, "before");
	client_send(clients.partial, "\0\0\0\4ha", 6);
	client_echo_line(clients.lines, "before");
	client_echo(clients.cats, "before");
	return (clients);
}

/* All were handed over, and nobody has noticed. */
static void
expect_carried(struct server *srv, const char *kind,
    const struct clients *clients)
{
	char words[64];
	const char *line;

	snprintf(words, sizeof(words), "event=reload_report kind=%s", kind);
	line = server_expect(srv, words);
	ck_assert_msg(strstr(line, "held=4 carried=4 finished=0 ") != NULL &&
	    strstr(line, "cut=0 lost=0") != NULL, "%s", line);
	client_send(clients->partial, "ha", 2);
	client_expect_frame(clients->partial, "haha", 4);
	client_send(clients->partial, "\0\0\0\4ha", 6);
	client_echo(clients->idle, "after");
	client_echo_line(clients->lines, "after");
	client_echo(clients->cats, "after");
	expect_service();
	/* The next report is only about these. */
	await(server_counters(srv).active == 4);
	await(server_children(srv) == 4);
}

static struct server *
start_previous(void)
{
	struct server *srv = server_new();

	server_configure(srv, TWO LIVING "probation = 0.0;",
	    FRAMES(PATIENT) ", " LINES(PATIENT) ", " CATS);
	server_install(srv, "tests/programs/penstock-previous");
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

START_TEST(an_upgrade_from_the_previous_release_and_back_keeps_all_clients)
{
	struct server *srv = start_previous();
	struct clients clients = connect_clients();

	for (int i = 0; i < 2; i++) {
		upgrade_to(srv, "penstock");
		expect_carried(srv, "upgrade", &clients);
		ck_assert_ptr_nonnull(server_log(srv,
		    "event=upgraded from=previous"));
		/* Workers and executors of this release. */
		server_mark(srv);
		server_signal(srv, SIGHUP);
		expect_carried(srv, "reload", &clients);
		upgrade_to(srv, "tests/programs/penstock-previous");
		expect_carried(srv, "upgrade", &clients);
		ck_assert_ptr_nonnull(server_log(srv, "to=previous"));
	}
	ck_assert_ptr_null(server_log(srv, "event=worker_killed"));
	server_end(srv);
}
END_TEST

/* The previous release could not pass the two pipes of that one to its worker,
 * which has to stay, because a client waits. */
START_TEST(a_downgrade_starts_another_executor_in_place_of_a_starting_one)
{
	struct server *srv = server_new();
	pid_t served;
	int waiting;

	server_configure(srv, "workers = 1; drain_timeout = 30.0; "
	    "probation = 0.0; handlers = ( { name = \"cat\"; "
	    "type = \"command\"; processes = 1; ready = true; "
	    "working_directory = \"$D\"; "
	    "command = [ \"/bin/sh\", \"-c\", \"test -e slow && "
	    "{ echo waits >&2; sleep 600; }; printf '\\\\0\\\\0\\\\0\\\\0'; "
	    "exec cat\" ]; }, { name = \"mute\"; type = \"command\"; "
	    "processes = 1; command = [ \"sleep\", \"600\" ]; "
	    "request_timeout = 60.0; } );",
	    CATS ", " LISTENER("mute", "9004", "frame", "mute", ""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	waiting = client_connect(HIGH_PORT);
	client_send_text_frame(waiting, "hello?");
	await(server_counters(srv).messages_in == 1);
	server_write(srv, "slow", "");
	served = (pid_t)log_number(server_expect(srv,
	    "event=executor_ready handler=cat"), "child");
	server_mark(srv);
	ck_assert_int_eq(kill(served, SIGKILL), 0);
	server_expect(srv, "event=handler_stderr handler=cat");
	ck_assert_int_eq(unlink(server_path(srv, "slow")), 0);
	upgrade_to(srv, "tests/programs/penstock-previous");
	server_expect(srv, "event=upgraded to=previous");
	/* One for each worker. */
	await(server_count(srv, "event=executor_ready handler=cat") == 2);
	ck_assert_ptr_null(server_log(srv, "event=executor_died"));
	close(waiting);
	server_end(srv);
}
END_TEST

/* The master sees the end of both in one turn, and checks the program again. */
START_TEST(a_draining_worker_that_dies_with_the_check_run_stops_no_downgrade)
{
	struct server *srv = server_new();
	pid_t old, pids[SERVER_PROCESSES_MAX];
	int client;
	size_t n;

	srv->expects_deaths = true;
	server_configure(srv, "workers = 1;", FRAMES("") ", " EXTRA(""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	old = server_worker(srv, 0);
	client = client_connect(EXTRA_PORT);
	client_echo(client, "the old worker stays");
	server_configure(srv, "workers = 1;", FRAMES(""));
	server_reload(srv);
	n = proc_glimpse_children(srv->master, NULL, 0);
	upgrade_to(srv, "tests/programs/penstock-previous");
	/* It lives but a moment. */
	while (proc_glimpse_children(srv->master, pids,
	    SERVER_PROCESSES_MAX) == n)
		;
	kill(srv->master, SIGSTOP);
	ck_assert_int_eq(kill(old, SIGKILL), 0);
	await(proc_is_dead(old) && proc_is_dead(pids[n]));
	kill(srv->master, SIGCONT);
	server_expect(srv, "event=upgraded to=previous");
	close(client);
	server_end(srv);
}
END_TEST

START_TEST(a_rollback_to_the_previous_release_keeps_all_clients)
{
	struct server *srv = start_previous();
	struct clients clients = connect_clients();

	server_configure(srv, TWO DYING, FRAMES(PATIENT) ", " LINES(PATIENT) ", " CATS);
	upgrade_to(srv, "penstock");
	server_expect(srv, "event=reload_done kind=upgrade");
	server_expect(srv, "event=rollback of=upgrade");
	server_expect(srv, "event=upgraded to=previous");
	server_expect(srv, "event=reload_done kind=rollback");
	expect_carried(srv, "rollback", &clients);
	server_end(srv);
}
END_TEST

/* Modules are run by processes of ours, which speak to the workers. */
START_TEST(executors_of_two_releases_serve_each_others_workers)
{
	const char *globals = "workers = 1; drain_timeout = 2.0; handlers = ("
	    MODULE("mod", "", "") ");";
	struct server *srv = handlers_new();
	int port = take_port(SINK_PORT), fd;
	const char *program = "penstock";

	handlers_configure(srv, globals, ONE("mod", ""));
	server_install(srv, "tests/programs/penstock-previous");
	server_launch(srv);
	server_await_ready(srv);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "before");
	/* The configuration cannot hold, so that the workers stay. */
	handlers_configure(srv, globals, ONE("mod", "") ", " SINK(""));
	for (int i = 0; i < 2; i++) {
		upgrade_to(srv, program);
		server_expect(srv, "event=upgraded");
		server_expect(srv, "event=reload_refused kind=upgrade");
		client_echo(fd, "adopted");
		srv->log_mark = 0;
		kill((pid_t)log_number(server_expect(srv,
		    i == 0 ? "event=executor_ready executor=1" :
		    "event=executor_ready executor=2"), "child"), SIGKILL);
		server_expect(srv, i == 0 ? "event=executor_ready executor=2" :
		    "event=executor_ready executor=3");
		client_echo(fd, "by another one");
		program = "tests/programs/penstock-previous";
	}
	close(port);
	close(fd);
	server_end(srv);
}
END_TEST

/*
 * Orders.
 */

START_TEST(an_upgrade_during_a_reload_follows_it)
{
	struct server *srv = start(TWO, FRAMES(PATIENT));

	server_install(srv, NEXT);
	server_signal(srv, SIGHUP);
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_done kind=reload gen=2");
	server_expect(srv, "event=reload_done kind=upgrade gen=3");
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_during_a_check_that_fails_follows_it)
{
	struct server *srv;

	ck_assert_int_eq(setenv("DECOY", "hang", 1), 0);
	srv = start(TWO, FRAMES(PATIENT));
	upgrade_to(srv, "tests/programs/decoy");
	await(server_children(srv) == 3);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload");
	server_expect(srv, "event=upgrade_refused");
	server_expect(srv, "event=reload_done kind=reload gen=2");
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

START_TEST(an_upgrade_during_a_check_begins_it_anew)
{
	struct server *srv;

	ck_assert_int_eq(setenv("DECOY", "hang", 1), 0);
	srv = start(TWO, FRAMES(PATIENT));
	upgrade_to(srv, "tests/programs/decoy");
	await(server_children(srv) == 3);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload");
	server_install(srv, NEXT);
	server_signal(srv, SIGUSR2);
	expect_upgrade(srv, "next");
	await(server_children(srv) == 2);
	ck_assert_ptr_null(server_log(srv, "event=upgrade_refused"));
	server_end(srv);
}
END_TEST

START_TEST(a_stop_during_a_check_stops)
{
	struct server *srv;

	ck_assert_int_eq(setenv("DECOY", "hang", 1), 0);
	srv = start(TWO, FRAMES(PATIENT));
	upgrade_to(srv, "tests/programs/decoy");
	await(server_children(srv) == 3);
	server_counters(srv);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	server_expect(srv, "event=upgrade_refused");
	server_end(srv);
}
END_TEST

START_TEST(many_orders_at_once_end_in_one_generation)
{
	struct server *srv = start(TWO, FRAMES(PATIENT));
	struct hold_process *load = start_churn(10);

	for (int i = 0; i < 60; i++) {
		if (i % 20 == 0)
			server_install(srv, i % 40 == 0 ? NEXT : "penstock");
		server_signal(srv, i % 3 == 0 ? SIGUSR2 : SIGHUP);
		await_pause();
	}
	/* The last ones of each kind. */
	upgrade_to(srv, NEXT);
	expect_upgrade(srv, "next");
	await(server_children(srv) == 2);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
}
END_TEST

/*
 * Probation.
 */

START_TEST(a_configuration_with_a_dying_handler_is_rolled_back)
{
	struct server *srv = start(TWO LIVING,
	    FRAMES(PATIENT) ", " LINES(PATIENT) ", " CATS);
	int frames = client_connect(FRAME_PORT);

	client_echo(frames, "before");
	/* Without the lines, and with another log. */
	server_write(srv, "conf", "pid_file = \"penstock.pid\";\n"
	    "log = { file = \"log.new\"; };\n" TWO DYING
	    "listeners = (" FRAMES(PATIENT) ", " CATS ");");
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done kind=rollback gen=3");
	ck_assert_ptr_nonnull(strstr(server_file(srv, "log.new"),
	    "event=rollback of=reload to=1 error=\"cat of generation 2 crash "
	    "in a loop: "));
	client_echo(frames, "after");
	close(frames);
	frames = client_connect(LINE_PORT);
	client_echo_line(frames, "there again");
	close(frames);
	frames = client_connect(EXTRA_PORT);
	client_echo(frames, "handled again");
	close(frames);
	await(server_children(srv) == 4);
	server_end(srv);
}
END_TEST

START_TEST(a_crash_loop_after_a_rollback_causes_no_second_rollback)
{
	struct server *srv = start(TWO DYING, FRAMES(PATIENT) ", " CATS);

	/* Nobody is on probation after a start. */
	server_configure(srv, TWO DYING "cpu_affinity = true;",
	    FRAMES(PATIENT) ", " CATS);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=rollback of=reload to=1");
	server_expect(srv, "event=reload_done kind=rollback");
	server_mark(srv);
	await(server_count(srv, "event=executor_died") > 8);
	ck_assert_ptr_null(server_log(srv, "event=rollback"));
	server_end(srv);
}
END_TEST

START_TEST(without_probation_nothing_is_rolled_back)
{
	struct server *srv = start(TWO, FRAMES(PATIENT));

	server_configure(srv, TWO DYING "probation = 0.0;",
	    FRAMES(PATIENT) ", " CATS);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done gen=2");
	await(server_count(srv, "event=executor_died") > 8);
	ck_assert_ptr_null(server_log(srv, "event=rollback"));
	server_end(srv);
}
END_TEST

START_TEST(a_refused_rollback_keeps_the_running_generation)
{
	struct server *srv = start(TWO, FRAMES(PATIENT) ", " EXTRA(""));
	pid_t worker;
	int port;

	srv->expects_deaths = true;
	server_configure(srv, TWO, FRAMES(PATIENT));
	server_reload(srv);
	await(client_is_refused(EXTRA_PORT));
	await(server_children(srv) == 2);
	port = take_port(EXTRA_PORT);
	for (int i = 0; i < 3; i++) {
		worker = server_worker(srv, 0);
		kill(worker, SIGKILL);
		server_await_successor(srv, 0, worker);
	}
	server_expect(srv, "event=rollback of=reload to=1");
	server_expect(srv, "event=reload_refused kind=rollback");
	expect_report(srv, STATUS_ROLLBACK, "Address already in use");
	await(server_children(srv) == 2);
	expect_service();
	close(port);
	server_end(srv);
}
END_TEST

START_TEST(a_program_whose_workers_crash_is_rolled_back)
{
	struct server *srv = start(TWO, FRAMES(PATIENT) ", " LINES(PATIENT));
	char path[64], program[PATH_MAX] = "";
	size_t fds;
	int fd;

	srv->expects_deaths = true;
	fds = proc_fds(srv->master, NULL, 0);
	/* What it was upgraded with goes too. */
	server_configure(srv, TWO, FRAMES(PATIENT));
	server_write(srv, "crash", "late");
	upgrade_to(srv, NEXT);
	server_expect(srv, "event=upgraded to=next");
	server_expect(srv, "event=rollback of=upgrade to=1");
	server_expect(srv, "event=upgraded from=next");
	ck_assert_int_eq(unlink(server_path(srv, "crash")), 0);
	server_expect(srv, "event=reload_done kind=rollback");
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)srv->master);
	ck_assert_int_gt(readlink(path, program, sizeof(program) - 1), 0);
	/* The file that is there by that name is still the other one. */
	ck_assert_ptr_nonnull(strstr(program, "(deleted)"));
	expect_service();
	fd = client_connect(LINE_PORT);
	client_echo_line(fd, "there again");
	close(fd);
	await(server_children(srv) == 2);
	await(proc_fds(srv->master, NULL, 0) <= fds);
	/* The next one is looked for where the first one was. */
	server_configure(srv, TWO, FRAMES(PATIENT));
	upgrade_to(srv, NEXT);
	expect_upgrade(srv, "next");
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

RUN_TESTS("upgrade",
    an_upgrade_keeps_pid_clients_and_counters,
    upgrades_back_and_forth_refuse_no_client,
    upgrades_leak_no_descriptor,
    adopted_workers_are_supervised,
    adopted_executors_are_supervised,
    upgrades_work_with_relative_paths_limits_and_a_daemon,
    sixty_four_descriptors_are_enough,
    reports_that_are_not_complete_go_along,
    a_log_that_was_reopened_goes_on,
    the_next_program_is_where_a_link_leads,
    a_program_that_is_not_penstock_refuses_the_upgrade,
    a_wrong_configuration_refuses_the_upgrade,
    a_check_that_crashes_refuses_the_upgrade,
    a_check_that_hangs_refuses_the_upgrade,
    a_check_of_another_state_refuses_the_upgrade,
    an_exec_that_fails_refuses_the_upgrade,
    a_program_that_cannot_take_over_executes_the_previous_one,
    an_upgrade_from_the_previous_release_and_back_keeps_all_clients,
    a_downgrade_starts_another_executor_in_place_of_a_starting_one,
    a_draining_worker_that_dies_with_the_check_run_stops_no_downgrade,
    a_rollback_to_the_previous_release_keeps_all_clients,
    executors_of_two_releases_serve_each_others_workers,
    an_upgrade_during_a_reload_follows_it,
    a_reload_during_a_check_that_fails_follows_it,
    an_upgrade_during_a_check_begins_it_anew,
    a_stop_during_a_check_stops,
    many_orders_at_once_end_in_one_generation,
    a_configuration_with_a_dying_handler_is_rolled_back,
    a_crash_loop_after_a_rollback_causes_no_second_rollback,
    without_probation_nothing_is_rolled_back,
    a_refused_rollback_keeps_the_running_generation,
    a_program_whose_workers_crash_is_rolled_back)
