/* SPDX-License-Identifier: ISC */
/*
 * What the master tells of the server: it puts together a picture of itself and
 * its children, in memory that the monitor reads.
 */
#ifndef MASTER_PUBLISH_H
#define MASTER_PUBLISH_H

struct master;

/* Tell how things are now.  Called whenever something may have changed, and
 * with the master's tick. */
void publish_now(struct master *);

#endif
