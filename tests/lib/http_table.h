/* SPDX-License-Identifier: ISC */
/*
 * Raw requests, well- and malformed, and what becomes of each: for the test of
 * the parser, which cuts them everywhere, and for that of the whole server.
 *
 * They are for a listener with HTTP_TABLE_LIMITS and the handler echo.
 */
#ifndef TESTS_LIB_HTTP_TABLE_H
#define TESTS_LIB_HTTP_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum {
	HTTP_TABLE_BODY_MAX = 64,
	HTTP_TABLE_HEADER_MAX = 512,
	HTTP_TABLE_HEADERS_MAX = 16,
	HTTP_TABLE_TARGET_MAX = 100,
};

#define HTTP_TABLE_LIMITS						\
	"max_message_size = 64; max_header_size = 512; "		\
	"max_headers = 16; max_target_size = 100;"

struct http_row {
	const char *raw;
	size_t len;
	unsigned status;	/* of the first reply that is not a 100 */
	bool stays;		/* what follows is read as the next request */
	const char *body;	/* of a 200 */
};

extern const struct http_row http_table[];
extern const size_t http_table_len;

/* A request that may follow any other: its reply is the body "canary". */
extern const char http_canary[];

#endif
