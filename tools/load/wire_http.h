/* SPDX-License-Identifier: ISC */
/*
 * HTTP around the messages of a load client: requests that POST them, and
 * replies as Penstock sends them, byte for byte but for their date.
 */
#ifndef TOOLS_LOAD_WIRE_HTTP_H
#define TOOLS_LOAD_WIRE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* Where the date stands in a reply. */
	WIRE_HTTP_DATE_AT = 23,
	WIRE_HTTP_DATE_END = 52,
};

/*
 * A request whose body has so many bytes, at least two: before the body,
 * between its two chunks, and behind it.  Without chunks the last two are
 * empty.
 */
struct wire_http {
	char head[192];
	char between[32];
	const char *tail;
	size_t head_len, between_len, tail_len;
	size_t first_len;	/* of the body, before what is between */
};

void wire_http_request(struct wire_http *, size_t len, bool is_chunked);

/* The header of the reply that echoes it.  Returns its length. */
size_t wire_http_reply(uint8_t *to, size_t room, size_t len);

/* The length of a header, 0 if it is not whole. */
size_t wire_http_head(const uint8_t *wire, size_t len);

/* The length of a message without chunks, by its own account; 0 as long as its
 * header is not whole, SIZE_MAX if that is nonsense. */
size_t wire_http_length(const uint8_t *wire, size_t len);

/* Whether a reply says that all is well. */
bool wire_http_is_ok(const uint8_t *wire, size_t len);

#endif
