/* SPDX-License-Identifier: ISC */
/*
 * Keepalive probes: none by default, and not all at once where they are wanted.
 * The kernel shows when the next probe of each connection is due.
 */
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

enum {
	CLIENTS = 60,
	IDLE_S = 1000,		/* far longer than any test lasts */
};

#define PROBED		FRAMES("idle_timeout = 0; keepalive = { idle = 1000; };")
#define NOT_PROBED	FRAMES("idle_timeout = 0;")

static int clients[CLIENTS];

static void
connect_all(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = client_connect(FRAME_PORT);
		client_send_text_frame(clients[i], "hello");
		client_expect_text_frame(clients[i], "hello");
	}
}

static void
close_all(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		client_send_text_frame(clients[i], "bye");
		client_expect_text_frame(clients[i], "bye");
		close(clients[i]);
	}
}

/* When the next probes of the clients are due; returns how many are probed. */
static size_t
find_probes(unsigned due_s[CLIENTS])
{
	/* The kernel shows one timer of a socket, and this one first. */
	await(proc_tcp_timers(own_address_number(), FRAME_PORT,
	    PROC_TIMER_UNACKED, NULL, 0) == 0);
	return (proc_tcp_timers(own_address_number(), FRAME_PORT,
	    PROC_TIMER_KEEPALIVE, due_s, CLIENTS));
}

static size_t
count_probed(void)
{
	unsigned due_s[CLIENTS];

	return (find_probes(due_s));
}

/* Every connection is probed between idle and twice idle after its last message,
 * and few of them in the same second. */
static void
expect_spread(void)
{
	unsigned due_s[CLIENTS], together = 0, late = 0;

	/* A socket can be listed twice, while others come and go. */
	await(find_probes(due_s) == CLIENTS);
	for (int i = 0; i < CLIENTS; i++) {
		ck_assert_uint_ge(due_s[i], IDLE_S / 2);
		ck_assert_uint_le(due_s[i], 2 * IDLE_S + 1);
		late += due_s[i] > IDLE_S + IDLE_S / 2;
		for (int k = 0; k < i; k++)
			together += due_s[k] == due_s[i];
	}
	/* Five times the standard deviation. */
	ck_assert_uint_ge(late, CLIENTS / 6);
	ck_assert_uint_le(late, CLIENTS * 5 / 6);
	ck_assert_uint_le(together, CLIENTS);
}

START_TEST(idle_clients_are_not_probed_by_default)
{
	struct server *srv = server_start("workers = 2;", NOT_PROBED);

	connect_all();
	ck_assert_uint_eq(count_probed(), 0);
	server_reload(srv);
	ck_assert_uint_eq(count_probed(), 0);
	close_all();
	server_end(srv);
}
END_TEST

START_TEST(probes_of_clients_that_came_together_are_spread)
{
	struct server *srv = server_start("workers = 2;", PROBED);

	connect_all();
	expect_spread();
	server_reload(srv);
	expect_spread();
	close_all();
	server_end(srv);
}
END_TEST

START_TEST(a_reload_changes_the_probes_of_clients_that_are_there)
{
	struct server *srv = server_start("workers = 2;", PROBED);

	connect_all();
	server_configure(srv, "workers = 2;", NOT_PROBED);
	server_reload(srv);
	await(count_probed() == 0);
	server_configure(srv, "workers = 2;", PROBED);
	server_reload(srv);
	expect_spread();
	close_all();
	server_end(srv);
}
END_TEST

RUN_TESTS("server_keepalive",
	idle_clients_are_not_probed_by_default,
	probes_of_clients_that_came_together_are_spread,
	a_reload_changes_the_probes_of_clients_that_are_there)
