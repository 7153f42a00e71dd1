/* SPDX-License-Identifier: ISC */
/*
 * The logger: writes lines from a pipe to a file, so that no other process waits
 * for a disk.
 *
 * All processes write their lines to the pipe, which does not block them: it is
 * the buffer, and what it does not take is dropped and counted by the process
 * that wrote it.  The logger alone opens the file and waits for it.  One that is
 * stuck in a write keeps nobody else, and one that dies is replaced: the master
 * holds both ends of the pipe, so that nothing in it is lost.
 */
#ifndef LOGGER_LOGGER_H
#define LOGGER_LOGGER_H

#include "common/heritage.h"

/* Ends with the last process that could write to the pipe, or by order.
 * Returns the exit status. */
int logger_main(struct heritage *);

#endif
