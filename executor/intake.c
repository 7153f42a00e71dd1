/* SPDX-License-Identifier: ISC */
#include "executor/intake.h"

#include <sys/uio.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

enum {
	SCRATCH = 256 * 1024,
	HEAD_LEN = EXEC_LENGTH_LEN + sizeof(struct exec_request),
	/* The parts of an HTTP header, some of them twice, and separators. */
	HTTP_MAX = 2 * CONF_HEADER_SIZE_MAX + 1024,
	/* A request that was handed over in a reload may have been accepted
	 * with a larger limit than ours. */
	PAYLOAD_MAX = CONF_MESSAGE_SIZE_MAX + HTTP_MAX,
};

int
intake_init(struct intake *intake, int fd, size_t nlisteners)
{
	*intake = (struct intake){
		.fd = fd,
		.nlisteners = nlisteners,
		.spare = STAILQ_HEAD_INITIALIZER(intake->spare),
	};
	intake->scratch = malloc(SCRATCH);
	return (intake->scratch == NULL ? -1 : 0);
}

void
intake_free(struct intake *intake)
{
	free(intake->scratch);
	job_free(intake->partial);
	job_list_free(&intake->spare);
}

static struct job *
take_spare(struct intake *intake, size_t len)
{
	struct job *job = STAILQ_FIRST(&intake->spare);

	if (job != NULL)
		STAILQ_REMOVE_HEAD(&intake->spare, link);
	else if ((job = calloc(1, sizeof(*job))) == NULL)
		return (NULL);
	if (job_make_room(job, len) == 0)
		return (job);
	job_free(job);
	return (NULL);
}

static void
intake_finish(struct job *job, struct job_list *jobs)
{
	job->payload[job->len] = '\0';
	STAILQ_INSERT_TAIL(jobs, job, link);
}

/* What is wrong with a frame of this length. */
static const char *
check_length(size_t len)
{
	if (len < sizeof(struct exec_request))
		return ("a request is shorter than its header");
	if (len - sizeof(struct exec_request) > PAYLOAD_MAX)
		return ("a request is longer than any max_message_size");
	return (NULL);
}

static const char *
check_facts(const struct intake *intake, const struct job *job)
{
	uint32_t http_len = job->facts.told_len;

	if (job->facts.listener >= intake->nlisteners)
		return ("a request has an unknown listener");
	if (http_len > job->len || http_len % EXEC_TOLD_ALIGN != 0)
		return ("an HTTP request is malformed");
	return (NULL);
}

static size_t
length_at(const uint8_t *bytes)
{
	uint32_t length;

	memcpy(&length, bytes, sizeof(length));
	return (ntohl(length));
}

/* A job for the request at the beginning of the scratch buffer, with as much of
 * its payload as is there.  NULL with why set. */
static struct job *
begin_job(struct intake *intake)
{
	const uint8_t *head = intake->scratch + intake->begin;
	size_t len = length_at(head) - sizeof(struct exec_request);
	struct job *job = take_spare(intake, len);

	if (job == NULL) {
		intake->why = "no memory for a request";
		return (NULL);
	}
	memcpy(&job->facts, head + EXEC_LENGTH_LEN, sizeof(job->facts));
	job->len = len;
	intake->begin += HEAD_LEN;
	intake->why = check_facts(intake, job);
	if (intake->why == NULL)
		return (job);
	job_free(job);
	return (NULL);
}

/* Move a job's payload, or what has come of it, out of the scratch buffer.
 * Returns the number of bytes. */
static size_t
take_payload(struct intake *intake, struct job *job)
{
	size_t n = intake->end - intake->begin;

	if (n > job->len)
		n = job->len;
	memcpy(job->payload, intake->scratch + intake->begin, n);
	intake->begin += n;
	return (n);
}

/* Turn up to max requests in the scratch buffer into jobs. */
static enum intake_result
intake_split(struct intake *intake, struct job_list *jobs, size_t max)
{
	struct job *job;
	size_t avail, n;

	while (max > 0 && intake->partial == NULL) {
		avail = intake->end - intake->begin;
		if (avail < EXEC_LENGTH_LEN)
			break;
		intake->why = check_length(length_at(intake->scratch +
		    intake->begin));
		if (intake->why != NULL)
			return (INTAKE_FAILED);
		if (avail < HEAD_LEN)
			break;
		if ((job = begin_job(intake)) == NULL)
			return (INTAKE_FAILED);
		n = take_payload(intake, job);
		if (n == job->len) {
			intake_finish(job, jobs);
			max--;
		} else {
			intake->partial = job;
			intake->partial_len = n;
		}
	}
	return (INTAKE_JOBS);
}

/* Move the beginning of a head, all that is left, to where more will follow. */
static void
compact(struct intake *intake)
{
	size_t left = intake->end - intake->begin;

	memmove(intake->scratch, intake->scratch + intake->begin, left);
	intake->begin = 0;
	intake->end = left;
}

static ssize_t
intake_receive(struct intake *intake)
{
	struct job *partial = intake->partial;
	struct iovec iov[2];
	int niov = 0;
	ssize_t n;

	if (partial != NULL)
		iov[niov++] = (struct iovec){
			.iov_base = partial->payload + intake->partial_len,
			.iov_len = partial->len - intake->partial_len,
		};
	iov[niov++] = (struct iovec){
		.iov_base = intake->scratch + intake->end,
		.iov_len = SCRATCH - intake->end,
	};
	do {
		n = readv(intake->fd, iov, niov);
	} while (n == -1 && errno == EINTR);
	return (n);
}

/* Bytes have come: those that the unfinished payload wants are in it already,
 * the others in the scratch buffer.  Returns whether that one is whole. */
static bool
intake_account(struct intake *intake, size_t n, struct job_list *jobs)
{
	struct job *partial = intake->partial;
	size_t wanted;

	if (partial == NULL) {
		intake->end += n;
		return (false);
	}
	wanted = partial->len - intake->partial_len;
	if (n < wanted) {
		intake->partial_len += n;
		return (false);
	}
	intake->end += n - wanted;
	intake->partial = NULL;
	intake_finish(partial, jobs);
	return (true);
}

enum intake_result
intake_read(struct intake *intake, struct job_list *jobs, size_t max)
{
	enum intake_result result;
	ssize_t n;

	/* What came beyond the last call's max. */
	result = intake_split(intake, jobs, max);
	while (result == INTAKE_JOBS && STAILQ_EMPTY(jobs)) {
		compact(intake);
		n = intake_receive(intake);
		if (n == 0 || (n == -1 && errno == ECONNRESET))
			return (INTAKE_END);
		if (n == -1) {
			intake->why = strerror(errno);
			return (INTAKE_FAILED);
		}
		if (intake_account(intake, (size_t)n, jobs))
			max--;
		result = intake_split(intake, jobs, max);
	}
	return (result);
}
