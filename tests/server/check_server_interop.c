/* SPDX-License-Identifier: ISC */
/*
 * Clients that others wrote: Erlang's {packet,4}, Python's sockets, and clients of
 * HTTP of several languages.
 *
 * Exits with 77, which automake counts as skipped, where one of them is not
 * installed; the others have been tested then.  Java takes too long to install to
 * count as missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"

/* Run a script of this directory; a failure shows what it printed. */
static void
run_script(const char *interpreter, const char *arguments)
{
	const char *srcdir = getenv("srcdir");
	char command[512], output[4096];
	FILE *from;
	size_t len;

	snprintf(command, sizeof(command), "%s %s/tests/programs/%s 2>&1",
	    interpreter, srcdir != NULL ? srcdir : ".", arguments);
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

/*
 * HTTP.  None of these sends a Content-Length for a body that is not there, which
 * is then empty: RFC 9112, section 6.3, rule 7.
 */

static const char *
web_url(void)
{
	static char url[64];

	snprintf(url, sizeof(url), "http://%s:%d/", own_address(), WEB_PORT);
	return (url);
}

static bool
has_perl_module(const char *name)
{
	char command[96];

	snprintf(command, sizeof(command), "perl -M%s -e 1 2>/dev/null", name);
	if (system(command) == 0)
		return (true);
	printf("%s is not there: not tested\n", name);
	return (false);
}

static void
run_perl_client(const char *module)
{
	struct server *srv;
	char arguments[128];

	if (!has_perl_module(module))
		return;
	srv = server_start("workers = 2;", WEB("echo", ""));
	snprintf(arguments, sizeof(arguments), "interop.pl %s %s", module,
	    web_url());
	run_script("perl", arguments);
	server_end(srv);
}

START_TEST(perl_s_http_tiny_is_served)
{
	run_perl_client("HTTP::Tiny");
}
END_TEST

START_TEST(perl_s_lwp_is_served)
{
	run_perl_client("LWP::UserAgent");
}
END_TEST

START_TEST(java_s_http_url_connection_is_served)
{
	struct server *srv;
	char arguments[128];

	if (!has_program("javac"))
		return;
	srv = server_start("workers = 2;", WEB("echo", ""));
	snprintf(arguments, sizeof(arguments), "Interop.java %s", web_url());
	run_script("java", arguments);
	server_end(srv);
}
END_TEST

/* What curl prints: the body and, in brackets, the status. */
static void
expect_curl(const char *before, const char *options, const char *said)
{
	char command[256], output[256];
	FILE *from;
	size_t len;

	snprintf(command, sizeof(command), "%s curl -sS -m 30 -w '[%%{http_code}]' "
	    "%s %s 2>&1", before, options, web_url());
	ck_assert_ptr_nonnull(from = popen(command, "re"));
	len = fread(output, 1, sizeof(output) - 1, from);
	output[len] = '\0';
	ck_assert_int_eq(pclose(from), 0);
	ck_assert_msg(strcmp(output, said) == 0, "%s: %s", command, output);
}

START_TEST(curl_is_served)
{
	struct server *srv;

	if (!has_program("curl"))
		return;
	srv = server_start("workers = 2;", WEB("echo", ""));
	expect_curl("", "-X POST", "[200]");
	expect_curl("", "-X PUT", "[200]");
	expect_curl("", "-X PATCH", "[200]");
	expect_curl("", "-X DELETE", "[200]");
	expect_curl("", "-d hello", "hello[200]");
	expect_curl("", "-0 -d hello", "hello[200]");
	expect_curl("printf hello |", "-T -", "hello[200]");
	expect_curl("printf hello |", "-T - -H 'Expect: 100-continue'",
	    "hello[200]");
	server_end(srv);
}
END_TEST

static bool
has_all(void)
{
	return (has_program("escript") && has_program("python3") &&
	    has_program("curl") && has_perl_module("HTTP::Tiny") &&
	    has_perl_module("LWP::UserAgent"));
}

static int
run(void)
{
	const TTest *const tests[] = {
		an_erlang_client_with_packet_4_is_served,
		python_clients_are_served,
		every_line_of_a_json_log_is_an_object,
		perl_s_http_tiny_is_served,
		perl_s_lwp_is_served,
		java_s_http_url_connection_is_served,
		curl_is_served,
	};

	return (run_tests("interop", tests, sizeof(tests) / sizeof(tests[0])));
}

int
main(void)
{
	int status = run();

	if (status != 0 || has_all())
		return (status);
	printf("not all of these clients are there\n");
	return (77);
}
