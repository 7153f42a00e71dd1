/* SPDX-License-Identifier: ISC */
/*
 * The front: HTTP connections and their requests.
 *
 * It reads as strictly as a worker does (common/http_head.h), and answers only
 * for its own addresses and names, against DNS rebinding by a page in a
 * browser.  The number of connections, their time and the bytes that are read
 * ahead are limited.  If there are too many connections, the one that has been
 * waited for the longest is closed.
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
	/* Time for the first request, and from each request to the end of the
	 * next one. */
	FRONT_FIRST_MS = 10000,
	FRONT_NEXT_MS = 120000,
	FRONT_HEADER_MAX = 8192,
	FRONT_TARGET_MAX = 1024,
	FRONT_BODY_MAX = 1024,
	/* Bytes that are read ahead. */
	FRONT_INPUT_MAX = 32768,
	/* While more bytes of replies are not taken, no request is read. */
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
	const char *allow;		/* methods; NULL: no Allow field */
	struct evbuffer *body;		/* emptied; NULL: no body */
};

/* Answers a request by one call of front_reply(). */
typedef void (*front_answer_fn)(struct front_request *, void *arg);
void front_reply(struct front_request *, const struct front_reply *);

/* Listen on all sockets of the heritage; the front owns them from now on.
 * Returns NULL with errno set. */
struct front *front_new(struct event_base *, const struct heritage *,
    front_answer_fn, void *arg);
void front_free(struct front *);

/* Called after each turn of the loop. */
void front_sweep(struct front *);

/* The monitor did not run for that time: it counts for no timeout. */
void front_forgive(struct front *, uint64_t stall_ms);

/* Accept no more connections; and whether all requests are answered. */
void front_close(struct front *);
bool front_is_quiet(const struct front *);

/* Bytes of replies that clients have not taken. */
size_t front_pending(const struct front *);

#endif
