/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/rescue.c to worker/rescue.h: what becomes of connections when
 * their worker dies, also in the middle of a hand-over, at either end of it.
 */
#include "worker/rescue.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/lone_worker.h"
#include "worker/conn_record.h"
#include "worker/custody.h"

enum { CONNS = 4 };

static struct lone_worker lone;
static int clients[CONNS];
static struct conn *conns[CONNS];	/* of the worker that dies */
static int link_end;			/* the other worker's */

static void
start_worker(unsigned listener)
{
	lone_worker_have_custody(&lone);
	for (int i = 0; i < CONNS; i++)
		conns[i] = lone_worker_accept(&lone, listener, &clients[i]);
	link_end = -1;
}

static void
start(unsigned listener)
{
	lone_worker_init(&lone);
	start_worker(listener);
}

static void
start_web(void)
{
	lone_worker_init_with(&lone, "workers = 1;\n"
	    "handlers = ( { name = \"cat\"; type = \"command\"; "
	    "command = [ \"/bin/cat\" ]; } );\n"
	    "listeners = ( { name = \"web\"; address = \"127.0.0.1:9000\"; "
	    "protocol = \"http\"; handler = \"cat\"; pipeline = 64; } );\n");
	start_worker(0);
}

static void
finish(void)
{
	for (int i = 0; i < CONNS; i++)
		close(clients[i]);
	if (link_end != -1)
		close(link_end);
	lone_worker_free(&lone);
}

static void
rescue(void)
{
	lone_worker_die(&lone);
	ck_assert_int_eq(rescue_run(&lone.worker), 0);
}

static const struct counters_listener *
counters_of(unsigned listener)
{
	return (lone.worker.listeners[listener].counters);
}

/* While nothing is on its way: so many connections, and none forgotten. */
static void
expect_active(unsigned listener, uint64_t n)
{
	const struct counters_listener *counters = counters_of(listener);

	ck_assert_uint_eq(counter_get(&counters->active), n);
	ck_assert_uint_eq(counter_get(&counters->accepted) +
	    counter_get(&counters->carried_in),
	    counters_closed(counters) + counter_get(&counters->carried_out) +
	    n);
}

static void
expect_echo(int client)
{
	client_send_text_frame(client, "hello");
	await((lone_worker_turn(&lone), client_has_input(client)));
	client_expect_text_frame(client, "hello");
}

static void
expect_closed(int client)
{
	await((lone_worker_turn(&lone), client_has_input(client)));
	(void)client_read_to_end(client);
}

static uint64_t
dropped(enum rescue_reason why)
{
	return (lone.worker.rescued.dropped[why]);
}

/*
 * Its own.
 */

START_TEST(connections_are_served_on)
{
	start(LONE_FRAMES);
	expect_echo(clients[0]);
	client_send_text_frame(clients[1], "hello");
	rescue();
	ck_assert_uint_eq(lone.worker.rescued.kept, CONNS);
	ck_assert_uint_eq(lone.worker.rescued.answered, 0);
	await((lone_worker_turn(&lone), client_has_input(clients[1])));
	client_expect_text_frame(clients[1], "hello");
	for (int i = 0; i < CONNS; i++)
		expect_echo(clients[i]);
	expect_active(LONE_FRAMES, CONNS);
	ck_assert_uint_eq(counter_get(&counters_of(LONE_FRAMES)->accepted),
	    CONNS);
	finish();
}
END_TEST

START_TEST(requests_that_were_with_a_handler_are_answered_as_failed)
{
	start(LONE_LINES);
	client_send_text(clients[0], "one\ntwo\n");
	client_send_text(clients[1], "one\n");
	await((lone_worker_turn(&lone), custody_of(conns[0])->owed == 2 &&
	    custody_of(conns[1])->owed == 1));
	rescue();
	ck_assert_uint_eq(lone.worker.rescued.answered, 3);
	await((lone_worker_turn(&lone), client_has_input(clients[0])));
	client_expect_text(clients[0], "ERR failed\nERR failed\n");
	await((lone_worker_turn(&lone), client_has_input(clients[1])));
	client_expect_text(clients[1], "ERR failed\n");
	expect_active(LONE_LINES, CONNS);
	finish();
}
END_TEST

/* All that comes up to the end. */
static const char *
read_all(int client)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	do {
		await((lone_worker_turn(&lone), client_has_input(client)));
		n = recv(client, text + len, sizeof(text) - 1 - len, 0);
		ck_assert_int_ge(n, 0);
		len += (size_t)n;
	} while (n > 0);
	text[len] = '\0';
	return (text);
}

START_TEST(requests_of_http_are_answered_as_they_ask)
{
	const char *text, *second;

	start_web();
	client_send_text(clients[0], "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
	    "GET / HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n"
	    "Connection: close\r\n\r\n");
	await((lone_worker_turn(&lone), custody_of(conns[0])->owed == 2));
	rescue();
	ck_assert_uint_eq(lone.worker.rescued.answered, 2);
	text = read_all(clients[0]);
	ck_assert_ptr_eq(strstr(text, "HTTP/1.1 500 "), text);
	ck_assert_ptr_nonnull(second = strstr(text + 1, "HTTP/1.1 500 "));
	/* The first has no body, and the second ends the connection. */
	ck_assert_mem_eq(second - 4, "\r\n\r\n", 4);
	ck_assert_ptr_nonnull(strstr(second, "application/json"));
	ck_assert_ptr_nonnull(strstr(second, "Connection: close"));
	ck_assert_int_eq(strncmp(strstr(second, "\r\n\r\n") + 4, "{", 1), 0);
	client_half_close(clients[0]);
	await((lone_worker_turn(&lone), lone.worker.conns.count == CONNS - 1));
	expect_active(0, CONNS - 1);
	finish();
}
END_TEST

START_TEST(more_requests_of_http_than_there_is_room_for_are_lost)
{
	start_web();
	for (int i = 0; i < CUSTODY_OWED_EXCHANGES + 1; i++)
		client_send_text(clients[0], "GET / HTTP/1.1\r\n"
		    "Host: h\r\n\r\n");
	await((lone_worker_turn(&lone), conns[0]->pending != NULL &&
	    conns[0]->pending->nrequests == CUSTODY_OWED_EXCHANGES + 1));
	rescue();
	ck_assert_uint_eq(dropped(RESCUE_BUSY), 1);
	expect_active(0, CONNS - 1);
	finish();
}
END_TEST

START_TEST(a_connection_within_a_message_is_closed_and_counted_as_lost)
{
	start(LONE_FRAMES);
	client_send(clients[2], "\0\0\0\5he", 6);
	await((lone_worker_turn(&lone), conns[2]->pending != NULL));
	rescue();
	ck_assert_uint_eq(lone.worker.rescued.kept, CONNS - 1);
	ck_assert_uint_eq(dropped(RESCUE_BUSY), 1);
	expect_closed(clients[2]);
	expect_active(LONE_FRAMES, CONNS - 1);
	ck_assert_uint_eq(counter_get(
	    &counters_of(LONE_FRAMES)->closed[CLOSE_LOST]), 1);
	expect_echo(clients[3]);
	finish();
}
END_TEST

START_TEST(a_connection_that_was_reset_is_not_lost)
{
	static const struct ctl_rescued three = { .kept = CONNS - 1 };

	start(LONE_FRAMES);
	client_reset(clients[1]);
	clients[1] = -1;
	await(custody_check(custody_of(conns[1]), conn_record(conns[1])) ==
	    RESCUE_OVER);
	rescue();
	ck_assert_mem_eq(&lone.worker.rescued, &three, sizeof(three));
	expect_active(LONE_FRAMES, CONNS - 1);
	ck_assert_uint_eq(counter_get(
	    &counters_of(LONE_FRAMES)->closed[CLOSE_RESET]), 1);
	finish();
}
END_TEST

START_TEST(a_rescuer_can_be_rescued)
{
	start(LONE_FRAMES);
	rescue();
	expect_echo(clients[0]);
	rescue();
	ck_assert_uint_eq(lone.worker.rescued.kept, CONNS);
	for (int i = 0; i < CONNS; i++)
		expect_echo(clients[i]);
	expect_active(LONE_FRAMES, CONNS);
	finish();
}
END_TEST

START_TEST(the_connection_at_which_two_rescuers_have_died_is_dropped)
{
	uint32_t touched;

	start(LONE_FRAMES);
	touched = conns[1]->index + 1;
	lone.worker.custody->touched = touched;
	rescue();
	ck_assert_uint_eq(lone.worker.rescued.kept, CONNS);
	lone.worker.custody->touched = touched;
	rescue();
	ck_assert_uint_eq(dropped(RESCUE_TOUCHED), 1);
	ck_assert_uint_eq(lone.worker.rescued.kept, CONNS - 1);
	expect_closed(clients[1]);
	expect_active(LONE_FRAMES, CONNS - 1);
	finish();
}
END_TEST

START_TEST(a_client_that_was_rejected_leaves_no_record)
{
	struct sockaddr_in from;
	struct conn_record copy;
	unsigned n = 0;
	int fd, client;

	start(LONE_FRAMES);
	fd = lone_worker_tcp(&client, &from);
	conn_reject(&lone.worker.listeners[LONE_FRAMES], fd,
	    (struct sockaddr *)&from, REJECT_NO_ROOM);
	ck_assert_uint_eq(lone.worker.conns.count, CONNS + 1);
	rescue();
	for (uint32_t i = 0; i < lone.counters.records; i++)
		n += conn_record_copy(&copy, &lone.worker.conns.records[i]);
	ck_assert_uint_eq(n, CONNS);
	expect_active(LONE_FRAMES, CONNS);
	close(client);
	finish();
}
END_TEST

START_TEST(a_time_to_come_is_no_excuse)
{
	start(LONE_FRAMES);
	conn_record(conns[0])->since_ms = UINT64_MAX;
	conn_record(conns[0])->opened_ms = UINT64_MAX - 1;
	rescue();
	ck_assert_uint_le(lone.worker.conns.records[0].since_ms,
	    lone.worker.now_ms);
	ck_assert_uint_le(lone.worker.conns.records[0].opened_ms,
	    lone.worker.now_ms);
	finish();
}
END_TEST

/*
 * Descriptors.
 */

static bool
is_open(int fd)
{
	return (fcntl(fd, F_GETFD) != -1);
}

/* In a process with descriptors of its own. */
static int
try_closing(int other, int number)
{
	struct custody_map *map = lone.worker.custody;

	if (rescue_close_rest(&lone.worker) == -1)
		return (1);
	for (int i = 0; i < CONNS; i++)
		if (!is_open(conn_fd(conns[i])) || is_open(clients[i]))
			return (2);
	if (is_open(other) || is_open(number) ||
	    !is_open(lone.heritage.channel))
		return (3);
	/* What is opened now is not the dead worker's. */
	if (map->conns[CONNS].fd != -1 || map->giver.fd != 0 ||
	    map->taker[2].fd != 0 ||
	    map->conns[0].fd != conn_fd(conns[0]))
		return (4);
	return (0);
}

START_TEST(what_is_no_connection_is_closed_first)
{
	enum { NUMBER = 777 };
	struct custody_map *map;
	int other, status;
	pid_t pid;

	start(LONE_FRAMES);
	ck_assert_int_ne(other = open("/dev/null", O_RDONLY), -1);
	map = lone.worker.custody;
	map->conns[CONNS].fd = NUMBER;
	map->end = CONNS + 1;
	map->giver.fd = other;
	map->taker[2].fd = NUMBER;
	if ((pid = fork()) == 0)
		_exit(try_closing(other, NUMBER));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(other);
	finish();
}
END_TEST

/*
 * A giver that has died.
 */

static void
open_giver(void)
{
	static const struct ctl_give all = { .quota = CTL_GIVE_ALL };
	struct handover_message msg = { .hello = { .protocol = {
	    CONF_PROTOCOL_FRAME + 1, CONF_PROTOCOL_LINE + 1 } } };
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	link_end = ends[1];
	giver_begin(&lone.worker, ends[0], &all);
	ck_assert_int_eq(handover_send(link_end, HANDOVER_VERSION, &msg,
	    HANDOVER_HELLO, NULL, 0), 0);
	lone_worker_turn(&lone);
}

/* Returns the number of the batch with all. */
static uint64_t
take_in_batch(void)
{
	struct handover_message msg;
	struct handover_fds fds;

	ck_assert_int_eq(handover_receive(link_end, &msg, &fds), 1);
	ck_assert_uint_eq(msg.header.type, HANDOVER_BATCH);
	ck_assert_uint_eq(msg.batch.n, CONNS);
	handover_close_fds(&fds);
	return (msg.batch.number);
}

static uint64_t
take_in_question(void)
{
	struct handover_message msg;
	struct handover_fds fds;

	ck_assert_int_eq(handover_receive(link_end, &msg, &fds), 1);
	ck_assert_uint_eq(msg.header.type, HANDOVER_ASK);
	return (msg.ask.number);
}

static void
say(enum handover_type type, uint64_t number, uint64_t taken)
{
	struct handover_message msg = {
		.adopted = { .number = number, .taken = taken },
	};

	ck_assert_int_eq(handover_send(link_end, HANDOVER_VERSION, &msg, type,
	    NULL, 0), 0);
	lone_worker_turn(&lone);
}

START_TEST(what_was_offered_is_served_when_the_taker_has_not_taken_it)
{
	uint64_t number;

	start(LONE_FRAMES);
	open_giver();
	number = take_in_batch();
	rescue();
	ck_assert_uint_eq(lone.worker.rescued.kept, 0);
	ck_assert_uint_ne(take_in_question(), 0);
	say(HANDOVER_ADOPTED, number, 1 << 1 | 1 << 3);
	ck_assert_uint_eq(lone.worker.rescued.kept, 2);
	ck_assert_uint_eq(lone.worker.conns.count, 2);
	expect_echo(clients[0]);
	expect_echo(clients[2]);
	/* The only copies of the others were ours: the test has closed its. */
	expect_closed(clients[1]);
	expect_closed(clients[3]);
	expect_active(LONE_FRAMES, 2);
	ck_assert_uint_eq(counter_get(
	    &counters_of(LONE_FRAMES)->closed[CLOSE_LOST]), 0);
	ck_assert(!lone.worker.giver.on);
	finish();
}
END_TEST

START_TEST(what_was_never_sent_is_served_when_the_taker_says_so)
{
	uint64_t number;

	start(LONE_FRAMES);
	open_giver();
	(void)take_in_batch();
	rescue();
	number = take_in_question();
	say(HANDOVER_TOLD, number, 0);
	ck_assert_uint_eq(lone.worker.rescued.kept, CONNS);
	for (int i = 0; i < CONNS; i++)
		expect_echo(clients[i]);
	expect_active(LONE_FRAMES, CONNS);
	finish();
}
END_TEST

START_TEST(what_was_offered_is_served_when_the_taker_is_gone)
{
	start(LONE_FRAMES);
	open_giver();
	close(link_end);
	link_end = -1;
	rescue();
	lone_worker_turn(&lone);
	for (int i = 0; i < CONNS; i++)
		expect_echo(clients[i]);
	expect_active(LONE_FRAMES, CONNS);
	finish();
}
END_TEST

/* The answer was heard, and nothing done about it yet. */
START_TEST(an_answer_that_was_heard_holds)
{
	struct custody_map *map;
	uint64_t number;

	start(LONE_FRAMES);
	open_giver();
	number = take_in_batch();
	map = lone.worker.custody;
	ck_assert_uint_eq(map->batch[0], number);
	map->taken[0] = 1 << 0;
	map->batch[0] = 0;
	rescue();
	expect_closed(clients[0]);
	for (int i = 1; i < CONNS; i++)
		expect_echo(clients[i]);
	expect_active(LONE_FRAMES, CONNS - 1);
	ck_assert_uint_eq(counter_get(
	    &counters_of(LONE_FRAMES)->closed[CLOSE_LOST]), 0);
	finish();
}
END_TEST

START_TEST(what_was_offered_to_nobody_who_can_say_is_dropped)
{
	start(LONE_FRAMES);
	open_giver();
	(void)take_in_batch();
	lone.worker.custody->giver.version = HANDOVER_PREVIOUS;
	rescue();
	ck_assert_uint_eq(dropped(RESCUE_OFFERED), CONNS);
	expect_active(LONE_FRAMES, 0);
	for (int i = 0; i < CONNS; i++)
		expect_closed(clients[i]);
	await(client_has_input(link_end));
	finish();
}
END_TEST

/*
 * A taker that has died.
 */

static void
open_taker(void)
{
	const struct ctl_take order = { .giver = CTL_VERSION, .generation = 1 };
	struct handover_message msg;
	struct handover_fds fds;
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	link_end = ends[1];
	taker_begin(&lone.worker, ends[0], &order);
	ck_assert_int_eq(handover_receive(link_end, &msg, &fds), 1);
	ck_assert_uint_eq(msg.header.type, HANDOVER_HELLO);
}

/* As if it had taken all, but not yet begun to serve them. */
static void
adopt_all(uint64_t number)
{
	for (unsigned i = 0; i < CONNS; i++) {
		custody_take(conns[i], 0, i, LONE_FRAMES);
		counter_sub(&lone.worker.listeners[LONE_FRAMES].counters->
		    accepted, 1);
	}
	lone.worker.custody->taker[0].number = number;
}

static uint64_t
take_in_answer(uint64_t number)
{
	struct handover_message msg;
	struct handover_fds fds;

	ck_assert_int_eq(handover_receive(link_end, &msg, &fds), 1);
	ck_assert_uint_eq(msg.header.type, HANDOVER_ADOPTED);
	ck_assert_uint_eq(msg.adopted.number, number);
	return (msg.adopted.taken);
}

START_TEST(what_was_adopted_is_served_and_the_giver_hears_so)
{
	start(LONE_FRAMES);
	open_taker();
	adopt_all(5);
	rescue();
	ck_assert_uint_eq(take_in_answer(5), (1 << CONNS) - 1);
	await(client_has_input(link_end));	/* its end */
	ck_assert_uint_eq(lone.worker.rescued.kept, CONNS);
	for (int i = 0; i < CONNS; i++)
		expect_echo(clients[i]);
	expect_active(LONE_FRAMES, CONNS);
	ck_assert_uint_eq(counter_get(
	    &counters_of(LONE_FRAMES)->carried_in), CONNS);
	finish();
}
END_TEST

START_TEST(what_was_adopted_and_is_not_at_rest_stays_with_the_giver)
{
	start(LONE_FRAMES);
	open_taker();
	adopt_all(5);
	custody_of(conns[2])->rest_in = CUSTODY_NEVER;
	rescue();
	ck_assert_uint_eq(take_in_answer(5), (1 << 0) | (1 << 1) | (1 << 3));
	expect_active(LONE_FRAMES, CONNS - 1);
	finish();
}
END_TEST

START_TEST(what_was_not_wholly_adopted_stays_with_the_giver)
{
	start(LONE_FRAMES);
	open_taker();
	adopt_all(0);
	rescue();
	/* The link ends without an answer. */
	await(client_has_input(link_end));
	ck_assert_int_eq((int)recv(link_end, &(char){ 0 }, 1, MSG_DONTWAIT), 0);
	expect_active(LONE_FRAMES, 0);
	ck_assert_uint_eq(lone.worker.conns.count, 0);
	finish();
}
END_TEST

START_TEST(a_link_without_a_batch_ends)
{
	start(LONE_FRAMES);
	open_taker();
	rescue();
	await(client_has_input(link_end));
	ck_assert_int_eq((int)recv(link_end, &(char){ 0 }, 1, MSG_DONTWAIT), 0);
	ck_assert_uint_eq(lone.worker.rescued.kept, CONNS);
	finish();
}
END_TEST

START_TEST(a_taker_says_which_batches_have_come_when_it_is_asked)
{
	struct handover_message msg = { .ask.number = 9 };
	struct handover_fds fds;

	start(LONE_FRAMES);
	open_taker();
	ck_assert_int_eq(handover_send(link_end, HANDOVER_VERSION, &msg,
	    HANDOVER_ASK, NULL, 0), 0);
	lone_worker_turn(&lone);
	ck_assert_int_eq(handover_receive(link_end, &msg, &fds), 1);
	ck_assert_uint_eq(msg.header.type, HANDOVER_TOLD);
	ck_assert_uint_eq(msg.ask.number, 9);
	finish();
}
END_TEST

RUN_TESTS("rescue",
    connections_are_served_on,
    requests_that_were_with_a_handler_are_answered_as_failed,
    requests_of_http_are_answered_as_they_ask,
    more_requests_of_http_than_there_is_room_for_are_lost,
    a_connection_within_a_message_is_closed_and_counted_as_lost,
    a_connection_that_was_reset_is_not_lost,
    a_rescuer_can_be_rescued,
    the_connection_at_which_two_rescuers_have_died_is_dropped,
    a_client_that_was_rejected_leaves_no_record,
    a_time_to_come_is_no_excuse,
    what_is_no_connection_is_closed_first,
    what_was_offered_is_served_when_the_taker_has_not_taken_it,
    what_was_never_sent_is_served_when_the_taker_says_so,
    what_was_offered_is_served_when_the_taker_is_gone,
    an_answer_that_was_heard_holds,
    what_was_offered_to_nobody_who_can_say_is_dropped,
    what_was_adopted_is_served_and_the_giver_hears_so,
    what_was_adopted_and_is_not_at_rest_stays_with_the_giver,
    what_was_not_wholly_adopted_stays_with_the_giver,
    a_link_without_a_batch_ends,
    a_taker_says_which_batches_have_come_when_it_is_asked)
