/* SPDX-License-Identifier: ISC */
/*
 * A worker that dies takes no client with it that is between two messages: its
 * descriptors outlive it, a rescuer adopts its connections, and its successor
 * gets them.
 */
#include <sys/socket.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/points.h"
#include "tests/lib/proc.h"

enum {
	CLIENTS = 498,
	WIRES = 3,
};

static struct hold_process *loads[WIRES];

static struct server *
start(const char *globals)
{
	char text[512];

	snprintf(text, sizeof(text), "custody = true; %s", globals);
	return (server_start(text, FRAMES("") "," LINES("") ","
	    WEB("echo", "")));
}

/* Each client is there, and gets its next reply. */
static void
verify_load(void)
{
	for (int i = 0; i < WIRES; i++)
		ck_assert_uint_eq(hold_verify(loads[i])->verified,
		    CLIENTS / WIRES);
}

/* Clients of all protocols in equal parts, which are idle most of the time. */
static void
start_load(double rate)
{
	static const unsigned ports[WIRES] = { FRAME_PORT, LINE_PORT,
	    WEB_PORT };
	struct hold_options options;

	for (int i = 0; i < WIRES; i++) {
		options = load_on(ports[i]);
		options.connections = CLIENTS / WIRES;
		options.rate = rate / WIRES;
		loads[i] = hold_start(&options);
	}
	/* One that is just being accepted would be lost. */
	for (int i = 0; i < WIRES; i++)
		await(hold_peek(loads[i])->open == CLIENTS / WIRES);
	verify_load();
}

static void
stop_load(void)
{
	static const char *const titles[WIRES] = { "frame", "line", "http" };

	for (int i = 0; i < WIRES; i++) {
		(void)hold_stop(loads[i]);
		print_report(titles[i], hold_peek(loads[i]));
		expect_unharmed(hold_peek(loads[i]));
		hold_drop(loads[i]);
	}
}

static void
kill_child(const struct server *srv, const char *begin)
{
	pid_t pid;

	/* It may be about to leave. */
	await((pid = proc_find_child(srv->master, begin)) != 0 &&
	    kill(pid, SIGKILL) == 0);
	await(proc_is_dead(pid));
}

START_TEST(killed_workers_cost_no_idle_client)
{
	enum { KILLS = 6 };
	struct server *srv = start("workers = 2;");
	unsigned slot;
	pid_t pid;

	srv->expects_deaths = true;
	start_load(0);
	for (unsigned i = 0; i < KILLS; i++) {
		slot = i % 2;
		pid = server_worker(srv, slot);
		server_mark(srv);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		server_expect(srv, "event=worker_died rescue=yes conns_lost=0");
		server_expect(srv, "event=rescued busy=0 counts=0 damaged=0");
		server_await_successor(srv, slot, pid);
		verify_load();
	}
	/* All of them are with the successors soon. */
	await(proc_find_child(srv->master, "penstock: rescuer") == 0);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	ck_assert_ptr_null(server_log(srv, "event=conn_lost"));
	stop_load();
	server_end(srv);
}
END_TEST

/* So often that the next successor is not there at once, and a rescuer has nobody
 * to give to for a while. */
static void
kill_workers(struct server *srv)
{
	pid_t pid;

	for (int i = 0; i < 3; i++) {
		pid = server_worker(srv, 0);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		server_await_successor(srv, 0, pid);
		await(proc_find_child(srv->master, "penstock: rescuer") == 0);
	}
	server_mark(srv);
}

START_TEST(a_killed_rescuer_is_rescued_itself)
{
	struct server *srv = start("workers = 1;");

	srv->expects_deaths = true;
	start_load(0);
	kill_workers(srv);
	kill_child(srv, "penstock: worker slot=0");
	for (int i = 0; i < 2; i++)
		kill_child(srv, "penstock: rescuer slot=0");
	await(server_count(srv, "event=worker_died rescue=yes") == 3);
	verify_load();
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	stop_load();
	server_end(srv);
}
END_TEST

START_TEST(three_dead_rescuers_are_enough)
{
	struct server *srv = start("workers = 1;");
	int fd = client_connect(FRAME_PORT);

	srv->expects_deaths = true;
	client_echo(fd, "hello");
	kill_workers(srv);
	kill_child(srv, "penstock: worker slot=0");
	for (int i = 0; i < 3; i++)
		kill_child(srv, "penstock: rescuer slot=0");
	server_expect(srv, "event=custody_ended");
	server_expect(srv, "event=worker_died conns_lost=1");
	ck_assert_int_eq(client_read_to_end(fd), CLIENT_EOF);
	close(fd);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 1);
	server_end(srv);
}
END_TEST

START_TEST(a_killed_anchor_costs_nobody)
{
	struct server *srv = start("workers = 1;");

	srv->expects_deaths = true;
	start_load(100);
	kill_child(srv, "penstock: anchor slot=0");
	server_expect(srv, "event=custody_ended child_slot=0 conns_lost=0");
	verify_load();
	/* Its worker is replaced, see check_server_custody_renewal.c. */
	server_expect(srv, "event=custody_renewed");
	/* The old one has gone. */
	await(proc_titled(srv->master, "penstock: worker slot=0", NULL,
	    0) == 1);
	kill_child(srv, "penstock: worker slot=0");
	server_expect(srv, "event=rescued");
	verify_load();
	stop_load();
	server_end(srv);
}
END_TEST

/* Its worker dies, and the anchor does not do what it is asked for. */
static pid_t
stop_anchor_and_kill_worker(struct server *srv)
{
	pid_t anchor;

	await((anchor = proc_find_child(srv->master,
	    "penstock: anchor slot=0")) != 0);
	ck_assert_int_eq(kill(anchor, SIGSTOP), 0);
	kill_child(srv, "penstock: worker slot=0");
	server_expect(srv, "event=worker_died rescue=yes");
	return (anchor);
}

START_TEST(an_anchor_that_hangs_costs_what_its_worker_held)
{
	struct server *srv = start("workers = 1;");
	int fd = client_connect(FRAME_PORT);
	pid_t anchor;

	srv->expects_deaths = true;
	client_echo(fd, "hello");
	anchor = stop_anchor_and_kill_worker(srv);
	server_expect(srv, "event=custody_ended conns_lost=1");
	ck_assert_int_eq(client_read_to_end(fd), CLIENT_EOF);
	close(fd);
	await(proc_is_dead(anchor));
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 1);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "hello");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(an_anchor_that_dies_when_it_is_needed_costs_what_its_worker_held)
{
	struct server *srv = start("workers = 1;");
	int fd = client_connect(FRAME_PORT);

	srv->expects_deaths = true;
	client_echo(fd, "hello");
	ck_assert_int_eq(kill(stop_anchor_and_kill_worker(srv), SIGKILL), 0);
	server_expect(srv, "event=custody_ended conns_lost=1");
	ck_assert_int_eq(client_read_to_end(fd), CLIENT_EOF);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_stop_does_not_wait_long_for_a_rescuer)
{
	struct server *srv = start("workers = 1;");
	int fd = client_connect(FRAME_PORT);

	srv->expects_deaths = true;
	client_echo(fd, "hello");
	(void)stop_anchor_and_kill_worker(srv);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_and_an_upgrade_amid_a_rescue_cost_nobody)
{
	struct server *srv = server_new();
	pid_t anchor;

	server_configure(srv, "workers = 1;", FRAMES("") "," LINES("") ","
	    WEB("echo", ""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	srv->expects_deaths = true;
	start_load(0);
	anchor = stop_anchor_and_kill_worker(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload ");
	ck_assert_int_eq(kill(anchor, SIGCONT), 0);
	server_expect(srv, "event=reload_done kind=reload");
	verify_load();
	anchor = stop_anchor_and_kill_worker(srv);
	server_install(srv, "tests/programs/penstock-next");
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=upgrade ");
	ck_assert_int_eq(kill(anchor, SIGCONT), 0);
	server_expect(srv, "event=reload_done kind=upgrade");
	verify_load();
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	stop_load();
	server_end(srv);
}
END_TEST

START_TEST(workers_killed_amid_reloads_cost_no_idle_client)
{
	enum { ROUNDS = 10 };
	struct server *srv = start("workers = 2; probation = 0.0;");
	unsigned seed = test_seed(1);
	pid_t pids[8];
	size_t n;

	srv->expects_deaths = true;
	start_load(0);
	for (int i = 0; i < ROUNDS; i++) {
		server_mark(srv);
		server_signal(srv, SIGHUP);
		pause_us((unsigned)rand_r(&seed) % 400000);
		n = proc_children(srv->master, pids, 8);
		kill(pids[(size_t)rand_r(&seed) % (n < 8 ? n : 8)], SIGKILL);
		await(server_log(srv, "event=reload_done") != NULL ||
		    server_log(srv, "event=reload_refused") != NULL);
		verify_load();
	}
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	stop_load();
	server_end(srv);
}
END_TEST

/* The anchors of before are passed on. */
START_TEST(workers_killed_around_an_upgrade_cost_no_idle_client)
{
	struct server *srv = server_new();
	int taken;

	server_configure(srv, "custody = true; workers = 1;",
	    FRAMES("") "," LINES("") "," WEB("echo", ""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	srv->expects_deaths = true;
	start_load(0);
	kill_child(srv, "penstock: worker slot=0");
	server_install(srv, "tests/programs/penstock-next");
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_done kind=upgrade");
	verify_load();
	/* A reload that is refused leaves the workers to the new master. */
	taken = take_port(EXTRA_PORT);
	server_configure(srv, "custody = true; workers = 1;", FRAMES("") ","
	    LINES("") "," WEB("echo", "") "," EXTRA(""));
	server_install(srv, "penstock");
	server_mark(srv);
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_refused kind=upgrade");
	kill_child(srv, "penstock: worker slot=0");
	server_expect(srv, "event=rescued");
	verify_load();
	close(taken);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	stop_load();
	server_end(srv);
}
END_TEST

/* The previous version knows no anchors. */
START_TEST(a_downgrade_ends_custody_and_costs_nobody)
{
	struct server *srv = server_new();

	server_configure(srv, "custody = true; workers = 1;",
	    FRAMES("") "," LINES("") "," WEB("echo", ""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	start_load(100);
	server_install(srv, "tests/programs/penstock-previous");
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_done kind=upgrade");
	await(proc_find_child(srv->master, "penstock: anchor") == 0);
	verify_load();
	stop_load();
	server_end(srv);
}
END_TEST

/* It dies when the client has all of a reply that was not gathered with others,
 * and before its turn has ended. */
START_TEST(a_client_with_all_of_a_large_reply_is_kept)
{
	static uint8_t message[70000];
	struct server *srv = server_new();
	struct point *points = points_map(srv);
	int fd;

	server_configure(srv, "workers = 1;", FRAMES(""));
	server_install(srv, "tests/programs/penstock-next");
	server_launch(srv);
	server_await_ready(srv);
	srv->expects_deaths = true;
	fd = client_connect(FRAME_PORT);
	points_arm(points, "large_sent", SIGKILL, 1, 1);
	client_send_frame(fd, message, sizeof(message));
	client_expect_frame(fd, message, sizeof(message));
	server_expect(srv, "event=rescued kept=1 busy=0 counts=0");
	client_echo(fd, "hello");
	close(fd);
	server_end(srv);
}
END_TEST

/* What its rescuer has answered, and which does not close, keeps that for a
 * while, and with it the block of the dead worker. */
static int
ask_for_the_last_time(void)
{
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, "GET / HTTP/1.0\r\n\r\n");
	return (fd);
}

START_TEST(rescuers_that_linger_cost_no_idle_client)
{
	enum { KILLS = 6 };
	struct server *srv = handlers_start(HANDLERS(COMMAND("never",
	    "\"--ready\", \"hang\"", "ready = true;")),
	    FRAMES("") "," WEB("never", ""));
	int idle, lingering[KILLS];
	pid_t pid;

	srv->expects_deaths = true;
	idle = client_connect(FRAME_PORT);
	client_echo(idle, "hello");
	for (int i = 0; i < KILLS; i++) {
		lingering[i] = ask_for_the_last_time();
		await(server_counters(srv).messages_in == (uint64_t)i * 2 + 2);
		pid = server_worker(srv, 0);
		server_mark(srv);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		server_expect(srv, "event=rescued");
		server_await_successor(srv, 0, pid);
		/* It stays for at most ten seconds. */
		for (int k = 0; k <= i; k++)
			(void)!send(lingering[k], "x", 1, MSG_NOSIGNAL);
		client_echo(idle, "hello");
	}
	for (int i = 0; i < KILLS; i++)
		close(lingering[i]);
	close(idle);
	server_end(srv);
}
END_TEST

/* The worker is stopped, and thus hangs. */
START_TEST(a_hung_worker_costs_no_idle_client)
{
	struct server *srv = start("workers = 1; watchdog_timeout = 1.0;");
	pid_t pid = server_worker(srv, 0);

	srv->expects_deaths = true;
	start_load(0);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	server_expect(srv, "event=worker_hung");
	server_expect(srv, "event=rescued");
	verify_load();
	stop_load();
	server_end(srv);
}
END_TEST

START_TEST(a_stop_rescues_nobody)
{
	struct server *srv = start("workers = 1; drain_timeout = 20.0;");
	int fd = client_connect(FRAME_PORT);
	pid_t pid = server_worker(srv, 0);

	srv->expects_deaths = true;
	/* Half a message keeps the worker. */
	ck_assert_int_eq(write(fd, "\0\0", 2), 2);
	await(server_counters(srv).active == 1);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=worker_drain");
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	server_await_exit(srv, 0);
	ck_assert_ptr_nonnull(server_log(srv,
	    "event=worker_died conns_lost=1"));
	ck_assert_ptr_null(server_log(srv, "event=rescued"));
	close(fd);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_custody",
    killed_workers_cost_no_idle_client,
    a_killed_rescuer_is_rescued_itself,
    three_dead_rescuers_are_enough,
    a_killed_anchor_costs_nobody,
    an_anchor_that_hangs_costs_what_its_worker_held,
    an_anchor_that_dies_when_it_is_needed_costs_what_its_worker_held,
    a_stop_does_not_wait_long_for_a_rescuer,
    a_reload_and_an_upgrade_amid_a_rescue_cost_nobody,
    workers_killed_amid_reloads_cost_no_idle_client,
    workers_killed_around_an_upgrade_cost_no_idle_client,
    a_downgrade_ends_custody_and_costs_nobody,
    a_hung_worker_costs_no_idle_client,
    a_client_with_all_of_a_large_reply_is_kept,
    rescuers_that_linger_cost_no_idle_client,
    a_stop_rescues_nobody)
