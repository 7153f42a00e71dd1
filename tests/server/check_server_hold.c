/* SPDX-License-Identifier: ISC */
/*
 * Clients of all kinds at once: those at rest, in the middle of a message at
 * each of its bytes, with many messages under way or with a slow handler, that
 * do not read, and that never stop.  None of them sees anything but its echo.
 */
#include <stdio.h>

#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"

#define LONG	"idle_timeout = 600.0; read_timeout = 600.0; "		\
		"write_timeout = 600.0;"

enum { CLIENTS = 1000 + 50 + 20 + 20 + 5 + 10 };

static struct server *
start(void)
{
	return (handlers_start("workers = 2;\ndrain_timeout = 300.0;\n"
	    "handlers = ( " SLOW_HANDLER " );",
	    FRAMES(LONG) ",\n" LINES(LONG) ",\n" WEB("echo", LONG) ",\n"
	    SLOW_FRAMES(LONG) ",\n" SLOW_LINES(LONG) ",\n" SLOW_WEB(LONG)));
}

static struct hold_process *
start_load(unsigned port)
{
	struct hold_options options = load_on(port);
	struct hold_process *load;

	options.connections = 1000;
	options.split = 50;
	options.pipeline = 20;
	options.slow = 20;
	options.deaf = 5;
	options.stream = 10;
	options.rate = 1000;
	ck_assert_ptr_nonnull(load = hold_start(&options));
	await(hold_peek(load)->open == CLIENTS);
	hold_remeasure(load);
	return (load);
}

/* Let some time go by in terms of what the clients did. */
static void
await_more(struct hold_process *load)
{
	uint64_t slow = hold_peek(load)->kind[HOLD_SLOW].answered + 4;
	uint64_t echo = hold_peek(load)->kind[HOLD_ECHO].answered + 300;

	await(hold_peek(load)->kind[HOLD_SLOW].answered >= slow);
	await(hold_peek(load)->kind[HOLD_ECHO].answered >= echo);
}

static void
verify(struct hold_process *load)
{
	expect_unharmed(hold_verify(load));
	ck_assert_uint_eq(hold_peek(load)->verified, CLIENTS);
}

static void
stop(const char *title, struct hold_process *load)
{
	const struct hold_report *report = hold_stop(load);

	printf("%s: ", title);
	load_report_print(report, stdout);
	expect_unharmed(report);
	ck_assert_uint_eq(report->finished, CLIENTS);
	hold_drop(load);
}

START_TEST(clients_of_all_kinds_get_their_echo_and_nothing_else)
{
	struct server *srv = start();
	struct hold_process *frames = start_load(FRAME_PORT);
	struct hold_process *lines = start_load(LINE_PORT);
	struct hold_process *web = start_load(WEB_PORT);

	for (int i = 0; i < 3; i++) {
		await_more(frames);
		await_more(lines);
		await_more(web);
		hold_order_flush(frames);
		hold_order_flush(web);
		verify(lines);
	}
	verify(frames);
	stop("frames", frames);
	stop("lines", lines);
	verify(web);
	stop("http", web);
	server_end(srv);
}
END_TEST

/* The workers before go on with them, as long as drain_timeout lets them. */
START_TEST(reloads_do_not_touch_clients_of_any_kind)
{
	struct server *srv = start();
	struct hold_process *frames = start_load(FRAME_PORT);
	struct hold_process *lines = start_load(LINE_PORT);
	struct hold_process *web = start_load(WEB_PORT);

	for (int i = 0; i < 3; i++) {
		server_reload(srv);
		await_more(frames);
		hold_order_flush(frames);
		hold_order_flush(web);
		await_more(lines);
		await_more(web);
		verify(lines);
	}
	verify(frames);
	stop("frames", frames);
	stop("lines", lines);
	verify(web);
	stop("http", web);
	server_end(srv);
}
END_TEST

RUN_TESTS("hold", clients_of_all_kinds_get_their_echo_and_nothing_else,
    reloads_do_not_touch_clients_of_any_kind)
