/* SPDX-License-Identifier: ISC */
/*
 * The logger: writes lines from a pipe to a file, so that no other process
 * waits for a disk.
 *
 * All processes write their lines to the pipe, which does not block them.  The
 * pipe is the buffer: if it is full, the writing process drops and counts the
 * line.  Only the logger opens the file and waits for it.  A logger that is
 * stuck in a write delays no other process, and one that dies is replaced.  The
 * master holds both ends of the pipe, so that nothing in it is lost.
 */
#ifndef LOGGER_LOGGER_H
#define LOGGER_LOGGER_H

#include "common/heritage.h"

/* Ends when no process can write to the pipe any more, or by order.  Returns
 * the exit status. */
int logger_main(struct heritage *);

#endif
