/* SPDX-License-Identifier: ISC */
#include "tests/lib/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http.h"

enum {
	/* A line about a chunk, and one behind the last. */
	CHUNK_LINES_MAX = 256 + 8192,
};

#define must(condition)							\
	do {								\
		if (!(condition)) {					\
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, \
			    __LINE__, #condition);			\
			abort();					\
		}							\
	} while (0)

/*
 * What was found.
 */

void
found_add(struct found *found, const uint8_t *payload, size_t len)
{
	found->lens = reallocarray(found->lens, found->n + 1,
	    sizeof(*found->lens));
	must(found->lens != NULL);
	found->lens[found->n++] = len;
	if (len == 0)
		return;
	found->payloads = realloc(found->payloads, found->len + len);
	must(found->payloads != NULL);
	memcpy(found->payloads + found->len, payload, len);
	found->len += len;
}

bool
found_equal(const struct found *a, const struct found *b)
{
	return (a->n == b->n && a->len == b->len &&
	    a->consumed == b->consumed && a->verdict == b->verdict &&
	    a->status == b->status && a->close == b->close &&
	    (a->n == 0 || memcmp(a->lens, b->lens,
		a->n * sizeof(*a->lens)) == 0) &&
	    (a->len == 0 || memcmp(a->payloads, b->payloads, a->len) == 0));
}

void
found_free(struct found *found)
{
	free(found->lens);
	free(found->payloads);
}

/*
 * The stream.
 */

void
stream_init(struct stream *stream, const struct proto *proto,
    size_t max_payload)
{
	static char none[] = "";

	*stream = (struct stream){
		.proto = proto,
		.conf = {
			.max_message_size = max_payload,
			.read_timeout_ms = 1000,
			.http = {
				.max_header_size = 512,
				.max_headers = 16,
				.max_target_size = 64,
				.server = none,
			},
		},
		.found = { .verdict = PROTO_MORE },
	};
}

void
stream_free(struct stream *stream)
{
	free(stream->kept);
	found_free(&stream->found);
}

static bool
is_within(const uint8_t *part, size_t part_len, const uint8_t *whole,
    size_t len)
{
	return (part >= whole && part_len <= len &&
	    (size_t)(part - whole) <= len - part_len);
}

/* The largest message that may still be unfinished. */
static size_t
most_kept(const struct stream *stream)
{
	const struct conf_listener *conf = &stream->conf;

	if (stream->proto == &proto_http)
		return (2 * (conf->max_message_size +
		    conf->http.max_header_size) + CHUNK_LINES_MAX);
	return (conf->max_message_size + PROTO_TAIL_MAX);
}

static void
note_exchange(struct stream *stream, const struct exchange *exchange)
{
	if (exchange == NULL)
		return;
	stream->found.status = ((const struct http_exchange *)exchange)->status;
	stream->found.close = exchange->close;
}

/* Look for one message.  Returns the number of bytes that it took up; 0 if
 * there is none. */
static size_t
parse_one(struct stream *stream, uint8_t *bytes, size_t len)
{
	struct proto_room room;
	struct proto_message message = {
		.payload = NULL,
		.exchange = stream->proto->has_exchange ?
		    (struct exchange *)room.bytes : NULL,
	};
	size_t looked = stream->progress.scanned;
	enum proto_verdict verdict;

	do {
		verdict = stream->proto->parse(bytes, len, &stream->conf,
		    &stream->progress, &message);
	} while (verdict == PROTO_INTERIM);
	stream->found.verdict = verdict;
	/* Here another worker might have to go on. */
	must(verdict == PROTO_MALFORMED || verdict == PROTO_TOO_LARGE ||
	    proto_can_resume(stream->proto, &stream->progress, len));
	switch (verdict) {
	case PROTO_INTERIM:
	case PROTO_MORE:
		must(stream->progress.scanned >= looked &&
		    stream->progress.scanned <= len);
		must(len <= most_kept(stream));
		return (0);
	case PROTO_MALFORMED:
	case PROTO_TOO_LARGE:
		note_exchange(stream, message.exchange);
		return (0);
	case PROTO_ANSWERED:
	case PROTO_MESSAGE:
		break;
	}
	must(message.consumed > 0 && message.consumed <= len);
	must(message.len <= stream->conf.max_message_size);
	must(is_within(message.payload, message.len, bytes, message.consumed));
	note_exchange(stream, message.exchange);
	found_add(&stream->found, message.payload, message.len);
	stream->found.consumed += stream->skipped + message.consumed;
	stream->skipped = 0;
	stream->progress = (struct proto_progress){ .scanned = 0 };
	stream->found.verdict = PROTO_MORE;
	return (message.consumed);
}

/* Skip what belongs to no message.  Returns the number of bytes. */
static size_t
skip(struct stream *stream, const uint8_t *bytes, size_t len)
{
	size_t n = proto_skip(stream->proto, bytes, len, &stream->progress);

	must(n <= len);
	stream->skipped += n;
	return (n);
}

/* Bytes of a size of their own, so that a sanitizer sees who reads beyond. */
static uint8_t *
join(const uint8_t *head, size_t head_len, const uint8_t *tail, size_t len)
{
	uint8_t *whole = malloc(head_len + len);

	must(whole != NULL);
	if (head_len > 0)
		memcpy(whole, head, head_len);
	memcpy(whole + head_len, tail, len);
	return (whole);
}

void
stream_feed(struct stream *stream, const uint8_t *bytes, size_t len)
{
	uint8_t *input;
	size_t used = 0, more;

	if (len == 0 || stream->found.verdict != PROTO_MORE ||
	    stream->found.close)
		return;
	input = join(stream->kept, stream->kept_len, bytes, len);
	len += stream->kept_len;
	do {
		used += skip(stream, input + used, len - used);
		more = used == len ? 0 :
		    parse_one(stream, input + used, len - used);
		used += more;
	} while (more > 0 && !stream->found.close);
	free(stream->kept);
	stream->kept_len = len - used;
	stream->kept = join(NULL, 0, input + used, stream->kept_len);
	free(input);
}

void
stream_feed_pieces(struct stream *stream, const uint8_t *bytes, size_t len,
    size_t piece)
{
	for (size_t at = 0; at < len; at += piece)
		stream_feed(stream, bytes + at,
		    piece < len - at ? piece : len - at);
}
