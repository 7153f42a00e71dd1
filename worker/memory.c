/* SPDX-License-Identifier: ISC */
#include "worker/memory.h"

#include <errno.h>

#include "common/log.h"
#include "worker/conn_internal.h"
#include "worker/conn_record.h"
#include "worker/lane.h"
#include "worker/queue.h"

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
memory_has_share(const struct worker *worker, size_t len)
{
	const struct buffer_pool *buffers = &worker->buffers;

	return (buffers->used[BUFFER_WORK] == 0 ||
	    buffers->used[BUFFER_WORK] + len <= buffers->limit / WORK_PART);
}

bool
memory_is_crowded(const struct worker *worker)
{
	return (worker->buffers.lent > worker->buffers.limit / CROWDED_PART);
}

/* Whether handlers' work has much of the memory. */
static bool
memory_is_loaded(const struct worker *worker)
{
	const struct buffer_pool *buffers = &worker->buffers;

	/* The next message may be what is missing to the whole part. */
	return (buffers->used[BUFFER_WORK] + buffers->used[BUFFER_HELD] >=
	    buffers->limit / WORK_PART / 2);
}

bool
memory_is_short(const struct worker *worker)
{
	return (worker->buffers.lent > worker->buffers.limit / CLIENTS_PART &&
	    memory_is_loaded(worker));
}

void
memory_feed_starved(struct worker *worker)
{
	struct conn_pending *first = TAILQ_FIRST(&worker->starved);

	if (first != NULL && !memory_is_short(worker))
		conn_on_memory(first->conn);
}

/* Give up the requests behind those that are done.  Returns whether there are
 * any. */
static bool
memory_abandon_undone(struct conn *conn)
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

/* Take back what a connection holds, which ends when it is run: another one may
 * be running now. */
static void
memory_shed(struct conn *conn)
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
		pending->shed = memory_abandon_undone(conn) ?
		    CONN_SHED_SILENT : CONN_SHED_TOLD;
	/* It waits for no peer any more, but for its turn. */
	(void)conn_enter(conn, CONN_DISPATCHED);
	conn_make_ready(conn);
}

/* Free what the slowest connection holds.  Returns false if there is none but
 * the one given. */
static bool
memory_shed_slowest(struct worker *worker, const struct conn *but)
{
	struct conn *slowest;

	if ((slowest = deadline_slowest(worker, but)) == NULL)
		return (false);
	LOG_CLIENT(WARN, MEMORY_CAP,
	    F_U64("conn", conn_record(slowest)->id),
	    F_STR("listener", slowest->listener->conf->name),
	    F_U64("max_buffered", worker->buffers.limit));
	memory_shed(slowest);
	return (true);
}

int
memory_reserve_but(struct worker *worker, const struct conn *conn,
    struct buffer **buffer, size_t room)
{
	struct buffer_pool *buffers = &worker->buffers;

	while (buffer_reserve(buffers, buffer, room) == -1) {
		/* Where even an empty pool has no room, nobody need go. */
		if (errno != ENOBUFS || !buffer_fits(buffers, *buffer, room))
			return (-1);
		if (!memory_shed_slowest(worker, conn)) {
			errno = ENOBUFS;
			return (-1);
		}
	}
	return (0);
}

int
memory_reserve(struct conn *conn, struct buffer **buffer, size_t room)
{
	return (memory_reserve_but(conn_worker(conn), conn, buffer, room));
}

int
memory_reserve_work(struct queue *queue, struct conn *conn,
    struct buffer **buffer, size_t room)
{
	struct worker *worker = queue->worker;

	if (!memory_is_loaded(worker) || !lanes_are_busy(queue))
		return (memory_reserve(conn, buffer, room));
	return (buffer_reserve(&worker->buffers, buffer, room));
}
