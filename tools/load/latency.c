/* SPDX-License-Identifier: ISC */
#include "tools/load/latency.h"

#include "common/counters.h"

/* Below LATENCY_STEPS each value has a bucket; from there each doubling has as
 * many buckets as that. */
static unsigned
latency_bucket_of(uint64_t us)
{
	unsigned doubling, bucket;

	if (us < LATENCY_STEPS)
		return ((unsigned)us);
	doubling = 63 - LATENCY_STEPS_LOG2 - (unsigned)__builtin_clzll(us);
	bucket = (doubling + 1) * LATENCY_STEPS +
	    (unsigned)((us >> doubling) & (LATENCY_STEPS - 1));
	return (bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1);
}

/* The largest value in a bucket. */
static uint64_t
bucket_end(unsigned bucket)
{
	unsigned doubling;

	if (bucket < LATENCY_STEPS)
		return (bucket);
	doubling = bucket / LATENCY_STEPS - 1;
	return (((bucket % LATENCY_STEPS + LATENCY_STEPS + 1ULL) << doubling) -
	    1);
}

void
latency_add(struct latency *latency, uint64_t us)
{
	counter_add(&latency->bucket[latency_bucket_of(us)], 1);
	counter_add(&latency->count, 1);
	if (us > latency->max_us)
		counter_set(&latency->max_us, us);
}

void
latency_clear(struct latency *latency)
{
	counter_set(&latency->count, 0);
	counter_set(&latency->max_us, 0);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		counter_set(&latency->bucket[i], 0);
}

void
latency_merge(struct latency *sum, const struct latency *more)
{
	uint64_t max_us = counter_get(&more->max_us);

	sum->count += counter_get(&more->count);
	if (max_us > sum->max_us)
		sum->max_us = max_us;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		sum->bucket[i] += counter_get(&more->bucket[i]);
}

uint64_t
latency_quantile_us(const struct latency *latency, double part)
{
	uint64_t total = 0, sum = 0, end_us;
	double rank;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		total += latency->bucket[i];
	rank = part * (double)total;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		sum += latency->bucket[i];
		if (sum == 0 || (double)sum < rank)
			continue;
		end_us = bucket_end(i);
		return (end_us < latency->max_us ? end_us : latency->max_us);
	}
	return (latency->max_us);
}
