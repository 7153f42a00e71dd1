/* SPDX-License-Identifier: ISC */
/*
 * Whatever signals come, to whomever, in whatever order: the server is in the
 * state of the last order to the master.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define TWO	"workers = 2;"

static void
expect_service(void)
{
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "service");
	close(fd);
}

START_TEST(workers_ignore_order_signals)
{
	static const int orders[] = {
		SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE
	};
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	pid_t worker = server_worker(srv, 0);
	int fd = client_connect(FRAME_PORT);

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		ck_assert_int_eq(kill(worker, orders[i]), 0);
		client_echo(fd, "still here");
	}
	close(fd);
	expect_service();
	ck_assert_int_eq(server_worker(srv, 0), worker);
	ck_assert_uint_eq(server_children(srv), 1);
	server_end(srv);
}
END_TEST

/* A terminal sends an interrupt to the whole group. */
START_TEST(an_int_to_the_group_stops_once)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "hello");
	server_counters(srv);
	ck_assert_int_eq(kill(-srv->master, SIGINT), 0);
	server_await_exit(srv, 0);
	ck_assert_uint_eq(server_count(srv, "event=stop mode=now"), 1);
	ck_assert_uint_eq(server_count(srv, "event=worker_exit"), 2);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_term_to_the_group_drains)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_send(fd, "\0\0\0\4ha", 6);
	await(server_counters(srv).bytes_in == 6);
	ck_assert_int_eq(kill(-srv->master, SIGTERM), 0);
	server_expect(srv, "event=worker_drain mode=stop conns=1");
	client_send_text(fd, "lf");
	client_expect_text_frame(fd, "half");
	client_expect_eof(fd);
	close(fd);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

START_TEST(a_hup_to_the_group_reloads_once)
{
	struct server *srv = server_start(TWO, FRAMES(""));

	ck_assert_int_eq(kill(-srv->master, SIGHUP), 0);
	server_expect(srv, "event=reload_done gen=2");
	await(server_children(srv) == 2);
	ck_assert_uint_eq(server_count(srv, "event=reload"), 1);
	expect_service();
	server_end(srv);
}
END_TEST

START_TEST(a_term_during_a_reload_stops)
{
	struct server *srv;

	for (int i = 0; i < 10; i++) {
		srv = server_start(TWO, FRAMES(""));
		server_counters(srv);
		server_signal(srv, SIGHUP);
		/* At ten different moments of it. */
		if (i > 0)
			server_expect(srv, "event=reload");
		if (i > 5)
			server_expect(srv, "event=worker_start child_gen=2");
		server_signal(srv, SIGTERM);
		server_await_exit(srv, 0);
		server_expect(srv, "event=stopped");
		server_end(srv);
	}
}
END_TEST

START_TEST(an_int_during_a_reload_stops)
{
	struct server *srv;

	for (int i = 0; i < 5; i++) {
		srv = server_start(TWO, FRAMES(""));
		server_counters(srv);
		server_signal(srv, SIGHUP);
		if (i > 0)
			server_expect(srv, "event=reload");
		server_signal(srv, SIGINT);
		server_await_exit(srv, 0);
		server_end(srv);
	}
}
END_TEST

START_TEST(a_hup_during_a_drain_cancels_the_stop)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_send(fd, "\0\0\0\4ha", 6);
	await(server_counters(srv).bytes_in == 6);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=worker_drain mode=stop conns=1");
	server_reload(srv);
	expect_service();
	client_send_text(fd, "lf");
	client_expect_text_frame(fd, "half");
	close(fd);
	await(server_children(srv) == 2);
	expect_service();
	ck_assert(server_has_file(srv, "penstock.pid"));
	server_end(srv);
}
END_TEST

START_TEST(a_refused_reload_during_a_drain_lets_the_drain_go_on)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_send(fd, "\0\0\0\4ha", 6);
	await(server_counters(srv).bytes_in == 6);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=worker_drain mode=stop conns=1");
	server_write(srv, "conf", "nonsense");
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_refused");
	client_send_text(fd, "lf");
	client_expect_text_frame(fd, "half");
	client_expect_eof(fd);
	close(fd);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

/* Orders that come faster than they are taken have no order among them: the
 * kernel hands them over by their numbers. */
static void
give_order(struct server *srv, int signal)
{
	const char *taken = signal == SIGHUP ? "event=reload" :
	    signal == SIGUSR1 ? "event=reopen" :
	    signal == SIGUSR2 ? "event=upgrade" : "event=stop";
	unsigned before = server_count(srv, taken);

	server_signal(srv, signal);
	await(server_count(srv, taken) > before);
}

START_TEST(the_last_of_many_orders_is_carried_out)
{
	static const int orders[] = {
		SIGHUP, SIGUSR1, SIGHUP, SIGUSR2, SIGHUP, SIGTERM, SIGHUP,
		SIGUSR1, SIGTERM, SIGHUP
	};
	struct server *srv = server_start(TWO, FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	/* Keeps the drains between them from coming to their end. */
	client_send(fd, "\0\0\0\4ha", 6);
	await(server_counters(srv).bytes_in == 6);
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		give_order(srv, orders[i]);
	client_send_text(fd, "lf");
	client_expect_text_frame(fd, "half");
	close(fd);
	await(server_children(srv) == 2);
	await((fd = client_try(FRAME_PORT)) != -1);
	client_echo(fd, "running");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(other_signals_change_nothing)
{
	struct server *srv = server_start(TWO, FRAMES(""));

	server_signal(srv, SIGPIPE);
	server_signal(srv, SIGCHLD);
	server_signal(srv, SIGWINCH);
	server_signal(srv, SIGSTOP);
	server_signal(srv, SIGCONT);
	expect_service();
	ck_assert_uint_eq(server_children(srv), 2);
	server_end(srv);
}
END_TEST

/* Who started it may have left signals blocked or ignored. */
static void
block_and_ignore(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
}

START_TEST(inherited_signal_masks_do_not_matter)
{
	struct server *srv = server_new();
	pid_t worker;

	srv->prepare = block_and_ignore;
	srv->expects_deaths = true;
	server_configure(srv, TWO, FRAMES(""));
	server_launch(srv);
	server_await_ready(srv);
	server_reload(srv);
	worker = server_worker(srv, 0);
	ck_assert_int_eq(kill(worker, SIGKILL), 0);
	server_await_successor(srv, 0, worker);
	server_counters(srv);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

RUN_TESTS("signals",
    workers_ignore_order_signals,
    an_int_to_the_group_stops_once,
    a_term_to_the_group_drains,
    a_hup_to_the_group_reloads_once,
    a_term_during_a_reload_stops,
    an_int_during_a_reload_stops,
    a_hup_during_a_drain_cancels_the_stop,
    a_refused_reload_during_a_drain_lets_the_drain_go_on,
    the_last_of_many_orders_is_carried_out,
    other_signals_change_nothing,
    inherited_signal_masks_do_not_matter)
