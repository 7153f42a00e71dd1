/* SPDX-License-Identifier: ISC */
/*
 * A command for Penstock that answers each message with itself, as fast as a
 * command can be.  It reads all messages that have come at once, and writes
 * their replies at once, so with "pipeline" above 1 it needs few system calls.
 *
 * handlers = ( { name = "echo_command"; type = "command"; command = [
 * "/usr/lib/penstock/echo_command" ]; pipeline = 64; } );
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct buffer {
	unsigned char *bytes;
	size_t len, size;
};

static void
reserve(struct buffer *buffer, size_t more)
{
	if (buffer->size - buffer->len >= more)
		return;
	buffer->size = 2 * (buffer->len + more);
	if ((buffer->bytes = realloc(buffer->bytes, buffer->size)) == NULL)
		err(1, "memory");
}

static void
put_frame(struct buffer *out, const void *payload, uint32_t len)
{
	uint32_t head = htonl(len);

	reserve(out, sizeof(head) + len);
	memcpy(out->bytes + out->len, &head, sizeof(head));
	memcpy(out->bytes + out->len + sizeof(head), payload, len);
	out->len += sizeof(head) + len;
}

/* Answer all complete frames, and keep the rest. */
static void
answer(struct buffer *in, struct buffer *out)
{
	size_t at = 0;
	uint32_t len;

	while (in->len - at >= sizeof(len)) {
		memcpy(&len, in->bytes + at, sizeof(len));
		len = ntohl(len);
		if (in->len - at - sizeof(len) < len)
			break;
		put_frame(out, in->bytes + at + sizeof(len), len);
		at += sizeof(len) + len;
	}
	in->len -= at;
	memmove(in->bytes, in->bytes + at, in->len);
}

static void
write_all(struct buffer *out)
{
	ssize_t n;

	for (size_t at = 0; at < out->len; at += (size_t)n)
		if ((n = write(STDOUT_FILENO, out->bytes + at,
		    out->len - at)) == -1)
			err(1, "stdout");
	out->len = 0;
}

int
main(void)
{
	struct buffer in = { .len = 0 }, out = { .len = 0 };
	ssize_t n;

	for (;;) {
		reserve(&in, 65536);
		n = read(STDIN_FILENO, in.bytes + in.len, in.size - in.len);
		if (n == -1)
			err(1, "stdin");
		if (n == 0)
			return (0);	/* Penstock hangs up */
		in.len += (size_t)n;
		answer(&in, &out);
		write_all(&out);
	}
}
