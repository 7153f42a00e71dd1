/* SPDX-License-Identifier: ISC */
/*
 * Lines: bytes up to LF; a CR before it is dropped.  An empty line is a
 * message. See penstock-protocol(7).
 */
#include <string.h>

#include "worker/proto.h"

/* The bytes that a line takes up beyond its payload: CR and LF. */
enum { ENDING_MAX = 2 };

static enum proto_verdict
line_parse(uint8_t *bytes, size_t len, const struct conf_listener *conf,
    struct proto_progress *progress, struct proto_message *message)
{
	size_t line_len, max_payload = conf->max_message_size;
	const uint8_t *lf;

	lf = memchr(bytes + progress->scanned, '\n', len - progress->scanned);
	if (lf == NULL) {
		progress->scanned = len;
		/* The last byte may be the CR that does not count. */
		if (len >= max_payload + ENDING_MAX ||
		    (len > max_payload && bytes[len - 1] != '\r'))
			return (PROTO_TOO_LARGE);
		return (PROTO_MORE);
	}
	line_len = (size_t)(lf - bytes);
	message->consumed = line_len + 1;
	if (line_len > 0 && bytes[line_len - 1] == '\r')
		line_len--;
	if (line_len > max_payload)
		return (PROTO_TOO_LARGE);
	message->payload = bytes;
	message->len = line_len;
	return (PROTO_MESSAGE);
}

static void
line_put(struct proto_framing *framing, size_t payload_len,
    const struct conf_listener *conf, const struct exchange *exchange)
{
	(void)payload_len;
	(void)conf;
	(void)exchange;
	framing->head_len = 0;
	framing->tail[0] = '\n';
	framing->tail_len = 1;
}

const struct proto proto_line = {
	.name = "line",
	.parse = line_parse,
	.frame = line_put,
	.empty = true,
	.busy = "ERR busy",
	.malformed = "ERR malformed",
	.too_large = "ERR too large",
};
