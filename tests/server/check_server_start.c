/* SPDX-License-Identifier: ISC */
/*
 * The start: it succeeds, or it ends with status 1, a reason on standard error
 * and no process that is left; and one configuration is served by one master.
 */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define RUN(srv, ...)	server_run((srv), said, sizeof(said), __VA_ARGS__, NULL)

enum { FAILED = 1 };

static char said[4096];

/* Start it, as a daemon and without; both are to fail for that reason. */
static void
expect_failed_start(struct server *srv, const char *reason)
{
	server_mark(srv);
	ck_assert_int_eq(RUN(srv, "-c", "conf"), FAILED);
	ck_assert_msg(strstr(said, reason) != NULL, "it said: %s", said);
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	ck_assert_int_eq(RUN(srv, "-D", "-c", "conf"), FAILED);
	ck_assert_msg(strstr(said, reason) != NULL, "it said: %s", said);
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	await(server_count(srv, "error event=start_failed") == 2);
	ck_assert_uint_eq(server_count(srv, "event=ready"), 0);
}

static void
configure(struct server *srv, const char *pid_file, const char *more)
{
	char text[2048];

	snprintf(text, sizeof(text), "workers = 2; log = { file = \"log\"; };\n"
	    "pid_file = \"%s\"; monitor = { enabled = false; };\n"
	    "listeners = (" FRAMES("") ");\n%s\n", pid_file, more);
	server_write(srv, "conf", text);
}

START_TEST(a_pid_file_without_its_directory_fails_the_start)
{
	struct server *srv = server_new();

	configure(srv, "none/such", "");
	expect_failed_start(srv, "none/such");
	server_end(srv);
}
END_TEST

START_TEST(a_pid_file_that_cannot_be_written_fails_the_start)
{
	struct server *srv = server_new();

	configure(srv, "penstock.pid", "");
	ck_assert_int_eq(mkdir(server_path(srv, "penstock.pid.starting"), 0755),
	    0);
	expect_failed_start(srv, "penstock.pid");
	server_end(srv);
}
END_TEST

/* This one fails when everything is running already. */
START_TEST(a_pid_file_whose_place_is_taken_fails_the_start)
{
	struct server *srv = server_new();

	configure(srv, "penstock.pid",
	    "handlers = ( { name = \"deaf\"; type = \"command\"; "
	    "command = [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; "
	    "done\"]; } );");
	ck_assert_int_eq(mkdir(server_path(srv, "penstock.pid"), 0755), 0);
	expect_failed_start(srv, "penstock.pid");
	ck_assert(!server_has_file(srv, "penstock.pid.starting"));
	server_end(srv);
}
END_TEST

START_TEST(a_handler_that_cannot_be_started_fails_the_start)
{
	struct server *srv = server_new();

	configure(srv, "penstock.pid",
	    "handlers = ( { name = \"none\"; type = \"command\"; "
	    "command = [\"/none/such\"]; } );");
	expect_failed_start(srv, "none");
	ck_assert(!server_has_file(srv, "penstock.pid.starting"));
	server_end(srv);
}
END_TEST

static rlim_t descriptors;

static void
limit_descriptors(void)
{
	struct rlimit limit = { descriptors, descriptors };

	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		_exit(126);
}

START_TEST(too_few_descriptors_fail_the_start)
{
	struct server *srv;
	int status;

	if (server_is_sanitized())
		return;
	for (descriptors = 4; descriptors < 40; descriptors += 2) {
		srv = server_new();
		srv->prepare = limit_descriptors;
		srv->expects_deaths = true;
		configure(srv, "penstock.pid", "");
		server_launch(srv);
		await((status = waitpid(srv->master, NULL, WNOHANG)) != 0 ||
		    server_log(srv, "event=ready") != NULL);
		if (status == srv->master) {
			srv->master = 0;
			await(server_file(srv, "stderr")[0] != '\0');
			await(proc_in_directory(srv->dir, NULL, 0) == 0);
			ck_assert(!server_has_file(srv, "penstock.pid"));
		} else {
			server_signal(srv, SIGINT);
			server_await_exit(srv, 0);
		}
		server_end(srv);
	}
}
END_TEST

/*
 * Two at once.
 */

/* Start two of one configuration at the same moment: one serves. */
static void
race(struct server *srv)
{
	pid_t first, second, loser = 0;
	const char *why;
	int status, fd;

	server_launch(srv);
	first = srv->master;
	server_launch(srv);
	second = srv->master;
	await((loser = waitpid(-1, &status, WNOHANG)) == first ||
	    loser == second);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), FAILED);
	why = server_file(srv, "stderr");
	ck_assert_msg(strstr(why, "has it") != NULL ||
	    strstr(why, "in use") != NULL, "it said: %s", why);
	srv->master = loser == first ? second : first;
	server_await_ready(srv);
	for (int i = 0; i < 4; i++) {
		fd = client_connect(FRAME_PORT);
		client_echo(fd, "by one");
		close(fd);
	}
	ck_assert_uint_eq(server_count(srv, "event=ready"), 1);
	server_end(srv);
}

START_TEST(of_two_starts_at_once_one_serves)
{
	struct server *srv;

	for (unsigned i = 0; i < rounds(8, 200); i++) {
		srv = server_new();
		configure(srv, i % 2 == 0 ? "penstock.pid" : "", "");
		race(srv);
	}
}
END_TEST

START_TEST(of_two_starts_at_once_one_has_the_unix_socket)
{
	struct server *srv;
	char text[1024];

	for (unsigned i = 0; i < rounds(5, 100); i++) {
		srv = server_new();
		snprintf(text, sizeof(text), "workers = 1;\n"
		    "log = { file = \"log\"; }; "
		    "monitor = { enabled = false; };\n"
		    "listeners = ( { name = \"path\"; "
		    "address = \"unix:%s/sock\"; protocol = \"line\"; "
		    "handler = \"echo\"; },\n" FRAMES("") ");\n", srv->dir);
		server_write(srv, "conf", text);
		race(srv);
	}
}
END_TEST

/* They have nothing but the pid file in common. */
START_TEST(of_two_starts_at_once_one_has_the_pid_file)
{
	struct server *srv = server_new();
	bool first_serves;
	int status;

	configure(srv, "penstock.pid", "");
	server_write(srv, "conf2", "pid_file = \"penstock.pid\";\n"
	    "workers = 1; monitor = { enabled = false; };\n"
	    "listeners = (" LINES("") ");\n");
	for (unsigned i = 0; i < rounds(5, 100); i++) {
		server_launch(srv);
		status = RUN(srv, "-c", "conf2", "-D");
		first_serves = status == FAILED;
		if (!first_serves) {
			ck_assert_int_eq(status, 0);
			server_await_exit(srv, FAILED);
			srv->master = atoi(server_file(srv, "penstock.pid"));
			srv->is_daemon = true;
		} else
			await(atoi(server_file(srv, "penstock.pid")) ==
			    srv->master);
		ck_assert_msg(strstr(server_file(srv, first_serves ? "stdout" :
		    "stderr"), "penstock.pid: ") != NULL, "nobody says "
		    "who has the pid file");
		server_signal(srv, SIGINT);
		server_await_exit(srv, 0);
	}
	server_end(srv);
}
END_TEST

RUN_TESTS("server_start",
    a_pid_file_without_its_directory_fails_the_start,
    a_pid_file_that_cannot_be_written_fails_the_start,
    a_pid_file_whose_place_is_taken_fails_the_start,
    a_handler_that_cannot_be_started_fails_the_start,
    too_few_descriptors_fail_the_start,
    of_two_starts_at_once_one_serves,
    of_two_starts_at_once_one_has_the_unix_socket,
    of_two_starts_at_once_one_has_the_pid_file)
