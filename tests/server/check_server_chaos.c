/* SPDX-License-Identifier: ISC */
/*
 * Random chaos: orders, kills, pauses, memory pressure, full and stalled disks, few
 * descriptors and new configurations, in any order and during each other, while
 * clients of all protocols and kinds verify every byte of their replies.
 *
 * After each round the server comes to rest, and the counts are compared.  No reply
 * was lost, doubled, swapped or corrupted.  Every connection that ended is one that
 * the server counts as closed, for a reason that GUARANTEES in penstock(8) names.
 * Every error reply is one that the server counts, and every reload_report adds up.
 *
 *	PENSTOCK_TEST_SEED	another seed; the one in use is printed
 *	PENSTOCK_TEST_CHAOS_S	run for so many seconds, and print each round; set
 *				PENSTOCK_TEST_LONG as well for more than a minute
 */
#include <sys/resource.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

enum {
	CHILDREN_MAX = 64,
	CONF_MAX = 8192,
	DEEDS_MAX = 4,			/* of one round, at most */
	WORKERS_MAX = 4,
	FEW_FILES = 700,		/* descriptors of an unprivileged server */
	LITTLE_MEMORY = 262144,		/* max_buffered under pressure */
	NOBODY = 65534,
	CAT_PORT = 9020,
};

enum load { LOAD_FRAMES, LOAD_LINES, LOAD_WEB, LOAD_CATS, LOADS };

static const char *const load_names[] = { "frames", "lines", "web", "cats" };

/* What a configuration can have this way or that. */
struct shape {
	unsigned workers;
	unsigned threads;		/* of the slow module */
	unsigned cats;			/* processes of the command */
	bool is_renamed;		/* all listeners have other names */
	bool is_tight;			/* little memory */
	bool has_extra;			/* one listener more */
	bool has_keepalive;
	unsigned access_log;		/* none, a file, a full disk */
	unsigned drain;			/* as in drain_timeouts */
};

static const char *const drain_timeouts[] = { "0.0", "0.3", "30.0", "300.0" };

struct books {
	uint64_t ends;			/* connections that the server ended */
	uint64_t answered;		/* messages that came back */
	uint64_t lost;			/* and that went with a connection */
	uint64_t errors;		/* replies that say so */
};

struct stage {
	struct server *srv;
	unsigned seed, draws;
	struct shape shape, refused;	/* in effect; the one before it */
	struct hold_process *loads[LOADS];
	unsigned clients[LOADS], standing;	/* connections of each, of all */
	bool is_next;			/* the program that was installed */
	bool is_unprivileged;
	unsigned kills;			/* of workers, so far */
	unsigned done[32];		/* deeds, by number */
};

/*
 * Chance.
 */

static unsigned
draw(struct stage *stage, unsigned below)
{
	stage->draws++;
	return ((unsigned)rand_r(&stage->seed) % below);
}

/* Wait for a random time, which is often none. */
static void
pause_a_little(struct stage *stage)
{
	static const unsigned most_us[] = { 1, 2000, 30000, 300000 };

	pause_us(draw(stage, most_us[draw(stage, 4)]));
}

/*
 * Configurations.
 */

static void put(char *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text + len, CONF_MAX - len, fmt, args);
	va_end(args);
	ck_assert_int_lt(n, (int)(CONF_MAX - len));
}

static void
put_listener(char *text, const struct shape *shape, const char *name,
    unsigned port, const char *protocol, const char *handler)
{
	put(text, "%s{ name = \"%s%s\"; address = \"$A:%u\"; protocol = "
	    "\"%s\"; handler = \"%s\"; idle_timeout = 0.0; read_timeout = "
	    "0.0; write_timeout = 0.0; max_message_size = 4096;",
	    *text != '\0' ? ",\n" : "", name, shape->is_renamed ? "_too" : "",
	    port, protocol, handler);
	if (shape->has_keepalive)
		put(text, " keepalive = { idle = 20; interval = 5; "
		    "count = 3; };");
	if (strcmp(protocol, "http") == 0)
		put(text, " min_body_rate = 0;");
	put(text, " }");
}

static void
configure(struct stage *stage, const struct shape *shape)
{
	static const char *const access_logs[] = { "", "access", "/dev/full" };
	char globals[CONF_MAX] = "", listeners[CONF_MAX] = "";

	put(globals, "workers = %u; probation = 0.0; drain_timeout = %s;\n",
	    shape->workers, drain_timeouts[shape->drain]);
	put(globals, "drain_spread = 0.0; max_buffered = %u;\n",
	    shape->is_tight ? LITTLE_MEMORY : 67108864);
	put(globals, "access_log = { file = \"%s\"; };\n",
	    access_logs[shape->access_log]);
	put(globals, "handlers = ( { name = \"cat\"; type = \"command\"; "
	    "processes = %u; command = [ \"/bin/cat\" ]; },\n"
	    "{ name = \"slow\"; type = \"module\"; threads = %u; "
	    "queue = 10000; queue_timeout = 0.0; request_timeout = 60.0;\n"
	    "module = \"$D/misbehave.so\"; settings = { sleep_ms = 5; "
	    "sleep_most_ms = 100; }; } );\n",
	    shape->cats, shape->threads);
	put_listener(listeners, shape, "frames", FRAME_PORT, "frame", "echo");
	put_listener(listeners, shape, "lines", LINE_PORT, "line", "echo");
	put_listener(listeners, shape, "web", WEB_PORT, "http", "echo");
	put_listener(listeners, shape, "slow_frames", FRAME_PORT + SLOW_PORTS,
	    "frame", "slow");
	put_listener(listeners, shape, "slow_lines", LINE_PORT + SLOW_PORTS,
	    "line", "slow");
	put_listener(listeners, shape, "slow_web", WEB_PORT + SLOW_PORTS,
	    "http", "slow");
	put_listener(listeners, shape, "cats", CAT_PORT, "frame", "cat");
	if (shape->has_extra)
		put_listener(listeners, shape, "extra", EXTRA_PORT, "line",
		    "cat");
	handlers_configure(stage->srv, globals, listeners);
}

static struct shape
draw_shape(struct stage *stage)
{
	struct shape shape = stage->shape;

	/* One or two things change at a time. */
	for (unsigned i = 0; i < 2; i++)
		switch (draw(stage, 9)) {
		case 0:
			shape.workers = 1 + draw(stage, WORKERS_MAX);
			break;
		case 1:
			shape.threads = 16 + draw(stage, 48);
			break;
		case 2:
			shape.cats = 1 + draw(stage, 3);
			break;
		case 3:
			shape.is_renamed = !shape.is_renamed;
			break;
		case 4:
			shape.is_tight = !shape.is_tight;
			break;
		case 5:
			shape.has_extra = !shape.has_extra;
			break;
		case 6:
			shape.has_keepalive = !shape.has_keepalive;
			break;
		case 7:
			shape.access_log = draw(stage, 3);
			break;
		case 8:
			shape.drain = draw(stage, 4);
			break;
		}
	return (shape);
}

/*
 * Deeds.
 */

/* A random child with a title that begins with these words; 0: none. */
static pid_t
find(struct stage *stage, const char *begin)
{
	pid_t pids[CHILDREN_MAX], found[CHILDREN_MAX];
	size_t all, n = 0;
	char title[512];

	all = proc_glimpse_children(stage->srv->master, pids, CHILDREN_MAX);
	for (size_t i = 0; i < all && i < CHILDREN_MAX; i++) {
		proc_title(pids[i], title, sizeof(title));
		if (strncmp(title, begin, strlen(begin)) == 0)
			found[n++] = pids[i];
	}
	return (n > 0 ? found[draw(stage, (unsigned)n)] : 0);
}

static bool
strike(struct stage *stage, const char *title)
{
	pid_t pid = find(stage, title);

	return (pid != 0 && kill(pid, SIGKILL) == 0);
}

static void
reload(struct stage *stage)
{
	server_signal(stage->srv, SIGHUP);
}

static void
reconfigure(struct stage *stage)
{
	stage->shape = draw_shape(stage);
	configure(stage, &stage->shape);
	reload(stage);
}

/* A configuration that is refused, and then the good one again. */
static void
misconfigure(struct stage *stage)
{
	static const char *const mistakes[] = {
		"workers = \"many\";", "workers = 1", "listeners = (",
		"pid_file = \"penstock.pid\"; nonsense = 1; listeners = ();",
	};

	server_write(stage->srv, "conf", mistakes[draw(stage, 4)]);
	reload(stage);
	pause_a_little(stage);
	configure(stage, &stage->shape);
	reload(stage);
}

static void
upgrade(struct stage *stage)
{
	server_install(stage->srv, stage->is_next ? "penstock" :
	    "tests/programs/penstock-next");
	stage->is_next = !stage->is_next;
	server_signal(stage->srv, SIGUSR2);
}

static void
reopen(struct stage *stage)
{
	server_signal(stage->srv, SIGUSR1);
}

static void
rebalance(struct stage *stage)
{
	server_signal(stage->srv, SIGWINCH);
}

static void
kill_worker(struct stage *stage)
{
	if (strike(stage, "penstock: worker "))
		stage->kills++;
}

static void
kill_command(struct stage *stage)
{
	strike(stage, "/bin/cat");
}

static void
kill_host(struct stage *stage)
{
	strike(stage, "penstock: executor ");
}

static pid_t
find_logger(struct stage *stage)
{
	pid_t pids[CHILDREN_MAX];
	size_t n;

	n = proc_loggers(stage->srv->master, pids, CHILDREN_MAX);
	n = n < CHILDREN_MAX ? n : CHILDREN_MAX;
	return (n > 0 ? pids[draw(stage, (unsigned)n)] : 0);
}

static void
kill_logger(struct stage *stage)
{
	pid_t pid = find_logger(stage);

	if (pid != 0)
		kill(pid, SIGKILL);
}

/* The whole machine stands still. */
static void
pause_all(struct stage *stage)
{
	pid_t pids[CHILDREN_MAX];
	size_t n;

	n = proc_in_directory(stage->srv->dir, pids, CHILDREN_MAX);
	for (size_t i = 0; i < n && i < CHILDREN_MAX; i++)
		kill(pids[i], SIGSTOP);
	pause_us(draw(stage, 1500000));
	for (size_t i = 0; i < n && i < CHILDREN_MAX; i++)
		kill(pids[i], SIGCONT);
}

static void
pause_worker(struct stage *stage)
{
	pid_t pid = find(stage, "penstock: worker ");

	if (pid == 0)
		return;
	kill(pid, SIGSTOP);
	pause_us(draw(stage, 400000));
	kill(pid, SIGCONT);
}

/* The disk of the log stalls during a reload. */
static void
stall_log(struct stage *stage)
{
	pid_t pid = find_logger(stage);

	if (pid == 0)
		return;
	kill(pid, SIGSTOP);
	reload(stage);
	pause_us(draw(stage, 1000000));
	kill(pid, SIGCONT);
}

/* The disk of the log is full for a while. */
static void
fill_log(struct stage *stage)
{
	struct rlimit full = { 0, RLIM_INFINITY }, none;
	pid_t pid = find_logger(stage);

	if (pid == 0 || prlimit(pid, RLIMIT_FSIZE, &full, &none) == -1)
		return;
	kill_command(stage);
	pause_us(draw(stage, 100000));
	prlimit(pid, RLIMIT_FSIZE, &none, NULL);
}

static void
flush_all(struct stage *stage)
{
	for (int i = 0; i < LOADS; i++)
		hold_order_flush(stage->loads[i]);
}

static const struct deed {
	const char *name;
	void (*act)(struct stage *);
	unsigned weight;
} deeds[] = {
	{ "reloads", reload, 6 },
	{ "reconfigurations", reconfigure, 8 },
	{ "mistakes", misconfigure, 2 },
	{ "upgrades", upgrade, 4 },
	{ "reopens", reopen, 3 },
	{ "rebalances", rebalance, 3 },
	{ "workers killed", kill_worker, 2 },
	{ "commands killed", kill_command, 2 },
	{ "hosts killed", kill_host, 1 },
	{ "loggers killed", kill_logger, 1 },
	{ "pauses", pause_all, 1 },
	{ "worker pauses", pause_worker, 1 },
	{ "log stalls", stall_log, 1 },
	{ "full logs", fill_log, 1 },
	{ "flushes", flush_all, 3 },
};

enum { DEEDS = sizeof(deeds) / sizeof(deeds[0]) };

static unsigned
draw_deed(struct stage *stage)
{
	unsigned sum = 0, at;

	for (unsigned i = 0; i < DEEDS; i++)
		sum += deeds[i].weight;
	at = draw(stage, sum);
	for (unsigned i = 0;; at -= deeds[i++].weight)
		if (at < deeds[i].weight)
			return (i);
}

/*
 * Rest.
 */

/* The generation in effect if no order is being carried out; 0 otherwise. */
static uint64_t
generation_at_rest(const struct stage *stage)
{
	unsigned long long gen;
	char title[512];
	int end = 0;

	proc_title(stage->srv->master, title, sizeof(title));
	if (sscanf(title, "penstock: master gen=%llu%n", &gen, &end) != 1 ||
	    end == 0 || title[end] != '\0')
		return (0);
	return (gen);
}

/* How many workers there are when all of them are of one generation, and no order
 * is being carried out; 0 before. */
static unsigned
workers_at_rest(const struct stage *stage)
{
	uint64_t gen = generation_at_rest(stage);
	pid_t pids[CHILDREN_MAX];
	char title[512], end[32];
	unsigned workers = 0;
	size_t n;

	if (gen == 0)
		return (0);
	snprintf(end, sizeof(end), " gen=%" PRIu64, gen);
	n = proc_children(stage->srv->master, pids, CHILDREN_MAX);
	for (size_t i = 0; i < n && i < CHILDREN_MAX; i++) {
		proc_title(pids[i], title, sizeof(title));
		/* A check run, or one that has no title yet. */
		if (strstr(title, " -t") != NULL ||
		    strstr(title, " draining") != NULL)
			return (0);
		if (strncmp(title, "penstock: worker ", 17) != 0)
			continue;
		if (strlen(title) < strlen(end) || strcmp(title +
		    strlen(title) - strlen(end), end) != 0)
			return (0);
		workers++;
	}
	return (workers);
}

static bool
all_stand(struct stage *stage)
{
	for (int i = 0; i < LOADS; i++)
		if (hold_peek(stage->loads[i])->open != stage->clients[i])
			return (false);
	return (true);
}

/* What comes to rest can be set in motion again: by an order that was folded, or
 * a process that is replaced.  And a reload may have been refused, as a new worker
 * was killed.  So the last order is one that logs its end. */
static void
come_to_rest(struct stage *stage)
{
	unsigned done;

	await(workers_at_rest(stage) > 0);
	done = server_count(stage->srv, "event=reload_done");
	server_signal(stage->srv, SIGHUP);
	await(server_count(stage->srv, "event=reload_done") > done &&
	    workers_at_rest(stage) == stage->shape.workers);
	await(all_stand(stage));
}

/*
 * The books.
 */

static struct books
books_of_clients(struct stage *stage)
{
	const struct hold_report *report;
	struct books books = { .ends = 0 };

	for (int i = 0; i < LOADS; i++) {
		report = hold_peek(stage->loads[i]);
		if (report->corrupted + report->doubled + report->reordered +
		    report->unframed + report->hung + report->refused +
		    report->crashed > 0) {
			print_report(load_names[i], report);
			ck_abort_msg("clients of %s were harmed",
			    load_names[i]);
		}
		books.ends += report->disconnected + report->reset +
		    report->broken;
		books.answered += report->answered;
		books.lost += report->lost;
		books.errors += report->errors;
	}
	return (books);
}

/* The reasons that GUARANTEES names, and those of the clients' own doing. */
static bool
is_expected(enum close_reason reason)
{
	return (reason == CLOSE_LOST || reason == CLOSE_MEMORY ||
	    reason == CLOSE_EOF || reason == CLOSE_ABORTED ||
	    reason == CLOSE_RESET);
}

/* Every reply that the server counts is one that a client got, or that went
 * with its connection; and every error is one that the server counts, in its own
 * words for lack of memory or for a handler. */
static void
check_messages(struct stage *stage, const struct counters_listener *served,
    const struct books *books)
{
	struct counters_handler handled = handler_counters(stage->srv);

	ck_assert_uint_ge(served->messages_out, books->answered);
	/* While clients are there, some are on their way. */
	if (served->active == 0)
		ck_assert_uint_le(served->messages_out, books->answered +
		    books->errors + books->lost);
	ck_assert_uint_le(books->errors, handled.shed + handled.expired +
	    handled.timeouts + handled.failed +
	    served->closed[CLOSE_MEMORY]);
}

static void
check_books(struct stage *stage)
{
	struct counters_listener served;
	struct books books;
	uint64_t ends;

	/* One that changes hands is counted twice. */
	await((served = server_counters(stage->srv)).active ==
	    stage->standing && observe_adds_up(&stage->srv->counters));
	books = books_of_clients(stage);
	served = server_counters(stage->srv);

	for (int i = 0; i < CLOSE_REASON_COUNT; i++)
		ck_assert_msg(served.closed[i] == 0 || is_expected(i),
		    "%" PRIu64 " connections were closed: %s",
		    served.closed[i], close_reason_name(i));
	for (int i = 0; i < REJECT_REASON_COUNT; i++)
		ck_assert_msg(served.rejected[i] == 0, "%" PRIu64
		    " connections were rejected: %s", served.rejected[i],
		    reject_reason_name(i));
	/* A worker that is killed during accept(2) has a connection that is
	 * not counted. */
	ends = served.closed[CLOSE_LOST] + served.closed[CLOSE_MEMORY];
	ck_assert_uint_ge(books.ends, ends);
	ck_assert_uint_le(books.ends, ends + stage->kills);
	check_messages(stage, &served, &books);
}

static void
check_report(const char *line, void *arg)
{
	(void)arg;
	ck_assert_msg(log_number(line, "held") == log_number(line, "carried") +
	    log_number(line, "finished") + log_number(line, "closed") +
	    log_number(line, "cut") +
	    log_number(line, "lost"), "it does not add up: %s", line);
	ck_assert_uint_eq(log_number(line, "cut"), 0);
}

/*
 * The play.
 */

static void
print_state(const struct stage *stage, unsigned n)
{
	char title[512];

	proc_title(stage->srv->master, title, sizeof(title));
	printf("round %u, %u draws: %s\n", n, stage->draws, title);
}

static void
play(struct stage *stage, unsigned round)
{
	unsigned n = 1 + draw(stage, DEEDS_MAX), deed;

	server_mark(stage->srv);
	for (unsigned i = 0; i < n; i++) {
		deed = draw_deed(stage);
		if (getenv("PENSTOCK_TEST_CHAOS_S") != NULL)
			printf("  %s\n", deeds[deed].name);
		deeds[deed].act(stage);
		stage->done[deed]++;
		pause_a_little(stage);
	}
	come_to_rest(stage);
	for (int i = 0; i < LOADS; i++)
		hold_verify(stage->loads[i]);
	await(all_stand(stage));
	check_books(stage);
	server_each(stage->srv, "event=reload_report", check_report, NULL);
	if (getenv("PENSTOCK_TEST_CHAOS_S") != NULL)
		print_state(stage, round);
}

static void
start_load(struct stage *stage, enum load which)
{
	static const unsigned ports[] = {
		FRAME_PORT, LINE_PORT, WEB_PORT, CAT_PORT,
	};
	struct hold_options options = load_on(ports[which]);

	options.reconnect = true;
	options.flush_ms = 300;
	options.patience_ms = 2 * (unsigned)patience_ms();
	options.connections = 60;
	options.pipeline = 10;
	options.rate = 300;
	if (which != LOAD_CATS) {
		options.slow = 10;
		options.split = 20;
		options.deaf = 4;
		options.deaf_burst = 500;
		options.stream = 4;
	}
	stage->clients[which] = options.connections + options.pipeline +
	    options.slow + options.split + options.deaf + options.stream;
	stage->loads[which] = hold_start(&options);
	ck_assert_ptr_nonnull(stage->loads[which]);
	stage->standing += stage->clients[which];
}

static void
become_nobody(void)
{
	struct rlimit few = { FEW_FILES, FEW_FILES };

	if (setrlimit(RLIMIT_NOFILE, &few) == -1 ||
	    (getuid() == 0 && (setgid(NOBODY) == -1 || setuid(NOBODY) == -1)))
		_exit(126);
}

static void
copy_module(struct server *srv)
{
	char command[256];

	snprintf(command, sizeof(command), "cp "
	    "tests/programs/module_misbehave.so %s/misbehave.so && "
	    "chmod 755 %s/misbehave.so", srv->dir, srv->dir);
	ck_assert_int_eq(system(command), 0);
}

static void
begin(struct stage *stage, bool is_unprivileged)
{
	*stage = (struct stage){
		.srv = handlers_new(),
		.seed = test_seed((unsigned)time(NULL)),
		.is_unprivileged = is_unprivileged,
		.shape = { .workers = 2, .threads = 32, .cats = 2,
		    .drain = 2 },
	};
	stage->srv->expects_deaths = true;
	copy_module(stage->srv);
	configure(stage, &stage->shape);
	server_install(stage->srv, "penstock");
	if (is_unprivileged)
		stage->srv->prepare = become_nobody;
	server_launch(stage->srv);
	server_await_ready(stage->srv);
	for (int i = 0; i < LOADS; i++)
		start_load(stage, i);
	await(all_stand(stage));
}

static void
end(struct stage *stage, unsigned n)
{
	printf("%u rounds:", n);
	for (unsigned i = 0; i < DEEDS; i++)
		printf("%s %u %s", i > 0 ? "," : "", stage->done[i],
		    deeds[i].name);
	printf("\n");
	for (int i = 0; i < LOADS; i++)
		print_report(load_names[i], hold_stop(stage->loads[i]));
	stage->standing = 0;
	await(server_counters(stage->srv).active == 0);
	check_books(stage);
	for (int i = 0; i < LOADS; i++)
		hold_drop(stage->loads[i]);
	server_end(stage->srv);
}

static void
run(bool is_unprivileged)
{
	const char *seconds = getenv("PENSTOCK_TEST_CHAOS_S");
	uint64_t until_ms = clock_ms();
	struct stage stage;
	unsigned n = 0;

	if (seconds != NULL)
		until_ms += strtoull(seconds, NULL, 10) * 1000;
	begin(&stage, is_unprivileged);
	while (seconds != NULL ? clock_ms() < until_ms : n < rounds(4, 100))
		play(&stage, n++);
	end(&stage, n);
}

START_TEST(random_chaos_costs_only_what_guarantees_name)
{
	run(false);
}
END_TEST

START_TEST(random_chaos_without_root_and_with_few_descriptors)
{
	run(true);
}
END_TEST

RUN_TESTS("chaos", random_chaos_costs_only_what_guarantees_name,
    random_chaos_without_root_and_with_few_descriptors)
