/* SPDX-License-Identifier: ISC */
/*
 * The numbers of listeners: a name keeps its number, and with it its counters,
 * as long as the master lives, through every reload.
 */
#ifndef MASTER_REGISTRY_H
#define MASTER_REGISTRY_H

#include "common/conf.h"
#include "common/counters.h"

struct registry {
	char *names[COUNTERS_LISTENERS];
	unsigned n;
};

/* Give each listener of a configuration its number.  Returns -1 when no number
 * is left for a new name. */
int registry_number(struct registry *, const struct conf *,
    unsigned numbers[CONF_LISTENERS_MAX]);

void registry_free(struct registry *);

#endif
