/* SPDX-License-Identifier: ISC */
/*
 * SIGTERM under load: whatever the server has read gets its reply, idle
 * connections are closed, and in the end no process is left.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

/* Wait for the end after an order to drain, and hold what the server answered
 * against what the clients got. */
static void
expect_answered(struct server *srv, struct hold_process *load)
{
	const struct hold_report *report;
	struct counters_listener seen;

	server_counters(srv);
	server_await_exit(srv, 0);
	report = hold_stop(load);
	seen = server_counters(srv);
	ck_assert_uint_gt(seen.messages_in, 0);
	ck_assert_uint_eq(seen.messages_in, seen.messages_out);
	ck_assert_msg(seen.messages_out == report->answered, "the server "
	    "answered %" PRIu64 " messages, the clients got %" PRIu64
	    " answers, %" PRIu64 " resets", seen.messages_out,
	    report->answered, report->reset);
	ck_assert_uint_eq(report->corrupted, 0);
	ck_assert_uint_eq(report->hung, 0);
	ck_assert_uint_eq(seen.closed[CLOSE_CUT], 0);
}

START_TEST(five_drains_under_load_answer_all_that_was_read)
{
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;
	struct server *srv;

	options.connections = 50;
	options.rate = HOLD_FULL_SPEED;
	options.message_size = 500;
	for (unsigned i = 0; i < 5; i++) {
		srv = server_start("workers = 2;\ndrain_spread = 0.3;",
		    FRAMES(""));
		options.burst = 1 + 4 * i;
		load = hold_start(&options);
		await(hold_peek(load)->answered > 5000);
		server_signal(srv, SIGTERM);
		expect_answered(srv, load);
		print_report("drained under load", hold_peek(load));
		hold_drop(load);
		server_end(srv);
	}
}
END_TEST

START_TEST(a_drain_under_churn_answers_all_that_was_read)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = 50;
	options.churn = 3;
	options.rate = HOLD_FULL_SPEED;
	load = hold_start(&options);
	await(hold_peek(load)->answered > 5000);
	server_signal(srv, SIGQUIT);
	expect_answered(srv, load);
	hold_drop(load);
	server_end(srv);
}
END_TEST

static void
spread_of(const char *line, void *arg)
{
	uint64_t *range = arg, at = log_time_us(line);

	if (range[0] == 0 || at < range[0])
		range[0] = at;
	if (at > range[1])
		range[1] = at;
}

/* All clients sent away at once come back at once. */
START_TEST(a_drain_closes_idle_clients_one_by_one)
{
	enum { N = 100 };
	struct server *srv = server_start("workers = 2;\n"
	    "drain_spread = 2.0;", FRAMES(""));
	uint64_t range[2] = { 0, 0 };
	int fds[N];

	for (int i = 0; i < N; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_echo(fds[i], "hello");
	}
	server_counters(srv);
	server_signal(srv, SIGTERM);
	for (int i = 0; i < N; i++) {
		client_expect_eof(fds[i]);
		close(fds[i]);
	}
	server_await_exit(srv, 0);
	ck_assert_uint_eq(server_count(srv, "event=conn_close reason=drain"),
	    N);
	server_each(srv, "event=conn_close", spread_of, range);
	/* A lower bound, which no slow machine can break. */
	ck_assert_uint_gt(range[1] - range[0], 1000000);
	server_end(srv);
}
END_TEST

START_TEST(a_drain_finishes_partial_messages)
{
	struct server *srv = server_start("workers = 1;\ndrain_spread = 0.0;",
	    FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_send(fd, "\0\0\0\4ha", 6);
	await(server_counters(srv).bytes_in == 6);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=worker_drain mode=stop conns=1");
	holds_for(300, !client_has_input(fd));
	client_send_text(fd, "lf");
	client_expect_text_frame(fd, "half");
	client_expect_eof(fd);
	close(fd);
	server_await_exit(srv, 0);
	server_expect(srv, "event=conn_close reason=drain messages=1");
	server_expect(srv, "event=worker_drained finished=0 closed=1 cut=0");
	server_expect(srv, "event=stopped");
	server_end(srv);
}
END_TEST

START_TEST(a_drain_delivers_replies_that_are_being_sent)
{
	enum { SIZE = 1000 * 1000 };
	struct server *srv = server_start("workers = 1;\ndrain_spread = 0.0;",
	    FRAMES(""));
	int fd = client_connect_small(FRAME_PORT, 4096);
	static uint8_t payload[SIZE];

	/* More than the kernel takes, so that the server owes the rest. */
	memset(payload, 'r', sizeof(payload));
	client_send_frame(fd, payload, sizeof(payload));
	await(server_counters(srv).messages_in == 1);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=worker_drain");
	client_expect_frame(fd, payload, sizeof(payload));
	client_expect_eof(fd);
	close(fd);
	server_await_exit(srv, 0);
	server_expect(srv, "event=worker_drained finished=0 closed=1 cut=0");
	server_end(srv);
}
END_TEST

START_TEST(drain_timeout_cuts_connections_that_do_not_finish)
{
	struct server *srv = server_start("workers = 1;\n"
	    "drain_spread = 0.0; drain_timeout = 1.0;", FRAMES(""));
	int slow = client_connect(FRAME_PORT);
	int deaf = client_connect_small(FRAME_PORT, 4096);
	static uint8_t frame[4 + 1024 * 1024] = "\0\x10\0\0";
	uint64_t begun_ms;

	client_send(slow, "\0\0\0\4ha", 6);
	await(server_counters(srv).bytes_in == 6);
	client_stuff(deaf, frame, sizeof(frame), 64 * sizeof(frame));
	begun_ms = clock_ms();
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	/* And long before the default, which nobody waits for here. */
	ck_assert_uint_ge(clock_ms() - begun_ms, 900);
	ck_assert_uint_eq(server_count(srv, "event=conn_close reason=cut"), 2);
	server_expect(srv, "event=worker_drained cut=2");
	close(slow);
	close(deaf);
	server_end(srv);
}
END_TEST

START_TEST(a_drain_serves_clients_in_the_accept_queue)
{
	enum { N = 50 };
	struct server *srv = server_start("workers = 1;\n"
	    "watchdog_timeout = 0;", FRAMES(""));
	pid_t worker = server_worker(srv, 0);
	int fds[N];

	ck_assert_int_eq(kill(worker, SIGSTOP), 0);
	for (int i = 0; i < N; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_send_text_frame(fds[i], "in the queue");
	}
	server_counters(srv);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=stop mode=drain");
	ck_assert_int_eq(kill(worker, SIGCONT), 0);
	for (int i = 0; i < N; i++) {
		client_expect_text_frame(fds[i], "in the queue");
		client_expect_eof(fds[i]);
		close(fds[i]);
	}
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

START_TEST(a_drain_refuses_new_clients)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	int busy = client_connect(FRAME_PORT);

	client_send(busy, "\0\0\0\4ha", 6);
	await(server_counters(srv).bytes_in == 6);
	server_signal(srv, SIGTERM);
	await(client_is_refused(FRAME_PORT));
	client_send_text(busy, "lf");
	client_expect_text_frame(busy, "half");
	close(busy);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

/* Have a server drain that would take its time. */
static struct server *
start_long_drain(int *fd)
{
	struct server *srv = server_start("workers = 2;\n"
	    "drain_timeout = 600.0;", FRAMES(""));

	*fd = client_connect(FRAME_PORT);
	client_send(*fd, "\0\0\0\4ha", 6);
	await(server_counters(srv).bytes_in == 6);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=worker_drain mode=stop conns=1");
	return (srv);
}

START_TEST(a_second_term_stops_at_once)
{
	struct server *srv;
	int fd;

	srv = start_long_drain(&fd);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	server_expect(srv, "event=conn_close reason=cut");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(an_int_stops_at_once)
{
	struct server *srv;
	int fd;

	srv = start_long_drain(&fd);
	server_signal(srv, SIGINT);
	server_await_exit(srv, 0);
	server_expect(srv, "event=conn_close reason=cut");
	server_expect(srv, "event=stopped");
	close(fd);
	server_end(srv);
}
END_TEST

/* Whoever runs the master may kill it with -9; its workers must not stay, and
 * not cut anybody short either. */
START_TEST(workers_without_a_master_serve_their_clients_and_exit)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	int busy = client_connect(FRAME_PORT);
	int idle = client_connect(FRAME_PORT);

	client_send(busy, "\0\0\0\4ha", 6);
	client_echo(idle, "idle");
	await(server_counters(srv).bytes_in == 14);
	server_signal(srv, SIGKILL);
	server_await_exit(srv, 128 + SIGKILL);
	server_expect(srv, "role=worker event=master_gone");
	await(client_is_refused(FRAME_PORT));
	client_send_text(busy, "lf");
	client_expect_text_frame(busy, "half");
	client_echo(idle, "not so idle");
	close(busy);
	close(idle);
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	server_end(srv);
}
END_TEST

START_TEST(workers_without_a_master_exit_after_drain_timeout)
{
	struct server *srv = server_start("workers = 2;\n"
	    "drain_timeout = 0.5;", FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "and I stay");
	server_counters(srv);
	server_signal(srv, SIGKILL);
	server_await_exit(srv, 128 + SIGKILL);
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	client_expect_eof(fd);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_server_without_clients_stops_at_once)
{
	struct server *srv = server_start("workers = 2;\n"
	    "drain_timeout = 600.0; drain_spread = 600.0;", FRAMES(""));

	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	server_expect(srv, "event=stopped");
	ck_assert_uint_eq(server_count(srv, "event=worker_exit"), 2);
	server_end(srv);
}
END_TEST

RUN_TESTS("drain",
    five_drains_under_load_answer_all_that_was_read,
    a_drain_under_churn_answers_all_that_was_read,
    a_drain_closes_idle_clients_one_by_one,
    a_drain_finishes_partial_messages,
    a_drain_delivers_replies_that_are_being_sent,
    drain_timeout_cuts_connections_that_do_not_finish,
    a_drain_serves_clients_in_the_accept_queue,
    a_drain_refuses_new_clients,
    a_second_term_stops_at_once,
    an_int_stops_at_once,
    workers_without_a_master_serve_their_clients_and_exit,
    workers_without_a_master_exit_after_drain_timeout,
    a_server_without_clients_stops_at_once)
