/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/proto_http.c, with the rooms that it is made of, to
 * worker/proto.h and to penstock-http(7).
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/http_date.h"
#include "common/http_head.h"
#include "tests/lib/harness.h"
#include "tests/lib/http_table.h"
#include "tests/lib/stream.h"
#include "worker/http_chunks.h"
#include "worker/http_facts.h"
#include "worker/http_route.h"
#include "worker/proto.h"

/*
 * The table.
 */

static void
begin(struct stream *stream)
{
	stream_init(stream, &proto_http, HTTP_TABLE_BODY_MAX);
	stream->conf.http.max_header_size = HTTP_TABLE_HEADER_MAX;
	stream->conf.http.max_headers = HTTP_TABLE_HEADERS_MAX;
	stream->conf.http.max_target_size = HTTP_TABLE_TARGET_MAX;
}

/* What has been found is what the row says, and behind it the canary where that
 * had its turn. */
static void
expect_row(const struct http_row *row, const struct found *found,
    const char *how, size_t at)
{
	size_t len = strlen(row->body), n = row->stays ? 2 : 1;

	if (row->status != 200) {
		ck_assert_msg(found->n == 0 && found->close &&
		    found->status == row->status,
		    "%s at %zu: %zu messages, status %u instead of %u: %s",
		    how, at, found->n, found->status, row->status, row->raw);
		return;
	}
	ck_assert_msg(found->verdict == PROTO_MORE && found->status == 0,
	    "%s at %zu: refused with %u: %s", how, at, found->status,
	    row->raw);
	ck_assert_msg(found->n == n && found->close == !row->stays,
	    "%s at %zu: %zu messages instead of %zu: %s", how, at, found->n, n,
	    row->raw);
	ck_assert_msg(found->lens[0] >= len && (len == 0 ||
	    memcmp(found->payloads, row->body, len) == 0),
	    "%s at %zu: another body: %s", how, at, row->raw);
	if (row->stays)
		ck_assert_mem_eq(found->payloads + found->lens[0], "canary",
		    found->lens[1]);
}

/* A row with the canary behind it. */
struct raw {
	uint8_t *bytes;
	size_t len;
};

static struct raw
join(const struct http_row *row)
{
	size_t canary_len = strlen(http_canary);
	struct raw raw = { .len = row->len + canary_len };

	ck_assert_ptr_nonnull(raw.bytes = malloc(raw.len));
	memcpy(raw.bytes, row->raw, row->len);
	memcpy(raw.bytes + row->len, http_canary, canary_len);
	return (raw);
}

START_TEST(every_request_of_the_table_is_taken_for_what_it_is)
{
	ck_assert_uint_ge(http_table_len, 150);
	for (size_t i = 0; i < http_table_len; i++) {
		struct raw raw = join(&http_table[i]);
		struct stream stream;

		begin(&stream);
		stream_feed(&stream, raw.bytes, raw.len);
		expect_row(&http_table[i], &stream.found, "whole", 0);
		stream_free(&stream);
		free(raw.bytes);
	}
}
END_TEST

START_TEST(a_request_is_the_same_split_at_every_byte)
{
	for (size_t i = 0; i < http_table_len; i++) {
		struct raw raw = join(&http_table[i]);
		struct stream stream;

		for (size_t at = 1; at < raw.len; at++) {
			begin(&stream);
			stream_feed(&stream, raw.bytes, at);
			stream_feed(&stream, raw.bytes + at, raw.len - at);
			expect_row(&http_table[i], &stream.found, "split", at);
			stream_free(&stream);
		}
		free(raw.bytes);
	}
}
END_TEST

START_TEST(a_request_is_the_same_in_pieces_of_every_length)
{
	for (size_t i = 0; i < http_table_len; i++) {
		struct raw raw = join(&http_table[i]);
		struct stream stream;

		for (size_t piece = 1; piece < raw.len; piece++) {
			begin(&stream);
			stream_feed_pieces(&stream, raw.bytes, raw.len, piece);
			expect_row(&http_table[i], &stream.found, "pieces",
			    piece);
			stream_free(&stream);
		}
		free(raw.bytes);
	}
}
END_TEST

static struct conf_http
http_conf(void)
{
	static char none[] = "";

	return ((struct conf_http){
		.max_header_size = 1024,
		.max_headers = 20,
		.max_target_size = 256,
		.server = none,
		.request_id = true,
	});
}

/* Bytes are looked at several at a time where they can be. */
START_TEST(a_byte_is_judged_alike_wherever_it_stands)
{
	static const char before[] = "GET / HTTP/1.1\r\nHost: h\r\nA:";
	enum { BEFORE = sizeof(before) - 1, VALUE = 32 };
	struct conf_http conf = http_conf();
	uint8_t raw[BEFORE + VALUE + 4];

	memcpy(raw, before, BEFORE);
	for (size_t at = BEFORE; at < BEFORE + VALUE; at++)
		for (unsigned byte = 0; byte < 256; byte++) {
			size_t scanned = 0, len;
			bool is_bad = (byte < ' ' && byte != '\t') ||
			    byte == 127;
			unsigned status;

			memset(raw + BEFORE, 0xa0, VALUE);
			memcpy(raw + BEFORE + VALUE, "\r\n\r\n", 4);
			raw[at] = (uint8_t)byte;
			len = http_head_find(raw, sizeof(raw), &conf, &scanned,
			    &status);
			ck_assert_msg(status == (is_bad ? HTTP_400 : 0),
			    "%u at %zu: %u", byte, at, status);
			ck_assert_uint_eq(len, is_bad ? 0 : sizeof(raw));
		}
}
END_TEST

/*
 * What a header tells.
 */

static unsigned
read_head(struct http_head *head, const char *raw, const struct conf_http *conf)
{
	size_t scanned = 0, len;
	unsigned status;

	len = http_head_find((const uint8_t *)raw, strlen(raw), conf, &scanned,
	    &status);
	ck_assert_uint_eq(status, 0);
	ck_assert_uint_eq(len, strlen(raw));
	status = http_head_parse(head, (const uint8_t *)raw, len, conf);
	if (status == 0)
		http_route(head, conf);
	return (status);
}

static void
expect_slice(struct http_slice slice, const char *text)
{
	if (text == NULL) {
		ck_assert_ptr_null(slice.bytes);
		return;
	}
	ck_assert_uint_eq(slice.len, strlen(text));
	ck_assert_mem_eq(slice.bytes, text, slice.len);
}

static void
expect_payload(struct payload payload, const char *text)
{
	ck_assert_uint_eq(payload.len, strlen(text));
	if (payload.len > 0)
		ck_assert_mem_eq(payload.bytes, text, payload.len);
}

START_TEST(a_target_has_a_path_and_maybe_a_query)
{
	static const struct {
		const char *target, *path, *query;
	} rows[] = {
		{ "/", "/", NULL },
		{ "/a/b", "/a/b", NULL },
		{ "/a?", "/a", "" },
		{ "/a?b=c?d", "/a", "b=c?d" },
		{ "http://h", "/", NULL },
		{ "http://h?q", "/", "q" },
		{ "http://h/a%2Fb?q", "/a%2Fb", "q" },
		{ "https://[::1]:80/x", "/x", NULL },
	};
	struct conf_http conf = http_conf();
	struct http_head head;
	char raw[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(raw, sizeof(raw), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n",
		    rows[i].target);
		ck_assert_uint_eq(read_head(&head, raw, &conf), 0);
		expect_slice(head.method, "GET");
		expect_slice(head.target, rows[i].target);
		expect_slice(head.path, rows[i].path);
		expect_slice(head.query, rows[i].query);
	}
}
END_TEST

START_TEST(the_fields_that_handlers_see_are_found_whatever_their_case)
{
	char device[] = "X-Device", agent[] = "user-agent";
	char *fields[] = { device, agent, NULL };
	struct conf_http conf = http_conf();
	struct http_head head;

	conf.fields = fields;
	ck_assert_uint_eq(read_head(&head, "GET / HTTP/1.1\r\n"
	    "x-DEVICE:  one two \r\nHost: h\r\nUser-Agent: me\r\n"
	    "X-Device-Id: no\r\nX-Device:\r\n\r\n", &conf), 0);
	ck_assert_uint_eq(head.nfields, 3);
	ck_assert_uint_eq(head.fields[0].number, 0);
	expect_slice(head.fields[0].value, "one two");
	ck_assert_uint_eq(head.fields[1].number, 1);
	expect_slice(head.fields[1].value, "me");
	ck_assert_uint_eq(head.fields[2].number, 0);
	expect_slice(head.fields[2].value, "");
	expect_slice(head.agent, "me");
	expect_slice(head.referer, NULL);
}
END_TEST

/* Penstock's own answer: RFC 9110, 9.3.7. */
START_TEST(options_for_the_server_as_a_whole_lists_the_methods_of_all_routes)
{
	char path[] = "/", get[] = "GET", put[] = "PUT";
	char *readers[] = { get, NULL }, *writers[] = { put, get, NULL };
	struct conf_route routes[] = {
		{ .path = path, .methods = readers },
		{ .path = path, .methods = writers },
		{ .path = path },
	};
	struct conf_http conf = http_conf();
	struct http_head head;
	const char raw[] = "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n";

	ck_assert_uint_eq(read_head(&head, raw, &conf), 0);
	ck_assert_uint_eq(head.exchange.status, 204);
	ck_assert_str_eq(head.exchange.note, "");
	conf.routes = routes;
	conf.nroutes = 2;
	ck_assert_uint_eq(read_head(&head, raw, &conf), 0);
	ck_assert_uint_eq(head.exchange.status, 204);
	ck_assert_str_eq(head.exchange.note, "GET, HEAD, PUT");
	/* One that takes all of them. */
	conf.nroutes = 3;
	ck_assert_uint_eq(read_head(&head, raw, &conf), 0);
	ck_assert_str_eq(head.exchange.note, "");
}
END_TEST

/* RFC 9112, 3.2.2. */
START_TEST(handlers_see_the_host_of_a_target_in_absolute_form)
{
	static char host[] = "host";
	char *fields[] = { host, NULL };
	struct conf_http conf = http_conf();
	struct http_head head;

	conf.fields = fields;
	ck_assert_uint_eq(read_head(&head, "GET http://a:8/x HTTP/1.1\r\n"
	    "Host: b\r\n\r\n", &conf), 0);
	ck_assert_uint_eq(head.nfields, 1);
	expect_slice(head.fields[0].value, "a:8");
	ck_assert_uint_eq(read_head(&head, "GET http://a/ HTTP/1.0\r\n\r\n",
	    &conf), 0);
	ck_assert_uint_eq(head.nfields, 1);
	expect_slice(head.fields[0].value, "a");
	ck_assert_uint_eq(read_head(&head, "GET / HTTP/1.1\r\n"
	    "Host: b\r\n\r\n", &conf), 0);
	expect_slice(head.fields[0].value, "b");
}
END_TEST

START_TEST(the_request_line_is_known_of_a_request_that_is_not_whole)
{
	static const struct {
		const char *raw, *method, *target;
		bool is_head;
	} rows[] = {
		{ "GET /a HTTP/1.1\r\nX", "GET", "/a", false },
		{ "HEAD /a", "HEAD", "/a", true },
		{ "HEAD /a HTTP/9.9\r\n", "HEAD", "/a", true },
		{ "HEAD ", "HEAD", "", true },
		{ "HEAD", NULL, NULL, false },
		{ "\x16\x03 /", NULL, NULL, false },
		{ "GET /\x01", "GET", "/", false },
	};
	struct http_head head;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		http_head_glimpse(&head, (const uint8_t *)rows[i].raw,
		    strlen(rows[i].raw));
		expect_slice(head.method, rows[i].method);
		expect_slice(head.target, rows[i].target);
		ck_assert_int_eq(head.exchange.is_head, rows[i].is_head);
	}
}
END_TEST

/* 5,000 chunks of one byte are no more than one of 5,000 bytes. */
START_TEST(many_small_chunks_are_one_body)
{
	enum { CHUNKS = 5000 };
	static const char head[] = "POST / HTTP/1.1\r\nHost: h\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n";
	struct stream stream;

	stream_init(&stream, &proto_http, 1 << 20);
	stream_feed(&stream, (const uint8_t *)head, sizeof(head) - 1);
	for (int i = 0; i < CHUNKS; i++)
		stream_feed(&stream, (const uint8_t *)"1\r\na\r\n", 6);
	stream_feed(&stream, (const uint8_t *)"0\r\n\r\n", 5);
	ck_assert_uint_eq(stream.found.n, 1);
	ck_assert_uint_eq(stream.found.lens[0], CHUNKS);
	stream_free(&stream);
}
END_TEST

START_TEST(a_client_that_accepts_json_is_told_of_trouble_in_json)
{
	static const struct {
		const char *accept;
		bool json;
	} rows[] = {
		{ "*/*", false },
		{ "text/html", false },
		{ "application/json", true },
		{ "text/html, Application/JSON;q=0.5", true },
		{ "application/js", false },
		{ "application/jsonx", false },
		{ "application/json;charset=utf-8", true },
		{ "application/*", true },
		{ "application/json, text/plain, */*", true },
		{ "text/plain, application/json", false },
		{ "text/plain;q=0.4, application/json;q=0.5", true },
		{ "text/plain;q=0.501, application/json;q=0.5", false },
		{ "text/*, application/json", true },
		{ "application/json;q=0", false },
		{ "application/json;q=0.000, */*", false },
		{ "*/*, text/plain;q=0", true },
		{ "text/html,application/xhtml+xml,*/*;q=0.8", false },
		{ "x/y;a=\"application/json, b\"", false },
		{ "x/y;a=\"\\\", application/json\"", false },
		{ "application/json;q=2", false },
		{ "application/json;q=0.1234", false },
		{ "application/json ; Q=1 , ,", true },
		{ "application / json", false },
		{ "", false },
		/* Two fields are one list. */
		{ "text/plain;q=0.1\r\nAccept: application/json", true },
	};
	struct conf_http conf = http_conf();
	struct http_head head;
	char raw[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(raw, sizeof(raw), "GET / HTTP/1.1\r\nHost: h\r\n"
		    "Accept: %s\r\n\r\n", rows[i].accept);
		ck_assert_uint_eq(read_head(&head, raw, &conf), 0);
		ck_assert_int_eq(head.exchange.wants_json, rows[i].json);
	}
}
END_TEST

/*
 * Routes.
 */

static unsigned
route(struct http_head *head, const struct conf_http *conf, const char *line)
{
	char raw[256];

	snprintf(raw, sizeof(raw), "%s HTTP/1.1\r\nHost: h\r\n"
	    "Content-Length: 0\r\n\r\n", line);
	ck_assert_uint_eq(read_head(head, raw, conf), 0);
	return (head->exchange.status);
}

START_TEST(a_request_goes_to_the_first_route_that_fits)
{
	char path_a[] = "/a", path_b[] = "/b/", path_c[] = "/c";
	char get[] = "GET", post[] = "POST", put[] = "PUT";
	char *readers[] = { get, NULL }, *writers[] = { post, put, NULL };
	struct conf_route routes[] = {
		{ .path = path_a, .methods = readers },
		{ .path = path_a, .methods = writers },
		{ .path = path_b, .match = CONF_MATCH_PREFIX },
		{ .path = path_c, .match = CONF_MATCH_PREFIX,
		  .methods = readers },
	};
	struct conf_http conf = http_conf();
	struct http_head head;

	conf.routes = routes;
	conf.nroutes = sizeof(routes) / sizeof(*routes);
	ck_assert_uint_eq(route(&head, &conf, "GET /a"), 0);
	ck_assert_ptr_eq(head.route, &routes[0]);
	ck_assert_uint_eq(route(&head, &conf, "PUT /a?x"), 0);
	ck_assert_ptr_eq(head.route, &routes[1]);
	ck_assert_uint_eq(route(&head, &conf, "DELETE /a"), 405);
	ck_assert_str_eq(head.exchange.note, "GET, HEAD, POST, PUT");
	ck_assert_uint_eq(route(&head, &conf, "GET /a/"), 404);
	ck_assert_uint_eq(route(&head, &conf, "GET /ab"), 404);
	ck_assert_uint_eq(route(&head, &conf, "GET /A"), 404);
	ck_assert_uint_eq(route(&head, &conf, "GET /%61"), 404);
	ck_assert_uint_eq(route(&head, &conf, "GET /b/"), 0);
	ck_assert_ptr_eq(head.route, &routes[2]);
	ck_assert_uint_eq(route(&head, &conf, "DELETE /b/x/y"), 0);
	ck_assert_uint_eq(route(&head, &conf, "GET /b"), 404);
	ck_assert_uint_eq(route(&head, &conf, "GET /c"), 0);
	ck_assert_uint_eq(route(&head, &conf, "GET /c/d"), 0);
	ck_assert_uint_eq(route(&head, &conf, "GET /cd"), 404);
	ck_assert_uint_eq(route(&head, &conf, "PUT /c/d"), 405);
	ck_assert_str_eq(head.exchange.note, "GET, HEAD");
	/* What serves GET serves HEAD: RFC 9110, 9.1. */
	ck_assert_uint_eq(route(&head, &conf, "HEAD /a"), 0);
	ck_assert_ptr_eq(head.route, &routes[0]);
}
END_TEST

/*
 * A word before the body, and time for it.
 */

static enum proto_verdict
parse(struct stream *stream, const char *raw)
{
	struct http_head http;
	struct proto_message message = { .exchange = &http.exchange.base };
	size_t len = strlen(raw);
	uint8_t *bytes = malloc(len);
	enum proto_verdict verdict;

	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, raw, len);
	verdict = proto_http.parse(bytes, len, &stream->conf,
	    &stream->progress, &message);
	free(bytes);
	return (verdict);
}

#define EXPECTS "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"

START_TEST(a_client_that_waits_for_a_word_gets_it_once)
{
	static const char raw[] = EXPECTS "Content-Length: 2\r\n\r\n";
	struct stream stream;

	begin(&stream);
	ck_assert_int_eq(parse(&stream, raw), PROTO_INTERIM);
	ck_assert_int_eq(parse(&stream, raw), PROTO_MORE);
	ck_assert_int_eq(parse(&stream, raw), PROTO_MORE);
	ck_assert_int_eq(parse(&stream, EXPECTS "Content-Length: 2\r\n\r\nab"),
	    PROTO_MESSAGE);
	/* One that does not wait gets none. */
	begin(&stream);
	ck_assert_int_eq(parse(&stream, EXPECTS "Content-Length: 2\r\n\r\na"),
	    PROTO_MORE);
	/* Nor a request with a body that will not be taken. */
	begin(&stream);
	ck_assert_int_eq(parse(&stream, EXPECTS "Content-Length: 65\r\n\r\n"),
	    PROTO_TOO_LARGE);
}
END_TEST

START_TEST(a_body_has_its_time_anew_for_as_much_as_the_rate_asks)
{
	static const char head[] =
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n";
	struct stream stream;
	char raw[256];

	begin(&stream);
	stream.conf.read_timeout_ms = 2000;
	stream.conf.http.min_body_rate = 10;	/* 20 bytes in that time */
	ck_assert_int_eq(parse(&stream, "POST / HT"), PROTO_MORE);
	ck_assert(!stream.progress.is_timed_anew);
	ck_assert_int_eq(parse(&stream, head), PROTO_MORE);
	ck_assert(stream.progress.is_timed_anew);
	for (int n = 1; n < 60; n++) {
		stream.progress.is_timed_anew = false;
		snprintf(raw, sizeof(raw), "%s%0*d", head, n, 0);
		ck_assert_int_eq(parse(&stream, raw), PROTO_MORE);
		ck_assert_int_eq(stream.progress.is_timed_anew, n % 20 == 0);
	}
}
END_TEST

/*
 * Ids.
 */

START_TEST(an_id_that_may_be_one_is_kept)
{
	static const char most[] = "0123456789012345678901234567890123456789"
	    "!#$%&'*+-.^_`|~abcdABCD";
	static const char more[] = "0123456789012345678901234567890123456789"
	    "012345678901234567890123";
	const struct {
		const char *value;
		const char *id;
	} rows[] = {
		{ "a-b.c_1", "a-b.c_1" },
		{ "\t7  ", "7" },
		{ most, most },
		{ more, "" },
		{ "", "" },
		{ "a b", "" },
		{ "a,b", "" },
		{ "\"a\"", "" },
		{ "\xe4", "" },
	};
	struct conf_http conf = http_conf();
	struct http_head head;
	char raw[256];

	ck_assert_uint_eq(strlen(most), EXCHANGE_ID_MAX);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(raw, sizeof(raw), "GET / HTTP/1.1\r\nHost: h\r\n"
		    "x-request-ID:%s\r\n\r\n", rows[i].value);
		ck_assert_uint_eq(read_head(&head, raw, &conf), 0);
		ck_assert_msg(strcmp(head.exchange.base.id, rows[i].id) == 0,
		    "%s: %s", rows[i].value, head.exchange.base.id);
	}
}
END_TEST

/*
 * Replies.
 */

static const char *
framed(const struct http_exchange *exchange, size_t payload_len,
    const char *server, bool *is_bare)
{
	static char text[PROTO_HEAD_MAX + 1];
	struct conf_listener conf = { .http = http_conf() };
	uint8_t head[PROTO_HEAD_MAX];
	struct proto_framing framing = { .head = head };
	char name[64];

	snprintf(name, sizeof(name), "%s", server);
	conf.http.server = name;
	memset(head, 0xff, sizeof(head));
	proto_http.frame(&framing, payload_len, &conf, &exchange->base);
	ck_assert_uint_eq(framing.tail_len, 0);
	memcpy(text, framing.head, framing.head_len);
	text[framing.head_len] = '\0';
	*is_bare = framing.is_bare;
	/* The date is now's: leave its value out. */
	if (strstr(text, "Date: ") != NULL) {
		char *date = strstr(text, "Date: ") + 6;

		memmove(date, date + HTTP_DATE_LEN,
		    strlen(date + HTTP_DATE_LEN) + 1);
	}
	return (text);
}

START_TEST(a_reply_has_what_its_request_asks_for)
{
	struct http_exchange plain = { .status = 0 };
	struct http_exchange last = { .status = 201, .base.close = true,
	    .note = "text/plain" };
	struct http_exchange head = { .is_head = true };
	struct http_exchange old = { .is_10 = true };
	struct http_exchange empty = { .status = 204 };
	struct http_exchange reset = { .status = 205 };
	struct http_exchange word = { .status = 100 };
	struct http_exchange odd = { .status = 299 };
	struct http_exchange named = { .status = 204, .base.id = "its-id" };
	bool is_bare;

	ck_assert_str_eq(framed(&plain, 5, "", &is_bare),
	    "HTTP/1.1 200 OK\r\nDate: \r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "Content-Length: 5\r\n\r\n");
	ck_assert(!is_bare);
	ck_assert_str_eq(framed(&last, 0, "me/1", &is_bare),
	    "HTTP/1.1 201 Created\r\nDate: \r\nServer: me/1\r\n"
	    "Content-Type: text/plain\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n");
	ck_assert_str_eq(framed(&head, 1234567890123, "", &is_bare),
	    "HTTP/1.1 200 OK\r\nDate: \r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "Content-Length: 1234567890123\r\n\r\n");
	ck_assert(is_bare);
	ck_assert_str_eq(framed(&old, 5, "", &is_bare),
	    "HTTP/1.1 200 OK\r\nDate: \r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "Content-Length: 5\r\nConnection: keep-alive\r\n\r\n");
	ck_assert_str_eq(framed(&empty, 0, "", &is_bare),
	    "HTTP/1.1 204 No Content\r\nDate: \r\n\r\n");
	ck_assert(is_bare);
	/* RFC 9110, 15.3.6. */
	ck_assert_str_eq(framed(&reset, 5, "", &is_bare),
	    "HTTP/1.1 205 \r\nDate: \r\nContent-Length: 0\r\n\r\n");
	ck_assert(is_bare);
	ck_assert_str_eq(framed(&named, 0, "me/1", &is_bare),
	    "HTTP/1.1 204 No Content\r\nDate: \r\nServer: me/1\r\n"
	    "X-Request-Id: its-id\r\n\r\n");
	strcpy(word.base.id, "its-id");
	ck_assert_str_eq(framed(&word, 0, "", &is_bare),
	    "HTTP/1.1 100 Continue\r\n\r\n");
	ck_assert_str_eq(framed(&odd, 0, "", &is_bare),
	    "HTTP/1.1 299 \r\nDate: \r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "Content-Length: 0\r\n\r\n");
}
END_TEST

/* A reply with the two fields, or with as many as there may be. */
static void
expect_fields(const struct http_exchange *exchange, const char *expected)
{
	static const char fields[] = "\r\nLocation: /b\r\nAllow: GET";
	uint8_t head[PROTO_HEAD_MAX + sizeof(fields)];
	struct conf_listener conf = { .http = http_conf() };
	struct buffer *given = malloc(sizeof(*given) + sizeof(fields));
	struct proto_framing framing = { .head = head, .fields = given };
	char *text;

	ck_assert_ptr_nonnull(given);
	given->len = sizeof(fields) - 1;
	memcpy(given->bytes, fields, sizeof(fields) - 1);
	proto_http.frame(&framing, 5, &conf, &exchange->base);
	ck_assert_int_ne(asprintf(&text, "%.*s", (int)framing.head_len,
	    (const char *)head), -1);
	/* Whatever the date is. */
	memcpy(strstr(text, "Date: ") + 6, "(now)" "                        ",
	    HTTP_DATE_LEN);
	ck_assert_str_eq(text, expected);
	free(text);
	free(given);
}

#define DATE	"Date: (now)                        "
#define FIELDS	"\r\nLocation: /b\r\nAllow: GET"

START_TEST(the_fields_of_a_handler_stand_in_its_reply)
{
	static const struct http_exchange found = { .status = 302 };
	static const struct http_exchange none = { .status = 204 };
	static const struct http_exchange reset = { .status = 205 };
	static const struct http_exchange unmodified = { .status = 304 };
	static const struct http_exchange method = { .status = 405,
	    .note = "text/plain", .base.close = true };

	_Static_assert(sizeof("(now)" "                        ") ==
	    HTTP_DATE_LEN + 1, "");
	expect_fields(&found, "HTTP/1.1 302 Found\r\n" DATE "\r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "Content-Length: 5" FIELDS "\r\n\r\n");
	expect_fields(&none, "HTTP/1.1 204 No Content\r\n" DATE FIELDS
	    "\r\n\r\n");
	expect_fields(&reset, "HTTP/1.1 205 \r\n" DATE
	    "\r\nContent-Length: 0" FIELDS "\r\n\r\n");
	expect_fields(&unmodified, "HTTP/1.1 304 Not Modified\r\n" DATE FIELDS
	    "\r\n\r\n");
	/* The handler's Allow, not one of the server's. */
	expect_fields(&method, "HTTP/1.1 405 Method Not Allowed\r\n" DATE
	    "\r\nContent-Type: text/plain\r\nContent-Length: 5" FIELDS
	    "\r\nConnection: close\r\n\r\n");
}
END_TEST

START_TEST(trouble_is_told_in_text_or_json_with_advice)
{
	struct http_exchange busy = { .status = 0 };
	struct http_exchange json = { .wants_json = true, .base.close = true };
	struct http_exchange method = { .status = 405, .note = "GET, PUT" };
	struct payload payload;
	bool is_bare;

	payload = proto_http.explain(TROUBLE_BUSY, &busy.base);
	ck_assert_uint_eq(payload.len, 24);
	ck_assert_mem_eq(payload.bytes, "503 Service Unavailable\n", 24);
	ck_assert_str_eq(framed(&busy, payload.len, "", &is_bare),
	    "HTTP/1.1 503 Service Unavailable\r\nDate: \r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Length: 24\r\nRetry-After: 1\r\n\r\n");
	payload = proto_http.explain(TROUBLE_TIMEOUT, &json.base);
	ck_assert_mem_eq(payload.bytes,
	    "{\"status\":504,\"error\":\"Gateway Timeout\"}\n", payload.len);
	ck_assert_str_eq(framed(&json, payload.len, "", &is_bare),
	    "HTTP/1.1 504 Gateway Timeout\r\nDate: \r\n"
	    "Content-Type: application/json\r\nContent-Length: 41\r\n"
	    "Connection: close\r\n\r\n");
	payload = proto_http.explain(TROUBLE_REFUSED, &method.base);
	ck_assert_mem_eq(payload.bytes, "405 Method Not Allowed\n",
	    payload.len);
	ck_assert_str_eq(framed(&method, payload.len, "", &is_bare),
	    "HTTP/1.1 405 Method Not Allowed\r\nDate: \r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Length: 23\r\nAllow: GET, PUT\r\n\r\n");
}
END_TEST

/* A reply about trouble, with its payload if it is sent. */
static void
explained(struct exchange *exchange, char *to, size_t size)
{
	struct payload payload = proto_http.explain(TROUBLE_FAILED, exchange);
	const char *head;
	bool is_bare;

	head = framed((struct http_exchange *)exchange, payload.len, "",
	    &is_bare);
	snprintf(to, size, "%s%.*s", head, is_bare ? 0 : (int)payload.len,
	    (const char *)payload.bytes);
}

START_TEST(a_brief_is_enough_for_a_reply_about_trouble)
{
	static const char *const accepts[] = { "*/*", "application/json" };
	static const char *const methods[] = { "GET", "HEAD", "POST" };
	static const char *const options[] = { "close", "keep-alive", "x" };
	struct conf_http conf = http_conf();
	struct http_head head;
	struct proto_room room;
	char raw[256], from_head[1024], from_brief[1024];

	for (unsigned i = 0; i < 3 * 3 * 2 * 2; i++) {
		snprintf(raw, sizeof(raw), "%s / HTTP/1.%u\r\nHost: h\r\n"
		    "Accept: %s\r\nConnection: %s\r\n"
		    "Content-Length: 0\r\n\r\n", methods[i % 3], i / 3 % 2,
		    accepts[i / 6 % 2], options[i / 12]);
		ck_assert_uint_eq(read_head(&head, raw, &conf), 0);
		memset(&room, 0xff, sizeof(room));
		proto_http.recall(proto_http.brief(&head.exchange.base),
		    (struct exchange *)room.bytes);
		ck_assert_int_eq(((struct exchange *)room.bytes)->close,
		    head.exchange.base.close);
		explained(&head.exchange.base, from_head, sizeof(from_head));
		explained((struct exchange *)room.bytes, from_brief,
		    sizeof(from_brief));
		ck_assert_str_eq(from_brief, from_head);
	}
}
END_TEST

START_TEST(the_largest_head_of_a_reply_fits)
{
	struct http_exchange exchange = { .status = 405, .base.close = true,
	    .is_trouble = true };
	struct conf_listener conf = { .http = http_conf() };
	uint8_t head[PROTO_HEAD_MAX];
	struct proto_framing framing = { .head = head };
	char server[129];

	memset(server, 's', sizeof(server) - 1);
	server[sizeof(server) - 1] = '\0';
	memset(exchange.note, 'n', sizeof(exchange.note) - 1);
	memset(exchange.base.id, 'i', sizeof(exchange.base.id) - 1);
	conf.http.server = server;
	proto_http.frame(&framing, SIZE_MAX, &conf, &exchange.base);
	ck_assert_uint_le(framing.head_len, PROTO_HEAD_MAX);
	exchange.is_trouble = false;
	exchange.status = 599;
	proto_http.frame(&framing, SIZE_MAX, &conf, &exchange.base);
	ck_assert_uint_le(framing.head_len, PROTO_HEAD_MAX);
}
END_TEST

/*
 * What comes from another worker.
 */

/* That a good one can is seen wherever the streams above stop. */
START_TEST(no_other_progress_than_a_possible_one_is_gone_on_from)
{
	enum { LEN = 100 };
	static const struct proto_progress bad[] = {
		{ .scanned = LEN + 1 },
		{ .scanned = SIZE_MAX },
		{ .head_len = 1 },
		{ .body_len = 1 },
		{ .framing_len = 1 },
		{ .timed_len = 1 },
		{ .phase = HTTP_PHASE_WHOLE + 1, .head_len = 20, .scanned = 20 },
		{ .phase = HTTP_PHASE_LENGTH, .scanned = 20 },
		{ .phase = HTTP_PHASE_LENGTH, .scanned = 20, .head_len = 21 },
		{ .phase = HTTP_PHASE_LENGTH, .scanned = 20, .head_len = 20,
		  .timed_len = LEN + 1 },
		{ .phase = HTTP_PHASE_CHUNK, .scanned = 30, .head_len = 20,
		  .body_len = 11 },
		{ .phase = HTTP_PHASE_DATA, .scanned = 30, .head_len = 20,
		  .body_len = SIZE_MAX },
		{ .phase = HTTP_PHASE_WHOLE, .scanned = 30, .head_len = 20,
		  .body_len = 11 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!proto_can_resume(&proto_http, &bad[i], LEN),
		    "%zu", i);
	ck_assert(!proto_can_resume(&proto_line, &bad[0], LEN));
	ck_assert(!proto_can_resume(&proto_frame, &bad[1], LEN));
}
END_TEST

static void *
get_room(size_t size)
{
	void *room = malloc(size);

	ck_assert_ptr_nonnull(room);
	return (room);
}

/* In memory that ends with them. */
static struct http_facts *
keep(const struct http_head *head, const struct conf_http *http,
    bool is_logged)
{
	struct conf_listener listener, *conf = NULL;

	if (http != NULL) {
		listener.http = *http;
		conf = &listener;
	}
	return ((struct http_facts *)http_facts_keep(get_room(
	    http_facts_keep_size(&head->exchange.base, conf, is_logged)),
	    &head->exchange.base, conf, is_logged));
}

static struct http_facts *
make_facts(bool is_logged)
{
	char device[] = "X-Device";
	char *fields[] = { device, NULL };
	struct conf_http conf = http_conf();
	struct http_facts *facts;
	struct http_head head;

	conf.fields = fields;
	ck_assert_uint_eq(read_head(&head, "GET /a?b HTTP/1.1\r\nHost: h\r\n"
	    "X-Device: 7\r\nReferer: it\r\nUser-Agent: me\r\n"
	    "X-Request-Id: my.id\r\n\r\n", &conf),
	    0);
	facts = keep(&head, &conf, is_logged);
	return (facts);
}

/* A copy in memory that ends with it. */
static struct http_facts *
copy_facts(const struct http_facts *facts)
{
	size_t len = facts->len + facts->logged_len;
	uint8_t *room = get_room(proto_http.kept_len + len);
	struct proto_packed packed;

	http_facts_pack(&facts->exchange.base, &packed);
	memcpy(room + proto_http.kept_len, packed.told.bytes, len);
	ck_assert_ptr_eq(http_facts_unpack(room, &packed, NULL), room);
	return ((struct http_facts *)room);
}

START_TEST(facts_are_sound_as_they_are_made_and_tell_the_log_the_same)
{
	struct http_facts *facts = make_facts(true), *copy;
	struct access_facts told;

	ck_assert(http_facts_are_sound(facts));
	copy = copy_facts(facts);
	ck_assert(http_facts_are_sound(copy));
	ck_assert_str_eq(copy->exchange.base.id, "my.id");
	http_facts_log(&copy->exchange.base, &told);
	expect_payload(told.method, "GET");
	expect_payload(told.target, "/a?b");
	expect_payload(told.referer, "it");
	expect_payload(told.agent, "me");
	free(copy);
	free(facts);
	facts = make_facts(false);
	ck_assert(http_facts_are_sound(facts));
	http_facts_log(&facts->exchange.base, &told);
	expect_payload(told.target, "/a?b");
	expect_payload(told.agent, "");
	free(facts);
}
END_TEST

/* RFC 6265, 5.4, and RFC 9110, 5.3. */
START_TEST(fields_that_come_several_times_are_joined)
{
	static char cookie[] = "cookie", other[] = "x";
	char *fields[] = { cookie, other, NULL };
	struct conf_http conf = http_conf();
	struct http_facts *facts;
	struct http_head head;
	const char *at;

	conf.fields = fields;
	ck_assert_uint_eq(read_head(&head, "GET / HTTP/1.1\r\nHost: h\r\n"
	    "Cookie: a=1\r\nX: b\r\nCOOKIE: c=2; d=3\r\nX: e\r\n\r\n",
	    &conf), 0);
	facts = keep(&head, &conf, false);
	ck_assert(http_facts_are_sound(facts));
	at = (const char *)(&facts->told + 1);
	for (int i = 0; i < 4; i++)
		at += strlen(at) + 1;
	ck_assert_str_eq(at, "cookie");
	at += strlen(at) + 1;
	ck_assert_str_eq(at, "a=1; c=2; d=3");
	at += strlen(at) + 1;
	ck_assert_str_eq(at, "x");
	at += strlen(at) + 1;
	ck_assert_str_eq(at, "b, e");
	free(facts);
}
END_TEST

START_TEST(of_a_request_that_is_answered_there_is_only_what_is_logged)
{
	enum { LONG = 5000 };
	static char text[LONG];
	struct http_slice slice = { text, LONG };
	struct http_head head = {
		.exchange = { .status = 404 }, .method = { "GET", 3 },
		.target = slice, .path = slice, .query = slice,
		.referer = slice, .agent = slice,
	};
	size_t size = http_facts_keep_size(&head.exchange.base, NULL, true);
	struct access_facts told;
	struct http_facts *facts;

	memset(text, 'x', LONG);
	ck_assert_uint_lt(size, ACCESS_LOG_TARGET_MAX +
	    2 * ACCESS_LOG_VALUE_MAX + sizeof(*facts) + 64);
	facts = keep(&head, NULL, true);
	ck_assert(http_facts_are_sound(facts));
	http_facts_log(&facts->exchange.base, &told);
	expect_payload(told.method, "GET");
	ck_assert_uint_eq(told.target.len, ACCESS_LOG_TARGET_MAX);
	ck_assert_uint_eq(told.referer.len, ACCESS_LOG_VALUE_MAX);
	ck_assert_uint_eq(told.agent.len, ACCESS_LOG_VALUE_MAX);
	free(facts);
	size = http_facts_keep_size(&head.exchange.base, NULL, false);
	ck_assert_uint_eq(size, sizeof(*facts));
	facts = keep(&head, NULL, false);
	ck_assert(http_facts_are_sound(facts));
	ck_assert_uint_eq(facts->exchange.status, 404);
	http_facts_log(&facts->exchange.base, &told);
	expect_payload(told.method, "");
	free(facts);
}
END_TEST

START_TEST(other_facts_are_not)
{
	struct http_facts *good = make_facts(true), *bad;

#define EXPECT_BAD(change)						\
	do {								\
		bad = copy_facts(good);					\
		change;							\
		ck_assert_msg(!http_facts_are_sound(bad), #change);	\
		free(bad);						\
	} while (0)
	EXPECT_BAD(bad->exchange.status = 600);
	EXPECT_BAD(memset(bad->exchange.note, 'x', HTTP_NOTE_MAX));
	EXPECT_BAD(strcpy(bad->exchange.note, "a\r\nb"));
	EXPECT_BAD(memset(bad->exchange.base.id, 'x', EXCHANGE_ID_MAX + 1));
	EXPECT_BAD(strcpy(bad->exchange.base.id, "a b"));
	EXPECT_BAD(strcpy(bad->exchange.base.id, "a\r\nb: c"));
	EXPECT_BAD(strcpy(bad->exchange.base.id, "\xe4"));
	EXPECT_BAD(bad->told.nfields = CONF_FIELDS_MAX + 1);
	EXPECT_BAD(bad->told.nfields = CONF_FIELDS_MAX);
	EXPECT_BAD(bad->told.nfields = UINT16_MAX);
	EXPECT_BAD(bad->len--);
	EXPECT_BAD(bad->len = EXEC_TOLD_ALIGN);
	EXPECT_BAD(bad->logged_len--);
	EXPECT_BAD(bad->logged_len = 1);
	EXPECT_BAD(memset(&bad->told + 1, 'x', bad->len -
	    sizeof(bad->told)));
	EXPECT_BAD(memset((char *)&bad->told + bad->len, 'x',
	    bad->logged_len));
#undef EXPECT_BAD
	free(good);
}
END_TEST

START_TEST(the_date_is_one_of_http)
{
	const char *date = http_date();
	struct tm tm;

	ck_assert_uint_eq(strlen(date), HTTP_DATE_LEN);
	ck_assert_ptr_nonnull(strptime(date, "%a, %d %b %Y %H:%M:%S GMT",
	    &tm));
	ck_assert_int_le(llabs(timegm(&tm) - time(NULL)), 2);
}
END_TEST

RUN_TESTS("http",
    a_byte_is_judged_alike_wherever_it_stands,
    every_request_of_the_table_is_taken_for_what_it_is,
    a_request_is_the_same_split_at_every_byte,
    a_request_is_the_same_in_pieces_of_every_length,
    a_target_has_a_path_and_maybe_a_query,
    the_fields_that_handlers_see_are_found_whatever_their_case,
    options_for_the_server_as_a_whole_lists_the_methods_of_all_routes,
    handlers_see_the_host_of_a_target_in_absolute_form,
    the_request_line_is_known_of_a_request_that_is_not_whole,
    many_small_chunks_are_one_body,
    a_client_that_accepts_json_is_told_of_trouble_in_json,
    a_request_goes_to_the_first_route_that_fits,
    a_client_that_waits_for_a_word_gets_it_once,
    a_body_has_its_time_anew_for_as_much_as_the_rate_asks,
    an_id_that_may_be_one_is_kept,
    a_reply_has_what_its_request_asks_for,
    the_fields_of_a_handler_stand_in_its_reply,
    trouble_is_told_in_text_or_json_with_advice,
    a_brief_is_enough_for_a_reply_about_trouble,
    the_largest_head_of_a_reply_fits,
    no_other_progress_than_a_possible_one_is_gone_on_from,
    facts_are_sound_as_they_are_made_and_tell_the_log_the_same,
    fields_that_come_several_times_are_joined,
    of_a_request_that_is_answered_there_is_only_what_is_logged,
    other_facts_are_not,
    the_date_is_one_of_http)
