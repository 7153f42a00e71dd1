/* SPDX-License-Identifier: ISC */
/*
 * The report of a reload accounts for every connection: held is the sum of the
 * rest, whoever closed what and whoever died meanwhile.
 *
 * PENSTOCK_TEST_SEED chooses other random orders.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define LONG	"idle_timeout = 600.0; read_timeout = 600.0; "		\
		"write_timeout = 600.0;"
#define GLOBALS	"probation = 0.0; drain_timeout = 300.0; "

/* Nothing but held and the sum of the rest. */
static void
expect_sum(const char *line)
{
	ck_assert_msg(log_number(line, "held") == log_number(line, "carried") +
	    log_number(line, "finished") + log_number(line, "closed") +
	    log_number(line, "cut") + log_number(line, "lost"),
	    "the report does not add up: %s", line);
}

/* The listener of lines leaves, and its clients stay with the old worker. */
static void
reload_without_lines(struct server *srv, const char *globals)
{
	server_configure(srv, globals, FRAMES(LONG));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done");
}

static int
connect_and_begin(void)
{
	int fd = client_connect(LINE_PORT);

	client_send_text(fd, "begun");
	return (fd);
}

START_TEST(a_report_says_how_connections_were_closed)
{
	const char *globals = "workers = 1; probation = 0.0; "
	    "drain_timeout = 5.0; drain_spread = 0.0;";
	struct server *srv = server_start(globals, FRAMES(LONG) ", "
	    LINES("idle_timeout = 1.0; read_timeout = 600.0;"));
	int frames = client_connect(FRAME_PORT), leaves, idle, partial;
	const char *line;

	client_echo(frames, "goes on");
	leaves = connect_and_begin();
	idle = connect_and_begin();
	partial = connect_and_begin();
	await(server_counters(srv).bytes_in == 26);
	reload_without_lines(srv, globals);
	close(leaves);
	client_send_text(idle, " and ended\n");
	client_expect_text(idle, "begun and ended\n");
	client_expect_eof(idle);
	(void)client_read_to_end(partial);
	line = server_expect(srv, "event=reload_report held=4 carried=1 "
	    "finished=1 closed=1 cut=1 lost=0");
	expect_sum(line);
	client_echo(frames, "still there");
	close(frames);
	close(idle);
	close(partial);
	server_end(srv);
}
END_TEST

/* Its report goes on with its rescuer. */
START_TEST(a_worker_that_is_killed_while_it_drains_is_accounted_for)
{
	const char *globals = "workers = 1; " GLOBALS;
	struct server *srv = server_start(globals, FRAMES(LONG) ", "
	    LINES(LONG));
	int frames = client_connect(FRAME_PORT);
	int lines = client_connect(LINE_PORT);
	pid_t old = server_worker(srv, 0);

	srv->expects_deaths = true;
	client_echo(frames, "goes on");
	client_echo_line(lines, "stays");
	reload_without_lines(srv, globals);
	ck_assert_int_eq(kill(old, SIGKILL), 0);
	server_expect(srv, "event=rescued kept=1");
	client_echo_line(lines, "still stays");
	close(lines);
	expect_sum(server_expect(srv, "event=reload_report held=2 carried=1 "
	    "finished=1 closed=0 cut=0 lost=0"));
	client_echo(frames, "still there");
	close(frames);
	await(server_counters(srv).active == 0);
	server_end(srv);
}
END_TEST

/*
 * Chaos.
 */

struct chaos {
	struct server *srv;
	unsigned seed;
	unsigned reloads, kills;
};

static unsigned
draw(struct chaos *chaos, unsigned below)
{
	return ((unsigned)rand_r(&chaos->seed) % below);
}

static void
configure(struct chaos *chaos)
{
	char globals[128];

	snprintf(globals, sizeof(globals), "workers = %u; "
	    "max_connections = 100000; " GLOBALS, 1 + draw(chaos, 5));
	/* Now and then a listener is missing, and its clients stay. */
	server_configure(chaos->srv, globals, draw(chaos, 3) > 0 ?
	    FRAMES(LONG) ", " EXTRA("idle_timeout = 0.3;") ", " LINES(LONG) :
	    FRAMES(LONG) ", " LINES(LONG));
}

/* Also two at the same moment: a giver and its taker. */
static void
kill_some(struct chaos *chaos)
{
	pid_t pids[SERVER_PROCESSES_MAX];
	size_t n;

	n = proc_glimpse_children(chaos->srv->master, pids,
	    SERVER_PROCESSES_MAX);
	if (n == 0 || n > SERVER_PROCESSES_MAX)
		return;
	for (unsigned i = 1 + draw(chaos, 2); i > 0; i--)
		if (kill(pids[draw(chaos, (unsigned)n)], SIGKILL) == 0)
			chaos->kills++;
}

static void
count_report(const char *line, void *arg)
{
	expect_sum(line);
	++*(unsigned *)arg;
}

static void
run_chaos(struct chaos *chaos, bool kills)
{
	struct server *srv = chaos->srv;
	unsigned wanted;

	for (unsigned i = 0; i < rounds(25, 1000); i++) {
		configure(chaos);
		wanted = server_count(srv, "event=reload_done") +
		    server_count(srv, "event=reload_refused") + 1;
		server_signal(srv, SIGHUP);
		if (kills && draw(chaos, 2) == 0) {
			pause_us(draw(chaos, 30000));
			kill_some(chaos);
		}
		await(server_count(srv, "event=reload_done") +
		    server_count(srv, "event=reload_refused") >= wanted);
	}
}

/* All that is done when no worker drains any more. */
static void
settle(struct chaos *chaos)
{
	struct server *srv = chaos->srv;
	unsigned reports = 0;

	server_configure(srv, "workers = 2; max_connections = 100000; "
	    GLOBALS, FRAMES(LONG) ", " EXTRA("idle_timeout = 0.3;") ", "
	    LINES(LONG));
	await(server_count(srv, "event=reload_done") > 0);
	server_reload(srv);
	await(server_children(srv) == 2);
	await(server_count(srv, "event=reload_report result=done") ==
	    server_count(srv, "event=reload_done"));
	server_each(srv, "event=reload_report", count_report, &reports);
	ck_assert_uint_gt(reports, 0);
	printf("%u reports add up, %u processes killed, %" PRIu64
	    " connections lost\n", reports, chaos->kills,
	    server_closed(srv, CLOSE_LOST));
}

static struct hold_process *
start_some(unsigned port, unsigned n, unsigned churn)
{
	struct hold_options options = load_on(port);

	options.connections = n;
	options.split = n / 10;
	options.pipeline = n / 10;
	options.rate = n;
	options.churn = churn;
	options.reconnect = true;
	return (hold_start(&options));
}

static bool
is_all_taken(struct server *srv)
{
	struct counters_listener sum = server_counters(srv);

	return (sum.carried_in == sum.carried_out &&
	    sum.accepted == counters_closed(&sum));
}

static void
amid_chaos(bool kills)
{
	struct chaos chaos = { .seed = test_seed(1) };
	struct hold_process *frames, *lines, *extra;
	struct counters_listener sum;

	chaos.srv = server_start("workers = 2; max_connections = 100000; "
	    GLOBALS, FRAMES(LONG) ", " EXTRA("idle_timeout = 0.3;") ", "
	    LINES(LONG));
	chaos.srv->expects_deaths = kills;
	/* They stay, they come and go, and they are sent away. */
	frames = start_some(FRAME_PORT, 200, 0);
	lines = start_some(LINE_PORT, 50, 5);
	extra = start_some(EXTRA_PORT, 30, 0);
	await(hold_peek(frames)->open >= 200);
	run_chaos(&chaos, kills);
	settle(&chaos);
	hold_stop(frames);
	hold_stop(lines);
	hold_stop(extra);
	await(server_counters(chaos.srv).active == 0);
	/* What one worker gave, another one took, or took back; or it is
	 * counted as lost. */
	await(is_all_taken(chaos.srv));
	if (!kills) {
		sum = server_counters(chaos.srv);
		ck_assert_uint_eq(sum.closed[CLOSE_LOST], 0);
		expect_unharmed(hold_peek(frames));
	}
	hold_drop(frames);
	hold_drop(lines);
	hold_drop(extra);
	server_end(chaos.srv);
}

START_TEST(reports_add_up_amid_random_reloads)
{
	amid_chaos(false);
}
END_TEST

START_TEST(reports_add_up_amid_random_reloads_and_kills)
{
	amid_chaos(true);
}
END_TEST

RUN_TESTS("reports",
    a_report_says_how_connections_were_closed,
    a_worker_that_is_killed_while_it_drains_is_accounted_for,
    reports_add_up_amid_random_reloads,
    reports_add_up_amid_random_reloads_and_kills)
