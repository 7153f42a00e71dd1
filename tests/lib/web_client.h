/* SPDX-License-Identifier: ISC */
/*
 * A client of HTTP, one step at a time; see client.h.
 */
#ifndef TESTS_LIB_WEB_CLIENT_H
#define TESTS_LIB_WEB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#define N	"\r\n"
#define GET	"GET / HTTP/1.1" N "Host: a" N
#define POST	"POST / HTTP/1.1" N "Host: a" N

/* A reply as it has been read. */
struct reply {
	unsigned status;
	bool close;
	size_t len;		/* of the body */
	char head[2048];
	char body[4096];	/* a string */
};

/* Read one, and nothing of the next; of one to HEAD no body, which a caller may
 * want of others too. */
void read_reply(int fd, struct reply *, bool is_head);

/* The next one is this; any body where that is NULL. */
void expect_reply(int fd, unsigned status, const char *body, bool close);

void ask(int fd, const char *request, unsigned status, const char *body,
    bool close);

#endif
