/* SPDX-License-Identifier: ISC */
#include "worker/conn_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "worker/conn_record.h"
#include "worker/custody.h"
#include "worker/lane.h"
#include "worker/transport.h"

/*
 * The pending part.
 */

struct conn_pending *
conn_pending(struct conn *conn)
{
	if (conn->pending == NULL) {
		conn->pending = calloc(1, sizeof(*conn->pending));
		if (conn->pending == NULL)
			return (NULL);
		conn->pending->conn = conn;
		TAILQ_INIT(&conn->pending->requests);
	}
	return (conn->pending);
}

/* Tell how many requests are in flight. */
static void
record_requests(const struct conn *conn)
{
	__atomic_store_n(&conn_record(conn)->requests,
	    (uint16_t)conn->pending->nrequests, __ATOMIC_RELAXED);
}

int
conn_add_request(struct conn *conn, struct request *request)
{
	struct conn_pending *pending;

	if ((pending = conn_pending(conn)) == NULL)
		return (-1);
	TAILQ_INSERT_TAIL(&pending->requests, request, of_conn);
	pending->nrequests++;
	pending->nmade += request->handler == NULL;
	record_requests(conn);
	return (0);
}

void
conn_remove_request(struct conn *conn, struct request *request)
{
	TAILQ_REMOVE(&conn->pending->requests, request, of_conn);
	conn->pending->nrequests--;
	conn->pending->nmade -= request->handler == NULL;
	record_requests(conn);
}

struct request *
conn_take_request(struct conn *conn)
{
	struct request *request = TAILQ_FIRST(&conn->pending->requests);

	conn_remove_request(conn, request);
	return (request);
}

void
conn_starve(struct conn *conn)
{
	struct conn_pending *pending = conn->pending;

	pending->starved = true;
	TAILQ_INSERT_TAIL(&conn_worker(conn)->starved, pending, held);
}

static void
conn_end_starving(struct conn *conn)
{
	TAILQ_REMOVE(&conn_worker(conn)->starved, conn->pending, held);
	conn->pending->starved = false;
}

void
conn_on_memory(struct conn *conn)
{
	conn_end_starving(conn);
	conn_make_ready(conn);
}

void
conn_list_ready(struct conn *conn)
{
	struct conn_pending *pending = conn->pending;
	struct worker *worker = conn_worker(conn);

	if (pending->is_ready)
		return;
	pending->is_ready = true;
	TAILQ_INSERT_TAIL(&worker->ready, pending, ready);
	worker->nready++;
}

void
conn_make_ready(struct conn *conn)
{
	conn_list_ready(conn);
	worker_end_later(conn_worker(conn));
}

void
conn_end_ready(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	if (!conn->pending->is_ready)
		return;
	TAILQ_REMOVE(&worker->ready, conn->pending, ready);
	conn->pending->is_ready = false;
	worker->nready--;
}

void
conn_stop_waiting(struct conn *conn)
{
	struct conn_pending *pending = conn->pending;

	if (pending == NULL)
		return;
	if (pending->feeds != NULL)
		lane_forget_feeder(pending);
	if (pending->starved)
		conn_end_starving(conn);
	blame_suspend(conn);
}

void
conn_abandon_requests(struct conn *conn)
{
	while (conn_awaits(conn))
		request_abandon(conn_take_request(conn));
	conn_stop_waiting(conn);
}

static void
conn_free_pending(struct conn *conn)
{
	struct buffer_pool *buffers = &conn_worker(conn)->buffers;

	if (conn->pending == NULL)
		return;
	conn_abandon_requests(conn);
	conn_end_ready(conn);
	buffer_release(buffers, &conn->pending->in);
	buffer_release(buffers, &conn->pending->out);
	free(conn->pending);
	conn->pending = NULL;
}

/* An idle connection has no pending part. */
void
conn_trim(struct conn *conn)
{
	const struct conn_pending *pending = conn->pending;

	if (pending != NULL && pending->in == NULL && pending->out == NULL &&
	    pending->nrequests == 0 && pending->feeds == NULL &&
	    !pending->starved && !pending->is_ready &&
	    conn->state != CONN_CLOSING &&
	    blame_is_over(&pending->blame, conn_worker(conn)->now_ms))
		conn_free_pending(conn);
}

/*
 * Its end.
 */

void
conn_free(struct conn *conn)
{
	if (conn->state != CONN_PARKED)
		deadline_clear(conn);
	if (!conn->rejected) {
		conn_count_close(conn);
		conn_log_close(conn);
	}
	conn_forget(conn);
}

static void
conn_release(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	conn_free_pending(conn);
	conn_record_clear(conn_record(conn));
	conn_table_give(&worker->conns, conn);
	acceptors_note_room(worker);
}

void
conn_forget(struct conn *conn)
{
	custody_leave(conn);
	event_del(&conn->event);
	transport_close(conn);
	conn_release(conn);
}

void
conn_withdraw(struct conn *conn)
{
	event_del(&conn->event);
	conn_release(conn);
}

void
conn_close_hard(struct conn *conn)
{
	if (conn_owes(conn) || transport_unsent(conn) > 0)
		transport_drop_unsent(conn);
}

void
conn_cut(struct conn *conn, enum close_reason reason)
{
	conn_close_hard(conn);
	conn->reason = (uint8_t)reason;
	conn_free(conn);
}

/*
 * States.
 */

/* What a state waits for.  Whatever brings a connection further is either its
 * event, or its deadline, or makes it ready. */
static const struct {
	short event;
	enum deadline_kind deadline;
} conn_states[] = {
	[CONN_READING] = { EV_READ, DEADLINE_IDLE },	/* or another one */
	[CONN_DISPATCHED] = { 0, DEADLINE_REPLY },
	[CONN_WRITING] = { EV_WRITE, DEADLINE_WRITE },
	[CONN_CLOSING] = { EV_READ, DEADLINE_LINGER },
	[CONN_PROXY_HEADER] = { EV_READ, DEADLINE_PROXY },
	[CONN_PARKED] = { 0, DEADLINE_NONE },
};

/* Returns -1 with errno set. */
static int
conn_watch(struct conn *conn, enum conn_state state)
{
	struct event *event = &conn->event;
	short wanted = conn_states[state].event;

	/* Mostly no more comes while a handler works, so the event stays until
	 * it tells of something: to change it twice for each wait would cost
	 * more than all else that a wait costs. */
	if (state == CONN_DISPATCHED && conn->state == CONN_READING)
		return (0);
	if (wanted != 0 && event_pending(event, wanted, NULL))
		return (0);
	event_del(event);
	if (wanted == 0)
		return (0);
	event_assign(event, event_get_base(event), conn_fd(conn),
	    wanted | EV_PERSIST, event_get_callback(event), conn);
	errno = ENOMEM;		/* libevent does not always say */
	return (event_add(event, NULL));
}

/* A message that waits for its handler is not its client's fault. */
static enum buffer_use
conn_use_of_input(const struct conn *conn)
{
	return (conn->state == CONN_DISPATCHED && !conn->pending->starved ?
	    BUFFER_HELD : BUFFER_PEER);
}

/* All of a change but the deadline.  Returns -1 with errno set. */
static int
conn_change(struct conn *conn, enum conn_state state)
{
	if (conn_watch(conn, state) == -1)
		return (-1);
	conn->state = (uint8_t)state;
	if (state == CONN_PARKED)
		return (0);
	__atomic_store_n(&conn_record(conn)->state, (uint8_t)state,
	    __ATOMIC_RELAXED);
	if (conn_in_mid_message(conn))
		buffer_use(&conn_worker(conn)->buffers, conn->pending->in,
		    conn_use_of_input(conn));
	return (0);
}

/* Whether the word that the peer waits for, before it sends the rest of its
 * message, still waits itself for the replies before it. */
static bool
conn_owes_continue(const struct conn *conn)
{
	const struct request *last;

	if (!conn_in_mid_message(conn) || !conn_awaits(conn))
		return (false);
	last = TAILQ_LAST(&conn->pending->requests, request_list);
	return (last->exchange != NULL && last->exchange->is_interim);
}

static enum deadline_kind
conn_deadline(const struct conn *conn)
{
	if (conn->state != CONN_READING)
		return (conn_states[conn->state].deadline);
	if (conn_in_mid_message(conn) && !conn_owes_continue(conn))
		return (DEADLINE_READ);
	return (conn_awaits(conn) ? DEADLINE_REPLY : DEADLINE_IDLE);
}

void
conn_set_deadline(struct conn *conn)
{
	if (conn->state == CONN_WRITING) {
		conn->pending->taken = 0;
		conn->pending->unsent = transport_unsent(conn);
	}
	deadline_set(conn, conn_deadline(conn), conn_worker(conn)->now_ms);
}

int
conn_enter(struct conn *conn, enum conn_state state)
{
	if (conn_change(conn, state) == -1)
		return (-1);
	conn_set_deadline(conn);
	return (0);
}

enum conn_next
conn_fail(struct conn *conn)
{
	if (errno == ENOBUFS || errno == ENOMEM)
		conn->reason = CLOSE_MEMORY;
	else if (errno == EBADMSG)
		conn->reason = CLOSE_MALFORMED;
	else if (!conn->eof)
		conn->reason = CLOSE_RESET;
	return (CONN_DONE);
}

/*
 * Changing hands.
 */

void
conn_park(struct conn *conn)
{
	struct request *request;
	uint8_t was = conn->deadline;

	deadline_clear(conn);
	conn->deadline = was;
	(void)conn_change(conn, CONN_PARKED);
	if (conn->pending == NULL)
		return;
	conn_stop_waiting(conn);
	conn_end_ready(conn);
	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_WAITING)
			lane_withdraw(request);
}

int
conn_unpark(struct conn *conn)
{
	enum deadline_kind was = conn->deadline, kind;
	enum conn_state state = CONN_READING;

	/* A rescuer finds some that have no header yet. */
	if (conn_record(conn)->state == CONN_PROXY_HEADER)
		state = CONN_PROXY_HEADER;
	else if (conn_owes(conn))
		state = CONN_WRITING;
	if (conn_change(conn, state) == -1)
		return (-1);
	kind = conn_deadline(conn);
	deadline_restore(conn, kind, kind == was ?
	    conn_record(conn)->since_ms : conn_worker(conn)->now_ms);
	return (0);
}
