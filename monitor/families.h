/* SPDX-License-Identifier: ISC */
/*
 * The counters of the shared mappings: what each is called and means.  One row
 * for each member; /metrics and /status follow the rows, and so do the sums.
 */
#ifndef MONITOR_FAMILIES_H
#define MONITOR_FAMILIES_H

#include <stddef.h>
#include <stdint.h>

enum family_kind {
	FAMILY_COUNTER,
	FAMILY_GAUGE,		/* of now; 0 when its worker is gone */
	FAMILY_PEAK,		/* the most that there has been */
	FAMILY_HISTOGRAM,	/* a struct histogram */
};

struct family {
	const char *member;	/* in /status */
	const char *metric;	/* in /metrics, without "_total"; NULL: not
				   there */
	const char *help;
	enum family_kind kind;
	size_t offset;		/* in its struct */
	unsigned count;		/* of an array with a name for each element;
				   0: it is none */
	const char *(*name)(unsigned);
	unsigned per;		/* the metric is so many times smaller: 1, or
				   1000000 for microseconds as seconds */
};

/* Each ends with a row whose member is NULL. */
extern const struct family listener_families[];
extern const struct family handler_families[];
extern const struct family worker_families[];

/* Add up two of the structs that the families are of, of size bytes: from one
 * that is being written. */
void families_add(void *sum, const void *from, size_t size);
/* The same for two workers that followed each other: peaks are not added. */
void families_fold(const struct family *, void *sum, const void *from,
    size_t size);

static inline const uint64_t *
family_value(const struct family *family, const void *base)
{
	return ((const uint64_t *)(const void *)((const char *)base +
	    family->offset));
}

#endif
