/* SPDX-License-Identifier: ISC */
/*
 * Becoming an executor: what the master forks turns into a program of the
 * user's, or into Penstock's own host for modules.
 */
#ifndef MASTER_PROGRAM_H
#define MASTER_PROGRAM_H

#include "common/heritage.h"
#include "master/privileges.h"

/* The descriptors of an executor that is about to be. */
struct program_fds {
	int work;		/* its end of the work channel, */
	int requests;		/* unless requests come from this pipe, and
				   work takes its replies; or -1 */
	int stderr_pipe;	/* where its standard error goes */
	int channel;		/* to the master; -1 for a command */
};

/*
 * In a child, just forked: become the program of a command.  Never returns;
 * an error goes to its standard error, and the exit status is 127.
 */
void program_exec(const struct conf_handler *, const struct identity *,
    const struct program_fds *) __attribute__((noreturn));

/* Or the role that runs modules. */
void program_host(const struct role *, struct heritage *,
    const struct identity *, const struct program_fds *)
    __attribute__((noreturn));

#endif
