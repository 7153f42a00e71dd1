/* SPDX-License-Identifier: ISC */
/*
 * A worker whose anchor has died is replaced by another one that has custody:
 * no client notices, and whatever else is ordered comes first.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/exposition.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/points.h"
#include "tests/lib/proc.h"

#define NEXT	"tests/programs/penstock-next"
#define GLOBALS								\
	"custody = true; workers = 1; probation = 0.0;\n"		\
	"monitor = { address = \"$A:9180\"; };\n"
#define ALL	FRAMES("") "," LINES("") "," WEB("echo", "")

enum {
	MONITOR_PORT = 9180,
	CHILDREN_MAX = 64,
	WIRES = 3,
	CLIENTS = 67,		/* of each of these */
};

static struct hold_process *loads[WIRES];
static struct point *points;

static struct server *
start(void)
{
	struct server *srv = server_new();

	srv->expects_deaths = true;
	points = points_map(srv);
	server_configure(srv, GLOBALS, ALL);
	server_install(srv, NEXT);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

/*
 * Clients, which are idle.
 */

static void
verify_load(void)
{
	for (int i = 0; i < WIRES; i++)
		ck_assert_uint_eq(hold_verify(loads[i])->verified, CLIENTS);
}

static void
start_load(void)
{
	static const unsigned ports[WIRES] = { FRAME_PORT, LINE_PORT,
	    WEB_PORT };
	struct hold_options options;

	for (int i = 0; i < WIRES; i++) {
		options = load_on(ports[i]);
		options.connections = CLIENTS;
		options.rate = 0;
		loads[i] = hold_start(&options);
	}
	/* One that is just being accepted would be lost. */
	for (int i = 0; i < WIRES; i++)
		await(hold_peek(loads[i])->open == CLIENTS);
	verify_load();
}

static void
stop_load(struct server *srv)
{
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	for (int i = 0; i < WIRES; i++) {
		(void)hold_stop(loads[i]);
		expect_unharmed(hold_peek(loads[i]));
		hold_drop(loads[i]);
	}
}

/*
 * Processes.
 */

static unsigned
count_titles(const struct server *srv, const char *title)
{
	pid_t pids[CHILDREN_MAX];
	char is[256];
	size_t n = proc_in_directory(srv->dir, pids, CHILDREN_MAX);
	unsigned found = 0;

	for (size_t i = 0; i < n && i < CHILDREN_MAX; i++) {
		proc_title(pids[i], is, sizeof(is));
		found += strncmp(is, title, strlen(title)) == 0;
	}
	return (found);
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

static double
custody_gauge(void)
{
	char reply[1 << 17];
	int fd = client_connect(MONITOR_PORT);
	size_t len = 0;
	ssize_t n = 1;

	client_send_text(fd, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\n\r\n");
	while (n > 0 && len < sizeof(reply) - 1) {
		await(client_has_input(fd));
		n = read(fd, reply + len, sizeof(reply) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	reply[len] = '\0';
	close(fd);
	return (exposition_value(reply, "penstock_custody{slot=\"0\"}"));
}

/* One worker, which has custody. */
static void
await_settled(struct server *srv)
{
	await(count_titles(srv, "penstock: worker ") == 1 &&
	    count_titles(srv, "penstock: rescuer ") == 0 &&
	    custody_gauge() == 1);
}

/* The slot has custody, which keeps all clients when the worker dies. */
static void
expect_custody(struct server *srv)
{
	await_settled(srv);
	server_mark(srv);
	kill_child(srv, "penstock: worker slot=0");
	server_expect(srv, "event=rescued busy=0 counts=0 damaged=0");
	verify_load();
	await_settled(srv);
}

/*
 * Renewals.
 */

START_TEST(a_worker_without_its_anchor_is_replaced)
{
	struct server *srv = start();
	pid_t old = server_worker(srv, 0);

	start_load();
	for (int i = 0; i < 3; i++) {
		server_mark(srv);
		kill_child(srv, "penstock: anchor slot=0");
		server_expect(srv,
		    "event=custody_ended child_slot=0 conns_lost=0");
		server_expect(srv, "event=worker_start child_slot=0");
		ck_assert_uint_eq(log_number(srv->line, "renews"),
		    (uint64_t)old);
		server_expect(srv, "event=custody_renewed child_slot=0");
		ck_assert_uint_eq(log_number(srv->line, "replaces"),
		    (uint64_t)old);
		await(proc_is_dead(old));
		server_expect(srv, "event=worker_exit child_slot=0");
		verify_load();
		/* It is neither a reload nor a death. */
		ck_assert_ptr_null(server_log(srv, "event=reload_report"));
		ck_assert_ptr_null(server_log(srv, "event=worker_died"));
		ck_assert_uint_eq(server_count(srv, "event=worker_start"), 1);
		old = server_worker(srv, 0);
	}
	expect_custody(srv);
	stop_load(srv);
	server_end(srv);
}
END_TEST

/* The old one serves on meanwhile. */
START_TEST(new_workers_that_die_before_they_are_ready_cost_nobody)
{
	struct server *srv = start();
	pid_t old = server_worker(srv, 0);

	start_load();
	points_arm(points, "worker_starts", SIGKILL, 1, 7);
	kill_child(srv, "penstock: anchor slot=0");
	await(points_killed(points) == 7);
	ck_assert(!proc_is_dead(old));
	verify_load();
	server_expect(srv, "event=custody_renewed");
	ck_assert_uint_eq(server_count(srv, "event=worker_died"), 7);
	ck_assert_uint_eq(server_count(srv, "event=worker_start"), 9);
	ck_assert_ptr_null(server_log(srv, "event=reload_refused"));
	await(proc_is_dead(old));
	expect_custody(srv);
	stop_load(srv);
	server_end(srv);
}
END_TEST

/* It is of no more use than the old one. */
START_TEST(a_new_worker_that_loses_its_anchor_too_is_given_up)
{
	struct server *srv = start();
	pid_t old = server_worker(srv, 0);

	start_load();
	points_arm(points, "worker_starts", POINT_HANG, 1, 1);
	kill_child(srv, "penstock: anchor slot=0");
	await(points_killed(points) == 1);
	kill_child(srv, "penstock: anchor slot=0");
	await(server_count(srv, "event=custody_ended") == 2);
	/* Another one starts while that is told to end. */
	server_expect(srv, "event=custody_renewed");
	ck_assert_uint_eq(log_number(srv->line, "replaces"), (uint64_t)old);
	ck_assert_int_ne(log_number(srv->line, "child"), points->pid[0]);
	kill(points->pid[0], SIGKILL);
	verify_load();
	expect_custody(srv);
	stop_load(srv);
	server_end(srv);
}
END_TEST

/* The new one takes its place as soon as it can, and no other one is started. */
START_TEST(a_worker_that_dies_meanwhile_is_replaced_by_the_new_one)
{
	struct server *srv = handlers_start(GLOBALS "handlers = (\n"
	    MODULE("late", "open_ms = 1000;", "threads = 1;") "\n);",
	    FRAMES("") "," LISTENER("late", "9003", "frame", "late", ""));
	int fd = client_connect(FRAME_PORT);

	srv->expects_deaths = true;
	client_echo(fd, "hello");
	server_mark(srv);
	kill_child(srv, "penstock: anchor slot=0");
	server_expect(srv, "event=worker_ready");
	ck_assert_ptr_null(server_log(srv, "event=custody_renewed"));
	kill_child(srv, "penstock: worker slot=0");
	server_expect(srv, "event=worker_died conns_lost=1 retry_ms=0");
	ck_assert_int_eq(client_read_to_end(fd), CLIENT_EOF);
	close(fd);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "hello");
	close(fd);
	ck_assert_uint_eq(server_count(srv, "event=worker_start"), 1);
	await(custody_gauge() == 1);
	server_end(srv);
}
END_TEST

START_TEST(anchors_that_are_killed_again_and_again_cost_few_workers)
{
	enum { MS = 3000, STARTS = 5 + 6 };
	struct server *srv = start();
	uint64_t until_ms;
	unsigned kills = 0;
	pid_t pid;

	start_load();
	server_mark(srv);
	until_ms = clock_ms() + MS;
	while (clock_ms() < until_ms) {
		pid = proc_find_child(srv->master, "penstock: anchor slot=0");
		kills += pid != 0 && kill(pid, SIGKILL) == 0;
		await_pause();
	}
	ck_assert_uint_ge(kills, 5);
	ck_assert_uint_le(server_count(srv, "event=worker_start"), STARTS);
	ck_assert_uint_le(server_count(srv, "event=custody_ended"),
	    STARTS + 1);
	verify_load();
	await_settled(srv);
	expect_custody(srv);
	stop_load(srv);
	server_end(srv);
}
END_TEST

/*
 * Other orders.
 */

START_TEST(an_anchor_killed_during_a_reload_is_replaced_by_that)
{
	struct server *srv = start();

	start_load();
	points_arm(points, "worker_starts", POINT_HANG, 1, 1);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	await(points_killed(points) == 1);
	/* The first one: that of the old worker. */
	kill_child(srv, "penstock: anchor slot=0 gen=1");
	server_expect(srv, "event=custody_ended child_gen=1");
	holds_for(300, server_count(srv, "event=worker_start") == 1);
	/* If that fails, the renewal is due. */
	kill(points->pid[0], SIGKILL);
	server_expect(srv, "event=reload_refused");
	server_expect(srv, "event=custody_renewed child_gen=1");
	verify_load();
	expect_custody(srv);
	server_reload(srv);
	verify_load();
	expect_custody(srv);
	stop_load(srv);
	server_end(srv);
}
END_TEST

/* Wherever the renewal is when the order comes; in the last round it waits for
 * the new worker. */
static void
order_after_death(void (*order)(struct server *))
{
	enum { ROUNDS = 5 };
	static const unsigned pauses_us[ROUNDS] = { 0, 5000, 20000, 60000 };
	struct server *srv = start();

	start_load();
	for (int i = 0; i < ROUNDS; i++) {
		if (i == ROUNDS - 1)
			points_arm(points, "worker_starts", POINT_HANG, 1, 1);
		server_mark(srv);
		await(proc_titled(srv->master, "penstock: anchor slot=0",
		    NULL, 0) == 1);
		kill_child(srv, "penstock: anchor slot=0");
		pause_us(pauses_us[i]);
		if (i == ROUNDS - 1)
			await(points_killed(points) == 1);
		order(srv);
		verify_load();
		if (i == ROUNDS - 1) {
			/* It was told to end, and does not read that. */
			ck_assert_ptr_nonnull(strstr(server_expect(srv,
			    "event=worker_killed"), "exit"));
			await(proc_is_dead(points->pid[0]));
			points_arm(points, "", 0, 0, 0);
		}
		await_settled(srv);
		await(server_count(srv, "event=reload_report") == 1);
		ck_assert_ptr_nonnull(server_log(srv,
		    "event=reload_report result=done lost=0"));
		expect_custody(srv);
	}
	stop_load(srv);
	server_end(srv);
}

static void
order_reload(struct server *srv)
{
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done kind=reload");
}

START_TEST(a_reload_ends_a_renewal)
{
	order_after_death(order_reload);
}
END_TEST

static void
order_upgrade(struct server *srv)
{
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_done kind=upgrade");
}

START_TEST(an_upgrade_ends_a_renewal)
{
	order_after_death(order_upgrade);
}
END_TEST

/* The new program knows that there was an anchor. */
START_TEST(a_refused_upgrade_does_not_forget_the_renewal)
{
	struct server *srv = start();
	int taken = take_port(EXTRA_PORT);

	start_load();
	server_configure(srv, GLOBALS, ALL "," EXTRA(""));
	points_arm(points, "worker_starts", POINT_HANG, 1, 1);
	kill_child(srv, "penstock: anchor slot=0");
	await(points_killed(points) == 1);
	server_mark(srv);
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_refused kind=upgrade");
	server_expect(srv, "event=custody_renewed child_gen=1");
	kill(points->pid[0], SIGKILL);
	verify_load();
	expect_custody(srv);
	close(taken);
	stop_load(srv);
	server_end(srv);
}
END_TEST

static void
stop_after_death(int sig, bool waits)
{
	struct server *srv = start();
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "hello");
	points_arm(points, "worker_starts", POINT_HANG, waits ? 1 : 1000, 1);
	kill_child(srv, "penstock: anchor slot=0");
	if (waits)
		await(points_killed(points) == 1);
	server_signal(srv, sig);
	server_expect(srv, "event=stop");
	/* It does not read its orders. */
	if (waits)
		kill(points->pid[0], SIGKILL);
	server_await_exit(srv, 0);
	if (waits)
		ck_assert_uint_eq(server_count(srv, "event=worker_start"), 2);
	close(fd);
	server_end(srv);
}

START_TEST(a_stop_ends_a_renewal)
{
	stop_after_death(SIGTERM, false);
	stop_after_death(SIGTERM, true);
	stop_after_death(SIGINT, false);
	stop_after_death(SIGINT, true);
}
END_TEST

RUN_TESTS("server_custody_renewal",
    a_worker_without_its_anchor_is_replaced,
    new_workers_that_die_before_they_are_ready_cost_nobody,
    a_new_worker_that_loses_its_anchor_too_is_given_up,
    a_worker_that_dies_meanwhile_is_replaced_by_the_new_one,
    anchors_that_are_killed_again_and_again_cost_few_workers,
    an_anchor_killed_during_a_reload_is_replaced_by_that,
    a_reload_ends_a_renewal,
    an_upgrade_ends_a_renewal,
    a_refused_upgrade_does_not_forget_the_renewal,
    a_stop_ends_a_renewal)
