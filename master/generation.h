/* SPDX-License-Identifier: ISC */
/*
 * A generation: a configuration that was found good, with all that was looked
 * up for it.  Never changed after it was made; kept as long as one of its
 * processes lives.
 */
#ifndef MASTER_GENERATION_H
#define MASTER_GENERATION_H

#include <stdint.h>

#include "common/conf.h"
#include "master/privileges.h"
#include "master/registry.h"

struct generation {
	uint64_t number;		/* counts up from 1 */
	unsigned references;
	struct conf *conf;		/* owned */
	unsigned slots;			/* how many workers serve */
	struct identity identity;
	unsigned listener_number[CONF_LISTENERS_MAX];
	unsigned handler_number[CONF_HANDLERS_MAX];
};

enum { GENERATION_WHY_MAX = 256 };

/* Make a generation of a configuration, which it owns if this succeeds.
 * Returns NULL and says why. */
struct generation *generation_new(uint64_t number, struct conf *,
    struct registry *listeners, struct registry *handlers,
    char why[GENERATION_WHY_MAX]);

/* One more reference, and one less; the last one's release frees it. */
struct generation *generation_hold(struct generation *);
void generation_release(struct generation *);

#endif
