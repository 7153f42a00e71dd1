/* SPDX-License-Identifier: ISC */
/*
 * How long things took: counts in buckets that are 1/32 of their value wide, so
 * that any quantile is right to about 3 per cent, and the longest exactly.
 * Written by one process, read by others at any time.
 */
#ifndef TOOLS_LOAD_LATENCY_H
#define TOOLS_LOAD_LATENCY_H

#include <stdint.h>

enum {
	LATENCY_STEPS_LOG2 = 5,
	LATENCY_STEPS = 1 << LATENCY_STEPS_LOG2, /* to a doubling */
	LATENCY_DOUBLINGS = 28,			/* 2^32 us: above an hour */
	LATENCY_BUCKETS = (LATENCY_DOUBLINGS + 1) * LATENCY_STEPS,
};

struct latency {
	uint64_t count;
	uint64_t max_us;
	uint64_t bucket[LATENCY_BUCKETS];
};

void latency_add(struct latency *, uint64_t us);
/* By who adds. */
void latency_clear(struct latency *);
void latency_merge(struct latency *sum, const struct latency *);

/* The least time within which so large a part, up to 1, was done; 0 if there
 * was nothing. */
uint64_t latency_quantile_us(const struct latency *, double part);

#endif
