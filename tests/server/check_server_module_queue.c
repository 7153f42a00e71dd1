/* SPDX-License-Identifier: ISC */
/*
 * The queue before a module, and the time that its calls have.
 *
 * Up to 64 requests of each worker once went to the module's process whatever
 * its threads: queue, overload, priority and queue_timeout did not hold for
 * them, and their request_timeout ran while they waited there.  So a slow
 * module with many clients was killed again and again, and the requests with
 * it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tests/lib/wire.h"

static void
connect_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fds[i] = client_connect(FRAME_PORT);
}

static void
close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void
send_all(const int *fds, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		client_send_text_frame(fds[i], text);
}

static void
expect_all(const int *fds, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		client_expect_text_frame(fds[i], text);
}

static struct server *
start_module(const char *settings, const char *keys, const char *more)
{
	struct server *srv;
	char *globals, *listeners;

	ck_assert_int_ne(asprintf(&globals, HANDLERS(MODULE("mod", "%s",
	    "%s")), settings, keys), -1);
	ck_assert_int_ne(asprintf(&listeners, ONE("mod", "") "%s", more), -1);
	srv = handlers_start(globals, listeners);
	free(globals);
	free(listeners);
	return (srv);
}

static void
expect_no_deaths(struct server *srv)
{
	ck_assert_ptr_null(server_log(srv, "event=executor_died"));
	ck_assert_ptr_null(server_log(srv, "event=executor_retired"));
	ck_assert_uint_eq(handler_counters(srv).failed, 0);
	ck_assert_uint_eq(handler_counters(srv).timeouts, 0);
}

/* Each waits for much longer than request_timeout, and is handled within it. */
START_TEST(request_timeout_counts_from_the_call)
{
	enum { CLIENTS = 64 };
	struct server *srv = start_module("sleep_ms = 100;", "threads = 2; "
	    "request_timeout = 2.0; queue_timeout = 0;", "");
	int fds[CLIENTS];

	connect_all(fds, CLIENTS);
	send_all(fds, CLIENTS, "hello");
	expect_all(fds, CLIENTS, "hello");
	expect_no_deaths(srv);
	close_all(fds, CLIENTS);
	server_end(srv);
}
END_TEST

static uint64_t
number_behind(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	ck_assert_ptr_nonnull(at);
	return (strtoull(at + strlen(name), NULL, 10));
}

START_TEST(a_call_is_told_the_deadline_that_it_has)
{
	struct server *srv = start_module("", "threads = 1; "
	    "request_timeout = 30.0;", "");
	int busy = client_connect(FRAME_PORT), fd = client_connect(FRAME_PORT);
	struct wire in = { .len = 0 };
	struct text reply;
	char facts[512];

	client_send_text_frame(busy, "hold x");
	await(server_counters(srv).messages_in == 1);
	client_send_text_frame(fd, "facts");
	await(server_counters(srv).messages_in == 2);
	holds_for(300, !client_has_input(fd));
	handlers_release(srv);
	client_expect_text_frame(busy, "hold x");
	reply = wire_expect(fd, &in);
	snprintf(facts, sizeof(facts), "%.*s", (int)reply.len, reply.bytes);
	ck_assert_uint_ge(number_behind(facts, "deadline_us="),
	    number_behind(facts, "arrived_us=") + 30000000 + 200000);
	free(in.bytes);
	close(busy);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(queue_overload_and_queue_timeout_hold_for_a_module)
{
	enum { THREADS = 2, QUEUE = 4, MORE = 14 };
	struct server *srv = start_module("", "threads = 2; queue = 4; "
	    "overload = \"shed\"; queue_timeout = 1.5;", "");
	int calls[THREADS], waiting[QUEUE], more[MORE];

	connect_all(calls, THREADS);
	connect_all(waiting, QUEUE);
	connect_all(more, MORE);
	send_all(calls, THREADS, "hold x");
	await(server_counters(srv).messages_in == THREADS);
	send_all(waiting, QUEUE, "hello");
	await(server_counters(srv).messages_in == THREADS + QUEUE);
	send_all(more, MORE, "hello");
	expect_all(more, MORE, ERR_BUSY);
	expect_all(waiting, QUEUE, ERR_BUSY);
	handlers_release(srv);
	expect_all(calls, THREADS, "hold x");
	ck_assert_uint_eq(handler_counters(srv).shed, MORE);
	ck_assert_uint_eq(handler_counters(srv).expired, QUEUE);
	expect_no_deaths(srv);
	close_all(calls, THREADS);
	close_all(waiting, QUEUE);
	close_all(more, MORE);
	server_end(srv);
}
END_TEST

/* How many requests began before the one with this text. */
static unsigned
begun_before(const struct server *srv, const char *text)
{
	char journal[65536], *end;
	unsigned n = 0;

	snprintf(journal, sizeof(journal), "%s", server_file(srv, "journal"));
	ck_assert_ptr_nonnull(end = strstr(journal, text));
	*end = '\0';
	for (const char *at = journal; (at = strstr(at, "begin ")) != NULL;
	    at++)
		n++;
	return (n - 1);
}

/* In the order in which they begin, by the module's own account.  One thread: of
 * two, one can be held up between getting a request and writing it down. */
START_TEST(high_priority_goes_before_what_waits_for_a_module)
{
	enum { CLIENTS = 60 };
	struct server *srv = start_module("journal = \"journal\";",
	    "threads = 1; queue_timeout = 0;",
	    ",\n" LISTENER("high", "9004", "frame", "mod",
	    "priority = \"high\";"));
	int fds[CLIENTS], high = client_connect(HIGH_PORT);

	connect_all(fds, CLIENTS);
	send_all(fds, CLIENTS, "hold x");
	await(server_counters(srv).messages_in == CLIENTS);
	client_send_text_frame(high, "high");
	await(server_counters(srv).messages_in == CLIENTS + 1);
	handlers_release(srv);
	client_expect_text_frame(high, "high");
	expect_all(fds, CLIENTS, "hold x");
	ck_assert_uint_eq(begun_before(srv, "high"), 1);
	close_all(fds, CLIENTS);
	close(high);
	server_end(srv);
}
END_TEST

/* While calls are short, requests are sent to the process before it has a
 * thread for them.  When one call is long all the same, they come back. */
START_TEST(requests_sent_ahead_wait_in_the_queue_when_a_call_is_long)
{
	enum { CLIENTS = 20, QUICK = 300 };
	struct server *srv = start_module("", "threads = 1; "
	    "queue_timeout = 1.0;", "");
	int fds[CLIENTS], slow = client_connect(FRAME_PORT);

	connect_all(fds, CLIENTS);
	for (int i = 0; i < QUICK / CLIENTS; i++) {
		send_all(fds, CLIENTS, "quick");
		expect_all(fds, CLIENTS, "quick");
	}
	client_send_text_frame(slow, "hold x");
	await(server_counters(srv).messages_in == QUICK + 1);
	send_all(fds, CLIENTS, "waits");
	expect_all(fds, CLIENTS, ERR_BUSY);
	ck_assert_uint_eq(handler_counters(srv).expired, CLIENTS);
	handlers_release(srv);
	client_expect_text_frame(slow, "hold x");
	/* It is none the worse for that. */
	send_all(fds, CLIENTS, "quick");
	expect_all(fds, CLIENTS, "quick");
	expect_no_deaths(srv);
	close_all(fds, CLIENTS);
	close(slow);
	server_end(srv);
}
END_TEST

/* One of the requests that come back is that of a client that has left. */
START_TEST(requests_that_come_back_keep_their_message_and_order)
{
	enum { QUICK = 300, PIPELINE = 12 };
	struct server *srv = start_module("", "threads = 1;", "");
	int slow = client_connect(FRAME_PORT), fd = client_connect(FRAME_PORT);
	int left = client_connect(FRAME_PORT);
	char text[PIPELINE][2000];

	for (int i = 0; i < QUICK; i++)
		client_echo(fd, "quick");
	client_send_text_frame(slow, "sleep 500 x");
	await(server_counters(srv).messages_in == QUICK + 1);
	client_send_text_frame(left, "left");
	await(server_counters(srv).messages_in == QUICK + 2);
	close(left);
	for (int i = 0; i < PIPELINE; i++) {
		memset(text[i], 'a' + i, sizeof(text[i]) - 1);
		text[i][i == 3 ? 1 : sizeof(text[i]) - 1] = '\0';
		client_send_text_frame(fd, text[i]);
	}
	for (int i = 0; i < PIPELINE; i++)
		client_expect_text_frame(fd, text[i]);
	client_expect_text_frame(slow, "sleep 500 x");
	expect_no_deaths(srv);
	close(fd);
	close(slow);
	server_end(srv);
}
END_TEST

/* With keys for a handler that hangs when it is asked to, and is four seconds
 * late then. */
static void
expect_only_the_late_call_fails(struct server *srv)
{
	int late = client_connect(FRAME_PORT), other, next;
	uint64_t replaced_us;

	client_send_text_frame(late, "hang x");
	await(server_counters(srv).messages_in == 1);
	/* So that it is under way when the first one is late. */
	holds_for(2400, !client_has_input(late));
	other = client_connect(FRAME_PORT);
	client_send_text_frame(other, "sleep 2800 x");
	client_expect_text_frame(late, ERR_TIMEOUT);
	server_expect(srv, "event=executor_retired");
	next = client_connect(FRAME_PORT);
	client_echo(next, "next");
	client_expect_text_frame(other, "sleep 2800 x");
	server_expect(srv, "event=executor_start executor=2");
	replaced_us = log_time_us(srv->line);
	server_expect(srv, "event=executor_exit executor=1");
	ck_assert_uint_lt(replaced_us, log_time_us(srv->line));
	ck_assert_uint_eq(handler_counters(srv).failed, 0);
	ck_assert_uint_eq(handler_counters(srv).timeouts, 1);
	ck_assert_ptr_null(server_log(srv, "event=executor_died"));
	client_echo(next, "again");
	await(handler_counters(srv).executors == 1);
	close(late);
	close(other);
	close(next);
}

START_TEST(a_call_that_takes_too_long_costs_only_itself)
{
	struct server *srv = start_module("", "threads = 4; "
	    "request_timeout = 4.0;", "");

	expect_only_the_late_call_fails(srv);
	server_end(srv);
}
END_TEST

START_TEST(a_tagged_message_that_takes_too_long_costs_only_itself)
{
	struct server *srv = handlers_start(HANDLERS("{ name = \"tagged\"; "
	    "type = \"command\"; processes = 1; pipeline = 4; "
	    "tagged = true; ready = true; request_timeout = 4.0; "
	    "command = [ \"src/tests/programs/command_threads.py\" ]; }"),
	    ONE("tagged", ""));

	expect_only_the_late_call_fails(srv);
	server_end(srv);
}
END_TEST

/* With one thread there is nothing to wait for. */
START_TEST(requests_behind_a_call_that_takes_too_long_are_handled)
{
	enum { CLIENTS = 20 };
	struct server *srv = start_module("", "threads = 1; "
	    "request_timeout = 2.0; queue_timeout = 0;", "");
	int late = client_connect(FRAME_PORT), fds[CLIENTS];

	connect_all(fds, CLIENTS);
	client_send_text_frame(late, "hang x");
	await(server_counters(srv).messages_in == 1);
	send_all(fds, CLIENTS, "hello");
	client_expect_text_frame(late, ERR_TIMEOUT);
	expect_all(fds, CLIENTS, "hello");
	ck_assert_uint_eq(handler_counters(srv).failed, 0);
	ck_assert_uint_eq(handler_counters(srv).timeouts, 1);
	close_all(fds, CLIENTS);
	close(late);
	server_end(srv);
}
END_TEST

/* What was let in under a larger limit is served, whatever the limit is now; it
 * once ended the module's process, and with that everybody's requests. */
START_TEST(a_request_that_is_too_large_by_now_is_served)
{
	enum { SMALL = 6, LARGE = 700000, QUICK = 300 };
	static const char globals[] = HANDLERS(MODULE("mod", "", "threads = 1; queue_timeout = 0;"));
	struct server *srv = handlers_start(globals, ONE("mod", ""));
	int slow = client_connect(FRAME_PORT);
	int large = client_connect(FRAME_PORT), small[SMALL];
	char *text = malloc(LARGE);

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', LARGE);
	client_send_text_frame(slow, "sleep 1000 x");
	await(server_counters(srv).messages_in == 1);
	client_send_frame(large, text, LARGE);
	connect_all(small, SMALL);
	send_all(small, SMALL, "hello");
	await(handler_counters(srv).waiting == SMALL + 1);
	handlers_configure(srv, globals, ONE("mod", "max_message_size = 100;"));
	server_signal(srv, SIGHUP);
	expect_all(small, SMALL, "hello");
	client_expect_frame(large, text, LARGE);
	client_expect_text_frame(slow, "sleep 1000 x");
	server_expect(srv, "event=reload_done");
	expect_no_deaths(srv);
	/* From now on the limit holds. */
	client_send_frame(large, text, LARGE);
	client_expect_text_frame(large, ERR_TOO_LARGE);
	free(text);
	close_all(small, SMALL);
	close(large);
	close(slow);
	server_end(srv);
}
END_TEST

/* One that is sent ahead and would come back as more than a reply may be, as
 * max_buffered has shrunk too, stays there. */
START_TEST(a_request_that_is_too_large_to_come_back_is_served)
{
	enum { QUICK = 100, LARGE = 700000 };
	static const char handlers[] = HANDLERS(MODULE("mod", "",
	    "threads = 1; queue_timeout = 0;"));
	struct server *srv = handlers_start(handlers, ONE("mod",
	    "pipeline = 256;"));
	int slow = client_connect(FRAME_PORT), fd = client_connect(FRAME_PORT);
	int large = client_connect(FRAME_PORT);
	char *text = malloc(LARGE);

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', LARGE);
	memcpy(text, "env ", 4);
	client_send_text_frame(slow, "sleep 1000 x");
	await(server_counters(srv).messages_in == 1);
	for (int i = 0; i < QUICK; i++)
		client_send_text_frame(fd, "quick");
	client_send_text_frame(fd, "sleep 700 x");
	await(handler_counters(srv).waiting == QUICK + 1);
	client_send_frame(large, text, LARGE);
	await(handler_counters(srv).waiting == QUICK + 2);
	handlers_configure(srv, "max_buffered = 2097152;\n" HANDLERS(
	    MODULE("mod", "", "threads = 1; queue_timeout = 0;")),
	    ONE("mod", "pipeline = 256; max_message_size = 100;"));
	server_signal(srv, SIGHUP);
	for (int i = 0; i < QUICK; i++)
		client_expect_text_frame(fd, "quick");
	client_expect_text_frame(fd, "sleep 700 x");
	client_expect_text_frame(large, "(not set)");
	client_expect_text_frame(slow, "sleep 1000 x");
	expect_no_deaths(srv);
	free(text);
	close(fd);
	close(large);
	close(slow);
	server_end(srv);
}
END_TEST

RUN_TESTS("a module's queue",
    request_timeout_counts_from_the_call,
    a_call_is_told_the_deadline_that_it_has,
    queue_overload_and_queue_timeout_hold_for_a_module,
    high_priority_goes_before_what_waits_for_a_module,
    requests_sent_ahead_wait_in_the_queue_when_a_call_is_long,
    requests_that_come_back_keep_their_message_and_order,
    a_call_that_takes_too_long_costs_only_itself,
    a_tagged_message_that_takes_too_long_costs_only_itself,
    requests_behind_a_call_that_takes_too_long_are_handled,
    a_request_that_is_too_large_by_now_is_served,
    a_request_that_is_too_large_to_come_back_is_served)
