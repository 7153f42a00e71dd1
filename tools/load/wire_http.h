/* SPDX-License-Identifier: ISC */
/*
 * HTTP around the messages of a load client: requests that POST them, and
 * replies byte for byte as Penstock sends them, except the date.
 */
#ifndef TOOLS_LOAD_WIRE_HTTP_H
#define TOOLS_LOAD_WIRE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* The place of the date in a reply. */
	WIRE_HTTP_DATE_AT = 23,
	WIRE_HTTP_DATE_END = 52,
};

/*
 * The bytes of a request around its body of at least two bytes: before it,
 * between its two chunks, and after it.  Without chunks the last two are empty.
 */
struct wire_http {
	char head[192];
	char between[32];
	const char *tail;
	size_t head_len, between_len, tail_len;
	size_t first_len;	/* of the body, before between */
};

void wire_http_request(struct wire_http *, size_t len, bool is_chunked);

/* Build the header of the reply that echoes it.  Returns its length. */
size_t wire_http_reply(uint8_t *to, size_t room, size_t len);

/* The length of a header; 0 if it is partial. */
size_t wire_http_head(const uint8_t *wire, size_t len);

/* The length of a message without chunks, by its header; 0 if the header is
 * partial, SIZE_MAX if it is malformed. */
size_t wire_http_length(const uint8_t *wire, size_t len);

/* Whether a reply has the status 200. */
bool wire_http_is_ok(const uint8_t *wire, size_t len);

#endif
