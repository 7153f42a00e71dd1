/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/deadline.c to worker/deadline.h, without a worker's loop.
 *
 * conn_record() is the test's own, so that worker/conn_record.c stays out of
 * this program.
 */
#include "worker/deadline.h"

#include <check.h>
#include <string.h>

#include "tests/lib/harness.h"
#include "worker/conn.h"
#include "worker/worker.h"

enum {
	CONNS = 16,
	IDLE_MS = 60000,
	READ_MS = 10000,
	WRITE_MS = 5000,
	NOW_MS = 1000000,	/* when all begins */
};

static struct conf_listener conf;
static struct listener listeners[2];
static struct worker worker;
static struct conn conns[CONNS];
static struct conn_record records[CONNS];
static struct conn *told[64];
static size_t ntold;
static void (*when_told)(struct conn *);

struct conn_record *
conn_record(const struct conn *conn)
{
	return (&records[conn->index]);
}

/* What it waits for has come. */
static bool can_go_on[CONNS];

static void
tell(struct conn *conn)
{
	ck_assert_uint_lt(ntold, sizeof(told) / sizeof(*told));
	told[ntold++] = conn;
	when_told(conn);
}

static void
start(void)
{
	memset(can_go_on, 0, sizeof(can_go_on));
	conf = (struct conf_listener){
		.idle_timeout_ms = IDLE_MS,
		.read_timeout_ms = READ_MS,
		.write_timeout_ms = WRITE_MS,
	};
	memset(&worker, 0, sizeof(worker));
	memset((void *)conns, 0, sizeof(conns));
	memset(records, 0, sizeof(records));
	worker.listeners = listeners;
	worker.nlisteners = 2;
	worker.now_ms = NOW_MS;
	for (int i = 0; i < 2; i++) {
		listeners[i].worker = &worker;
		deadline_init(listeners[i].deadlines, &conf);
	}
	for (uint32_t i = 0; i < CONNS; i++) {
		conns[i].index = i;
		conns[i].listener = &listeners[0];
	}
	ntold = 0;
	when_told = deadline_clear;
}

/* Run at a time after the beginning; how many were told. */
static size_t
run_at(uint64_t ms)
{
	struct conn *conn;

	ntold = 0;
	worker.now_ms = NOW_MS + ms;
	while ((conn = deadline_next_due(&worker)) != NULL) {
		if (!conn->overdue && can_go_on[conn->index])
			deadline_put_off(conn);
		else
			tell(conn);
	}
	return (ntold);
}

START_TEST(a_deadline_comes_after_the_time_of_its_kind)
{
	static const struct {
		enum deadline_kind kind;
		uint64_t ms;
	} kinds[] = {
		{ DEADLINE_IDLE, IDLE_MS },
		{ DEADLINE_READ, READ_MS },
		{ DEADLINE_WRITE, WRITE_MS },
		{ DEADLINE_LINGER, DEADLINE_LINGER_MS },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		start();
		deadline_set(&conns[0], kinds[i].kind, NOW_MS);
		ck_assert_int_eq(conns[0].deadline, kinds[i].kind);
		ck_assert_uint_eq(run_at(0), 0);
		ck_assert_uint_eq(run_at(kinds[i].ms - 1), 0);
		ck_assert_uint_eq(run_at(kinds[i].ms), 1);
		ck_assert_ptr_eq(told[0], &conns[0]);
	}
}
END_TEST

START_TEST(a_deadline_counts_from_the_time_it_was_given)
{
	start();
	deadline_set(&conns[0], DEADLINE_READ, NOW_MS - 700);
	ck_assert_uint_eq(records[0].since_ms, NOW_MS - 700);
	ck_assert_uint_eq(run_at(READ_MS - 701), 0);
	ck_assert_uint_eq(run_at(READ_MS - 700), 1);
}
END_TEST

START_TEST(all_that_are_due_are_told_in_the_order_in_which_they_began)
{
	static const unsigned order[] = { 3, 0, 2, 1, 5, 4 };

	start();
	for (unsigned i = 0; i < 6; i++)
		deadline_set(&conns[order[i]], DEADLINE_READ, NOW_MS + i);
	ck_assert_uint_eq(run_at(READ_MS + 3), 4);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_ptr_eq(told[i], &conns[order[i]]);
	ck_assert_uint_eq(run_at(READ_MS + 5), 2);
	ck_assert_ptr_eq(told[0], &conns[5]);
	ck_assert_ptr_eq(told[1], &conns[4]);
}
END_TEST

/* The worker did not run for 3 s: between the 2nd and the 3rd. */
START_TEST(a_stall_of_the_worker_counts_for_nobody)
{
	start();
	deadline_set(&conns[0], DEADLINE_READ, NOW_MS);
	deadline_set(&conns[1], DEADLINE_READ, NOW_MS + 50);
	worker.now_ms = NOW_MS + 3100;
	deadline_set(&conns[2], DEADLINE_READ, worker.now_ms);
	deadline_forgive(&worker, 3000);
	ck_assert_uint_eq(run_at(READ_MS + 2999), 0);
	ck_assert_uint_eq(run_at(READ_MS + 3000), 1);
	ck_assert_ptr_eq(told[0], &conns[0]);
	ck_assert_uint_eq(run_at(READ_MS + 3050), 1);
	ck_assert_ptr_eq(told[0], &conns[1]);
	ck_assert_uint_eq(run_at(READ_MS + 3099), 0);
	ck_assert_uint_eq(run_at(READ_MS + 3100), 1);
}
END_TEST

START_TEST(a_connection_that_can_go_on_is_told_at_the_next_tick)
{
	start();
	for (unsigned i = 0; i < 4; i++)
		deadline_set(&conns[i], DEADLINE_READ, NOW_MS + 20 * i);
	can_go_on[0] = can_go_on[2] = true;
	ck_assert_uint_eq(run_at(READ_MS + 40), 1);
	ck_assert_ptr_eq(told[0], &conns[1]);
	/* It has gone on. */
	deadline_set(&conns[2], DEADLINE_READ, NOW_MS + READ_MS + 50);
	ck_assert_uint_eq(run_at(READ_MS + 40 + WORKER_TICK_MS), 2);
	ck_assert_ptr_eq(told[0], &conns[3]);
	ck_assert_ptr_eq(told[1], &conns[0]);
}
END_TEST

START_TEST(a_tick_that_is_a_little_late_is_no_stall)
{
	ck_assert_uint_eq(clock_stall_ms(1000, 1100, 100), 0);
	ck_assert_uint_eq(clock_stall_ms(1000, 1100 + CLOCK_STALL_MS, 100), 0);
	ck_assert_uint_eq(clock_stall_ms(1000, 1101 + CLOCK_STALL_MS, 100),
	    1 + CLOCK_STALL_MS);
	ck_assert_uint_eq(clock_later(1000, 500, 2000), 1500);
	ck_assert_uint_eq(clock_later(1800, 500, 2000), 2000);
	ck_assert_uint_eq(clock_later(2100, 500, 2000), 2600);
}
END_TEST

START_TEST(the_connections_of_every_listener_are_told)
{
	start();
	conns[1].listener = &listeners[1];
	for (unsigned i = 0; i < 2; i++)
		deadline_set(&conns[i], DEADLINE_WRITE, NOW_MS);
	ck_assert_uint_eq(run_at(WRITE_MS), 2);
}
END_TEST

START_TEST(a_deadline_that_is_set_again_begins_anew)
{
	start();
	deadline_set(&conns[0], DEADLINE_IDLE, NOW_MS);
	deadline_set(&conns[1], DEADLINE_IDLE, NOW_MS + 1);
	deadline_set(&conns[0], DEADLINE_IDLE, NOW_MS + 2);
	ck_assert_uint_eq(run_at(IDLE_MS), 0);
	ck_assert_uint_eq(run_at(IDLE_MS + 1), 1);
	ck_assert_ptr_eq(told[0], &conns[1]);
	ck_assert_uint_eq(run_at(IDLE_MS + 2), 1);
	ck_assert_ptr_eq(told[0], &conns[0]);
}
END_TEST

START_TEST(a_connection_waits_for_one_thing_at_a_time)
{
	start();
	deadline_set(&conns[0], DEADLINE_WRITE, NOW_MS);
	deadline_set(&conns[0], DEADLINE_READ, NOW_MS);
	ck_assert_int_eq(conns[0].deadline, DEADLINE_READ);
	ck_assert_uint_eq(run_at(WRITE_MS), 0);
	ck_assert_uint_eq(run_at(READ_MS), 1);
	ck_assert_uint_eq(run_at(IDLE_MS), 0);
}
END_TEST

START_TEST(a_deadline_that_is_cleared_never_comes)
{
	start();
	for (unsigned i = 0; i < 3; i++)
		deadline_set(&conns[i], DEADLINE_IDLE, NOW_MS);
	deadline_clear(&conns[1]);
	ck_assert_int_eq(conns[1].deadline, DEADLINE_NONE);
	deadline_clear(&conns[1]);
	ck_assert_uint_eq(run_at(IDLE_MS), 2);
	ck_assert_ptr_eq(told[0], &conns[0]);
	ck_assert_ptr_eq(told[1], &conns[2]);
}
END_TEST

START_TEST(a_time_of_0_never_comes)
{
	start();
	conf.idle_timeout_ms = 0;
	deadline_init(listeners[0].deadlines, &conf);
	deadline_set(&conns[0], DEADLINE_IDLE, NOW_MS);
	ck_assert_uint_eq(run_at((uint64_t)1 << 40), 0);
	deadline_clear(&conns[0]);
}
END_TEST

static void
wait_again(struct conn *conn)
{
	deadline_set(conn, DEADLINE_IDLE, worker.now_ms);
}

START_TEST(one_that_is_told_may_wait_again)
{
	start();
	when_told = wait_again;
	for (unsigned i = 0; i < 3; i++)
		deadline_set(&conns[i], DEADLINE_IDLE, NOW_MS);
	ck_assert_uint_eq(run_at(IDLE_MS), 3);
	ck_assert_uint_eq(run_at(2 * IDLE_MS - 1), 0);
	ck_assert_uint_eq(run_at(2 * IDLE_MS), 3);
}
END_TEST

static void
clear_all(struct conn *conn)
{
	(void)conn;
	for (unsigned i = 0; i < CONNS; i++)
		deadline_clear(&conns[i]);
}

START_TEST(one_that_is_told_may_take_others_with_it)
{
	start();
	when_told = clear_all;
	for (unsigned i = 0; i < CONNS; i++)
		deadline_set(&conns[i], DEADLINE_READ, NOW_MS);
	ck_assert_uint_eq(run_at(READ_MS), 1);
}
END_TEST

/*
 * The slowest.
 */

START_TEST(the_slowest_is_the_one_that_has_waited_longest_for_its_peer)
{
	start();
	conns[2].listener = &listeners[1];
	deadline_set(&conns[0], DEADLINE_READ, NOW_MS + 2);
	deadline_set(&conns[1], DEADLINE_READ, NOW_MS + 4);
	deadline_set(&conns[2], DEADLINE_WRITE, NOW_MS + 1);
	deadline_set(&conns[3], DEADLINE_WRITE, NOW_MS + 3);
	for (unsigned i = 0; i < 4; i++) {
		static const unsigned order[] = { 2, 0, 3, 1 };

		ck_assert_ptr_eq(deadline_slowest(&worker, NULL),
		    &conns[order[i]]);
		deadline_clear(&conns[order[i]]);
	}
	ck_assert_ptr_null(deadline_slowest(&worker, NULL));
}
END_TEST

START_TEST(the_slowest_is_another_than_the_one_given)
{
	start();
	deadline_set(&conns[0], DEADLINE_READ, NOW_MS);
	ck_assert_ptr_null(deadline_slowest(&worker, &conns[0]));
	deadline_set(&conns[1], DEADLINE_READ, NOW_MS + 1);
	deadline_set(&conns[2], DEADLINE_WRITE, NOW_MS + 2);
	ck_assert_ptr_eq(deadline_slowest(&worker, &conns[0]), &conns[1]);
	ck_assert_ptr_eq(deadline_slowest(&worker, &conns[1]), &conns[0]);
	deadline_clear(&conns[1]);
	ck_assert_ptr_eq(deadline_slowest(&worker, &conns[0]), &conns[2]);
}
END_TEST

START_TEST(a_connection_without_pending_work_is_never_the_slowest)
{
	start();
	deadline_set(&conns[0], DEADLINE_IDLE, NOW_MS);
	deadline_set(&conns[1], DEADLINE_LINGER, NOW_MS);
	ck_assert_ptr_null(deadline_slowest(&worker, NULL));
}
END_TEST

START_TEST(where_nothing_times_out_there_is_a_slowest_all_the_same)
{
	start();
	conf.read_timeout_ms = conf.write_timeout_ms = 0;
	deadline_init(listeners[0].deadlines, &conf);
	deadline_set(&conns[0], DEADLINE_READ, NOW_MS);
	ck_assert_ptr_eq(deadline_slowest(&worker, NULL), &conns[0]);
}
END_TEST

RUN_TESTS("deadline",
    a_deadline_comes_after_the_time_of_its_kind,
    a_deadline_counts_from_the_time_it_was_given,
    all_that_are_due_are_told_in_the_order_in_which_they_began,
    a_stall_of_the_worker_counts_for_nobody,
    a_connection_that_can_go_on_is_told_at_the_next_tick,
    a_tick_that_is_a_little_late_is_no_stall,
    the_connections_of_every_listener_are_told,
    a_deadline_that_is_set_again_begins_anew,
    a_connection_waits_for_one_thing_at_a_time,
    a_deadline_that_is_cleared_never_comes,
    a_time_of_0_never_comes,
    one_that_is_told_may_wait_again,
    one_that_is_told_may_take_others_with_it,
    the_slowest_is_the_one_that_has_waited_longest_for_its_peer,
    the_slowest_is_another_than_the_one_given,
    a_connection_without_pending_work_is_never_the_slowest,
    where_nothing_times_out_there_is_a_slowest_all_the_same)
