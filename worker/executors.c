/* SPDX-License-Identifier: ISC */
#include "worker/executors.h"

#include <sys/socket.h>

#include <errno.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "worker/conn.h"
#include "worker/memory.h"
#include "worker/queue.h"
#include "worker/result.h"
#include "worker/worker.h"

enum {
	READS_PER_TURN = 4,
	/* The pipe or socket of an executor that has died holds no more than
	 * that many reads take.  A process that it has started may go on
	 * writing. */
	LAST_READS = 256,
};

#define WHY_LATE "it had a request for longer than request_timeout"
/* Its channel has ended; the master knows more. */
#define WHY_ENDED ""

enum took {
	TOOK_ALL,
	TOOK_MORE,
	TOOK_NONSENSE,
	TOOK_DESCRIPTOR,
	TOOK_END,
	TOOK_NO_MEMORY
};

/*
 * Reading.
 */

/* Room for more of a reply.  A client that is slow has to go for it, as for one
 * that its client does not take. */
static int
executor_reserve(struct exec_link *link, size_t room)
{
	return (memory_reserve_but(link->worker, NULL, &link->in, room));
}

/* As recv(2). */
static ssize_t
executor_receive(const struct exec_link *link, uint8_t *bytes, size_t room)
{
	int fd = exec_link_reply_fd(link);
	ssize_t n;

	if (link->looks)
		return (fd_receive(fd, bytes, room));
	do {
		n = link->is_socket ? recv(fd, bytes, room, MSG_DONTWAIT) :
		    read(fd, bytes, room);
	} while (n == -1 && errno == EINTR);
	return (n);
}

/* Read once, and hand on what came. */
static enum took
executor_take_replies(struct exec_link *link)
{
	struct worker *worker = link->worker;
	uint8_t *bytes = worker->exec_scratch;
	size_t room = WORKER_SCRATCH, had = 0;
	ssize_t n, used;

	if (link->in != NULL) {
		if (executor_reserve(link, BUFFER_MIN) == -1)
			return (TOOK_NO_MEMORY);
		bytes = link->in->bytes;
		had = link->in->len;
		room = link->in->cap - had;
	}
	n = executor_receive(link, bytes + had, room);
	if (n == -1 && errno == EAGAIN)
		return (TOOK_ALL);
	if (n == -1 && errno == EBADMSG)
		return (TOOK_DESCRIPTOR);
	if (n <= 0)
		return (TOOK_END);
	if (link->in != NULL)
		link->in->len += (size_t)n;
	used = exec_link_take(link, bytes, had + (size_t)n);
	/* While the bytes of the replies are there. */
	conn_run_all_ready(worker);
	if (used == -1)
		return (TOOK_NONSENSE);
	if (link->in != NULL) {
		if (used > 0)
			buffer_consume(&worker->buffers, &link->in,
			    (size_t)used);
	} else if (used < n) {
		if (executor_reserve(link, (size_t)(n - used)) == -1)
			return (TOOK_NO_MEMORY);
		buffer_append(link->in, bytes + used, (size_t)(n - used));
	}
	return ((size_t)n == room ? TOOK_MORE : TOOK_ALL);
}

static enum took
executor_take_most(struct exec_link *link, int reads)
{
	enum took took = TOOK_MORE;

	while (reads-- > 0 && took == TOOK_MORE)
		took = executor_take_replies(link);
	return (took);
}

/* Why the executor is given up; NULL: it is not. */
static const char *
executor_fault(const struct exec_link *link, enum took took)
{
	switch (took) {
	case TOOK_ALL:
	case TOOK_MORE:
		if (link->is_retired && link->nrunning == 0)
			return (WHY_LATE);
		break;
	case TOOK_NONSENSE:
		return (link->fault.text);
	case TOOK_DESCRIPTOR:
		return ("it sent a descriptor");
	case TOOK_END:
		return (WHY_ENDED);
	case TOOK_NO_MEMORY:
		return ("there is no memory for its reply");
	}
	return (NULL);
}

/* Hand on what it has answered; the rest will have no reply. */
static void
executor_give_up(struct exec_link *link, bool with_blame)
{
	const char *why = executor_fault(link,
	    executor_take_most(link, LAST_READS));

	if (with_blame)
		blame_for(link);
	exec_link_free(link, REQUEST_FAILED, why != NULL ? why : WHY_ENDED);
}

/* Returns whether the link goes on. */
static bool
executor_read(struct exec_link *link)
{
	enum took took = executor_take_most(link, READS_PER_TURN);
	const char *why;

	if (took == TOOK_END || took == TOOK_NONSENSE ||
	    took == TOOK_DESCRIPTOR)
		blame_for(link);
	if ((why = executor_fault(link, took)) != NULL)
		exec_link_free(link, REQUEST_FAILED, why);
	return (why == NULL);
}

static void
executor_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct exec_link *link = arg;
	struct queue *queue = link->queue;

	(void)fd;
	(void)what;
	worker_turn(link->worker);
	(void)executor_read(link);
	lanes_make_roomy(queue);
}

static void
executor_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct exec_link *link = arg;

	(void)fd;
	(void)what;
	worker_turn(link->worker);
	if (exec_link_flush(link) == -1)
		executor_give_up(link, true);
	else if (!link->is_blocked)
		lanes_make_roomy(link->queue);
}

void
executors_flush(struct worker *worker)
{
	struct exec_link *link;
	struct queue *queue;

	while ((link = TAILQ_FIRST(&worker->unsent)) != NULL) {
		queue = link->queue;
		TAILQ_REMOVE(&worker->unsent, link, unsent);
		link->is_unsent = false;
		if (link->out != NULL && exec_link_flush(link) == -1)
			executor_give_up(link, false);
		/* More may fit now. */
		lanes_make_roomy(queue);
	}
}

/*
 * Coming and going.
 */

void
executors_add(struct queue *queue, uint64_t id, int fds[CTL_FDS_MAX])
{
	struct exec_link *link;

	link = exec_link_new(queue->worker, queue, id, fds, queue->conf,
	    executor_on_readable, executor_on_writable);
	if (link == NULL) {
		notice_disown(queue->worker, id, "out of memory", false);
		return;
	}
	fds[0] = fds[1] = -1;
	TAILQ_INSERT_TAIL(&queue->links, link, of_queue);
	counter_add(&queue->counters->executors, 1);
	lanes_make_roomy(queue);
}

void
executors_on_death(struct queue *queue, uint64_t id)
{
	struct exec_link *link;

	TAILQ_FOREACH(link, &queue->links, of_queue)
		if (link->id == id)
			break;
	if (link == NULL)
		return;
	executor_give_up(link, true);
	lanes_make_roomy(queue);
}

/*
 * Time.
 */

/* The call that has taken too long; NULL if none has. */
static struct request *
executor_find_late(const struct exec_link *link, uint64_t timeout_us)
{
	struct request *oldest = TAILQ_FIRST(&link->running);

	return (oldest != NULL && !oldest->is_ahead &&
	    worker_now_us(link->worker) >= oldest->since_us + timeout_us ?
	    oldest : NULL);
}

/* What is done and what is not begun is not in the way of the other calls, but
 * the thread of a late one is not coming back. */
static void
executor_tick(struct exec_link *link, unsigned timeout_ms)
{
	uint64_t timeout_us = (uint64_t)timeout_ms * 1000;
	bool was_retired = link->is_retired;
	struct request *late;

	/* Its reply may be there. */
	if (timeout_ms == 0 || executor_find_late(link, timeout_us) == NULL ||
	    !executor_read(link))
		return;
	while ((late = executor_find_late(link, timeout_us)) != NULL) {
		link->is_retired = true;
		exec_link_set_limit(link);
		link->nthreads--;
		result_of_executor(exec_link_take_out(link, late),
		    REQUEST_TIMEOUT, NULL);
	}
	if (!link->is_retired)
		return;
	if (!was_retired)
		exec_link_count_end(link, true);
	if (link->nrunning == 0 || link->nthreads == 0)
		exec_link_free(link, REQUEST_FAILED, WHY_LATE);
	else if (!was_retired)
		notice_retire(link->worker, link->id, WHY_LATE);
}

static void
executors_read(struct queue *queue)
{
	struct exec_link *link, *next;

	for (link = TAILQ_FIRST(&queue->links); link != NULL; link = next) {
		next = TAILQ_NEXT(link, of_queue);
		(void)executor_read(link);
	}
}

void
executors_tick(struct queue *queue)
{
	uint64_t now_us = clock_us(), busy = 0;
	struct exec_link *link, *next;

	for (link = TAILQ_FIRST(&queue->links); link != NULL; link = next) {
		next = TAILQ_NEXT(link, of_queue);
		executor_tick(link, queue->conf->request_timeout_ms);
	}
	if (queue_has_late(queue, now_us)) {
		/* An executor may have room, and not have been looked at. */
		executors_read(queue);
		queue_give_out(queue);
		queue_expire(queue, now_us);
	}
	lanes_make_roomy(queue);
	TAILQ_FOREACH(link, &queue->links, of_queue)
		busy += link->nrunning > 0;
	counter_set(&queue->counters->executors_busy, busy);
}
