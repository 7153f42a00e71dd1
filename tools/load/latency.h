/* SPDX-License-Identifier: ISC */
/*
 * Times, counted in buckets with a width of 1/32 of their value, so that any
 * quantile is accurate to about 3 per cent; the longest time is exact.  One
 * process writes; others may read at any time.
 */
#ifndef TOOLS_LOAD_LATENCY_H
#define TOOLS_LOAD_LATENCY_H

#include <stdint.h>

enum {
	LATENCY_STEPS_LOG2 = 5,
	LATENCY_STEPS = 1 << LATENCY_STEPS_LOG2, /* per doubling */
	LATENCY_DOUBLINGS = 28,			/* 2^32 us: above an hour */
	LATENCY_BUCKETS = (LATENCY_DOUBLINGS + 1) * LATENCY_STEPS,
};

struct latency {
	uint64_t count;
	uint64_t max_us;
	uint64_t bucket[LATENCY_BUCKETS];
};

void latency_add(struct latency *, uint64_t us);
/* Only in the process that adds. */
void latency_clear(struct latency *);
void latency_merge(struct latency *sum, const struct latency *);

/* The time within which a part, up to 1, of all was done; 0 if there is
 * nothing. */
uint64_t latency_quantile_us(const struct latency *, double part);

#endif
