/* SPDX-License-Identifier: ISC */
/*
 * Requests out of anything: fuzz/pieces.h tells what an input is.
 *
 * However a stream is cut, the same requests come out of it.  And llhttp, left
 * to itself, finds the same bodies in what was taken: tests/lib/http_judge.h.
 */
#include "fuzz/pieces.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/http_judge.h"

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

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct found found = { .verdict = PROTO_MORE };
	const char *wrong;
	size_t number;

	pieces_try(&proto_http, find_requests, input, len);
	if (len < 2)
		return (0);
	find_requests(&found, input + 2, len - 2, 1024 * 1024 * 1024);
	wrong = http_judge(&found, input + 2, len - 2, &number);
	if (wrong != NULL) {
		fprintf(stderr, "message %zu: %s\n", number, wrong);
		abort();
	}
	found_free(&found);
	return (0);
}
