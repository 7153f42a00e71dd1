/* SPDX-License-Identifier: ISC */
/*
 * Whatever a well-behaved client sends comes back, however it is cut up on the
 * way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/web_client.h"
#include "worker/output.h"

enum { LIMIT = 1024 * 1024 };	/* max_message_size as it is by default */

#define BOTH	FRAMES("") ",\n" LINES("")

/* Bytes that hold no LF and no CR, and differ with their place. */
static uint8_t *
make_payload(size_t len)
{
	uint8_t *payload = malloc(len);

	ck_assert_ptr_nonnull(payload);
	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(' ' + (i * 7 + i / 251) % 200);
	return (payload);
}

/* The sizes around which things could go wrong. */
static size_t
next_size(size_t size)
{
	if (size < 300)
		return (size + 1);
	if ((size & (size + 1)) == 0 || (size & (size - 1)) == 0)
		return (size + 1);
	/* From a power of two plus one to the next one less one. */
	for (size_t power = 512;; power *= 2)
		if (power > size)
			return (power - 1);
}

START_TEST(every_size_from_one_byte_to_the_limit_comes_back_as_a_frame)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	uint8_t *payload = make_payload(LIMIT), *frame = malloc(LIMIT + 4);
	int fd = client_connect(FRAME_PORT);
	size_t n, last = 0;

	for (size_t size = 1; size <= LIMIT; size = next_size(size)) {
		n = frame_put(frame, payload, size);
		client_exchange(fd, frame, n, frame, n);
		last = size;
	}
	ck_assert_uint_eq(last, LIMIT);
	close(fd);
	free(payload);
	free(frame);
	server_end(srv);
}
END_TEST

START_TEST(every_size_from_none_to_the_limit_comes_back_as_a_line)
{
	struct server *srv = server_start("workers = 1;", LINES(""));
	uint8_t *line = make_payload(LIMIT + 1);
	int fd = client_connect(LINE_PORT);
	uint8_t had;

	for (size_t size = 0; size <= LIMIT; size = next_size(size)) {
		had = line[size];
		line[size] = '\n';
		client_exchange(fd, line, size + 1, line, size + 1);
		line[size] = had;
	}
	close(fd);
	free(line);
	server_end(srv);
}
END_TEST

START_TEST(every_byte_value_comes_back)
{
	struct server *srv = server_start("workers = 1;", BOTH);
	int frames = client_connect(FRAME_PORT);
	int lines = client_connect(LINE_PORT);
	uint8_t bytes[256];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	client_send_frame(frames, bytes, sizeof(bytes));
	client_expect_frame(frames, bytes, sizeof(bytes));
	/* The LF among them ends a line, the CR stands before no LF. */
	client_send(lines, bytes, sizeof(bytes));
	client_send_text(lines, "\n");
	client_expect(lines, bytes, sizeof(bytes));
	client_expect_text(lines, "\n");
	close(frames);
	close(lines);
	server_end(srv);
}
END_TEST

START_TEST(pipelined_messages_come_back_in_their_order)
{
	enum { COUNT = 20000 };
	struct server *srv = server_start("workers = 1;", BOTH);
	int frames = client_connect(FRAME_PORT);
	int lines = client_connect(LINE_PORT);
	uint8_t *out = malloc(COUNT * 16);
	size_t len = 0;
	char text[16];

	for (int i = 0; i < COUNT; i++) {
		snprintf(text, sizeof(text), "message %d", i);
		len += frame_put(out + len, text, strlen(text) % 12 + 1);
	}
	client_exchange(frames, out, len, out, len);
	len = 0;
	for (int i = 0; i < COUNT; i++)
		len += (size_t)sprintf((char *)out + len, "message %d\n", i);
	client_exchange(lines, out, len, out, len);
	await(server_counters(srv).messages_in == 2 * COUNT);
	ck_assert_uint_eq(server_counters(srv).messages_out, 2 * COUNT);
	free(out);
	close(frames);
	close(lines);
	server_end(srv);
}
END_TEST

/* Wait until the server has read all bytes sent so far, so that what follows
 * comes in another read. */
static void
await_read(struct server *srv, uint64_t bytes)
{
	await(server_counters(srv).bytes_in == bytes);
}

/* Replies are gathered as far as there is room, with a large one behind.  For the
 * head of HTTP there has to be more of it. */
START_TEST(a_small_message_and_a_large_one_come_back_at_every_size)
{
	struct server *srv = server_start("workers = 1;", FRAMES("") ","
	    WEB("echo", ""));
	uint8_t *payload = make_payload(OUTPUT_SIZE), *frames = malloc(
	    2 * OUTPUT_SIZE);
	int fd = client_connect(FRAME_PORT), web = client_connect(WEB_PORT);
	char head[128];
	struct reply reply;
	size_t n;

	for (size_t size = OUTPUT_SIZE - PROTO_HEAD_MAX - 80;
	    size < OUTPUT_SIZE; size += size < OUTPUT_SIZE - PROTO_HEAD_MAX +
	    80 ? 1 : 13) {
		n = frame_put(frames, payload, 21);
		n += frame_put(frames + n, payload, size);
		client_exchange(fd, frames, n, frames, n);

		snprintf(head, sizeof(head), "GET / HTTP/1.1" N "Host: a" N N
		    "POST / HTTP/1.1" N "Host: a" N "Content-Length: %zu" N N,
		    size);
		client_send_text(web, head);
		client_send(web, payload, size);
		expect_reply(web, 200, "", false);
		read_reply(web, &reply, true);
		ck_assert_uint_eq(reply.len, size);
		client_expect(web, payload, size);
	}
	close(fd);
	close(web);
	free(payload);
	free(frames);
	server_end(srv);
}
END_TEST

START_TEST(messages_that_drip_in_byte_by_byte_come_back)
{
	struct server *srv = server_start("workers = 1;", BOTH);
	int fd[2] = { client_connect(FRAME_PORT), client_connect(LINE_PORT) };
	const char *text = "drip, drop";
	uint8_t out[2][32];
	uint64_t total = 0;
	size_t len[2];

	len[0] = frame_put(out[0], text, strlen(text));
	len[1] = (size_t)sprintf((char *)out[1], "%s\n", text);
	for (int which = 0; which < 2; which++) {
		for (size_t i = 0; i < len[which]; i++) {
			ck_assert(!client_has_input(fd[which]));
			client_send(fd[which], out[which] + i, 1);
			await_read(srv, ++total);
		}
		client_expect(fd[which], out[which], len[which]);
		close(fd[which]);
	}
	server_end(srv);
}
END_TEST

START_TEST(a_stream_cut_in_two_anywhere_gives_the_same_replies)
{
	static const char *const texts[] = { "a", "bc", "def", "ghijklmno" };
	struct server *srv = server_start("workers = 1;", BOTH);
	uint64_t total = 0;
	uint8_t out[128];

	for (unsigned port = FRAME_PORT; port <= LINE_PORT; port++) {
		size_t len = 0;

		for (size_t i = 0; i < 4; i++)
			len += port == FRAME_PORT ?
			    frame_put(out + len, texts[i], strlen(texts[i])) :
			    (size_t)sprintf((char *)out + len, "%s\n",
			    texts[i]);
		for (size_t cut = 1; cut < len; cut++) {
			int fd = client_connect(port);

			client_send(fd, out, cut);
			await_read(srv, total + cut);
			client_send(fd, out + cut, len - cut);
			client_expect(fd, out, len);
			close(fd);
			total += len;
		}
	}
	server_end(srv);
}
END_TEST

START_TEST(a_line_loses_its_cr_and_may_be_empty)
{
	struct server *srv = server_start("workers = 1;", LINES(""));
	int fd = client_connect(LINE_PORT);

	client_send_text(fd, "with cr\r\n\n\r\n\r\r\nin\rside\n");
	client_expect_text(fd, "with cr\n\n\n\r\nin\rside\n");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_last_line_without_its_end_is_no_message)
{
	struct server *srv = server_start("workers = 1;", LINES(""));
	int fd = client_connect(LINE_PORT);

	client_send_text(fd, "whole\nhalf");
	client_half_close(fd);
	client_expect_text(fd, "whole\n");
	client_expect_eof(fd);
	close(fd);
	server_expect(srv, "event=conn_close reason=aborted messages=1");
	server_end(srv);
}
END_TEST

START_TEST(a_client_that_half_closes_gets_its_whole_reply)
{
	struct server *srv = server_start("workers = 1;", BOTH);
	uint8_t *payload = make_payload(LIMIT);
	int fd = client_connect_small(FRAME_PORT, 4096);

	client_send_frame(fd, payload, LIMIT);
	client_half_close(fd);
	/* The server has met the end before any of this is read. */
	client_expect_frame(fd, payload, LIMIT);
	client_expect_eof(fd);
	close(fd);
	server_expect(srv, "event=conn_close reason=eof messages=1");
	free(payload);
	server_end(srv);
}
END_TEST

START_TEST(printf_piped_into_nc_gets_its_reply)
{
	struct server *srv = server_start("workers = 1;", BOTH);
	char command[256], got[64] = "";
	FILE *nc;

	if (system("command -v nc >/dev/null") != 0) {
		printf("no nc here: not tested\n");
		server_end(srv);
		return;
	}
	snprintf(command, sizeof(command), "printf 'hello\\nthere\\n' | "
	    "nc -N %s %d", own_address(), LINE_PORT);
	ck_assert_ptr_nonnull(nc = popen(command, "re"));
	ck_assert_uint_eq(fread(got, 1, sizeof(got) - 1, nc), 12);
	ck_assert_str_eq(got, "hello\nthere\n");
	ck_assert_int_eq(pclose(nc), 0);
	server_end(srv);
}
END_TEST

START_TEST(discard_reads_everything_and_replies_nothing)
{
	struct server *srv = server_start("workers = 1;", SINK(""));
	int fd = client_connect(SINK_PORT);

	for (int i = 0; i < 100; i++)
		client_send_text_frame(fd, "into the void");
	client_half_close(fd);
	client_expect_eof(fd);
	close(fd);
	server_expect(srv, "event=conn_close reason=eof messages=100 "
	    "bytes_out=0");
	ck_assert_uint_eq(server_counters(srv).messages_out, 0);
	server_end(srv);
}
END_TEST

START_TEST(counters_and_log_match_what_was_exchanged)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	int fd = client_connect(FRAME_PORT);
	struct counters_listener now;

	client_echo(fd, "12345");
	client_echo(fd, "1234567");
	/* Bytes are counted when they have gone. */
	await(server_counters(srv).bytes_out == 20);
	now = server_counters(srv);
	ck_assert_uint_eq(now.active, 1);
	ck_assert_uint_eq(now.accepted, 1);
	ck_assert_uint_eq(now.peak, 1);
	ck_assert_uint_eq(now.messages_in, 2);
	ck_assert_uint_eq(now.messages_out, 2);
	ck_assert_uint_eq(now.bytes_in, 20);
	ck_assert_uint_eq(observe_records(&srv->counters), 1);
	close(fd);
	server_expect(srv, "info role=worker slot=0 event=conn_open "
	    "listener=frames");
	server_expect(srv, "info role=worker event=conn_close reason=eof "
	    "listener=frames messages=2 bytes_in=20 bytes_out=20");
	server_end(srv);
}
END_TEST

RUN_TESTS("echo",
    every_size_from_one_byte_to_the_limit_comes_back_as_a_frame,
    every_size_from_none_to_the_limit_comes_back_as_a_line,
    every_byte_value_comes_back,
    pipelined_messages_come_back_in_their_order,
    a_small_message_and_a_large_one_come_back_at_every_size,
    messages_that_drip_in_byte_by_byte_come_back,
    a_stream_cut_in_two_anywhere_gives_the_same_replies,
    a_line_loses_its_cr_and_may_be_empty,
    a_last_line_without_its_end_is_no_message,
    a_client_that_half_closes_gets_its_whole_reply,
    printf_piped_into_nc_gets_its_reply,
    discard_reads_everything_and_replies_nothing,
    counters_and_log_match_what_was_exchanged)
