/* SPDX-License-Identifier: ISC */
/*
 * An executor: the process that runs a module for one worker.
 *
 * It holds no connection and no listening socket, so a crash of the module
 * costs a client only an error reply.
 */
#ifndef EXECUTOR_EXECUTOR_H
#define EXECUTOR_EXECUTOR_H

#include "common/heritage.h"

/* The entry of the role.  Returns the exit status of the process. */
int executor_main(struct heritage *);

#endif
