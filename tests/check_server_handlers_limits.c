/* SPDX-License-Identifier: ISC */
/*
 * What handlers may use, and what becomes of everybody else when one of them is
 * slow, floods, or has more to do than there is memory for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/client.h"
#include "tests/handlers.h"
#include "tests/harness.h"
#include "tests/proc.h"
#include "tests/wire.h"

/*
 * What is said in the log.
 */

START_TEST(a_number_that_is_rounded_up_is_told)
{
	static const char globals[] = "workers = 2;\nhandlers = (\n"
	    COMMAND("one", "\"echo\"", "") ",\n"
	    MODULE("odd", "", "threads = 5;") ",\n"
	    MODULE("even", "", "threads = 4;") "\n);";
	struct server *srv = handlers_start(globals, ONE("one", ""));

	for (int i = 0; i < 2; i++) {
		server_expect(srv, "warn event=handler_rounded handler=one "
		    "key=processes configured=1 all=2 workers=2 each=1");
		server_expect(srv, "info event=handler_rounded handler=odd "
		    "key=threads configured=5 all=6 workers=2 each=3");
		ck_assert_uint_eq(server_count(srv, "event=handler_rounded"),
		    2);
		server_mark(srv);
		if (i == 0)
			server_reload(srv);
	}
	server_end(srv);
}
END_TEST

START_TEST(a_flood_on_stderr_hides_nothing_of_another_handler)
{
	struct server *srv = handlers_start(HANDLERS(
	    COMMAND("flood", "\"flood\", \"20000\"", "") ",\n"
	    COMMAND("quiet", "\"bad-bytes\"", "")),
	    ONE("flood", "") ",\n"
	    LISTENER("quiet", "9004", "frame", "quiet", ""));
	unsigned told;

	expect_answered(FRAME_PORT, "hello");
	server_expect(srv, "event=handler_stderr handler=flood");
	expect_answered(HIGH_PORT, "hello");
	await(server_count(srv, "event=handler_stderr handler=quiet") == 2);
	/* What was left out is told, of whom, and when it is over, too. */
	await(server_log(srv, "event=handler_stderr handler=flood") != NULL &&
	    server_log_last(srv, "event=handler_stderr handler=flood") !=
	    NULL && log_has(srv->line, "suppressed"));
	told = server_count(srv, "event=handler_stderr handler=flood");
	ck_assert_uint_lt(told, 5000);
	ck_assert_uint_gt(log_number(srv->line, "suppressed"), 100);
	ck_assert_uint_eq(server_count(srv, "event=handler_stderr"),
	    told + 2);
	server_end(srv);
}
END_TEST

RUN_TESTS("limits of handlers",
    a_number_that_is_rounded_up_is_told,
    a_flood_on_stderr_hides_nothing_of_another_handler)
