/* SPDX-License-Identifier: ISC */
/*
 * Requests out of anything: fuzz/pieces.h tells what an input is.
 *
 * However a stream is cut, the same requests come out of it.  And llhttp, left
 * to itself, finds the same bodies in what was taken: Penstock may be stricter,
 * but it reads nothing otherwise.
 */
#include "fuzz/pieces.h"

#include <llhttp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* The stream as it comes when nothing cuts it. */
static void
find_requests(struct found *found, const uint8_t *bytes, size_t len,
    size_t max_payload)
{
	struct stream stream;

	stream_init(&stream, &proto_http, max_payload);
	stream_feed(&stream, bytes, len);
	*found = stream.found;
	stream.found = (struct found){ .n = 0 };
	stream_free(&stream);
}

static int
on_body(llhttp_t *parser, const char *at, size_t len)
{
	struct found *found = parser->data;

	found_add(found, (const uint8_t *)at, len);
	return (0);
}

/* One message at a time: the next begins with a new parser, as llhttp stops at
 * one that closes or upgrades. */
static int
on_complete(llhttp_t *parser)
{
	(void)parser;
	return (HPE_PAUSED);
}

/* An upgrade that is not heard leaves the body to be read. */
static int
on_headers(llhttp_t *parser)
{
	parser->upgrade = 0;
	return (0);
}

/* The body that llhttp finds at the head of the bytes, and how many of them it
 * took for that.  Returns false if it finds no request there. */
static bool
find_one(const uint8_t *bytes, size_t len, struct found *body, size_t *used)
{
	static const llhttp_settings_t settings = {
		.on_headers_complete = on_headers,
		.on_body = on_body,
		.on_message_complete = on_complete,
	};
	llhttp_t parser;

	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = body;
	if (llhttp_execute(&parser, (const char *)bytes, len) != HPE_PAUSED)
		return (false);
	*used = (size_t)((const uint8_t *)llhttp_get_error_pos(&parser) -
	    bytes);
	return (true);
}

static void
disagree(const char *what, size_t number)
{
	fprintf(stderr, "message %zu: llhttp %s\n", number, what);
	abort();
}

static void
compare(const struct found *ours, const uint8_t *bytes, size_t len)
{
	const uint8_t *payload = ours->payloads;
	size_t total = 0, used;

	for (size_t i = 0; i < ours->n; i++) {
		struct found body = { .n = 0 };

		if (!find_one(bytes + total, len - total, &body, &used))
			disagree("refuses it", i);
		if (body.len != ours->lens[i] || (body.len > 0 &&
		    memcmp(body.payloads, payload, body.len) != 0))
			disagree("finds another body", i);
		if (body.len > 0)
			payload += body.len;
		total += used;
		found_free(&body);
	}
	if (total != ours->consumed)
		disagree("takes up other bytes", ours->n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct found found = { .verdict = PROTO_MORE };

	pieces_try(&proto_http, find_requests, input, len);
	if (len < 2)
		return (0);
	find_requests(&found, input + 2, len - 2, 1024 * 1024 * 1024);
	compare(&found, input + 2, len - 2);
	found_free(&found);
	return (0);
}
