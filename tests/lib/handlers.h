/* SPDX-License-Identifier: ISC */
/*
 * Servers with handlers, among them the test's own that misbehave.
 */
#ifndef TESTS_LIB_HANDLERS_H
#define TESTS_LIB_HANDLERS_H

#include <sys/types.h>

#include "tests/lib/harness.h"

#define ERR_FAILED	"ERR failed"
#define ERR_TIMEOUT	"ERR timeout"

/* The sources and what is built are "src" and "build" in the server's own
 * directory, where it runs. */
#define MISBEHAVE(args)							\
	"command = [ \"src/tests/programs/command_misbehave.py\", " args " ];"
#define TIMED_COMMAND(name, args, more)					\
	"{ name = \"" name "\"; type = \"command\"; "			\
	MISBEHAVE(args) " processes = 1; " more " }"
/* A program in Python takes a while to start where there is much to do. */
#define UNHURRIED	"queue_timeout = 60.0; request_timeout = 60.0; "
#define COMMAND(name, args, more)					\
	TIMED_COMMAND(name, args, UNHURRIED more)
#define MODULE(name, settings, more)					\
	"{ name = \"" name "\"; type = \"module\"; "			\
	"module = \"build/tests/programs/module_misbehave.so\"; "		\
	"settings = { " settings " }; " more " }"
#define HANDLERS(list)	"workers = 1;\nhandlers = (\n" list "\n);"
#define ONE(name, more)	LISTENER("one", "9000", "frame", name, more)
#define ONE_LINE(name, more) LISTENER("line", "9001", "line", name, more)

/* An echo that takes its time, and listeners for it, where load_on() expects
 * them. */
#define SLOW_HANDLER							\
	MODULE("slow", "sleep_ms = 100; sleep_most_ms = 300;", "threads = 64;")
#define SLOW_FRAMES(more) LISTENER("slow_frames", "9010", "frame", "slow", more)
#define SLOW_LINES(more) LISTENER("slow_lines", "9011", "line", "slow", more)
#define SLOW_WEB(more)	LISTENER("slow_web", "9014", "http", "slow", more)

enum { HIGH_PORT = 9004 };

/* A directory without a server, where everybody may write: handlers leave their
 * notes. */
struct server *handlers_new(void);

/*
 * server_configure().  The programs and modules of the build may stand where
 * nobody but its owner can read them, so the executors stay who we are.
 */
void handlers_configure(struct server *, const char *globals,
    const char *listeners);

/* Both, and start it; with the text of a program in a file, which a handler
 * runs. */
struct server *handlers_start(const char *globals, const char *listeners);
struct server *handlers_start_with(const char *file, const char *text,
    const char *globals, const char *listeners);
/* A server that has only this handler, at FRAME_PORT. */
#define START_COMMAND(name, args, more)					\
	handlers_start(HANDLERS(COMMAND(name, args, more)), ONE(name, ""))
#define START_MODULE(name, settings, more)				\
	handlers_start(HANDLERS(MODULE(name, settings, more)), ONE(name, ""))

/* Let what is asked to "hold" go on, and do so at once from now on. */
void handlers_release(struct server *);

/* What has been counted for all handlers, in all workers. */
struct counters_handler handler_counters(struct server *);

/* Who connects there is answered with what it sends. */
void expect_answered(unsigned port, const char *text);

/* The process that a handler has written to a file. */
pid_t handlers_pid_in(const struct server *, const char *file);

#endif
