/* SPDX-License-Identifier: ISC */
/*
 * HTTP/1.1: a request as its header describes it, and what its reply needs to
 * know about it.
 *
 * See penstock-http(7).
 */
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/exchange.h"
#include "common/http_slice.h"

enum {
	/* A content type, or the methods of an Allow field, with the NUL. */
	HTTP_NOTE_MAX = 256,
	/* Occurrences in one header of fields that handlers get. */
	HTTP_FIELDS_MAX = 64,
};

/* The statuses of replies that Penstock itself makes, and their texts. */
#define HTTP_STATUSES(S)						\
	S(400, "Bad Request")						\
	S(404, "Not Found")						\
	S(405, "Method Not Allowed")					\
	S(408, "Request Timeout")					\
	S(411, "Length Required")	/* only the monitor */		\
	S(413, "Content Too Large")					\
	S(414, "URI Too Long")						\
	S(417, "Expectation Failed")					\
	S(431, "Request Header Fields Too Large")			\
	S(500, "Internal Server Error")					\
	S(501, "Not Implemented")					\
	S(503, "Service Unavailable")					\
	S(504, "Gateway Timeout")					\
	S(505, "HTTP Version Not Supported")

enum http_status {
	HTTP_CONTINUE = 100,
	HTTP_OK = 200,
	HTTP_NO_CONTENT = 204,
	HTTP_RESET_CONTENT = 205,
	HTTP_NOT_MODIFIED = 304,
#define HTTP_STATUS_ENUM(code, reason) HTTP_##code = (code),
	HTTP_STATUSES(HTTP_STATUS_ENUM)
#undef HTTP_STATUS_ENUM
	HTTP_STATUS_MAX = 599
};

struct conf_route;

/* What the reply to a request needs to know.  All zero, it is for a request
 * with a header that could not be read. */
struct http_exchange {
	struct exchange base;
	uint16_t status;	/* of the reply; 0: not known yet */
	bool is_10 : 1;		/* the request is HTTP/1.0 */
	bool is_head : 1;	/* the reply is sent without its payload */
	bool wants_json : 1;	/* instead of text, in an error reply */
	bool is_trouble : 1;	/* Penstock itself makes the reply */
	bool is_kept : 1;	/* part of facts that are kept, not of a struct
				   http_head */
	/* In Penstock's own reply of 405 or to OPTIONS the allowed methods,
	 * otherwise the content type; "" for the default. */
	char note[HTTP_NOTE_MAX];
};

enum http_body {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,	/* by Content-Length */
	HTTP_BODY_CHUNKED,
};

/* One occurrence of a field that handlers get. */
struct http_field {
	unsigned number;	/* in conf->http.fields */
	struct http_slice value;
};

/* A header.  Slices point into the bytes that it was read from. */
struct http_head {
	struct http_exchange exchange;
	struct http_slice method;
	struct http_slice target;
	struct http_slice path;		/* of the target */
	struct http_slice query;	/* of the target, after the "?" */
	struct http_slice host;		/* of the target, or of the field, with
					   its port */
	struct http_slice agent;	/* User-Agent, for the access log */
	struct http_slice referer;
	struct http_slice traceparent;	/* invalid if there are several */
	const struct conf_route *route;	/* NULL: no routes, or none matches:
					   see exchange.status */
	enum http_body body;
	uint64_t body_len;		/* of HTTP_BODY_LENGTH */
	bool expects;			/* 100-continue */
	unsigned nfields;
	struct http_field fields[HTTP_FIELDS_MAX];
};

#endif
