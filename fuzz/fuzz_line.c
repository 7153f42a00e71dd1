/* SPDX-License-Identifier: ISC */
/*
 * Lines out of anything: fuzz/pieces.h tells what an input is.
 */
#include "fuzz/pieces.h"

#include <stdbool.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Byte by byte: whether this is more than any end of the line could save. */
static bool
is_lost(const uint8_t *line, size_t len, size_t max_payload)
{
	if (len <= max_payload)
		return (false);
	return (len > max_payload + 1 || line[len - 1] != '\r');
}

static void
find_lines(struct found *found, const uint8_t *bytes, size_t len,
    size_t max_payload)
{
	size_t begin = 0, payload_len;

	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != '\n') {
			if (!is_lost(bytes + begin, i + 1 - begin,
			    max_payload))
				continue;
			found->verdict = PROTO_TOO_LARGE;
			return;
		}
		payload_len = i - begin;
		if (payload_len > 0 && bytes[i - 1] == '\r')
			payload_len--;
		found_add(found, bytes + begin, payload_len);
		found->consumed = begin = i + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	pieces_try(&proto_line, find_lines, input, len);
	return (0);
}
