/* SPDX-License-Identifier: ISC */
/*
 * Clients of HTTP that are slow on purpose, in each way that is known: with
 * their headers, with their bodies, with reading, and with odd ranges.  All are
 * gone by their deadline, and 500 good ones beside them see nothing of it.
 */
#include <sys/socket.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/web_client.h"

enum {
	BAD = 1000,		/* of each kind */
	GOOD = 500,
	TIMEOUT_MS = 1000,
	/* Shorter than the default timeouts with that, and than for ever. */
	LATE_MS = 8000,
	DRIP_MS = 100,
	BODY = 60000,
	/* Of replies that one in so many slow readers asks for, which is more
	 * than the kernels hold; what the others ask for these do. */
	GREEDY = 100,
	MUCH = 8 * 1024 * 1024,
};

/* The bad ones have a listener with little patience; what the good ones have
 * is of no matter to it. */
#define BAD_PORT	EXTRA_PORT
#define IMPATIENT							\
	"{ name = \"bad\"; address = \"$A:9003\"; protocol = \"http\"; "	\
	"handler = \"echo\"; idle_timeout = 1.0; "			\
	"read_timeout = 1.0; write_timeout = 1.0; min_body_rate = 1000; }"
#define GLOBALS		"workers = 2;\nmax_connections = 5000;\n"

static struct hold_process *
start_good(void)
{
	struct hold_options options = load_on(WEB_PORT);
	struct hold_process *load;

	options.connections = GOOD;
	options.rate = 500;
	ck_assert_ptr_nonnull(load = hold_start(&options));
	await(hold_peek(load)->open == GOOD);
	hold_remeasure(load);
	return (load);
}

static void
expect_good_unharmed(struct hold_process *load)
{
	expect_unharmed(hold_verify(load));
	ck_assert_uint_eq(hold_peek(load)->verified, GOOD);
	/* Nobody waited for the bad ones. */
	ck_assert_uint_lt(hold_peek(load)->slowest_us,
	    3000000 * slow_factor());
	print_report("good clients", hold_stop(load));
	expect_unharmed(hold_peek(load));
	hold_drop(load);
}

static bool
is_gone(int fd)
{
	struct pollfd state = { .fd = fd };

	return (poll(&state, 1, 0) == 1 &&
	    (state.revents & (POLLHUP | POLLERR)) != 0);
}

/* Let so many clients begin with a text, and then send one more now and then,
 * until all are gone. */
static void
drip(const char *begin, const char *more)
{
	static int fds[BAD];
	unsigned gone = 0;

	for (int i = 0; i < BAD; i++) {
		fds[i] = client_connect(BAD_PORT);
		client_send_text(fds[i], begin);
	}
	for (uint64_t until_ms = clock_ms() + patience_ms(); gone < BAD;) {
		ck_assert_msg(clock_ms() < until_ms, "%u are gone", gone);
		for (int i = 0; i < BAD; i++) {
			if (fds[i] == -1)
				continue;
			if (send(fds[i], more, strlen(more),
			    MSG_DONTWAIT | MSG_NOSIGNAL) == -1 ||
			    is_gone(fds[i])) {
				close(fds[i]);
				fds[i] = -1;
				gone++;
			}
		}
		pause_us(DRIP_MS * 1000);
	}
}

static void
check_duration(const char *line, void *arg)
{
	uint64_t took_ms = log_number(line, "duration_ms");

	(void)arg;
	ck_assert_msg(took_ms + 20 >= TIMEOUT_MS && took_ms <=
	    TIMEOUT_MS + LATE_MS, "not in time: %s", line);
}

/* Each has had its time, and not much more. */
static void
expect_ended(struct server *srv, enum close_reason reason)
{
	char words[64];

	snprintf(words, sizeof(words), "event=conn_close reason=%s",
	    close_reason_name(reason));
	await(server_count(srv, words) == BAD);
	server_each(srv, words, check_duration, NULL);
	ck_assert_uint_eq(server_closed(srv, reason), BAD);
}

START_TEST(slow_headers_are_gone_in_time_and_the_good_see_nothing)
{
	struct server *srv = server_start(GLOBALS,
	    WEB("echo", "") ",\n" IMPATIENT);
	struct hold_process *good = start_good();

	drip(GET, "X-a: b" N);
	expect_ended(srv, CLOSE_READ_TIMEOUT);
	expect_good_unharmed(good);
	server_end(srv);
}
END_TEST

START_TEST(slow_bodies_are_gone_in_time_and_the_good_see_nothing)
{
	struct server *srv = server_start(GLOBALS,
	    WEB("echo", "") ",\n" IMPATIENT);
	struct hold_process *good = start_good();

	drip(POST "Content-Length: 50000" N N, "x");
	expect_ended(srv, CLOSE_READ_TIMEOUT);
	expect_good_unharmed(good);
	server_end(srv);
}
END_TEST

START_TEST(slow_chunks_are_gone_in_time_and_the_good_see_nothing)
{
	struct server *srv = server_start(GLOBALS,
	    WEB("echo", "") ",\n" IMPATIENT);
	struct hold_process *good = start_good();

	drip(POST "Transfer-Encoding: chunked" N N, "1" N "x" N);
	expect_ended(srv, CLOSE_READ_TIMEOUT);
	expect_good_unharmed(good);
	server_end(srv);
}
END_TEST

/* They ask for much, and take none of it, or next to none. */
START_TEST(slow_readers_are_gone_in_time_and_the_good_see_nothing)
{
	struct server *srv = server_start(GLOBALS "max_buffered = 268435456;",
	    WEB("echo", "") ",\n" IMPATIENT);
	struct hold_process *good = start_good();
	static char request[128 + BODY], *body;
	static int fds[BAD];
	unsigned gone = 0;
	char byte;

	body = request + snprintf(request, 128, POST "Content-Length: %d" N N,
	    BODY);
	memset(body, 'x', BODY);
	for (int i = 0; i < BAD; i++) {
		fds[i] = client_connect_small(BAD_PORT, 4096);
		if (i % GREEDY == 0)
			client_stuff(fds[i], request, strlen(request), MUCH);
		else
			client_send_text(fds[i], request);
	}
	for (uint64_t until_ms = clock_ms() + patience_ms(); gone < BAD;) {
		ck_assert_msg(clock_ms() < until_ms, "%u are gone", gone);
		for (int i = 0; i < BAD; i++) {
			if (fds[i] == -1)
				continue;
			(void)!recv(fds[i], &byte, 1, MSG_DONTWAIT);
			if (is_gone(fds[i])) {
				close(fds[i]);
				fds[i] = -1;
				gone++;
			}
		}
		pause_us(DRIP_MS * 1000);
	}
	expect_ended(srv, CLOSE_WRITE_TIMEOUT);
	expect_good_unharmed(good);
	server_end(srv);
}
END_TEST

/* Ranges are not offered, so the oddest one costs nothing. */
START_TEST(odd_ranges_are_answered_in_full)
{
	struct server *srv = server_start(GLOBALS,
	    WEB("echo", "") ",\n" IMPATIENT);
	char *request = malloc(16384), *at;
	int fd = client_connect(BAD_PORT);

	ck_assert_ptr_nonnull(request);
	at = request + sprintf(request, POST "Content-Length: 5" N
	    "Range: bytes=0-");
	for (int i = 1; i < 1300; i++)
		at += sprintf(at, ",5-%d", i);
	strcpy(at, N N "hello");
	for (int i = 0; i < 100; i++)
		ask(fd, request, 200, "hello", false);
	free(request);
	close(fd);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_http_abuse",
    slow_headers_are_gone_in_time_and_the_good_see_nothing,
    slow_bodies_are_gone_in_time_and_the_good_see_nothing,
    slow_chunks_are_gone_in_time_and_the_good_see_nothing,
    slow_readers_are_gone_in_time_and_the_good_see_nothing,
    odd_ranges_are_answered_in_full)
