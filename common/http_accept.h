/* SPDX-License-Identifier: ISC */
/*
 * What a client would rather read: RFC 9110, 12.5.1.
 */
#ifndef COMMON_HTTP_ACCEPT_H
#define COMMON_HTTP_ACCEPT_H

#include "common/http.h"

/* How much one type is wanted, as far as the Accept fields have been read. */
struct http_accept_rank {
	unsigned precision;	/* of the range that says so; 0: none does */
	unsigned weight;	/* 0 to 1000 */
	unsigned place;		/* of that range, in the order of all */
};

struct http_accept {
	unsigned nranges;
	struct http_accept_rank json;	/* application/json */
	struct http_accept_rank text;	/* text/plain */
};

/* Take in the value of one field, of which there may be several; what is no
 * range of types is skipped. */
void http_accept_read(struct http_accept *, struct http_slice value);

/* Whether JSON is wanted, rather than text: by weight, then by how precisely it
 * is named, then by order. */
bool http_accept_wants_json(const struct http_accept *);

#endif
