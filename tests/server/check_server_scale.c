/* SPDX-License-Identifier: ISC */
/*
 * Ten thousand connections, a million messages, fifty reloads: what they take,
 * and whether it is given back.  Prints the figures.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

struct footprint {
	uint64_t pss;		/* of master and workers, in bytes */
	uint64_t anon;		/* of it what malloc(3) and stacks take */
	uint64_t shared;	/* and the counters; the rest are files */
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
		sum.shared += proc_pss_shared(pids[i]);
		sum.fds += proc_fds(pids[i], NULL, 0);
	}
	sum.pss += proc_pss(srv->master);
	sum.anon += proc_pss_anon(srv->master);
	sum.shared += proc_pss_shared(srv->master);
	return (sum);
}

/* Files are shared with whatever else runs, and so left out. */
static uint64_t
own(const struct footprint *now)
{
	return (now->anon + now->shared);
}

static void
print_footprint(const char *when, const struct footprint *now)
{
	printf("%s: PSS %" PRIu64 " KiB (anonymous %" PRIu64
	    ", counters %" PRIu64 ", files %" PRIu64 "), %zu descriptors\n",
	    when, now->pss / 1024, now->anon / 1024, now->shared / 1024,
	    (now->pss - now->anon - now->shared) / 1024, now->fds);
}

START_TEST(ten_thousand_idle_connections_cost_little_memory_and_time)
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
	printf("per idle connection: PSS %" PRIu64 " bytes, anonymous %" PRIu64
	    ", counters %" PRIu64 "\n", (held.pss - before.pss) / N,
	    (held.anon - before.anon) / N, (held.shared - before.shared) / N);
	/* A bound against accidents; the aim is 300. */
	ck_assert_uint_lt(own(&held) - own(&before), 1000 * N);
	hold_set_rate(load, 1000);
	await((answered = hold_peek(load)->answered) >= MESSAGES);
	held = measure(srv);
	print_footprint("after 5,000 messages among them", &held);
	expect_unharmed(hold_stop(load));
	print_report("10,000 clients", hold_peek(load));
	ck_assert_uint_eq(hold_peek(load)->connected, N);
	hold_drop(load);
	await(server_counters(srv).active == 0);
	await((after = measure(srv)).fds <= before.fds);
	print_footprint("all gone", &after);
	/* Some room for what is kept to be used again; custody keeps all of its
	 * 32 bytes each. */
	if (!server_is_sanitized())
		ck_assert_uint_lt(own(&after), own(&before) + 32 * N +
		    (own(&held) - own(&before)) / 4 + 256 * 1024);
	server_end(srv);
}
END_TEST

/* Have as many generations at a time as there can be, so that what is laid out
 * for them is in use from then on. */
static void
live_in_all_generations(struct server *srv)
{
	int fds[COUNTERS_BLOCKS];

	for (int i = 0; i < COUNTERS_BLOCKS; i++) {
		if (i > 0)
			server_reload(srv);
		fds[i] = client_connect(FRAME_PORT);
		client_echo(fds[i], "hello");
	}
	for (int i = 0; i < COUNTERS_BLOCKS; i++)
		close(fds[i]);
	await(server_children(srv) == 2);
}

/* Reload so many times among clients that come and go, then let the last of
 * the workers exchange so many messages, or a few more. */
static struct footprint
work(struct server *srv, unsigned reloads, uint64_t messages)
{
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;
	uint64_t due;

	options.connections = 20;
	options.burst = 100;
	options.churn = 1000;
	options.rate = HOLD_FULL_SPEED;
	load = hold_start(&options);
	for (unsigned i = 0; i < reloads; i++) {
		due = hold_peek(load)->answered + 5000;
		await(hold_peek(load)->answered >= due);
		server_reload(srv);
	}
	due = hold_peek(load)->answered + messages;
	await(hold_peek(load)->answered >= due);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	await(server_children(srv) == 2);
	await(server_counters(srv).active == 0);
	return (measure(srv));
}

START_TEST(a_million_messages_and_fifty_reloads_leave_no_memory_behind)
{
	/* What malloc(3) has at hand varies by that from time to time. */
	enum { VARIES = 256 * 1024 };
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	struct footprint early, late;
	uint64_t most;

	live_in_all_generations(srv);
	early = work(srv, 2, 100000);
	print_footprint("after 100,000 messages and 5 reloads", &early);
	late = work(srv, 45, 900000);
	print_footprint("after 1,000,000 messages and 50 reloads", &late);
	await(measure(srv).fds <= early.fds);
	most = own(&early) + own(&early) / 20 + VARIES;
	if (!server_is_sanitized())
		ck_assert_uint_le(own(&late), most);
	server_end(srv);
}
END_TEST

RUN_TESTS("scale",
    ten_thousand_idle_connections_cost_little_memory_and_time,
    a_million_messages_and_fifty_reloads_leave_no_memory_behind)
