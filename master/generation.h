/* SPDX-License-Identifier: ISC */
/*
 * A generation: a configuration that was found good, with all that was looked
 * up for it.  Never changed after it was made; kept as long as one of its
 * processes lives.
 */
#ifndef MASTER_GENERATION_H
#define MASTER_GENERATION_H

#include <sys/queue.h>

#include <stdint.h>

#include "conf/conf.h"
#include "master/fingerprint.h"
#include "master/privileges.h"
#include "master/registry.h"

struct master;
struct why;

struct generation {
	TAILQ_ENTRY(generation) link;	/* in master->generations */
	struct master *master;
	uint64_t number;		/* counts up from 1 */
	unsigned references;
	struct conf *conf;		/* owned, unless there is a lender */
	struct generation *lender;	/* whose conf it is; a reference */
	int64_t loaded;			/* seconds since 1970 */
	uint64_t conf_hash;
	unsigned slots;			/* how many workers serve */
	struct identity identity;
	/* In the master's registries: as long as the generation lives, these are
	 * no other names' numbers. */
	unsigned nlisteners, nhandlers;		/* numbers taken */
	unsigned listener_number[CONF_LISTENERS_MAX];
	unsigned handler_number[CONF_HANDLERS_MAX];
	/* Of its handlers, when it was made; one that is like an older one has
	 * those of that. */
	struct fingerprint files[CONF_HANDLERS_MAX];
	/* When the log may tell again that a handler is waited for. */
	uint64_t late_again_ms[CONF_HANDLERS_MAX];
	/* Until another program's generation is filled: its configuration. */
	char *path;
	char *text;
};

TAILQ_HEAD(generation_list, generation);

/* Make the next generation, of a configuration that it owns if this succeeds.
 * Returns NULL with errno set, and says why. */
struct generation *generation_new(struct master *, struct conf *, struct why *);

/* Make the next one like an older one, with its configuration.  Returns NULL
 * with errno set. */
struct generation *generation_renew(struct generation *);

/* The generation of a number.  If there is none, make one, without a
 * configuration and with one reference.  Returns NULL with errno set. */
struct generation *generation_refer(struct master *, uint64_t number);

/* Give one a configuration, which it owns from here on.  Returns -1 and says
 * why. */
int generation_fill(struct generation *, struct conf *, struct why *);

/* Log which handlers have another file on disk now than when the generation was
 * made. */
void generation_check_files(const struct generation *);

/* It is in effect from now on. */
void generation_confirm(const struct generation *);

/* One more reference, and one less; the last one's release frees it. */
struct generation *generation_hold(struct generation *);
void generation_release(struct generation *);

#endif
