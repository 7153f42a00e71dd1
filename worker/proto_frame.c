/* SPDX-License-Identifier: ISC */
/*
 * Length-prefixed frames: four bytes of length, most significant first, then as
 * many bytes of payload.  What Erlang calls {packet,4}.  An empty frame is an
 * error.  See penstock-protocol(7).
 */
#include <string.h>

#include <arpa/inet.h>

#include "worker/proto.h"

enum { HEADER_LEN = 4 };

static enum proto_verdict
frame_parse(uint8_t *bytes, size_t len, const struct conf_listener *conf,
    struct proto_progress *progress, struct proto_message *message)
{
	uint32_t header;
	size_t payload_len;

	(void)progress;		/* looking again costs four bytes */
	if (len < HEADER_LEN)
		return (PROTO_MORE);
	memcpy(&header, bytes, HEADER_LEN);
	payload_len = ntohl(header);
	if (payload_len == 0)
		return (PROTO_MALFORMED);
	if (payload_len > conf->max_message_size)
		return (PROTO_TOO_LARGE);
	if (len - HEADER_LEN < payload_len)
		return (PROTO_MORE);
	message->payload = bytes + HEADER_LEN;
	message->len = payload_len;
	message->consumed = HEADER_LEN + payload_len;
	return (PROTO_MESSAGE);
}

static void
frame_put(struct proto_framing *framing, size_t payload_len,
    const struct conf_listener *conf, const struct exchange *exchange)
{
	uint32_t header = htonl((uint32_t)payload_len);

	(void)conf;
	(void)exchange;
	memcpy(framing->head, &header, HEADER_LEN);
	framing->head_len = HEADER_LEN;
	framing->tail_len = 0;
}

const struct proto proto_frame = {
	.name = "frame",
	.parse = frame_parse,
	.frame = frame_put,
	.busy = "ERR busy",
	.malformed = "ERR malformed",
	.too_large = "ERR too large",
};
