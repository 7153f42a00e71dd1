/* SPDX-License-Identifier: ISC */
/*
 * Custody amid chaos: random processes are killed, workers, rescuers, anchors,
 * executors and the monitor, during reloads, upgrades and changes of the number
 * of workers, while clients verify every byte of their replies.
 *
 * After each round the counts are compared.  Nobody's stream is harmed, who is no
 * more is one that the server counts, and who was lost was in the middle of a
 * message, or its worker's anchor had been killed too.
 *
 *	PENSTOCK_TEST_SEED	other moments
 *	PENSTOCK_TEST_LONG	ten times as many rounds
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define NEXT	"tests/programs/penstock-next"

enum {
	LOADS = 4,
	CLIENTS = 75,			/* of each load */
	RATE = 200,
	WORKERS_MAX = 6,
	KILLS_MAX = 3,			/* of a round */
	PROCESSES_MAX = 128,
	/* Those who are just being answered by who is killed. */
	BUSY_MAX = 4,
	RELOAD_US = 400000,
};

static const unsigned ports[LOADS] = {
	FRAME_PORT, LINE_PORT, WEB_PORT, EXTRA_PORT
};

struct stage {
	struct server *srv;
	struct hold_process *loads[LOADS];
	unsigned seed;
	unsigned workers, wanted;
	bool is_next;
	unsigned kills;			/* of this round */
	unsigned all_kills;
	bool anchor_died;		/* in this round, or the one before */
	uint64_t closed;		/* by the server, before this load */
	uint64_t ended;			/* of these clients, so far */
	uint64_t lost_at_rest;
	uint64_t busy;
};

static unsigned
draw(struct stage *stage, unsigned below)
{
	return ((unsigned)rand_r(&stage->seed) % below);
}

/*
 * The server.
 */

static void
configure(struct stage *stage)
{
	char globals[512];

	snprintf(globals, sizeof(globals), "custody = true; workers = %u; "
	    "probation = 0.0; drain_timeout = 300.0; rebalance = 10;\n"
	    "monitor = { address = \"$A:9180\"; };\n"
	    "handlers = ( { name = \"cat\"; type = \"command\"; "
	    "processes = 1; command = [ \"/bin/cat\" ]; } );",
	    stage->wanted);
	server_configure(stage->srv, globals, FRAMES("") ", " LINES("") ", "
	    WEB("echo", "") ", "
	    LISTENER("extra", "9003", "frame", "cat", ""));
}

static size_t
count_titled(const struct stage *stage, const char *title)
{
	return (proc_titled(stage->srv->master, title, NULL, 0));
}

static bool
is_settled(const struct stage *stage)
{
	return (count_titled(stage, "penstock: rescuer ") == 0 &&
	    count_titled(stage, "penstock: worker ") == stage->workers &&
	    count_titled(stage, "penstock: anchor ") <= stage->workers &&
	    count_titled(stage, "/bin/cat") == stage->workers &&
	    count_titled(stage, "penstock: monitor") == 1);
}

static bool
is_over(struct stage *stage)
{
	return (server_log(stage->srv, "event=reload_done") != NULL ||
	    server_log(stage->srv, "event=reload_refused") != NULL ||
	    server_log(stage->srv, "event=upgrade_refused") != NULL);
}

/*
 * The load.
 */

static void
start_load(struct stage *stage)
{
	struct counters_listener counters = server_counters(stage->srv);
	struct hold_options options;

	stage->closed = counters_closed(&counters);
	stage->ended = 0;
	for (int i = 0; i < LOADS; i++) {
		options = load_on(ports[i]);
		options.connections = CLIENTS;
		options.rate = RATE;
		stage->loads[i] = hold_start(&options);
	}
	for (int i = 0; i < LOADS; i++) {
		await(hold_peek(stage->loads[i])->open == CLIENTS);
		ck_assert_uint_eq(hold_verify(stage->loads[i])->verified,
		    CLIENTS);
	}
}

static void
stop_load(struct stage *stage)
{
	for (int i = 0; i < LOADS; i++) {
		(void)hold_stop(stage->loads[i]);
		hold_drop(stage->loads[i]);
	}
	await(server_counters(stage->srv).active == 0);
}

/* Every stream is whole.  Returns how many clients are no more. */
static uint64_t
verify_load(struct stage *stage)
{
	const struct hold_report *report;
	uint64_t ended = 0, rounds;

	for (int i = 0; i < LOADS; i++) {
		rounds = hold_peek(stage->loads[i])->rounds;
		report = hold_verify(stage->loads[i]);
		ck_assert_uint_eq(report->rounds, rounds + 1);
		ck_assert_uint_eq(report->verified, report->open);
		ck_assert_uint_eq(report->corrupted + report->doubled +
		    report->reordered + report->unframed + report->hung +
		    report->refused, 0);
		/* Only what was with a command can fail. */
		if (ports[i] != EXTRA_PORT)
			ck_assert_uint_eq(report->errors, 0);
		ended += report->disconnected + report->reset +
		    report->broken;
	}
	return (ended);
}

/*
 * A round.
 */

static void
order(struct stage *stage)
{
	struct server *srv = stage->srv;

	server_mark(srv);
	switch (draw(stage, 4)) {
	case 0:
		server_signal(srv, SIGHUP);
		break;
	case 1:
		server_install(srv, stage->is_next ? "penstock" : NEXT);
		stage->is_next = !stage->is_next;
		server_signal(srv, SIGUSR2);
		break;
	case 2:
		stage->wanted = 1 + draw(stage, WORKERS_MAX);
		configure(stage);
		server_signal(srv, SIGHUP);
		break;
	default:
		stage->wanted = stage->workers > 1 ? 1 : WORKERS_MAX;
		configure(stage);
		server_signal(srv, SIGHUP);
		break;
	}
}

/* Not the master, nor its logger: without them nothing is told. */
static pid_t
find_victim(struct stage *stage)
{
	static const char *const titles[] = {
		"penstock: worker", "penstock: rescuer", "penstock: anchor",
		"penstock: monitor", "/bin/cat"
	};
	pid_t found[PROCESSES_MAX];
	bool serves = draw(stage, 4) > 0;
	unsigned n = 0;

	for (unsigned i = serves ? 0 : 2; i < (serves ? 2 : 5); i++) {
		n += (unsigned)proc_titled(stage->srv->master, titles[i],
		    found + n, PROCESSES_MAX - n);
		if (n > PROCESSES_MAX)
			n = PROCESSES_MAX;
	}
	return (n > 0 ? found[draw(stage, n)] : 0);
}

static void
strike(struct stage *stage)
{
	pid_t pid;

	stage->kills = 1 + draw(stage, KILLS_MAX);
	for (unsigned i = 0; i < stage->kills; i++) {
		pause_us(draw(stage, RELOAD_US / stage->kills));
		if ((pid = find_victim(stage)) != 0)
			ck_assert(kill(pid, SIGKILL) == 0 || errno == ESRCH);
	}
	stage->all_kills += stage->kills;
}

static void
add_lost(const char *line, void *arg)
{
	uint64_t *lost = arg;

	if (log_has(line, "conns_lost"))
		*lost += log_number(line, "conns_lost");
}

static void
settle_accounts(struct stage *stage)
{
	struct server *srv = stage->srv;
	uint64_t ended = verify_load(stage), told = 0, lost = 0, died = 0;
	struct counters_listener counters;

	await(server_counters(srv).active == LOADS * CLIENTS - ended);
	counters = server_counters(srv);
	ck_assert(observe_adds_up(&srv->counters));
	ck_assert_uint_eq(counters_closed(&counters) - stage->closed, ended);
	told = server_count(srv, "event=conn_lost");
	server_each(srv, "event=worker_died", add_lost, &died);
	server_each(srv, "event=custody_ended", add_lost, &lost);
	stage->anchor_died |= server_log(srv, "event=custody_ended") != NULL;
	ck_assert_uint_eq(server_count(srv, "event=conn_lost reason=busy"),
	    told);
	ck_assert_uint_le(told, stage->kills * BUSY_MAX);
	if (!stage->anchor_died)
		ck_assert_uint_eq(ended - stage->ended, told);
	stage->busy += told;
	stage->lost_at_rest += ended - stage->ended - told;
	stage->ended = ended;
}

static void
play(struct stage *stage)
{
	order(stage);
	strike(stage);
	await(is_over(stage));
	if (server_log(stage->srv, "event=reload_done") != NULL)
		stage->workers = stage->wanted;
	await(is_settled(stage));
	settle_accounts(stage);
	/* Each worker has an anchor again. */
	stage->anchor_died = count_titled(stage, "penstock: anchor ") <
	    stage->workers;
	if (stage->ended > LOADS * CLIENTS / 3) {
		stop_load(stage);
		start_load(stage);
	}
}

START_TEST(killed_processes_cost_nobody_who_is_at_rest)
{
	struct stage stage = {
		.srv = server_new(),
		.seed = test_seed(1),
		.workers = 2,
		.wanted = 2,
	};
	unsigned n = rounds(20, 200);

	stage.srv->expects_deaths = true;
	configure(&stage);
	server_install(stage.srv, "penstock");
	server_launch(stage.srv);
	server_await_ready(stage.srv);
	await(is_settled(&stage));
	start_load(&stage);
	for (unsigned i = 0; i < n; i++)
		play(&stage);
	printf("%u rounds, %u kills: %" PRIu64 " lost amid a message, %"
	    PRIu64 " with an anchor\n", n, stage.all_kills, stage.busy,
	    stage.lost_at_rest);
	stop_load(&stage);
	server_end(stage.srv);
}
END_TEST

RUN_TESTS("custody_chaos",
    killed_processes_cost_nobody_who_is_at_rest)
