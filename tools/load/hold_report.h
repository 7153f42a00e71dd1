/* SPDX-License-Identifier: ISC */
/*
 * The counts of a load client.
 */
#ifndef TOOLS_LOAD_HOLD_REPORT_H
#define TOOLS_LOAD_HOLD_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/load/latency.h"

/* The kind of a connection; see hold.h. */
enum hold_kind {
	HOLD_ECHO,
	HOLD_PIPELINE,
	HOLD_SLOW,
	HOLD_SPLIT,
	HOLD_DEAF,
	HOLD_STREAM,
	HOLD_KINDS
};

struct hold_kind_report {
	uint64_t open;		/* gauge: open connections */
	uint64_t answered;
	/* From the last byte of a message, given to the kernel, to the last
	 * byte of its reply; not for DEAF, which lets its replies wait. */
	struct latency latency;
};

/* Only the client writes it; other processes may read it at any time. */
struct hold_report {
	/* Connections. */
	uint64_t open;		/* gauge */
	uint64_t numbered;	/* that were tried, so the numbers in use */
	uint64_t connected;	/* that were opened */
	uint64_t refused;	/* connects that failed */
	uint64_t finished;	/* that we closed, as planned */
	uint64_t disconnected;	/* that the server closed */
	uint64_t reset;		/* that it reset */
	uint64_t broken;	/* that broke in another way */
	uint64_t hung;		/* that we gave up waiting for */
	uint64_t unframed;	/* that we gave up, as bytes were not a message;
				 * these are counted in corrupted */

	/* Messages. */
	uint64_t sent;		/* that the kernel took as a whole */
	uint64_t answered;	/* of these: with the right reply */
	uint64_t lost;		/* without a reply: a later reply came, or the
				 * connection ended */
	uint64_t doubled;	/* replies that had already come */
	uint64_t reordered;	/* replies that came after a later one */
	uint64_t corrupted;	/* replies that are something else */
	uint64_t errors;	/* replies "ERR ..." */

	uint64_t slowest_us;	/* longest time to an answer, except SLOW */
	uint64_t slowest_connect_ms;

	uint64_t resets;	/* how often the measurement began again */
	uint64_t rounds;	/* of verification that have ended */
	uint64_t verified;	/* connections that answered in the last one */
	uint64_t is_done;	/* all connections are closed */
	uint64_t crashed;	/* processes of the client that died */

	struct hold_kind_report kind[HOLD_KINDS];
};

/* Add the counts of another process. */
void hold_report_merge(struct hold_report *sum, const struct hold_report *);

/* Whether every connect succeeded, every connection stayed open, and every
 * message came back unchanged, once and in order. */
bool hold_report_is_clean(const struct hold_report *);

#endif
