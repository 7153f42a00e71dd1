/* SPDX-License-Identifier: ISC */
#include "worker/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/conn.h"
#include "worker/departure.h"
#include "worker/exec_link.h"
#include "worker/memory.h"
#include "worker/proto.h"
#include "worker/result.h"
#include "worker/trace.h"
#include "worker/worker.h"

struct queue *
queue_new(struct worker *worker, struct handler *handler, size_t index)
{
	const struct heritage *heritage = worker->heritage;
	struct counters_map *map = heritage->counters[heritage->slot].map;
	struct queue *queue;

	if ((queue = calloc(1, sizeof(*queue))) == NULL)
		return (NULL);
	queue->worker = worker;
	queue->handler = handler;
	queue->conf = handler->conf;
	queue->counters = &map->block[heritage->block]
	    .handler[heritage->handler_number[index]];
	for (int i = 0; i < LANES; i++) {
		TAILQ_INIT(&queue->lanes[i].requests);
		TAILQ_INIT(&queue->lanes[i].feeders);
	}
	queue->limit = heritage_share(heritage, handler->conf->queue);
	TAILQ_INIT(&queue->links);
	return (queue);
}

void
queue_free(struct queue *queue)
{
	struct exec_link *link;

	if (queue == NULL)
		return;
	while ((link = TAILQ_FIRST(&queue->links)) != NULL)
		exec_link_free(link, REQUEST_FAILED, NULL);
	if (queue->is_roomy)
		TAILQ_REMOVE(&queue->worker->roomy, queue, roomy);
	free(queue);
}

/*
 * Requests.
 */

static struct request *
request_new(struct queue *queue, struct conn *conn,
    const struct proto_message *message)
{
	struct request *request;

	if ((request = calloc(1, sizeof(*request))) == NULL)
		return (NULL);
	request->handler = queue->handler;
	/* A listener with routes need not have a handler. */
	request->is_routed = message->exchange != NULL;
	request->proto = conn_proto(conn);
	request->queue = queue;
	request->conn = conn;
	request->arrived_us = worker_now_us(queue->worker);
	request->since_us = request->arrived_us;
	request->number = conn_record(conn)->messages + 1;
	request->trace = trace_keep(queue->worker);
	return (request);
}

/*
 * Coming in.
 */

static struct exec_link *
find_room(const struct queue *queue)
{
	struct exec_link *link, *best = NULL;

	TAILQ_FOREACH(link, &queue->links, of_queue)
		if (exec_link_has_room(link) && (best == NULL ||
		    link->nrunning < best->nrunning))
			best = link;
	return (best);
}

/* The bytes that are kept of a message beside its payload. */
static size_t
facts_size(const struct queue *queue, const struct conn *conn,
    const struct proto_message *message)
{
	return (message->exchange == NULL ? 0 :
	    conn_proto(conn)->keep_size(message->exchange,
	    conn->listener->conf, queue->worker->access_log != NULL));
}

static int
queue_keep_facts(struct queue *queue, struct request *request,
    const struct proto_message *message, size_t size)
{
	struct conn *conn = request->conn;

	if (message->exchange == NULL)
		return (0);
	if (memory_reserve_work(queue, conn, &request->facts, size) == -1)
		return (-1);
	buffer_use(&queue->worker->buffers, request->facts, BUFFER_WORK);
	request->exchange = request->proto->keep(request->facts->bytes,
	    message->exchange, conn->listener->conf,
	    queue->worker->access_log != NULL);
	return (0);
}

static int
enqueue(struct queue *queue, struct request *request,
    const struct payload *message)
{
	if (memory_reserve_work(queue, request->conn, &request->payload,
	    message->len) == -1)
		return (-1);
	buffer_use(&queue->worker->buffers, request->payload, BUFFER_WORK);
	buffer_append(request->payload, message->bytes, message->len);
	lane_append(queue, request);
	return (0);
}

/* Give a request to an executor that has room for it, or else let it wait. */
static int
take_in(struct queue *queue, struct exec_link *link, struct request *request,
    const struct payload *message)
{
	if (link == NULL)
		return (enqueue(queue, request, message));
	if (exec_link_reserve(link, request, message->len) == -1)
		return (errno == EAGAIN ?
		    enqueue(queue, request, message) : -1);
	exec_link_send(link, request, message);
	return (0);
}

static enum handler_verdict
shed(struct queue *queue)
{
	counter_add(&queue->counters->shed, 1);
	return (HANDLER_BUSY);
}

/* len is of all that is kept of the message. */
static enum handler_verdict
turn_away(struct queue *queue, struct conn *conn, size_t len)
{
	struct conn_pending *pending;

	if (queue->conf->overload != CONF_OVERLOAD_WAIT ||
	    !lanes_are_busy(queue) || (pending = conn_pending(conn)) == NULL)
		return (shed(queue));
	lane_add_feeder(queue, pending, len);
	return (HANDLER_FULL);
}

/* Whether there is room for one more request.  An idle executor gets one,
 * however much memory other requests take. */
static bool
has_room(const struct queue *queue, const struct lane *lane,
    const struct exec_link *link, size_t len)
{
	const struct worker *worker = queue->worker;

	if (link == NULL && lane->waiting >= queue->limit)
		return (false);
	return (memory_has_share(worker, len) || !lanes_are_busy(queue) ||
	    (link != NULL && link->nrunning == 0 &&
	    !memory_is_crowded(worker)));
}

/* Whether a connection was called to bring its messages, and has not brought so
 * many yet. */
static bool
take_call(const struct queue *queue, const struct conn *conn)
{
	struct queue_call *call = &queue->worker->call;

	if (call->conn != conn || call->queue != queue || call->rest == 0)
		return (false);
	call->rest--;
	return (true);
}

enum handler_verdict
queue_submit(struct queue *queue, struct conn *conn,
    const struct proto_message *message)
{
	struct payload payload = { message->payload, message->len };
	struct lane *lane = lane_of(queue, conn);
	struct exec_link *link = NULL;
	struct request *request;
	bool called = take_call(queue, conn);
	size_t facts_len = facts_size(queue, conn, message);
	size_t len = facts_len + message->len;

	if (!called && lane->nfeeders > 0)
		return (turn_away(queue, conn, len));
	if (queue->waiting == 0)
		link = find_room(queue);
	if (!has_room(queue, lane, link, len))
		return (turn_away(queue, conn, len));
	if ((request = request_new(queue, conn, message)) == NULL)
		return (shed(queue));
	if (queue_keep_facts(queue, request, message, facts_len) == -1 ||
	    take_in(queue, link, request, &payload) == -1) {
		request_free(queue->worker, request);
		return (turn_away(queue, conn, len));
	}
	if (conn_add_request(conn, request) == -1) {
		request_abandon(request);
		return (shed(queue));
	}
	return (HANDLER_LATER);
}

/*
 * Going out.
 */

/* The first of a lane that begins in this worker.  If a connection is handed
 * over, its requests go with it. */
static struct request *
first_of(const struct queue *queue, const struct lane *lane)
{
	struct request *request;

	TAILQ_FOREACH(request, &lane->requests, of_work)
		if (!departure_holds_back(request->conn))
			break;
	return (request);
}

/* NULL if none is to begin here. */
static struct request *
next_request(const struct queue *queue)
{
	struct request *high, *normal;

	high = first_of(queue, &queue->lanes[LANE_HIGH]);
	normal = first_of(queue, &queue->lanes[LANE_NORMAL]);
	if (high != NULL && (normal == NULL ||
	    queue->high_run < QUEUE_HIGH_RUN))
		return (high);
	return (normal);
}

/* It is out of its lane, and the next one is chosen. */
static void
take_next(struct queue *queue, struct request *request)
{
	if (lane_of(queue, request->conn) == &queue->lanes[LANE_HIGH])
		queue->high_run++;
	else
		queue->high_run = 0;
	lane_leave(request);
}

/* Give the first that waits to an executor that is free.  Returns false if it
 * has to wait on. */
static bool
begin_next(struct queue *queue, struct exec_link *link)
{
	struct request *request = next_request(queue);
	struct buffer *message;
	struct payload payload = { .len = 0 };
	bool reserved;

	if (request == NULL)
		return (false);
	if ((message = request->payload) != NULL)
		payload = (struct payload){ message->bytes, message->len };
	reserved = exec_link_reserve(link, request, payload.len) == 0;
	if (!reserved && (errno == EAGAIN || lanes_are_running(queue)))
		return (false);
	take_next(queue, request);
	if (!reserved) {
		counter_add(&queue->counters->shed, 1);
		result_store(request, REQUEST_BUSY, NULL);
		return (true);
	}
	request->payload = NULL;
	exec_link_send(link, request, &payload);
	histogram_add(&queue->counters->wait,
	    request->begun_us - request->arrived_us);
	buffer_release(&queue->worker->buffers, &message);
	return (true);
}

/* Call the first feeder of a lane, if there is room for its message.  Returns
 * NULL if none is called. */
static struct conn *
queue_call_feeder(struct queue *queue, struct lane *lane)
{
	struct conn_pending *first = TAILQ_FIRST(&lane->feeders);

	if (lane->ncalls == 0 || first == NULL ||
	    !has_room(queue, lane, queue->waiting == 0 ? find_room(queue) :
	    NULL, first->feed_len))
		return (NULL);
	lane->ncalls--;
	lane_remove_feeder(first);
	queue->worker->call = (struct queue_call){
		.conn = first->conn,
		.queue = queue,
		.rest = QUEUE_CALL_RUN,
	};
	return (first->conn);
}

void
queue_give_out(struct queue *queue)
{
	struct exec_link *link;

	while (queue->waiting > 0 && (link = find_room(queue)) != NULL &&
	    begin_next(queue, link))
		;
}

struct conn *
queue_call_next(struct worker *worker)
{
	struct queue *queue = TAILQ_FIRST(&worker->roomy);
	struct conn *called = NULL;

	if (queue == NULL)
		return (NULL);
	TAILQ_REMOVE(&worker->roomy, queue, roomy);
	queue->is_roomy = false;
	queue_give_out(queue);
	for (int i = 0; i < LANES && called == NULL; i++)
		called = queue_call_feeder(queue, &queue->lanes[i]);
	/* The next one is called when this one has been run. */
	if (called != NULL)
		lanes_list_roomy(queue);
	return (called);
}

bool
queue_is_at_rest(const struct queue *queue)
{
	const struct exec_link *link;

	TAILQ_FOREACH(link, &queue->links, of_queue)
		if (link->nrunning > 0 || link->is_retired ||
		    link->in != NULL || link->out != NULL || link->is_noted)
			return (false);
	return (true);
}

/*
 * Time.
 */

static struct request *
find_late(const struct queue *queue, const struct lane *lane, uint64_t now_us)
{
	uint64_t timeout_us = (uint64_t)queue->conf->queue_timeout_ms * 1000;
	struct request *request = TAILQ_FIRST(&lane->requests);

	return (timeout_us > 0 && request != NULL &&
	    request->since_us + timeout_us <= now_us ? request : NULL);
}

bool
queue_has_late(const struct queue *queue, uint64_t now_us)
{
	for (int i = 0; i < LANES; i++)
		if (find_late(queue, &queue->lanes[i], now_us) != NULL)
			return (true);
	return (false);
}

void
queue_expire(struct queue *queue, uint64_t now_us)
{
	struct request *request;

	for (int i = 0; i < LANES; i++)
		while ((request = find_late(queue, &queue->lanes[i],
		    now_us)) != NULL) {
			lane_leave(request);
			counter_add(&queue->counters->expired, 1);
			result_store(request, REQUEST_BUSY, NULL);
		}
}

void
queue_forgive(struct queue *queue, uint64_t stall_us)
{
	uint64_t now_us = worker_now_us(queue->worker);
	struct exec_link *link;
	struct request *request;

	TAILQ_FOREACH(link, &queue->links, of_queue)
		exec_link_forgive(link, stall_us);
	for (int i = 0; i < LANES; i++)
		TAILQ_FOREACH(request, &queue->lanes[i].requests, of_work)
			request->since_us = clock_later(request->since_us,
			    stall_us, now_us);
}
