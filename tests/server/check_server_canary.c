/* SPDX-License-Identifier: ISC */
/*
 * The canary of a reload or upgrade: new workers that crash or hang cost a few
 * connections at most, and the old ones never stopped serving.
 */
#include <sys/resource.h>

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/canary.h"
#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define TWO	"workers = 2; drain_timeout = 20.0;"
#define NEXT	"tests/programs/penstock-next"

enum { CLIENTS = 1000 };

/* A server; the workers of the first program that can, fail as mode says. */
static struct server *
start(const char *mode, const char *program)
{
	struct server *srv = server_new();

	server_write(srv, "crash", mode);
	srv->expects_deaths = true;
	server_configure(srv, TWO, FRAMES(""));
	server_install(srv, program);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

static struct hold_process *
start_load(unsigned clients)
{
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = clients;
	options.rate = 1000;
	options.reconnect = true;
	load = hold_start(&options);
	await(hold_peek(load)->open == clients);
	await(hold_peek(load)->answered > clients);
	return (load);
}

static void
upgrade(struct server *srv)
{
	server_install(srv, NEXT);
	server_mark(srv);
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=upgraded to=next");
	/* The next program is good. */
	ck_assert_int_eq(unlink(server_path(srv, "crash")), 0);
}

/* The file that has its name is still another one. */
static void
expect_old_program(const struct server *srv)
{
	char path[64], program[PATH_MAX] = "";

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)srv->master);
	ck_assert_int_gt(readlink(path, program, sizeof(program) - 1), 0);
	ck_assert_ptr_nonnull(strstr(program, "(deleted)"));
}

static uint64_t
harmed(const struct hold_report *report)
{
	return (report->disconnected + report->reset + report->broken);
}

/* All clients are served, and most of those that were there before never lost
 * their connection; what was lost the server has counted. */
static void
expect_few_lost(struct server *srv, struct hold_process *load, uint64_t most)
{
	const struct hold_report *report;
	const char *line;
	uint64_t lost;

	line = server_expect(srv, "event=reload_report result=refused cut=0");
	lost = log_number(line, "lost");
	ck_assert_uint_eq(log_number(line, "held"), lost +
	    log_number(line, "carried") + log_number(line, "finished"));
	ck_assert_uint_le(lost, most);
	await(harmed(hold_peek(load)) == lost);
	await(hold_peek(load)->open == CLIENTS);
	report = hold_verify(load);
	ck_assert_uint_eq(report->rounds, 1);
	ck_assert_uint_eq(report->verified, CLIENTS);
	report = hold_stop(load);
	print_report("after the canary", report);
	ck_assert_uint_eq(report->hung, 0);
	ck_assert_uint_eq(report->refused, 0);
	ck_assert_uint_eq(report->corrupted + report->doubled +
	    report->reordered + report->errors, 0);
	ck_assert_uint_eq(harmed(report), lost);
	hold_drop(load);
}

/* Let workers that do nothing for a while turn to their work. */
static void
go_on(struct server *srv)
{
	server_write(srv, "go", "");
}

/* An upgrade to a program that fails is refused, and has cost that many
 * connections at most. */
static void
survive(const char *mode, uint64_t most, const char *why)
{
	struct server *srv = start(mode, "penstock");
	pid_t workers[2] = { server_worker(srv, 0), server_worker(srv, 1) };
	struct hold_process *load = start_load(CLIENTS);
	const char *line;

	upgrade(srv);
	line = server_expect(srv, "event=rollback of=upgrade to=1");
	ck_assert_msg(strstr(line, why) != NULL, "not \"%s\": %s", why, line);
	server_expect(srv, "event=upgrade_refused");
	expect_old_program(srv);
	expect_few_lost(srv, load, most);
	await(server_children(srv) == 2);
	ck_assert(!proc_is_dead(workers[0]) && !proc_is_dead(workers[1]));
	/* The same program would do, were it good. */
	server_install(srv, NEXT);
	server_mark(srv);
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_done kind=upgrade");
	await(server_children(srv) == 2);
	server_end(srv);
}

START_TEST(workers_that_crash_at_the_start_cost_no_connection)
{
	survive("start", 0, "died during the canary");
}
END_TEST

START_TEST(workers_that_hang_at_the_start_cost_no_connection)
{
	survive("hang", 0, "did not turn");
}
END_TEST

START_TEST(workers_that_crash_before_they_take_cost_no_connection)
{
	survive("take", 0, "died during the canary");
}
END_TEST

START_TEST(workers_that_crash_at_the_first_connection_cost_no_connection)
{
	survive("adopt", 0, "died during the canary");
}
END_TEST

START_TEST(workers_that_crash_with_a_connection_cost_a_share)
{
	survive("adopted", CANARY_SHARE_MAX, "died during the canary");
}
END_TEST

START_TEST(workers_that_crash_at_the_first_reply_cost_a_share)
{
	/* Clients of the one that dies first may come again to the other one,
	 * before only the old workers accept. */
	survive("reply", (uint64_t)2 * CANARY_SHARE_MAX,
	    "died during the canary");
}
END_TEST

/* What a canary cannot show is found in the probation; then those that have
 * lost their connection are served by the old program. */
START_TEST(workers_that_crash_later_are_rolled_back)
{
	struct server *srv = start("late", "penstock");
	struct hold_process *load = start_load(CLIENTS);
	const struct hold_report *report;

	upgrade(srv);
	server_expect(srv, "event=reload_done kind=upgrade");
	server_expect(srv, "event=rollback of=upgrade to=1");
	server_expect(srv, "event=reload_done kind=rollback");
	expect_old_program(srv);
	await(hold_peek(load)->open == CLIENTS);
	report = hold_verify(load);
	ck_assert_uint_eq(report->verified, CLIENTS);
	report = hold_stop(load);
	ck_assert_uint_eq(report->corrupted + report->doubled +
	    report->reordered + report->errors, 0);
	hold_drop(load);
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

/* A reload: the old workers go on with the configuration that they have. */
START_TEST(a_reload_whose_workers_crash_is_refused)
{
	struct server *srv = start("adopted", NEXT);
	pid_t workers[2] = { server_worker(srv, 0), server_worker(srv, 1) };
	struct hold_process *load = start_load(CLIENTS);
	int extra;

	server_configure(srv, TWO, FRAMES("") ", " EXTRA(""));
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_refused kind=reload");
	await(client_is_refused(EXTRA_PORT));
	expect_few_lost(srv, load, CANARY_SHARE_MAX);
	await(server_children(srv) == 2);
	ck_assert(!proc_is_dead(workers[0]) && !proc_is_dead(workers[1]));
	/* And again. */
	load = start_load(CLIENTS);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_refused kind=reload");
	expect_few_lost(srv, load, CANARY_SHARE_MAX);
	extra = client_connect(FRAME_PORT);
	client_echo(extra, "at your service");
	close(extra);
	server_end(srv);
}
END_TEST

/* More slots or fewer: what a canary accepted goes back to who is there. */
START_TEST(a_reload_to_another_number_of_workers_can_be_refused)
{
	struct server *srv = start("take", NEXT);
	struct hold_process *load = start_load(CLIENTS);

	server_configure(srv, "workers = 4;", FRAMES(""));
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_refused kind=reload");
	expect_few_lost(srv, load, 0);
	await(server_children(srv) == 2);
	load = start_churn(20);
	server_configure(srv, "workers = 1;", FRAMES(""));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_refused kind=reload");
	server_expect(srv, "event=reload_report result=refused");
	await(server_children(srv) == 2);
	hold_stop(load);
	hold_drop(load);
	server_end(srv);
}
END_TEST

START_TEST(a_canary_hands_back_what_it_accepted)
{
	struct server *srv = start("pause", NEXT);
	pid_t workers[2] = { server_worker(srv, 0), server_worker(srv, 1) };
	struct hold_process *load;
	const struct hold_report *report;
	pid_t fresh;

	load = start_load(CLIENTS);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=canary");
	/* One of them dies while the other one does nothing. */
	fresh = server_worker(srv, 0);
	ck_assert_int_ne(fresh, workers[0]);
	kill(fresh, SIGKILL);
	go_on(srv);
	server_expect(srv, "event=reload_refused kind=reload");
	server_expect(srv, "event=reload_report result=refused cut=0 lost=0");
	await(server_children(srv) == 2);
	report = hold_verify(load);
	ck_assert_uint_eq(report->verified, CLIENTS);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
}
END_TEST

/*
 * Orders during a canary.
 */

static struct server *
begin_canary(void)
{
	struct server *srv = start("pause", NEXT);

	ck_assert_int_eq(unlink(server_path(srv, "crash")), 0);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=canary");
	return (srv);
}

START_TEST(a_stop_during_a_canary_drains_all_workers)
{
	struct server *srv = start("pause", NEXT);
	struct hold_process *load = start_load(200);

	server_counters(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=canary");
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=reload_refused kind=reload");
	go_on(srv);
	server_await_exit(srv, 0);
	ck_assert_uint_eq(server_count(srv, "event=worker_drained cut=0"), 4);
	ck_assert_uint_eq(hold_peek(load)->corrupted, 0);
	hold_drop(load);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_during_a_canary_follows_it)
{
	struct server *srv = begin_canary();

	server_signal(srv, SIGHUP);
	go_on(srv);
	server_expect(srv, "event=reload_done kind=reload gen=2");
	server_expect(srv, "event=reload_done kind=reload gen=3");
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

START_TEST(an_upgrade_during_a_canary_follows_it)
{
	struct server *srv = begin_canary();

	server_install(srv, NEXT);
	server_signal(srv, SIGUSR2);
	go_on(srv);
	server_expect(srv, "event=reload_done kind=reload gen=2");
	server_expect(srv, "event=upgraded to=next");
	server_expect(srv, "event=reload_done kind=upgrade gen=3");
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

START_TEST(a_rebalance_during_a_canary_follows_it)
{
	struct server *srv = begin_canary();

	server_signal(srv, SIGWINCH);
	server_expect(srv, "event=rebalance");
	go_on(srv);
	server_expect(srv, "event=reload_done kind=reload gen=2");
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

START_TEST(an_old_worker_that_dies_during_a_canary_is_replaced)
{
	struct server *srv = begin_canary();
	const char *line;
	pid_t old;
	int fd;

	srv->log_mark = 0;
	line = server_expect(srv, "event=worker_ready child_slot=1 child_gen=1");
	old = (pid_t)log_number(line, "child");
	server_mark(srv);
	kill(old, SIGKILL);
	server_expect(srv, "event=worker_died child_slot=1 child_gen=1");
	go_on(srv);
	server_expect(srv, "event=reload_done kind=reload gen=2");
	await(server_children(srv) == 2);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "at your service");
	close(fd);
	server_end(srv);
}
END_TEST

/* The order that came during the canary of a program that has failed is carried
 * out by the old one. */
static void
order_during_the_canary(int signal, const char *done)
{
	struct server *srv = start("hang", "penstock");
	struct hold_process *load = start_load(100);

	upgrade(srv);
	server_expect(srv, "event=canary kind=upgrade");
	server_mark(srv);
	server_install(srv, NEXT);
	server_signal(srv, signal);
	server_expect(srv, "event=upgrade_refused");
	server_expect(srv, done);
	await(server_children(srv) == 2);
	ck_assert_uint_eq(hold_verify(load)->verified, 100);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
}

START_TEST(a_reload_during_the_canary_of_an_upgrade_is_not_lost)
{
	order_during_the_canary(SIGHUP, "event=reload_done kind=reload");
}
END_TEST

START_TEST(an_upgrade_during_the_canary_of_an_upgrade_is_not_lost)
{
	order_during_the_canary(SIGUSR2, "event=upgraded to=next");
}
END_TEST

/* Both generations serve their connections to the end. */
START_TEST(a_master_that_dies_during_a_canary_disconnects_nobody)
{
	struct server *srv = start("pause", NEXT);
	struct hold_process *load = start_load(200);
	const struct hold_report *report;

	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=canary");
	server_counters(srv);
	kill(srv->master, SIGKILL);
	server_await_exit(srv, 128 + SIGKILL);
	report = hold_verify(load);
	ck_assert_uint_eq(report->verified, 200);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	server_end(srv);
}
END_TEST

/*
 * What the probation brings back.
 */

#define CATS	LISTENER("cats", "9003", "frame", "cat", "")
#define DYING								\
	"handlers = ( { name = \"cat\"; type = \"command\"; processes = 2; " \
	"ready = true; "						\
	"command = [ \"/bin/sh\", \"-c\", \"printf '\\\\0\\\\0\\\\0\\\\0'; " \
	"sleep 1; exit 3\" ]; } );"

START_TEST(a_rollback_under_load_carries_everybody_back)
{
	struct server *srv = start("late", "penstock");
	struct hold_process *load = start_load(CLIENTS);

	server_configure(srv, TWO DYING, FRAMES("") ", " CATS);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done kind=reload gen=2");
	server_expect(srv, "event=reload_done kind=rollback gen=3");
	ck_assert_uint_eq(hold_verify(load)->verified, CLIENTS);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

RUN_TESTS("canary",
    workers_that_crash_at_the_start_cost_no_connection,
    workers_that_hang_at_the_start_cost_no_connection,
    workers_that_crash_before_they_take_cost_no_connection,
    workers_that_crash_at_the_first_connection_cost_no_connection,
    workers_that_crash_with_a_connection_cost_a_share,
    workers_that_crash_at_the_first_reply_cost_a_share,
    workers_that_crash_later_are_rolled_back,
    a_reload_whose_workers_crash_is_refused,
    a_reload_to_another_number_of_workers_can_be_refused,
    a_canary_hands_back_what_it_accepted,
    a_stop_during_a_canary_drains_all_workers,
    a_reload_during_a_canary_follows_it,
    an_upgrade_during_a_canary_follows_it,
    a_rebalance_during_a_canary_follows_it,
    an_old_worker_that_dies_during_a_canary_is_replaced,
    a_reload_during_the_canary_of_an_upgrade_is_not_lost,
    an_upgrade_during_the_canary_of_an_upgrade_is_not_lost,
    a_master_that_dies_during_a_canary_disconnects_nobody,
    a_rollback_under_load_carries_everybody_back)
