/* SPDX-License-Identifier: ISC */
/*
 * Response fields that handlers give: they reach the client whole, in whatever
 * way the reply goes, or the reply is refused.
 */
#include <sys/socket.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/web_client.h"

/* Replies with what the message asks for: a command takes it for its reply
 * metadata, a module as in tests/programs/module_misbehave.c. */
#define SAYS		COMMAND("command", "\"--metadata\", "		\
			    "\"--reply-metadata\", \"say\"",		\
			    "metadata = true; reply_metadata = true;")
#define BOTH								\
	"workers = 1;\nhandlers = ( " SAYS ", "				\
	    MODULE("module", "", "threads = 2;") " );\n"
#define ROUTE(path, handler)						\
	"{ path = \"" path "\"; handler = \"" handler "\"; }"
#define WEBS								\
	WEB("echo", "pipeline = 16; routes = ( "			\
	    ROUTE("/command", "command") ", " ROUTE("/module", "module") " );")

static void
send_request(int fd, const char *method, const char *path, const char *body)
{
	char head[256];

	snprintf(head, sizeof(head), "%s %s HTTP/1.1" N "Host: a" N
	    "Content-Length: %zu" N N, method, path, strlen(body));
	client_send_text(fd, head);
	client_send_text(fd, body);
}

static void
expect_field(const struct reply *reply, const char *field)
{
	char line[256];

	snprintf(line, sizeof(line), N "%s" N, field);
	ck_assert_msg(strstr(reply->head, line) != NULL, "no %s in %s", field,
	    reply->head);
}

/* The next reply has this status and the fields a and b. */
static void
expect_two(int fd, unsigned status, bool is_head)
{
	struct reply reply;

	read_reply(fd, &reply, is_head);
	ck_assert_uint_eq(reply.status, status);
	expect_field(&reply, "Set-Cookie: a=1; Path=/");
	expect_field(&reply, "Set-Cookie: b=\xc3\xa4");
	if (status == 204 || status == 304)
		ck_assert_ptr_null(strstr(reply.head, N "Content-"));
	else if (status != 205)
		ck_assert_uint_gt(reply.len, 0);
}

static const char *
two_of(const char *path, unsigned status)
{
	static char text[256];

	if (strcmp(path, "/module") == 0)
		snprintf(text, sizeof(text), "fields %u|Set-Cookie|"
		    "a=1; Path=/|Set-Cookie| b=\xc3\xa4 ", status);
	else
		snprintf(text, sizeof(text), "{\"status\":%u,\"fields\":"
		    "{\"Set-Cookie\":[\"a=1; Path=/\",\"b=\xc3\xa4\"]}}",
		    status);
	return (text);
}

START_TEST(fields_reach_the_client_with_each_kind_of_reply)
{
	static const char *const paths[] = { "/command", "/module" };
	static const unsigned statuses[] = { 200, 302, 204, 205, 304, 401, 405,
	    503, 299 };
	const size_t n = sizeof(statuses) / sizeof(*statuses);
	struct server *srv = handlers_start(BOTH, WEBS);
	struct reply reply;
	int fd;

	for (int i = 0; i < 2; i++) {
		fd = client_connect(WEB_PORT);
		for (size_t j = 0; j < n; j++) {
			send_request(fd, "POST", paths[i],
			    two_of(paths[i], statuses[j]));
			send_request(fd, "POST", paths[i], "");
		}
		for (size_t j = 0; j < n; j++) {
			expect_two(fd, statuses[j], false);
			/* Nothing is left to the next reply. */
			read_reply(fd, &reply, false);
			ck_assert_uint_eq(reply.status, 200);
			ck_assert_ptr_null(strcasestr(reply.head,
			    N "Set-Cookie"));
		}
		send_request(fd, "HEAD", paths[i], two_of(paths[i], 200));
		expect_two(fd, 200, true);
		send_request(fd, "OPTIONS", paths[i], two_of(paths[i], 204));
		expect_two(fd, 204, false);
		close(fd);
	}
	await(server_worker_counters(srv).buffered == 0);
	server_end(srv);
}
END_TEST

/* As many bytes of fields as may be, and around the size of what is gathered
 * before it is written. */
START_TEST(many_fields_go_with_replies_of_any_size)
{
	enum { SIZES = 6 };
	static const unsigned sizes[SIZES] = { 0, 1, 50000, 56000, 65000,
	    200000 };
	static char field[8192], got[300000];
	struct server *srv = handlers_new();
	char name[64], command[256];
	const char *end;
	size_t len;
	FILE *from;

	if (!has_program("curl"))
		return;
	server_write(srv, "sizes.py",
	    "import json, struct, sys\n"
	    "i, o = sys.stdin.buffer, sys.stdout.buffer\n"
	    "def put(b): o.write(struct.pack('>I', len(b)) + b)\n"
	    "while h := i.read(4):\n"
	    "    n = int(i.read(*struct.unpack('>I', h)))\n"
	    "    put(json.dumps({'fields': {'X-Long': 'f' * 8000}}).encode())\n"
	    "    put(b'x' * n)\n"
	    "    o.flush()\n");
	handlers_configure(srv, HANDLERS("{ name = \"sizes\"; "
	    "type = \"command\"; reply_metadata = true; processes = 1; "
	    "command = [ \"python3\", \"sizes.py\" ]; }"),
	    WEB("sizes", "pipeline = 16;"));
	server_launch(srv);
	server_await_ready(srv);
	memset(field, 'f', 8000);
	for (int i = 0; i < SIZES; i++) {
		snprintf(command, sizeof(command), "curl -sSi -d %u "
		    "http://%s:%d 2>&1", sizes[i], own_address(), WEB_PORT);
		ck_assert_ptr_nonnull(from = popen(command, "re"));
		len = fread(got, 1, sizeof(got) - 1, from);
		got[len] = '\0';
		ck_assert_int_eq(pclose(from), 0);
		ck_assert_ptr_nonnull(end = strstr(got, N N));
		snprintf(name, sizeof(name), N "Content-Length: %u" N,
		    sizes[i]);
		ck_assert_ptr_nonnull(strstr(got, name));
		ck_assert_ptr_nonnull(strstr(got, field));
		ck_assert_uint_eq(strlen(end + 4), sizes[i]);
	}
	server_end(srv);
}
END_TEST

/*
 * What may not be sent.
 */

/* The client gets nothing of it, and the next request is answered. */
static void
expect_refused(struct server *srv, const char *path, const char *body,
    const char *why)
{
	int fd = client_connect(WEB_PORT);
	struct reply reply;
	const char *line;

	server_mark(srv);
	send_request(fd, "POST", path, body);
	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, 500);
	ck_assert_str_eq(reply.body, "500 Internal Server Error\n");
	ck_assert_ptr_null(strcasestr(reply.head, "cookie"));
	line = server_expect(srv, strcmp(path, "/module") == 0 ?
	    "event=handler_stderr" : "event=reply_refused");
	ck_assert_msg(strstr(line, why) != NULL, "%s", line);
	send_request(fd, "POST", path, "");
	expect_reply(fd, 200, NULL, false);
	close(fd);
}

START_TEST(a_field_that_may_not_be_sent_refuses_the_reply)
{
	static const struct {
		const char *path, *body, *why;
	} rows[] = {
		{ "/command", "{\"fields\":{\"X-Cookie\":\"a\","
		  "\"Location\":\"/\\r\\nSet-Cookie: b\"}}",
		  "the value has a control character" },
		{ "/command", "{\"fields\":{\"X-Cookie\":\"a\","
		  "\"Content-Length\":\"1\"}}",
		  "Content-Length\\\": the server sets this field itself" },
		{ "/command", "{\"fields\":[\"X-Cookie\"]}",
		  "fields is [\\\"X-Cookie\\\"], not an object" },
		/* As json.dumps() writes what json.loads() took. */
		{ "/command", "{\"fields\":{\"X-Cookie\":\"\\ud800\"}}",
		  "invalid Unicode" },
		{ "/command", "{\"fields\":{\"X-Cookie\":\"\xff\"}}",
		  "unable to decode byte 0xff" },
		{ "/command", "{\"content_type\":\"text/h\xc3\xa4ml\"}",
		  "not 1 to 255 printable ASCII characters" },
		{ "/module", "fields 200|X-Cookie|a|Location|/\r\n"
		  "Set-Cookie: b", "response field Location: the value has a "
		  "control character" },
		{ "/module", "fields 200|X-Cookie|a|Transfer-Encoding|chunked",
		  "the server sets this field itself" },
	};
	struct server *srv = handlers_start(BOTH, WEBS);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		expect_refused(srv, rows[i].path, rows[i].body, rows[i].why);
	/* Nobody dies of it: a client may have asked for it. */
	ck_assert_uint_eq(handler_counters(srv).crashes, 0);
	ck_assert_uint_eq(handler_counters(srv).failed,
	    sizeof(rows) / sizeof(*rows));
	server_end(srv);
}
END_TEST

/* Clients of other protocols do not see them. */
START_TEST(frames_and_lines_have_no_fields)
{
	struct server *srv = handlers_start(BOTH, LISTENER("one", "9000",
	    "frame", "module", "") ",\n" ONE_LINE("command", ""));
	int fd = client_connect(FRAME_PORT);
	char c;

	client_send_text_frame(fd, two_of("/module", 302));
	client_expect_text_frame(fd, "0 refused");
	close(fd);
	fd = client_connect(LINE_PORT);
	client_send_text(fd, two_of("/command", 302));
	client_send_text(fd, "\n");
	await(client_has_input(fd));
	ck_assert_int_eq(recv(fd, &c, 1, 0), 1);
	ck_assert_int_eq(c, '{');
	close(fd);
	server_end(srv);
}
END_TEST

/*
 * Replies that wait while their connection changes hands.
 */

/* The first request of a connection waits for a busy handler, and the replies to
 * two more have to wait for that one. */
struct moving {
	int busy, fd;
};

static struct moving
begin_moving(struct server *srv)
{
	struct moving moving = { .busy = client_connect(WEB_PORT) };

	send_request(moving.busy, "POST", "/slow", "busy");
	await(server_counters(srv).messages_in == 1);
	moving.fd = client_connect(WEB_PORT);
	send_request(moving.fd, "POST", "/slow", "slow");
	send_request(moving.fd, "POST", "/module", two_of("/module", 302));
	send_request(moving.fd, "POST", "/module", "plain");
	await(handler_counters(srv).waiting == 1);
	return (moving);
}

static void
finish_moving(struct server *srv, const struct moving *moving)
{
	expect_reply(moving->busy, 200, "busy", false);
	expect_reply(moving->fd, 200, "slow", false);
	expect_two(moving->fd, 302, false);
	expect_reply(moving->fd, 200, "plain", false);
	send_request(moving->fd, "POST", "/module", "more");
	expect_reply(moving->fd, 200, "more", false);
	ck_assert_uint_eq(server_counters(srv).accepted, 2);
	close(moving->fd);
	close(moving->busy);
}

#define SLOW_ONE								\
	"workers = 1; probation = 0.0;\nhandlers = ( "			\
	    COMMAND("slow", "\"sleep\", \"1500\"", "") ", "		\
	    MODULE("module", "", "threads = 2;") " );\n"
#define SLOW_WEBS							\
	WEB("echo", "pipeline = 16; routes = ( "			\
	    ROUTE("/slow", "slow") ", " ROUTE("/module", "module") " );")

START_TEST(fields_go_to_another_worker_with_their_reply)
{
	struct server *srv = handlers_start(SLOW_ONE, SLOW_WEBS);
	struct moving moving = begin_moving(srv);

	server_mark(srv);
	server_signal(srv, SIGHUP);
	finish_moving(srv, &moving);
	server_expect(srv, "event=reload_done");
	server_end(srv);
}
END_TEST

/* The previous release does not know of fields: the worker of this one serves the
 * connection until they are sent. */
START_TEST(fields_are_not_lost_to_the_previous_release)
{
	struct server *srv = handlers_new();
	struct moving moving;

	handlers_configure(srv, SLOW_ONE, SLOW_WEBS);
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	moving = begin_moving(srv);
	server_install(srv, "tests/programs/penstock-previous");
	server_mark(srv);
	server_signal(srv, SIGUSR2);
	finish_moving(srv, &moving);
	server_expect(srv, "event=upgraded to=previous");
	server_end(srv);
}
END_TEST

RUN_TESTS("server_fields",
    fields_reach_the_client_with_each_kind_of_reply,
    many_fields_go_with_replies_of_any_size,
    a_field_that_may_not_be_sent_refuses_the_reply,
    frames_and_lines_have_no_fields,
    fields_go_to_another_worker_with_their_reply,
    fields_are_not_lost_to_the_previous_release)
