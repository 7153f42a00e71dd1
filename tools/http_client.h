/* SPDX-License-Identifier: ISC */
/*
 * One HTTP request at a time, to the monitor.
 */
#ifndef TOOLS_HTTP_CLIENT_H
#define TOOLS_HTTP_CLIENT_H

#include <stddef.h>

#include "conf/conf.h"

enum {
	HTTP_CLIENT_WHY_MAX = 160,
	/* The monitor answers at once; give up after this time. */
	HTTP_CLIENT_PATIENCE_MS = 5000,
	HTTP_CLIENT_REPLY_MAX = 256 << 20,
};

struct http_reply {
	int code;
	char *text;		/* owned: the whole reply, ends with NUL */
	char *body;		/* in text */
	size_t len;		/* of the body */
};

/*
 * Send a request; method is "GET" or "POST".  Returns 0 for a reply of any
 * code.  Without a reply, returns -1 with errno set and the reason in why.
 */
int http_client_ask(const struct conf_address *, const char *method,
    const char *path, struct http_reply *, char why[HTTP_CLIENT_WHY_MAX]);
void http_reply_free(struct http_reply *);

#endif
