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
#include "worker/http_facts.h"
#include "worker/proto.h"
#include "worker/trace.h"
#include "worker/worker.h"

enum { LANE_HIGH, LANE_NORMAL, LANES };

struct lane {
	struct request_list requests;
	unsigned waiting;
	struct conn_pending_list feeders;	/* told HANDLER_FULL */
	unsigned nfeeders;
	unsigned ncalls;	/* of these, how many may be called yet */
};

struct queue {
	struct worker *worker;		/* borrowed */
	struct handler *handler;	/* borrowed; owns us */
	const struct conf_handler *conf;
	struct counters_handler *counters;	/* in our block */
	struct lane lanes[LANES];
	unsigned waiting;		/* in both lanes */
	unsigned limit;			/* of each: our share of conf->queue */
	unsigned high_run;		/* high ones since a normal one */
	bool is_roomy;			/* there may be room: to be pumped */
	TAILQ_ENTRY(queue) roomy;	/* in worker->roomy */
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
	/* A listener of HTTP need not have a handler of its own. */
	request->is_routed = message->http != NULL;
	request->queue = queue;
	request->conn = conn;
	request->arrived_us = worker_now_us(queue->worker);
	request->since_us = request->arrived_us;
	request->number = conn_record(conn)->messages + 1;
	request->trace = trace_keep(queue->worker);
	return (request);
}

void
request_free(struct worker *worker, struct request *request)
{
	buffer_release(&worker->buffers, &request->payload);
	buffer_release(&worker->buffers, &request->facts);
	buffer_release(&worker->buffers, &request->fields);
	free(request->trace);
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

static void
list_roomy(struct queue *queue)
{
	if (queue->is_roomy)
		return;
	queue->is_roomy = true;
	TAILQ_INSERT_TAIL(&queue->worker->roomy, queue, roomy);
	worker_end_later(queue->worker);
}

void
queue_make_roomy(struct queue *queue)
{
	bool has_feeders = false;

	/* Each one is called once, as it may be turned away again. */
	for (int i = 0; i < LANES; i++) {
		queue->lanes[i].ncalls = queue->lanes[i].nfeeders;
		has_feeders |= queue->lanes[i].nfeeders > 0;
	}
	if (queue->waiting > 0 || has_feeders)
		list_roomy(queue);
}

void
request_abandon(struct request *request)
{
	struct worker *worker = request->conn->listener->worker;

	switch ((enum request_state)request->state) {
	case REQUEST_WAITING:
		trace_end_later(worker, request, SPAN_ABANDONED);
		leave_lane(request);
		queue_make_roomy(request->queue);
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
	if (request->since_us == 0)
		request->since_us = request->arrived_us;
	buffer_use(&queue->worker->buffers, request->payload, BUFFER_WORK);
	buffer_use(&queue->worker->buffers, request->facts, BUFFER_WORK);
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

static bool
is_running(const struct queue *queue)
{
	const struct exec_link *link;

	TAILQ_FOREACH(link, &queue->links, of_queue)
		if (link->nrunning > 0)
			return (true);
	return (false);
}

/* Whether something will be done that calls those who are turned away. */
static bool
is_busy(const struct queue *queue)
{
	return (queue->waiting > 0 || is_running(queue));
}

int
queue_reserve(struct queue *queue, struct conn *conn, struct buffer **buffer,
    size_t room)
{
	struct worker *worker = queue->worker;

	if (!worker_is_loaded(worker) || !is_busy(queue))
		return (conn_reserve(conn, buffer, room));
	return (buffer_reserve(&worker->buffers, buffer, room));
}

/* The bytes that are kept of a message beside its payload. */
static size_t
facts_size(const struct queue *queue, const struct conn *conn,
    const struct proto_message *message)
{
	return (message->http == NULL ? 0 : http_facts_size(message->http,
	    &conn->listener->conf->http, queue->worker->access_log != NULL));
}

static int
keep_facts(struct queue *queue, struct request *request,
    const struct proto_message *message, size_t size)
{
	struct conn *conn = request->conn;

	if (message->http == NULL)
		return (0);
	if (queue_reserve(queue, conn, &request->facts, size) == -1)
		return (-1);
	buffer_use(&queue->worker->buffers, request->facts, BUFFER_WORK);
	request->http = http_facts_fill(request->facts->bytes, message->http,
	    &conn->listener->conf->http, queue->worker->access_log != NULL);
	return (0);
}

static int
enqueue(struct queue *queue, struct request *request,
    const struct payload *message)
{
	struct lane *lane = lane_of(queue, request->conn);

	if (queue_reserve(queue, request->conn, &request->payload,
	    message->len) == -1)
		return (-1);
	buffer_use(&queue->worker->buffers, request->payload, BUFFER_WORK);
	buffer_append(request->payload, message->bytes, message->len);
	request->state = REQUEST_WAITING;
	TAILQ_INSERT_TAIL(&lane->requests, request, of_work);
	count_waiting(queue, lane, 1);
	counter_add(&queue->counters->waits, 1);
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

/* A message that takes so many bytes in all. */
static enum handler_verdict
turn_away(struct queue *queue, struct conn *conn, size_t len)
{
	struct lane *lane = lane_of(queue, conn);
	struct conn_pending *pending;

	if (queue->conf->overload != CONF_OVERLOAD_WAIT || !is_busy(queue) ||
	    (pending = conn_pending(conn)) == NULL)
		return (shed(queue));
	pending->feeds = queue;
	pending->feed_len = len;
	TAILQ_INSERT_TAIL(&lane->feeders, pending, held);
	lane->nfeeders++;
	counter_add(&queue->counters->held_back, 1);
	return (HANDLER_FULL);
}

/* Whether there is room for one more request.  An executor that has nothing to
 * do gets one whatever the work of others takes. */
static bool
has_room(const struct queue *queue, const struct lane *lane,
    const struct exec_link *link, size_t len)
{
	const struct worker *worker = queue->worker;

	if (link == NULL && lane->waiting >= queue->limit)
		return (false);
	return (worker_has_share(worker, len) || !is_busy(queue) ||
	    (link != NULL && link->nrunning == 0 &&
	    !worker_is_crowded(worker)));
}

/* Whether a connection was called to bring its messages, and has not brought so
 * many yet. */
static bool
take_call(const struct queue *queue, const struct conn *conn)
{
	struct conn_pending *pending = conn->pending;

	if (pending == NULL || pending->called != queue ||
	    pending->call_rest == 0)
		return (false);
	pending->call_rest--;
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
	if (keep_facts(queue, request, message, facts_len) == -1 ||
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

static void
remove_feeder(struct queue *queue, struct conn *conn)
{
	struct lane *lane = lane_of(queue, conn);

	TAILQ_REMOVE(&lane->feeders, conn->pending, held);
	lane->nfeeders--;
	conn->pending->feeds = NULL;
}

void
queue_forget_feeder(struct queue *queue, struct conn *conn)
{
	remove_feeder(queue, conn);
	queue_make_roomy(queue);
}

void
queue_forget_called(struct queue *queue, struct conn *conn)
{
	conn->pending->called = NULL;
	queue_make_roomy(queue);
}

/*
 * Going out.
 */

/* The first of a lane that is to begin here.  The others go with their
 * connections. */
static struct request *
first_of(const struct queue *queue, const struct lane *lane)
{
	struct request *request;

	TAILQ_FOREACH(request, &lane->requests, of_work)
		if (!giver_wants(&queue->worker->giver, request->conn) ||
		    !giver_holds_back(request->conn))
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
	leave_lane(request);
}

static void
finish(struct request *request, enum request_result result,
    const struct payload *reply)
{
	struct worker *worker = request->queue->worker;

	if (request->conn == NULL) {
		trace_end_later(worker, request, SPAN_ABANDONED);
		request_free(worker, request);
	} else
		conn_on_reply(request, result, reply);
	/* For one that has a reply, its link calls worker_run_ready(). */
	if (reply == NULL)
		worker_end_later(worker);
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
	if (!reserved && (errno == EAGAIN || is_running(queue)))
		return (false);
	take_next(queue, request);
	if (!reserved) {
		counter_add(&queue->counters->shed, 1);
		finish(request, REQUEST_BUSY, NULL);
		return (true);
	}
	request->payload = NULL;
	exec_link_send(link, request, &payload);
	histogram_add(&queue->counters->wait,
	    request->begun_us - request->arrived_us);
	buffer_release(&queue->worker->buffers, &message);
	return (true);
}

/* Let the first of those who were held back offer its message again, if there
 * is room for it. */
static bool
call_feeder(struct queue *queue, struct lane *lane)
{
	struct conn_pending *first = TAILQ_FIRST(&lane->feeders);

	if (lane->ncalls == 0 || first == NULL ||
	    !has_room(queue, lane, queue->waiting == 0 ? find_room(queue) :
	    NULL, first->feed_len))
		return (false);
	lane->ncalls--;
	remove_feeder(queue, first->conn);
	conn_on_call(first->conn, queue, QUEUE_CALL_RUN);
	return (true);
}

static void
give_out(struct queue *queue)
{
	struct exec_link *link;

	while (queue->waiting > 0 && (link = find_room(queue)) != NULL &&
	    begin_next(queue, link))
		;
}

static void
pump(struct queue *queue)
{
	give_out(queue);
	/* The next one is called when this one has been run. */
	for (int i = 0; i < LANES; i++)
		if (call_feeder(queue, &queue->lanes[i])) {
			list_roomy(queue);
			return;
		}
}

void
queue_pump_next(struct worker *worker)
{
	struct queue *queue = TAILQ_FIRST(&worker->roomy);

	if (queue == NULL)
		return;
	TAILQ_REMOVE(&worker->roomy, queue, roomy);
	queue->is_roomy = false;
	pump(queue);
}

static void
count_handling(struct counters_handler *counters, struct request *request)
{
	uint64_t now_us = worker_now_us(request->queue->worker);

	histogram_add(&counters->handling, now_us - request->begun_us);
	if (request->trace != NULL)
		request->trace->span.handled_us = now_us;
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
		count_handling(counters, request);
	finish(request, result, reply);
}

/* It has been let in once, and waits where it would if it had not been sent. */
void
queue_on_return(struct request *request, const struct payload *message)
{
	struct queue *queue = request->queue;
	struct worker *worker = queue->worker;

	if (request->conn == NULL || (message->len > 0 &&
	    buffer_reserve(&worker->buffers, &request->payload,
	    message->len) == -1)) {
		counter_add(&queue->counters->shed, request->conn != NULL);
		finish(request, REQUEST_BUSY, NULL);
		return;
	}
	if (message->len > 0)
		buffer_append(request->payload, message->bytes, message->len);
	if (request->conn->pending->blame.is_slowed)
		request->state = REQUEST_PARKED;
	else
		queue_readmit(queue, request);
	/* Nobody works on it any more. */
	if (giver_wants(&worker->giver, request->conn) &&
	    conn_at_rest(request->conn))
		giver_on_rest(worker);
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
queue_add_executor(struct queue *queue, uint64_t id, int fds[CTL_FDS_MAX],
    unsigned speaks)
{
	struct exec_link *link;

	link = exec_link_new(queue->worker, queue, id, fds, queue->conf);
	if (link == NULL) {
		worker_disown_executor(queue->worker, id, "out of memory",
		    false);
		return;
	}
	fds[0] = fds[1] = -1;
	link->speaks = speaks;
	TAILQ_INSERT_TAIL(&queue->links, link, of_queue);
	counter_add(&queue->counters->executors, 1);
	queue_make_roomy(queue);
}

void
queue_remove_executor(struct queue *queue, struct exec_link *link)
{
	TAILQ_REMOVE(&queue->links, link, of_queue);
	counter_sub(&queue->counters->executors, 1);
}

void
queue_on_death(struct queue *queue, uint64_t id)
{
	struct exec_link *link;

	TAILQ_FOREACH(link, &queue->links, of_queue)
		if (link->id == id)
			break;
	if (link == NULL)
		return;
	exec_link_on_death(link);
	queue_make_roomy(queue);
}

void
queue_count_end(struct queue *queue, bool with_message)
{
	if (with_message)
		counter_add(&queue->counters->crashes, 1);
	/* The last: the master looks for it. */
	counter_add(&queue->counters->used, 1);
}

void
queue_count_offence(struct queue *queue, bool is_first)
{
	counter_add(&queue->counters->slowed, 1);
	if (is_first)
		counter_add(&queue->counters->offenders, 1);
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

const char *
queue_handler_name(const struct queue *queue)
{
	return (queue->conf->name);
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

/* An executor may have room, and not have been looked at. */
static void
catch_up(struct queue *queue)
{
	struct exec_link *link, *next;

	for (link = TAILQ_FIRST(&queue->links); link != NULL; link = next) {
		next = TAILQ_NEXT(link, of_queue);
		exec_link_catch_up(link);
	}
	give_out(queue);
}

static void
expire_lane(struct queue *queue, struct lane *lane, uint64_t now_us)
{
	struct request *request;

	if (find_late(queue, lane, now_us) != NULL)
		catch_up(queue);
	while ((request = find_late(queue, lane, now_us)) != NULL) {
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
		exec_link_tick(link, queue->conf->request_timeout_ms);
	}
	for (int i = 0; i < LANES; i++)
		expire_lane(queue, &queue->lanes[i], now_us);
	queue_make_roomy(queue);
	count_busy(queue);
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
