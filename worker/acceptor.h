/* SPDX-License-Identifier: ISC */
/*
 * Arrival: the listening sockets of a worker.
 */
#ifndef WORKER_ACCEPTOR_H
#define WORKER_ACCEPTOR_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct listener;
struct worker;

struct acceptor {
	struct event event;		/* owned, and with it the socket */
	struct listener *listener;	/* borrowed */
	bool watching;
};

struct acceptors {
	struct acceptor *all;
	size_t n;
	bool open;		/* between START and the drain */
	bool held_back;		/* some are not watched: no descriptor was
				   free, or a listener is full and lets
				   newcomers wait */
	bool has_room;		/* a connection has ended since then */
	uint64_t said_ms;	/* when the log was told of the former */
};

/* Returns -1 with errno set. */
int acceptors_init(struct worker *);
void acceptors_free(struct worker *);

void acceptors_start(struct worker *);

/* Take what the kernel has queued already, then close the sockets. */
void acceptors_finish(struct worker *);

/* Accept again where that was stopped: a connection has ended, or time has
 * passed. */
void acceptors_resume(struct acceptors *);

#endif
