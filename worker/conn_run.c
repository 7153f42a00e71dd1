/* SPDX-License-Identifier: ISC */
/*
 * The course of a connection: it is accepted, read, answered, written to and
 * closed, or handed over.
 */
#include "worker/conn_internal.h"

#include <errno.h>

#include "common/fault.h"
#include "worker/conn_record.h"
#include "worker/custody.h"
#include "worker/keepalive.h"
#include "worker/transport.h"

static void conn_on_event(evutil_socket_t, short, void *);

/*
 * Birth.
 */

static void
conn_set_up(struct conn *conn, struct listener *listener, int fd)
{
	conn->listener = listener;
	conn->proto = (uint8_t)(listener->conf->protocol & 3);
	event_assign(&conn->event, listener->worker->base, fd,
	    EV_READ | EV_PERSIST, conn_on_event, conn);
}

struct conn *
conn_place(struct listener *listener, int fd)
{
	struct worker *worker = listener->worker;
	struct conn *conn;

	if ((conn = conn_table_take(&worker->conns)) == NULL)
		return (NULL);
	conn_set_up(conn, listener, fd);
	custody_use_place(conn);
	conn->state = CONN_READING;
	if (event_add(&conn->event, NULL) == 0)
		return (conn);
	conn_table_give(&worker->conns, conn);
	errno = ENOMEM;
	return (NULL);
}

struct conn *
conn_place_again(struct listener *listener, int fd, uint32_t index)
{
	struct conn *conn = conn_table_take_again(&listener->worker->conns,
	    index);

	if (conn == NULL)
		return (NULL);
	conn_set_up(conn, listener, fd);
	transport_open(conn, fd_is_local(fd));
	conn->state = CONN_PARKED;
	conn->deadline = DEADLINE_IDLE;
	conn->proxied = custody_of(conn)->proxied;
	conn->unproven = true;
	return (conn);
}

struct conn *
conn_make(struct listener *listener, int fd, const struct sockaddr *peer)
{
	struct conn *conn;

	if ((conn = conn_place(listener, fd)) == NULL) {
		fd_close_unread(fd);
		return (NULL);
	}
	conn_record_open(conn, peer);
	transport_open(conn, peer->sa_family == AF_UNIX);
	return (conn);
}

struct conn *
conn_new(struct listener *listener, int fd, const struct sockaddr *peer)
{
	struct conn *conn;

	if ((conn = conn_make(listener, fd, peer)) == NULL)
		return (NULL);
	/* Before a rescuer can find it.  It waits for that event already. */
	if (listener->conf->proxy_protocol)
		(void)conn_enter(conn, CONN_PROXY_HEADER);
	custody_enter(conn);
	FAULT("entered");
	keepalive_spread(conn);
	conn_count_open(conn);
	if (conn->state == CONN_PROXY_HEADER)
		return (conn);
	conn_set_deadline(conn);
	conn_log_open(conn, NULL);
	return (conn);
}

/*
 * What follows.
 */

/* One whose peer always has more to say would never come to rest: now that it
 * has, as conn_settle() has told the giver, it reads no more before that has
 * had its chance, at the end of this turn. */
static bool
conn_leave_to_giver(struct conn *conn)
{
	if (!departure_is_next(conn))
		return (false);
	/* If it has to stay, it goes on: with what the kernel has, as its event
	 * tells, or with what is here. */
	if (conn_in_mid_message(conn)) {
		conn->pending->unhandled = true;
		conn_make_ready(conn);
	}
	return (true);
}

static enum conn_next
conn_go_on_reading(struct conn *conn)
{
	if (conn->state == CONN_READING) {
		/* The last reply has gone, and now the peer has its turn. */
		if (conn->deadline == DEADLINE_REPLY && !conn_awaits(conn))
			conn_set_deadline(conn);
		return (CONN_WAIT);
	}
	if (conn_enter(conn, CONN_READING) == -1)
		return (conn_fail(conn));
	return (conn_leave_to_giver(conn) ? CONN_WAIT : CONN_AGAIN);
}

static enum conn_next
conn_wait_in(struct conn *conn, enum conn_state state)
{
	if (conn->state != state && conn_enter(conn, state) == -1)
		return (conn_fail(conn));
	return (CONN_WAIT);
}

/*
 * All is said.  Say so, and read on until the peer has seen it: a close with
 * unread input sends a reset, which can destroy the replies under way.
 */
static enum conn_next
conn_begin_closing(struct conn *conn)
{
	if (conn->eof || transport_end(conn) == -1 ||
	    conn_pending(conn) == NULL || conn_enter(conn, CONN_CLOSING) == -1)
		return (CONN_DONE);
	conn->pending->closing_ms = conn_worker(conn)->now_ms;
	return (CONN_AGAIN);
}

enum conn_next
conn_finish(struct conn *conn, enum close_reason reason)
{
	conn_end_after_replies(conn, reason);
	if (conn_in_mid_message(conn))
		buffer_release(&conn_worker(conn)->buffers, &conn->pending->in);
	return (conn_owes(conn) ? conn_wait_in(conn, CONN_WRITING) :
	    conn_begin_closing(conn));
}

/* Send the replies of this turn; what then is to become of the connection. */
static enum conn_next
conn_settle(struct conn *conn)
{
	custody_settle(conn, conn_worker(conn)->output.len, false);
	FAULT("gathered");
	if (output_flush(&conn_worker(conn)->output, conn) == -1)
		return (conn_fail(conn));
	FAULT("sent");
	departure_note_rest(conn);
	if (conn->state == CONN_CLOSING ||
	    (conn->state == CONN_WRITING && conn_owes(conn)))
		return (CONN_WAIT);
	if (conn_in_mid_message(conn) && !conn_may_handle(conn))
		conn->pending->unhandled = true;
	if (conn->finishing && !conn_awaits(conn))
		return (conn_finish(conn, conn->reason));
	if (conn_owes(conn))
		return (conn_wait_in(conn, CONN_WRITING));
	if (!conn_may_handle(conn))
		return (conn_wait_in(conn, CONN_DISPATCHED));
	conn_trim(conn);
	/* What had come before the order is answered. */
	if (!conn_in_mid_message(conn) && !conn_awaits(conn) &&
	    departure_is_due(conn) && !transport_has_unread(conn))
		return (conn_finish(conn, CLOSE_DRAIN));
	return (conn_go_on_reading(conn));
}

/*
 * Writing and closing.
 */

static enum conn_next
conn_write_replies(struct conn *conn)
{
	ssize_t n;

	if ((n = output_resume(conn)) == -1)
		return (conn_fail(conn));
	if (!conn_owes(conn))
		return (CONN_SETTLE);
	conn->pending->taken += (size_t)n;
	if (conn->pending->taken >= CONN_WRITE_PROGRESS)
		conn_set_deadline(conn);
	return (CONN_WAIT);
}

static enum conn_next
conn_linger(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);
	ssize_t n;

	for (int i = 0; i < CONN_READS_PER_TURN; i++) {
		n = transport_receive(conn, worker->scratch, WORKER_SCRATCH);
		if (n == -1 && errno == EAGAIN)
			return (CONN_WAIT);
		if (n <= 0 || worker->now_ms - conn->pending->closing_ms >
		    CONN_LINGER_MAX_MS)
			return (CONN_DONE);
		/* One that was slow to speak has no more time for that. */
		if (conn->reason != CLOSE_READ_TIMEOUT)
			conn_set_deadline(conn);
	}
	return (CONN_WAIT);
}

/* All before the messages has come, and the giver may have waited for that. */
static enum conn_next
conn_begin_messages(struct conn *conn)
{
	departure_note_rest(conn);
	return (conn_leave_to_giver(conn) ? CONN_WAIT : CONN_AGAIN);
}

/*
 * Running.
 */

static enum conn_next
conn_run_state(struct conn *conn)
{
	enum conn_next next;

	switch ((enum conn_state)conn->state) {
	case CONN_READING:
		return (conn_read_messages(conn));
	case CONN_DISPATCHED:
		return (CONN_SETTLE);
	case CONN_WRITING:
		return (conn_write_replies(conn));
	case CONN_CLOSING:
		return (conn_linger(conn));
	case CONN_PROXY_HEADER:
		next = conn_read_header(conn);
		return (next == CONN_AGAIN ? conn_begin_messages(conn) : next);
	case CONN_PARKED:
		break;
	}
	return (CONN_WAIT);
}

/* What becomes of one that was shed, now that it is run. */
static enum conn_next
conn_end_shed(struct conn *conn)
{
	enum conn_shed shed = conn->pending->shed;

	conn->pending->shed = CONN_NOT_SHED;
	if (conn->state == CONN_CLOSING)
		return (CONN_WAIT);
	if (shed == CONN_SHED_CUT) {
		conn_close_hard(conn);
		return (CONN_DONE);
	}
	if (conn_finish_done(conn) == -1 ||
	    output_flush(&conn_worker(conn)->output, conn) == -1)
		return (conn_fail(conn));
	if (shed == CONN_SHED_TOLD && !conn_owes(conn))
		output_tell(conn, NULL, TROUBLE_BUSY,
		    conn_proto(conn)->busy);
	return (conn_finish(conn, conn->reason));
}

/* What there is to do for one that is ready. */
static enum conn_next
conn_go_on(struct conn *conn)
{
	if (conn->pending->shed != CONN_NOT_SHED)
		return (conn_end_shed(conn));
	if (conn_finish_done(conn) == -1)
		return (conn_fail(conn));
	if (conn->state == CONN_READING && conn->pending->unhandled)
		return (CONN_AGAIN);
	return (CONN_SETTLE);
}

/* Let a connection go on as far as it can; no other one is run meanwhile. */
static void
conn_run(struct conn *conn, enum conn_next (*begin)(struct conn *))
{
	struct worker *worker = conn_worker(conn);
	enum conn_next next;

	output_begin(&worker->output, conn);
	next = begin(conn);
	while (next == CONN_AGAIN || next == CONN_SETTLE)
		next = next == CONN_SETTLE ? conn_settle(conn) :
		    conn_run_state(conn);
	output_end(&worker->output);
	if (next == CONN_DONE)
		conn_free(conn);	/* conn is gone after this line */
	/* Who waits for memory may have some now. */
	if (!TAILQ_EMPTY(&worker->starved))
		worker_end_later(worker);
}

static void
conn_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	worker_turn(conn_worker(conn));
	if (conn->state == CONN_DISPATCHED)
		/* It is not its turn yet: conn_watch(). */
		event_del(&conn->event);
	else
		conn_run(conn, conn_run_state);
}

void
conn_run_ready(struct conn *conn)
{
	conn_end_ready(conn);
	conn_run(conn, conn_go_on);
}

void
conn_run_all_ready(struct worker *worker)
{
	struct conn_pending *first;

	/* Whoever becomes ready meanwhile stands behind these. */
	for (unsigned n = worker->nready; n > 0 &&
	    (first = TAILQ_FIRST(&worker->ready)) != NULL; n--)
		conn_run_ready(first->conn);
}

void
conn_reconsider(struct conn *conn)
{
	if (conn->state == CONN_DISPATCHED && conn_may_handle(conn))
		conn_make_ready(conn);
}

/*
 * Going on after a hand-over or a delay.
 */

/* What a request's handler was not asked for yet. */
static void
conn_readmit_requests(struct conn *conn)
{
	struct request *request;

	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_PARKED)
			handler_readmit(request);
}

/* What its dead worker had asked handlers for, nobody will answer. */
static int
conn_fail_owed(struct conn *conn, const struct custody_conn *held)
{
	const struct worker *worker = conn_worker(conn);
	bool has_exchange = conn_proto(conn)->has_exchange;
	const struct handler *handler = conn->listener->handler;

	if (has_exchange && held->owed > CUSTODY_OWED_EXCHANGES)
		return (RESCUE_DAMAGED);
	for (unsigned i = 0; i < held->owed; i++) {
		if (has_exchange && held->with[i].handler >= worker->nhandlers)
			return (RESCUE_DAMAGED);
		if (has_exchange)
			handler = &worker->handlers[held->with[i].handler];
		if (conn_fail_request(conn, handler,
		    has_exchange ? held->with[i].note : 0) == -1)
			return (RESCUE_FULL);
		if (handler->queue != NULL)
			counter_add(&handler->queue->counters->failed, 1);
	}
	return (-1);
}

/* It cannot be served on. */
static void
conn_drop_unproven(struct conn *conn, enum rescue_reason why)
{
	char peer[CONN_PEER_MAX];

	conn->reason = why == RESCUE_OVER ? CLOSE_RESET : CLOSE_LOST;
	if (why != RESCUE_OVER) {
		conn_worker(conn)->rescued.dropped[why]++;
		LOG(WARN, CONN_LOST, F_U64("conn", conn_record(conn)->id),
		    F_STR("listener", conn->listener->conf->name),
		    F_STR("peer", conn_peer(conn, peer)),
		    F_STR("reason", rescue_reason_name(why)));
	}
	conn_free(conn);
}

/* Compare one that was found after its worker's death with its socket.  Returns
 * whether it can be served; else it is gone. */
static bool
conn_prove(struct conn *conn)
{
	struct ctl_rescued *rescued = &conn_worker(conn)->rescued;
	const struct custody_conn held = *custody_of(conn);
	int why = custody_check(&held, conn_record(conn));

	conn->unproven = false;
	/* Its worker may have died before it had counted the last ones. */
	if (why == -1) {
		counter_set(&conn_record(conn)->bytes_in, held.rest_in);
		counter_set(&conn_record(conn)->bytes_out, held.rest_out);
		why = conn_fail_owed(conn, &held);
	}
	if (why == -1) {
		rescued->kept++;
		rescued->answered += held.owed;
		return (true);
	}
	conn_drop_unproven(conn, (enum rescue_reason)why);
	return (false);
}

void
conn_wake(struct conn *conn)
{
	if (conn->unproven && !conn_prove(conn))
		return;
	if (conn_unpark(conn) == -1) {
		conn->reason = CLOSE_MEMORY;
		conn_free(conn);
		return;
	}
	custody_enter(conn);
	if (conn->pending == NULL)
		return;
	if (!blame_resume(conn) && conn_awaits(conn))
		conn_readmit_requests(conn);
	/* What it waited for may be there. */
	conn_make_ready(conn);
}

void
conn_on_patience(struct conn *conn)
{
	blame_suspend(conn);
	conn_readmit_requests(conn);
	conn_make_ready(conn);
}
