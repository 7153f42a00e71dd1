/* SPDX-License-Identifier: ISC */
/*
 * A master out of what another program has left: see state.h.
 */
#ifndef MASTER_ADOPT_H
#define MASTER_ADOPT_H

#include "master/state.h"

struct master;

/* Read a state, and take over what leaves no trace outside of this process: a
 * process that does no more than that can just exit.  Returns -1 and says
 * why. */
int adopt_prepare(struct master *, int state_fd, struct why *);

/* And the rest: the log, sockets and processes. */
int adopt_finish(struct master *, struct why *);

#endif
