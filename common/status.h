/* SPDX-License-Identifier: ISC */
/*
 * What the master tells of the server as a whole: one memfd, written by the
 * master alone and read by whoever shows it.  It outlives an upgrade in place.
 */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"

enum {
	STATUS_VERSION = 1,
	STATUS_REPORTS = 16,		/* the last ones are kept */
	STATUS_WHY_MAX = 320,
};

/* What a report is about; the name stands in the log. */
enum status_kind {
	STATUS_RELOAD,
	STATUS_UPGRADE,
	STATUS_ROLLBACK,
	STATUS_KINDS
};

enum status_result {
	STATUS_DONE,			/* the new generation holds */
	STATUS_REFUSED,			/* nothing has changed */
	STATUS_RESULTS
};

/* What became of everybody when a generation took the place of another. */
struct status_report {
	uint32_t kind;			/* enum status_kind */
	uint32_t result;		/* enum status_result */
	uint64_t generation;		/* that holds now */
	int64_t begun;			/* seconds since 1970 */
	uint64_t duration_ms;		/* to the exit of the last old worker */
	uint64_t held;			/* connections when it began to hold */
	uint64_t carried;		/* of these: handed over, */
	uint64_t finished;		/* came to an end of their own, */
	uint64_t cut;			/* drain_timeout, */
	uint64_t lost;			/* and had a worker that died */
	uint64_t longest_us;		/* that one was without an owner */
	uint32_t slots;			/* of slot_ms[] */
	uint32_t slot_ms[CONF_WORKERS_MAX]; /* until the slot's old worker had
					   nothing left */
	char why[STATUS_WHY_MAX];	/* of what was refused or rolled back */
};

struct status_map {
	uint32_t version;
	uint32_t seq;			/* odd while a report is written */
	uint64_t reports;		/* that ever were; number n stands at
					   (n - 1) % STATUS_REPORTS */
	struct status_report report[STATUS_REPORTS];
};

/* The mapping, as a process sees it. */
struct status {
	int fd;				/* -1 in children */
	struct status_map *map;
};

/* Returns -1 with errno set. */
int status_new(struct status *);
/* Map a memfd that is there already, for reading, or for its one writer; EINVAL
 * if it is not what status_new() makes. */
int status_open(struct status *, int fd, bool writable);
void status_free(struct status *);

void status_add_report(struct status *, const struct status_report *);

/* Copy report number n, counted from 1.  Returns whether it is kept, and was
 * not written to meanwhile. */
bool status_get_report(const struct status *, uint64_t n,
    struct status_report *);

const char *status_kind_name(uint32_t kind);
const char *status_result_name(uint32_t result);

#endif
