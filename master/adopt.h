/* SPDX-License-Identifier: ISC */
/*
 * What a master is, as a state for the next program; and a master out of such a
 * state.
 */
#ifndef MASTER_ADOPT_H
#define MASTER_ADOPT_H

#include "master/state.h"

struct generation;
struct master;

/* The generations of a state, while it is taken over. */
struct adoption {
	struct generation **generations; /* references, in its order */
	size_t n;
};

/* Tell all that another program has to know to go on, but for its task.  version
 * is the STATE_VERSION that it knows, and back a generation to be told of in any
 * case, or NULL.  Returns -1 with errno set. */
int adopt_save(const struct master *, unsigned version,
    const struct generation *back, struct state *);

/* Take over what leaves no trace outside of this process: whoever does no more
 * than that can just exit.  Returns -1 and says why. */
int adopt_prepare(struct adoption *, struct master *, const struct state *,
    char why[STATE_WHY_MAX]);

/* And the rest: the log, sockets and processes. */
int adopt_finish(const struct adoption *, struct master *,
    const struct state *, char why[STATE_WHY_MAX]);

/* NULL if there is none of the number. */
struct generation *adopt_find(const struct adoption *, uint64_t number);

/* Let go of generations that nobody has taken.  Also after a failure. */
void adopt_end(struct adoption *);

#endif
