/* SPDX-License-Identifier: ISC */
/*
 * The numbers of listeners and of handlers, which are the places of their
 * counters in the shared mappings.
 *
 * A name keeps its number, and with it its counters, through every reload: as
 * long as a generation uses it, and after that until the number is needed for
 * another name.  Then the name that has been unused for longest loses it.  So
 * there can be any number of names in the life of a master, but no more at a time
 * than there are numbers.
 *
 * Each reuse begins another life of the number.  A monitor knows the names and
 * the lives as of its own start: see monitor/names.h.
 */
#ifndef MASTER_REGISTRY_H
#define MASTER_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

enum { REGISTRY_MAX = 128 };

struct registry_entry {
	unsigned users;		/* generations */
	bool served;		/* one of them has been in effect */
	uint64_t unused_since;	/* counts up with each name that becomes
				   unused */
};

struct registry {
	unsigned most;			/* numbers that there are */
	unsigned n;			/* the first ones have names */
	unsigned touched;		/* and these had some */
	uint64_t unused;		/* see struct registry_entry */
	char *names[REGISTRY_MAX];
	uint64_t lives[REGISTRY_MAX];
	struct registry_entry entries[REGISTRY_MAX];
	/* Called when a number has begun another life: its counters are to begin
	 * at 0.  May be NULL. */
	void (*renew)(void *arg, unsigned number, uint64_t life);
	void *arg;
};

/* The number of a name, which is new or not, for one more generation.  Returns
 * -1 with errno set: EUSERS if generations use all numbers. */
int registry_take(struct registry *, const char *name);

/* The same for a number that another generation has. */
void registry_share(struct registry *, unsigned number);

/* A generation does not use it any more.  A name that was never in effect is
 * forgotten. */
void registry_drop(struct registry *, unsigned number);

/* The generation is in effect. */
void registry_confirm(struct registry *, unsigned number);

/* Add a name that has the next number, as another program says, and has been in
 * effect.  Returns -1 if that cannot be. */
int registry_restore(struct registry *, const char *name);

void registry_free(struct registry *);

#endif
