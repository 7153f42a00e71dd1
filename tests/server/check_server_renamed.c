/* SPDX-License-Identifier: ISC */
/*
 * To a client a listener is an address and a protocol: reloads that rename
 * listeners, or move addresses between them, keep its connection.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"

enum { CLIENTS = 20 };

/* Old workers have no time for what nobody takes. */
#define GLOBALS		"workers = 2; drain_timeout = 0.0; drain_spread = 0.0;"
#define AT(name, addresses, protocol)					\
	"{ name = \"" name "\"; address = [ " addresses " ]; "		\
	"protocol = \"" protocol "\"; handler = \"echo\"; "		\
	"read_timeout = 60.0; }"
#define A0		"\"$A:9000\""
#define A1		"\"$A:9001\""
#define A2		"\"$A:9002\""

/* On two ports; the first client of each is in the middle of a message. */
static int first[CLIENTS], second[CLIENTS];

static void
connect_all(bool lines)
{
	for (int i = 0; i < CLIENTS; i++) {
		first[i] = client_connect(9000);
		second[i] = client_connect(9001);
		client_echo(first[i], "hello");
		if (lines)
			client_echo_line(second[i], "hello");
		else
			client_echo(second[i], "hello");
	}
	client_send(first[0], "\0\0\0\4ha", 6);
}

static void
expect_all(bool lines)
{
	client_send_text(first[0], "lf");
	client_expect_text_frame(first[0], "half");
	for (int i = 0; i < CLIENTS; i++) {
		client_echo(first[i], "still here");
		if (lines)
			client_echo_line(second[i], "still here");
		else
			client_echo(second[i], "still here");
	}
	client_send(first[0], "\0\0\0\4ha", 6);
}

static void
close_all(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		close(first[i]);
		close(second[i]);
	}
}

static void
reload(struct server *srv, const char *listeners)
{
	server_configure(srv, GLOBALS, listeners);
	server_mark(srv);
	server_reload(srv);
	server_expect(srv, "event=reload_report cut=0 lost=0 finished=0");
}

/* Active connections of a listener by its number: names get theirs in the order
 * in which they come. */
static uint64_t
active(struct server *srv, unsigned number)
{
	server_counters(srv);
	return (observe_listener(&srv->counters, number).active);
}

START_TEST(a_listener_with_another_name_keeps_its_clients)
{
	struct server *srv = server_start(GLOBALS, AT("a", A0, "frame") ",\n"
	    AT("b", A1, "line"));

	connect_all(true);
	reload(srv, AT("c", A0, "frame") ",\n" AT("d", A1, "line"));
	expect_all(true);
	/* Each is counted once, for the name that it has now. */
	await(active(srv, 0) == 0 && active(srv, 1) == 0 &&
	    active(srv, 2) == CLIENTS && active(srv, 3) == CLIENTS);
	await(observe_adds_up(&srv->counters));
	close_all();
	server_expect(srv, "event=conn_close listener=c reason=eof");
	server_expect(srv, "event=conn_close listener=d reason=eof");
	server_end(srv);
}
END_TEST

START_TEST(an_address_that_moves_to_another_listener_keeps_its_clients)
{
	struct server *srv = server_start(GLOBALS,
	    AT("a", A0 ", " A1, "frame") ",\n" AT("b", A2, "frame"));

	connect_all(false);
	reload(srv, AT("a", A0, "frame") ",\n" AT("b", A1 ", " A2, "frame"));
	expect_all(false);
	await(active(srv, 0) == CLIENTS && active(srv, 1) == CLIENTS);
	/* And back, and to new ones. */
	reload(srv, AT("a", A1, "frame") ",\n" AT("b", A0 ", " A2, "frame"));
	expect_all(false);
	await(active(srv, 0) == CLIENTS && active(srv, 1) == CLIENTS);
	reload(srv, AT("x", A2 ", " A0 ", " A1, "frame"));
	expect_all(false);
	await(active(srv, 2) == (uint64_t)2 * CLIENTS);
	await(observe_adds_up(&srv->counters));
	close_all();
	server_end(srv);
}
END_TEST

START_TEST(two_listeners_that_change_names_keep_their_clients)
{
	struct server *srv = server_start(GLOBALS, AT("a", A0, "frame") ",\n"
	    AT("b", A1, "line"));

	connect_all(true);
	for (int i = 0; i < 2; i++) {
		reload(srv, AT("b", A0, "frame") ",\n" AT("a", A1, "line"));
		expect_all(true);
		reload(srv, AT("a", A0, "frame") ",\n" AT("b", A1, "line"));
		expect_all(true);
	}
	close_all();
	server_end(srv);
}
END_TEST

START_TEST(a_name_that_stays_keeps_the_clients_of_an_address_that_goes)
{
	struct server *srv = server_start(GLOBALS, AT("a", A0, "frame") ",\n"
	    AT("b", A1, "line"));

	connect_all(true);
	reload(srv, AT("a", A2, "frame") ",\n" AT("b", A1, "line"));
	expect_all(true);
	close_all();
	server_end(srv);
}
END_TEST

START_TEST(an_upgrade_keeps_the_clients_of_renamed_listeners)
{
	struct server *srv = server_new();

	server_install(srv, "penstock");
	server_configure(srv, GLOBALS, AT("a", A0, "frame") ",\n"
	    AT("b", A1, "line"));
	server_launch(srv);
	server_await_ready(srv);
	connect_all(true);
	server_configure(srv, GLOBALS, AT("c", A1, "line") ",\n"
	    AT("d", A0, "frame"));
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_report kind=upgrade cut=0 lost=0 "
	    "finished=0");
	expect_all(true);
	close_all();
	server_end(srv);
}
END_TEST

RUN_TESTS("server_renamed",
    a_listener_with_another_name_keeps_its_clients,
    an_address_that_moves_to_another_listener_keeps_its_clients,
    two_listeners_that_change_names_keep_their_clients,
    a_name_that_stays_keeps_the_clients_of_an_address_that_goes,
    an_upgrade_keeps_the_clients_of_renamed_listeners)
