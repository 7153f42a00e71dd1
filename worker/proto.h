/* SPDX-License-Identifier: ISC */
/*
 * A protocol turns bytes into messages and replies into bytes.
 *
 * Its functions are pure: they look at the bytes they are given, keep nothing,
 * allocate nothing and know neither connections nor handlers.
 */
#ifndef WORKER_PROTO_H
#define WORKER_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"

enum {
	/* The most bytes that a protocol puts before or behind a payload. */
	PROTO_FRAMING_MAX = 4,
};

enum proto_verdict {
	PROTO_MESSAGE,		/* a whole message stands at the head */
	PROTO_MORE,		/* not yet */
	PROTO_MALFORMED,	/* and never will */
	PROTO_TOO_LARGE,	/* it would be larger than max_payload */
};

struct proto_message {
	const uint8_t *payload;	/* within the bytes that were looked at */
	size_t len;
	size_t consumed;	/* bytes from the head that it took up */
};

/* What a protocol puts around a payload. */
struct proto_framing {
	uint8_t head[PROTO_FRAMING_MAX];
	uint8_t tail[PROTO_FRAMING_MAX];
	size_t head_len;
	size_t tail_len;
};

struct proto {
	const char *name;

	/*
	 * Look for one message at the head of bytes.  *scanned is how far
	 * earlier calls for the same message have looked: 0 at its beginning,
	 * then what the last PROTO_MORE left there.
	 */
	enum proto_verdict (*parse)(const uint8_t *bytes, size_t len,
	    size_t max_payload, size_t *scanned, struct proto_message *);

	/* Put together what goes around a reply of so many bytes. */
	void (*frame)(struct proto_framing *, size_t payload_len);

	/* Whether a payload can be empty; else such a reply sends nothing. */
	bool empty;

	/* The payloads of the replies that tell a client of trouble. */
	const char *busy;
	const char *malformed;
	const char *too_large;
};

extern const struct proto proto_frame;
extern const struct proto proto_line;

const struct proto *proto_find(enum conf_protocol);

#endif
