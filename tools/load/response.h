/* SPDX-License-Identifier: ISC */
/*
 * What a client of HTTP/1.1 has to know of a response: where it ends, and what
 * its status and body are.
 *
 * A server's responses mostly have the same head each time, so the last one is
 * kept, and one that looks the same is not parsed again.
 */
#ifndef TOOLS_LOAD_RESPONSE_H
#define TOOLS_LOAD_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

enum { RESPONSE_HEAD_KEPT = 512 };

enum response_verdict {
	RESPONSE_WHOLE,
	RESPONSE_MORE,		/* not yet */
	RESPONSE_BAD,		/* and never will be, or its end is unknown */
};

struct response {
	unsigned status;
	size_t head_len, body_len;
};

struct response_head {
	uint8_t bytes[RESPONSE_HEAD_KEPT];
	struct response parsed;		/* head_len 0: there is none yet */
};

/* Look for a response at the head of bytes. */
enum response_verdict response_parse(struct response_head *,
    const uint8_t *bytes, size_t len, struct response *);

#endif
