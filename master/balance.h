/* SPDX-License-Identifier: ISC */
/*
 * Evening out: after a worker was replaced or slots were added, or on demand,
 * idle connections go from the workers that have most to those that have
 * fewest, in steps so small that nobody notices.
 */
#ifndef MASTER_BALANCE_H
#define MASTER_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

struct master;

struct balance {
	bool on;
	bool is_demanded;		/* it is to begin */
	unsigned futile;		/* steps in a row that moved nobody */
	uint64_t first;			/* master->shared when it began, */
	uint64_t last;			/* and before the last step */
	uint64_t begun_ms;
};

/* Begin, if the configuration has it on. */
void balance_order(struct master *);
/* Begin because the operator wants it. */
void balance_demand(struct master *);

/* Called with the master's tick, unless workers are being exchanged: the next
 * step. */
void balance_tick(struct master *);

#endif
