/* SPDX-License-Identifier: ISC */
/*
 * The worker's memory for messages and replies: who has to wait when it is
 * short, and who has to go.
 *
 * What handlers have to do gives its memory back by itself, so where that is
 * much of it, clients wait: those whose message finds no room in a queue, and
 * those whose message would grow.  Where it is not, clients hold the memory who
 * may never give it back, and the slowest has to go.  The rest is for replies.
 */
#include <errno.h>

#include "common/log.h"
#include "worker/conn_internal.h"
#include "worker/conn_record.h"
#include "worker/lane.h"
#include "worker/queue.h"
#include "worker/worker.h"

enum {
	/* Parts of the limit: what handlers' work may take before it has to
	 * wait; and what may be taken in all before clients do.  Most is left
	 * for what cannot wait: replies that come from executors, that wait
	 * for those before them, and that clients take slowly. */
	WORK_PART = 8,
	CLIENTS_PART = 4,
	/* Above this part an executor that could do more does not get it. */
	CROWDED_PART = 2,
};

bool
worker_has_share(const struct worker *worker, size_t len)
{
	const struct buffer_pool *buffers = &worker->buffers;

	return (buffers->used[BUFFER_WORK] == 0 ||
	    buffers->used[BUFFER_WORK] + len <= buffers->limit / WORK_PART);
}

bool
worker_is_crowded(const struct worker *worker)
{
	return (worker->buffers.lent > worker->buffers.limit / CROWDED_PART);
}

bool
worker_is_loaded(const struct worker *worker)
{
	const struct buffer_pool *buffers = &worker->buffers;

	/* The next message may be what is missing to the whole part. */
	return (buffers->used[BUFFER_WORK] + buffers->used[BUFFER_HELD] >=
	    buffers->limit / WORK_PART / 2);
}

bool
worker_is_short(const struct worker *worker)
{
	return (worker->buffers.lent > worker->buffers.limit / CLIENTS_PART &&
	    worker_is_loaded(worker));
}

void
worker_feed_starved(struct worker *worker)
{
	struct conn_pending *first = TAILQ_FIRST(&worker->starved);

	if (first != NULL && !worker_is_short(worker))
		conn_on_memory(first->conn);
}

/* Give up the requests behind those that are done.  Returns whether there are
 * any. */
static bool
abandon_undone(struct conn *conn)
{
	struct request_list *requests = &conn->pending->requests;
	struct request *request, *last_done = NULL, *last;
	bool any = false;

	TAILQ_FOREACH(request, requests, of_conn) {
		if (request->state != REQUEST_DONE)
			break;
		last_done = request;
	}
	while ((last = TAILQ_LAST(requests, request_list)) != last_done) {
		conn_remove_request(conn, last);
		request_abandon(last);
		any = true;
	}
	return (any);
}

void
conn_shed(struct conn *conn)
{
	struct buffer_pool *buffers = &conn_worker(conn)->buffers;
	struct conn_pending *pending = conn->pending;

	event_del(&conn->event);
	conn_end_after_replies(conn, CLOSE_MEMORY);
	conn_stop_waiting(conn);
	buffer_release(buffers, &pending->in);
	if (conn_owes(conn)) {
		pending->shed = CONN_SHED_CUT;
		conn_abandon_requests(conn);
		buffer_release(buffers, &pending->out);
	} else
		pending->shed = abandon_undone(conn) ? CONN_SHED_SILENT :
		    CONN_SHED_TOLD;
	/* It waits for no peer any more, but for its turn. */
	(void)conn_enter(conn, CONN_DISPATCHED);
	conn_make_ready(conn);
}

/* Free what the slowest connection holds.  Returns false if there is none but
 * the one given. */
static bool
shed_slowest(struct worker *worker, const struct conn *but)
{
	struct conn *slowest;

	if ((slowest = deadline_slowest(worker, but)) == NULL)
		return (false);
	LOG_CLIENT(WARN, MEMORY_CAP,
	    F_U64("conn", conn_record(slowest)->id),
	    F_STR("listener", slowest->listener->conf->name),
	    F_U64("max_buffered", worker->buffers.limit));
	conn_shed(slowest);
	return (true);
}

int
worker_reserve(struct worker *worker, const struct conn *conn,
    struct buffer **buffer, size_t room)
{
	struct buffer_pool *buffers = &worker->buffers;

	while (buffer_reserve(buffers, buffer, room) == -1) {
		/* Where even an empty pool has no room, nobody need go. */
		if (errno != ENOBUFS || !buffer_fits(buffers, *buffer, room))
			return (-1);
		if (!shed_slowest(worker, conn)) {
			errno = ENOBUFS;
			return (-1);
		}
	}
	return (0);
}

int
conn_reserve(struct conn *conn, struct buffer **buffer, size_t room)
{
	return (worker_reserve(conn_worker(conn), conn, buffer, room));
}

int
queue_reserve(struct queue *queue, struct conn *conn, struct buffer **buffer,
    size_t room)
{
	struct worker *worker = queue->worker;

	if (!worker_is_loaded(worker) || !queue_is_busy(queue))
		return (conn_reserve(conn, buffer, room));
	return (buffer_reserve(&worker->buffers, buffer, room));
}
