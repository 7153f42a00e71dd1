/* SPDX-License-Identifier: ISC */
/*
 * Becoming a daemon (-D): the process that was started returns when the server
 * is ready, so that whoever started it may rely on that.
 */
#ifndef MASTER_DAEMON_H
#define MASTER_DAEMON_H

#include <stdbool.h>

/* Whether the daemon may go on to write to a descriptor of the process that was
 * started: to a file or /dev/null.  A pipe would keep its reader waiting, and a
 * terminal ends. */
bool daemon_may_keep(int fd);

/* Whether a descriptor leads to /dev/null. */
bool daemon_is_null(int fd);

/*
 * Returns in the daemon, with a descriptor for daemon_ready(), or -1 with errno
 * set in the process that was started; that process otherwise exits here, with
 * the status of the start.
 */
int daemon_start(void);

/* The start is done: let the process that was started return. */
void daemon_ready(int *fd);

#endif
