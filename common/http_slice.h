/* SPDX-License-Identifier: ISC */
/*
 * A part of a header: bytes that stand elsewhere.
 */
#ifndef COMMON_HTTP_SLICE_H
#define COMMON_HTTP_SLICE_H

#include <stdbool.h>
#include <stddef.h>

struct http_slice {
	const char *bytes;	/* NULL: there is no such thing */
	size_t len;
};

/* Without the white space around it. */
struct http_slice http_slice_trim(struct http_slice);

/* Whether it is a word, in any case. */
bool http_slice_is(struct http_slice, const char *word);

/* Take the next part from a list, up to a separator; one between quotes does not
 * count if there can be quotes.  Returns false at the end of the list. */
bool http_slice_next(struct http_slice *list, char separator, bool has_quotes,
    struct http_slice *part);

#endif
