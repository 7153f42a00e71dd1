/* SPDX-License-Identifier: ISC */
/*
 * Clients that are silent, slow, mad or malicious: each is closed in time and
 * for its own reason, and nobody else notices.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

enum {
	TIMEOUT_MS = 2000,	/* of all kinds, on the listener abused */
	/* Shorter than the default timeouts with that, and than for ever. */
	LATE_MS = 7000,
	EACH = 20,		/* bad clients of a kind */
	GOOD = 1000,
	MIB = 1024 * 1024,
};

#define IMPATIENT							\
	"idle_timeout = 2.0; read_timeout = 2.0; write_timeout = 2.0;"

static void
expect_closed(struct server *srv, enum close_reason reason, unsigned n)
{
	char words[64];

	snprintf(words, sizeof(words), "event=conn_close reason=%s",
	    close_reason_name(reason));
	await(server_count(srv, words) == n);
	ck_assert_uint_eq(server_closed(srv, reason), n);
}

static void
check_duration(const char *line, void *arg)
{
	(void)arg;
	ck_assert_msg(log_number(line, "duration_ms") >= TIMEOUT_MS - 20 &&
	    log_number(line, "duration_ms") <=
	    TIMEOUT_MS + LATE_MS, "not in time: %s", line);
}

/* Sockets in CLOSE_WAIT: that the server has not closed after their client. */
static unsigned
close_waits(void)
{
	return (proc_tcp_sockets(own_address_number(), 0,
	    PROC_TCP_CLOSE_WAIT));
}

/*
 * The kinds of bad clients, for a crowd of them.
 */

static int
be_silent(void)
{
	return (client_connect(EXTRA_PORT));
}

static int
be_slow(void)
{
	int fd = client_connect(EXTRA_PORT);

	client_send(fd, "\0\0\0\xff only the beg", 18);
	return (fd);
}

static int
half_close_in_mid_message(void)
{
	int fd = be_slow();

	client_half_close(fd);
	return (fd);
}

static int
half_close_after_a_message(void)
{
	int fd = client_connect(EXTRA_PORT);

	client_send_text_frame(fd, "goodbye");
	client_half_close(fd);
	return (fd);
}

static int
never_read(void)
{
	static uint8_t frame[4 + MIB] = "\0\x10\0\0";
	int fd = client_connect_small(EXTRA_PORT, 4096);

	/* More than the kernel holds for both sides. */
	client_stuff(fd, frame, sizeof(frame), 64 * sizeof(frame));
	return (fd);
}

static int
reset_in_mid_message(void)
{
	client_reset(be_slow());
	return (-1);
}

static int
send_nothing_as_a_message(void)
{
	int fd = client_connect(EXTRA_PORT);

	client_send(fd, "\0\0\0\0", 4);
	return (fd);
}

static int
speak_http(void)
{
	int fd = client_connect(EXTRA_PORT);

	client_send_text(fd, "GET / HTTP/1.1\r\nHost: here\r\n\r\n");
	return (fd);
}

static int
claim_everything(void)
{
	int fd = client_connect(EXTRA_PORT);

	client_send(fd, "\xff\xff\xff\xff", 4);
	return (fd);
}

static int
send_garbage(void)
{
	uint8_t garbage[4096];
	int fd = client_connect(EXTRA_PORT);

	/* The first byte claims more than there may be. */
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)(255 - i * 31 % 255);
	client_send(fd, garbage, sizeof(garbage));
	return (fd);
}

static const struct {
	int (*come)(void);
	enum close_reason reason;
	const char *told;	/* what the client gets before the end */
} crowd[] = {
	{ be_silent,			CLOSE_IDLE,		NULL },
	{ be_slow,			CLOSE_READ_TIMEOUT,	NULL },
	{ half_close_in_mid_message,	CLOSE_ABORTED,		NULL },
	{ half_close_after_a_message,	CLOSE_EOF,		"goodbye" },
	{ reset_in_mid_message,		CLOSE_RESET,		NULL },
	{ send_nothing_as_a_message,	CLOSE_MALFORMED,	ERR_MALFORMED },
	{ speak_http,			CLOSE_TOO_LARGE,	ERR_TOO_LARGE },
	{ claim_everything,		CLOSE_TOO_LARGE,	ERR_TOO_LARGE },
	{ send_garbage,			CLOSE_TOO_LARGE,	ERR_TOO_LARGE },
};

enum { KINDS = sizeof(crowd) / sizeof(crowd[0]) };

/* Each hears what its kind has to hear, and then the end. */
static void
see_off(int fds[KINDS][EACH])
{
	for (int kind = 0; kind < KINDS; kind++)
		for (int i = 0; i < EACH; i++) {
			if (fds[kind][i] == -1)
				continue;
			if (crowd[kind].told != NULL)
				client_expect_text_frame(fds[kind][i],
				    crowd[kind].told);
			client_expect_eof(fds[kind][i]);
			close(fds[kind][i]);
		}
}

START_TEST(a_thousand_good_clients_do_not_notice_the_bad_ones)
{
	struct server *srv = server_start("workers = 2;",
	    FRAMES("") ",\n" EXTRA(IMPATIENT));
	struct hold_options options = load_on(FRAME_PORT);
	const struct hold_report *report;
	struct hold_process *good;
	int fds[KINDS][EACH];

	options.connections = GOOD;
	options.rate = 2000;
	good = hold_start(&options);
	await(hold_peek(good)->open == GOOD);
	for (int i = 0; i < EACH; i++)
		for (int kind = 0; kind < KINDS; kind++)
			fds[kind][i] = crowd[kind].come();
	see_off(fds);
	expect_closed(srv, CLOSE_IDLE, EACH);
	expect_closed(srv, CLOSE_READ_TIMEOUT, EACH);
	expect_closed(srv, CLOSE_ABORTED, EACH);
	expect_closed(srv, CLOSE_EOF, EACH);
	expect_closed(srv, CLOSE_RESET, EACH);
	expect_closed(srv, CLOSE_MALFORMED, EACH);
	expect_closed(srv, CLOSE_TOO_LARGE, 3 * EACH);
	server_each(srv, "event=conn_close reason=idle", check_duration, NULL);
	server_each(srv, "event=conn_close reason=read_timeout",
	    check_duration, NULL);
	await(close_waits() == 0);
	report = hold_stop(good);
	expect_unharmed(report);
	print_report("good clients beside bad ones", report);
	hold_drop(good);
	server_end(srv);
}
END_TEST

START_TEST(a_client_that_never_reads_is_closed_for_that)
{
	struct server *srv = server_start("workers = 1;",
	    FRAMES("") ",\n" EXTRA(IMPATIENT));
	int good = client_connect(FRAME_PORT), bad[3];

	for (int i = 0; i < 3; i++) {
		bad[i] = never_read();
		client_echo(good, "still there?");
	}
	expect_closed(srv, CLOSE_WRITE_TIMEOUT, 3);
	client_echo(good, "still there?");
	for (int i = 0; i < 3; i++)
		close(bad[i]);
	close(good);
	server_end(srv);
}
END_TEST

/* Send a byte now and then.  Returns whether there is something to read. */
static bool
drip(int fd, uint64_t *next_ms)
{
	if (client_has_input(fd))
		return (true);
	if (clock_ms() < *next_ms)
		return (false);
	*next_ms = clock_ms() + 50;
	client_send(fd, "x", 1);
	return (false);
}

/* A client that drips was once held for ever: each byte put its deadline
 * off. */
START_TEST(dripping_bytes_do_not_put_a_deadline_off)
{
	struct server *srv = server_start("workers = 1;", EXTRA(IMPATIENT));
	int fd = client_connect(EXTRA_PORT);
	uint64_t next_ms = 0;

	client_send(fd, "\0\0\xff\xff", 4);
	await(drip(fd, &next_ms));
	close(fd);
	expect_closed(srv, CLOSE_READ_TIMEOUT, 1);
	server_each(srv, "event=conn_close", check_duration, NULL);
	server_end(srv);
}
END_TEST

START_TEST(a_client_that_goes_on_with_messages_is_not_idle)
{
	struct server *srv = server_start("workers = 1;", EXTRA(IMPATIENT));
	int fd = client_connect(EXTRA_PORT);
	uint64_t begun_ms = clock_ms();

	while (clock_ms() < begun_ms + 2 * TIMEOUT_MS)
		client_echo(fd, "here I am");
	client_expect_eof(fd);
	close(fd);
	expect_closed(srv, CLOSE_IDLE, 1);
	server_end(srv);
}
END_TEST

START_TEST(a_timeout_of_0_is_none)
{
	struct server *srv = server_start("workers = 1;", EXTRA(
	    "idle_timeout = 0.0; read_timeout = 0.0; write_timeout = 0.0;"));
	int idle = be_silent(), slow = be_slow();

	holds_for(2500, !client_has_input(idle) && !client_has_input(slow));
	client_echo(idle, "at last");
	close(idle);
	close(slow);
	server_end(srv);
}
END_TEST

START_TEST(what_is_too_large_is_refused_on_the_byte)
{
	struct server *srv = server_start("workers = 1;",
	    FRAMES("max_message_size = 1000;") ",\n"
	    LINES("max_message_size = 1000;"));
	char text[1003];
	int fd;

	memset(text, 'x', sizeof(text));
	fd = client_connect(FRAME_PORT);
	client_send_frame(fd, text, 1000);
	client_expect_frame(fd, text, 1000);
	client_send_frame(fd, text, 1001);
	client_expect_text_frame(fd, ERR_TOO_LARGE);
	client_expect_eof(fd);
	close(fd);
	fd = client_connect(LINE_PORT);
	memcpy(text + 1000, "\r\n", 2);
	client_send(fd, text, 1002);
	client_expect(fd, text, 1000);
	client_expect_text(fd, "\n");
	memcpy(text + 1000, "y\n", 2);
	client_send(fd, text, 1002);
	client_expect_text(fd, ERR_TOO_LARGE "\n");
	client_expect_eof(fd);
	close(fd);
	expect_closed(srv, CLOSE_TOO_LARGE, 2);
	await(server_count(srv, "warn event=conn_error reason=too_large") == 2);
	server_end(srv);
}
END_TEST

START_TEST(replies_before_a_mistake_are_not_lost_with_it)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_send(fd, "\0\0\0\1a\0\0\0\2bc\0\0\0\0\0\0\0\1d", 20);
	client_expect(fd, "\0\0\0\1a\0\0\0\2bc", 11);
	client_expect_text_frame(fd, ERR_MALFORMED);
	client_expect_eof(fd);
	close(fd);
	server_expect(srv, "event=conn_close reason=malformed messages=2");
	server_end(srv);
}
END_TEST

/* A close with unread input sends a reset, which can overtake the refusal. */
START_TEST(a_refusal_reaches_a_client_that_is_still_sending)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	static uint8_t body[10 * MIB];
	int fd;

	for (int i = 0; i < 20; i++) {
		fd = client_connect(FRAME_PORT);
		client_send(fd, "\0\xa0\0\0", 4);
		client_send(fd, body, sizeof(body));
		client_expect_text_frame(fd, ERR_TOO_LARGE);
		client_expect_eof(fd);
		close(fd);
	}
	expect_closed(srv, CLOSE_TOO_LARGE, 20);
	server_end(srv);
}
END_TEST

START_TEST(a_length_that_is_only_claimed_takes_no_memory)
{
	enum { N = 1000 };
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	uint64_t before = server_worker_memory(srv), taken;
	int fds[N];

	for (int i = 0; i < N; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_send(fds[i], "\0\x10\0\0x", 5);
	}
	await(server_counters(srv).bytes_in == 5 * N);
	taken = (server_worker_memory(srv) - before) / N;
	printf("a megabyte claimed and a byte sent: %" PRIu64 " bytes each\n",
	    taken);
	ck_assert_uint_lt(taken, 16384);
	ck_assert_uint_lt(server_worker_counters(srv).buffered, N * 8192);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	expect_closed(srv, CLOSE_ABORTED, N);
	await(server_worker_counters(srv).buffered == 0);
	server_end(srv);
}
END_TEST

/* Each client sends nearly all of a message and stays: 120 MB in all. */
START_TEST(memory_stays_under_its_cap_and_good_clients_are_served)
{
	enum { N = 120, CAP = 8 * MIB };
	struct server *srv = server_start("workers = 1;\n"
	    "max_buffered = 8388608;", FRAMES("") ",\n" EXTRA(""));
	struct hold_options options = load_on(FRAME_PORT);
	uint64_t before = server_worker_memory(srv), after;
	struct hold_process *good;
	static uint8_t part[3 + MIB] = "\0\x10\0\0";
	int fds[N];

	options.connections = 50;
	options.rate = 500;
	options.message_size = 1000;
	good = hold_start(&options);
	await(hold_peek(good)->open == 50);
	for (int i = 0; i < N; i++) {
		fds[i] = client_connect(EXTRA_PORT);
		client_stuff(fds[i], part, sizeof(part), sizeof(part));
	}
	/* Those that were there first made room for those that came later. */
	await(server_closed(srv, CLOSE_MEMORY) >= N - CAP / MIB - 1);
	after = server_worker_memory(srv);
	ck_assert_uint_le(server_worker_counters(srv).buffered_peak, CAP);
	printf("the worker grew by %" PRIu64 " KiB under a cap of %d\n",
	    (after - before) / 1024, CAP / 1024);
	if (!server_is_sanitized())
		ck_assert_uint_lt(after - before, 2 * CAP);
	server_expect(srv, "warn event=memory_cap listener=extra");
	expect_unharmed(hold_stop(good));
	hold_drop(good);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	server_end(srv);
}
END_TEST

START_TEST(nothing_of_clients_that_vanish_stays)
{
	enum { N = 300 };
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	int fds[N];

	for (int i = 0; i < N; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_send_text_frame(fds[i], "and never asks for the reply");
	}
	await(server_counters(srv).active == N);
	for (int i = 0; i < N; i++) {
		if (i % 2 == 0)
			client_reset(fds[i]);
		else
			close(fds[i]);
	}
	await(server_counters(srv).active == 0);
	await(close_waits() == 0);
	await(observe_records(&srv->counters) == 0);
	server_end(srv);
}
END_TEST

RUN_TESTS("abuse",
    a_thousand_good_clients_do_not_notice_the_bad_ones,
    a_client_that_never_reads_is_closed_for_that,
    dripping_bytes_do_not_put_a_deadline_off,
    a_client_that_goes_on_with_messages_is_not_idle,
    a_timeout_of_0_is_none,
    what_is_too_large_is_refused_on_the_byte,
    replies_before_a_mistake_are_not_lost_with_it,
    a_refusal_reaches_a_client_that_is_still_sending,
    a_length_that_is_only_claimed_takes_no_memory,
    memory_stays_under_its_cap_and_good_clients_are_served,
    nothing_of_clients_that_vanish_stays)
