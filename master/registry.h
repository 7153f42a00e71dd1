/* SPDX-License-Identifier: ISC */
/*
 * The numbers of listeners and of handlers: a name keeps its number, and with
 * it its counters, as long as the master lives, through every reload.
 */
#ifndef MASTER_REGISTRY_H
#define MASTER_REGISTRY_H

enum { REGISTRY_MAX = 128 };

struct registry {
	unsigned most;			/* names that there may be */
	unsigned n;
	char *names[REGISTRY_MAX];
};

/* The number of a name, which is new or not.  Returns -1 when none is left. */
int registry_number(struct registry *, const char *name);

void registry_free(struct registry *);

#endif
