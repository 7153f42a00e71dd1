/* SPDX-License-Identifier: ISC */
#include "worker/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/conn.h"
#include "worker/exec_link.h"
#include "worker/worker.h"

enum { LANE_HIGH, LANE_NORMAL, LANES };

struct lane {
	struct request_list requests;
	unsigned waiting;
	TAILQ_HEAD(, conn_pending) feeders;	/* told HANDLER_FULL */
};

struct queue {
	struct worker *worker;		/* borrowed */
	const struct conf_handler *conf;
	struct counters_handler *counters;	/* in our block */
	struct lane lanes[LANES];
	unsigned waiting;		/* in both lanes */
	unsigned limit;			/* of each: our share of conf->queue */
	unsigned high_run;		/* high ones since a normal one */
	struct exec_link_list links;
};

struct queue *
queue_new(struct worker *worker, struct handler *handler, size_t index)
{
	const struct heritage *heritage = worker->heritage;
	struct counters_map *map = heritage->counters[heritage->slot].map;
	struct queue *queue;

	if ((queue = calloc(1, sizeof(*queue))) == NULL)
		return (NULL);
	queue->worker = worker;
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
	free(queue);
}

/*
 * Requests.
 */

static struct request *
request_new(struct queue *queue, struct conn *conn)
{
	struct request *request;

	if ((request = calloc(1, sizeof(*request))) == NULL)
		return (NULL);
	request->queue = queue;
	request->conn = conn;
	request->arrived_us = clock_us();
	return (request);
}

void
request_free(struct worker *worker, struct request *request)
{
	buffer_release(&worker->buffers, &request->payload);
	free(request);
}

static struct lane *
lane_of(struct queue *queue, const struct conn *conn)
{
	return (&queue->lanes[conn->listener->conf->priority ==
	    CONF_PRIORITY_HIGH ? LANE_HIGH : LANE_NORMAL]);
}

static void
count_waiting(struct queue *queue, struct lane *lane, int change)
{
	lane->waiting = (unsigned)((int)lane->waiting + change);
	queue->waiting = (unsigned)((int)queue->waiting + change);
	counter_set(&queue->counters->waiting, queue->waiting);
	if (queue->waiting > counter_get(&queue->counters->waiting_peak))
		counter_set(&queue->counters->waiting_peak, queue->waiting);
}

static void
leave_lane(struct request *request)
{
	struct queue *queue = request->queue;
	struct lane *lane = lane_of(queue, request->conn);

	TAILQ_REMOVE(&lane->requests, request, of_work);
	count_waiting(queue, lane, -1);
	/* It is in no lane any more, whatever becomes of it. */
	request->state = REQUEST_RUNNING;
}

void
request_abandon(struct request *request)
{
	struct worker *worker = request->conn->listener->worker;

	switch ((enum request_state)request->state) {
	case REQUEST_WAITING:
		leave_lane(request);
		break;
	case REQUEST_RUNNING:
		/* Its executor has it; its reply will go nowhere. */
		request->conn = NULL;
		return;
	case REQUEST_DONE:
	case REQUEST_PARKED:
		break;
	}
	request_free(worker, request);
}

void
queue_withdraw(struct request *request)
{
	leave_lane(request);
	request->state = REQUEST_PARKED;
}

void
queue_readmit(struct queue *queue, struct request *request)
{
	struct lane *lane = lane_of(queue, request->conn);
	struct request *before;

	TAILQ_FOREACH_REVERSE(before, &lane->requests, request_list, of_work)
		if (before->arrived_us <= request->arrived_us)
			break;
	if (before != NULL)
		TAILQ_INSERT_AFTER(&lane->requests, before, request, of_work);
	else
		TAILQ_INSERT_HEAD(&lane->requests, request, of_work);
	request->queue = queue;
	request->state = REQUEST_WAITING;
	count_waiting(queue, lane, 1);
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

static int
enqueue(struct queue *queue, struct request *request,
    const struct payload *message)
{
	struct lane *lane = lane_of(queue, request->conn);

	if (conn_reserve(request->conn, &request->payload, message->len) == -1)
		return (-1);
	if (message->len > 0)
		buffer_append(request->payload, message->bytes, message->len);
	request->state = REQUEST_WAITING;
	TAILQ_INSERT_TAIL(&lane->requests, request, of_work);
	count_waiting(queue, lane, 1);
	counter_add(&queue->counters->waits, 1);
	return (0);
}

static enum handler_verdict
turn_away(struct queue *queue, struct conn *conn)
{
	struct conn_pending *pending;

	if (queue->conf->overload == CONF_OVERLOAD_WAIT &&
	    (pending = conn_pending(conn)) != NULL) {
		pending->feeds = queue;
		pending->conn = conn;
		TAILQ_INSERT_TAIL(&lane_of(queue, conn)->feeders, pending,
		    feeding);
		counter_add(&queue->counters->held_back, 1);
		return (HANDLER_FULL);
	}
	counter_add(&queue->counters->shed, 1);
	return (HANDLER_BUSY);
}

enum handler_verdict
queue_submit(struct queue *queue, struct conn *conn,
    const struct payload *message)
{
	struct exec_link *link = NULL;
	struct request *request;
	int taken;

	if (queue->waiting == 0)
		link = find_room(queue);
	if (link == NULL && lane_of(queue, conn)->waiting >= queue->limit)
		return (turn_away(queue, conn));
	if ((request = request_new(queue, conn)) == NULL)
		return (HANDLER_BUSY);
	taken = link != NULL ? exec_link_send(link, request, message) :
	    enqueue(queue, request, message);
	if (taken == -1 || conn_add_request(conn, request) == -1) {
		/* Out of memory: the only thing that is refused here. */
		counter_add(&queue->counters->shed, 1);
		if (taken == 0)
			request_abandon(request);
		else
			request_free(queue->worker, request);
		return (HANDLER_BUSY);
	}
	return (HANDLER_LATER);
}

void
queue_forget_feeder(struct queue *queue, struct conn *conn)
{
	TAILQ_REMOVE(&lane_of(queue, conn)->feeders, conn->pending, feeding);
	conn->pending->feeds = NULL;
}

/*
 * Going out.
 */

/* The first of a lane.  Those of a connection that is to change hands go with
 * it. */
static struct request *
first_of(const struct queue *queue, const struct lane *lane)
{
	struct request *request;

	TAILQ_FOREACH(request, &lane->requests, of_work)
		if (!giver_wants(&queue->worker->giver, request->conn))
			break;
	return (request);
}

/* NULL if none is to begin here. */
static struct request *
next_request(struct queue *queue)
{
	struct request *high, *normal;

	high = first_of(queue, &queue->lanes[LANE_HIGH]);
	normal = first_of(queue, &queue->lanes[LANE_NORMAL]);
	if (high != NULL && (normal == NULL ||
	    queue->high_run < QUEUE_HIGH_RUN)) {
		queue->high_run++;
		return (high);
	}
	queue->high_run = 0;
	return (normal);
}

static void
finish(struct request *request, enum request_result result,
    const struct payload *reply)
{
	struct worker *worker = request->queue->worker;

	if (request->conn != NULL)
		worker_gather(worker, request->conn);
	/* The one that was gathered for before may have needed its memory. */
	if (request->conn == NULL)
		request_free(worker, request);
	else
		conn_on_reply(request, result, reply);
}

/* Give a request that waits to an executor that is free. */
static void
begin(struct queue *queue, struct exec_link *link, struct request *request)
{
	struct buffer *message = request->payload;
	struct payload payload = {
		.bytes = message != NULL ? message->bytes : NULL,
		.len = message != NULL ? message->len : 0,
	};

	leave_lane(request);
	request->payload = NULL;
	if (exec_link_send(link, request, &payload) == -1) {
		counter_add(&queue->counters->shed, 1);
		finish(request, REQUEST_BUSY, NULL);
	} else
		histogram_add(&queue->counters->wait,
		    request->begun_us - request->arrived_us);
	buffer_release(&queue->worker->buffers, &message);
}

/* Let those who were held back offer their message again, as far as there is
 * room for it. */
static void
call_feeders(struct queue *queue, struct lane *lane)
{
	struct conn_pending *first;
	struct conn *conn;

	while (lane->waiting < queue->limit &&
	    (first = TAILQ_FIRST(&lane->feeders)) != NULL) {
		/* Its replies go first: it may be this very feeder, or end
		 * it. */
		if (queue->worker->gathering != NULL) {
			worker_gather(queue->worker, NULL);
			continue;
		}
		conn = first->conn;
		queue_forget_feeder(queue, conn);
		conn_on_room(conn);
	}
}

void
queue_pump(struct queue *queue)
{
	struct exec_link *link;
	struct request *next;

	while (queue->waiting > 0 && (link = find_room(queue)) != NULL &&
	    (next = next_request(queue)) != NULL)
		begin(queue, link, next);
	for (int i = 0; i < LANES; i++)
		call_feeders(queue, &queue->lanes[i]);
}

void
queue_on_done(struct request *request, enum request_result result,
    const struct payload *reply)
{
	struct counters_handler *counters = request->queue->counters;

	if (result == REQUEST_FAILED)
		counter_add(&counters->failed, 1);
	else if (result == REQUEST_TIMEOUT)
		counter_add(&counters->timeouts, 1);
	else
		histogram_add(&counters->handling,
		    clock_us() - request->begun_us);
	finish(request, result, reply);
}

uint64_t
queue_deadline_us(const struct queue *queue, uint64_t begun_us)
{
	if (queue->conf->request_timeout_ms == 0)
		return (0);
	return (begun_us + (uint64_t)queue->conf->request_timeout_ms * 1000);
}

/*
 * Executors.
 */

void
queue_add_executor(struct queue *queue, uint64_t id, int fd)
{
	struct exec_link *link;

	link = exec_link_new(queue->worker, queue, id, fd, queue->conf);
	if (link == NULL) {
		worker_disown_executor(queue->worker, id, "out of memory");
		return;
	}
	TAILQ_INSERT_TAIL(&queue->links, link, of_queue);
	counter_add(&queue->counters->executors, 1);
	queue_pump(queue);
}

void
queue_remove_executor(struct queue *queue, struct exec_link *link)
{
	TAILQ_REMOVE(&queue->links, link, of_queue);
	counter_sub(&queue->counters->executors, 1);
}

/*
 * Time.
 */

static void
expire_lane(struct queue *queue, struct lane *lane, uint64_t now_us)
{
	uint64_t timeout_us = (uint64_t)queue->conf->queue_timeout_ms * 1000;
	struct request *request;

	while ((request = TAILQ_FIRST(&lane->requests)) != NULL &&
	    request->arrived_us + timeout_us <= now_us) {
		leave_lane(request);
		counter_add(&queue->counters->expired, 1);
		finish(request, REQUEST_BUSY, NULL);
	}
}

static void
count_busy(struct queue *queue)
{
	const struct exec_link *link;
	uint64_t busy = 0;

	TAILQ_FOREACH(link, &queue->links, of_queue)
		busy += link->nrunning > 0;
	counter_set(&queue->counters->executors_busy, busy);
}

void
queue_tick(struct queue *queue)
{
	struct exec_link *link, *next;
	uint64_t now_us = clock_us();

	for (link = TAILQ_FIRST(&queue->links); link != NULL; link = next) {
		next = TAILQ_NEXT(link, of_queue);
		exec_link_tick(link, now_us, queue->conf->request_timeout_ms);
	}
	for (int i = 0; i < LANES && queue->conf->queue_timeout_ms > 0; i++)
		expire_lane(queue, &queue->lanes[i], now_us);
	queue_pump(queue);
	count_busy(queue);
}
