/* SPDX-License-Identifier: ISC */
/*
 * How a child died, and how long to wait before the next one.
 *
 * A child that cannot start is tried again with a growing pause.  One that was
 * at work is replaced at once, unless this happens too often.
 */
#ifndef MASTER_PAUSE_H
#define MASTER_PAUSE_H

#include <stdint.h>

enum {
	PAUSE_HOW_MAX = 96,
	/* A status that waitpid(2) never reports: the parent was another. */
	DEATH_UNSEEN = 0x7f,
	/* This many are replaced at once, and then one in so long. */
	PAUSE_BURST = 10,
	PAUSE_RATE_MS = 100,
};

struct pause {
	unsigned young_deaths;		/* in a row */
	uint64_t again_ms;		/* when to start the next one */
	uint64_t turn_ms;		/* see pause_at_rate() */
};

/* A child has died.  Returns the milliseconds before the next one: none after
 * the first death of a young child, then more and more, up to 10 seconds. */
uint64_t pause_after(struct pause *, uint64_t lived_ms);

/* The same for one that was at work. */
uint64_t pause_at_rate(struct pause *);

/* Something is done that is done again at need.  Returns the milliseconds before
 * the next time: none for the first times within seconds, then more and more, up
 * to 10 seconds. */
uint64_t pause_after_several(struct pause *);

/* The next one could not be started. */
void pause_shortly(struct pause *);

/* What waitpid(2) says, or that it could say nothing, in words. */
const char *describe_death(int status, char how[PAUSE_HOW_MAX]);

#endif
