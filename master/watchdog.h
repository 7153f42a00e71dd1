/* SPDX-License-Identifier: ISC */
/*
 * Patience: ends the children that do not do in time what is expected of them,
 * and those whose loop does not turn.  The latter show it by the beat that a
 * worker's tick leaves in the shared counters.
 */
#ifndef MASTER_WATCHDOG_H
#define MASTER_WATCHDOG_H

struct master;

/* Called with the master's tick. */
void watchdog_run(struct master *);

#endif
