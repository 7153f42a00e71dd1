/* SPDX-License-Identifier: ISC */
#include "tests/lib/wire.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"

static void
wire_reserve(struct wire *wire, size_t more)
{
	if (wire->size - wire->len >= more)
		return;
	wire->size = 2 * (wire->len + more);
	ck_assert_ptr_nonnull(wire->bytes = realloc(wire->bytes, wire->size));
}

void
wire_put(struct wire *wire, const struct text *text)
{
	wire_reserve(wire, text->len + 4);
	if (wire->lines) {
		memcpy(wire->bytes + wire->len, text->bytes, text->len);
		wire->bytes[wire->len + text->len] = '\n';
		wire->len += text->len + 1;
		return;
	}
	wire->len += frame_put((uint8_t *)wire->bytes + wire->len, text->bytes,
	    text->len);
}

bool
wire_take(struct wire *wire, struct text *text)
{
	const uint8_t *head = (const uint8_t *)wire->bytes + wire->at;
	size_t there = wire->len - wire->at;
	const char *end;

	text->bytes = wire->bytes + wire->at;
	if (wire->lines) {
		end = there > 0 ? memchr(head, '\n', there) : NULL;
		if (end == NULL)
			return (false);
		text->len = (size_t)(end - text->bytes);
		wire->at += text->len + 1;
		return (true);
	}
	if (there < 4)
		return (false);
	text->len = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
	    (size_t)head[2] << 8 | head[3];
	if (there < 4 + text->len)
		return (false);
	text->bytes += 4;
	wire->at += 4 + text->len;
	return (true);
}

bool
wire_read(struct wire *wire, int fd)
{
	ssize_t n;

	wire_reserve(wire, 65536);
	n = recv(fd, wire->bytes + wire->len, wire->size - wire->len,
	    MSG_DONTWAIT);
	if (n == -1 && errno == EAGAIN)
		return (false);
	ck_assert_msg(n > 0, "the server closed a connection: %s",
	    n == 0 ? "end" : strerror(errno));
	wire->len += (size_t)n;
	return (true);
}

size_t
wire_count(struct wire *wire, int fd)
{
	struct wire copy;
	struct text text;
	size_t n = 0;

	while (wire_read(wire, fd))
		;
	for (copy = *wire; wire_take(&copy, &text); n++)
		;
	return (n);
}

struct text
wire_expect(int fd, struct wire *in)
{
	struct text reply;
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	while (!wire_take(in, &reply)) {
		ck_assert_msg(poll(&wait, 1, (int)patience_ms()) == 1,
		    "a reply did not come");
		wire_read(in, fd);
	}
	return (reply);
}

void
wire_exchange(int fd, const struct wire *out, struct wire *in, size_t n)
{
	struct pollfd wait = { .fd = fd };
	struct text reply;
	size_t sent = 0;
	ssize_t went;

	while (n > 0) {
		wait.events = (short)(POLLIN |
		    (sent < out->len ? POLLOUT : 0));
		ck_assert_msg(poll(&wait, 1, (int)patience_ms()) == 1,
		    "%zu replies did not come", n);
		if (wait.revents & POLLOUT) {
			went = send(fd, out->bytes + sent, out->len - sent,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
			sent += went > 0 ? (size_t)went : 0;
		}
		if ((wait.revents & ~POLLOUT) && wire_read(in, fd))
			while (n > 0 && wire_take(in, &reply))
				n--;
	}
	in->at = 0;
}

bool
text_is(const struct text *text, const char *string)
{
	return (text->len == strlen(string) &&
	    memcmp(text->bytes, string, text->len) == 0);
}

bool
text_equal(const struct text *a, const struct text *b)
{
	return (a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0);
}

void
send_numbers(int fd, int n)
{
	char number[16];

	for (int i = 0; i < n; i++) {
		snprintf(number, sizeof(number), "%d", i);
		client_send_text_frame(fd, number);
	}
}

void
expect_numbers(int fd, int n)
{
	char number[16];

	for (int i = 0; i < n; i++) {
		snprintf(number, sizeof(number), "%d", i);
		client_expect_text_frame(fd, number);
	}
}
