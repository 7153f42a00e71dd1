/* SPDX-License-Identifier: ISC */
/*
 * An executor: the process that runs a module of the user's, for one worker.
 *
 * Holds no connection and no listening socket: what the module does to its
 * process costs no client more than an error reply.
 */
#ifndef EXECUTOR_EXECUTOR_H
#define EXECUTOR_EXECUTOR_H

#include "common/heritage.h"

/* The entry of the role.  Returns the exit status of the process. */
int executor_main(struct heritage *);

#endif
