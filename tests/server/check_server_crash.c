/* SPDX-License-Identifier: ISC */
/*
 * Workers that die or hang: only their own connections that are within a message
 * end, nobody is refused, and another one goes on in their place.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

START_TEST(twenty_killed_workers_cost_hardly_a_client)
{
	enum { WORKERS = 4, KILLS = 20, CLIENTS = 100 };
	struct server *srv = server_start("workers = 4;", FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *steady, *churning;
	const struct hold_report *report;
	unsigned slot;
	pid_t pid;

	srv->expects_deaths = true;
	options.connections = CLIENTS;
	options.rate = 2000;
	options.reconnect = true;
	steady = hold_start(&options);
	options.connections = 20;
	options.churn = 5;
	churning = hold_start(&options);
	await(hold_peek(steady)->open == CLIENTS);
	for (unsigned i = 0; i < KILLS; i++) {
		slot = i % WORKERS;
		pid = server_worker(srv, slot);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		server_await_successor(srv, slot, pid);
		await(hold_peek(steady)->open == CLIENTS);
	}
	/* The last successor is logged after the last death. */
	ck_assert_uint_eq(server_count(srv, "event=worker_died signal=9"),
	    KILLS);
	hold_stop(steady);
	report = hold_stop(churning);
	print_report("churning, 20 kills", report);
	ck_assert_uint_eq(report->refused + report->hung + report->corrupted,
	    0);
	print_report("steady, 20 kills", hold_peek(steady));
	/* Who was within a message, which is one at most on the average.  A
	 * killed process gets no further than the end of its system call: if
	 * that is accept(2), there is one that it had and could not count. */
	ck_assert_uint_le(server_closed(srv, CLOSE_LOST), KILLS);
	ck_assert_uint_ge(server_closed(srv, CLOSE_LOST) + KILLS,
	    hold_peek(steady)->disconnected + hold_peek(steady)->reset +
	    report->disconnected + report->reset);
	report = hold_peek(steady);
	ck_assert_uint_eq(report->refused + report->hung + report->corrupted,
	    0);
	hold_drop(steady);
	hold_drop(churning);
	server_end(srv);
}
END_TEST

START_TEST(a_new_worker_serves_clients_that_waited_in_the_queue)
{
	enum { WAITING = 50 };
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	int fds[WAITING], served;
	pid_t pid = server_worker(srv, 0);

	srv->expects_deaths = true;
	served = client_connect(FRAME_PORT);
	client_echo(served, "served");
	/* A worker that is stopped accepts nobody; the kernel does. */
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	for (int i = 0; i < WAITING; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_send_text_frame(fds[i], "waiting");
	}
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	for (int i = 0; i < WAITING; i++) {
		client_expect_text_frame(fds[i], "waiting");
		close(fds[i]);
	}
	client_echo(served, "served on");
	close(served);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	server_end(srv);
}
END_TEST

START_TEST(a_workers_death_is_logged_with_the_connections_it_held)
{
	struct server *srv = server_start("workers = 1; custody = false;",
	    FRAMES(""));
	int fds[3];
	pid_t pid = server_worker(srv, 0);

	srv->expects_deaths = true;
	for (int i = 0; i < 3; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_echo(fds[i], "hello");
	}
	ck_assert_int_eq(kill(pid, SIGABRT), 0);
	server_await_successor(srv, 0, pid);
	server_expect(srv, "role=master event=worker_died signal=6 "
	    "conns_lost=3 child_slot=0");
	ck_assert_int_eq(log_number(srv->line, "child"), pid);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	ck_assert_uint_eq(server_counters(srv).accepted, 3);
	ck_assert_uint_eq(server_counters(srv).active, 0);
	server_end(srv);
}
END_TEST

static void
check_retry(const char *line, void *arg)
{
	uint64_t *last = arg, retry_ms = log_number(line, "retry_ms");

	ck_assert_msg(retry_ms >= *last && retry_ms <= 10000, "%s", line);
	*last = retry_ms;
}

START_TEST(a_worker_that_keeps_dying_is_restarted_with_backoff)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	pid_t pid = server_worker(srv, 0);
	uint64_t last = 0;
	int fd;

	srv->expects_deaths = true;
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		pid = server_await_successor(srv, 0, pid);
	}
	server_each(srv, "event=worker_died", check_retry, &last);
	ck_assert_msg(last >= 400, "the last pause was %" PRIu64 " ms", last);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "and still it serves");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_worker_that_hangs_is_killed_and_replaced)
{
	struct server *srv = server_start("workers = 2;\n"
	    "watchdog_timeout = 1.0;", FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;
	pid_t pid = server_worker(srv, 0), other = server_worker(srv, 1);

	srv->expects_deaths = true;
	options.connections = 20;
	options.churn = 3;
	options.rate = 200;
	options.reconnect = true;
	load = hold_start(&options);
	await(hold_peek(load)->answered > 100);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	server_expect(srv, "event=worker_hung child_slot=0");
	ck_assert_int_eq(log_number(srv->line, "child"), pid);
	server_await_successor(srv, 0, pid);
	server_expect(srv, "event=worker_died child_slot=0");
	await(proc_is_dead(pid));
	ck_assert_int_eq(server_worker(srv, 1), other);
	ck_assert_uint_eq(hold_stop(load)->refused, 0);
	ck_assert_uint_eq(hold_peek(load)->hung, 0);
	hold_drop(load);
	server_end(srv);
}
END_TEST

START_TEST(a_disabled_watchdog_kills_no_stopped_worker)
{
	struct server *srv = server_start("workers = 1;\n"
	    "watchdog_timeout = 0;", FRAMES(""));
	pid_t pid = server_worker(srv, 0);
	int fd = client_connect(FRAME_PORT);

	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	holds_for(2500, !proc_is_dead(pid));
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	client_echo(fd, "good morning");
	close(fd);
	server_end(srv);
}
END_TEST

/* Many workers that die at the same time are one more thing at a time. */
START_TEST(all_workers_can_be_replaced_at_once)
{
	enum { WORKERS = 8 };
	struct server *srv = server_start("workers = 8;", FRAMES(""));
	pid_t pids[WORKERS];
	int fds[20];

	srv->expects_deaths = true;
	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = server_worker(srv, i);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_int_eq(kill(pids[i], SIGKILL), 0);
	for (int i = 0; i < 20; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_echo(fds[i], "served all the same");
		close(fds[i]);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		server_await_successor(srv, i, pids[i]);
	await(server_children(srv) == WORKERS);
	server_end(srv);
}
END_TEST

RUN_TESTS("crash",
    twenty_killed_workers_cost_hardly_a_client,
    a_new_worker_serves_clients_that_waited_in_the_queue,
    a_workers_death_is_logged_with_the_connections_it_held,
    a_worker_that_keeps_dying_is_restarted_with_backoff,
    a_worker_that_hangs_is_killed_and_replaced,
    a_disabled_watchdog_kills_no_stopped_worker,
    all_workers_can_be_replaced_at_once)
