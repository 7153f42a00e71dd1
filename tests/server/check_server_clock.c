/* SPDX-License-Identifier: ISC */
/*
 * A wall clock that jumps closes nobody and spares nobody: of another server
 * it once fired and froze timeouts (h2o#2321).  With libfaketime; exits with
 * 77, which automake counts as skipped, where that is not installed.
 */
#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

enum { DAY_S = 86400 };

static char library[256], clock_file[256];

/* The library that fakes the time; "" if there is none. */
static const char *
find_library(void)
{
	static const char *const patterns[] = {
		"/usr/lib/*/faketime/libfaketime.so.1",
		"/usr/lib*/faketime/libfaketime.so.1",
		"/usr/local/lib/faketime/libfaketime.so.1",
	};
	glob_t found;

	for (int i = 0; i < 3 && library[0] == '\0'; i++) {
		if (glob(patterns[i], 0, NULL, &found) != 0)
			continue;
		snprintf(library, sizeof(library), "%s", found.gl_pathv[0]);
		globfree(&found);
	}
	return (library);
}

static void
fake_the_clock(void)
{
	setenv("LD_PRELOAD", library, 1);
	setenv("FAKETIME_TIMESTAMP_FILE", clock_file, 1);
	setenv("FAKETIME_NO_CACHE", "1", 1);
	/* Only the wall clock; the name has changed with its versions. */
	setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
	setenv("DONT_FAKE_MONOTONIC", "1", 1);
}

/* Let the server's wall clock jump, and see by its log that it did. */
static void
jump(struct server *srv, int days)
{
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	char text[16], words[64];
	int64_t off_s;
	int fd;

	snprintf(text, sizeof(text), "%+dd\n", days);
	server_write(srv, "clock", text);
	server_mark(srv);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "what time is it?");
	/* Earlier lines may still come into the log. */
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	snprintf(words, sizeof(words), "event=conn_open peer=%s:%u",
	    own_address(), ntohs(own.sin_port));
	server_expect(srv, words);
	off_s = ((int64_t)log_time_us(srv->line) - (int64_t)log_now_us()) /
	    1000000;
	close(fd);
	ck_assert_msg(llabs(off_s - days * DAY_S) < 100 * slow_factor(),
	    "the clock was to be off by %d days, and is by %lld s", days,
	    (long long)off_s);
}

static struct server *
start_faked(const char *globals, const char *listeners)
{
	struct server *srv = server_new();

	snprintf(clock_file, sizeof(clock_file), "%s",
	    server_path(srv, "clock"));
	server_write(srv, "clock", "+0d\n");
	srv->prepare = fake_the_clock;
	server_configure(srv, globals, listeners);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

START_TEST(a_clock_jump_of_a_day_closes_no_connection)
{
	static const int days[] = { 1, -1, 365, 0 };
	struct server *srv = start_faked("workers = 1;\n"
	    "watchdog_timeout = 1.0;", FRAMES("read_timeout = 60.0;"));
	int idle = client_connect(FRAME_PORT);
	int busy = client_connect(FRAME_PORT);
	pid_t worker = server_worker(srv, 0);

	client_echo(idle, "hello");
	client_send(busy, "\0\0\0\4", 4);
	for (int i = 0; i < 4; i++) {
		jump(srv, days[i]);
		holds_for(1300, !client_has_input(idle) &&
		    !client_has_input(busy));
		client_echo(idle, "still here");
	}
	client_send_text(busy, "half");
	client_expect_text_frame(busy, "half");
	ck_assert_int_eq(server_worker(srv, 0), worker);
	close(idle);
	close(busy);
	server_end(srv);
}
END_TEST

START_TEST(clock_jumps_do_not_change_timeouts)
{
	struct server *srv = start_faked("workers = 1;",
	    FRAMES("idle_timeout = 2.0;"));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "hello");
	jump(srv, -1);
	client_expect_eof(fd);
	close(fd);
	server_expect(srv, "event=conn_close reason=idle");
	ck_assert_uint_ge(log_number(srv->line, "duration_ms"), 1900);
	/* A day, or not for as long as anybody waits. */
	ck_assert_uint_le(log_number(srv->line, "duration_ms"),
	    patience_ms());
	server_end(srv);
}
END_TEST

START_TEST(clock_jumps_do_not_change_drain_timeout)
{
	struct server *srv = start_faked("workers = 1;\n"
	    "drain_timeout = 1.0;", FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_send(fd, "\0\0\0\4", 4);
	await(server_counters(srv).bytes_in == 4);
	server_write(srv, "clock", "-1d\n");
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	server_expect(srv, "event=conn_close reason=cut");
	close(fd);
	server_end(srv);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		a_clock_jump_of_a_day_closes_no_connection,
		clock_jumps_do_not_change_timeouts,
		clock_jumps_do_not_change_drain_timeout,
	};

	if (*find_library() != '\0' && !server_is_sanitized())
		return (run_tests("clock", tests,
		    sizeof(tests) / sizeof(tests[0])));
	printf("no libfaketime here, or a sanitizer: not tested\n");
	return (77);
}
