/* SPDX-License-Identifier: ISC */
#include "fuzz/pieces.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	LIMITS = 255,			/* small limits: 1 to 255 */
	LARGEST = 1024 * 1024 * 1024,	/* that can be configured */
	/* Each piece is looked at with all that is unfinished, so that many
	 * pieces of a long stream would take their time squared. */
	PIECES_MAX = 1024,
};

static size_t
limit_of(uint8_t byte)
{
	return (byte < LIMITS ? (size_t)byte + 1 : LARGEST);
}

static void
expect_same(const struct found *found, const struct found *expected,
    const char *how)
{
	if (found_equal(found, expected))
		return;
	fprintf(stderr, "%s: %zu messages, %zu bytes used, verdict %d; "
	    "expected %zu, %zu, %d\n", how, found->n, found->consumed,
	    (int)found->verdict, expected->n, expected->consumed,
	    (int)expected->verdict);
	abort();
}

/* In pieces of one length. */
static void
try_evenly(const struct stream *stream, const uint8_t *bytes, size_t len,
    size_t piece, const struct found *expected)
{
	struct stream fed = *stream;

	stream_feed_pieces(&fed, bytes, len, piece);
	expect_same(&fed.found, expected, "in even pieces");
	stream_free(&fed);
}

/* In pieces of lengths that follow from a number: any of 1 to 16, now and then
 * a long one. */
static void
try_unevenly(const struct stream *stream, const uint8_t *bytes, size_t len,
    uint32_t number, const struct found *expected)
{
	struct stream fed = *stream;
	size_t piece;

	for (size_t at = 0; at < len; at += piece) {
		number = number * 1664525 + 1013904223;
		piece = (number >> 24) % 16 + 1 + len / PIECES_MAX;
		if ((number >> 16) % 8 == 0)
			piece *= 32;
		if (piece > len - at)
			piece = len - at;
		stream_feed(&fed, bytes + at, piece);
	}
	expect_same(&fed.found, expected, "in uneven pieces");
	stream_free(&fed);
}

void
pieces_try(const struct proto *proto, reference *find, const uint8_t *input,
    size_t len)
{
	struct found expected = { .verdict = PROTO_MORE };
	struct stream stream;

	if (len < 2)
		return;
	stream_init(&stream, proto, limit_of(input[0]));
	find(&expected, input + 2, len - 2, stream.conf.max_message_size);
	try_evenly(&stream, input + 2, len - 2, len, &expected);
	try_evenly(&stream, input + 2, len - 2, 1 + len / PIECES_MAX,
	    &expected);
	try_unevenly(&stream, input + 2, len - 2, input[1], &expected);
	found_free(&expected);
}
