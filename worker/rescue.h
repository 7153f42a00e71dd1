/* SPDX-License-Identifier: ISC */
/*
 * A rescuer: a worker that begins with the connections of one that has died, in
 * its table of descriptors, and its block of counters.
 *
 * It trusts nothing that the dead worker has written: a record that is not
 * plausible, or whose socket is another one, costs its connection, never the
 * rescuer.  If two rescuers die all the same while they look at one connection,
 * the next one drops it.
 */
#ifndef WORKER_RESCUE_H
#define WORKER_RESCUE_H

struct heritage;
struct worker;

/* Close every descriptor that is not a connection's or ours: before anything is
 * opened.  Returns -1 with errno set. */
int rescue_close_rest(const struct worker *);

/* Take over what is left, and serve it.  Returns -1 with errno set. */
int rescue_run(struct worker *);

#endif
