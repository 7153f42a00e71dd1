/* SPDX-License-Identifier: ISC */
/*
 * Frames out of anything: fuzz/pieces.h tells what an input is.
 */
#include "fuzz/pieces.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { HEADER_LEN = 4 };

static void
find_frames(struct found *found, const uint8_t *bytes, size_t len,
    size_t max_payload)
{
	uint64_t payload_len;

	for (; len >= HEADER_LEN; bytes += HEADER_LEN + payload_len,
	    len -= HEADER_LEN + payload_len) {
		payload_len = (uint64_t)bytes[0] << 24 | bytes[1] << 16 |
		    bytes[2] << 8 | bytes[3];
		if (payload_len == 0 || payload_len > max_payload) {
			found->verdict = payload_len == 0 ? PROTO_MALFORMED :
			    PROTO_TOO_LARGE;
			return;
		}
		if (len < HEADER_LEN + payload_len)
			return;
		found_add(found, bytes + HEADER_LEN, payload_len);
		found->consumed += HEADER_LEN + payload_len;
	}
}

/* The stream as a payload: what goes around it is read back. */
static void
try_reply(size_t payload_len)
{
	uint8_t head[PROTO_HEAD_MAX];
	struct proto_framing framing = { .head = head };
	struct conf_listener conf = { .max_message_size = payload_len };
	struct proto_progress progress = { .scanned = 0 };
	struct proto_message message;

	if (payload_len == 0)
		return;
	proto_frame.frame(&framing, payload_len, &conf, NULL);
	assert(framing.head_len == HEADER_LEN && framing.tail_len == 0);
	/* The header alone is never the whole of it. */
	assert(proto_frame.parse(framing.head, HEADER_LEN, &conf, &progress,
	    &message) == PROTO_MORE);
	conf.max_message_size--;
	assert(payload_len == 1 || proto_frame.parse(framing.head, HEADER_LEN,
	    &conf, &progress, &message) == PROTO_TOO_LARGE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	uint32_t payload_len = 0;

	pieces_try(&proto_frame, find_frames, input, len);
	if (len >= sizeof(payload_len)) {
		memcpy(&payload_len, input, sizeof(payload_len));
		try_reply(payload_len);
	}
	return (0);
}
