/* SPDX-License-Identifier: ISC */
/*
 * The front: connections of HTTP, and requests on them.
 *
 * Reads as strictly as a worker does (common/http_head.h), and answers only for
 * its own addresses and names, so that no page in a browser can read it under a
 * name of its own that it has let point here.  How many connections there are, how
 * long one may take and how much of it is read ahead is bounded; when there are
 * too many, the one that has kept everybody waiting the longest is ended.
 */
#ifndef MONITOR_FRONT_H
#define MONITOR_FRONT_H

#include <event2/buffer.h>
#include <event2/event.h>

#include <stdbool.h>
#include <stddef.h>

#include "common/heritage.h"
#include "common/http_head.h"

struct front;
struct front_conn;

enum {
	FRONT_CONNECTIONS_MAX = 128,
	/* In one turn of the loop. */
	FRONT_ACCEPTS_MAX = 32,
	/* For the first request to be there, and from each request to the end
	 * of the next one. */
	FRONT_FIRST_MS = 10000,
	FRONT_NEXT_MS = 120000,
	FRONT_HEADER_MAX = 8192,
	FRONT_TARGET_MAX = 1024,
	FRONT_BODY_MAX = 1024,
	/* Read and not looked at. */
	FRONT_INPUT_MAX = 32768,
	/* Of replies that are not taken, before more requests are read. */
	FRONT_OUTPUT_MAX = 65536,
};

/* A request, while it is answered. */
struct front_request {
	struct front_conn *conn;
	const struct http_head *head;
	const char *accept;		/* a string; "" for none */
	char path[FRONT_TARGET_MAX + 1];
	char query[FRONT_TARGET_MAX + 1];
	bool trusted;			/* it came through a unix socket */
};

struct front_reply {
	unsigned status;
	const char *type;
	const char *allow;		/* methods; NULL: not to be said */
	struct evbuffer *body;		/* used up; NULL: there is none */
};

/* Answer a request by one front_reply(). */
typedef void (*front_answer_fn)(struct front_request *, void *arg);
void front_reply(struct front_request *, const struct front_reply *);

/* Listen on all sockets of the heritage, which are owned from here on.  Returns
 * NULL with errno set. */
struct front *front_new(struct event_base *, const struct heritage *,
    front_answer_fn, void *arg);
void front_free(struct front *);

/* Called after each turn of the loop. */
void front_sweep(struct front *);

/* The monitor did not run for that long: no client has used its time. */
void front_forgive(struct front *, uint64_t stall_ms);

/* Accept no more; whether all that was accepted is answered. */
void front_close(struct front *);
bool front_is_quiet(const struct front *);

/* Bytes of replies that clients have not taken. */
size_t front_pending(const struct front *);

#endif
