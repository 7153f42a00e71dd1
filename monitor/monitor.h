/* SPDX-License-Identifier: ISC */
/*
 * The monitor: answers HTTP about all processes of the server.
 *
 * Reads the mappings that the master and the workers write, and /proc.  It
 * changes nothing, and no process waits for it.  It has no state: at a reload,
 * or when it has died, the master starts another one.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "common/heritage.h"

/* The entry of the role: returns the exit status of the process. */
int monitor_main(struct heritage *);

#endif
