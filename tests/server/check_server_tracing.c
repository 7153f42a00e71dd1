/* SPDX-License-Identifier: ISC */
/*
 * Traces of a running server, as a collector gets them: which requests they are
 * of, and that nobody waits for one that is slow, or gone.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "tests/lib/client.h"
#include "tests/lib/exposition.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tests/lib/web_client.h"
#include "tools/http_client.h"
#include "tools/json_read.h"

#define TRACED(ratio)							\
	"monitor = { address = [ \"$A:9180\", \"unix:$D/m\" ]; };\n"	\
	"tracing = { endpoint = \"http://$A:4318/v1/traces\"; "		\
	"sample_ratio = " ratio "; service_name = \"tested\"; };\n"
/* Answers with the metadata of the message. */
#define TELLER								\
	"handlers = ( { name = \"teller\"; type = \"command\"; "	\
	"processes = 1; " UNHURRIED "metadata = true; "			\
	"command = [ \"python3\", \"-c\", "				\
	"\"import sys\\ni, o = sys.stdin.buffer, sys.stdout.buffer\\n"	\
	"while True:\\n  n = i.read(4)\\n  if not n: break\\n"		\
	"  m = i.read(int.from_bytes(n, 'big'))\\n"			\
	"  i.read(int.from_bytes(i.read(4), 'big'))\\n"			\
	"  o.write(n + m)\\n  o.flush()\\n\" ]; } );\n"
#define TELLERS	LISTENER("tellers", "9003", "frame", "teller", "")

enum { TELLER_PORT = 9003 };

/*
 * The collector.
 */

static pid_t collector;

static void
start_collector(struct server *srv)
{
	const char *top = getenv("TOP_SRCDIR");
	char script[1024], address[64], dir[128];

	snprintf(script, sizeof(script), "%s/tests/programs/collector.py",
	    top != NULL ? top : ".");
	snprintf(address, sizeof(address), "%s:4318", own_address());
	snprintf(dir, sizeof(dir), "%s", srv->dir);
	ck_assert_int_ne(collector = fork(), -1);
	if (collector == 0) {
		execlp("python3", "python3", script, address, dir,
		    (char *)NULL);
		_exit(127);
	}
	await(server_has_file(srv, "listening"));
}

static void
end_collector(void)
{
	kill(collector, SIGKILL);
	waitpid(collector, NULL, 0);
}

/* The spans that it has taken: what of them has words in it. */
static unsigned
count_spans(struct server *srv, const char *words)
{
	char line[4096];
	unsigned n = 0;
	FILE *in;

	ck_assert_msg(!server_has_file(srv, "mistakes"), "%s",
	    server_has_file(srv, "mistakes") ? server_file(srv, "mistakes") :
	    "");
	if ((in = fopen(server_path(srv, "spans"), "re")) == NULL)
		return (0);
	while (fgets(line, sizeof(line), in) != NULL)
		n += strstr(line, words) != NULL;
	fclose(in);
	return (n);
}

/* Spans of requests, those of handlings left out. */
#define REQUESTS "\"kind\":2"

static void
set_mood(struct server *srv, const char *mood, bool on)
{
	if (on)
		server_write(srv, mood, "");
	else
		ck_assert_int_eq(unlink(server_path(srv, mood)), 0);
}

/*
 * The server.
 */

static double
metric(const struct server *srv, const char *sample)
{
	struct conf_address address[2];
	char text[128], why[HTTP_CLIENT_WHY_MAX];
	struct http_reply reply;
	const char *must;
	double value;

	snprintf(text, sizeof(text), "unix:%s", server_path(srv, "m"));
	ck_assert_uint_eq(conf_addr_parse(text, address, &must), 1);
	/* A monitor that is just being replaced may not answer. */
	await(http_client_ask(&address[0], "GET", "/metrics", &reply,
	    why) == 0);
	value = exposition_value(reply.body, sample);
	http_reply_free(&reply);
	return (value);
}

static void
echo(unsigned n)
{
	int fd = client_connect(FRAME_PORT);

	for (unsigned i = 0; i < n; i++)
		client_echo(fd, "hello");
	close(fd);
}

static void
read_exactly(int fd, void *bytes, size_t len)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint8_t *at = bytes;
	ssize_t n;

	for (; len > 0; at += n, len -= (size_t)n) {
		ck_assert_int_eq(poll(&wait, 1, (int)patience_ms()), 1);
		n = recv(fd, at, len, MSG_DONTWAIT);
		ck_assert_int_gt(n, 0);
	}
}

static size_t
read_frame(int fd, char *text, size_t size)
{
	uint32_t len;

	read_exactly(fd, &len, sizeof(len));
	len = ntohl(len);
	ck_assert_uint_lt(len, size);
	read_exactly(fd, text, len);
	text[len] = '\0';
	return (len);
}

static struct server *
start(const char *globals, const char *listeners)
{
	struct server *srv = server_new();

	server_configure(srv, globals, listeners);
	start_collector(srv);
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

static void
end(struct server *srv)
{
	server_end(srv);
	end_collector();
}

START_TEST(a_sampled_request_leaves_a_span)
{
	struct server *srv = start("workers = 1;\n" TRACED("1.0"), FRAMES(""));
	char words[64];

	echo(3);
	await(count_spans(srv, REQUESTS) == 3);
	ck_assert_uint_eq(count_spans(srv, "\"name\":\"frames\""), 3);
	ck_assert_uint_eq(count_spans(srv, "\"service.name\":\"tested\""), 3);
	ck_assert_uint_eq(count_spans(srv,
	    "\"penstock.result\":\"replied\""), 3);
	snprintf(words, sizeof(words), "\"penstock.request\":\"%" PRIu64
	    "-2\"", log_number(server_expect(srv, "event=conn_open"), "conn"));
	ck_assert_uint_eq(count_spans(srv, words), 1);
	ck_assert_uint_eq(count_spans(srv, "parentSpanId"), 0);
	ck_assert_uint_eq(count_spans(srv, "\"status\""), 0);
	await(metric(srv, "penstock_spans_exported_total") == 3);
	end(srv);
}
END_TEST

/* Without tracing, with a log of level debug. */
static struct server *
start_at_debug(const char *globals, const char *listeners)
{
	struct server *srv = server_new();
	char text[8192], *level;

	server_configure(srv, globals, listeners);
	snprintf(text, sizeof(text), "%s", server_file(srv, "conf"));
	ck_assert_ptr_nonnull(level = strstr(text, "\"info\""));
	memmove(level + 7, level + 6, strlen(level + 6) + 1);
	memcpy(level, "\"debug\"", 7);
	server_write(srv, "conf", text);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

START_TEST(at_level_debug_each_request_stands_in_the_log)
{
	struct server *srv = start_at_debug("workers = 1;\n" TELLER,
	    FRAMES("") "," TELLERS);
	char text[8192], words[80];
	uint64_t conn;
	int fd;

	for (unsigned port = FRAME_PORT; port <= TELLER_PORT;
	    port += TELLER_PORT - FRAME_PORT) {
		server_mark(srv);
		fd = client_connect(port);
		conn = log_number(server_expect(srv, "event=conn_open"),
		    "conn");
		for (int i = 1; i <= 3; i++) {
			client_send_frame(fd, "hello", 5);
			(void)read_frame(fd, text, sizeof(text));
			/* Which the handler was told. */
			snprintf(words, sizeof(words), "\"id\":\"%" PRIu64
			    "-%d\"", conn, i);
			ck_assert(port != TELLER_PORT ||
			    strstr(text, words) != NULL);
			snprintf(words, sizeof(words), "event=request "
			    "request=%" PRIu64 "-%d result=replied", conn, i);
			server_expect(srv, words);
		}
		close(fd);
	}
	server_end(srv);
}
END_TEST

/* The value of a member of the metadata that the teller answers with. */
static void
ask_teller(int fd, const char *member, char value[128])
{
	struct json_value *whole;
	char text[1024];
	size_t len;

	client_send_frame(fd, "what?", 5);
	len = read_frame(fd, text, sizeof(text));
	ck_assert_ptr_nonnull(whole = json_read(text, len));
	snprintf(value, 128, "%s", json_text(json_get(whole, member)));
	json_free(whole);
}

START_TEST(a_handler_is_told_its_place_in_the_trace)
{
	struct server *srv = start("workers = 1;\n" TELLER TRACED("1.0"),
	    TELLERS);
	int fd = client_connect(TELLER_PORT);
	char place[128], words[160];

	ask_teller(fd, "traceparent", place);
	ck_assert_uint_eq(strlen(place), 55);
	ck_assert_str_eq(place + 52, "-01");
	await(count_spans(srv, "") == 2);
	/* The handler gets the span of its part as the parent. */
	snprintf(words, sizeof(words), "\"spanId\":\"%.16s\"", place + 36);
	ck_assert_uint_eq(count_spans(srv, words), 1);
	snprintf(words, sizeof(words), "\"traceId\":\"%.32s\"", place + 3);
	ck_assert_uint_eq(count_spans(srv, words), 2);
	ck_assert_uint_eq(count_spans(srv, "\"name\":\"teller\""), 1);
	ck_assert_uint_eq(count_spans(srv, "parentSpanId"), 1);
	ck_assert_uint_eq(count_spans(srv, "\"name\":\"begun\""), 1);
	close(fd);
	end(srv);
}
END_TEST

/* A request of HTTP with these fields, and its reply. */
static void
ask_web(const char *path, const char *fields)
{
	char text[1024];
	int fd = client_connect(WEB_PORT);

	snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 5\r\nConnection: close\r\n%s\r\nhello", path,
	    fields);
	client_send_text(fd, text);
	read_exactly(fd, text, 15);
	ck_assert_int_eq(memcmp(text, "HTTP/1.1 200 OK", 15), 0);
	ck_assert_int_eq(client_read_to_end(fd), CLIENT_EOF);
	close(fd);
}

#define CLIENTS_TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

START_TEST(a_client_of_http_may_say_its_place_and_the_requests_id)
{
	struct server *srv = start("workers = 1;\n" TRACED("0.0"),
	    LISTENER("web", "9004", "http", "echo", ""));

	/* Whoever is before us says what is sampled. */
	ask_web("/", "traceparent: 00-" CLIENTS_TRACE "-00f067aa0ba902b7-01\r\n"
	    "X-Request-Id: my.request-1\r\n");
	await(count_spans(srv, REQUESTS) == 1);
	ck_assert_uint_eq(count_spans(srv, "\"traceId\":\"" CLIENTS_TRACE), 1);
	ck_assert_uint_eq(count_spans(srv,
	    "\"parentSpanId\":\"00f067aa0ba902b7\""), 1);
	ck_assert_uint_eq(count_spans(srv,
	    "\"penstock.request\":\"my.request-1\""), 1);
	/* An id that may not be is not kept. */
	ask_web("/", "traceparent: 00-" CLIENTS_TRACE "-00f067aa0ba902b7-01\r\n"
	    "X-Request-Id: a b\r\n");
	await(count_spans(srv, REQUESTS) == 2);
	ck_assert_uint_eq(count_spans(srv, "\"a b\""), 0);
	/* These leave no span: not sampled, no place, two places. */
	ask_web("/", "traceparent: 00-" CLIENTS_TRACE "-00f067aa0ba902b7-00\r\n");
	ask_web("/", "traceparent: 00-" CLIENTS_TRACE "-0000000000000000-01\r\n");
	ask_web("/", "traceparent: 00-" CLIENTS_TRACE "-00f067aa0ba902b7-01\r\n"
	    "traceparent: 00-" CLIENTS_TRACE "-00f067aa0ba902b7-01\r\n");
	ck_assert(metric(srv, "penstock_worker_spans_total{slot=\"0\"}") == 2);
	end(srv);
}
END_TEST

/* By a handler that answers at once and by one that does not. */
START_TEST(without_tracing_a_client_of_http_may_say_the_requests_id_too)
{
	struct server *srv = start_at_debug("workers = 1;\n"
	    "handlers = ( { name = \"cat\"; type = \"command\"; "
	    "processes = 1; command = [ \"cat\" ]; } );\n",
	    LISTENER("web", "9004", "http", "echo", "routes = ( "
	    "{ path = \"/\"; handler = \"echo\"; }, "
	    "{ path = \"/later\"; handler = \"cat\"; } );"));
	char words[80];
	uint64_t conn;

	ask_web("/", "X-Request-Id: my.request-1\r\n");
	server_expect(srv, "event=request request=my.request-1 "
	    "result=replied");
	ask_web("/later", "X-Request-Id: my.request-2\r\n");
	server_expect(srv, "event=request request=my.request-2 "
	    "result=replied");
	server_mark(srv);
	ask_web("/later", "X-Request-Id: a b\r\n");
	conn = log_number(server_expect(srv, "event=conn_open"), "conn");
	snprintf(words, sizeof(words), "event=request request=%" PRIu64
	    "-1 result=replied", conn);
	server_expect(srv, words);
	server_end(srv);
}
END_TEST

START_TEST(a_request_that_is_not_sampled_says_so_and_leaves_no_span)
{
	struct server *srv = start("workers = 1;\n" TELLER TRACED("0.0"),
	    FRAMES("") "," TELLERS);
	int fd = client_connect(TELLER_PORT);
	char place[128];

	ask_teller(fd, "traceparent", place);
	ck_assert_str_eq(place + 52, "-00");
	echo(500);
	ck_assert(metric(srv, "penstock_worker_spans_total{slot=\"0\"}") == 0);
	ck_assert_uint_eq(count_spans(srv, ""), 0);
	close(fd);
	end(srv);
}
END_TEST

START_TEST(the_configured_share_of_requests_is_sampled)
{
	enum { MANY = 20000 };
	struct server *srv = start("workers = 1;\n" TRACED("0.1"), FRAMES(""));
	double spans;

	echo(MANY);
	spans = metric(srv, "penstock_worker_spans_total{slot=\"0\"}") +
	    metric(srv, "penstock_worker_spans_dropped_total{slot=\"0\"}");
	/* More than ten times the standard deviation. */
	ck_assert_msg(spans > MANY / 10 - 450 && spans < MANY / 10 + 450, "%f",
	    spans);
	end(srv);
}
END_TEST

START_TEST(without_an_endpoint_handlers_are_told_nothing_of_traces)
{
	struct server *srv = server_start("workers = 1;\n" TELLER, TELLERS);
	int fd = client_connect(TELLER_PORT);
	char place[128];

	ask_teller(fd, "traceparent", place);
	ck_assert_str_eq(place, "");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_request_that_fails_has_a_status_and_stands_in_the_log)
{
	struct server *srv = start("workers = 1;\n"
	    "handlers = ( { name = \"dying\"; type = \"command\"; "
	    "processes = 1; command = [ \"/bin/sh\", \"-c\", "
	    "\"head -c 1 >/dev/null; exit 3\" ]; } );\n"
	    TRACED("1.0"), LISTENER("deaths", "9003", "frame", "dying", ""));
	int fd = client_connect(TELLER_PORT);
	char text[64], words[64];
	const char *line;

	client_send_frame(fd, "hello", 5);
	ck_assert_uint_eq(read_frame(fd, text, sizeof(text)), 10);
	line = server_expect(srv, "event=request result=failed");
	snprintf(words, sizeof(words), "%" PRIu64 "-1",
	    log_number(line, "conn"));
	ck_assert_ptr_nonnull(strstr(line, words));
	await(count_spans(srv, words) == 2);
	ck_assert_uint_eq(count_spans(srv,
	    "\"status\":{\"code\":2,\"message\":\"failed\"}"), 2);
	close(fd);
	end(srv);
}
END_TEST

START_TEST(a_slow_collector_delays_no_client)
{
	enum { MANY = 4000 };
	struct server *srv = start("workers = 1;\n" TRACED("1.0"), FRAMES(""));
	double kept, dropped;

	set_mood(srv, "slow", true);
	echo(MANY);
	await((kept = metric(srv, "penstock_worker_spans_total{slot=\"0\"}")) +
	    (dropped = metric(srv, "penstock_worker_spans_dropped_total"
	    "{slot=\"0\"}")) == MANY);
	ck_assert_msg(dropped > 0 && kept >= 1024, "kept %f, dropped %f", kept,
	    dropped);
	set_mood(srv, "slow", false);
	await(metric(srv, "penstock_spans_exported_total") +
	    metric(srv, "penstock_spans_lost_total") == kept);
	end(srv);
}
END_TEST

START_TEST(what_a_collector_refuses_is_lost_and_counted)
{
	struct server *srv = start("workers = 1;\n" TRACED("1.0"), FRAMES(""));

	set_mood(srv, "refuse", true);
	echo(5);
	server_expect(srv, "event=spans_lost status=503");
	ck_assert_uint_eq(count_spans(srv, ""), 0);
	set_mood(srv, "refuse", false);
	/* The next try comes by itself. */
	echo(5);
	await(metric(srv, "penstock_spans_exported_total") > 0);
	await(metric(srv, "penstock_spans_exported_total") +
	    metric(srv, "penstock_spans_lost_total") == 10);
	ck_assert_uint_eq(count_spans(srv, REQUESTS),
	    (unsigned)metric(srv, "penstock_spans_exported_total"));
	end(srv);
}
END_TEST

START_TEST(a_collector_that_drips_is_given_up)
{
	struct server *srv = start("workers = 1;\n" TRACED("1.0"), FRAMES(""));

	set_mood(srv, "drip", true);
	echo(5);
	server_expect(srv, "event=spans_lost status=0");
	set_mood(srv, "drip", false);
	echo(5);
	await(metric(srv, "penstock_spans_exported_total") +
	    metric(srv, "penstock_spans_lost_total") == 10);
	await(count_spans(srv, REQUESTS) > 0);
	end(srv);
}
END_TEST

START_TEST(a_missing_collector_delays_no_client)
{
	struct server *srv = server_start("workers = 1;\n" TRACED("1.0"),
	    FRAMES(""));

	echo(100);
	server_expect(srv, "event=spans_lost");
	echo(100);
	server_end(srv);
}
END_TEST

/* Whoever is replaced meanwhile. */
START_TEST(no_span_is_missing_after_reload_upgrade_and_the_monitors_death)
{
	enum { ROUNDS = 5, EACH = 40 };
	struct server *srv = start("workers = 2;\n" TRACED("1.0"), FRAMES(""));
	char words[64];
	int fd = client_connect(FRAME_PORT);
	uint64_t conn;

	conn = log_number(server_expect(srv, "event=conn_open"), "conn");
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < EACH; i++)
			client_echo(fd, "hello");
		server_mark(srv);
		if (round == 1)
			server_reload(srv);
		else if (round == 2) {
			server_install(srv, "tests/programs/penstock-next");
			server_signal(srv, SIGUSR2);
			server_expect(srv, "event=reload_done kind=upgrade");
		} else if (round == 3) {
			/* Of the one before, its own end may be near. */
			srv->log_mark = 0;
			server_expect(srv, "gen=3 event=monitor_start");
			kill((pid_t)log_number(srv->line, "child"), SIGKILL);
			server_expect(srv, "event=monitor_died");
		}
	}
	await(metric(srv, "penstock_spans_exported_total") >= ROUNDS * EACH);
	/* Some may have come twice. */
	for (int i = 1; i <= ROUNDS * EACH; i++) {
		snprintf(words, sizeof(words), "\"penstock.request\":\"%" PRIu64
		    "-%d\"", conn, i);
		ck_assert_msg(count_spans(srv, words) >= 1, "no %s", words);
	}
	ck_assert(metric(srv, "penstock_spans_lost_total") == 0);
	close(fd);
	end(srv);
}
END_TEST

static void
post(int fd, const char *path, const char *trace)
{
	char text[512];

	snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: a\r\n"
	    "traceparent: 00-%s-00f067aa0ba902b7-01\r\n"
	    "Content-Length: 5\r\n\r\nhello", path, trace);
	client_send_text(fd, text);
}

#define OTHER_TRACE	"11111111111111111111111111111111"
#define BUSY_TRACE	"22222222222222222222222222222222"

/* A request that no executor had begun, and one that waits for its reply. */
START_TEST(requests_that_move_keep_their_places_in_their_traces)
{
	static const char globals[] = "workers = 1;\nhandlers = ( "
	    COMMAND("slow", "\"hold\"", "") ", "
	    COMMAND("quick", "\"echo\"", "") " );\n" TRACED("0.0");
	struct server *srv = handlers_new();
	struct reply reply;
	int busy, fd;

	handlers_configure(srv, globals, WEB("slow", "routes = ( "
	    "{ path = \"/slow\"; handler = \"slow\"; }, "
	    "{ path = \"/quick\"; handler = \"quick\"; } );"));
	start_collector(srv);
	server_launch(srv);
	server_await_ready(srv);
	busy = client_connect(WEB_PORT);
	post(busy, "/slow", BUSY_TRACE);
	await(server_counters(srv).messages_in == 1);
	fd = client_connect(WEB_PORT);
	post(fd, "/slow", CLIENTS_TRACE);
	post(fd, "/quick", OTHER_TRACE);
	await(server_counters(srv).messages_in == 3);
	await(handler_counters(srv).waiting == 1);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	await(server_counters(srv).carried_in == 1);
	handlers_release(srv);
	read_reply(fd, &reply, false);
	read_reply(fd, &reply, false);
	read_reply(busy, &reply, false);
	ck_assert_uint_gt(log_number(server_expect(srv,
	    "event=reload_report"), "carried"), 0);
	await(count_spans(srv, "") == 6);
	ck_assert_uint_eq(count_spans(srv, REQUESTS), 3);
	/* Each has its own, and that of its handling. */
	ck_assert_uint_eq(count_spans(srv, "\"traceId\":\"" CLIENTS_TRACE), 2);
	ck_assert_uint_eq(count_spans(srv, "\"traceId\":\"" OTHER_TRACE), 2);
	ck_assert_uint_eq(count_spans(srv, "\"traceId\":\"" BUSY_TRACE), 2);
	ck_assert_uint_eq(count_spans(srv,
	    "\"parentSpanId\":\"00f067aa0ba902b7\""), 3);
	ck_assert_uint_eq(count_spans(srv,
	    "\"penstock.result\":\"replied\""), 3);
	close(fd);
	close(busy);
	end(srv);
}
END_TEST

RUN_TESTS("server: tracing",
    a_sampled_request_leaves_a_span,
    at_level_debug_each_request_stands_in_the_log,
    a_handler_is_told_its_place_in_the_trace,
    a_client_of_http_may_say_its_place_and_the_requests_id,
    without_tracing_a_client_of_http_may_say_the_requests_id_too,
    a_request_that_is_not_sampled_says_so_and_leaves_no_span,
    the_configured_share_of_requests_is_sampled,
    without_an_endpoint_handlers_are_told_nothing_of_traces,
    a_request_that_fails_has_a_status_and_stands_in_the_log,
    a_slow_collector_delays_no_client,
    what_a_collector_refuses_is_lost_and_counted,
    a_collector_that_drips_is_given_up,
    a_missing_collector_delays_no_client,
    no_span_is_missing_after_reload_upgrade_and_the_monitors_death,
    requests_that_move_keep_their_places_in_their_traces)
