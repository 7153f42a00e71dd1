/* SPDX-License-Identifier: ISC */
#include "worker/deadline.h"

#include "common/clock.h"
#include "worker/conn.h"
#include "worker/worker.h"

void
deadline_init(struct deadline_queue queues[DEADLINE_KINDS],
    const struct conf_listener *conf)
{
	for (int kind = 0; kind < DEADLINE_KINDS; kind++)
		TAILQ_INIT(&queues[kind].waiting);
	queues[DEADLINE_IDLE].length_ms = conf->idle_timeout_ms;
	queues[DEADLINE_READ].length_ms = conf->read_timeout_ms;
	queues[DEADLINE_WRITE].length_ms = conf->write_timeout_ms;
	queues[DEADLINE_LINGER].length_ms = DEADLINE_LINGER_MS;
	queues[DEADLINE_PROXY].length_ms = DEADLINE_PROXY_MS;
}

void
deadline_clear(struct conn *conn)
{
	struct deadline_queue *queue;

	if (conn->deadline == DEADLINE_NONE)
		return;
	queue = &conn->listener->deadlines[conn->deadline];
	if (queue->restored == conn)
		queue->restored = TAILQ_PREV(conn, conn_waiting_list, waiting);
	TAILQ_REMOVE(&queue->waiting, conn, waiting);
	conn->deadline = DEADLINE_NONE;
	conn->overdue = false;
}

void
deadline_set(struct conn *conn, enum deadline_kind kind, uint64_t since_ms)
{
	deadline_clear(conn);
	conn->deadline = (uint8_t)kind;
	counter_set(&conn_record(conn)->since_ms, since_ms);
	TAILQ_INSERT_TAIL(&conn->listener->deadlines[kind].waiting, conn,
	    waiting);
}

static uint64_t
deadline_since_ms_of(const struct conn *conn)
{
	return (conn_record(conn)->since_ms);
}

/* The last one that waits for at least as long; NULL if none does. */
static struct conn *
deadline_find_before(const struct deadline_queue *queue, uint64_t since_ms)
{
	struct conn *before = queue->restored, *next;

	if (before == NULL)
		before = TAILQ_LAST(&queue->waiting, conn_waiting_list);
	while (before != NULL && deadline_since_ms_of(before) > since_ms)
		before = TAILQ_PREV(before, conn_waiting_list, waiting);
	while (before != NULL &&
	    (next = TAILQ_NEXT(before, waiting)) != NULL &&
	    deadline_since_ms_of(next) <= since_ms)
		before = next;
	return (before);
}

void
deadline_restore(struct conn *conn, enum deadline_kind kind, uint64_t since_ms)
{
	struct deadline_queue *queue = &conn->listener->deadlines[kind];
	struct conn *before = deadline_find_before(queue, since_ms);

	conn->deadline = (uint8_t)kind;
	counter_set(&conn_record(conn)->since_ms, since_ms);
	if (before != NULL)
		TAILQ_INSERT_AFTER(&queue->waiting, before, conn, waiting);
	else
		TAILQ_INSERT_HEAD(&queue->waiting, conn, waiting);
	queue->restored = conn;
}

static void
deadline_forgive_one(struct conn *conn, uint64_t stall_ms, uint64_t now_ms)
{
	counter_set(&conn_record(conn)->since_ms,
	    clock_later(deadline_since_ms_of(conn), stall_ms, now_ms));
	if (conn->deadline == DEADLINE_LINGER)
		conn->pending->closing_ms = clock_later(
		    conn->pending->closing_ms, stall_ms, now_ms);
}

void
deadline_forgive(struct worker *worker, uint64_t stall_ms)
{
	struct conn *conn;

	for (size_t i = 0; i < worker->nlisteners; i++)
		for (int kind = 0; kind < DEADLINE_KINDS; kind++)
			TAILQ_FOREACH(conn, &worker->listeners[i]
			    .deadlines[kind].waiting, waiting)
				deadline_forgive_one(conn, stall_ms,
				    worker->now_ms);
}

void
deadline_put_off(struct conn *conn)
{
	struct deadline_queue *queue = &conn->listener->deadlines[conn->deadline];
	uint64_t since_ms = conn->listener->worker->now_ms +
	    WORKER_TICK_MS / 2 - queue->length_ms;
	struct conn *next = TAILQ_NEXT(conn, waiting);
	uint8_t kind = conn->deadline;

	while (next != NULL && deadline_since_ms_of(next) < since_ms)
		next = TAILQ_NEXT(next, waiting);
	deadline_clear(conn);
	conn->deadline = kind;
	conn->overdue = true;
	counter_set(&conn_record(conn)->since_ms, since_ms);
	if (next != NULL)
		TAILQ_INSERT_BEFORE(next, conn, waiting);
	else
		TAILQ_INSERT_TAIL(&queue->waiting, conn, waiting);
}

static bool
deadline_is_due(const struct deadline_queue *queue, uint64_t now_ms)
{
	const struct conn *first = TAILQ_FIRST(&queue->waiting);

	return (queue->length_ms > 0 && first != NULL &&
	    deadline_since_ms_of(first) + queue->length_ms <= now_ms);
}

struct conn *
deadline_next_due(struct worker *worker)
{
	const struct deadline_queue *queue;

	for (size_t i = 0; i < worker->nlisteners; i++)
		for (int kind = 0; kind < DEADLINE_KINDS; kind++) {
			queue = &worker->listeners[i].deadlines[kind];
			if (deadline_is_due(queue, worker->now_ms))
				return (TAILQ_FIRST(&queue->waiting));
		}
	return (NULL);
}

/* The head of a queue, or the one behind it if the head is not wanted. */
static struct conn *
deadline_first_but(struct deadline_queue *queue, const struct conn *but)
{
	struct conn *conn = TAILQ_FIRST(&queue->waiting);

	if (conn != NULL && conn == but)
		conn = TAILQ_NEXT(conn, waiting);
	return (conn);
}

struct conn *
deadline_slowest(struct worker *worker, const struct conn *but)
{
	static const enum deadline_kind kinds[] = {
		DEADLINE_READ, DEADLINE_WRITE
	};
	struct conn *conn, *slowest = NULL;

	for (size_t i = 0; i < worker->nlisteners; i++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
			conn = deadline_first_but(
			    &worker->listeners[i].deadlines[kinds[k]], but);
			if (conn != NULL && (slowest == NULL ||
			    conn_record(conn)->since_ms <
			    conn_record(slowest)->since_ms))
				slowest = conn;
		}
	return (slowest);
}
