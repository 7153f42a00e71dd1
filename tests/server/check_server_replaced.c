/* SPDX-License-Identifier: ISC */
/*
 * drain_timeout and drain_spread are for connections that nobody takes over: a
 * reload closes none that can be handed over, whatever they are set to.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"

enum { IDLE = 300 };

#define NO_TIME		"workers = 2; drain_timeout = 0.0; drain_spread = 0.0;"
#define NO_TIME_SPREAD	"workers = 2; drain_timeout = 0.0; drain_spread = 5.0;"
#define LONG_SPREAD	"workers = 2; drain_timeout = 1.0; drain_spread = 60.0;"

/* Clients between two messages, one in the middle of a message, and one that
 * does not take its replies. */
struct clients {
	int idle[IDLE];
	int partial;
	int deaf;
};

static void
connect_all(struct server *srv, struct clients *clients)
{
	static uint8_t frame[4 + 1024 * 1024] = "\0\x10\0\0";

	for (int i = 0; i < IDLE; i++) {
		clients->idle[i] = client_connect(FRAME_PORT);
		client_echo(clients->idle[i], "hello");
	}
	clients->partial = client_connect(FRAME_PORT);
	client_send(clients->partial, "\0\0\0\4ha", 6);
	clients->deaf = client_connect_small(FRAME_PORT, 4096);
	client_stuff(clients->deaf, frame, sizeof(frame), 64 * sizeof(frame));
	await(server_counters(srv).active == IDLE + 2);
}

static void
expect_all(struct clients *clients)
{
	for (int i = 0; i < IDLE; i++)
		client_echo(clients->idle[i], "still here");
	client_send_text(clients->partial, "lf");
	client_expect_text_frame(clients->partial, "half");
}

static void
close_all(struct clients *clients)
{
	for (int i = 0; i < IDLE; i++)
		close(clients->idle[i]);
	close(clients->partial);
	client_reset(clients->deaf);
}

static void
expect_none_closed_by_reloads(const char *globals)
{
	struct server *srv = server_start(globals, FRAMES(""));
	struct clients clients;

	connect_all(srv, &clients);
	for (int i = 0; i < 3; i++) {
		server_mark(srv);
		server_reload(srv);
		server_expect(srv, "event=reload_report cut=0 lost=0 "
		    "finished=0");
	}
	expect_all(&clients);
	ck_assert_uint_eq(server_closed(srv, CLOSE_DRAIN), 0);
	ck_assert_uint_eq(server_closed(srv, CLOSE_CUT), 0);
	close_all(&clients);
	server_end(srv);
}

START_TEST(a_reload_without_drain_timeout_closes_no_connection)
{
	expect_none_closed_by_reloads(NO_TIME);
}
END_TEST

START_TEST(a_reload_without_drain_timeout_and_with_a_spread_closes_none)
{
	expect_none_closed_by_reloads(NO_TIME_SPREAD);
}
END_TEST

START_TEST(a_reload_with_a_spread_above_drain_timeout_closes_none)
{
	expect_none_closed_by_reloads(LONG_SPREAD);
}
END_TEST

/* What nobody takes has drain_timeout, and that is nothing here. */
START_TEST(a_listener_that_goes_without_drain_timeout_is_closed_at_once)
{
	struct server *srv = server_start(NO_TIME, FRAMES("") ",\n" EXTRA(""));
	int stays = client_connect(FRAME_PORT), goes =
	    client_connect(EXTRA_PORT);

	client_echo(stays, "hello");
	client_echo(goes, "hello");
	server_configure(srv, NO_TIME, FRAMES(""));
	server_reload(srv);
	client_expect_eof(goes);
	client_echo(stays, "still here");
	await(server_children(srv) == 2);
	close(stays);
	close(goes);
	server_end(srv);
}
END_TEST

#define SLOW(timeout)							\
	"workers = 1; drain_timeout = 0.1; drain_spread = 0.0;\n"	\
	"handlers = (\n" TIMED_COMMAND("slow", "\"hold\"",			\
	"request_timeout = " timeout ";") "\n);"

/* A client with a slow request that its handler has. */
static int
connect_slowly(struct server *srv)
{
	int fd = client_connect(FRAME_PORT);

	client_send_text_frame(fd, "slowly");
	await(server_counters(srv).messages_in == 1);
	return (fd);
}

START_TEST(a_request_longer_than_drain_timeout_is_answered)
{
	struct server *srv = handlers_start(SLOW("60.0"), ONE("slow", ""));
	int fd = connect_slowly(srv);

	server_reload(srv);
	holds_for(500, !client_has_input(fd));
	handlers_release(srv);
	client_expect_text_frame(fd, "slowly");
	server_expect(srv, "event=reload_report carried=1 cut=0");
	client_send_text_frame(fd, "once more");
	client_expect_text_frame(fd, "once more");
	close(fd);
	server_end(srv);
}
END_TEST

/* Otherwise a handler could keep the old worker for ever. */
START_TEST(a_request_without_request_timeout_has_drain_timeout)
{
	struct server *srv = handlers_start(SLOW("0.0"), ONE("slow", ""));
	int fd = connect_slowly(srv);

	server_reload(srv);
	client_expect_eof(fd);
	server_expect(srv, "event=reload_report carried=0 cut=1");
	close(fd);
	server_end(srv);
}
END_TEST

/* Requests that end when the test says so. */
#define GATES(processes, drain_timeout, more)				\
	"workers = 1; drain_timeout = " drain_timeout ";\n"		\
	"handlers = ( { name = \"gate\"; type = \"command\"; "		\
	MISBEHAVE("\"gate\"") " processes = " processes "; "		\
	"request_timeout = 600.0; " more " } );"

static void
open_gate(struct server *srv, const char *name)
{
	server_write(srv, name, "");
}

static int
connect_to_gate(struct server *srv)
{
	int fd = client_connect(LINE_PORT);

	client_send_text(fd, "wait slow\n");
	await(server_counters(srv).messages_in == 1);
	return (fd);
}

static uint64_t
handled(struct server *srv)
{
	struct counters_handler counters = handler_counters(srv);
	uint64_t n = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		n += counters.handling.count[i];
	return (n);
}

/* Three lines waited for 17.6 s until a slow request before them was answered,
 * and only then did their handlers begin. */
START_TEST(a_client_is_read_while_its_slow_request_is_waited_for)
{
	struct server *srv = handlers_start(GATES("4", "300.0", ""),
	    ONE_LINE("gate", ""));
	int fd = connect_to_gate(srv);

	server_reload(srv);
	client_send_text(fd, "one\ntwo\nthree\nfo");
	await(handled(srv) == 3);
	open_gate(srv, "slow");
	client_expect_text(fd, "wait slow\none\ntwo\nthree\n");
	server_expect(srv, "event=reload_report held=1 carried=1");
	client_send_text(fd, "ur\n");
	client_expect_text(fd, "four\n");
	close(fd);
	server_end(srv);
}
END_TEST

/* Its requests overlap, so that it is never at rest by itself. */
START_TEST(a_client_that_always_has_a_slow_request_moves_after_drain_timeout)
{
	struct server *srv = handlers_start(GATES("4", "2.0", ""),
	    ONE_LINE("gate", ""));
	int fd = client_connect(LINE_PORT);
	unsigned sent = 0, got = 0;
	char text[32];

	server_mark(srv);
	while (server_log(srv, "event=reload_report") == NULL) {
		snprintf(text, sizeof(text), "wait %u\n", sent++);
		client_send_text(fd, text);
		if (sent == 2)
			server_signal(srv, SIGHUP);
		if (sent < 2)
			continue;
		/* So long is each of them with its handler. */
		holds_for(1200, server_children(srv) > 0);
		snprintf(text, sizeof(text), "%u", got);
		open_gate(srv, text);
		snprintf(text, sizeof(text), "wait %u\n", got++);
		client_expect_text(fd, text);
		ck_assert_msg(got < 60, "it is never carried");
	}
	ck_assert_uint_eq(log_number(srv->line, "carried"), 1);
	close(fd);
	server_end(srv);
}
END_TEST

/* A reload made it wait for another one at its handler, and then it was
 * answered "busy". */
START_TEST(a_request_in_the_queue_begins_while_a_slow_one_is_waited_for)
{
	struct server *srv = handlers_start(GATES("2", "300.0",
	    "queue_timeout = 10.0;"), ONE_LINE("gate", ""));
	int fd = connect_to_gate(srv), other = client_connect(LINE_PORT);

	client_send_text(other, "wait other\n");
	await(server_counters(srv).messages_in == 2);
	client_send_text(fd, "queued\n");
	await(handler_counters(srv).waiting == 1);
	server_reload(srv);
	open_gate(srv, "other");
	client_expect_text(other, "wait other\n");
	await(handled(srv) == 2);
	open_gate(srv, "slow");
	client_expect_text(fd, "wait slow\nqueued\n");
	ck_assert_uint_eq(handler_counters(srv).expired, 0);
	close(fd);
	close(other);
	server_end(srv);
}
END_TEST

/* The new worker is stopped, so that a connection waits between the two. */
/* Kill a worker and the one that it hands the connection to, which is on its
 * way. */
static void
kill_both(struct server *srv, int fd)
{
	pid_t old = server_worker(srv, 0), new;

	srv->expects_deaths = true;
	server_mark(srv);
	server_reload(srv);
	server_expect(srv, "event=worker_drain ");
	new = server_worker(srv, 0);
	ck_assert_int_ne(old, new);
	ck_assert_int_eq(kill(new, SIGSTOP), 0);
	open_gate(srv, "slow");
	client_expect_text(fd, "wait slow\n");
	await(server_counters(srv).carried_out == 1);
	ck_assert_int_eq(kill(old, SIGKILL), 0);
	ck_assert_int_eq(kill(new, SIGKILL), 0);
}

START_TEST(a_connection_between_two_workers_that_die_is_counted_as_lost)
{
	struct server *srv = handlers_start("custody = false; " GATES("1",
	    "300.0", ""), ONE_LINE("gate", ""));
	int fd = connect_to_gate(srv);

	kill_both(srv, fd);
	server_expect(srv, "event=handover_broken conns_lost=1");
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 1);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_connection_between_two_workers_that_die_is_kept)
{
	struct server *srv = handlers_start(GATES("1", "300.0", ""),
	    ONE_LINE("gate", ""));
	int fd = connect_to_gate(srv);

	kill_both(srv, fd);
	server_expect(srv, "event=rescued kept=1");
	open_gate(srv, "again");
	client_send_text(fd, "wait again\n");
	client_expect_text(fd, "wait again\n");
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	close(fd);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_replaced",
    a_reload_without_drain_timeout_closes_no_connection,
    a_reload_without_drain_timeout_and_with_a_spread_closes_none,
    a_reload_with_a_spread_above_drain_timeout_closes_none,
    a_listener_that_goes_without_drain_timeout_is_closed_at_once,
    a_request_longer_than_drain_timeout_is_answered,
    a_request_without_request_timeout_has_drain_timeout,
    a_client_is_read_while_its_slow_request_is_waited_for,
    a_client_that_always_has_a_slow_request_moves_after_drain_timeout,
    a_request_in_the_queue_begins_while_a_slow_one_is_waited_for,
    a_connection_between_two_workers_that_die_is_counted_as_lost,
    a_connection_between_two_workers_that_die_is_kept)
