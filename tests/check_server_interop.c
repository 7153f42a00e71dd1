/* SPDX-License-Identifier: ISC */
/*
 * Clients that others wrote: Erlang's {packet,4} and Python's sockets.
 *
 * Exits with 77, which automake counts as skipped, where one of the two is not
 * installed; the other has been tested then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/client.h"
#include "tests/harness.h"

/* Run a script of this directory; what it printed is told where it fails. */
static void
run_script(const char *interpreter, const char *arguments)
{
	const char *srcdir = getenv("srcdir");
	char command[512], output[4096];
	FILE *from;
	size_t len;

	snprintf(command, sizeof(command), "%s %s/tests/%s 2>&1", interpreter,
	    srcdir != NULL ? srcdir : ".", arguments);
	ck_assert_ptr_nonnull(from = popen(command, "re"));
	len = fread(output, 1, sizeof(output) - 1, from);
	output[len] = '\0';
	ck_assert_msg(pclose(from) == 0, "%s: %s", command, output);
}

START_TEST(an_erlang_client_with_packet_4_is_served)
{
	struct server *srv;
	char arguments[128];

	if (!has_program("escript"))
		return;
	srv = server_start("workers = 2;", FRAMES(""));
	snprintf(arguments, sizeof(arguments), "erlang_packet4.escript %s %d",
	    own_address(), FRAME_PORT);
	run_script("escript", arguments);
	server_end(srv);
}
END_TEST

START_TEST(python_clients_are_served)
{
	struct server *srv;
	char arguments[128];

	if (!has_program("python3"))
		return;
	srv = server_start("workers = 2;", FRAMES("") ",\n" LINES(""));
	snprintf(arguments, sizeof(arguments), "interop.py echo %s %d %d",
	    own_address(), FRAME_PORT, LINE_PORT);
	run_script("python3", arguments);
	server_end(srv);
}
END_TEST

START_TEST(every_line_of_a_json_log_is_an_object)
{
	struct server *srv;
	char arguments[128];
	int fd;

	if (!has_program("python3"))
		return;
	srv = server_new();
	server_write(srv, "conf", "workers = 1;\n"
	    "log = { file = \"log\"; level = \"debug\"; format = \"json\"; };\n"
	    "listeners = (" FRAMES("") ");\n");
	server_launch(srv);
	server_expect(srv, "\"event\":\"ready\"");
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "hello");
	client_send(fd, "\0\0\0\0", 4);
	client_expect_text_frame(fd, ERR_MALFORMED);
	client_reset(fd);
	server_expect(srv, "\"event\":\"conn_close\" \"reason\":\"malformed\"");
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	snprintf(arguments, sizeof(arguments), "interop.py json %s",
	    server_path(srv, "log"));
	run_script("python3", arguments);
	server_end(srv);
}
END_TEST

static int
run(void)
{
	const TTest *const tests[] = {
		an_erlang_client_with_packet_4_is_served,
		python_clients_are_served,
		every_line_of_a_json_log_is_an_object,
	};

	return (run_tests("interop", tests, sizeof(tests) / sizeof(tests[0])));
}

int
main(void)
{
	int status = run();

	if (status != 0 || (has_program("escript") && has_program("python3")))
		return (status);
	printf("no escript or no python3 here: not all of this was tested\n");
	return (77);
}
