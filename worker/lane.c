/* SPDX-License-Identifier: ISC */
#include "worker/lane.h"

#include "worker/queue.h"
#include "worker/worker.h"

struct lane *
lane_of(struct queue *queue, const struct conn *conn)
{
	return (&queue->lanes[conn->listener->conf->priority ==
	    CONF_PRIORITY_HIGH ? LANE_HIGH : LANE_NORMAL]);
}

static void
lane_count(struct queue *queue, struct lane *lane, int change)
{
	lane->waiting = (unsigned)((int)lane->waiting + change);
	queue->waiting = (unsigned)((int)queue->waiting + change);
	counter_set(&queue->counters->waiting, queue->waiting);
	if (queue->waiting > counter_get(&queue->counters->waiting_peak))
		counter_set(&queue->counters->waiting_peak, queue->waiting);
}

void
lane_append(struct queue *queue, struct request *request)
{
	struct lane *lane = lane_of(queue, request->conn);

	request->state = REQUEST_WAITING;
	TAILQ_INSERT_TAIL(&lane->requests, request, of_work);
	lane_count(queue, lane, 1);
	counter_add(&queue->counters->waits, 1);
}

void
lane_leave(struct request *request)
{
	struct queue *queue = request->queue;
	struct lane *lane = lane_of(queue, request->conn);

	TAILQ_REMOVE(&lane->requests, request, of_work);
	lane_count(queue, lane, -1);
	/* It is in no lane any more, whatever becomes of it. */
	request->state = REQUEST_RUNNING;
}

void
lane_withdraw(struct request *request)
{
	lane_leave(request);
	request->state = REQUEST_PARKED;
}

void
lane_readmit(struct queue *queue, struct request *request)
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
	if (request->since_us == 0)
		request->since_us = request->arrived_us;
	buffer_use(&queue->worker->buffers, request->payload, BUFFER_WORK);
	buffer_use(&queue->worker->buffers, request->facts, BUFFER_WORK);
	lane_count(queue, lane, 1);
}

/*
 * Feeders.
 */

void
lane_add_feeder(struct queue *queue, struct conn_pending *pending, size_t len)
{
	struct lane *lane = lane_of(queue, pending->conn);

	pending->feeds = queue;
	pending->feed_len = len;
	TAILQ_INSERT_TAIL(&lane->feeders, pending, held);
	lane->nfeeders++;
	counter_add(&queue->counters->held_back, 1);
}

void
lane_remove_feeder(struct conn_pending *pending)
{
	struct lane *lane = lane_of(pending->feeds, pending->conn);

	TAILQ_REMOVE(&lane->feeders, pending, held);
	lane->nfeeders--;
	pending->feeds = NULL;
}

void
lane_forget_feeder(struct conn_pending *pending)
{
	struct queue *queue = pending->feeds;

	lane_remove_feeder(pending);
	lanes_make_roomy(queue);
}

/*
 * Room.
 */

void
lanes_list_roomy(struct queue *queue)
{
	if (queue->is_roomy)
		return;
	queue->is_roomy = true;
	TAILQ_INSERT_TAIL(&queue->worker->roomy, queue, roomy);
	worker_end_later(queue->worker);
}

void
lanes_make_roomy(struct queue *queue)
{
	bool has_feeders = false;

	/* Each one is called once, as it may be turned away again. */
	for (int i = 0; i < LANES; i++) {
		queue->lanes[i].ncalls = queue->lanes[i].nfeeders;
		has_feeders |= queue->lanes[i].nfeeders > 0;
	}
	if (queue->waiting > 0 || has_feeders)
		lanes_list_roomy(queue);
}

bool
lanes_are_running(const struct queue *queue)
{
	const struct exec_link *link;

	TAILQ_FOREACH(link, &queue->links, of_queue)
		if (link->nrunning > 0)
			return (true);
	return (false);
}

bool
lanes_are_busy(const struct queue *queue)
{
	return (queue->waiting > 0 || lanes_are_running(queue));
}
