/* SPDX-License-Identifier: ISC */
/*
 * Which of our listeners a connection belongs to that another generation has
 * accepted.
 *
 * To a client, a listener is an address and a protocol.  So a connection goes to
 * the listener that has the address of its socket and speaks its protocol,
 * whatever the name of that listener is; and where no listener has the address,
 * to the one of the same name and protocol.
 */
#ifndef WORKER_LINEAGE_H
#define WORKER_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/counters.h"

struct listener;
struct worker;

/* What becomes of the listeners of one other generation, by their numbers. */
struct lineage {
	/* The listener that has its connections; NULL: there is none. */
	struct listener *heir[COUNTERS_LISTENERS];
	/* Some of its addresses are other listeners' now. */
	bool is_split[COUNTERS_LISTENERS];
};

/* For a generation by its number.  One that is not known to this worker, as it
 * is a newer one, has listeners of the same numbers. */
void lineage_init(struct lineage *, struct worker *, uint64_t generation);

/* The listener for a connection with this socket; NULL: there is none. */
struct listener *lineage_find(const struct lineage *, unsigned number, int fd);

#endif
