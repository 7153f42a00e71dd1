/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/exec_link.c to its word about the ends of executors: what was
 * answered is handed on, the rest fails, and each end is reported to the
 * master.
 */
#include <sys/socket.h>

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/lone_worker.h"
#include "worker/executors.h"
#include "worker/orders.h"
#include "worker/queue.h"

static const char conf_text[] =
    "workers = 1;\n"
    "handlers = ( { name = \"cat\"; type = \"command\"; "
    "command = [ \"/bin/cat\" ]; pipeline = 4; request_timeout = 0.05; } );\n"
    "listeners = ( { name = \"frames\"; address = \"127.0.0.1:9000\"; "
    "protocol = \"frame\"; handler = \"cat\"; } );\n";

enum { EXECUTORS_MAX = 40 };

/* A command's ends of its two pipes. */
struct executor {
	int requests;
	int replies;
};

static struct lone_worker lone;
static struct executor executors[EXECUTORS_MAX];
static unsigned nexecutors;

static struct queue *
queue(void)
{
	return (lone.worker.listeners[0].handler->queue);
}

static const struct counters_handler *
counted(void)
{
	return (&lone.counters.map->block[0].handler[
	    lone.worker.listeners[0].handler - lone.worker.handlers]);
}

/* Its id is its number, and 1. */
static void
add_executor(void)
{
	struct executor *executor = &executors[nexecutors++];
	int requests[2], replies[2], ours[CTL_FDS_MAX];

	ck_assert_int_eq(pipe2(requests, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(pipe2(replies, O_CLOEXEC | O_NONBLOCK), 0);
	executor->requests = requests[0];
	executor->replies = replies[1];
	ours[0] = replies[0];
	ours[1] = requests[1];
	executors_add(queue(), nexecutors, ours);
}

static void
start(unsigned n)
{
	lone_worker_init_with(&lone, conf_text);
	nexecutors = 0;
	for (unsigned i = 0; i < n; i++)
		add_executor();
}

static void
hang_up(struct executor *executor)
{
	if (executor->requests != -1)
		close(executor->requests);
	if (executor->replies != -1)
		close(executor->replies);
	executor->requests = executor->replies = -1;
}

static void
finish(void)
{
	for (unsigned i = 0; i < nexecutors; i++)
		hang_up(&executors[i]);
	lone_worker_free(&lone);
}

static void
turn(void)
{
	for (int i = 0; i < 8; i++)
		lone_worker_turn(&lone);
}

/* A client with one request that an executor has. */
static int
ask(const char *text)
{
	int client;

	lone_worker_connect(&lone, 0, &client);
	client_send_text_frame(client, text);
	turn();
	return (client);
}

static void
answer(const struct executor *executor, const char *text)
{
	uint8_t frame[256];
	size_t len = frame_put(frame, text, strlen(text));

	ck_assert_int_eq(write(executor->replies, frame, len), (ssize_t)len);
}

/* What the master hears next; false if that is nothing. */
static bool
hear(struct ctl *msg)
{
	ssize_t n;

	memset(msg, 0, sizeof(*msg));
	n = recv(lone.master, msg, sizeof(*msg), MSG_DONTWAIT);
	return (n > 0);
}

static void
expect_disowned(uint64_t id, const char *why)
{
	struct ctl msg;

	ck_assert(hear(&msg));
	ck_assert_uint_eq(msg.header.type, CTL_DISOWN);
	ck_assert_uint_eq(msg.disown.id, id);
	ck_assert_str_eq(msg.disown.why, why);
	ck_assert_uint_eq(msg.disown.ended, *why == '\0');
}

/* Returns how many requests have timed out. */
static uint64_t
tick(void)
{
	worker_turn(&lone.worker);
	executors_tick(queue());
	return (counted()->timeouts);
}

static void
say_died(uint64_t id)
{
	struct ctl msg = {
		.header = { .type = CTL_DIED },
		.died = { .id = id },
		.fd = { -1, -1 },
	};

	orders_obey(&lone.worker, &msg);
	turn();
}

/* What the dead one has started holds its ends open. */
START_TEST(a_dead_executor_gets_no_more_messages)
{
	int first, second, client;

	start(2);
	first = ask("one");
	second = ask("two");
	answer(&executors[0], "one");
	say_died(1);
	client_expect_text_frame(first, "one");
	expect_disowned(1, "");
	say_died(2);
	client_expect_text_frame(second, ERR_FAILED);
	expect_disowned(2, "");
	ck_assert_uint_eq(counted()->executors, 0);
	ck_assert_uint_eq(counted()->failed, 1);
	ck_assert_uint_eq(counted()->crashes, 1);
	/* Whoever comes now waits for the next one. */
	client = ask("three");
	add_executor();
	turn();
	answer(&executors[2], "three");
	turn();
	client_expect_text_frame(client, "three");
	close(first);
	close(second);
	close(client);
	finish();
}
END_TEST

START_TEST(a_death_that_is_known_is_not_told_twice)
{
	struct ctl msg;

	start(1);
	hang_up(&executors[0]);
	turn();
	expect_disowned(1, "");
	say_died(1);
	say_died(7);
	ck_assert(!hear(&msg));
	finish();
}
END_TEST

/* It answers one message, and ends before it reads the next. */
START_TEST(what_was_answered_before_the_end_is_handed_on)
{
	int first, second;

	start(1);
	first = ask("one");
	answer(&executors[0], "one");
	hang_up(&executors[0]);
	/* Now it is found to be gone when that is sent. */
	lone_worker_connect(&lone, 0, &second);
	client_send_text_frame(second, "two");
	turn();
	client_expect_text_frame(first, "one");
	client_expect_text_frame(second, ERR_FAILED);
	expect_disowned(1, "");
	close(first);
	close(second);
	finish();
}
END_TEST

START_TEST(all_that_are_late_in_one_tick_are_given_up)
{
	enum { N = 5 };
	int clients[N];
	struct ctl msg;
	uint64_t since_ms;

	start(N);
	for (int i = 0; i < N; i++)
		clients[i] = ask("hello");
	since_ms = clock_ms();
	await(clock_ms() > since_ms + 100);
	ck_assert_uint_eq(tick(), N);
	turn();
	for (int i = 0; i < N; i++)
		client_expect_text_frame(clients[i], ERR_TIMEOUT);
	for (unsigned i = 1; i <= N; i++)
		expect_disowned(i, "it had a request for longer than "
		    "request_timeout");
	ck_assert(!hear(&msg));
	ck_assert_uint_eq(counted()->timeouts, N);
	ck_assert_uint_eq(counted()->crashes, N);
	ck_assert_uint_eq(counted()->executors, 0);
	for (int i = 0; i < N; i++)
		close(clients[i]);
	finish();
}
END_TEST

/* The master does not read for a while, and then hears of each one. */
START_TEST(what_does_not_fit_into_the_channel_is_told_later)
{
	enum { N = 40 };
	struct ctl_given given = { .left = 1 };
	unsigned told = 0;
	struct ctl msg;

	start(N);
	while (channel_send(lone.worker.channel, CTL_GIVEN, 1, &given,
	    -1) == 0)
		;
	for (unsigned i = 0; i < N; i++)
		hang_up(&executors[i]);
	await((turn(), counted()->executors == 0));
	while (hear(&msg)) {
		if (msg.header.type == CTL_DISOWN)
			told++;
		notices_flush(&lone.worker);
	}
	ck_assert_uint_eq(told, N);
	finish();
}
END_TEST

RUN_TESTS("exec_link",
    a_dead_executor_gets_no_more_messages,
    a_death_that_is_known_is_not_told_twice,
    what_was_answered_before_the_end_is_handed_on,
    all_that_are_late_in_one_tick_are_given_up,
    what_does_not_fit_into_the_channel_is_told_later)
