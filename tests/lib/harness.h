/* SPDX-License-Identifier: ISC */
/*
 * A server of a test's own: the real binary, in a directory of its own, on a
 * loopback address that no other test process uses.
 *
 * Runs in the test.  Waits for conditions, never for an amount of time; what
 * does not come about fails the test.  A keeper process sees to it that no
 * server and no directory outlives a test, however that ends, and prints the
 * end of the log of one that has failed.
 *
 * Environment:
 *	PENSTOCK		the binary, instead of ./penstock
 *	PENSTOCK_TEST_SLOW	a factor for all patience, under valgrind etc.
 *	PENSTOCK_TEST_LONG	set: tests that can go on for long do so
 *	PENSTOCK_TEST_SEED	the seed of tests that draw by chance
 *	PENSTOCK_TEST_KEEP	set: leave the directories of failed tests
 *	CK_RUN_CASE		run this one test (Check's)
 */
#ifndef TESTS_LIB_HARNESS_H
#define TESTS_LIB_HARNESS_H

#include <sys/types.h>

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "tests/lib/load_report.h"
#include "tests/lib/observe.h"
#include "tools/load/hold_process.h"

enum {
	FRAME_PORT = 9000,
	LINE_PORT = 9001,
	SINK_PORT = 9002,
	EXTRA_PORT = 9003,
	WEB_PORT = 9004,
	SLOW_PORTS = 10,	/* from those to the slow ones */

	SERVER_PROCESSES_MAX = 64,
	SERVER_LINE_MAX = 4096,
};

/* Listeners for server_start(); "$A" becomes the test's own address, and "$D"
 * the server's directory. */
#define LISTENER(name, port, protocol, handler, more)			\
	"{ name = \"" name "\"; address = \"$A:" port "\"; protocol = \""\
	protocol "\"; handler = \"" handler "\"; " more " }"
#define FRAMES(more)	LISTENER("frames", "9000", "frame", "echo", more)
#define LINES(more)	LISTENER("lines", "9001", "line", "echo", more)
#define SINK(more)	LISTENER("sink", "9002", "frame", "discard", more)
#define EXTRA(more)	LISTENER("extra", "9003", "frame", "echo", more)
#define WEB(handler, more) LISTENER("web", "9004", "http", handler, more)

struct server {
	char dir[64];
	pid_t master;		/* 0: none is running */
	bool is_daemon;		/* then it is not our child */
	char program[96];	/* "": the binary; see server_install() */
	/* Set by tests that kill workers, or stop one's beat. */
	bool expects_deaths;
	/* Run in the child before the server begins there; may be NULL. */
	void (*prepare)(void);

	struct observer counters;	/* observe.h */

	char *log;		/* what of it has been read, as a string */
	size_t log_len;
	size_t log_size;	/* of its memory */
	size_t log_mark;	/* where server_log() begins to look */
	int log_fd;
	char line[SERVER_LINE_MAX + 1];

	pid_t keeper;
	int keeper_pipe;
};

/*
 * Patience.
 */

/* The factor of PENSTOCK_TEST_SLOW, at least 1. */
unsigned slow_factor(void);

/* How often to do what can be done few or many times: many if
 * PENSTOCK_TEST_LONG is set. */
unsigned rounds(unsigned few, unsigned many);

/* How long to wait for what has to come: long on any machine that works. */
uint64_t patience_ms(void);

/* Wait until a condition holds, which is looked at every few milliseconds. */
#define await(condition)	await_within(patience_ms(), (condition))
#define await_within(ms, condition)					\
	do {								\
		const uint64_t await_until_ = clock_ms() + (ms);	\
		while (!(condition)) {					\
			if (clock_ms() > await_until_)			\
				ck_abort_msg("%s:%d: waited in vain "	\
				    "for: %s", __FILE__, __LINE__,	\
				    #condition);			\
			await_pause();					\
		}							\
	} while (0)

/* Check that a condition goes on to hold for a while. */
#define holds_for(ms, condition)					\
	do {								\
		const uint64_t holds_until_ = clock_ms() + (ms);	\
		while (clock_ms() < holds_until_) {			\
			ck_assert_msg((condition), "%s:%d: no longer "	\
			    "true: %s", __FILE__, __LINE__,		\
			    #condition);				\
			await_pause();					\
		}							\
	} while (0)

void await_pause(void);

/* Let an amount of time pass: as load, or to hit another moment each time, and
 * never to wait for something. */
void pause_us(unsigned us);

/* PENSTOCK_TEST_SEED, or this one; which is printed. */
unsigned test_seed(unsigned otherwise);

/*
 * A server's life.
 */

/* "127.x.y.z", and the same as a number in host order. */
const char *own_address(void);
uint32_t own_address_number(void);

/* A directory without a server. */
struct server *server_new(void);

/* Write the configuration: pid and log file, the global keys given and
 * listeners, separated by commas; or any text as any file.  A configuration
 * that does not speak of a monitor has none. */
void server_configure(struct server *, const char *globals,
    const char *listeners);
void server_write(struct server *, const char *file, const char *text);

/* Whether a program of others' is installed; if it is not, that is said. */
bool has_program(const char *name);

/* Let a copy of a program, named from the top of the build, be what is started,
 * and what an upgrade finds; instead of another one, or of none. */
void server_install(struct server *, const char *program);

/* server_new(), server_configure(), server_launch(), server_await_ready(). */
struct server *server_start(const char *globals, const char *listeners);

/* Whether the binary was built with sanitizers, which take memory of their own
 * and can't be preloaded before. */
bool server_is_sanitized(void);

/* Start it in the foreground; wait until all of its workers accept. */
void server_launch(struct server *);
void server_await_ready(struct server *);

/* Listen on a port of the test's own address, so that a reload which needs it is
 * refused: after an upgrade, the new master then goes on with the workers that it
 * has taken over.  Returns the socket. */
int take_port(unsigned port);

/* Stop it with SIGINT, check that all is well and that nothing is left, and
 * forget it.  Every test ends with this. */
void server_end(struct server *);

/* Wait for the end of the master, which is to exit with this status. */
void server_await_exit(struct server *, int status);

/* Run the binary in the server's directory with these arguments (the last is
 * NULL) until it exits.  Returns its status; output, which may be NULL, gets
 * what it wrote to stdout and stderr. */
int server_run(struct server *, char *output, size_t size, ...)
    __attribute__((sentinel));

void server_signal(struct server *, int signal);

/* HUP, and wait until the new generation has taken over: new connections come
 * only to it. */
void server_reload(struct server *);

/* The worker now in a slot; wait for another one to get ready there. */
pid_t server_worker(struct server *, unsigned slot);
pid_t server_await_successor(struct server *, unsigned slot, pid_t old);

/* The children of the master, whatever they are. */
size_t server_children(const struct server *);

/* The path of a file in the server's directory; valid until the next call. */
const char *server_path(const struct server *, const char *file);
bool server_has_file(const struct server *, const char *file);

/* The beginning of such a file as a string; valid until the next call. */
const char *server_file(const struct server *, const char *file);

/*
 * Its log.  words are such as stand between spaces in a line: "info",
 * "event=conn_close reason=idle"; all of them are in a line that matches.
 */

/* From here on look at new lines only. */
void server_mark(struct server *);

/* The first line since the mark that matches, NULL if there is none; or wait
 * for it.  Valid until the next call. */
const char *server_log(struct server *, const char *words);
const char *server_expect(struct server *, const char *words);

/* The last one. */
const char *server_log_last(struct server *, const char *words);

/* How many lines since the mark match. */
unsigned server_count(struct server *, const char *words);

/* How many events the lines since the mark that match tell of, one by one or
 * as suppressed=N. */
uint64_t server_count_told(struct server *, const char *words);

/* Call for each line since the mark that matches. */
void server_each(struct server *, const char *words,
    void (*)(const char *line, void *), void *arg);

/* The value of a field as a number; fails the test if there is none. */
uint64_t log_number(const char *line, const char *key);
bool log_has(const char *line, const char *key);
/* When the line was written, in microseconds since 1970; and the same of now. */
uint64_t log_time_us(const char *line);
uint64_t log_now_us(void);

/*
 * Its counters.
 */

/* All listeners of all slots as of now; works with a server that has ended if
 * it was called before that. */
struct counters_listener server_counters(struct server *);
struct counters_worker server_worker_counters(struct server *);
uint64_t server_closed(struct server *, enum close_reason);

/* What malloc(3) and stacks take of all workers, in bytes.  Files are shared
 * with whatever else runs. */
uint64_t server_worker_memory(struct server *);

/*
 * Load.
 */

/* Options for hold_start() that speak to one of the ports above, in messages of
 * many sizes; SLOW ones to the slow port of that protocol. */
struct hold_options load_on(unsigned port);

/* Clients that connect to FRAME_PORT, exchange five messages and close, as fast
 * as they can. */
struct hold_process *start_churn(unsigned clients);

/* Every connect was taken, every message came back, once and in its turn. */
void expect_unharmed(const struct hold_report *);
void print_report(const char *title, const struct hold_report *);

/*
 * main() of a test program: each test is a case of its own in Check's terms.  Of
 * the first nloops tests, there is one case for each row: _i.
 */
int run_tests_of_rows(const char *theme, size_t nloops, int rows,
    const TTest *const *tests, size_t n);
int run_tests(const char *theme, const TTest *const *tests, size_t n);
#define RUN_TESTS(theme, ...)	RUN_TESTS_OF_ROWS(theme, 0, 0, __VA_ARGS__)
#define RUN_TESTS_OF_ROWS(theme, nloops, rows, ...)			\
	int								\
	main(void)							\
	{								\
		const TTest *const tests[] = { __VA_ARGS__ };		\
									\
		return (run_tests_of_rows(theme, nloops, rows, tests,	\
		    sizeof(tests) / sizeof(tests[0])));			\
	}

#endif
