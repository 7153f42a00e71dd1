/* SPDX-License-Identifier: ISC */
/*
 * The access log: a line for each request, whatever it contains and whoever
 * answers it, over rotations, reloads and upgrades, and when nobody reads it.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <inttypes.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/web_client.h"

#define TO(file)	"access_log = { file = \"" file "\"; };\n"
#define AS_JSON		"access_log = { file = \"access\"; "		\
			"format = \"json\"; };\n"

static char content[1 << 20];

/* Read a file, "" if it is not there.  Returns how many lines it has. */
static unsigned
read_lines(struct server *srv, const char *file)
{
	FILE *from = fopen(server_path(srv, file), "re");
	unsigned lines = 0;
	size_t len = 0;

	if (from != NULL) {
		len = fread(content, 1, sizeof(content) - 1, from);
		fclose(from);
	}
	content[len] = '\0';
	for (size_t i = 0; i < len; i++)
		lines += content[i] == '\n';
	return (lines);
}

/* Wait until there are as many, and no more. */
static char *
await_lines(struct server *srv, const char *file, unsigned n)
{
	unsigned lines;

	await((lines = read_lines(srv, file)) >= n);
	ck_assert_uint_eq(lines, n);
	return (content);
}

static char *
line_of(char *lines, unsigned number)
{
	while (number-- > 0)
		lines = strchr(lines, '\n') + 1;
	*strchr(lines, '\n') = '\0';
	return (lines);
}

static void
expect_match(const char *line, const char *pattern)
{
	regex_t regex;

	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB),
	    0);
	ck_assert_msg(regexec(&regex, line, 0, NULL, 0) == 0,
	    "%s\nis not as\n%s", line, pattern);
	regfree(&regex);
}

#define TIME	"\\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}(:[0-9]{2}){3} \\+0000\\]"
#define WHO	"^127\\.[0-9.]+ - - " TIME " "
#define END(id)	" web " id " [0-9]+$"
/* Where a request that does not come is soon too late. */
#define HASTY	LISTENER("hasty", "9003", "http", "echo", "read_timeout = 0.3;")

START_TEST(there_is_no_access_log_unless_configured)
{
	struct server *srv = server_start("workers = 1;", WEB("echo", ""));
	int fd = client_connect(WEB_PORT);

	ask(fd, GET N, 200, "", false);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(an_access_line_shows_request_and_reply)
{
	struct server *srv = server_start("workers = 1;\n" TO("access"),
	    WEB("echo", "") ",\n" HASTY ",\n" FRAMES(""));
	int fd = client_connect(WEB_PORT), other = client_connect(FRAME_PORT);
	struct reply reply;
	char *lines;

	ask(fd, "POST /a?b=c HTTP/1.1" N "Host: a" N "Content-Length: 5" N
	    "Referer: http://x/" N "user-agent: me \"and\" \\ \xe4" N N "hello",
	    200, "hello", false);
	client_send_text(fd, "HEAD / HTTP/1.0" N "Connection: keep-alive" N
	    "Content-Length: 3" N N "abc");
	read_reply(fd, &reply, true);
	ask(fd, POST "Expect: 100-continue" N "Content-Length: 5" N N, 100,
	    NULL, false);
	ask(fd, "hello", 200, "hello", false);
	ask(fd, "BREW / HTTP/1.1" N "Host: a" N N, 501, NULL, true);
	client_expect_eof(fd);
	close(fd);
	fd = client_connect(WEB_PORT);
	ask(fd, "\x01" N N, 400, NULL, true);
	close(fd);
	fd = client_connect(EXTRA_PORT);
	ask(fd, "GET / HT", 408, NULL, true);
	close(fd);
	client_echo(other, "no request");
	close(other);
	lines = await_lines(srv, "access", 6);
	expect_match(line_of(lines, 5), WHO "\"GET / HTTP/1\\.1\" 408 20 \"-\" "
	    "\"-\" hasty [0-9]+ [0-9]+$");
	expect_match(line_of(lines, 4), WHO "\"-\" 400 16 \"-\" \"-\""
	    END("[0-9]+"));
	expect_match(line_of(lines, 3), WHO "\"BREW / HTTP/1\\.1\" 501 [0-9]+ "
	    "\"-\" \"-\"" END("[0-9]+"));
	expect_match(line_of(lines, 2), WHO "\"POST / HTTP/1\\.1\" 200 5 "
	    "\"-\" \"-\"" END("[0-9]+"));
	expect_match(line_of(lines, 1), WHO "\"HEAD / HTTP/1\\.0\" 200 0 "
	    "\"-\" \"-\"" END("[0-9]+"));
	expect_match(line_of(lines, 0), WHO "\"POST /a\\?b=c HTTP/1\\.1\" 200 5 "
	    "\"http://x/\" \"me \\\\x22and\\\\x22 \\\\x5c \\\\xe4\""
	    END("[0-9]+"));
	server_end(srv);
}
END_TEST

START_TEST(an_access_line_can_be_json)
{
	struct server *srv = server_start("workers = 1;\n" AS_JSON,
	    WEB("discard", ""));
	int fd = client_connect(WEB_PORT);
	char *lines;

	ask(fd, "GET /x HTTP/1.1" N "Host: a" N "User-Agent: \"\xc3\xa4\xe4\\" N N,
	    204, "", false);
	ask(fd, "nonsense" N N, 400, NULL, true);
	close(fd);
	lines = await_lines(srv, "access", 2);
	expect_match(line_of(lines, 1), "\"port\":[0-9]+,\"status\":400,"
	    "\"bytes\":16,\"duration_us\":[0-9]+\\}$");
	expect_match(line_of(lines, 0), "^\\{\"time\":\"[0-9]{4}-[0-9]{2}-[0-9]"
	    "{2}T[0-9:]{8}Z\",\"listener\":\"web\",\"conn\":[0-9]+,"
	    "\"peer\":\"127\\.[0-9.]+\",\"port\":[0-9]+,"
	    "\"request\":\"[0-9]+-1\",\"version\":\"1\\.1\","
	    "\"method\":\"GET\",\"target\":\"/x\",\"status\":204,\"bytes\":0,"
	    "\"duration_us\":[0-9]+,\"agent\":\"\\\\\"\xc3\xa4\\\\ufffd\\\\\\\\\"\\}$");
	server_end(srv);
}
END_TEST

/* Whoever answers it, and when. */
START_TEST(a_json_access_line_has_the_request_id)
{
	struct server *srv = handlers_start("workers = 1;\n" AS_JSON
	    "handlers = ( " SLOW_HANDLER " );\n",
	    WEB("slow", "request_id = false; "
	    "routes = ( { path = \"/\"; handler = \"echo\"; }, "
	    "{ path = \"/slow\"; handler = \"slow\"; } );"));
	int fd = client_connect(WEB_PORT);
	char *lines;

	ask(fd, GET "X-Request-Id: one" N N, 200, "", false);
	ask(fd, "GET /slow HTTP/1.1" N "Host: a" N "X-Request-Id: two" N N,
	    200, "", false);
	ask(fd, "GET /none HTTP/1.1" N "Host: a" N "X-Request-Id: three" N N,
	    404, NULL, false);
	ask(fd, POST "X-Request-Id: four" N "Transfer-Encoding: x" N N, 501,
	    NULL, true);
	close(fd);
	lines = await_lines(srv, "access", 4);
	expect_match(line_of(lines, 3), ",\"request\":\"four\",.*:501,");
	expect_match(line_of(lines, 2), ",\"request\":\"three\",.*:404,");
	expect_match(line_of(lines, 1), ",\"request\":\"two\",.*:200,");
	expect_match(line_of(lines, 0), ",\"request\":\"one\",.*:200,");
	server_end(srv);
}
END_TEST

START_TEST(a_long_access_line_is_cut_in_its_long_field)
{
	enum { LONG = 5000 };
	struct server *srv = server_start("workers = 1;\n" TO("access"),
	    WEB("echo", ""));
	int fd = client_connect(WEB_PORT);
	char *request = calloc(1, 3 * LONG + 256), *line;

	ck_assert_ptr_nonnull(request);
	strcpy(request, "GET /");
	memset(request + strlen(request), 't', LONG);
	strcat(request, " HTTP/1.1" N "Host: a" N "Referer: r");
	memset(request + strlen(request), 0xe4, LONG);
	strcat(request, N "User-Agent: a");
	memset(request + strlen(request), '"', LONG);
	strcat(request, N N);
	ask(fd, request, 200, "", false);
	close(fd);
	line = line_of(await_lines(srv, "access", 1), 0);
	ck_assert_uint_lt(strlen(line), 4096);
	expect_match(line, "\"GET /t+\\.\\.\\. HTTP/1\\.1\" 200 0 "
	    "\"r(\\\\xe4)+\\.\\.\\.\" \"a(\\\\x22)+\\.\\.\\.\"" END("[0-9]+"));
	free(request);
	server_end(srv);
}
END_TEST

/* Handlers elsewhere, replies that wait for those, and more than one worker. */
START_TEST(slow_requests_are_logged_with_their_duration)
{
	struct server *srv = handlers_start("workers = 2;\n" TO("access")
	    "handlers = ( " COMMAND("mine", "\"sleep\", \"200\"", "") " );",
	    WEB("mine", "routes = ( { path = \"/\"; handler = \"mine\"; } );"));
	int fd = client_connect(WEB_PORT);
	char *lines, *line;

	client_send_text(fd, "GET / HTTP/1.1" N "Host: a" N "User-Agent: me" N
	    N "GET /no HTTP/1.1" N "Host: a" N "Referer: it" N N);
	expect_reply(fd, 200, "", false);
	expect_reply(fd, 404, NULL, false);
	close(fd);
	lines = await_lines(srv, "access", 2);
	line = line_of(lines, 1);
	expect_match(line, "\"GET /no HTTP/1\\.1\" 404 14 \"it\" \"-\""
	    END("[0-9]+"));
	ck_assert_uint_ge(strtoul(strrchr(line, ' '), NULL, 10), 150000);
	line = line_of(lines, 0);
	expect_match(line, "\"GET / HTTP/1\\.1\" 200 0 \"-\" \"me\""
	    END("[0-9]+"));
	ck_assert_uint_ge(strtoul(strrchr(line, ' '), NULL, 10), 200000);
	server_end(srv);
}
END_TEST

/* A slow request, and requests behind it that wait for its reply; each has more
 * to log than fits into its line. */
static size_t
put_refused(char *to, unsigned n, size_t len)
{
	char *at = stpcpy(to, GET N);

	while (n-- > 0) {
		at = stpcpy(at, "GET /no/");
		memset(at, 't', len);
		at = stpcpy(at + len, " HTTP/1.1" N "Host: a" N
		    "User-Agent: ");
		memset(at, 'u', len);
		at = stpcpy(at + len, N N);
	}
	return ((size_t)(at - to));
}

START_TEST(memory_for_access_lines_counts_against_max_buffered)
{
	enum { EACH = 15, LONG = 7000, CROWD = 20 };
	static char text[EACH * (2 * LONG + 256)];
	struct server *srv = handlers_start("workers = 1;\n"
	    "max_buffered = 262144;\n" TO("access")
	    "handlers = ( " COMMAND("mine", "\"sleep\", \"500\"", "") " );",
	    WEB("mine", "pipeline = 16; max_message_size = 16384; "
	    "routes = ( { path = \"/\"; handler = \"mine\"; } );"));
	size_t len = put_refused(text, EACH, LONG);
	int fds[CROWD], fd = client_connect(WEB_PORT);

	client_send(fd, text, len);
	expect_reply(fd, 200, "", false);
	for (int i = 0; i < EACH; i++)
		expect_reply(fd, 404, NULL, false);
	/* All that their lines need, and not much more. */
	ck_assert_uint_gt(server_worker_counters(srv).buffered_peak,
	    EACH * 3000);
	ck_assert_uint_lt(server_worker_counters(srv).buffered_peak,
	    EACH * 8000);
	close(fd);
	/* Those for whom there is no room have to go. */
	for (int i = 0; i < CROWD; i++) {
		fds[i] = client_connect(WEB_PORT);
		(void)!send(fds[i], text, len, MSG_NOSIGNAL);
	}
	await(server_closed(srv, CLOSE_MEMORY) > 0);
	ck_assert_uint_le(server_worker_counters(srv).buffered_peak, 262144);
	for (int i = 0; i < CROWD; i++)
		close(fds[i]);
	await(server_worker_counters(srv).buffered == 0);
	server_end(srv);
}
END_TEST

static void
rotate(struct server *srv, unsigned number)
{
	char name[16], to[256];

	snprintf(name, sizeof(name), "access.%u", number);
	snprintf(to, sizeof(to), "%s", server_path(srv, name));
	server_mark(srv);
	ck_assert_int_eq(rename(server_path(srv, "access"), to), 0);
	server_signal(srv, SIGUSR1);
	server_expect(srv, "event=reopen");
}

/* All that a load has sent has its line, in one of the files. */
static void
expect_lines(struct server *srv, unsigned files, uint64_t n)
{
	char name[16];
	char *line = NULL;
	size_t size = 0;
	uint64_t lines = 0;
	FILE *from;

	for (unsigned i = 0; i <= files; i++) {
		snprintf(name, sizeof(name), i < files ? "access.%u" :
		    "access", i);
		from = fopen(server_path(srv, name), "re");
		ck_assert_ptr_nonnull(from);
		while (getline(&line, &size, from) > 0) {
			expect_match(line, WHO "\"POST /load HTTP/1\\.1\" 200 "
			    "[0-9]+ \"-\" \"-\" (slow_)?web [0-9]+ [0-9]+\n$");
			lines++;
		}
		fclose(from);
	}
	free(line);
	ck_assert_uint_eq(lines, n);
}

START_TEST(no_line_is_lost_over_rotations_reloads_and_upgrades)
{
	enum { ROUNDS = 3 };
	static const char globals[] = "workers = 2;\n" TO("access")
	    "handlers = ( " SLOW_HANDLER " );";
	static const char listeners[] = WEB("echo", "") ",\n" SLOW_WEB("");
	struct server *srv = handlers_new();
	struct hold_options options = load_on(WEB_PORT);
	struct hold_process *load;
	uint64_t sent;

	handlers_configure(srv, globals, listeners);
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	options.connections = 20;
	options.pipeline = options.slow = 4;
	options.rate = 500;
	ck_assert_ptr_nonnull(load = hold_start(&options));
	for (unsigned i = 0; i < ROUNDS; i++) {
		sent = hold_peek(load)->answered;
		await(hold_peek(load)->answered > sent + 50);
		rotate(srv, i);
		server_mark(srv);
		server_signal(srv, i == 1 ? SIGUSR2 : SIGHUP);
		server_expect(srv, "event=reload_done");
		server_expect(srv, "event=reload_report");
	}
	hold_verify(load);
	expect_unharmed(hold_stop(load));
	sent = hold_peek(load)->sent;
	hold_drop(load);
	ck_assert_uint_eq(server_count(srv, "event=access_log_lost"), 0);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	expect_lines(srv, ROUNDS, sent);
	server_end(srv);
}
END_TEST

START_TEST(an_access_log_that_does_not_open_refuses_the_reload)
{
	struct server *srv = server_start("workers = 1;", WEB("echo", ""));
	int fd = client_connect(WEB_PORT);

	server_configure(srv, "workers = 1;\n" TO("no/where"), WEB("echo", ""));
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=reload_refused"), "access log no/where: No such file"));
	ask(fd, GET N, 200, "", false);
	close(fd);
	server_end(srv);
}
END_TEST

/* How many lines can be read just now. */
static uint64_t
lines_in(int pipe)
{
	static char bytes[65536];
	ssize_t len = read(pipe, bytes, sizeof(bytes));
	uint64_t n = 0;

	for (ssize_t i = 0; i < len; i++)
		n += bytes[i] == '\n';
	return (n);
}

/* Nobody waits for who does not read it. */
START_TEST(lines_that_a_full_pipe_does_not_take_are_counted_as_lost)
{
	enum { MANY = 16000 };
	struct server *srv = server_new();
	int reader, fd;
	uint64_t lines = 0;

	ck_assert_int_eq(mkfifo(server_path(srv, "access"), 0600), 0);
	reader = open(server_path(srv, "access"),
	    O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ne(reader, -1);
	server_configure(srv, "workers = 1;\n" TO("access"), WEB("echo", ""));
	server_launch(srv);
	server_await_ready(srv);
	fd = client_connect(WEB_PORT);
	for (int i = 0; i < MANY; i++)
		ask(fd, GET N, 200, "", false);
	server_expect(srv, "event=access_log_lost");
	ck_assert_uint_gt(server_worker_counters(srv).access_lost, 0);
	/* What is kept is written when there is room. */
	await((lines += lines_in(reader)) +
	    server_worker_counters(srv).access_lost == MANY);
	ask(fd, GET N, 200, "", false);
	close(fd);
	close(reader);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_access_log",
    there_is_no_access_log_unless_configured,
    an_access_line_shows_request_and_reply,
    an_access_line_can_be_json,
    a_json_access_line_has_the_request_id,
    a_long_access_line_is_cut_in_its_long_field,
    slow_requests_are_logged_with_their_duration,
    memory_for_access_lines_counts_against_max_buffered,
    no_line_is_lost_over_rotations_reloads_and_upgrades,
    an_access_log_that_does_not_open_refuses_the_reload,
    lines_that_a_full_pipe_does_not_take_are_counted_as_lost)
