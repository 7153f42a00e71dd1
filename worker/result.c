/* SPDX-License-Identifier: ISC */
#include "worker/result.h"

#include "worker/conn_internal.h"
#include "worker/lane.h"
#include "worker/memory.h"
#include "worker/queue.h"
#include "worker/trace.h"

/* Keep a reply that others have to leave before. */
static void
result_keep(struct request *request, const struct payload *reply)
{
	if (reply == NULL || reply->len == 0)
		return;
	if (memory_reserve(request->conn, &request->payload, reply->len) == -1) {
		request->result = REQUEST_FAILED;
		return;
	}
	buffer_use(&conn_worker(request->conn)->buffers, request->payload,
	    BUFFER_WORK);
	buffer_append(request->payload, reply->bytes, reply->len);
}

/* The connection becomes ready if this is what it waits for. */
static void
result_hand_on(struct request *request, enum request_result result,
    const struct payload *reply)
{
	const struct request *before;

	request->state = REQUEST_DONE;
	request->result = (uint8_t)result;
	if (result <= REQUEST_SILENT)
		blame_clear_suspicion(&request->conn->pending->blame);
	before = TAILQ_PREV(request, request_list, of_conn);
	if (before != NULL && !before->is_leaving) {
		result_keep(request, reply);
		return;
	}
	request->is_leaving = true;
	if (reply != NULL)
		request->reply = *reply;
	conn_list_ready(request->conn);
}

void
result_store(struct request *request, enum request_result result,
    const struct payload *reply)
{
	struct worker *worker;

	if (request->conn == NULL) {
		worker = request->queue->worker;
		trace_end_later(worker, request, SPAN_ABANDONED);
		request_free(worker, request);
		return;
	}
	result_hand_on(request, result, reply);
	/* For one that has a reply, its link runs what is ready. */
	if (reply == NULL)
		worker_end_later(conn_worker(request->conn));
}

static void
result_count(struct counters_handler *counters, struct request *request)
{
	uint64_t now_us = worker_now_us(request->queue->worker);

	histogram_add(&counters->handling, now_us - request->begun_us);
	if (request->trace != NULL)
		request->trace->span.handled_us = now_us;
}

void
result_of_executor(struct request *request, enum request_result result,
    const struct payload *reply)
{
	struct counters_handler *counters = request->queue->counters;

	if (result == REQUEST_FAILED)
		counter_add(&counters->failed, 1);
	else if (result == REQUEST_TIMEOUT)
		counter_add(&counters->timeouts, 1);
	else
		result_count(counters, request);
	result_store(request, result, reply);
}

/* It has been let in once, and waits where it would if it had not been sent. */
void
result_returned(struct request *request, const struct payload *message)
{
	struct queue *queue = request->queue;
	struct worker *worker = queue->worker;

	if (request->conn == NULL || (message->len > 0 &&
	    buffer_reserve(&worker->buffers, &request->payload,
	    message->len) == -1)) {
		counter_add(&queue->counters->shed, request->conn != NULL);
		result_store(request, REQUEST_BUSY, NULL);
		return;
	}
	if (message->len > 0)
		buffer_append(request->payload, message->bytes, message->len);
	if (request->conn->pending->blame.is_slowed)
		request->state = REQUEST_PARKED;
	else
		lane_readmit(queue, request);
	/* Nobody works on it any more. */
	departure_note_rest(request->conn);
}
