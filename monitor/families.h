/* SPDX-License-Identifier: ISC */
/*
 * The counters of the shared mappings: the name and meaning of each.  There is
 * one row for each member; /metrics, /status and the sums use the rows.
 */
#ifndef MONITOR_FAMILIES_H
#define MONITOR_FAMILIES_H

#include <stddef.h>
#include <stdint.h>

enum family_kind {
	FAMILY_COUNTER,
	FAMILY_GAUGE,		/* current; 0 when its worker is gone */
	FAMILY_PEAK,		/* highest value so far */
	FAMILY_HISTOGRAM,	/* a struct histogram */
};

struct family {
	const char *member;	/* in /status */
	const char *metric;	/* in /metrics, without "_total"; NULL:
				   none */
	const char *help;
	enum family_kind kind;
	size_t offset;		/* in its struct */
	unsigned count;		/* length of an array of named elements;
				   0: not an array */
	const char *(*name)(unsigned);
	unsigned per;		/* divisor: 1, or 1000000 for microseconds as
				   seconds */
};

/* Each ends with a row in which member is NULL. */
extern const struct family listener_families[];
extern const struct family handler_families[];
extern const struct family worker_families[];

/* Add a struct of counters, of size bytes, to a sum; from may be written at the
 * same time. */
void families_add(void *sum, const void *from, size_t size);
/* families_add() for workers that followed each other: of a peak the higher
 * value is kept. */
void families_fold(const struct family *, void *sum, const void *from,
    size_t size);

static inline const uint64_t *
family_value(const struct family *family, const void *base)
{
	return ((const uint64_t *)(const void *)((const char *)base +
	    family->offset));
}

#endif
