/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/proto_frame.c and worker/proto_line.c to worker/proto.h and to
 * penstock-protocol(7).
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/harness.h"
#include "tests/lib/stream.h"
#include "worker/proto.h"

enum { MAX = 8 };		/* max_payload, where a test has no other */

/* A string that may hold zeroes, as two arguments. */
#define BYTES(text)	(const uint8_t *)(text), sizeof(text) - 1

struct bytes {
	const uint8_t *bytes;
	size_t len;
};

/*
 * Looking at a parser's answer.
 */

/* What the protocol says of these bytes, as the first that come. */
static enum proto_verdict
verdict_on(const struct proto *proto, const uint8_t *bytes, size_t len,
    size_t max_payload)
{
	struct conf_listener conf = { .max_message_size = max_payload };
	struct proto_progress progress = { .scanned = 0 };
	struct proto_message message = { .exchange = NULL };
	enum proto_verdict verdict;
	uint8_t *copy;

	ck_assert_ptr_nonnull(copy = malloc(len));
	memcpy(copy, bytes, len);
	verdict = proto->parse(copy, len, &conf, &progress, &message);
	free(copy);
	return (verdict);
}

/* Feed a stream in pieces of a length. */
static struct stream
feed(const struct proto *proto, const uint8_t *bytes, size_t len, size_t piece)
{
	struct stream stream;

	stream_init(&stream, proto, MAX);
	stream_feed_pieces(&stream, bytes, len, piece);
	return (stream);
}

/* The messages of a stream are those given, and then it ends so. */
static void
expect_found(const struct stream *stream, const char *const *messages,
    enum proto_verdict verdict)
{
	const struct found *found = &stream->found;
	size_t at = 0, i = 0;

	for (; messages[i] != NULL; i++) {
		size_t len = strlen(messages[i]);

		ck_assert_uint_lt(i, found->n);
		ck_assert_uint_eq(found->lens[i], len);
		if (len > 0)
			ck_assert_mem_eq(found->payloads + at, messages[i],
			    len);
		at += len;
	}
	ck_assert_uint_eq(found->n, i);
	ck_assert_int_eq(found->verdict, verdict);
}

/* Whether the stream comes at once or byte by byte. */
static void
expect_stream(const struct proto *proto, const uint8_t *bytes, size_t len,
    const char *const *messages, enum proto_verdict verdict)
{
	for (size_t piece = 1; piece <= len; piece++) {
		struct stream stream = feed(proto, bytes, len, piece);

		expect_found(&stream, messages, verdict);
		stream_free(&stream);
	}
}

#define MESSAGES(...)	(const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL }

/*
 * Cutting streams up.
 */

/* Feed [0, a), [a, b), [b, len) and compare with what the whole gives. */
static void
expect_same_when_cut(const struct proto *proto, struct bytes bytes, size_t a,
    size_t b, const struct found *whole)
{
	struct stream stream;

	stream_init(&stream, proto, MAX);
	stream_feed(&stream, bytes.bytes, a);
	stream_feed(&stream, bytes.bytes + a, b - a);
	stream_feed(&stream, bytes.bytes + b, bytes.len - b);
	ck_assert_msg(found_equal(&stream.found, whole),
	    "another result when cut at %zu and %zu", a, b);
	stream_free(&stream);
}

static void
cut_everywhere(const struct proto *proto, struct bytes bytes)
{
	struct stream whole = feed(proto, bytes.bytes, bytes.len, bytes.len);

	for (size_t a = 0; a <= bytes.len; a++)
		for (size_t b = a; b <= bytes.len; b++)
			expect_same_when_cut(proto, bytes, a, b,
			    &whole.found);
	stream_free(&whole);
}

/* The same in pieces of every length, one byte at a time among them. */
static void
cut_evenly(const struct proto *proto, struct bytes bytes)
{
	struct stream whole = feed(proto, bytes.bytes, bytes.len, bytes.len);

	for (size_t piece = 1; piece < bytes.len; piece++) {
		struct stream stream = feed(proto, bytes.bytes, bytes.len,
		    piece);

		ck_assert_msg(found_equal(&stream.found, &whole.found),
		    "another result in pieces of %zu", piece);
		stream_free(&stream);
	}
	stream_free(&whole);
}

/*
 * Frames.
 */

#define F1	"\0\0\0\1" "a"
#define F2	"\0\0\0\2" "bc"
#define F8	"\0\0\0\10" "deadbeef"

START_TEST(a_frame_is_four_bytes_of_length_and_that_many_of_payload)
{
	expect_stream(&proto_frame, BYTES(F1), MESSAGES("a"), PROTO_MORE);
	expect_stream(&proto_frame, BYTES(F1 F2 F8),
	    MESSAGES("a", "bc", "deadbeef"), PROTO_MORE);
}
END_TEST

START_TEST(the_length_of_a_frame_has_its_most_significant_byte_first)
{
	static const size_t len = 0x00010203;
	static const uint8_t head[] = { 0, 1, 2, 3 };
	uint8_t *bytes = calloc(1, len + 5);
	struct conf_listener conf = { .max_message_size = len };
	struct proto_progress progress = { .scanned = 0 };
	struct proto_message message;

	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, head, sizeof(head));
	ck_assert_int_eq(verdict_on(&proto_frame, bytes, len + 3, len),
	    PROTO_MORE);
	ck_assert_int_eq(proto_frame.parse(bytes, len + 5, &conf,
	    &progress, &message), PROTO_MESSAGE);
	ck_assert_uint_eq(message.len, len);
	ck_assert_uint_eq(message.consumed, len + 4);
	ck_assert_ptr_eq(message.payload, bytes + 4);
	free(bytes);
}
END_TEST

START_TEST(a_frame_may_hold_any_bytes)
{
	static const uint8_t bytes[] = {
		0, 0, 0, 8, 0, 0xff, '\n', '\r', 0, 0, 0, 1, 0, 0, 0, 1, 0
	};
	struct stream stream = feed(&proto_frame, bytes, sizeof(bytes), 1);

	ck_assert_uint_eq(stream.found.n, 2);
	ck_assert_uint_eq(stream.found.len, 9);
	ck_assert_mem_eq(stream.found.payloads, bytes + 4, 8);
	ck_assert_uint_eq(stream.found.payloads[8], 0);
	stream_free(&stream);
}
END_TEST

START_TEST(an_empty_frame_is_malformed)
{
	expect_stream(&proto_frame, BYTES("\0\0\0\0"), MESSAGES(),
	    PROTO_MALFORMED);
	expect_stream(&proto_frame, BYTES(F1 "\0\0\0\0" F2), MESSAGES("a"),
	    PROTO_MALFORMED);
}
END_TEST

START_TEST(a_frame_of_the_limit_is_taken_and_one_of_a_byte_more_is_not)
{
	expect_stream(&proto_frame, BYTES("\0\0\0\7" "1234567"),
	    MESSAGES("1234567"), PROTO_MORE);
	expect_stream(&proto_frame, BYTES("\0\0\0\10" "12345678"),
	    MESSAGES("12345678"), PROTO_MORE);
	expect_stream(&proto_frame, BYTES("\0\0\0\11" "123456789"),
	    MESSAGES(), PROTO_TOO_LARGE);
}
END_TEST

START_TEST(a_frame_that_is_too_large_is_known_by_its_header_alone)
{
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff };
	static const uint8_t over[] = { 0x40, 0, 0, 1 };
	static const size_t most = 0x40000000;	/* that may be configured */

	ck_assert_int_eq(verdict_on(&proto_frame, huge, 3, MAX), PROTO_MORE);
	ck_assert_int_eq(verdict_on(&proto_frame, huge, 4, MAX),
	    PROTO_TOO_LARGE);
	ck_assert_int_eq(verdict_on(&proto_frame, huge, 4, most),
	    PROTO_TOO_LARGE);
	ck_assert_int_eq(verdict_on(&proto_frame, over, 4, most),
	    PROTO_TOO_LARGE);
	ck_assert_int_eq(verdict_on(&proto_frame, over, 4, most + 1),
	    PROTO_MORE);
}
END_TEST

START_TEST(a_frame_is_the_same_however_the_stream_is_cut)
{
	cut_everywhere(&proto_frame, (struct bytes){ BYTES(F1 F8 F2 F1) });
	cut_everywhere(&proto_frame, (struct bytes){ BYTES(F2 F1
	    "\0\0\0\0" F1) });
	cut_everywhere(&proto_frame, (struct bytes){ BYTES(F8 F1
	    "\0\0\0\11" "123456789" F1) });
	cut_evenly(&proto_frame, (struct bytes){ BYTES(F1 F8 F2 F1 F8 F8 F1
	    "\0\0\0\5" "rest") });
}
END_TEST

START_TEST(a_reply_in_a_frame_is_read_back_as_it_was)
{
	static const size_t lens[] = { 1, 255, 256, 65535, 65536, 16777216 };
	uint8_t head[PROTO_HEAD_MAX];
	struct proto_framing framing;
	struct conf_listener conf;
	struct proto_progress progress;
	struct proto_message message;
	size_t len;
	uint8_t *bytes;

	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		memset(&framing, 0xff, sizeof(framing));
		framing.head = head;
		conf.max_message_size = lens[i];
		proto_frame.frame(&framing, lens[i], &conf, NULL);
		len = framing.head_len + lens[i] + framing.tail_len;
		ck_assert_ptr_nonnull(bytes = calloc(1, len));
		memcpy(bytes, framing.head, framing.head_len);
		progress = (struct proto_progress){ .scanned = 0 };
		ck_assert_int_eq(proto_frame.parse(bytes, len, &conf,
		    &progress, &message), PROTO_MESSAGE);
		ck_assert_uint_eq(message.len, lens[i]);
		ck_assert_uint_eq(message.consumed, len);
		free(bytes);
	}
}
END_TEST

/*
 * Lines.
 */

START_TEST(a_line_ends_with_lf_and_loses_a_cr_before_it)
{
	expect_stream(&proto_line, BYTES("one\ntwo\r\nthree\n"),
	    MESSAGES("one", "two", "three"), PROTO_MORE);
}
END_TEST

START_TEST(an_empty_line_is_a_message)
{
	expect_stream(&proto_line, BYTES("\n\r\n\n"), MESSAGES("", "", ""),
	    PROTO_MORE);
}
END_TEST

START_TEST(a_cr_elsewhere_belongs_to_the_line)
{
	expect_stream(&proto_line, BYTES("a\rb\n\rc\nd\r\r\n\r\r\n"),
	    MESSAGES("a\rb", "\rc", "d\r", "\r"), PROTO_MORE);
}
END_TEST

START_TEST(a_line_may_hold_any_bytes_but_its_end)
{
	static const uint8_t bytes[] = { 0, 0xff, 0x80, 0, 1, '\n' };
	struct stream stream = feed(&proto_line, bytes, sizeof(bytes), 1);

	ck_assert_uint_eq(stream.found.n, 1);
	ck_assert_uint_eq(stream.found.len, 5);
	ck_assert_mem_eq(stream.found.payloads, bytes, 5);
	stream_free(&stream);
}
END_TEST

START_TEST(a_line_without_its_end_is_no_message)
{
	expect_stream(&proto_line, BYTES("one\ntwo"), MESSAGES("one"),
	    PROTO_MORE);
	expect_stream(&proto_line, BYTES("one\ntwo\r"), MESSAGES("one"),
	    PROTO_MORE);
}
END_TEST

START_TEST(a_line_of_the_limit_is_taken_and_one_of_a_byte_more_is_not)
{
	expect_stream(&proto_line, BYTES("1234567\n"), MESSAGES("1234567"),
	    PROTO_MORE);
	expect_stream(&proto_line, BYTES("12345678\n"), MESSAGES("12345678"),
	    PROTO_MORE);
	expect_stream(&proto_line, BYTES("123456789\n"), MESSAGES(),
	    PROTO_TOO_LARGE);
}
END_TEST

START_TEST(the_cr_that_is_dropped_does_not_count_for_the_limit)
{
	expect_stream(&proto_line, BYTES("12345678\r\n"),
	    MESSAGES("12345678"), PROTO_MORE);
	expect_stream(&proto_line, BYTES("1234567\r\r\n"),
	    MESSAGES("1234567\r"), PROTO_MORE);
	expect_stream(&proto_line, BYTES("12345678\r\r\n"), MESSAGES(),
	    PROTO_TOO_LARGE);
	expect_stream(&proto_line, BYTES("123456789\r\n"), MESSAGES(),
	    PROTO_TOO_LARGE);
	expect_stream(&proto_line, BYTES("12345678\rx\n"), MESSAGES(),
	    PROTO_TOO_LARGE);
}
END_TEST

START_TEST(a_line_is_too_large_as_soon_as_no_end_can_save_it)
{
	/* Each of these could go on with a LF, or CR and LF. */
	ck_assert_int_eq(verdict_on(&proto_line, BYTES("12345678"), MAX),
	    PROTO_MORE);
	ck_assert_int_eq(verdict_on(&proto_line, BYTES("12345678\r"), MAX),
	    PROTO_MORE);
	/* And these could not. */
	ck_assert_int_eq(verdict_on(&proto_line, BYTES("123456789"), MAX),
	    PROTO_TOO_LARGE);
	ck_assert_int_eq(verdict_on(&proto_line, BYTES("12345678\r\r"), MAX),
	    PROTO_TOO_LARGE);
	ck_assert_int_eq(verdict_on(&proto_line, BYTES("12345678\rx"), MAX),
	    PROTO_TOO_LARGE);
}
END_TEST

START_TEST(a_line_is_the_same_however_the_stream_is_cut)
{
	cut_everywhere(&proto_line, (struct bytes){ BYTES(
	    "one\ntwo\r\n\n\r\nfive\r\rsix\r\r\n12345678\r\nrest") });
	cut_everywhere(&proto_line, (struct bytes){ BYTES(
	    "ok\r\n12345678\r\r\nmore\n") });
	cut_everywhere(&proto_line, (struct bytes){ BYTES(
	    "ok\n123456789abcdef\nmore\n") });
	cut_evenly(&proto_line, (struct bytes){ BYTES(
	    "a\nbc\ndef\r\nghij\n\n\n\nklmno\r\r\n12345678\r\n1234567\n\r") });
}
END_TEST

START_TEST(what_was_looked_at_for_a_line_is_not_looked_at_again)
{
	struct conf_listener conf = { .max_message_size = MAX };
	struct proto_progress progress = { .scanned = 0 };
	struct proto_message message;
	uint8_t bytes[] = "abcdef";

	ck_assert_int_eq(proto_line.parse(bytes, 4, &conf, &progress,
	    &message), PROTO_MORE);
	ck_assert_uint_eq(progress.scanned, 4);
	/* So a LF that was not there then goes unseen. */
	bytes[1] = '\n';
	ck_assert_int_eq(proto_line.parse(bytes, 6, &conf, &progress,
	    &message), PROTO_MORE);
	ck_assert_uint_eq(progress.scanned, 6);
}
END_TEST

START_TEST(a_reply_in_a_line_ends_with_lf)
{
	uint8_t head[PROTO_HEAD_MAX];
	struct proto_framing framing;

	memset(&framing, 0xff, sizeof(framing));
	framing.head = head;
	proto_line.frame(&framing, 5, NULL, NULL);
	ck_assert_uint_eq(framing.head_len, 0);
	ck_assert_uint_eq(framing.tail_len, 1);
	ck_assert_uint_eq(framing.tail[0], '\n');
}
END_TEST

/*
 * Both.
 */

START_TEST(every_protocol_of_the_configuration_is_found_by_its_name)
{
	static const enum conf_protocol all[] = {
		CONF_PROTOCOL_FRAME, CONF_PROTOCOL_LINE, CONF_PROTOCOL_HTTP
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		ck_assert_str_eq(protos[all[i]]->name,
		    conf_protocol_name(all[i]));
}
END_TEST

START_TEST(what_a_client_is_told_of_trouble_is_as_the_manual_says)
{
	const struct proto *const plain[] = { &proto_frame, &proto_line };

	for (size_t i = 0; i < 2; i++) {
		ck_assert_str_eq(plain[i]->busy, "ERR busy");
		ck_assert_str_eq(plain[i]->malformed, "ERR malformed");
		ck_assert_str_eq(plain[i]->too_large, "ERR too large");
	}
}
END_TEST

RUN_TESTS("proto",
    a_frame_is_four_bytes_of_length_and_that_many_of_payload,
    the_length_of_a_frame_has_its_most_significant_byte_first,
    a_frame_may_hold_any_bytes,
    an_empty_frame_is_malformed,
    a_frame_of_the_limit_is_taken_and_one_of_a_byte_more_is_not,
    a_frame_that_is_too_large_is_known_by_its_header_alone,
    a_frame_is_the_same_however_the_stream_is_cut,
    a_reply_in_a_frame_is_read_back_as_it_was,
    a_line_ends_with_lf_and_loses_a_cr_before_it,
    an_empty_line_is_a_message,
    a_cr_elsewhere_belongs_to_the_line,
    a_line_may_hold_any_bytes_but_its_end,
    a_line_without_its_end_is_no_message,
    a_line_of_the_limit_is_taken_and_one_of_a_byte_more_is_not,
    the_cr_that_is_dropped_does_not_count_for_the_limit,
    a_line_is_too_large_as_soon_as_no_end_can_save_it,
    a_line_is_the_same_however_the_stream_is_cut,
    what_was_looked_at_for_a_line_is_not_looked_at_again,
    a_reply_in_a_line_ends_with_lf,
    every_protocol_of_the_configuration_is_found_by_its_name,
    what_a_client_is_told_of_trouble_is_as_the_manual_says)
