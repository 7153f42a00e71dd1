/* SPDX-License-Identifier: ISC */
/*
 * A worker without a server: all its parts, and nobody who forked it.
 *
 * For tests and fuzz targets that look into a worker.  Has no sockets to accept
 * from and no executors.  Aborts where it cannot be made.
 */
#ifndef TESTS_LIB_LONE_WORKER_H
#define TESTS_LIB_LONE_WORKER_H

#include <netinet/in.h>

#include "worker/worker.h"

/* Its listeners, which are their numbers too. */
enum {
	LONE_FRAMES,		/* frame, echo */
	LONE_LINES,		/* line, a command with no process yet */
	LONE_LISTENERS
};

struct lone_worker {
	struct worker worker;
	struct heritage heritage;
	struct conf *conf;
	struct counters counters;
	int master;		/* the other end of its channel */
};

void lone_worker_init(struct lone_worker *);
/* With this configuration; its listeners and handlers have their places in it
 * as their numbers. */
void lone_worker_init_with(struct lone_worker *, const char *conf);
void lone_worker_free(struct lone_worker *);

/* Before any connection comes: it leaves what a rescuer needs. */
void lone_worker_have_custody(struct lone_worker *);
/* All that it had in memory of its own is gone, and no descriptor is closed but
 * the other end of its channel.  In its place is a rescuer that has not begun:
 * the next is rescue_run(). */
void lone_worker_die(struct lone_worker *);

/* A connection to it; *peer is its client's end, which does not block. */
struct conn *lone_worker_connect(struct lone_worker *, unsigned listener,
    int *peer);
/* The same over TCP, as custody needs it; and only the two ends, of which the
 * server's is returned. */
struct conn *lone_worker_accept(struct lone_worker *, unsigned listener,
    int *peer);
int lone_worker_tcp(int *peer, struct sockaddr_in *from);

/* Let it do what there is to do now. */
void lone_worker_turn(struct lone_worker *);

/* End all connections. */
void lone_worker_clear(struct lone_worker *);

#endif
