/* SPDX-License-Identifier: ISC */
/*
 * The header of a request: where it ends, what it contains, and whether that is
 * allowed.
 *
 * As bytes come, each one is checked while the end is looked for; only a number
 * is kept.  The content is read when the header is complete.  No two servers
 * may read a request differently: lines end with CR and LF, there are no other
 * control characters, and the length of the body is given at most once.
 */
#ifndef COMMON_HTTP_HEAD_H
#define COMMON_HTTP_HEAD_H

#include "common/http.h"

struct conf_http;

/*
 * Look for the end of the header that bytes begin with; *scanned is how far
 * earlier calls have looked.  Returns its length with the empty line at its
 * end.  Returns 0 if the end has not come yet, with *status 0, or if the header
 * is refused, with the *status of the reply.
 */
size_t http_head_find(const uint8_t *bytes, size_t len,
    const struct conf_http *, size_t *scanned, unsigned *status);

/* Read a complete header.  Returns 0, or the status of the reply if the request
 * is refused.  head->exchange is valid for the reply in both cases. */
unsigned http_head_parse(struct http_head *, const uint8_t *bytes, size_t len,
    const struct conf_http *);

/* Read what is known of a request with a partial or invalid header: method and
 * target, as far as they have come. */
void http_head_glimpse(struct http_head *, const uint8_t *bytes, size_t len);

/* Whether it is a word of HTTP: of a method, or the name of a field. */
bool http_is_token(const char *bytes, size_t len);

#endif
