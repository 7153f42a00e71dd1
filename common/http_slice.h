/* SPDX-License-Identifier: ISC */
/*
 * A part of a header: a pointer to bytes of another buffer.
 */
#ifndef COMMON_HTTP_SLICE_H
#define COMMON_HTTP_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct http_slice {
	const char *bytes;	/* NULL: not in the request */
	size_t len;
};

/* The slice without the white space around it. */
struct http_slice http_slice_trim(struct http_slice);

/* Whether the slice is the word, in upper or lower case.  Inline, as the length
 * of most words is known then. */
static inline bool
http_slice_is(struct http_slice slice, const char *word)
{
	return (slice.len == strlen(word) &&
	    strncasecmp(slice.bytes, word, slice.len) == 0);
}

/* Take the next part of a list, up to a separator.  With has_quotes, a
 * separator within quotes does not count.  Returns false at the end of the
 * list. */
bool http_slice_next(struct http_slice *list, char separator, bool has_quotes,
    struct http_slice *part);

#endif
