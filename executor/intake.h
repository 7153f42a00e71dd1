/* SPDX-License-Identifier: ISC */
/*
 * Reads requests from the work channel and makes jobs of them.
 *
 * One thread at a time uses it, the one that is reading.  One system call reads
 * all that is there; a large payload is read directly into its job.
 */
#ifndef EXECUTOR_INTAKE_H
#define EXECUTOR_INTAKE_H

#include <stddef.h>
#include <stdint.h>

#include "executor/job.h"

enum intake_result {
	INTAKE_JOBS,
	INTAKE_END,		/* end of file: no more requests */
	INTAKE_FAILED,		/* with the reason in why */
};

struct intake {
	int fd;				/* borrowed; blocking */
	size_t nlisteners;		/* a request has the index of one */
	uint8_t *scratch;		/* owned */
	size_t begin, end;		/* bytes in scratch not split yet */
	struct job *partial;		/* owned; its payload is incomplete */
	size_t partial_len;		/* bytes of it so far */
	struct job_list spare;		/* owned; jobs to use */
	const char *why;		/* what is wrong with the channel */
};

/* Returns -1 with errno set. */
int intake_init(struct intake *, int fd, size_t nlisteners);
void intake_free(struct intake *);

/* Append 1 to max jobs to the list; waits for the first. */
enum intake_result intake_read(struct intake *, struct job_list *, size_t max);

#endif
