/* SPDX-License-Identifier: ISC */
/*
 * The front: HTTP by libevent's evhttp, and what evhttp lacks.
 *
 * evhttp bounds neither how many connections there are nor how long one may
 * take, as its time-outs begin anew with every byte, nor what it reads ahead.
 * So the front keeps a guard for each connection, with a deadline for the first
 * request and one for each that follows, and when there are too many it ends
 * the one that has kept everybody waiting the longest.
 */
#ifndef MONITOR_FRONT_H
#define MONITOR_FRONT_H

#include <event2/event.h>
#include <event2/http.h>

#include <stdbool.h>
#include <stddef.h>

#include "common/heritage.h"

struct front;

enum {
	FRONT_CONNECTIONS_MAX = 128,
	/* In one turn of the loop. */
	FRONT_ACCEPTS_MAX = 32,
	/* For the first request to be there, and from each request to the end
	 * of the next one. */
	FRONT_FIRST_MS = 10000,
	FRONT_NEXT_MS = 120000,
	FRONT_HEADERS_MAX = 8192,
	FRONT_BODY_MAX = 1024,
	/* Read and not looked at: more than a request may have and what one
	 * read brings.  A line of a chunk's size would have no end. */
	FRONT_INPUT_MAX = 32768,
};

/* Answer a request.  trusted says that it came through a unix socket. */
typedef void (*front_answer_fn)(struct evhttp_request *, bool trusted,
    void *arg);

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
