/* SPDX-License-Identifier: ISC */
/*
 * New programs that pass their check, and then die or hang while they take over:
 * the previous program goes on, and no client notices.
 */
#include <sys/wait.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define NEXT	"tests/programs/penstock-next"

#define GLOBALS								\
	"workers = 2; drain_timeout = 5.0; handlers = ( { name = \"cat\"; " \
	"type = \"command\"; processes = 2; "				\
	"command = [ \"/bin/cat\" ]; } );"
#define LISTENERS							\
	/* A partial message waits while a program hangs. */		\
	FRAMES("read_timeout = 60.0;") ", " LINES("") ", "		\
	LISTENER("cats", "9003", "frame", "cat", "")

enum { CHILDREN = 4 };

static int idle, partial, lines, cats;

static void
connect_clients(void)
{
	idle = client_connect(FRAME_PORT);
	partial = client_connect(FRAME_PORT);
	lines = client_connect(LINE_PORT);
	cats = client_connect(EXTRA_PORT);
	client_echo(idle, "before");
	client_send(partial, "\0\0\0\4ha", 6);
	client_echo_line(lines, "before");
	client_echo(cats, "before");
}

static void
expect_clients(struct server *srv)
{
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "a new one");
	close(fd);
	/* The next report is only about the other ones. */
	await(server_counters(srv).active == 4);
	client_send(partial, "ha", 2);
	client_expect_frame(partial, "haha", 4);
	client_send(partial, "\0\0\0\4ha", 6);
	client_echo(idle, "after");
	client_echo_line(lines, "after");
	client_echo(cats, "after");
}

static struct server *
start_with(const char *globals)
{
	struct server *srv = server_new();

	server_configure(srv, globals, LISTENERS);
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	connect_clients();
	return (srv);
}

static struct server *
start(void)
{
	return (start_with(GLOBALS));
}

static void
upgrade_to(struct server *srv, const char *program)
{
	server_install(srv, program);
	server_mark(srv);
	server_signal(srv, SIGUSR2);
}

static pid_t
pid_in_file(struct server *srv)
{
	FILE *file = fopen(server_path(srv, "penstock.pid"), "re");
	long pid = 0;

	if (file == NULL)
		return (0);
	if (fscanf(file, "%ld", &pid) != 1)
		pid = 0;
	fclose(file);
	return ((pid_t)pid);
}

/* The master is another process now, which is not our child. */
static void
find_master(struct server *srv)
{
	pid_t dead = srv->master;

	await((srv->master = pid_in_file(srv)) != 0 && srv->master != dead);
	srv->is_daemon = true;
	/* It was our child, or that of a master that is gone too. */
	(void)waitpid(dead, NULL, 0);
}

/* A new program with that fault costs no more than the upgrade. */
static void
expect_rescue(struct server *srv, const char *fault, const char *why)
{
	const char *line;

	server_write(srv, "fault", fault);
	upgrade_to(srv, NEXT);
	find_master(srv);
	line = server_expect(srv, "event=upgrade_refused");
	ck_assert_msg(strstr(line, why) != NULL, "%s: %s", fault, line);
	expect_clients(srv);
	/* All processes are children of this master now. */
	server_expect(srv, "event=reload_done kind=reload");
	server_expect(srv, "event=reload_report kind=reload");
	await(server_children(srv) == CHILDREN);
	expect_clients(srv);
}

/* As if nothing had been. */
static void
expect_next_upgrade(struct server *srv)
{
	const char *line;

	unlink(server_path(srv, "fault"));
	upgrade_to(srv, NEXT);
	server_expect(srv, "event=upgraded to=next");
	line = server_expect(srv, "event=reload_report kind=upgrade");
	ck_assert_msg(strstr(line, "held=4 carried=4 finished=0 closed=0 "
	    "cut=0 lost=0") != NULL, "%s", line);
	await(server_children(srv) == CHILDREN);
	expect_clients(srv);
}

static void
disconnect_clients(void)
{
	close(idle);
	close(partial);
	close(lines);
	close(cats);
}

static void
finish(struct server *srv)
{
	ck_assert_ptr_null(server_log(srv, "event=worker_killed"));
	disconnect_clients();
	server_end(srv);
}

#define TEST_FAULT(name, fault)						\
	START_TEST(name)						\
	{								\
		struct server *srv = start();				\
									\
		expect_rescue(srv, fault, "the new program died");	\
		expect_next_upgrade(srv);				\
		finish(srv);						\
	}								\
	END_TEST

TEST_FAULT(a_program_that_dies_at_once_costs_nobody, "start abort")
TEST_FAULT(a_program_that_exits_before_it_takes_over_costs_nobody,
    "adopt exit0")
TEST_FAULT(a_program_that_dies_amid_its_processes_costs_nobody,
    "channel exit1")
TEST_FAULT(a_program_that_dies_when_it_has_taken_over_costs_nobody,
    "adopted abort")
TEST_FAULT(a_program_that_is_killed_during_its_reload_costs_nobody,
    "ready kill")
TEST_FAULT(a_program_that_dies_when_its_workers_accept_costs_nobody,
    "canary abort")
TEST_FAULT(a_program_that_dies_after_its_canary_costs_nobody, "proof abort")
TEST_FAULT(a_program_that_dies_when_its_workers_serve_costs_nobody,
    "commit abort")

START_TEST(a_program_that_hangs_costs_nobody)
{
	struct server *srv = start();

	expect_rescue(srv, "adopted hang", "the new program hung");
	expect_next_upgrade(srv);
	finish(srv);
}
END_TEST

/* A program with that fault gets an order that it does not carry out any more.
 * The fault is that it hangs from when it has said that it is there. */
static void
order_in_vain(struct server *srv, int number)
{
	server_write(srv, "fault", "adopted hang");
	upgrade_to(srv, NEXT);
	server_expect(srv, "event=upgraded to=next");
	server_signal(srv, number);
}

START_TEST(an_order_that_a_program_died_with_is_carried_out)
{
	struct server *srv = start();

	disconnect_clients();
	order_in_vain(srv, SIGTERM);
	srv->is_daemon = true;
	server_signal(srv, SIGKILL);
	server_expect(srv, "event=upgrade_refused");
	server_expect(srv, "event=stop mode=drain");
	server_expect(srv, "event=stopped");
	await(waitpid(srv->master, NULL, WNOHANG) == srv->master);
	srv->master = 0;
	server_end(srv);
}
END_TEST

START_TEST(an_order_that_a_program_hung_with_is_carried_out)
{
	struct server *srv = start();

	order_in_vain(srv, SIGUSR1);
	find_master(srv);
	server_expect(srv, "event=upgrade_refused");
	server_expect(srv, "event=reopen");
	server_expect(srv, "event=reload_done kind=reload");
	finish(srv);
}
END_TEST

/* The one that was rescued can be rescued again. */
START_TEST(two_bad_upgrades_in_a_row_cost_nobody)
{
	struct server *srv = start();

	expect_rescue(srv, "start abort", "the new program died");
	expect_rescue(srv, "commit kill", "the new program died");
	expect_next_upgrade(srv);
	finish(srv);
}
END_TEST

/* Until all have been replaced, nobody tells the master of their end but the
 * kernel. */
START_TEST(processes_that_are_no_children_are_supervised)
{
	/* With custody, such workers are replaced at once. */
	struct server *srv = start_with("custody = false; " GLOBALS);
	int port = take_port(SINK_PORT);
	pid_t worker = server_worker(srv, 0);
	const char *line;

	srv->expects_deaths = true;
	/* The configuration cannot hold, so that the workers stay. */
	server_configure(srv, "custody = false; " GLOBALS,
	    LISTENERS ", " SINK(""));
	server_write(srv, "fault", "start abort");
	upgrade_to(srv, NEXT);
	find_master(srv);
	server_expect(srv, "event=reload_refused kind=reload");
	expect_clients(srv);
	server_mark(srv);
	/* Also one that had no connection did not just leave. */
	disconnect_clients();
	kill(worker, SIGKILL);
	line = server_expect(srv, "event=worker_died child_slot=0");
	ck_assert_msg(strstr(line, "how=\"not known") != NULL, "%s", line);
	server_expect(srv, "event=worker_ready child_slot=0");
	close(port);
	connect_clients();
	finish(srv);
}
END_TEST

RUN_TESTS("keeper",
    a_program_that_dies_at_once_costs_nobody,
    a_program_that_exits_before_it_takes_over_costs_nobody,
    a_program_that_dies_amid_its_processes_costs_nobody,
    a_program_that_dies_when_it_has_taken_over_costs_nobody,
    a_program_that_is_killed_during_its_reload_costs_nobody,
    a_program_that_dies_when_its_workers_accept_costs_nobody,
    a_program_that_dies_after_its_canary_costs_nobody,
    a_program_that_dies_when_its_workers_serve_costs_nobody,
    a_program_that_hangs_costs_nobody,
    an_order_that_a_program_died_with_is_carried_out,
    an_order_that_a_program_hung_with_is_carried_out,
    two_bad_upgrades_in_a_row_cost_nobody,
    processes_that_are_no_children_are_supervised)
