/* SPDX-License-Identifier: ISC */
/*
 * Reads an HTTP/1.1 response: its end, its status and its body.
 *
 * Responses of a server mostly have the same header, so the last header is
 * kept, and an equal one is not parsed again.
 */
#ifndef TOOLS_LOAD_RESPONSE_H
#define TOOLS_LOAD_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

enum { RESPONSE_HEAD_KEPT = 512 };

enum response_verdict {
	RESPONSE_WHOLE,
	RESPONSE_MORE,		/* not complete yet */
	RESPONSE_BAD,		/* malformed, or its end is unknown */
};

struct response {
	unsigned status;
	size_t head_len, body_len;
};

struct response_head {
	uint8_t bytes[RESPONSE_HEAD_KEPT];
	struct response parsed;		/* head_len 0: none yet */
};

/* Read the response that bytes begin with. */
enum response_verdict response_parse(struct response_head *,
    const uint8_t *bytes, size_t len, struct response *);

#endif
