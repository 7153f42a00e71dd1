/* SPDX-License-Identifier: ISC */
/*
 * Processes killed amid reloads and upgrades, at random moments: the new
 * worker, the old one, an executor, the check run, the master.  Only the
 * clients of a killed worker notice, and nothing is left behind.
 *
 * PENSTOCK_TEST_SEED chooses other moments.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define TWO	"workers = 2; probation = 0.0; drain_timeout = 300.0;\n"
#define CAT								\
	"handlers = ( { name = \"cat\"; type = \"command\"; processes = 2; " \
	"command = [ \"/bin/cat\" ]; } );"
#define CATS	LISTENER("cats", "9003", "frame", "cat", "")

enum {
	WORKERS = 2,
	CHILDREN = 2 * WORKERS,		/* an executor each */
	ECHOES = 200,
	CLIENTS_OF_CATS = 20,
	CHILDREN_MAX = 32,
	/* The moments of a reload lie within so long. */
	RELOAD_US = 25000,
};

enum victim { NEW_WORKER, OLD_WORKER, EXECUTOR, CHECK_RUN, VICTIMS };

static const char *const victim_names[] = {
	"new workers", "old workers", "executors", "check runs"
};

struct stage {
	struct server *srv;
	struct hold_process *echoes, *cats;
	unsigned seed;
	uint64_t generation;		/* the highest that there was */
	bool is_next;			/* the program is */
	size_t master_fds, worker_fds;	/* with all connected */
	unsigned killed[VICTIMS];
	uint64_t ended;			/* connections, so far */
	uint64_t lost;			/* as the server counts them */
};

static unsigned
draw(struct stage *stage, unsigned below)
{
	return ((unsigned)rand_r(&stage->seed) % below);
}

/*
 * Who is there.
 */

static bool
is_of_kind(const struct stage *stage, pid_t pid, enum victim kind)
{
	const char *gen;
	char title[512];
	bool is_new;

	proc_title(pid, title, sizeof(title));
	gen = strstr(title, " gen=");
	if (strncmp(title, "penstock: worker ", 17) == 0 && gen != NULL) {
		is_new = strtoull(gen + 5, NULL, 10) > stage->generation;
		return (kind == (is_new ? NEW_WORKER : OLD_WORKER));
	}
	if (strcmp(title, "/bin/cat") == 0)
		return (kind == EXECUTOR);
	return (kind == CHECK_RUN && strstr(title, " -t") != NULL);
}

/* One of a kind by chance; 0 if there is none. */
static pid_t
find(struct stage *stage, enum victim kind)
{
	pid_t pids[CHILDREN_MAX], found[CHILDREN_MAX];
	unsigned n = 0;
	size_t all;

	all = proc_glimpse_children(stage->srv->master, pids, CHILDREN_MAX);
	for (size_t i = 0; i < all && i < CHILDREN_MAX; i++)
		if (is_of_kind(stage, pids[i], kind))
			found[n++] = pids[i];
	return (n > 0 ? found[draw(stage, n)] : 0);
}

static size_t
fds_of_workers(const struct stage *stage)
{
	pid_t pids[CHILDREN_MAX];
	char title[256];
	size_t n, sum = 0;

	n = proc_children(stage->srv->master, pids, CHILDREN_MAX);
	for (size_t i = 0; i < n && i < CHILDREN_MAX; i++) {
		proc_title(pids[i], title, sizeof(title));
		if (strncmp(title, "penstock: worker ", 17) == 0)
			sum += proc_fds(pids[i], NULL, 0);
	}
	return (sum);
}

/*
 * A round.
 */

static bool
is_over(struct stage *stage)
{
	return (server_log(stage->srv, "event=reload_done") != NULL ||
	    server_log(stage->srv, "event=reload_refused") != NULL ||
	    server_log(stage->srv, "event=upgrade_refused") != NULL);
}

static void
order(struct stage *stage, bool upgrade)
{
	server_mark(stage->srv);
	if (upgrade) {
		server_install(stage->srv, stage->is_next ? "penstock" :
		    "tests/programs/penstock-next");
		stage->is_next = !stage->is_next;
	}
	server_signal(stage->srv, upgrade ? SIGUSR2 : SIGHUP);
}

/* Kill one of a kind at some moment while it is there. */
static void
strike(struct stage *stage, enum victim kind)
{
	pid_t pid;

	while ((pid = find(stage, kind)) == 0 && !is_over(stage))
		pause_us(50);
	/* A check run is over in no time. */
	if (kind != CHECK_RUN) {
		pause_us(draw(stage, RELOAD_US));
		/* Another one by now, perhaps, or none any more. */
		pid = find(stage, kind);
	}
	if (pid == 0)
		return;
	ck_assert(kill(pid, SIGKILL) == 0 || errno == ESRCH);
	stage->killed[kind]++;
}

/* What it is when all connections are accepted, and all that was to be closed is:
 * nothing tells when, so that it has to stay so for a while. */
static size_t
settled_fds_of_workers(const struct stage *stage)
{
	size_t fds = fds_of_workers(stage), now;

	for (unsigned same = 0; same < 50; same++) {
		pause_us(20000);
		if ((now = fds_of_workers(stage)) != fds)
			same = 0;
		fds = now;
	}
	return (fds);
}

/* All is as it was: the numbers of processes and descriptors, and those who
 * were disconnected have come back. */
static void
await_order(struct stage *stage)
{
	struct server *srv = stage->srv;

	await(server_children(srv) == CHILDREN);
	/* With the master and the logger. */
	await(proc_in_directory(srv->dir, NULL, 0) == CHILDREN + 2);
	await(hold_peek(stage->echoes)->open == ECHOES);
	await(hold_peek(stage->cats)->open == CLIENTS_OF_CATS);
	if (stage->master_fds == 0) {
		stage->master_fds = proc_fds(srv->master, NULL, 0);
		stage->worker_fds = settled_fds_of_workers(stage);
	}
	await(proc_fds(srv->master, NULL, 0) == stage->master_fds);
	await(fds_of_workers(stage) == stage->worker_fds);
	srv->log_mark = 0;
	stage->generation = log_number(server_log_last(srv,
	    "event=worker_ready"), "child_gen");
}

static uint64_t
ended(const struct hold_report *report)
{
	ck_assert_uint_eq(report->corrupted, 0);
	ck_assert_uint_eq(report->doubled, 0);
	ck_assert_uint_eq(report->reordered, 0);
	ck_assert_uint_eq(report->unframed, 0);
	ck_assert_uint_eq(report->hung, 0);
	ck_assert_uint_eq(report->refused, 0);
	return (report->disconnected + report->reset + report->broken);
}

/* Only the clients of killed workers are gone, and the server has counted each,
 * except one that was just being accepted. */
static void
expect_losses_as_told(struct stage *stage, unsigned accepting)
{
	uint64_t ends, lost = server_closed(stage->srv, CLOSE_LOST);

	/* A client may have to hear of it yet. */
	await((ends = ended(hold_peek(stage->echoes)) +
	    ended(hold_peek(stage->cats))) - stage->ended >=
	    lost - stage->lost);
	ck_assert_uint_le(ends - stage->ended, lost - stage->lost + accepting);
	stage->ended = ends;
	stage->lost = lost;
}

static void
play(struct stage *stage)
{
	bool upgrade = draw(stage, 2) == 0;
	enum victim kind = draw(stage, upgrade ? VICTIMS : CHECK_RUN);
	unsigned before = stage->killed[kind];

	order(stage, upgrade);
	strike(stage, kind);
	await(is_over(stage));
	await_order(stage);
	expect_losses_as_told(stage, kind == NEW_WORKER || kind == OLD_WORKER ?
	    stage->killed[kind] - before : 0);
}

static struct hold_process *
start_load(unsigned port, unsigned connections, double rate)
{
	struct hold_options options = load_on(port);
	struct hold_process *load;

	options.connections = connections;
	options.rate = rate;
	options.reconnect = true;
	ck_assert_ptr_nonnull(load = hold_start(&options));
	await(hold_peek(load)->open == connections);
	return (load);
}

static struct server *
start(void)
{
	struct server *srv = server_new();

	srv->expects_deaths = true;
	server_configure(srv, TWO CAT, FRAMES("") ", " CATS);
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

static void
end_load(const char *title, struct hold_process *load)
{
	print_report(title, hold_stop(load));
	(void)ended(hold_peek(load));
	hold_drop(load);
}

START_TEST(killed_processes_cost_only_their_own_connections)
{
	struct stage stage = { .srv = start(), .seed = test_seed(1) };
	unsigned n = rounds(16, 200);

	stage.echoes = start_load(FRAME_PORT, ECHOES, 500);
	stage.cats = start_load(EXTRA_PORT, CLIENTS_OF_CATS, 200);
	/* As it is after each without a kill. */
	order(&stage, true);
	server_expect(stage.srv, "event=reload_done kind=upgrade");
	await(server_children(stage.srv) == CHILDREN);
	order(&stage, false);
	server_expect(stage.srv, "event=reload_done kind=reload");
	await_order(&stage);
	expect_losses_as_told(&stage, 0);
	ck_assert_uint_eq(stage.ended, 0);
	for (unsigned i = 0; i < n; i++)
		play(&stage);
	printf("%u rounds:", n);
	for (int i = 0; i < VICTIMS; i++)
		printf(" %u %s%s", stage.killed[i], victim_names[i],
		    i < VICTIMS - 1 ? "," : " killed\n");
	hold_set_rate(stage.cats, 0);
	expect_losses_as_told(&stage, 0);
	end_load("echoes", stage.echoes);
	end_load("cats", stage.cats);
	server_end(stage.srv);
}
END_TEST

/* The workers serve whom they have, and the next master binds beside them. */
static void
kill_the_master(unsigned *seed, unsigned most_us)
{
	struct server *srv = start();
	struct hold_process *echoes = start_load(FRAME_PORT, ECHOES, 500);
	struct hold_process *cats = start_load(EXTRA_PORT, CLIENTS_OF_CATS, 50);
	int fd;

	if (most_us > 0) {
		server_signal(srv, SIGHUP);
		pause_us((unsigned)rand_r(seed) % most_us);
	}
	server_signal(srv, SIGKILL);
	server_await_exit(srv, 128 + SIGKILL);
	/* Its workers have noticed. */
	await(client_is_refused(FRAME_PORT));
	await(client_is_refused(EXTRA_PORT));
	server_mark(srv);
	server_launch(srv);
	server_await_ready(srv);
	expect_unharmed(hold_verify(echoes));
	expect_unharmed(hold_verify(cats));
	ck_assert_uint_eq(hold_peek(echoes)->verified, ECHOES);
	ck_assert_uint_eq(hold_peek(cats)->verified, CLIENTS_OF_CATS);
	/* New connections come only to the workers of the new one. */
	for (int i = 0; i < 20; i++) {
		fd = client_connect(FRAME_PORT);
		client_echo(fd, "newcomer");
		close(fd);
	}
	await(server_counters(srv).accepted == 20);
	expect_unharmed(hold_stop(echoes));
	expect_unharmed(hold_stop(cats));
	hold_drop(echoes);
	hold_drop(cats);
	/* Who has nobody left to serve goes, long before drain_timeout: what
	 * stays is the children, the master and the logger. */
	await(proc_in_directory(srv->dir, NULL, 0) == CHILDREN + 2);
	server_end(srv);
}

START_TEST(workers_whose_master_is_killed_serve_on)
{
	unsigned seed = test_seed(1);

	kill_the_master(&seed, 0);
}
END_TEST

START_TEST(a_master_killed_amid_a_reload_costs_nobody)
{
	unsigned seed = test_seed(1);

	for (unsigned i = 0; i < rounds(6, 100); i++)
		kill_the_master(&seed, RELOAD_US);
}
END_TEST

START_TEST(without_a_master_the_drain_comes_to_its_end)
{
	struct server *srv = server_start("workers = 2; drain_timeout = 4.0;",
	    FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "before");
	server_signal(srv, SIGKILL);
	server_await_exit(srv, 128 + SIGKILL);
	await(client_is_refused(FRAME_PORT));
	client_echo(fd, "after");
	ck_assert_int_eq(client_read_to_end(fd), CLIENT_EOF);
	close(fd);
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	server_end(srv);
}
END_TEST

/* A descriptor that was passed on and closed can go on to wake the epoll set
 * that it was in. */
START_TEST(an_old_worker_spends_nothing_on_those_it_gave_away)
{
	enum { MESSAGES = 2000 };
	struct server *srv = handlers_start("workers = 1; "
	    "drain_timeout = 300.0;\nhandlers = ( "
	    MODULE("long", "", "") " );",
	    FRAMES("") ", " LISTENER("long", "9003", "frame", "long", ""));
	struct hold_process *load;
	int fd = client_connect(EXTRA_PORT);
	pid_t old = server_worker(srv, 0);
	uint64_t cpu_ms, answered;

	/* What keeps it there. */
	client_send_text_frame(fd, "hold x");
	await(server_counters(srv).messages_in == 1);
	load = start_load(FRAME_PORT, ECHOES, 2000);
	server_reload(srv);
	cpu_ms = proc_cpu_ms(old);
	answered = hold_peek(load)->answered;
	await(hold_peek(load)->answered > answered + MESSAGES);
	cpu_ms = proc_cpu_ms(old) - cpu_ms;
	ck_assert_msg(!proc_is_dead(old), "it was gone before");
	printf("%" PRIu64 " ms of CPU while others served %d messages\n",
	    cpu_ms, MESSAGES);
	ck_assert_uint_le(cpu_ms, 20);
	handlers_release(srv);
	client_expect_text_frame(fd, "hold x");
	close(fd);
	await(proc_is_dead(old));
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
}
END_TEST

RUN_TESTS("kills",
    killed_processes_cost_only_their_own_connections,
    workers_whose_master_is_killed_serve_on,
    a_master_killed_amid_a_reload_costs_nobody,
    without_a_master_the_drain_comes_to_its_end,
    an_old_worker_spends_nothing_on_those_it_gave_away)
