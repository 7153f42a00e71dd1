/* SPDX-License-Identifier: ISC */
/*
 * The monitor: answers HTTP about the others.
 *
 * Reads the mappings that the master and the workers write, and /proc; changes
 * nothing, asks no worker, and none waits for it.  It holds no state: whenever
 * something is new, or it has died, the master starts another.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "common/heritage.h"

/* The entry of the role: returns the exit status of the process. */
int monitor_main(struct heritage *);

#endif
