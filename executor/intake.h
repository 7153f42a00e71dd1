/* SPDX-License-Identifier: ISC */
/*
 * The requests that come over the work channel: bytes to jobs.
 *
 * Used by one thread at a time, whichever reads just now.  As much as there is
 * comes with one system call; a large payload goes straight to where it stays.
 */
#ifndef EXECUTOR_INTAKE_H
#define EXECUTOR_INTAKE_H

#include <stddef.h>
#include <stdint.h>

#include "executor/job.h"

enum intake_result {
	INTAKE_JOBS,
	INTAKE_END,		/* the worker has nothing more to say */
	INTAKE_FAILED,		/* see why */
};

struct intake {
	int fd;				/* borrowed; blocking */
	size_t nlisteners;		/* a request names one of so many */
	uint8_t *scratch;		/* owned */
	size_t begin, end;		/* bytes there that are not split yet */
	struct job *partial;		/* owned; has payload to come */
	size_t partial_len;		/* bytes of it that have come */
	struct job_list spare;		/* owned; jobs to use */
	const char *why;		/* what is wrong with the channel */
};

/* Returns -1 with errno set. */
int intake_init(struct intake *, int fd, size_t nlisteners);
void intake_free(struct intake *);

/* Append 1 to max jobs to the list, waiting for the first. */
enum intake_result intake_read(struct intake *, struct job_list *, size_t max);

#endif
