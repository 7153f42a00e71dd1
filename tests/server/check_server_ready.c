/* SPDX-License-Identifier: ISC */
/*
 * Handlers that do not get ready: the log says so, and later orders do not wait
 * for them.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"

#define MONITOR_PORT 9180
#define MONITOR	"monitor = { address = \"$A:9180\"; };\n"
#define GOOD	HANDLERS(COMMAND("work", "\"echo\"", ""))
#define NEVER(more) HANDLERS(COMMAND("work", "\"never-ready\"",		\
	"ready = true; " more))

/* A reload that waits, with a server that can be upgraded. */
static struct server *
start_waiting(const char *never)
{
	struct server *srv = handlers_new();

	handlers_configure(srv, MONITOR GOOD, ONE("work", ""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	handlers_configure(srv, never, ONE("work", ""));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=executor_start");
	return (srv);
}

/* What the monitor tells of the server now. */
static bool
status_has(const char *text)
{
	char reply[65536], request[96];
	int fd = client_connect(MONITOR_PORT);
	size_t len = 0;
	ssize_t n = 1;

	snprintf(request, sizeof(request), "GET /status HTTP/1.1\r\n"
	    "Host: %s\r\nConnection: close\r\n\r\n", own_address());
	client_send_text(fd, request);
	while (n > 0 && len < sizeof(reply) - 1) {
		await(client_has_input(fd));
		n = read(fd, reply + len, sizeof(reply) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	reply[len] = '\0';
	close(fd);
	return (strstr(reply, text) != NULL);
}

START_TEST(a_reload_that_waits_says_what_it_waits_for)
{
	struct server *srv = start_waiting(MONITOR
	    NEVER("ready_timeout = 5.0;"));

	await(status_has("\"state\":\"reloading\""));
	await(status_has("\"role\":\"executor\",\"state\":\"starting\","
	    "\"handler\":\"work\""));
	server_expect(srv, "event=executor_waits handler=work for=READY");
	ck_assert_uint_le(log_number(srv->line, "left_ms"), 2000);
	expect_answered(FRAME_PORT, "hello");
	server_expect(srv, "event=reload_refused");
	ck_assert_msg(strstr(srv->line, "handler work: it was not ready within "
	    "5 s") != NULL, "%s", srv->line);
	/* Once, not in each tick. */
	ck_assert_uint_eq(server_count(srv, "event=executor_waits"), 1);
	expect_answered(FRAME_PORT, "hello");
	server_end(srv);
}
END_TEST

/* A module that does not come back from open(). */
START_TEST(a_module_that_does_not_open_is_reported)
{
	struct server *srv = start_waiting(HANDLERS(MODULE("work",
	    "open_ms = 600000;", "threads = 1; ready_timeout = 4.0;")));

	server_expect(srv, "event=executor_waits handler=work");
	server_expect(srv, "event=reload_refused");
	expect_answered(FRAME_PORT, "hello");
	server_end(srv);
}
END_TEST

START_TEST(a_later_reload_does_not_wait_for_unready_handlers)
{
	struct server *srv = start_waiting(NEVER(""));

	handlers_configure(srv, HANDLERS(COMMAND("work", "\"pid\"", "")),
	    ONE("work", ""));
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=reload_refused"), "a later order came"));
	server_expect(srv, "event=reload_done kind=reload");
	/* The worker and its command: nothing else stays. */
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

/* What does not take seconds is not given up for a later order.  A program in
 * Python can take seconds where there is much to do, a module does not. */
START_TEST(a_later_reload_waits_for_its_own_handlers)
{
	struct server *srv = start_waiting(HANDLERS(MODULE("work",
	    "open_ms = 700;", "threads = 1;")));

	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done");
	server_mark(srv);
	server_expect(srv, "event=reload_done");
	ck_assert_uint_eq(server_count(srv, "event=reload_refused"), 0);
	server_end(srv);
}
END_TEST

START_TEST(an_upgrade_does_not_wait_for_unready_handlers)
{
	struct server *srv = start_waiting(NEVER(""));

	handlers_configure(srv, GOOD, ONE("work", ""));
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_refused");
	server_expect(srv, "event=upgraded");
	server_expect(srv, "event=reload_done kind=upgrade");
	expect_answered(FRAME_PORT, "hello");
	server_end(srv);
}
END_TEST

START_TEST(a_stop_does_not_wait_for_unready_handlers)
{
	struct server *srv = start_waiting(NEVER(""));

	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

START_TEST(a_start_that_waits_is_told_and_can_be_stopped)
{
	struct server *srv = handlers_new();

	handlers_configure(srv, NEVER(""), ONE("work", ""));
	server_launch(srv);
	server_expect(srv, "event=executor_waits handler=work");
	ck_assert_uint_gt(log_number(srv->line, "left_ms"), 10000);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_ready",
    a_reload_that_waits_says_what_it_waits_for,
    a_module_that_does_not_open_is_reported,
    a_later_reload_does_not_wait_for_unready_handlers,
    a_later_reload_waits_for_its_own_handlers,
    an_upgrade_does_not_wait_for_unready_handlers,
    a_stop_does_not_wait_for_unready_handlers,
    a_start_that_waits_is_told_and_can_be_stopped)
