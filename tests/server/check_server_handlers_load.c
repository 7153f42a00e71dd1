/* SPDX-License-Identifier: ISC */
/*
 * Far more clients than a slow handler can serve: what they get, and what
 * everybody else does.
 *
 * How long that takes is printed.  What is asserted is what holds on any
 * machine: who is answered at all, in which numbers, and that nobody waits for
 * somebody whom he has nothing to do with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tests/lib/wire.h"

enum {
	EXECUTORS = 8,
	SLEEP_MS = 100,
	/* Whoever does not wait for the slow handler has his answer in this
	 * time, and 100 ms on a machine that has nothing else to do. */
	PROMPT_MS = 2000,
};

#define SLOW(ms, more)							\
	"{ name = \"slow\"; type = \"command\"; processes = 8; "		\
	MISBEHAVE("\"--ready\", \"sleep\", \"" ms "\"")			\
	" ready = true; " more " }"

/*
 * Clients that each have one request under way, and remember how long each one
 * took.
 */

struct askers {
	unsigned n;
	struct asker {
		int fd;
		struct wire in;
		uint64_t asked_us;	/* 0: not now */
		uint64_t again_us;	/* when to ask again */
	} *all;
	uint64_t *took_us;		/* of those that were answered */
	size_t answered, size;
	size_t busy;
};

static void
askers_open(struct askers *askers, unsigned port, unsigned n)
{
	*askers = (struct askers){ .n = n };
	askers->all = calloc(n, sizeof(*askers->all));
	ck_assert_ptr_nonnull(askers->all);
	for (unsigned i = 0; i < n; i++)
		askers->all[i].fd = client_connect(port);
}

static void
askers_close(struct askers *askers)
{
	for (unsigned i = 0; i < askers->n; i++) {
		close(askers->all[i].fd);
		free(askers->all[i].in.bytes);
	}
	free(askers->all);
	free(askers->took_us);
}

static void
askers_forget(struct askers *askers)
{
	askers->answered = askers->busy = 0;
}

static void
note_answer(struct askers *askers, uint64_t took_us)
{
	if (askers->answered == askers->size) {
		askers->size = 2 * askers->size + 1024;
		askers->took_us = realloc(askers->took_us,
		    askers->size * sizeof(*askers->took_us));
		ck_assert_ptr_nonnull(askers->took_us);
	}
	askers->took_us[askers->answered++] = took_us;
}

static void
take_answer(struct askers *askers, struct asker *asker)
{
	struct text reply;
	uint64_t now_us = clock_us();

	wire_read(&asker->in, asker->fd);
	if (!wire_take(&asker->in, &reply))
		return;
	if (text_is(&reply, ERR_BUSY)) {
		askers->busy++;
		/* As a client that has sense. */
		asker->again_us = now_us + 20000;
	} else {
		ck_assert(text_is(&reply, "hello"));
		note_answer(askers, now_us - asker->asked_us);
	}
	ck_assert_uint_eq(asker->in.at, asker->in.len);
	asker->in.at = asker->in.len = 0;
	asker->asked_us = 0;
}

/* Go on for a while. */
static void
askers_run(struct askers *askers, uint64_t for_ms)
{
	uint64_t until_ms = clock_ms() + for_ms;
	struct asker *asker;

	while (clock_ms() < until_ms) {
		for (unsigned i = 0; i < askers->n; i++) {
			asker = &askers->all[i];
			if (asker->asked_us == 0 &&
			    clock_us() >= asker->again_us) {
				client_send_text_frame(asker->fd, "hello");
				asker->asked_us = clock_us();
			} else if (asker->asked_us != 0)
				take_answer(askers, asker);
		}
		pause_us(200);
	}
}

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x < *y ? -1 : *x > *y);
}

/* The time within which so many of a thousand were answered, in ms. */
static double
quantile_ms(struct askers *askers, unsigned permille)
{
	ck_assert_uint_gt(askers->answered, 0);
	qsort(askers->took_us, askers->answered, sizeof(*askers->took_us),
	    compare);
	return ((double)askers->took_us[(askers->answered - 1) * permille /
	    1000] / 1000);
}

static void
print_askers(const char *who, struct askers *askers)
{
	printf("%s: %zu answered, %zu busy; median %.1f ms, p99 %.1f ms, "
	    "slowest %.1f ms\n", who, askers->answered, askers->busy,
	    quantile_ms(askers, 500), quantile_ms(askers, 990),
	    quantile_ms(askers, 1000));
}

static struct hold_process *
saturate(unsigned port, unsigned connections)
{
	struct hold_options options = load_on(port);
	struct hold_process *load;

	options.connections = connections;
	options.rate = HOLD_FULL_SPEED;
	ck_assert_ptr_nonnull(load = hold_start(&options));
	return (load);
}

/* The clients go in the middle of what they wait for. */
static void
expect_unharmed_and_drop(struct hold_process *load)
{
	expect_unharmed(hold_peek(load));
	hold_drop(load);
}

/*
 * The tests.
 */

START_TEST(a_slow_handler_with_a_full_queue_slows_nobody_else)
{
	enum { CLIENTS = 1000, MS = 1500 };
	struct server *srv = handlers_start(HANDLERS(SLOW("100",
	    "queue = 200; queue_timeout = 0; request_timeout = 0;")),
	    ONE("slow", "") ",\n" EXTRA(""));
	struct hold_options options = load_on(EXTRA_PORT);
	struct hold_process *echoes, *slow;
	struct askers askers;
	uint64_t answered, memory, since;
	double rate;

	options.connections = 20;
	options.rate = 1000;
	echoes = hold_start(&options);
	askers_open(&askers, EXTRA_PORT, 1);
	askers_run(&askers, 1000);
	print_askers("echo under load", &askers);
	askers_forget(&askers);

	slow = saturate(FRAME_PORT, CLIENTS);
	await(hold_peek(slow)->sent >= CLIENTS &&
	    handler_counters(srv).held_back >= CLIENTS - 250);
	memory = proc_pss_anon(server_worker(srv, 0));
	answered = hold_peek(slow)->answered;
	since = clock_ms();
	askers_run(&askers, MS);
	rate = (double)(hold_peek(slow)->answered - answered) * 1000 /
	    (double)(clock_ms() - since);
	print_askers("with 1000 clients of a slow handler beside it", &askers);
	printf("8 executors of 100 ms answer %.1f in a second; worker's "
	    "memory %u KiB before and %u KiB after\n", rate,
	    (unsigned)(memory / 1024),
	    (unsigned)(proc_pss_anon(server_worker(srv, 0)) / 1024));
	/* More than two of them would answer, and some may have been counted
	 * late. */
	ck_assert_double_gt(rate, 1000.0 * EXECUTORS / SLEEP_MS / 4 /
	    slow_factor());
	ck_assert_double_lt(rate, 1000.0 * EXECUTORS / SLEEP_MS * 2);
	ck_assert_double_lt(quantile_ms(&askers, 1000),
	    PROMPT_MS * slow_factor());
	ck_assert_uint_lt(proc_pss_anon(server_worker(srv, 0)), memory +
	    (server_is_sanitized() ? 64U : 1U) * 1024 * 1024);
	/* One has its turn, and then another one has its place. */
	await(handler_counters(srv).waiting >= 200);
	/* Newcomers are let in. */
	since = clock_ms();
	expect_answered(EXTRA_PORT, "hello");
	printf("a newcomer is answered after %u ms\n",
	    (unsigned)(clock_ms() - since));
	ck_assert_uint_lt(clock_ms() - since, PROMPT_MS * slow_factor());
	expect_unharmed_and_drop(slow);
	askers_close(&askers);
	hold_stop(echoes);
	expect_unharmed_and_drop(echoes);
	server_end(srv);
}
END_TEST

/* Its socket is watched on when it begins to wait. */
START_TEST(a_client_that_sends_before_its_turn_costs_no_time)
{
	enum { WAIT_MS = 600 };
	struct server *srv = handlers_start(HANDLERS(SLOW("1000", "")),
	    ONE("slow", "pipeline = 1;"));
	pid_t worker = server_worker(srv, 0);
	int fd = client_connect(FRAME_PORT);
	uint64_t cpu_ms;

	client_send_text_frame(fd, "one");
	await(server_counters(srv).messages_in == 1);
	cpu_ms = proc_cpu_ms(worker);
	client_send_text_frame(fd, "two");
	client_send_text_frame(fd, "three");
	holds_for(WAIT_MS, server_counters(srv).messages_in < 3);
	ck_assert_uint_lt(proc_cpu_ms(worker) - cpu_ms, WAIT_MS / 3);
	client_expect_text_frame(fd, "one");
	client_expect_text_frame(fd, "two");
	client_expect_text_frame(fd, "three");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(with_shed_answered_requests_do_not_wait_long)
{
	enum { CLIENTS = 100, SHED_MS = 1500 };
	struct server *srv = handlers_start(HANDLERS(SLOW("100",
	    "queue = 16; queue_timeout = 0.3; overload = \"shed\";")),
	    ONE("slow", ""));
	struct askers askers;

	askers_open(&askers, FRAME_PORT, CLIENTS);
	askers_run(&askers, SHED_MS);
	print_askers("100 clients of 8 executors of 100 ms, a queue of 16",
	    &askers);
	ck_assert_uint_gt(askers.busy, 0);
	ck_assert_uint_gt(askers.answered, SHED_MS / SLEEP_MS * EXECUTORS / 4 /
	    slow_factor());
	/* Without shedding each would wait until all others have been answered.
	 * With it no more than the queue and the executors hold are before it. */
	ck_assert_double_lt(quantile_ms(&askers, 500),
	    0.75 * CLIENTS * SHED_MS / (double)askers.answered);
	ck_assert_uint_ge(handler_counters(srv).shed +
	    handler_counters(srv).expired, askers.busy);
	askers_close(&askers);
	server_end(srv);
}
END_TEST

START_TEST(high_priority_waits_for_none_of_many_normal_ones)
{
	struct server *srv = handlers_start(HANDLERS(SLOW("20",
	    "queue_timeout = 0;")), ONE("slow", "") ",\n"
	    LISTENER("high", "9004", "frame", "slow", "priority = \"high\";"));
	struct hold_process *normal;
	struct askers high;
	double unloaded;
	uint64_t before;

	askers_open(&high, HIGH_PORT, 1);
	askers_run(&high, 700);
	print_askers("high priority, nobody else", &high);
	unloaded = quantile_ms(&high, 500);
	askers_forget(&high);
	normal = saturate(FRAME_PORT, 400);
	await(handler_counters(srv).waiting > 300);
	before = hold_peek(normal)->answered;
	askers_run(&high, 1000);
	print_askers("high priority, 400 normal clients", &high);
	printf("%u normal ones were answered meanwhile\n",
	    (unsigned)(hold_peek(normal)->answered - before));
	/* A normal one waits for 400 others, that is a second. */
	ck_assert_uint_gt(high.answered, 5 / slow_factor());
	ck_assert_double_lt(quantile_ms(&high, 500), unloaded + 400);
	ck_assert_uint_gt(hold_peek(normal)->answered, before);
	expect_unharmed_and_drop(normal);
	askers_close(&high);
	server_end(srv);
}
END_TEST

START_TEST(the_normal_lane_moves_while_many_high_ones_wait)
{
	struct server *srv = handlers_start(HANDLERS(SLOW("20",
	    "queue_timeout = 0;")), ONE("slow", "priority = \"high\";") ",\n"
	    LISTENER("normal", "9004", "frame", "slow", ""));
	struct hold_process *high;
	struct askers normal;

	high = saturate(FRAME_PORT, 400);
	await(handler_counters(srv).waiting > 300);
	askers_open(&normal, HIGH_PORT, 4);
	askers_run(&normal, 1000);
	print_askers("4 normal clients beside 400 with high priority",
	    &normal);
	ck_assert_uint_gt(normal.answered, 0);
	expect_unharmed_and_drop(high);
	askers_close(&normal);
	server_end(srv);
}
END_TEST

RUN_TESTS("load on handlers",
    a_slow_handler_with_a_full_queue_slows_nobody_else,
    a_client_that_sends_before_its_turn_costs_no_time,
    with_shed_answered_requests_do_not_wait_long,
    high_priority_waits_for_none_of_many_normal_ones,
    the_normal_lane_moves_while_many_high_ones_wait)
