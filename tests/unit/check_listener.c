/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/listener.c to worker/listener.h: how many connections there are
 * room for.
 */
#include "worker/listener.h"

#include <check.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/lone_worker.h"
#include "worker/conn_record.h"

enum {
	HELD = 10,
	CARRIED = 5,
	LIMIT = 12,
};

static const char of_server[] =
    "workers = 1;\nmax_connections = 12;\n"
    "listeners = ( { name = \"frames\"; address = \"127.0.0.1:9000\"; "
    "protocol = \"frame\"; handler = \"echo\"; } );\n";
static const char of_listener[] =
    "workers = 1;\n"
    "listeners = ( { name = \"frames\"; address = \"127.0.0.1:9000\"; "
    "protocol = \"frame\"; handler = \"echo\"; "
    "max_connections = 12; } );\n";

/* Some connections are with another worker already, which has not answered yet:
 * both have them. */
static void
carry_some(struct lone_worker *lone, struct conn *const *conns)
{
	struct counters_block *other = &lone->counters.map->block[1];

	for (int i = 0; i < CARRIED; i++)
		conn_count_offer(conns[i]);
	counter_set(&other->listener[0].carried_in, CARRIED);
	counter_set(&other->listener[0].active, CARRIED);
	counter_set(&other->worker.active, CARRIED);
}

static void
expect_counted_once(const char *conf, enum reject_reason reason)
{
	struct conn *conns[LIMIT];
	struct lone_worker lone;
	struct listener *listener;
	enum reject_reason why;
	int peers[LIMIT];

	lone_worker_init_with(&lone, conf);
	listener = &lone.worker.listeners[0];
	for (int i = 0; i < HELD; i++)
		conns[i] = lone_worker_connect(&lone, 0, &peers[i]);
	ck_assert(!listener_is_full(listener, &why));
	carry_some(&lone, conns);
	ck_assert(!listener_is_full(listener, &why));
	for (int i = HELD; i < LIMIT; i++) {
		ck_assert(!listener_is_full(listener, &why));
		conns[i] = lone_worker_connect(&lone, 0, &peers[i]);
	}
	ck_assert(listener_is_full(listener, &why));
	ck_assert_int_eq(why, reason);
	/* The answer has come. */
	for (int i = 0; i < CARRIED; i++) {
		conn_count_gone(conns[i]);
		deadline_clear(conns[i]);
		conn_forget(conns[i]);
	}
	ck_assert(listener_is_full(listener, &why));
	conn_cut(conns[LIMIT - 1], CLOSE_CUT);
	ck_assert(!listener_is_full(listener, &why));
	for (int i = 0; i < LIMIT; i++)
		close(peers[i]);
	lone_worker_clear(&lone);
	lone_worker_free(&lone);
}

START_TEST(a_connection_that_is_handed_over_counts_once_for_the_server)
{
	expect_counted_once(of_server, REJECT_SERVER_LIMIT);
}
END_TEST

START_TEST(a_connection_that_is_handed_over_counts_once_for_its_listener)
{
	expect_counted_once(of_listener, REJECT_LISTENER_LIMIT);
}
END_TEST

RUN_TESTS("listener",
    a_connection_that_is_handed_over_counts_once_for_the_server,
    a_connection_that_is_handed_over_counts_once_for_its_listener)
