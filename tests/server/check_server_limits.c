/* SPDX-License-Identifier: ISC */
/*
 * More clients than there may be, more than there are descriptors for, and the
 * even spread of those that there are.
 */
#include <sys/resource.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

/* Connect clients that are served for certain. */
static void
connect_served(unsigned port, int *fds, int n)
{
	for (int i = 0; i < n; i++) {
		fds[i] = client_connect(port);
		if (port == LINE_PORT)
			client_echo_line(fds[i], "hello");
		else
			client_echo(fds[i], "hello");
	}
}

static void
close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

START_TEST(a_client_over_the_limit_of_a_listener_is_told_so)
{
	struct server *srv = server_start("workers = 2;",
	    FRAMES("max_connections = 5;") ",\n"
	    LINES("max_connections = 3;"));
	int frames[5], lines[3], over;

	connect_served(FRAME_PORT, frames, 5);
	connect_served(LINE_PORT, lines, 3);
	over = client_connect(FRAME_PORT);
	client_expect_text_frame(over, ERR_BUSY);
	client_expect_eof(over);
	close(over);
	over = client_connect(LINE_PORT);
	client_expect_text(over, ERR_BUSY "\n");
	client_expect_eof(over);
	close(over);
	ck_assert_uint_eq(server_counters(srv).
	    rejected[REJECT_LISTENER_LIMIT], 2);
	ck_assert_uint_eq(server_counters(srv).accepted, 8);
	ck_assert_uint_eq(server_counters(srv).active, 8);
	server_expect(srv, "warn event=conn_rejected listener=frames "
	    "reason=listener_max_connections");
	/* Those that are there go on, and a place that is free is taken. */
	client_echo(frames[0], "still here");
	close(frames[0]);
	await(server_counters(srv).active == 7);
	connect_served(FRAME_PORT, frames, 1);
	close_all(frames, 5);
	close_all(lines, 3);
	server_end(srv);
}
END_TEST

START_TEST(a_client_over_the_limit_of_the_server_is_told_so)
{
	struct server *srv = server_start("workers = 2;\n"
	    "max_connections = 4;", FRAMES("") ",\n" LINES(""));
	int frames[2], lines[2], over;

	connect_served(FRAME_PORT, frames, 2);
	connect_served(LINE_PORT, lines, 2);
	for (int i = 0; i < 10; i++) {
		over = client_connect(i % 2 == 0 ? FRAME_PORT : LINE_PORT);
		if (i % 2 == 0)
			client_expect_text_frame(over, ERR_BUSY);
		else
			client_expect_text(over, ERR_BUSY "\n");
		client_expect_eof(over);
		close(over);
	}
	ck_assert_uint_eq(server_counters(srv).rejected[REJECT_SERVER_LIMIT],
	    10);
	server_expect(srv, "event=conn_rejected reason=max_connections");
	close_all(frames, 2);
	close_all(lines, 2);
	server_end(srv);
}
END_TEST

/* The reply must not be lost to the reset that unread input would cause. */
START_TEST(the_busy_reply_reaches_clients_that_have_sent_already)
{
	struct server *srv = server_start("workers = 1;",
	    FRAMES("max_connections = 1;"));
	static uint8_t message[300000];
	int one, over;

	connect_served(FRAME_PORT, &one, 1);
	for (int i = 0; i < 50; i++) {
		over = client_connect(FRAME_PORT);
		client_send_frame(over, message, sizeof(message));
		client_expect_text_frame(over, ERR_BUSY);
		client_expect_eof(over);
		close(over);
	}
	close(one);
	server_end(srv);
}
END_TEST

/* One that has its reply, or NULL.  Each worker has a queue of its own, so they
 * need not come in the order in which they connected. */
static int *
find_served(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] != -1 && client_has_input(fds[i]))
			return (&fds[i]);
	return (NULL);
}

START_TEST(with_on_limit_wait_new_clients_wait_for_their_turn)
{
	struct server *srv = server_start("workers = 2;",
	    FRAMES("max_connections = 3; on_limit = \"wait\";") ",\n"
	    LINES(""));
	int fds[3], waiting[5], other, *served;

	connect_served(FRAME_PORT, fds, 3);
	for (int i = 0; i < 5; i++) {
		waiting[i] = client_connect(FRAME_PORT);
		client_send_text_frame(waiting[i], "may I come in?");
	}
	for (int i = 0; i < 5; i++)
		holds_for(50, !client_has_input(waiting[i]));
	ck_assert_uint_eq(server_counters(srv).active, 3);
	/* Other listeners are not held up by it. */
	connect_served(LINE_PORT, &other, 1);
	close_all(fds, 3);
	for (int i = 0; i < 5; i++) {
		await((served = find_served(waiting, 5)) != NULL);
		client_expect_text_frame(*served, "may I come in?");
		close(*served);
		*served = -1;
	}
	close(other);
	ck_assert_uint_eq(server_counters(srv).
	    rejected[REJECT_LISTENER_LIMIT], 0);
	server_end(srv);
}
END_TEST

/* As a resource limit of the shell or the service would be. */
static void
allow_64_descriptors(void)
{
	const struct rlimit limit = { .rlim_cur = 64, .rlim_max = 64 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

static struct server *
start_with(void (*prepare)(void), const char *globals, const char *listeners)
{
	struct server *srv = server_new();

	srv->prepare = prepare;
	server_configure(srv, globals, listeners);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

/* Accept loops of others spin and flood their logs then. */
START_TEST(without_descriptors_accepting_pauses_and_is_logged_once_a_second)
{
	enum { N = 100 };
	struct server *srv = start_with(allow_64_descriptors, "workers = 1;",
	    FRAMES(""));
	pid_t worker = server_worker(srv, 0);
	uint64_t cpu_ms, since_us;
	int fds[N];

	for (int i = 0; i < N; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_send_text_frame(fds[i], "hello");
	}
	server_expect(srv, "warn role=worker event=accept_paused");
	since_us = log_time_us(srv->line);
	cpu_ms = proc_cpu_ms(worker);
	await(server_count(srv, "event=accept_paused") >= 4);
	server_log_last(srv, "event=accept_paused");
	ck_assert_uint_ge(log_time_us(srv->line) - since_us, 2500000);
	ck_assert_uint_lt(proc_cpu_ms(worker) - cpu_ms, 500);
	ck_assert_uint_gt(server_worker_counters(srv).accept_pauses, 0);
	ck_assert_uint_gt(server_counters(srv).active, 40);
	/* Those who were let in are served, and go; the others come. */
	for (int i = 0; i < N; i++) {
		client_expect_text_frame(fds[i], "hello");
		close(fds[i]);
	}
	await(server_counters(srv).accepted == N);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_is_possible_without_descriptors_for_clients)
{
	struct server *srv = start_with(allow_64_descriptors, "workers = 1;",
	    FRAMES(""));
	int fds[80];

	for (int i = 0; i < 80; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_send_text_frame(fds[i], "hello");
	}
	server_expect(srv, "event=accept_paused");
	server_reload(srv);
	for (int i = 0; i < 80; i++)
		client_expect_text_frame(fds[i], "hello");
	close_all(fds, 80);
	server_end(srv);
}
END_TEST

/* Its anchor is to get one, in the table that they share. */
START_TEST(a_worker_that_dies_without_descriptors_costs_no_client)
{
	struct server *srv = start_with(allow_64_descriptors, "workers = 1;",
	    FRAMES(""));
	int fds[80];

	srv->expects_deaths = true;
	for (int i = 0; i < 80; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_send_text_frame(fds[i], "hello");
	}
	server_expect(srv, "event=accept_paused");
	ck_assert_int_eq(kill(server_worker(srv, 0), SIGKILL), 0);
	server_expect(srv, "event=rescued");
	for (int i = 0; i < 80; i++) {
		client_expect_text_frame(fds[i], "hello");
		client_echo(fds[i], "hello");
	}
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	close_all(fds, 80);
	server_end(srv);
}
END_TEST

static void
allow_few_at_first(void)
{
	const struct rlimit limit = { .rlim_cur = 64, .rlim_max = 500 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

START_TEST(the_descriptor_limit_is_raised_and_the_resulting_maximum_logged)
{
	enum { N = 200 };
	struct server *srv = start_with(allow_few_at_first,
	    "workers = 2;\nmax_connections = 5000;",
	    FRAMES("backlog = 60000;"));
	int fds[N];

	server_expect(srv, "warn event=limit limit=RLIMIT_NOFILE value=500 "
	    "max_connections=5000");
	ck_assert_uint_gt(log_number(srv->line, "fits"), 900);
	ck_assert_uint_lt(log_number(srv->line, "fits"), 1000);
	server_expect(srv, "warn event=limit limit=net.core.somaxconn "
	    "backlog=60000 listener=frames");
	connect_served(FRAME_PORT, fds, N);
	close_all(fds, N);
	server_end(srv);
}
END_TEST

START_TEST(connections_spread_evenly_over_the_workers)
{
	enum { N = 2000, WORKERS = 4 };
	struct server *srv = server_start("workers = 4;", FRAMES(""));
	static int fds[N];
	uint64_t held, most = 0, least = N;

	for (int i = 0; i < N; i++) {
		fds[i] = client_connect(FRAME_PORT);
		pause_us(1000);	/* so are clients in life */
	}
	await(server_counters(srv).active == N);
	for (unsigned slot = 0; slot < WORKERS; slot++) {
		held = observe_slot(&srv->counters, slot, OBSERVE_ALL).active;
		most = held > most ? held : most;
		least = held < least ? held : least;
	}
	printf("2000 connections over 4 workers: %u to %u each\n",
	    (unsigned)least, (unsigned)most);
	ck_assert_uint_le(most, N / WORKERS * 13 / 10);
	close_all(fds, N);
	server_end(srv);
}
END_TEST

START_TEST(quick_connects_are_all_taken)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = 5000;
	options.connecting_max = 1000;
	load = hold_start(&options);
	await(hold_peek(load)->open == 5000);
	print_report("5000 at once", hold_peek(load));
	hold_stop(load);
	ck_assert_uint_eq(hold_peek(load)->refused, 0);
	ck_assert_uint_eq(hold_peek(load)->finished, 5000);
	hold_drop(load);
	server_end(srv);
}
END_TEST

RUN_TESTS("limits",
    a_client_over_the_limit_of_a_listener_is_told_so,
    a_client_over_the_limit_of_the_server_is_told_so,
    the_busy_reply_reaches_clients_that_have_sent_already,
    with_on_limit_wait_new_clients_wait_for_their_turn,
    without_descriptors_accepting_pauses_and_is_logged_once_a_second,
    a_reload_is_possible_without_descriptors_for_clients,
    a_worker_that_dies_without_descriptors_costs_no_client,
    the_descriptor_limit_is_raised_and_the_resulting_maximum_logged,
    connections_spread_evenly_over_the_workers,
    quick_connects_are_all_taken)
