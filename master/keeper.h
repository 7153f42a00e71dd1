/* SPDX-License-Identifier: ISC */
/*
 * The keeper: a process that becomes the master if a new program fails.
 *
 * The master forks the keeper before it executes another program.  So the keeper
 * has a copy of every descriptor: sockets and channels stay open even if the
 * master dies.  The master writes a byte to it with each tick.  If the master
 * dies, or writes nothing for KEEPER_SILENCE_S seconds and is then killed, the
 * keeper becomes the master, see upgrade.c.  When the upgrade is done, the master
 * ends the keeper.
 */
#ifndef MASTER_KEEPER_H
#define MASTER_KEEPER_H

#include <stdbool.h>

#include "master/process.h"

enum { KEEPER_SILENCE_S = 10 };

struct keeper {
	struct process process;
	int word;			/* owned; our end of its pipe */
};

/* Fork master->keeper.  It takes the place of the keeper that there is, if any.
 * Returns 1; or -1 with errno set, and then that one stays; or 0 in the keeper
 * when the master is gone, and why: it is to become the master. */
int keeper_start(struct master *, const char **why);

/* End it; it has no descriptor open any more when this returns. */
void keeper_end(struct master *);

/* Keep it over an exec, or no longer. */
void keeper_pass_on(const struct master *, bool pass);

/* Find the keeper of the master that executed us. */
void keeper_inherit(struct master *);

/* Say that this master is well.  Called with its tick. */
void keeper_run(const struct master *);

#endif
