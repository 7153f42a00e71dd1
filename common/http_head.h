/* SPDX-License-Identifier: ISC */
/*
 * The header of a request: where it ends, what it says, and whether it may say
 * so.
 *
 * Its end is looked for first, as its bytes come; every one of them is checked
 * then, and a number is all that is kept.  What it says is read when it is whole.
 * No two readers of a request are to take it for different things: lines end with
 * CR and LF, there are no other control characters, and what tells of the length
 * of the body is there once at most.
 */
#ifndef COMMON_HTTP_HEAD_H
#define COMMON_HTTP_HEAD_H

#include "common/http.h"

/*
 * Look for the end of the header at the head of bytes; *scanned is how far
 * earlier calls have looked.  Returns its length with the empty line at its
 * end, or 0: then *status is 0 if it has not come yet, or that of the reply if
 * it never will.
 */
size_t http_head_find(const uint8_t *bytes, size_t len,
    const struct conf_http *, size_t *scanned, unsigned *status);

/* Read a whole header.  Returns 0, or the status of the reply if the request is
 * refused; head->exchange is good for that reply in any case. */
unsigned http_head_parse(struct http_head *, const uint8_t *bytes, size_t len,
    const struct conf_http *);

/* What can be told of a request whose header is not whole, or is none: method and
 * target, as far as they have come. */
void http_head_glimpse(struct http_head *, const uint8_t *bytes, size_t len);

/* Whether it is a word of HTTP: of a method, or the name of a field. */
bool http_is_token(const char *bytes, size_t len);

#endif
