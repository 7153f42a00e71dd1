/* SPDX-License-Identifier: ISC */
/*
 * A generation: a configuration that was found good, with all that was looked
 * up for it.  Never changed after it was made.
 */
#ifndef MASTER_GENERATION_H
#define MASTER_GENERATION_H

#include <stdint.h>

#include "common/conf.h"
#include "master/privileges.h"
#include "master/registry.h"

struct generation {
	uint64_t number;		/* counts up from 1 */
	struct conf *conf;		/* owned */
	unsigned slots;			/* how many workers serve */
	struct identity identity;
	unsigned listener_number[CONF_LISTENERS_MAX];
};

enum { GENERATION_WHY_MAX = 256 };

/* Make a generation of a configuration, which it owns if this succeeds.
 * Returns NULL and says why. */
struct generation *generation_new(uint64_t number, struct conf *,
    struct registry *, char why[GENERATION_WHY_MAX]);
void generation_free(struct generation *);

#endif
