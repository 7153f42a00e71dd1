/* SPDX-License-Identifier: ISC */
#include "executor/job.h"

#include <stdlib.h>

int
job_make_room(struct job *job, size_t len)
{
	size_t capacity = len < JOB_PAYLOAD_MIN ? JOB_PAYLOAD_MIN : len + 1;

	if (len < job->capacity)
		return (0);
	free(job->payload);
	job->payload = malloc(capacity);
	job->capacity = job->payload == NULL ? 0 : capacity;
	return (job->payload == NULL ? -1 : 0);
}

void
job_trim(struct job *job)
{
	if (job->capacity <= JOB_PAYLOAD_KEPT)
		return;
	free(job->payload);
	job->payload = NULL;
	job->capacity = 0;
}

void
job_free(struct job *job)
{
	if (job == NULL)
		return;
	free(job->payload);
	free(job);
}

void
job_list_free(struct job_list *jobs)
{
	struct job *job;

	while ((job = STAILQ_FIRST(jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(jobs, link);
		job_free(job);
	}
}
