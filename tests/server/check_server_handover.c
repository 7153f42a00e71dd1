/* SPDX-License-Identifier: ISC */
/*
 * No client notices: reloads, upgrades, other numbers of workers, workers that
 * are killed amid all that, and links between workers that fail.
 */
#include <sys/resource.h>

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

#define LONG	"idle_timeout = 600.0; read_timeout = 600.0; "		\
		"write_timeout = 600.0;"
#define ALL_KINDS							\
	FRAMES(LONG) ",\n" LINES(LONG) ",\n" WEB("echo", LONG) ",\n"	\
	SLOW_FRAMES(LONG) ",\n" SLOW_LINES(LONG) ",\n" SLOW_WEB(LONG)

/* How many of each kind, of each protocol: 10,000 in all where there is
 * time. */
struct mix {
	unsigned echo, split, pipeline, slow, deaf, stream;
	double rate;
};

static const struct mix few = { 1000, 50, 20, 20, 5, 10, 500 };
static const struct mix many = { 3010, 150, 70, 70, 20, 20, 700 };

/* What reloads and upgrades took, as the server tells. */
struct times {
	unsigned n;
	uint64_t sum_ms, most_ms;
	uint64_t longest_us;		/* one without an owner */
};

/*
 * Set-up.
 */

static void
configure(struct server *srv, unsigned workers, const char *more)
{
	char globals[1024];

	snprintf(globals, sizeof(globals),
	    "workers = %u;\ndrain_timeout = 300.0;\nmax_connections = 100000;\n"
	    "%s\nhandlers = ( " SLOW_HANDLER " );", workers, more);
	handlers_configure(srv, globals, ALL_KINDS);
}

static struct server *
start(unsigned workers, const char *more)
{
	struct server *srv = handlers_new();

	configure(srv, workers, more);
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

static unsigned
clients_of(const struct mix *mix)
{
	return (mix->echo + mix->split + mix->pipeline + mix->slow +
	    mix->deaf + mix->stream);
}

static struct hold_process *
start_load(unsigned port, const struct mix *mix)
{
	struct hold_options options = load_on(port);
	struct hold_process *load;

	options.connections = mix->echo;
	options.split = mix->split;
	options.pipeline = mix->pipeline;
	options.slow = mix->slow;
	options.deaf = mix->deaf;
	options.stream = mix->stream;
	options.rate = mix->rate;
	ck_assert_ptr_nonnull(load = hold_start(&options));
	await(hold_peek(load)->open == clients_of(mix));
	hold_remeasure(load);
	return (load);
}

/* All protocols at once. */
struct loads {
	unsigned clients;		/* of each */
	struct hold_process *frames, *lines, *web;
};

static struct loads
start_loads(const struct mix *mix)
{
	return ((struct loads){ clients_of(mix), start_load(FRAME_PORT, mix),
	    start_load(LINE_PORT, mix), start_load(WEB_PORT, mix) });
}

static void
flush(const struct loads *loads)
{
	hold_order_flush(loads->frames);
	hold_order_flush(loads->lines);
	hold_order_flush(loads->web);
}

static void
stop(const char *title, struct hold_process *load, unsigned clients)
{
	const struct hold_report *report;

	expect_unharmed(hold_verify(load));
	ck_assert_uint_eq(hold_peek(load)->verified, clients);
	report = hold_stop(load);
	printf("%s: ", title);
	load_report_print(report, stdout);
	expect_unharmed(report);
	ck_assert_uint_eq(report->finished, clients);
	hold_drop(load);
}

static void
stop_all(const char *title, const struct loads *loads)
{
	stop(title, loads->frames, loads->clients);
	stop(title, loads->lines, loads->clients);
	stop(title, loads->web, loads->clients);
}

/* It is done, and the report tells of no loss. */
static void
expect_all_carried(struct server *srv, const char *kind, struct times *times)
{
	const char *line;
	char words[64];
	uint64_t ms;

	snprintf(words, sizeof(words), "event=reload_done kind=%s", kind);
	ms = log_number(server_expect(srv, words), "duration_ms");
	line = server_expect(srv, "event=reload_report");
	ck_assert_uint_eq(log_number(line, "lost"), 0);
	ck_assert_uint_eq(log_number(line, "cut"), 0);
	ck_assert_uint_eq(log_number(line, "finished"), 0);
	ck_assert_uint_eq(log_number(line, "closed"), 0);
	ck_assert_uint_eq(log_number(line, "held"),
	    log_number(line, "carried"));
	times->n++;
	times->sum_ms += ms;
	if (ms > times->most_ms)
		times->most_ms = ms;
	if (log_number(line, "longest_us") > times->longest_us)
		times->longest_us = log_number(line, "longest_us");
}

static void
reload_timed(struct server *srv, struct times *times)
{
	server_mark(srv);
	server_signal(srv, SIGHUP);
	expect_all_carried(srv, "reload", times);
}

static void
reload(struct server *srv)
{
	struct times times = { .n = 0 };

	reload_timed(srv, &times);
}

static void
upgrade_to(struct server *srv, const char *program, struct times *times)
{
	server_install(srv, program);
	server_mark(srv);
	server_signal(srv, SIGUSR2);
	expect_all_carried(srv, "upgrade", times);
}

static void
print_times(const char *what, const struct times *times)
{
	printf("%u %s: %" PRIu64 " ms each, at most %" PRIu64 " ms; nobody "
	    "without an owner for more than %.1f ms\n", times->n, what,
	    times->sum_ms / (times->n > 0 ? times->n : 1), times->most_ms,
	    (double)times->longest_us / 1e3);
}

/*
 * Whatever the operator orders.
 */

START_TEST(reloads_upgrades_and_other_numbers_of_workers_harm_nobody)
{
	static const unsigned workers[] = { 2, 6, 1, 2, 3, 5, 4 };
	unsigned reloads = rounds(8, 50), upgrades = rounds(8, 20), done = 0;
	struct times times = { .n = 0 }, upgrade_times = { .n = 0 };
	struct server *srv = start(2, "");
	struct loads loads = start_loads(rounds(0, 1) == 1 ? &many : &few);

	for (unsigned i = 1; i <= reloads; i++) {
		configure(srv, workers[i / 2 % 7], "");
		reload_timed(srv, &times);
		flush(&loads);
		for (; done < upgrades * i / reloads; done++)
			upgrade_to(srv, done % 2 == 0 ?
			    "tests/programs/penstock-next" : "penstock", &upgrade_times);
		await(hold_peek(loads.frames)->kind[HOLD_SLOW].answered > 0);
	}
	print_times("reloads", &times);
	print_times("upgrades", &upgrade_times);
	stop_all("reloads, upgrades, workers 1 to 6", &loads);
	server_end(srv);
}
END_TEST

static void
expect_numbered_line(int fd, unsigned number)
{
	char text[32];

	snprintf(text, sizeof(text), "line %u\n", number);
	client_expect_text(fd, text);
}

static void
send_numbered_line(int fd, unsigned number)
{
	char text[32];

	client_send(fd, text, (size_t)snprintf(text, sizeof(text), "line %u\n",
	    number));
}

/* There is always a request of it that runs, and one that comes. */
START_TEST(a_client_that_always_has_more_to_say_is_carried)
{
	enum { AHEAD = 3 };
	struct server *srv = handlers_start("workers = 1; "
	    "drain_timeout = 300.0;\nhandlers = ( { name = \"slow\"; "
	    "type = \"command\"; " MISBEHAVE("\"--ready\", \"sleep\", \"5\"")
	    " ready = true; " UNHURRIED "processes = 4; } );",
	    ONE_LINE("slow", ""));
	int fd = client_connect(LINE_PORT);
	unsigned sent = 0, got = 0;

	while (sent < AHEAD)
		send_numbered_line(fd, sent++);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	while (server_log(srv, "event=reload_report") == NULL) {
		expect_numbered_line(fd, got++);
		send_numbered_line(fd, sent++);
		ck_assert_msg(got < 20000, "it is never carried");
	}
	ck_assert_uint_eq(log_number(srv->line, "carried"), 1);
	ck_assert_uint_gt(log_number(srv->line, "longest_us"), 0);
	while (got < sent)
		expect_numbered_line(fd, got++);
	close(fd);
	server_end(srv);
}
END_TEST

/* Those on their way are counted, or others would take their places. */
START_TEST(limits_hold_while_connections_change_hands)
{
	/* Each worker may exceed it by one. */
	enum { LIMIT = 32, MOST = LIMIT + 2, WAITERS = 3 * LIMIT, RELOADS = 10 };
	struct server *srv = server_start("workers = 2;",
	    FRAMES("max_connections = 32; on_limit = \"wait\";"));
	int fds[WAITERS];

	for (int i = 0; i < WAITERS; i++)
		fds[i] = client_connect(FRAME_PORT);
	await(server_counters(srv).active >= LIMIT);
	for (int i = 0; i < RELOADS; i++)
		reload(srv);
	await(server_counters(srv).active >= LIMIT &&
	    server_counters(srv).active == server_counters(srv).accepted);
	ck_assert_uint_le(server_counters(srv).accepted, MOST);
	for (int i = 0; i < WAITERS; i++)
		close(fds[i]);
	server_end(srv);
}
END_TEST

/* The last connection may end by itself while a link stands. */
START_TEST(a_worker_says_once_that_it_has_drained)
{
	struct server *srv = server_start("workers = 1; drain_timeout = 300.0;",
	    FRAMES("") ",\n" LINES(""));
	int fd = client_connect(LINE_PORT);

	client_echo_line(fd, "hello");
	server_configure(srv, "workers = 1; drain_timeout = 300.0;",
	    FRAMES(""));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=worker_drain ");
	client_echo_line(fd, "still there");
	close(fd);
	server_expect(srv, "event=reload_report");
	await(server_children(srv) == 1);
	/* The log of a worker can come after that of the master. */
	server_expect(srv, "event=worker_drained");
	ck_assert_uint_eq(server_count(srv, "event=worker_drained"), 1);
	server_end(srv);
}
END_TEST

/* Ids, counts and the time of the connect go along. */
START_TEST(a_connection_stays_the_same_one)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	int fd = client_connect(FRAME_PORT);
	uint64_t id, bytes;
	char words[128];

	client_echo(fd, "one");
	id = log_number(server_expect(srv, "event=conn_open"), "conn");
	server_reload(srv);
	client_echo(fd, "two");
	server_reload(srv);
	client_echo(fd, "three");
	bytes = 3 * 4 + strlen("onetwothree");
	close(fd);
	snprintf(words, sizeof(words), "event=conn_close conn=%ju messages=3 "
	    "bytes_in=%ju bytes_out=%ju gen=3", (uintmax_t)id,
	    (uintmax_t)bytes, (uintmax_t)bytes);
	server_expect(srv, words);
	ck_assert_uint_eq(server_counters(srv).accepted, 1);
	ck_assert_uint_eq(server_counters(srv).carried_in, 2);
	ck_assert_uint_eq(server_counters(srv).carried_out, 2);
	ck_assert_uint_eq(server_counters(srv).messages_in, 3);
	server_end(srv);
}
END_TEST

START_TEST(a_timeout_goes_on_over_reloads)
{
	struct server *srv = server_start("workers = 1;",
	    FRAMES("idle_timeout = 2.0;"));
	int fd = client_connect(FRAME_PORT);
	uint64_t since = clock_ms();

	/* Each would begin it anew.  Between them there is time to look at the
	 * clock.  The timeout may also end during a reload. */
	do {
		ck_assert_uint_lt(clock_ms() - since, patience_ms());
		server_reload(srv);
		holds_for(300, server_children(srv) > 0);
	} while (server_log(srv, "event=conn_close reason=idle") == NULL);
	ck_assert_uint_ge(log_number(srv->line, "duration_ms"), 1900);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_listener_that_speaks_another_protocol_now_is_drained)
{
	struct server *srv = server_start("workers = 1;\n"
	    "drain_timeout = 4.0;", FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "frames");
	server_configure(srv, "workers = 1;\ndrain_timeout = 4.0;",
	    LISTENER("frames", "9000", "line", "echo", ""));
	server_reload(srv);
	client_echo(fd, "still frames");
	ck_assert_int_eq(client_read_to_end(fd), CLIENT_EOF);
	close(fd);
	fd = client_connect(FRAME_PORT);
	client_echo_line(fd, "lines");
	close(fd);
	server_end(srv);
}
END_TEST

/* Reloads as fast as they complete: one old generation at a time, and nothing
 * is left behind. */
START_TEST(many_reloads_leave_nothing_behind)
{
	const unsigned reloads = rounds(40, 200), idle = rounds(300, 1000);
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;
	size_t master_fds = 0, worker_fds = 0;

	options.connections = idle;
	load = hold_start(&options);
	await(hold_peek(load)->open == idle);
	for (unsigned i = 0; i < reloads; i++) {
		server_mark(srv);
		server_signal(srv, SIGHUP);
		while (server_log(srv, "event=reload_done") == NULL) {
			ck_assert_uint_le(server_children(srv), 4);
			await_pause();
		}
		ck_assert_uint_le(server_children(srv), 4);
		await(server_children(srv) == 2);
		if (i == 1) {
			master_fds = proc_fds(srv->master, NULL, 0);
			worker_fds = proc_fds(server_worker(srv, 0), NULL, 0) +
			    proc_fds(server_worker(srv, 1), NULL, 0);
		}
	}
	/* A link may have been counted that was about to be closed. */
	await(proc_fds(srv->master, NULL, 0) <= master_fds);
	await(proc_fds(server_worker(srv, 0), NULL, 0) +
	    proc_fds(server_worker(srv, 1), NULL, 0) <= worker_fds);
	expect_unharmed(hold_verify(load));
	ck_assert_uint_eq(hold_peek(load)->verified, idle);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
}
END_TEST

/*
 * Evening out.
 */

/* The connections of each worker, as the shared mappings tell. */
static uint64_t
most_in_a_slot(struct server *srv, unsigned slots)
{
	uint64_t most = 0, here;

	(void)server_counters(srv);
	for (unsigned i = 0; i < slots; i++) {
		here = 0;
		for (unsigned b = 0; b < COUNTERS_BLOCKS; b++)
			here += counter_get(&srv->counters.slot[i].map->
			    block[b].worker.active);
		most = here > most ? here : most;
	}
	return (most);
}

START_TEST(connections_spread_to_added_workers)
{
	enum { IDLE = 400 };
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = IDLE;
	options.rate = 200;
	load = hold_start(&options);
	await(hold_peek(load)->open == IDLE);
	server_configure(srv, "workers = 4;", FRAMES(""));
	reload(srv);
	server_expect(srv, "event=rebalanced");
	await(most_in_a_slot(srv, 4) <= IDLE / 4 + IDLE / 20);
	/* There is nothing more to do. */
	server_mark(srv);
	server_signal(srv, SIGWINCH);
	server_expect(srv, "event=rebalance");
	expect_unharmed(hold_verify(load));
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
}
END_TEST

START_TEST(rebalancing_can_be_off_and_is_done_on_demand)
{
	enum { IDLE = 200 };
	struct server *srv = server_start("workers = 1; rebalance = 0;",
	    FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = IDLE;
	load = hold_start(&options);
	await(hold_peek(load)->open == IDLE);
	server_configure(srv, "workers = 2; rebalance = 0;", FRAMES(""));
	reload(srv);
	holds_for(500, most_in_a_slot(srv, 2) == IDLE);
	server_signal(srv, SIGWINCH);
	server_expect(srv, "event=rebalanced");
	await(most_in_a_slot(srv, 2) <= IDLE / 2 + IDLE / 20);
	expect_unharmed(hold_verify(load));
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
}
END_TEST

/*
 * What goes wrong.
 */

static unsigned
draw(unsigned *seed, unsigned below)
{
	return ((unsigned)rand_r(seed) % below);
}

/* Only the clients of killed workers are gone, and these are counted; but each
 * worker may have died between a connection's accept and its count. */
static void
expect_losses_as_told(struct server *srv, const struct hold_report *report,
    unsigned kills)
{
	ck_assert_uint_eq(report->corrupted, 0);
	ck_assert_uint_eq(report->doubled, 0);
	ck_assert_uint_eq(report->reordered, 0);
	ck_assert_uint_eq(report->hung, 0);
	await(report->disconnected + report->reset + report->broken <=
	    server_closed(srv, CLOSE_LOST) + kills);
}

START_TEST(workers_killed_amid_reloads_take_only_what_they_held)
{
	enum { ROUNDS = 20, IDLE = 200 };
	struct server *srv = server_start("workers = 2; probation = 0.0;",
	    FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;
	unsigned seed = 1;
	pid_t pids[8];
	size_t n;

	srv->expects_deaths = true;
	options.connections = IDLE;
	options.rate = 500;
	options.reconnect = true;
	load = hold_start(&options);
	await(hold_peek(load)->open == IDLE);
	for (int i = 0; i < ROUNDS; i++) {
		server_mark(srv);
		server_signal(srv, SIGHUP);
		pause_us(draw(&seed, 6000));
		n = proc_children(srv->master, pids, 8);
		if (n > 0)
			kill(pids[draw(&seed, n < 8 ? (unsigned)n : 8)],
			    SIGKILL);
		/* Refused if a new one was met before it was READY. */
		await(server_log(srv, "event=reload_done") != NULL ||
		    server_log(srv, "event=reload_refused") != NULL);
		await(server_children(srv) == 2);
	}
	await(hold_peek(load)->open == IDLE);
	hold_stop(load);
	print_report("20 kills amid reloads", hold_peek(load));
	expect_losses_as_told(srv, hold_peek(load), ROUNDS);
	hold_drop(load);
	server_end(srv);
}
END_TEST

static void
forbid_descriptors(void)
{
	struct rlimit limit = { .rlim_cur = 1024, .rlim_max = 1024 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

START_TEST(nine_hundred_connections_move_at_a_limit_of_1024_descriptors)
{
	enum { IDLE = 900 };
	struct server *srv = server_new();
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	srv->prepare = forbid_descriptors;
	server_configure(srv, "workers = 1;", FRAMES(""));
	server_launch(srv);
	server_await_ready(srv);
	options.connections = IDLE;
	options.rate = 200;
	load = hold_start(&options);
	await(hold_peek(load)->open == IDLE);
	for (int i = 0; i < 3; i++)
		reload(srv);
	expect_unharmed(hold_verify(load));
	ck_assert_uint_eq(hold_peek(load)->verified, IDLE);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
}
END_TEST

/* Four workers' connections do not fit into one: what fits moves, and the rest
 * is served where it is, and moves as others leave. */
START_TEST(connections_that_do_not_fit_stay_and_follow_later)
{
	enum { HERE = 800 };
	struct server *srv = server_new();
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *one, *two;
	const char *line;

	srv->prepare = forbid_descriptors;
	server_configure(srv, "workers = 4; drain_timeout = 300.0;",
	    FRAMES(""));
	server_launch(srv);
	server_await_ready(srv);
	options.connections = HERE;
	options.rate = 200;
	one = hold_start(&options);
	two = hold_start(&options);
	await(hold_peek(one)->open == HERE);
	await(hold_peek(two)->open == HERE);
	server_configure(srv, "workers = 1; drain_timeout = 300.0;",
	    FRAMES(""));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done");
	server_expect(srv, "event=handover_kept");
	ck_assert_uint_gt(server_children(srv), 1);
	expect_unharmed(hold_verify(one));
	expect_unharmed(hold_verify(two));
	expect_unharmed(hold_stop(one));
	await(server_children(srv) == 1);
	/* The clients that left were finished, the others carried. */
	line = server_expect(srv, "event=reload_report");
	ck_assert_uint_eq(log_number(line, "lost"), 0);
	ck_assert_uint_eq(log_number(line, "cut"), 0);
	ck_assert_uint_eq(log_number(line, "closed"), 0);
	ck_assert_uint_eq(log_number(line, "held"),
	    log_number(line, "carried") + log_number(line, "finished"));
	expect_unharmed(hold_verify(two));
	ck_assert_uint_eq(hold_peek(two)->verified, HERE);
	expect_unharmed(hold_stop(two));
	hold_drop(one);
	hold_drop(two);
	server_end(srv);
}
END_TEST

RUN_TESTS("handover",
    reloads_upgrades_and_other_numbers_of_workers_harm_nobody,
    a_client_that_always_has_more_to_say_is_carried,
    limits_hold_while_connections_change_hands,
    a_worker_says_once_that_it_has_drained,
    a_connection_stays_the_same_one,
    a_timeout_goes_on_over_reloads,
    a_listener_that_speaks_another_protocol_now_is_drained,
    many_reloads_leave_nothing_behind,
    connections_spread_to_added_workers,
    rebalancing_can_be_off_and_is_done_on_demand,
    workers_killed_amid_reloads_take_only_what_they_held,
    nine_hundred_connections_move_at_a_limit_of_1024_descriptors,
    connections_that_do_not_fit_stay_and_follow_later)
