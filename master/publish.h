/* SPDX-License-Identifier: ISC */
/*
 * The state of the server for the monitor: the master writes its own state and
 * the list of its processes to shared memory.
 */
#ifndef MASTER_PUBLISH_H
#define MASTER_PUBLISH_H

struct master;

/* Write it.  Called when something may have changed, and with each tick. */
void publish_now(struct master *);

#endif
