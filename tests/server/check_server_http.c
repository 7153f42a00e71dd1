/* SPDX-License-Identifier: ISC */
/*
 * HTTP/1.1 over sockets: what is read, what is answered, and when a connection
 * ends.
 */
#include <sys/socket.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/web_client.h"
#include "tests/lib/http_table.h"

#define ROUTED(routes, more)						\
	"{ name = \"web\"; address = \"$A:9004\"; protocol = \"http\"; "	\
	"routes = ( " routes " ); " more " }"
#define ECHO_SERVER(more) server_start("workers = 1;", WEB("echo", more))

/*
 * The table.
 */

static bool
is_head_row(const struct http_row *row)
{
	return (strncmp(row->raw, "HEAD ", 5) == 0);
}

/* The reply to a row has come; then there is that to the canary, or the end. */
static void
expect_row(int fd, const struct http_row *row)
{
	struct reply reply;

	do {
		read_reply(fd, &reply, is_head_row(row));
	} while (reply.status == 100);
	ck_assert_msg(reply.status == row->status, "%u instead of %u: %s",
	    reply.status, row->status, row->raw);
	ck_assert_int_eq(reply.close, !row->stays);
	if (row->status == 200)
		ck_assert_str_eq(reply.body, row->body);
	if (row->stays)
		expect_reply(fd, 200, "canary", false);
	else
		client_expect_eof(fd);
}

/* Send a row and the canary in two pieces. */
static void
try_row(const struct http_row *row, size_t cut)
{
	int fd = client_connect(WEB_PORT);

	client_send(fd, row->raw, cut);
	client_send(fd, row->raw + cut, row->len - cut);
	client_send_text(fd, http_canary);
	expect_row(fd, row);
	close(fd);
}

START_TEST(every_request_of_the_table_has_its_status)
{
	struct server *srv = ECHO_SERVER(HTTP_TABLE_LIMITS);

	for (size_t i = 0; i < http_table_len; i++) {
		try_row(&http_table[i], http_table[i].len);
		try_row(&http_table[i], http_table[i].len / 2);
	}
	server_end(srv);
}
END_TEST

/*
 * Connections.
 */

START_TEST(a_connection_stays_until_a_request_says_that_it_is_the_last)
{
	struct server *srv = ECHO_SERVER("");
	int fd = client_connect(WEB_PORT);

	for (int i = 0; i < 100; i++)
		ask(fd, POST "Content-Length: 5" N N "hello", 200, "hello",
		    false);
	ask(fd, GET "Connection: close" N N GET N, 200, "", true);
	client_expect_eof(fd);
	close(fd);
	server_expect(srv, "event=conn_close reason=done messages=101");
	server_end(srv);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_their_order)
{
	enum { MANY = 500 };
	struct server *srv = ECHO_SERVER("");
	int fd = client_connect(WEB_PORT);
	char request[128], body[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(body, sizeof(body), "message %d", i);
		snprintf(request, sizeof(request), POST "Content-Length: %zu"
		    N N "%s", strlen(body), body);
		client_send_text(fd, request);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(body, sizeof(body), "message %d", i);
		expect_reply(fd, 200, body, false);
	}
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(max_requests_ends_a_connection_and_says_so)
{
	struct server *srv = ECHO_SERVER("max_requests = 3;");
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, GET N GET N GET N GET N);
	expect_reply(fd, 200, "", false);
	expect_reply(fd, 200, "", false);
	expect_reply(fd, 200, "", true);
	client_expect_eof(fd);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_request_that_no_route_fits_is_one_of_max_requests)
{
	struct server *srv = ECHO_SERVER(
	    "max_requests = 2; routes = ( { path = \"/x\"; "
	    "handler = \"echo\"; } );");
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, GET N GET N GET N);
	expect_reply(fd, 404, NULL, false);
	expect_reply(fd, 404, NULL, true);
	client_expect_eof(fd);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_client_that_asks_first_is_told_to_go_on)
{
	struct server *srv = ECHO_SERVER("");
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, POST "Expect: 100-continue" N
	    "Content-Length: 5" N N);
	client_expect_text(fd, "HTTP/1.1 100 Continue" N N);
	ask(fd, "hello", 200, "hello", false);
	close(fd);
	server_end(srv);
}
END_TEST

/* RFC 9112, 2.2. */
START_TEST(empty_lines_begin_no_request)
{
	struct server *srv = ECHO_SERVER("read_timeout = 1.0;");
	int fd = client_connect(WEB_PORT);

	/* In one piece with what it follows, by itself, and in two pieces. */
	ask(fd, GET N N, 200, "", false);
	holds_for(1500, !client_has_input(fd));
	ask(fd, POST "Content-Length: 1" N N "x", 200, "x", false);
	client_send_text(fd, N);
	holds_for(1500, !client_has_input(fd));
	ask(fd, GET N, 200, "", false);
	client_send_text(fd, "\r");
	client_send_text(fd, "\n");
	holds_for(1500, !client_has_input(fd));
	client_send_text(fd, N N N);
	holds_for(1500, !client_has_input(fd));
	ask(fd, N GET N, 200, "", false);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(the_reply_to_head_has_a_length_and_no_body)
{
	struct server *srv = ECHO_SERVER("");
	int fd = client_connect(WEB_PORT);
	struct reply reply;

	client_send_text(fd, "HEAD / HTTP/1.1" N "Host: a" N
	    "Content-Length: 5" N N "hello" GET N);
	read_reply(fd, &reply, true);
	ck_assert_uint_eq(reply.status, 200);
	ck_assert_uint_eq(reply.len, 5);
	expect_reply(fd, 200, "", false);
	close(fd);
	server_end(srv);
}
END_TEST

/* The id in a reply; "" if it has none. */
static const char *
id_in(const struct reply *reply)
{
	static const char field[] = N "X-Request-Id: ";
	static char id[128];
	const char *at = strstr(reply->head, field);

	id[0] = '\0';
	if (at != NULL)
		ck_assert_int_eq(sscanf(at + strlen(field), "%127[^\r]", id),
		    1);
	return (id);
}

static void
ask_id(int fd, const char *request, unsigned status, const char *id)
{
	struct reply reply;

	client_send_text(fd, request);
	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, status);
	ck_assert_str_eq(id_in(&reply), id);
}

static uint64_t
conn_number(struct server *srv)
{
	return (log_number(server_expect(srv, "event=conn_open"), "conn"));
}

#define MY_ID	"X-Request-Id: my.id" N

START_TEST(a_reply_has_the_id_of_its_request)
{
	struct server *srv = ECHO_SERVER(
	    "routes = ( { path = \"/\"; handler = \"echo\"; }, "
	    "{ path = \"/none\"; handler = \"discard\"; } ); "
	    "max_message_size = 10;");
	int fd = client_connect(WEB_PORT);
	uint64_t conn = conn_number(srv);
	char id[64];

	for (int i = 1; i <= 11; i++) {
		snprintf(id, sizeof(id), "%" PRIu64 "-%d", conn, i);
		ask_id(fd, GET N, 200, id);
	}
	ask_id(fd, GET MY_ID N, 200, "my.id");
	snprintf(id, sizeof(id), "%" PRIu64 "-13", conn);
	ask_id(fd, GET "X-Request-Id: a b" N N, 200, id);
	snprintf(id, sizeof(id), "%" PRIu64 "-14", conn);
	ask_id(fd, "GET /other HTTP/1.1" N "Host: a" N N, 404, id);
	snprintf(id, sizeof(id), "%" PRIu64 "-15", conn);
	ask_id(fd, "GET /none HTTP/1.1" N "Host: a" N N, 204, id);
	ask_id(fd, "GET /other HTTP/1.1" N "Host: a" N MY_ID N, 404, "my.id");
	/* The word to go on is no reply yet. */
	ask_id(fd, POST MY_ID "Expect: 100-continue" N "Content-Length: 5" N N,
	    100, "");
	ask_id(fd, "hello", 200, "my.id");
	ask_id(fd, POST MY_ID "Content-Length: 11" N N, 413, "my.id");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_refusal_has_an_id_if_there_was_a_header)
{
	struct server *srv = ECHO_SERVER("");
	int fd = client_connect(WEB_PORT);
	char id[64];

	snprintf(id, sizeof(id), "%" PRIu64 "-1", conn_number(srv));
	ask_id(fd, POST "Transfer-Encoding: x" N N, 501, id);
	close(fd);
	fd = client_connect(WEB_PORT);
	ask_id(fd, POST MY_ID "Transfer-Encoding: chunked" N N "x" N, 400,
	    "my.id");
	close(fd);
	fd = client_connect(WEB_PORT);
	ask_id(fd, "nonsense" N MY_ID N, 400, "");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(without_request_id_no_reply_has_one)
{
	struct server *srv = ECHO_SERVER("request_id = false;");
	int fd = client_connect(WEB_PORT);

	ask_id(fd, GET N, 200, "");
	ask_id(fd, GET MY_ID N, 200, "");
	ask_id(fd, POST MY_ID "Transfer-Encoding: x" N N, 501, "");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_half_closed_client_has_its_replies)
{
	struct server *srv = ECHO_SERVER("");
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, GET N GET N "GET /unfin");
	client_half_close(fd);
	expect_reply(fd, 200, "", false);
	expect_reply(fd, 200, "", false);
	client_expect_eof(fd);
	close(fd);
	server_end(srv);
}
END_TEST

/*
 * Routes.
 */

START_TEST(requests_go_by_routes)
{
	struct server *srv = server_start("workers = 1;", ROUTED(
	    "{ path = \"/e\"; methods = [ \"POST\", \"PUT\" ]; "
	    "handler = \"echo\"; }, "
	    "{ path = \"/d/\"; match = \"prefix\"; handler = \"discard\"; }",
	    "server = \"me\";"));
	int fd = client_connect(WEB_PORT);
	struct reply reply;

	ask(fd, "POST /e?x HTTP/1.1" N "Host: a" N "Content-Length: 2" N N
	    "ab", 200, "ab", false);
	ask(fd, "GET /d/x HTTP/1.1" N "Host: a" N N, 204, "", false);
	ask(fd, "GET /x HTTP/1.1" N "Host: a" N N, 404, "404 Not Found\n",
	    false);
	ask(fd, "POST /x HTTP/1.1" N "Host: a" N "Content-Length: 2" N
	    "Accept: application/json" N N "ab", 404,
	    "{\"status\":404,\"error\":\"Not Found\"}\n", false);
	client_send_text(fd, "GET /e HTTP/1.1" N "Host: a" N N);
	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, 405);
	ck_assert_ptr_nonnull(strstr(reply.head, N "Allow: POST, PUT" N));
	ck_assert_ptr_nonnull(strstr(reply.head, N "Server: me" N));
	/* Who asks before it sends the body is spared that. */
	ask(fd, "POST /x HTTP/1.1" N "Host: a" N "Content-Length: 2" N
	    "Expect: 100-continue" N N, 404, NULL, true);
	client_expect_eof(fd);
	close(fd);
	/* Whatever it would send, and whether it waits or not: what follows is
	 * no request. */
	fd = client_connect(WEB_PORT);
	ask(fd, "GET /d/x HTTP/1.1" N "Host: a" N N "PATCH /e HTTP/1.1" N
	    "Host: a" N "Transfer-Encoding: chunked" N
	    "Expect: 100-continue" N N "21" N "GET /d/x HTTP/1.1" N
	    "Host: a" N N "12345" N "0" N N, 204, "", false);
	expect_reply(fd, 405, NULL, true);
	client_expect_eof(fd);
	close(fd);
	/* There is nothing wrong with what it said. */
	await(server_closed(srv, CLOSE_DONE) == 2);
	ck_assert_uint_eq(server_closed(srv, CLOSE_MALFORMED), 0);
	ck_assert_ptr_null(server_log(srv, "event=conn_error"));
	server_end(srv);
}
END_TEST

/*
 * Handlers elsewhere.
 */

/* What the build has made may stand where nobody but its owner can read it, so
 * the executors stay who we are. */
static const char *
as_builder(void)
{
	return (geteuid() == 0 ? "user = \"root\";\n" : "");
}

/* Workers with a handler of the configuration. */
static struct server *
start_with(const char *handler, const char *more)
{
	static const char fields[] = "fields = [ \"X-Device\", \"X-No\" ]; ";
	char globals[4096], listener[1024];

	snprintf(globals, sizeof(globals), "%sworkers = 1;\n"
	    "handlers = ( { name = \"mine\"; %s } );", as_builder(), handler);
	snprintf(listener, sizeof(listener), WEB("mine", "%s %s"), fields,
	    more);
	return (server_start(globals, listener));
}

/* Where the tests' handlers are. */
static const char *
place(const char *variable)
{
	const char *value = getenv(variable);

	return (value != NULL ? value : ".");
}

static struct server *
start_module(const char *more)
{
	char handler[2048];

	snprintf(handler, sizeof(handler), "type = \"module\"; "
	    "module = \"%s/tests/programs/module_misbehave.so\"; %s",
	    place("TOP_BUILDDIR"), more);
	return (start_with(handler, ""));
}

/* A command, and keys of its listener. */
static struct server *
start_command_with(const char *args, const char *more, const char *listener)
{
	char handler[2048];

	/* A program in Python takes a while to start where there is much to
	 * do. */
	snprintf(handler, sizeof(handler), "type = \"command\"; "
	    "processes = 1; queue_timeout = 60.0; command = [ \"python3\", "
	    "\"%s/tests/programs/command_misbehave.py\", %s ]; %s %s",
	    place("TOP_SRCDIR"), args, more, strstr(more, "request_timeout") ==
	    NULL ? "request_timeout = 60.0;" : "");
	return (start_with(handler, listener));
}

static struct server *
start_command(const char *args, const char *more)
{
	return (start_command_with(args, more, ""));
}

/* POST a text with two occurrences of a field that handlers see. */
static void
post(int fd, const char *target, const char *text)
{
	char request[1024];

	snprintf(request, sizeof(request), "POST %s HTTP/1.1" N "Host: a" N
	    "X-Device: 7" N "X-Other: no" N "x-device: \"\xc3\xa9\xe4\"" N
	    "Content-Length: %zu" N N "%s", target, strlen(text), text);
	client_send_text(fd, request);
}

static void
expect_type(int fd, unsigned status, const char *type, const char *body)
{
	struct reply reply;
	char field[256];

	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, status);
	snprintf(field, sizeof(field), N "Content-Type: %s" N, type);
	ck_assert_msg(strstr(reply.head, field) != NULL, "%s", reply.head);
	ck_assert_str_eq(reply.body, body);
}

START_TEST(a_module_is_told_of_the_request_and_tells_of_the_reply)
{
	struct server *srv = start_module("");
	int fd = client_connect(WEB_PORT);

	post(fd, "/a/b?c=d", "http 201 text/x;y=z");
	expect_type(fd, 201, "text/x;y=z",
	    "POST /a/b?c=d /a/b c=d 7, \"\xc3\xa9\xe4\"");
	post(fd, "http://h", "http 404 ");
	expect_type(fd, 404, "application/octet-stream",
	    "POST http://h / (none) 7, \"\xc3\xa9\xe4\"");
	post(fd, "/", "http 199 text/x");
	expect_type(fd, 200, "application/octet-stream",
	    "refused POST / / (none) 7, \"\xc3\xa9\xe4\"");
	/* A message that knows nothing of HTTP. */
	post(fd, "/", "hello");
	expect_type(fd, 200, "application/octet-stream", "hello");
	client_send_text(fd, POST "Content-Length: 12" N N "http 204 x/y");
	expect_reply(fd, 204, "", false);
	ask(fd, POST "Content-Length: 7" N N "silent ", 204, "", false);
	ask(fd, POST "Content-Length: 5" N N "fail ", 500,
	    "500 Internal Server Error\n", false);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_module_is_told_of_no_http_where_there_is_none)
{
	char globals[2048];
	struct server *srv;
	int fd;

	snprintf(globals, sizeof(globals), "%sworkers = 1;\n"
	    "handlers = ( { name = \"mine\"; type = \"module\"; "
	    "module = \"%s/tests/programs/module_misbehave.so\"; } );",
	    as_builder(), place("TOP_BUILDDIR"));
	srv = server_start(globals, LISTENER("lines", "9001", "line", "mine",
	    ""));
	fd = client_connect(LINE_PORT);
	client_send_text(fd, "http 201 text/x\n");
	client_expect_text(fd, "(none) (none) (none) (none) (none)\n");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_command_is_told_of_the_request_and_tells_of_the_reply)
{
	struct server *srv = start_command("\"--metadata\", "
	    "\"--reply-metadata\", \"say\"",
	    "metadata = true; reply_metadata = true;");
	int fd = client_connect(WEB_PORT);
	struct reply reply;

	post(fd, "/a?\"b", "{ \"status\": 201, \"x\": [{\"y\": \"}\"}], "
	    "\"content_type\": \"text/x\" }");
	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, 201);
	ck_assert_ptr_nonnull(strstr(reply.head,
	    N "Content-Type: text/x" N));
	ck_assert_ptr_nonnull(strstr(reply.body, ",\"http\":"
	    "{\"version\":\"1.1\",\"method\":\"POST\","
	    "\"target\":\"/a?\\\"b\",\"path\":\"/a\",\"query\":\"\\\"b\","
	    "\"fields\":{\"X-Device\":\"7, \\\"\xc3\xa9\\ufffd\\\"\"}}}"));
	/* Nothing said is as good. */
	post(fd, "/", "");
	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, 200);
	close(fd);
	server_end(srv);
}
END_TEST

/* A member that is not known before and after, as a library may have any. */
#define CAFE	"\"name\":\"caf\\u00e9\""
#define STATUS_201	"\"status\":201.0"

START_TEST(reply_metadata_is_json_as_libraries_write_it)
{
	struct server *srv = start_command("\"--reply-metadata\", \"say\"",
	    "reply_metadata = true;");
	int fd = client_connect(WEB_PORT);

	post(fd, "/", "{" CAFE "," STATUS_201 ",\"content_type\":"
	    "\"text\\/plain; charset=\\\"utf-8\\\"\"}");
	expect_type(fd, 201, "text/plain; charset=\"utf-8\"", "");
	post(fd, "/", "{" STATUS_201 ",\n \"content_type\" : "
	    "\"\\u0061/b\"," CAFE "}");
	expect_type(fd, 201, "a/b", "");
	ck_assert_uint_eq(server_count(srv, "event=executor_died"), 0);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(json_encode_of_php_writes_reply_metadata)
{
	struct server *srv;
	char handler[2048];
	int fd;

	if (!has_program("php"))
		return;
	snprintf(handler, sizeof(handler), "type = \"command\"; "
	    "processes = 1; reply_metadata = true; command = [ \"php\", "
	    "\"%s/tests/programs/command_json.php\" ];", place("TOP_SRCDIR"));
	srv = start_with(handler, "");
	fd = client_connect(WEB_PORT);
	for (int i = 0; i < 2; i++) {
		post(fd, "/", "hello");
		expect_type(fd, 201, "text/plain; charset=\"utf-8\"",
		    "hello");
	}
	close(fd);
	server_end(srv);
}
END_TEST

/* What is sent as metadata, and what the log says. */
static const struct {
	const char *metadata;
	const char *how;
} wrong_metadata[] = {
	{ "{\"status\":99}", "how=\"reply metadata: status is 99.0, not an "
	    "integer from 200 to 599\"" },
	{ "{\"status\":200,}", "how=\"reply metadata: byte 15: string or '}' "
	    "expected near '}'\"" },
	{ "Content-Type: text/x", "how=\"reply metadata: byte 7: '[' or '{' "
	    "expected near 'Content'\"" },
	{ "{\"status\":201\nevent=forged", "event=executor_died" },
};

START_TEST(the_log_says_where_reply_metadata_is_wrong)
{
	/* ready: request_timeout does not count while a process starts. */
	struct server *srv = start_command("\"--reply-metadata\", "
	    "\"--ready\", \"say\"",
	    "reply_metadata = true; ready = true;");
	int fd = client_connect(WEB_PORT);

	for (size_t i = 0; i < sizeof(wrong_metadata) /
	    sizeof(*wrong_metadata); i++) {
		server_mark(srv);
		post(fd, "/", wrong_metadata[i].metadata);
		expect_reply(fd, 500, NULL, false);
		server_expect(srv, "event=executor_died handler=mine");
		ck_assert_msg(strstr(srv->line, wrong_metadata[i].how) != NULL,
		    "%s", srv->line);
	}
	/* Another process goes on. */
	post(fd, "/", "{" STATUS_201 "}");
	expect_reply(fd, 201, "", false);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_command_that_does_not_answer_has_its_client_told_504)
{
	struct server *srv = start_command("\"hang\"",
	    "request_timeout = 0.2;");
	int fd = client_connect(WEB_PORT);

	ask(fd, GET N, 504, "504 Gateway Timeout\n", false);
	ask_id(fd, GET MY_ID N, 504, "my.id");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_full_queue_has_its_clients_told_503)
{
	struct server *srv = start_command("\"sleep\", \"500\"",
	    "queue = 1; overload = \"shed\";");
	int fd = client_connect(WEB_PORT);
	struct reply reply;

	client_send_text(fd, GET N GET N GET MY_ID N);
	expect_reply(fd, 200, "", false);
	expect_reply(fd, 200, "", false);
	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, 503);
	ck_assert_str_eq(reply.body, "503 Service Unavailable\n");
	ck_assert_str_eq(id_in(&reply), "my.id");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(requests_that_wait_for_room_are_all_answered)
{
	enum { MANY = 200 };
	struct server *srv = start_command("\"echo\"", "queue = 1;");
	int fd = client_connect(WEB_PORT);
	char body[32], request[256];

	/* Chunks too: what was moved together is read once more later. */
	for (int i = 0; i < MANY; i++) {
		snprintf(body, sizeof(body), "%04d", i);
		snprintf(request, sizeof(request), POST "Transfer-Encoding: "
		    "chunked" N N "2" N "%.2s" N "2" N "%s" N "0" N N, body,
		    body + 2);
		client_send_text(fd, request);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(body, sizeof(body), "%04d", i);
		expect_reply(fd, 200, body, false);
	}
	close(fd);
	server_end(srv);
}
END_TEST

/* The reply to a slow request comes, then the word for which the body of the
 * next one waits. */
static void
expect_reply_and_word(int fd)
{
	expect_reply(fd, 200, "", false);
	client_expect_text(fd, "HTTP/1.1 100 Continue" N N);
}

START_TEST(the_last_request_is_answered_by_a_slow_handler_too)
{
	struct server *srv = start_command("\"sleep\", \"50\"", "");
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, GET N GET "Connection: close" N N GET N);
	expect_reply(fd, 200, "", false);
	expect_reply(fd, 200, "", true);
	client_expect_eof(fd);
	close(fd);
	/* And one behind which another was refused. */
	fd = client_connect(WEB_PORT);
	client_send_text(fd, GET N "nonsense" N N GET N);
	expect_reply(fd, 200, "", false);
	expect_reply(fd, 400, NULL, true);
	client_expect_eof(fd);
	close(fd);
	/* Or who wants a word. */
	fd = client_connect(WEB_PORT);
	client_send_text(fd, GET N POST "Expect: 100-continue" N
	    "Content-Length: 2" N N);
	expect_reply_and_word(fd);
	ask(fd, "ab", 200, "ab", false);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(an_empty_line_behind_a_slow_request_does_not_cut_it)
{
	struct server *srv = start_command_with("\"sleep\", \"1500\"", "",
	    "read_timeout = 1.0;");
	int fd = client_connect(WEB_PORT);

	ask(fd, GET N N, 200, "", false);
	client_send_text(fd, GET N);
	await(server_counters(srv).messages_in == 2);
	client_send_text(fd, N);
	expect_reply(fd, 200, "", false);
	/* The reply is the last one of a drain all the same. */
	client_send_text(fd, GET N N);
	await(server_counters(srv).messages_in == 3);
	server_signal(srv, SIGTERM);
	expect_reply(fd, 200, "", true);
	client_expect_eof(fd);
	close(fd);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

START_TEST(a_client_whose_word_has_to_wait_is_not_late)
{
	struct server *srv = start_command_with("\"sleep\", \"1500\"", "",
	    "read_timeout = 1.0;");
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, GET N);
	client_send_text(fd, POST "Expect: 100-continue" N
	    "Content-Length: 2" N N);
	expect_reply_and_word(fd);
	ask(fd, "ab", 200, "ab", false);
	/* But it is when it has had it, and does not go on. */
	client_send_text(fd, GET N POST "Expect: 100-continue" N
	    "Content-Length: 2" N N);
	expect_reply_and_word(fd);
	client_send_text(fd, "a");
	expect_reply(fd, 408, NULL, true);
	client_expect_eof(fd);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_drain_waits_for_slow_handlers_and_says_close)
{
	struct server *srv = start_command("\"sleep\", \"300\"", "");
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, GET N GET N);
	await(server_counters(srv).messages_in == 2);
	server_signal(srv, SIGTERM);
	expect_reply(fd, 200, "", false);
	expect_reply(fd, 200, "", true);
	client_expect_eof(fd);
	close(fd);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

/*
 * Limits.
 */

/* A reply was once lost to the reset that unread input causes.  Half of the
 * clients send all of their 10 MB before they look at it, half look as soon as
 * the kernel takes no more. */
START_TEST(an_early_reply_reaches_a_client_that_is_still_sending)
{
	enum { BIG = 10 * 1000 * 1000 };
	static const char *const heads[] = {
		POST "Content-Length: 10000000" N N,
		POST "Content-Length: x" N N,
	};
	struct server *srv = ECHO_SERVER("");
	char *body = calloc(1, BIG);
	struct reply reply;
	int fd;

	ck_assert_ptr_nonnull(body);
	for (int i = 0; i < 100; i++) {
		fd = client_connect(WEB_PORT);
		client_send_text(fd, heads[i % 2]);
		if (i % 4 < 2)
			client_send(fd, body, BIG);
		else
			ck_assert_uint_gt(client_stuff(fd, body, 65536, BIG),
			    0);
		read_reply(fd, &reply, false);
		ck_assert_uint_eq(reply.status, i % 2 == 0 ? 413 : 400);
		ck_assert(reply.close);
		ck_assert_int_eq(client_read_to_end(fd), CLIENT_EOF);
		close(fd);
	}
	free(body);
	server_end(srv);
}
END_TEST

START_TEST(a_client_over_the_limit_is_answered_503)
{
	struct server *srv = ECHO_SERVER("max_connections = 1;");
	int one = client_connect(WEB_PORT), over;
	struct reply reply;

	ask(one, GET N, 200, "", false);
	over = client_connect(WEB_PORT);
	read_reply(over, &reply, false);
	ck_assert_uint_eq(reply.status, 503);
	ck_assert(reply.close);
	ck_assert_ptr_nonnull(strstr(reply.head, N "Retry-After: 1" N));
	client_expect_eof(over);
	ask(one, GET N, 200, "", false);
	close(over);
	close(one);
	server_end(srv);
}
END_TEST

START_TEST(a_slow_header_is_answered_408_and_gone_in_time)
{
	struct server *srv = ECHO_SERVER("read_timeout = 0.5;");
	int fd = client_connect(WEB_PORT);
	uint64_t began_ms = clock_ms();

	/* However steadily it drips. */
	for (int i = 0; !client_has_input(fd); i++) {
		client_send_text(fd, i == 0 ? "G" : i == 1 ? "E" :
		    i == 2 ? "T" : i == 3 ? " " : i == 4 ? "/" : "x");
		for (int j = 0; j < 10 && !client_has_input(fd); j++)
			await_pause();
	}
	expect_reply(fd, 408, NULL, true);
	/* The server's clock is a coarse one. */
	ck_assert_uint_ge(clock_ms() - began_ms + 10, 500);
	server_expect(srv, "event=conn_close reason=read_timeout");
	close(fd);
	server_end(srv);
}
END_TEST

/* RFC 9110, 9.3.2: whatever went wrong. */
START_TEST(a_reply_to_head_never_has_content)
{
	static const char *const raw[] = {
		"HEAD / HTTP/1.1" N "Host: a b" N N,
		"HEAD / HTTP/1.1" N "X" N N,
		"HEAD / HTTP/2.0" N,
		"HEAD /none HTTP/1.1" N "Host: a" N N,
		"HEAD /get HTTP/1.1" N "Host: a" N
		    "Transfer-Encoding: x" N N,
		"HEAD /put HTTP/1.1" N "Host: a" N N,
		"HEAD /late HTTP/1.1" N "Host: a" N,
		"HEAD /late HTTP/1.1" N "Host: a" N "Content-Length: 5" N N,
	};
	static const unsigned status[] = {
		400, 400, 505, 404, 501, 405, 408, 408
	};
	struct server *srv = server_start("workers = 1;", LISTENER("web",
	    "9004", "http", "echo", "read_timeout = 0.3; routes = ( "
	    "{ path = \"/get\"; handler = \"echo\"; methods = [ \"GET\" ]; "
	    "}, { path = \"/put\"; handler = \"echo\"; "
	    "methods = [ \"PUT\" ]; } );"));
	struct reply reply;
	int fd;

	for (size_t i = 0; i < sizeof(raw) / sizeof(*raw); i++) {
		fd = client_connect(WEB_PORT);
		client_send_text(fd, raw[i]);
		read_reply(fd, &reply, true);
		ck_assert_msg(reply.status == status[i], "%u instead of %u: "
		    "%s", reply.status, status[i], raw[i]);
		/* And nothing behind it. */
		if (reply.close)
			client_expect_eof(fd);
		else
			ask(fd, "GET /get HTTP/1.1" N "Host: a" N N, 200, "",
			    false);
		close(fd);
	}
	fd = client_connect(WEB_PORT);
	client_send_text(fd, "HEAD /get HTTP/1.1" N "Host: a" N N);
	read_reply(fd, &reply, true);
	ck_assert_uint_eq(reply.status, 200);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(options_for_the_server_as_a_whole_is_answered)
{
	struct server *srv = server_start("workers = 1;", LISTENER("web",
	    "9004", "http", "discard", "routes = ( { path = \"/\"; "
	    "handler = \"echo\"; methods = [ \"GET\", \"POST\" ]; } );"));
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, "OPTIONS * HTTP/1.1" N "Host: a" N N);
	client_expect_text(fd, "HTTP/1.1 204 No Content" N);
	client_send_text(fd, "GET / HTTP/1.1" N "Host: a" N
	    "Connection: close" N N);
	client_read_to_end(fd);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_body_below_the_rate_is_answered_408)
{
	struct server *srv = ECHO_SERVER(
	    "read_timeout = 0.5; min_body_rate = 1000;");
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, POST "Content-Length: 1000" N N);
	while (!client_has_input(fd)) {
		client_send_text(fd, "x");
		for (int j = 0; j < 10 && !client_has_input(fd); j++)
			await_pause();
	}
	expect_reply(fd, 408, NULL, true);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_body_above_the_rate_may_take_longer_than_read_timeout)
{
	enum { PIECES = 60, PIECE = 50 };
	struct server *srv = ECHO_SERVER(
	    "read_timeout = 0.5; min_body_rate = 100;");
	int fd = client_connect(WEB_PORT);
	char piece[PIECE + 1];
	uint64_t began_ms = clock_ms();

	memset(piece, 'x', PIECE);
	piece[PIECE] = '\0';
	client_send_text(fd, POST "Content-Length: 3000" N N);
	for (int i = 0; i < PIECES; i++) {
		client_send_text(fd, piece);
		pause_us(15000);
	}
	expect_reply(fd, 200, NULL, false);
	ck_assert_uint_gt(clock_ms() - began_ms, 800);
	close(fd);
	server_end(srv);
}
END_TEST

/*
 * Drains.
 */

START_TEST(a_drain_says_close_in_the_last_reply)
{
	struct server *srv = server_start("workers = 1; drain_spread = 20.0;",
	    WEB("echo", ""));
	int fd = client_connect(WEB_PORT), other = client_connect(WEB_PORT);

	ask(fd, GET N, 200, "", false);
	ask(other, GET N, 200, "", false);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=worker_drain");
	/* Two at once: the first says nothing of it. */
	client_send_text(fd, GET N GET N);
	expect_reply(fd, 200, "", false);
	expect_reply(fd, 200, "", true);
	client_expect_eof(fd);
	close(fd);
	ask(other, GET N N, 200, "", true);
	client_expect_eof(other);
	close(other);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_says_close_to_nobody)
{
	struct server *srv = ECHO_SERVER("");
	int idle = client_connect(WEB_PORT), busy = client_connect(WEB_PORT);

	ask(idle, GET N, 200, "", false);
	client_send_text(busy, POST "Content-Length: 5" N N "he");
	server_reload(srv);
	ask(idle, GET N, 200, "", false);
	ask(busy, "llo", 200, "hello", false);
	close(idle);
	close(busy);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_http",
    every_request_of_the_table_has_its_status,
    a_connection_stays_until_a_request_says_that_it_is_the_last,
    pipelined_requests_are_answered_in_their_order,
    max_requests_ends_a_connection_and_says_so,
    a_request_that_no_route_fits_is_one_of_max_requests,
    a_client_that_asks_first_is_told_to_go_on,
    empty_lines_begin_no_request,
    the_reply_to_head_has_a_length_and_no_body,
    a_reply_has_the_id_of_its_request,
    a_refusal_has_an_id_if_there_was_a_header,
    without_request_id_no_reply_has_one,
    a_half_closed_client_has_its_replies,
    requests_go_by_routes,
    a_module_is_told_of_the_request_and_tells_of_the_reply,
    a_module_is_told_of_no_http_where_there_is_none,
    a_command_is_told_of_the_request_and_tells_of_the_reply,
    reply_metadata_is_json_as_libraries_write_it,
    json_encode_of_php_writes_reply_metadata,
    the_log_says_where_reply_metadata_is_wrong,
    a_command_that_does_not_answer_has_its_client_told_504,
    a_full_queue_has_its_clients_told_503,
    requests_that_wait_for_room_are_all_answered,
    the_last_request_is_answered_by_a_slow_handler_too,
    an_empty_line_behind_a_slow_request_does_not_cut_it,
    a_client_whose_word_has_to_wait_is_not_late,
    a_drain_waits_for_slow_handlers_and_says_close,
    an_early_reply_reaches_a_client_that_is_still_sending,
    a_client_over_the_limit_is_answered_503,
    a_slow_header_is_answered_408_and_gone_in_time,
    a_reply_to_head_never_has_content,
    options_for_the_server_as_a_whole_is_answered,
    a_body_below_the_rate_is_answered_408,
    a_body_above_the_rate_may_take_longer_than_read_timeout,
    a_drain_says_close_in_the_last_reply,
    a_reload_says_close_to_nobody)
