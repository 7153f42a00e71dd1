/* SPDX-License-Identifier: ISC */
/*
 * The id of a request: clients, handlers and both logs have the same one, also
 * after the request has moved to another worker.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/web_client.h"
#include "tests/lib/wire.h"

#define AS_JSON		"access_log = { file = \"access\"; "		\
			"format = \"json\"; };\n"
/* Each answers with what it was told. */
#define TELLERS								\
	"handlers = ( " COMMAND("command", "\"--metadata\", \"facts\"",	\
	    "metadata = true;") ", "					\
	    MODULE("module", "", "threads = 1;") " );\n"
#define BUSY_TELLERS							\
	"handlers = ( " COMMAND("command", "\"sleep\", \"700\"", "") ", " \
	    MODULE("module", "", "threads = 1;") " );\n"
#define ROUTES								\
	WEB("echo", "routes = ( "					\
	    "{ path = \"/command\"; handler = \"command\"; }, "		\
	    "{ path = \"/module\"; handler = \"module\"; } );")

enum { ID_MAX = 128 };

/* The id in what a handler was told. */
static void
told_id(const char *text, char id[ID_MAX])
{
	static const char *const names[] = { "\"id\":\"", " id=" };
	const char *at = NULL;

	for (int i = 0; i < 2 && at == NULL; i++)
		if ((at = strstr(text, names[i])) != NULL)
			at += strlen(names[i]);
	ck_assert_msg(at != NULL, "%s", text);
	snprintf(id, ID_MAX, "%.*s", (int)strcspn(at, "\""), at);
}

/* The value of X-Request-Id. */
static void
field_id(const struct reply *reply, char id[ID_MAX])
{
	static const char name[] = N "X-Request-Id: ";
	const char *at = strstr(reply->head, name);

	ck_assert_msg(at != NULL, "%s", reply->head);
	at += strlen(name);
	snprintf(id, ID_MAX, "%.*s", (int)strcspn(at, N), at);
}

static void
send_post(int fd, const char *path, const char *field, const char *body)
{
	char request[1024];

	snprintf(request, sizeof(request), "POST %s HTTP/1.1" N "Host: a" N
	    "%sContent-Length: %zu" N N "%s", path, field, strlen(body),
	    body);
	client_send_text(fd, request);
}

/* The reply has the id that its handler was told, which is left in id. */
static void
expect_told(int fd, char id[ID_MAX])
{
	char told[ID_MAX];
	struct reply reply;

	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, 200);
	field_id(&reply, id);
	told_id(reply.body, told);
	ck_assert_str_eq(told, id);
}

static void
expect_logged(struct server *srv, const char *id)
{
	char words[ID_MAX + 32];

	snprintf(words, sizeof(words), ",\"request\":\"%s\",", id);
	await(server_has_file(srv, "access") &&
	    strstr(server_file(srv, "access"), words) != NULL);
}

/* 63 bytes are as many as an id may have. */
#define LONG	"abcdefghijklmnopqrstuvwxyz!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKL"

START_TEST(client_handler_and_access_log_have_the_same_id)
{
	static const char *const paths[] = { "/command", "/module" };
	static const struct {
		const char *field;
		const char *id;		/* NULL: one of the server's */
	} rows[] = {
		{ "", NULL },
		{ "X-Request-Id: my.id" N, "my.id" },
		{ "x-request-id: \t" LONG " " N, LONG },
		{ "X-Request-Id: " LONG "x" N, NULL },
		{ "X-Request-Id: a b" N, NULL },
		{ "X-Request-Id: \"}" N, NULL },
	};
	struct server *srv = handlers_start("workers = 1;\n" AS_JSON TELLERS,
	    ROUTES);
	char id[ID_MAX], own[ID_MAX];
	uint64_t conn;
	int fd;

	for (size_t i = 0; i < 2; i++) {
		server_mark(srv);
		fd = client_connect(WEB_PORT);
		conn = log_number(server_expect(srv, "event=conn_open"),
		    "conn");
		for (size_t j = 0; j < sizeof(rows) / sizeof(*rows); j++)
			send_post(fd, paths[i], rows[j].field, "facts");
		for (size_t j = 0; j < sizeof(rows) / sizeof(*rows); j++) {
			expect_told(fd, id);
			snprintf(own, sizeof(own), "%" PRIu64 "-%zu", conn,
			    j + 1);
			ck_assert_str_eq(id, rows[j].id != NULL ? rows[j].id :
			    own);
			expect_logged(srv, id);
		}
		close(fd);
	}
	server_end(srv);
}
END_TEST

START_TEST(a_handler_has_the_id_where_replies_have_none)
{
	struct server *srv = handlers_start("workers = 1;\n" AS_JSON TELLERS,
	    WEB("module", "request_id = false;"));
	int fd = client_connect(WEB_PORT);
	struct reply reply;
	char id[ID_MAX];

	send_post(fd, "/", "", "facts");
	read_reply(fd, &reply, false);
	ck_assert_ptr_null(strstr(reply.head, "X-Request-Id"));
	told_id(reply.body, id);
	expect_logged(srv, id);
	close(fd);
	server_end(srv);
}
END_TEST

/*
 * Requests that wait for their handler while it is replaced.
 */

static uint64_t
connect_logged(struct server *srv, unsigned port, int *fd)
{
	server_mark(srv);
	*fd = client_connect(port);
	return (log_number(server_expect(srv, "event=conn_open"), "conn"));
}

/* A request keeps the handler busy, so that those that come after it wait. */
static int
occupy(struct server *srv, const char *path)
{
	int fd = client_connect(WEB_PORT);

	send_post(fd, path, "", "sleep 700 ms");
	await(server_counters(srv).messages_in == 1);
	return (fd);
}

/* Returns the id that the handler of a frame or line was told. */
static void
read_told(int fd, bool lines, char id[ID_MAX])
{
	struct wire in = { .lines = lines };
	struct text reply = wire_expect(fd, &in);
	char text[1024];

	snprintf(text, sizeof(text), "%.*s", (int)reply.len, reply.bytes);
	told_id(text, id);
	free(in.bytes);
}

static void
move_waiting(const char *name, const char *path)
{
	char listeners[2048], id[ID_MAX], own[ID_MAX];
	int busy, web, frames, lines;
	uint64_t of_web, of_frames, of_lines;
	struct server *srv;

	snprintf(listeners, sizeof(listeners), ROUTES ",\n"
	    LISTENER("one", "9000", "frame", "%s", "") ",\n"
	    LISTENER("line", "9001", "line", "%s", ""), name, name);
	srv = handlers_start("workers = 1;\n" AS_JSON BUSY_TELLERS, listeners);
	of_web = connect_logged(srv, WEB_PORT, &web);
	of_frames = connect_logged(srv, FRAME_PORT, &frames);
	of_lines = connect_logged(srv, LINE_PORT, &lines);
	busy = occupy(srv, path);
	send_post(web, path, "", "facts");
	send_post(web, path, "X-Request-Id: my.id" N, "facts");
	client_send_text_frame(frames, "facts");
	client_send_text(lines, "facts\nfacts\n");
	await(handler_counters(srv).waiting == 5);
	handlers_configure(srv, "workers = 1;\n" AS_JSON TELLERS, listeners);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	expect_told(web, id);
	snprintf(own, sizeof(own), "%" PRIu64 "-1", of_web);
	ck_assert_str_eq(id, own);
	expect_told(web, id);
	ck_assert_str_eq(id, "my.id");
	read_told(frames, false, id);
	snprintf(own, sizeof(own), "%" PRIu64 "-1", of_frames);
	ck_assert_str_eq(id, own);
	read_told(lines, true, id);
	snprintf(own, sizeof(own), "%" PRIu64 "-1", of_lines);
	ck_assert_str_eq(id, own);
	expect_reply(busy, 200, NULL, false);
	server_expect(srv, "event=reload_done");
	expect_logged(srv, "my.id");
	close(web);
	close(frames);
	close(lines);
	close(busy);
	server_end(srv);
}

START_TEST(the_id_goes_to_another_worker_with_its_request)
{
	move_waiting("command", "/command");
	move_waiting("module", "/module");
}
END_TEST

RUN_TESTS("server_request_id",
    client_handler_and_access_log_have_the_same_id,
    a_handler_has_the_id_where_replies_have_none,
    the_id_goes_to_another_worker_with_its_request)
