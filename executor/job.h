/* SPDX-License-Identifier: ISC */
/*
 * A request in the executor: read by one thread, handled by the same or another
 * one.  Its memory is used again for the next request.
 */
#ifndef EXECUTOR_JOB_H
#define EXECUTOR_JOB_H

#include <sys/queue.h>

#include <stddef.h>
#include <stdint.h>

#include "common/exec.h"

enum {
	/* The memory for a payload of up to this size is kept with its job. */
	JOB_PAYLOAD_MIN = 1024,
	JOB_PAYLOAD_KEPT = 16384,
};

struct job {
	STAILQ_ENTRY(job) link;
	struct exec_request facts;
	size_t len;
	size_t capacity;
	uint8_t *payload;	/* owned; len bytes and a NUL */
};

STAILQ_HEAD(job_list, job);

/* Make room for a payload; the previous content is lost.  Returns -1 with errno
 * set. */
int job_make_room(struct job *, size_t len);

/* Free the memory of a large payload. */
void job_trim(struct job *);

void job_free(struct job *);
void job_list_free(struct job_list *);

#endif
