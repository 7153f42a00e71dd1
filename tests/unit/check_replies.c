/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/ to its word that a reply reaches the client that asked, when one
 * read from an executor brings the replies of several clients and memory is
 * short.
 */
#include <sys/socket.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/lone_worker.h"
#include "tests/lib/wire.h"
#include "worker/executors.h"
#include "worker/queue.h"

enum {
	/* Of a message that never ends, and of what comes of it. */
	LARGE = 100000,
	PART = 60000,
	/* A power of 2, so that a buffer of so many bytes is exactly that. */
	HELD = 65536,
	MORE = 30000,
	PIECE = 10000,
};

enum { FRAMES, LINES, WEB };

/* The handler has room for three requests, and its queue for one. */
static const char conf_text[] =
    "workers = 1;\n"
    "handlers = ( { name = \"cat\"; type = \"command\"; "
    "command = [ \"/bin/cat\" ]; pipeline = 3; queue = 1; "
    "overload = \"shed\"; } );\n"
    "listeners = (\n"
    "{ name = \"frames\"; address = \"127.0.0.1:9000\"; "
    "protocol = \"frame\"; handler = \"cat\"; pipeline = 2; },\n"
    "{ name = \"lines\"; address = \"127.0.0.1:9001\"; "
    "protocol = \"line\"; handler = \"cat\"; pipeline = 2; },\n"
    "{ name = \"web\"; address = \"127.0.0.1:9004\"; protocol = \"http\"; "
    "pipeline = 2; routes = ( { path = \"/echo\"; handler = \"echo\"; }, "
    "{ path = \"/\"; handler = \"cat\"; } ); } );\n";

static struct lone_worker lone;
static int executor;

/*
 * The other ends: clients, and an executor that answers on demand.
 */

static void
start(void)
{
	int fds[2], ours[CTL_FDS_MAX];

	lone_worker_init_with(&lone, conf_text);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, fds), 0);
	executor = fds[1];
	ours[0] = fds[0];
	ours[1] = -1;
	executors_add(lone.worker.listeners[LINES].handler->queue, 1,
	    ours);
}

static void
finish(void)
{
	lone_worker_clear(&lone);
	close(executor);
	lone_worker_free(&lone);
}

/* Whatever is ready, and what that makes ready. */
static void
turn(void)
{
	for (int i = 0; i < 8; i++)
		lone_worker_turn(&lone);
}

static void
send_message(int fd, unsigned protocol, const char *path, const char *text)
{
	char request[256];

	if (protocol == FRAMES)
		client_send_text_frame(fd, text);
	else if (protocol == LINES) {
		client_send_text(fd, text);
		client_send_text(fd, "\n");
	} else {
		snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\n"
		    "Host: a\r\nContent-Length: %zu\r\n\r\n%s", path,
		    strlen(text), text);
		client_send_text(fd, request);
	}
}

/* The beginning of a message of LARGE bytes, with none of its payload. */
static void
send_large_head(int fd, unsigned protocol)
{
	uint8_t length[4] = { 0, LARGE >> 16, LARGE >> 8 & 0xff, LARGE & 0xff };
	char request[128];

	if (protocol == FRAMES)
		client_send(fd, length, sizeof(length));
	else if (protocol == WEB) {
		snprintf(request, sizeof(request), "POST / HTTP/1.1\r\n"
		    "Host: a\r\nContent-Length: %d\r\n\r\n", LARGE);
		client_send_text(fd, request);
	}
}

static void
send_payload(int fd, size_t len)
{
	char *bytes = malloc(len);

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, 'p', len);
	client_send(fd, bytes, len);
	free(bytes);
}

/* The next n requests of the executor's, answered in one write. */
static void
answer_together(unsigned n)
{
	struct wire in = { .lines = false }, out = { .lines = false };
	struct text text;

	for (unsigned i = 0; i < n; i++) {
		text = wire_expect(executor, &in);
		wire_put(&out, &text);
	}
	ck_assert_int_eq(send(executor, out.bytes, out.len, 0),
	    (ssize_t)out.len);
	free(in.bytes);
	free(out.bytes);
}

/* All that has come, as a string without its zero bytes. */
static char *
read_all(int fd)
{
	static char text[2][65536];
	static unsigned which;
	char *all = text[which++ % 2];
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, all + len, sizeof(text[0]) - 1 - len,
	    MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	for (size_t i = 0; i < len; i++)
		if (all[i] == '\0')
			all[i] = '.';
	all[len] = '\0';
	return (all);
}

/* One after the other, from there on; returns where the last one ends. */
static const char *
expect_next(const char *in, const char *word)
{
	const char *at = strstr(in, word);

	ck_assert_msg(at != NULL, "no \"%s\" in \"%s\"", word, in);
	return (at + strlen(word));
}

/*
 * Alice has two requests with the executor, then one that is answered at once,
 * and then a message that needs memory, for which Xavier is the slowest.  The
 * replies to Alice's and Xavier's requests come in one read.
 */
static void
answer_at_the_limit(unsigned protocol)
{
	struct conn *slowest;
	int alice, bob, xavier;
	const char *text, *at;

	start();
	lone_worker_connect(&lone, protocol, &alice);
	slowest = lone_worker_connect(&lone, protocol, &xavier);
	lone_worker_connect(&lone, protocol, &bob);
	send_message(alice, protocol, "/", "alice-1");
	send_message(alice, protocol, "/", "alice-2");
	send_message(alice, protocol, "/echo", "alice-3");
	send_large_head(alice, protocol);
	turn();
	send_message(xavier, protocol, "/", "xavier-1");
	send_large_head(xavier, protocol);
	send_payload(xavier, PART);
	turn();
	ck_assert_ptr_nonnull(slowest->pending);
	ck_assert_uint_eq(slowest->pending->in->cap, HELD);
	send_message(bob, protocol, "/", "bob-1");
	turn();
	send_payload(alice, MORE);
	lone.worker.buffers.limit = lone.worker.buffers.lent + MORE / 2;
	answer_together(3);
	turn();
	text = read_all(alice);
	at = expect_next(text, "alice-1");
	at = expect_next(at, "alice-2");
	at = expect_next(at, protocol == WEB ? "alice-3" : ERR_BUSY);
	ck_assert_msg(strstr(text, "xavier") == NULL && strstr(at,
	    protocol == WEB ? "HTTP/1.1" : "ERR") == NULL, "%s", text);
	text = read_all(xavier);
	at = expect_next(text, "xavier-1");
	ck_assert_msg(strstr(text, "alice") == NULL, "%s", text);
	/* It has to go, and gets the reason. */
	expect_next(at, protocol == WEB ? "HTTP/1.1 503" : ERR_BUSY);
	client_expect_eof(xavier);
	/* Everybody else goes on. */
	lone.worker.buffers.limit = lone.conf->max_buffered;
	for (int left = LARGE - MORE; left > 0; left -= PIECE) {
		send_payload(alice, PIECE);
		turn();
	}
	if (protocol == LINES)
		client_send_text(alice, "\n");
	turn();
	answer_together(2);
	turn();
	expect_next(read_all(bob), "bob-1");
	expect_next(read_all(alice), "pppp");
	close(alice);
	close(bob);
	close(xavier);
	finish();
}

START_TEST(frames_reach_their_own_client_when_memory_is_short)
{
	answer_at_the_limit(FRAMES);
}
END_TEST

START_TEST(lines_reach_their_own_client_when_memory_is_short)
{
	answer_at_the_limit(LINES);
}
END_TEST

START_TEST(http_replies_reach_their_own_client_when_memory_is_short)
{
	answer_at_the_limit(WEB);
}
END_TEST

RUN_TESTS("replies",
    frames_reach_their_own_client_when_memory_is_short,
    lines_reach_their_own_client_when_memory_is_short,
    http_replies_reach_their_own_client_when_memory_is_short)
