/* SPDX-License-Identifier: ISC */
/*
 * Ten thousand connections, a million messages, fifty reloads: what they take,
 * and whether it is given back.  Prints the figures.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/client.h"
#include "tests/harness.h"
#include "tests/proc.h"

struct footprint {
	uint64_t pss;		/* of master and workers, in bytes */
	uint64_t anon;		/* the same without files and shared memory */
	size_t fds;		/* of the workers */
};

static struct footprint
measure(const struct server *srv)
{
	pid_t pids[SERVER_PROCESSES_MAX];
	struct footprint sum = { .pss = 0 };
	size_t n;

	n = proc_children(srv->master, pids, SERVER_PROCESSES_MAX);
	for (size_t i = 0; i < n; i++) {
		sum.pss += proc_pss(pids[i]);
		sum.anon += proc_pss_anon(pids[i]);
		sum.fds += proc_fds(pids[i], NULL, 0);
	}
	sum.pss += proc_pss(srv->master);
	sum.anon += proc_pss_anon(srv->master);
	return (sum);
}

static void
print_footprint(const char *when, const struct footprint *now)
{
	printf("%s: PSS %" PRIu64 " KiB, of it anonymous %" PRIu64
	    " KiB, %zu descriptors\n", when, now->pss / 1024,
	    now->anon / 1024, now->fds);
}

START_TEST(ten_thousand_idle_connections_with_a_thousand_messages_a_second)
{
	enum { N = 10000, MESSAGES = 5000 };
	struct server *srv = server_start("workers = 2;",
	    FRAMES("idle_timeout = 600.0; backlog = 4096;"));
	struct hold_options options = load_on(FRAME_PORT);
	struct footprint before, held, after;
	struct hold_process *load;
	uint64_t answered;

	before = measure(srv);
	print_footprint("nobody", &before);
	options.connections = N;
	options.connecting_max = 500;
	load = hold_start(&options);
	await(hold_peek(load)->open == N);
	await(server_counters(srv).active == N);
	held = measure(srv);
	print_footprint("10,000 idle", &held);
	printf("per idle connection: PSS %" PRIu64 " bytes, of it anonymous %"
	    PRIu64 "\n", (held.pss - before.pss) / N,
	    (held.anon - before.anon) / N);
	/* A bound against accidents; the aim is 300. */
	ck_assert_uint_lt((held.pss - before.pss) / N, 1000);
	hold_set_rate(load, 1000);
	await((answered = hold_peek(load)->answered) >= MESSAGES);
	held = measure(srv);
	print_footprint("after 5,000 messages among them", &held);
	expect_unharmed(hold_stop(load));
	print_report("10,000 clients", hold_peek(load));
	ck_assert_uint_eq(hold_peek(load)->connected, N);
	hold_drop(load);
	await(server_counters(srv).active == 0);
	after = measure(srv);
	print_footprint("all gone", &after);
	ck_assert_uint_eq(after.fds, before.fds);
	/* Some room for what is kept to be used again. */
	if (!server_is_sanitized())
		ck_assert_uint_lt(after.pss, before.pss +
		    (held.pss - before.pss) / 4 + 256 * 1024);
	server_end(srv);
}
END_TEST

/* Exchange so many messages or a few more with clients that come and go, and
 * reload meanwhile. */
static struct footprint
work(struct server *srv, uint64_t messages, unsigned reloads)
{
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;
	uint64_t due;

	options.connections = 20;
	options.burst = 100;
	options.churn = 1000;
	options.rate = HOLD_FULL_SPEED;
	load = hold_start(&options);
	for (unsigned i = 1; i <= reloads; i++) {
		due = messages * i / (reloads + 1);
		await(hold_peek(load)->answered >= due);
		server_reload(srv);
	}
	await(hold_peek(load)->answered >= messages);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	await(server_children(srv) == 2);
	await(server_counters(srv).active == 0);
	return (measure(srv));
}

START_TEST(a_million_messages_and_fifty_reloads_leave_no_memory_behind)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	struct footprint early, late;

	early = work(srv, 100000, 5);
	print_footprint("after 100,000 messages and 5 reloads", &early);
	late = work(srv, 900000, 45);
	print_footprint("after 1,000,000 messages and 50 reloads", &late);
	ck_assert_uint_eq(late.fds, early.fds);
	/* 5 % of the whole, by what no other program's end or begin changes. */
	if (!server_is_sanitized())
		ck_assert_uint_le(late.anon, early.anon + early.pss / 20);
	server_end(srv);
}
END_TEST

RUN_TESTS("scale",
    ten_thousand_idle_connections_with_a_thousand_messages_a_second,
    a_million_messages_and_fifty_reloads_leave_no_memory_behind)
