/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/drain.c to worker/drain.h: who is spared while a worker is
 * replaced, and for how long.  A connection that is closed has nothing more to
 * say to its client at once, and waits for the client's end.
 */
#include "worker/drain.h"

#include <check.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/lone_worker.h"

static const struct ctl_drain at_once = { .mode = CTL_DRAIN_REPLACED };
static const struct ctl_give all = { .quota = CTL_GIVE_ALL };

static struct lone_worker lone;
static int frames, lines;	/* the clients' ends */
static int taker;		/* the other end of the link */

static void
start(void)
{
	lone_worker_init(&lone);
	lone_worker_connect(&lone, LONE_FRAMES, &frames);
	lone_worker_connect(&lone, LONE_LINES, &lines);
	taker = -1;
}

static void
finish(void)
{
	if (taker != -1)
		close(taker);
	close(frames);
	close(lines);
	lone_worker_clear(&lone);
	lone_worker_free(&lone);
}

static void
connect_taker(void)
{
	int fds[2];

	ck_assert_int_eq(channel_pair(fds), 0);
	taker = fds[0];
	giver_begin(&lone.worker, fds[1], &all);
}

/* It takes frames, but no lines. */
static void
greet(void)
{
	struct handover_message msg = { .hello = { .protocol = {
		[LONE_FRAMES] = CONF_PROTOCOL_FRAME + 1,
	} } };

	ck_assert_int_eq(handover_send(taker, HANDOVER_VERSION, &msg,
	    HANDOVER_HELLO, NULL, 0),
	    0);
	lone_worker_turn(&lone);
}

static void
tick(void)
{
	worker_turn(&lone.worker);
	drain_tick(&lone.worker);
	worker_end_turn(&lone.worker);
}

/* As if the last of a taker had been heard long ago. */
static void
lose_patience(void)
{
	lone.worker.giver.heard_ms = clock_ms() - GIVER_PATIENCE_MS - 1000;
	tick();
}

START_TEST(all_are_kept_until_a_taker_has_said_what_it_takes)
{
	start();
	drain_begin(&lone.worker, &at_once);
	tick();
	ck_assert(!client_has_input(frames) && !client_has_input(lines));
	connect_taker();
	tick();
	ck_assert(!client_has_input(frames) && !client_has_input(lines));
	greet();
	tick();
	ck_assert(!client_has_input(frames) && client_has_input(lines));
	ck_assert(!lone.worker.drain.left);
	finish();
}
END_TEST

START_TEST(all_are_kept_while_another_taker_is_to_come)
{
	start();
	drain_begin(&lone.worker, &at_once);
	connect_taker();
	close(taker);
	taker = -1;
	lone_worker_turn(&lone);
	ck_assert(!lone.worker.giver.on);
	tick();
	ck_assert(!client_has_input(frames) && !client_has_input(lines));
	connect_taker();
	greet();
	tick();
	ck_assert(!client_has_input(frames) && client_has_input(lines));
	finish();
}
END_TEST

START_TEST(a_taker_that_never_comes_is_not_awaited_for_ever)
{
	start();
	drain_begin(&lone.worker, &at_once);
	lose_patience();
	ck_assert(client_has_input(frames) && client_has_input(lines));
	finish();
}
END_TEST

START_TEST(a_taker_that_never_speaks_is_not_awaited_for_ever)
{
	start();
	drain_begin(&lone.worker, &at_once);
	connect_taker();
	lose_patience();
	ck_assert(client_has_input(frames) && client_has_input(lines));
	finish();
}
END_TEST

/* What it has may be served there: it is left to it, and not closed here. */
START_TEST(a_taker_that_never_answers_is_not_awaited_for_ever)
{
	start();
	drain_begin(&lone.worker, &at_once);
	connect_taker();
	greet();
	tick();
	ck_assert_uint_eq(giver_under_way(&lone.worker.giver), 1);
	close(lines);
	lone_worker_turn(&lone);
	lone.worker.drain.cut_ms = clock_ms() - 10000;
	tick();
	ck_assert(!lone.worker.drain.left);
	lose_patience();
	ck_assert(lone.worker.drain.left);
	ck_assert(!client_has_input(frames));
	lines = dup(frames);
	finish();
}
END_TEST

START_TEST(without_a_master_no_taker_is_awaited)
{
	start();
	giver_orphan(&lone.worker);
	drain_begin(&lone.worker, &at_once);
	ck_assert(client_has_input(frames) && client_has_input(lines));
	finish();
}
END_TEST

/* As when it has no room: it is asked again, as long as it lives. */
START_TEST(connections_that_a_taker_refuses_are_kept)
{
	struct handover_message msg;
	struct handover_fds fds;

	start();
	drain_begin(&lone.worker, &at_once);
	connect_taker();
	greet();
	await(handover_receive(taker, &msg, &fds) == 1);
	handover_close_fds(&fds);
	msg.adopted = (struct handover_adopted){ .number = msg.batch.number };
	ck_assert_int_eq(handover_send(taker, HANDOVER_VERSION, &msg,
	    HANDOVER_ADOPTED, NULL, 0),
	    0);
	lone_worker_turn(&lone);
	lose_patience();
	ck_assert(!client_has_input(frames));
	ck_assert(!lone.worker.drain.left);
	finish();
}
END_TEST

RUN_TESTS("drain",
    all_are_kept_until_a_taker_has_said_what_it_takes,
    all_are_kept_while_another_taker_is_to_come,
    a_taker_that_never_comes_is_not_awaited_for_ever,
    a_taker_that_never_speaks_is_not_awaited_for_ever,
    a_taker_that_never_answers_is_not_awaited_for_ever,
    without_a_master_no_taker_is_awaited,
    connections_that_a_taker_refuses_are_kept)
