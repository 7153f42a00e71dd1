/* SPDX-License-Identifier: ISC */
/*
 * Clients of HTTP and what becomes of their requests when the worker that read
 * them, whole or in part, is replaced by another, perhaps with another
 * configuration.  check_server_handover has the many.
 */
#include <signal.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/web_client.h"

#define ONE_WORKER	"workers = 1;\n"
/* One request at a time, which is not answered before handlers_release(). */
#define SLOW		"\"hold\""
#define TELLS		"\"--metadata\", \"--reply-metadata\", \"say\""

/* The workers are new ones, and have what the old ones had. */
static void
reload(struct server *srv, unsigned carried)
{
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done kind=reload");
	ck_assert_uint_eq(log_number(server_expect(srv,
	    "event=reload_report"), "carried"), carried);
}

/*
 * Bytes of a request.
 */

START_TEST(a_request_goes_on_at_each_of_its_bytes)
{
	static const char *const requests[] = {
		POST "Content-Length: 5" N N "hello",
		POST "Transfer-Encoding: chunked" N N
		    "2;x=y" N "he" N "3" N "llo" N "0" N "X-Trailer: z" N N,
	};
	enum { CLIENTS = 128 };
	struct server *srv = server_start(ONE_WORKER, WEB("echo", ""));
	int fds[CLIENTS];
	size_t len;

	for (int i = 0; i < 2; i++) {
		len = strlen(requests[i]);
		ck_assert_uint_le(len, CLIENTS);
		for (size_t cut = 1; cut < len; cut++) {
			fds[cut] = client_connect(WEB_PORT);
			client_send(fds[cut], requests[i], cut);
		}
		await(server_counters(srv).active == len - 1);
		reload(srv, (unsigned)len - 1);
		for (size_t cut = 1; cut < len; cut++) {
			client_send_text(fds[cut], requests[i] + cut);
			expect_reply(fds[cut], 200, "hello", false);
			/* Nothing of it is left. */
			ask(fds[cut], GET N, 200, "", false);
			close(fds[cut]);
		}
		await(server_counters(srv).active == 0);
	}
	server_end(srv);
}
END_TEST

START_TEST(a_client_that_was_told_to_go_on_is_not_told_again)
{
	struct server *srv = server_start(ONE_WORKER, WEB("echo", ""));
	int fd = client_connect(WEB_PORT);

	client_send_text(fd, POST "Expect: 100-continue" N
	    "Content-Length: 5" N N);
	client_expect_text(fd, "HTTP/1.1 100 Continue" N N);
	reload(srv, 1);
	client_send_text(fd, "he");
	reload(srv, 1);
	ask(fd, "llo", 200, "hello", false);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(what_a_connection_has_asked_counts_on)
{
	struct server *srv = server_start(ONE_WORKER,
	    WEB("echo", "max_requests = 3;"));
	int fd = client_connect(WEB_PORT);

	ask(fd, GET N, 200, "", false);
	reload(srv, 1);
	ask(fd, GET N, 200, "", false);
	reload(srv, 1);
	ask(fd, GET N, 200, "", true);
	client_expect_eof(fd);
	close(fd);
	server_end(srv);
}
END_TEST

/* A limit that became smaller holds for what is half read. */
START_TEST(what_has_begun_is_held_against_the_new_limits)
{
	struct server *srv = server_start(ONE_WORKER, WEB("echo", ""));
	int body = client_connect(WEB_PORT), chunk = client_connect(WEB_PORT);
	int head = client_connect(WEB_PORT), good = client_connect(WEB_PORT);
	char field[512];

	memset(field, 'x', sizeof(field) - 1);
	field[sizeof(field) - 1] = '\0';
	client_send_text(body, POST "Content-Length: 20" N N "0123456789");
	client_send_text(chunk, POST "Transfer-Encoding: chunked" N N "14" N
	    "0123456789");
	client_send_text(head, POST "X-Long: ");
	client_send_text(head, field);
	client_send_text(good, POST "Content-Length: 8" N N "0123");
	await(server_counters(srv).active == 4);
	server_configure(srv, ONE_WORKER, WEB("echo",
	    "max_message_size = 8; max_header_size = 256;"));
	reload(srv, 4);
	client_send_text(body, "0123456789");
	expect_reply(body, 413, NULL, true);
	client_send_text(chunk, "0123456789" N "0" N N);
	expect_reply(chunk, 413, NULL, true);
	client_send_text(head, N N);
	expect_reply(head, 431, NULL, true);
	ask(good, "4567", 200, "01234567", false);
	close(body);
	close(chunk);
	close(head);
	close(good);
	server_end(srv);
}
END_TEST

/*
 * Requests that wait.
 */

static void
post(int fd, const char *target, const char *text)
{
	char request[512];

	snprintf(request, sizeof(request), "POST %s HTTP/1.1" N "Host: a" N
	    "X-Device: 7" N "Content-Length: %zu" N N "%s", target,
	    strlen(text), text);
	client_send_text(fd, request);
}

/* A request keeps an executor busy, so that those of others wait. */
static int
occupy(struct server *srv, const char *target)
{
	uint64_t before = server_counters(srv).messages_in;
	int fd = client_connect(WEB_PORT);

	post(fd, target, "busy");
	await(server_counters(srv).messages_in > before);
	return (fd);
}

START_TEST(a_request_moves_with_what_its_handler_is_told)
{
	static const char before[] = ONE_WORKER "handlers = ( "
	    COMMAND("mine", SLOW, "") " );";
	static const char after[] = ONE_WORKER "handlers = ( "
	    COMMAND("mine", TELLS, "metadata = true; reply_metadata = true;")
	    " );";
	struct server *srv = handlers_start(before, WEB("mine",
	    "fields = [ \"X-Device\" ];"));
	int busy = occupy(srv, "/"), fd = client_connect(WEB_PORT);
	struct reply reply;

	post(fd, "/a/b?c", "{\"status\":201}");
	client_send_text(fd, "HEAD /d HTTP/1.1" N "Host: a" N N);
	await(handler_counters(srv).waiting == 2);
	handlers_configure(srv, after, WEB("mine", "fields = [ \"X-Device\" ];"));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, 201);
	ck_assert(!reply.close);
	ck_assert_ptr_nonnull(strstr(reply.body, "\"method\":\"POST\","
	    "\"target\":\"/a/b?c\",\"path\":\"/a/b\",\"query\":\"c\","
	    "\"fields\":{\"X-Device\":\"7\"}"));
	read_reply(fd, &reply, true);
	ck_assert_uint_eq(reply.status, 200);
	ck_assert_uint_gt(reply.len, 0);
	handlers_release(srv);
	expect_reply(busy, 200, "busy", false);
	server_expect(srv, "event=reload_done");
	/* Both are served on. */
	post(busy, "/", "");
	expect_reply(busy, 200, NULL, false);
	ck_assert_uint_eq(server_counters(srv).accepted, 2);
	close(fd);
	close(busy);
	server_end(srv);
}
END_TEST

#define ROUTE(path, handler)						\
	"{ path = \"" path "\"; handler = \"" handler "\"; }"
#define ROUTES(more)							\
	WEB("discard", "routes = ( " ROUTE("/slow", "mine") more " );")
#define MINE		COMMAND("mine", SLOW, "")
#define YOURS		COMMAND("yours", SLOW, "")

START_TEST(a_request_moves_to_the_handler_that_its_route_had_chosen)
{
	struct server *srv = handlers_start(ONE_WORKER
	    "handlers = ( " MINE ", " YOURS " );",
	    ROUTES(", " ROUTE("/gone", "yours")));
	int busy = occupy(srv, "/slow"), fd = client_connect(WEB_PORT);
	int busy_too = occupy(srv, "/gone"), gone = client_connect(WEB_PORT);
	struct reply reply;

	post(fd, "/slow", "one");
	post(gone, "/gone", "two");
	await(handler_counters(srv).waiting == 2);
	/* The same one stands elsewhere now, and another is no more. */
	handlers_configure(srv, ONE_WORKER "handlers = ( "
	    COMMAND("first", "\"exit\"", "") ", " MINE " );", ROUTES(""));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	read_reply(gone, &reply, false);
	ck_assert_uint_eq(reply.status, 503);
	ck_assert(!reply.close);
	await(server_counters(srv).carried_in == 2);
	handlers_release(srv);
	expect_reply(fd, 200, "one", false);
	expect_reply(busy, 200, "busy", false);
	expect_reply(busy_too, 200, "busy", false);
	server_expect(srv, "event=reload_done");
	post(gone, "/gone", "two");
	expect_reply(gone, 404, NULL, false);
	close(fd);
	close(busy);
	close(busy_too);
	close(gone);
	server_end(srv);
}
END_TEST

/* The listener's own is another one by then. */
START_TEST(a_request_stays_with_its_handler_when_routes_come)
{
	struct server *srv = handlers_start(ONE_WORKER "handlers = ( "
	    MINE " );", WEB("mine", ""));
	int busy = occupy(srv, "/"), fd = client_connect(WEB_PORT);

	post(fd, "/", "one");
	await(handler_counters(srv).waiting == 1);
	handlers_configure(srv, ONE_WORKER "handlers = ( " YOURS ", " MINE
	    " );", WEB("discard", "routes = ( " ROUTE("/api", "mine") " );"));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	await(server_counters(srv).carried_in == 1);
	handlers_release(srv);
	expect_reply(fd, 200, "one", false);
	expect_reply(busy, 200, "busy", false);
	server_expect(srv, "event=reload_done");
	close(fd);
	close(busy);
	server_end(srv);
}
END_TEST

/* Replies that were there at once wait for the one before them, and so does
 * what refuses the rest. */
START_TEST(replies_that_wait_for_their_turn_move_too)
{
	struct server *srv = handlers_start(ONE_WORKER "handlers = ( "
	    MINE " );", ROUTES(""));
	int busy = occupy(srv, "/slow"), fd = client_connect(WEB_PORT);

	post(fd, "/slow", "one");
	post(fd, "/slow", "two");
	client_send_text(fd, GET N POST "Transfer-Encoding: chunked" N N "5" N
	    "three" N "0" N N "nonsense" N N GET N);
	await(handler_counters(srv).waiting == 2);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	await(server_counters(srv).carried_in == 1);
	handlers_release(srv);
	expect_reply(fd, 200, "one", false);
	expect_reply(fd, 200, "two", false);
	expect_reply(fd, 404, NULL, false);
	expect_reply(fd, 404, NULL, false);
	expect_reply(fd, 400, NULL, true);
	client_expect_eof(fd);
	expect_reply(busy, 200, "busy", false);
	server_expect(srv, "event=reload_done");
	close(fd);
	close(busy);
	server_end(srv);
}
END_TEST

static void
expect_id(int fd, unsigned status, const char *id)
{
	struct reply reply;
	char field[128];

	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, status);
	snprintf(field, sizeof(field), N "X-Request-Id: %s" N, id);
	ck_assert_msg(strstr(reply.head, field) != NULL, "%s%s", reply.head,
	    id);
}

/* Those of Penstock's own count on, too. */
START_TEST(requests_keep_their_ids_when_they_move)
{
	struct server *srv = handlers_start(ONE_WORKER "handlers = ( "
	    MINE " );", ROUTES(""));
	int busy = occupy(srv, "/slow"), fd;
	char id[64];
	uint64_t conn;

	/* Of the busy one, which may come late. */
	server_expect(srv, "event=conn_open");
	server_mark(srv);
	fd = client_connect(WEB_PORT);
	conn = log_number(server_expect(srv, "event=conn_open"), "conn");
	client_send_text(fd, "POST /slow HTTP/1.1" N "Host: a" N
	    "X-Request-Id: one" N "Content-Length: 3" N N "abc");
	client_send_text(fd, GET "X-Request-Id: two" N N GET N);
	post(fd, "/slow", "four");
	await(handler_counters(srv).waiting == 2);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	await(server_counters(srv).carried_in == 1);
	handlers_release(srv);
	expect_id(fd, 200, "one");
	expect_id(fd, 404, "two");
	snprintf(id, sizeof(id), "%" PRIu64 "-3", conn);
	expect_id(fd, 404, id);
	snprintf(id, sizeof(id), "%" PRIu64 "-4", conn);
	expect_id(fd, 200, id);
	server_expect(srv, "event=reload_done");
	client_send_text(fd, GET N);
	snprintf(id, sizeof(id), "%" PRIu64 "-5", conn);
	expect_id(fd, 404, id);
	expect_reply(busy, 200, "busy", false);
	close(fd);
	close(busy);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_http_reload",
    a_request_goes_on_at_each_of_its_bytes,
    a_client_that_was_told_to_go_on_is_not_told_again,
    what_a_connection_has_asked_counts_on,
    what_has_begun_is_held_against_the_new_limits,
    a_request_moves_with_what_its_handler_is_told,
    a_request_moves_to_the_handler_that_its_route_had_chosen,
    a_request_stays_with_its_handler_when_routes_come,
    replies_that_wait_for_their_turn_move_too,
    requests_keep_their_ids_when_they_move)
