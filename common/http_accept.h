/* SPDX-License-Identifier: ISC */
/*
 * Which type a client prefers: RFC 9110, 12.5.1.
 */
#ifndef COMMON_HTTP_ACCEPT_H
#define COMMON_HTTP_ACCEPT_H

#include "common/http.h"

/* How much one type is preferred, by the Accept fields that have been read. */
struct http_accept_rank {
	unsigned precision;	/* of the best range; 0: none matches */
	unsigned weight;	/* 0 to 1000 */
	unsigned place;		/* of that range among all */
};

struct http_accept {
	unsigned nranges;
	struct http_accept_rank json;	/* application/json */
	struct http_accept_rank text;	/* text/plain */
};

/* Read the value of one Accept field, of which there may be several.  What is
 * not a range of types is skipped. */
void http_accept_read(struct http_accept *, struct http_slice value);

/* Whether JSON is preferred to text: by weight, then by precision, then by
 * order. */
bool http_accept_wants_json(const struct http_accept *);

#endif
