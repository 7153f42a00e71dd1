/* SPDX-License-Identifier: ISC */
/*
 * A process dies at a step of a hand-over, and perhaps its rescuer at a step of
 * its rescue, during a reload under load: on no connection a byte is lost,
 * repeated or swapped, none is served by two, and those at rest are kept.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/points.h"
#include "tests/lib/proc.h"

#define NEXT	"tests/programs/penstock-next"

enum {
	WIRES = 3,
	CLIENTS = 201,
	RATE = 600,
	SLOTS = 2,
};

static struct point *points;
static struct hold_process *loads[WIRES];

/*
 * The server.
 */

static struct server *
start(void)
{
	struct server *srv = server_new();

	srv->expects_deaths = true;
	points = points_map(srv);
	server_configure(srv, "custody = true; workers = 2; "
	    "drain_timeout = 300.0; probation = 0.0;",
	    FRAMES("") ", " LINES("") ", " WEB("echo", ""));
	server_install(srv, NEXT);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

static bool
is_settled(const struct server *srv)
{
	return (proc_titled(srv->master, "penstock: rescuer ", NULL, 0) == 0 &&
	    proc_titled(srv->master, "penstock: worker ", NULL, 0) == SLOTS &&
	    proc_titled(srv->master, "penstock: anchor ", NULL, 0) == SLOTS);
}

static bool
is_reloaded(struct server *srv)
{
	return (server_log(srv, "event=reload_done") != NULL ||
	    server_log(srv, "event=reload_refused") != NULL);
}

/*
 * The load.
 */

static void
start_load(void)
{
	static const unsigned ports[WIRES] = { FRAME_PORT, LINE_PORT,
	    WEB_PORT };
	struct hold_options options;

	for (int i = 0; i < WIRES; i++) {
		options = load_on(ports[i]);
		options.connections = CLIENTS / WIRES;
		options.rate = RATE / WIRES;
		loads[i] = hold_start(&options);
	}
	for (int i = 0; i < WIRES; i++) {
		await(hold_peek(loads[i])->open == CLIENTS / WIRES);
		ck_assert_uint_eq(hold_verify(loads[i])->verified,
		    CLIENTS / WIRES);
	}
}

/* Those that are there get their replies, all of them and once.  Returns how
 * many are no more. */
static uint64_t
verify_load(void)
{
	const struct hold_report *report;
	uint64_t ended = 0, rounds;

	for (int i = 0; i < WIRES; i++) {
		rounds = hold_peek(loads[i])->rounds;
		report = hold_verify(loads[i]);
		ck_assert_uint_eq(report->rounds, rounds + 1);
		ck_assert_uint_eq(report->verified, report->open);
		ck_assert_uint_eq(report->corrupted + report->doubled +
		    report->reordered + report->unframed + report->errors +
		    report->hung + report->refused, 0);
		/* What is lost was on its way on those. */
		ck_assert_uint_le(report->lost, report->disconnected +
		    report->reset + report->broken);
		ended += report->disconnected + report->reset +
		    report->broken;
	}
	return (ended);
}

static void
stop_load(void)
{
	for (int i = 0; i < WIRES; i++) {
		(void)hold_stop(loads[i]);
		hold_drop(loads[i]);
	}
}

static void
print_lost(const char *line, void *arg)
{
	const char *reason = strstr(line, "reason=");

	(void)arg;
	printf(" %s", reason != NULL ? reason + 7 : "?");
}

/* Who is there is counted once, and so is who was lost, with its reason. */
static void
expect_accounts(struct server *srv, uint64_t ended)
{
	struct counters_listener counters;

	await(server_counters(srv).active == CLIENTS - ended);
	counters = server_counters(srv);
	ck_assert_uint_eq(counters_closed(&counters), ended);
	ck_assert_uint_eq(counters.accepted, CLIENTS);
	ck_assert(observe_adds_up(&srv->counters));
	/* Those of one that died can stay there. */
	await(observe_records(&srv->counters) >= CLIENTS - ended);
	ck_assert_uint_eq(server_count(srv, "event=conn_lost"), ended);
}

/*
 * The steps.
 */

struct step {
	const char *point;
	unsigned nth;
	const char *then;	/* where its rescuer dies; NULL */
	unsigned then_nth;
	unsigned most;		/* connections that may be lost: who is in the
				   middle of a message */
};

static const struct step steps[] = {
	{ "giver_counted", 1, NULL, 0, 0 },
	{ "giver_noted", 1, NULL, 0, 0 },
	{ "giver_sent", 1, NULL, 0, 0 },
	{ "giver_sent", 2, NULL, 0, 0 },
	{ "giver_heard", 1, NULL, 0, 0 },
	{ "giver_noted_answer", 1, NULL, 0, 0 },
	{ "giver_noted_answer", 2, NULL, 0, 0 },
	{ "giver_let_go", 1, NULL, 0, 0 },
	{ "giver_let_go", 20, NULL, 0, 0 },
	{ "giver_ended", 1, NULL, 0, 0 },
	{ "taker_received", 1, NULL, 0, 0 },
	{ "taker_received", 2, NULL, 0, 0 },
	{ "taker_adopted", 1, NULL, 0, 0 },
	{ "taker_adopted", 20, NULL, 0, 0 },
	{ "taker_counted", 1, NULL, 0, 0 },
	{ "taker_noted", 1, NULL, 0, 0 },
	{ "taker_noted", 2, NULL, 0, 0 },
	{ "taker_answered", 1, NULL, 0, 0 },
	{ "taker_answered", 2, NULL, 0, 0 },
	{ "taker_entered", 1, NULL, 0, 0 },
	{ "taker_entered", 20, NULL, 0, 0 },
	{ "taker_woke", 1, NULL, 0, 0 },
	{ "taker_woke", 20, NULL, 0, 0 },
	{ "taker_done", 1, NULL, 0, 0 },
	{ "taker_done", 2, NULL, 0, 0 },
	{ "giver_sent", 2, "rescue_closed", 1, 0 },
	{ "giver_sent", 2, "rescue_touched", 20, 0 },
	{ "giver_sent", 2, "rescue_placed", 1, 0 },
	{ "giver_sent", 2, "rescue_settled", 1, 0 },
	{ "giver_sent", 2, "rescue_gives", 1, 0 },
	{ "giver_sent", 2, "giver_asked", 1, 0 },
	{ "giver_sent", 2, "rescue_takes", 1, 0 },
	{ "giver_sent", 2, "rescue_wakes", 10, 0 },
	{ "giver_sent", 2, "rescue_woken", 1, 0 },
	{ "giver_sent", 2, "rescue_told", 1, 0 },
	{ "giver_sent", 2, "giver_noted_answer", 1, 0 },
	{ "giver_sent", 2, "giver_let_go", 3, 0 },
	{ "giver_sent", 2, "taker_received", 2, 0 },
	{ "giver_sent", 2, "taker_answered", 2, 0 },
	{ "giver_heard", 2, "rescue_placed", 1, 0 },
	{ "giver_counted", 2, "rescue_placed", 1, 0 },
	{ "taker_noted", 2, "rescue_closed", 1, 0 },
	{ "taker_noted", 2, "rescue_touched", 20, 0 },
	{ "taker_noted", 2, "rescue_placed", 1, 0 },
	{ "taker_noted", 2, "rescue_settled", 1, 0 },
	{ "taker_noted", 2, "rescue_gives", 1, 0 },
	{ "taker_noted", 2, "rescue_takes", 1, 0 },
	{ "taker_noted", 2, "rescue_wakes", 10, 0 },
	{ "taker_noted", 2, "taker_entered", 90, 0 },
	{ "taker_answered", 2, "rescue_placed", 1, 0 },
	{ "taker_answered", 2, "rescue_settled", 1, 0 },
	{ "taker_answered", 2, "rescue_takes", 1, 0 },
	{ "taker_answered", 2, "giver_sent", 2, 0 },
	{ "taker_woke", 20, "rescue_settled", 1, 0 },
	{ "taker_woke", 20, "rescue_wakes", 10, 0 },
};

enum {
	STEPS = sizeof(steps) / sizeof(steps[0]),
	/* Those who are just being answered, by each of who dies. */
	BUSY_MAX = 3,
};

START_TEST(a_death_at_a_step_costs_none_at_rest)
{
	const struct step *step = &steps[_i];
	struct server *srv = start();
	uint64_t ended;

	await(is_settled(srv));
	start_load();
	server_mark(srv);
	points_arm(&points[0], step->point, SIGKILL, step->nth, 1);
	if (step->then != NULL)
		points_arm(&points[1], step->then, SIGKILL, step->then_nth, 1);
	server_signal(srv, SIGHUP);
	await(is_reloaded(srv));
	await(is_settled(srv));
	ended = verify_load();
	printf("%s %u%s%s: %u killed, %" PRIu64 " lost", step->point,
	    step->nth, step->then != NULL ? ", then " : "",
	    step->then != NULL ? step->then : "", points_killed(&points[0]) +
	    points_killed(&points[1]), ended);
	server_each(srv, "event=conn_lost", print_lost, NULL);
	printf("\n");
	fflush(stdout);
	ck_assert_uint_eq(points_killed(&points[0]), 1);
	expect_accounts(srv, ended);
	ck_assert_uint_eq(server_count(srv, "event=conn_lost reason=busy"),
	    ended);
	ck_assert_uint_le(ended, step->most + BUSY_MAX);
	stop_load();
	server_end(srv);
}
END_TEST

RUN_TESTS_OF_ROWS("custody_points", 1, STEPS,
    a_death_at_a_step_costs_none_at_rest)
