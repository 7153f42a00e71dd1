/* SPDX-License-Identifier: ISC */
#include "worker/conn_internal.h"

#include <sys/ioctl.h>

#include <linux/sockios.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fd.h"
#include "worker/conn_record.h"
#include "worker/keepalive.h"
#include "worker/queue.h"

static void conn_on_event(evutil_socket_t, short, void *);

int
conn_fd(const struct conn *conn)
{
	return (event_get_fd(&conn->event));
}

bool
conn_owes(const struct conn *conn)
{
	return (conn->pending != NULL && conn->pending->out != NULL);
}

bool
conn_has_unread(const struct conn *conn)
{
	char byte;

	return (recv(conn_fd(conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

size_t
conn_unsent(const struct conn *conn)
{
	int n;

	return (ioctl(conn_fd(conn), SIOCOUTQ, &n) == 0 && n > 0 ?
	    (size_t)n : 0);
}

/*
 * Birth and death.
 */

static int
watch(struct conn *conn, short what)
{
	struct event_base *base = conn_worker(conn)->base;
	int fd = conn_fd(conn);

	event_del(&conn->event);
	event_assign(&conn->event, base, fd, what | EV_PERSIST, conn_on_event,
	    conn);
	return (event_add(&conn->event, NULL));
}

struct conn *
conn_place(struct listener *listener, int fd)
{
	struct worker *worker = listener->worker;
	struct conn *conn;

	if ((conn = conn_table_take(&worker->conns)) == NULL)
		return (NULL);
	conn->listener = listener;
	conn->state = CONN_READING;
	event_assign(&conn->event, worker->base, fd, EV_READ | EV_PERSIST,
	    conn_on_event, conn);
	if (event_add(&conn->event, NULL) == 0)
		return (conn);
	conn_table_give(&worker->conns, conn);
	errno = ENOMEM;
	return (NULL);
}

void
conn_look_at(struct conn *conn)
{
	conn->looks = conn_record(conn)->family == AF_UNIX &&
	    !fd_refuses_rights(conn_fd(conn));
}

ssize_t
conn_receive(const struct conn *conn, void *bytes, size_t len)
{
	ssize_t n;

	if (conn->looks)
		return (fd_receive(conn_fd(conn), bytes, len));
	do {
		n = recv(conn_fd(conn), bytes, len, MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	return (n);
}

static void
close_socket(const struct conn *conn)
{
	if (conn->looks)
		fd_close_unread(conn_fd(conn));
	else
		close(conn_fd(conn));
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
	conn_look_at(conn);
	return (conn);
}

struct conn *
conn_new(struct listener *listener, int fd, const struct sockaddr *peer)
{
	struct conn *conn;

	if ((conn = conn_make(listener, fd, peer)) == NULL)
		return (NULL);
	keepalive_spread(conn);
	deadline_set(conn, DEADLINE_IDLE, listener->worker->now_ms);
	conn_count_open(conn);
	conn_log_open(conn);
	return (conn);
}

/* Tell how many requests are in flight. */
static void
record_requests(const struct conn *conn)
{
	__atomic_store_n(&conn_record(conn)->requests,
	    (uint16_t)conn->pending->nrequests, __ATOMIC_RELAXED);
}

void
conn_remove_request(struct conn *conn, struct request *request)
{
	TAILQ_REMOVE(&conn->pending->requests, request, of_conn);
	conn->pending->nrequests--;
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
end_starving(struct conn *conn)
{
	TAILQ_REMOVE(&conn_worker(conn)->starved, conn->pending, held);
	conn->pending->starved = false;
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

static void
end_ready(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

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
		end_starving(conn);
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
pending_free(struct conn *conn)
{
	struct buffer_pool *buffers = &conn_worker(conn)->buffers;

	if (conn->pending == NULL)
		return;
	conn_abandon_requests(conn);
	if (conn->pending->is_ready)
		end_ready(conn);
	buffer_release(buffers, &conn->pending->in);
	buffer_release(buffers, &conn->pending->out);
	free(conn->pending);
	conn->pending = NULL;
}

void
conn_free(struct conn *conn)
{
	deadline_clear(conn);
	if (!conn->rejected) {
		conn_count_close(conn);
		conn_log_close(conn);
	}
	conn_forget(conn);
}

static void
release(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	pending_free(conn);
	conn_record_clear(conn);
	conn_table_give(&worker->conns, conn);
	acceptors_note_room(worker);
}

void
conn_forget(struct conn *conn)
{
	/* Before the close: a duplicate elsewhere would keep it in our set. */
	event_del(&conn->event);
	close_socket(conn);
	release(conn);
}

void
conn_withdraw(struct conn *conn)
{
	event_del(&conn->event);
	release(conn);
}

void
conn_close_hard(struct conn *conn)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (conn_owes(conn) || conn_unsent(conn) > 0)
		setsockopt(conn_fd(conn), SOL_SOCKET, SO_LINGER, &hard,
		    sizeof(hard));
}

void
conn_cut(struct conn *conn, enum close_reason reason)
{
	conn_close_hard(conn);
	conn->reason = (uint8_t)reason;
	conn_free(conn);
}

/*
 * Memory.
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

/* An idle connection has no pending part. */
static void
pending_trim(struct conn *conn)
{
	const struct conn_pending *pending = conn->pending;

	if (pending != NULL && pending->in == NULL && pending->out == NULL &&
	    pending->nrequests == 0 && pending->feeds == NULL &&
	    !pending->starved && !pending->is_ready &&
	    conn->state != CONN_CLOSING &&
	    blame_is_over(&pending->blame, conn_worker(conn)->now_ms))
		pending_free(conn);
}

/*
 * States.
 */

/* A message that waits for its handler is not its client's fault. */
static enum buffer_use
use_of_input(const struct conn *conn)
{
	return (conn->state == CONN_DISPATCHED && !conn->pending->starved ?
	    BUFFER_HELD : BUFFER_PEER);
}

void
conn_enter(struct conn *conn, enum conn_state state)
{
	conn->state = (uint8_t)state;
	__atomic_store_n(&conn_record(conn)->state, (uint8_t)state,
	    __ATOMIC_RELAXED);
	if (conn_in_mid_message(conn))
		buffer_use(&conn_worker(conn)->buffers, conn->pending->in,
		    use_of_input(conn));
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

void
conn_set_write_deadline(struct conn *conn)
{
	conn->pending->taken = 0;
	conn->pending->unsent = conn_unsent(conn);
	deadline_set(conn, DEADLINE_WRITE, conn_worker(conn)->now_ms);
}

static enum conn_next
begin_writing(struct conn *conn)
{
	if (watch(conn, EV_WRITE) == -1) {
		errno = ENOMEM;
		return (conn_fail(conn));
	}
	conn_enter(conn, CONN_WRITING);
	conn_set_write_deadline(conn);
	return (CONN_WAIT);
}

/* More messages than may be handled now: no more is read.  Mostly no more comes
 * either, so the event stays until it tells of something: to change it twice
 * for each wait would cost more than all else that a wait costs. */
static enum conn_next
begin_waiting(struct conn *conn)
{
	if (conn->state == CONN_DISPATCHED)
		return (CONN_WAIT);
	if (conn->state != CONN_READING)
		event_del(&conn->event);
	conn_enter(conn, CONN_DISPATCHED);
	deadline_set(conn, DEADLINE_REPLY, conn_worker(conn)->now_ms);
	return (CONN_WAIT);
}

/* Whether the word that the peer waits for, before it sends the rest of its
 * message, still waits itself for the replies before it. */
static bool
owes_continue(const struct conn *conn)
{
	const struct request *last;

	if (!conn_in_mid_message(conn) || !conn_awaits(conn))
		return (false);
	last = TAILQ_LAST(&conn->pending->requests, request_list);
	return (last->exchange != NULL && last->exchange->is_interim);
}

/* What the connection waits for, when it is not to be written to. */
static enum deadline_kind
reading_deadline(const struct conn *conn)
{
	if (conn_in_mid_message(conn) && !owes_continue(conn))
		return (DEADLINE_READ);
	return (conn_awaits(conn) ? DEADLINE_REPLY : DEADLINE_IDLE);
}

void
conn_set_reading_deadline(struct conn *conn)
{
	deadline_set(conn, reading_deadline(conn), conn_worker(conn)->now_ms);
}

/* One whose peer always has more to say would never come to rest: now that it
 * has, as conn_settle() has told the giver, it reads no more before that has
 * had its chance, at the end of this turn. */
static bool
leave_to_giver(struct conn *conn)
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
go_on_reading(struct conn *conn)
{
	if (conn->state == CONN_READING) {
		/* The last reply has gone, and now the peer has its turn. */
		if (conn->deadline == DEADLINE_REPLY && !conn_awaits(conn))
			conn_set_reading_deadline(conn);
		return (CONN_WAIT);
	}
	if (!event_pending(&conn->event, EV_READ, NULL) &&
	    watch(conn, EV_READ) == -1) {
		errno = ENOMEM;
		return (conn_fail(conn));
	}
	conn_enter(conn, CONN_READING);
	conn_set_reading_deadline(conn);
	return (leave_to_giver(conn) ? CONN_WAIT : CONN_AGAIN);
}

/*
 * All is said.  Say so, and read on until the peer has seen it: a close with
 * unread input sends a reset, which can destroy the replies under way.
 */
static enum conn_next
begin_closing(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	if (conn->eof || shutdown(conn_fd(conn), SHUT_WR) == -1 ||
	    conn_pending(conn) == NULL || watch(conn, EV_READ) == -1)
		return (CONN_DONE);
	conn->pending->closing_ms = worker->now_ms;
	conn_enter(conn, CONN_CLOSING);
	deadline_set(conn, DEADLINE_LINGER, worker->now_ms);
	return (CONN_AGAIN);
}

enum conn_next
conn_finish(struct conn *conn, enum close_reason reason)
{
	conn_end_after_replies(conn, reason);
	if (conn_in_mid_message(conn))
		buffer_release(&conn_worker(conn)->buffers, &conn->pending->in);
	return (conn_owes(conn) ? begin_writing(conn) : begin_closing(conn));
}

enum conn_next
conn_settle(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	if (output_flush(&worker->output, conn) == -1)
		return (conn_fail(conn));
	departure_note_rest(conn);
	if (conn->state == CONN_WRITING || conn->state == CONN_CLOSING)
		return (CONN_WAIT);
	if (conn_in_mid_message(conn) && !conn_may_handle(conn))
		conn->pending->unhandled = true;
	if (conn->finishing && !conn_awaits(conn))
		return (conn_finish(conn, conn->reason));
	if (conn_owes(conn))
		return (begin_writing(conn));
	if (!conn_may_handle(conn))
		return (begin_waiting(conn));
	pending_trim(conn);
	/* What had come before the order is answered. */
	if (!conn_in_mid_message(conn) && !conn_awaits(conn) &&
	    departure_is_due(conn) && !conn_has_unread(conn))
		return (conn_finish(conn, CLOSE_DRAIN));
	return (go_on_reading(conn));
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
	if (conn_owes(conn)) {
		conn->pending->taken += (size_t)n;
		if (conn->pending->taken >= CONN_WRITE_PROGRESS)
			conn_set_write_deadline(conn);
		return (CONN_WAIT);
	}
	/* As after a reply: what follows depends on what else is owed. */
	(void)begin_waiting(conn);
	return (conn_settle(conn));
}

static enum conn_next
conn_linger(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);
	ssize_t n;

	for (int i = 0; i < CONN_READS_PER_TURN; i++) {
		n = conn_receive(conn, worker->scratch, WORKER_SCRATCH);
		if (n == -1 && errno == EAGAIN)
			return (CONN_WAIT);
		if (n <= 0 || worker->now_ms - conn->pending->closing_ms >
		    CONN_LINGER_MAX_MS)
			return (CONN_DONE);
		/* One that was slow to speak has no more time for that. */
		if (conn->reason != CLOSE_READ_TIMEOUT)
			deadline_set(conn, DEADLINE_LINGER, worker->now_ms);
	}
	return (CONN_WAIT);
}

static enum conn_next
run_state(struct conn *conn)
{
	switch ((enum conn_state)conn->state) {
	case CONN_READING:
		return (conn_read_messages(conn));
	case CONN_DISPATCHED:
		return (conn_settle(conn));
	case CONN_WRITING:
		return (conn_write_replies(conn));
	case CONN_CLOSING:
		return (conn_linger(conn));
	}
	return (CONN_DONE);
}

/* What there is to do for one that is ready. */
static enum conn_next
go_on(struct conn *conn)
{
	if (conn->pending->shed != CONN_NOT_SHED)
		return (conn_end_shed(conn));
	if (conn_finish_done(conn) == -1)
		return (conn_fail(conn));
	if (conn->state == CONN_READING && conn->pending->unhandled)
		return (CONN_AGAIN);
	return (conn_settle(conn));
}

/* Let a connection go on as far as it can; no other one is run meanwhile. */
static void
conn_run(struct conn *conn, enum conn_next (*begin)(struct conn *))
{
	struct worker *worker = conn_worker(conn);
	enum conn_next next;

	output_begin(&worker->output, conn);
	next = begin(conn);
	while (next == CONN_AGAIN)
		next = run_state(conn);
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
	struct worker *worker = conn_worker(conn);

	(void)fd;
	(void)what;
	worker_turn(worker);
	if (conn->state == CONN_DISPATCHED)
		/* It is not its turn yet: begin_waiting(). */
		event_del(&conn->event);
	else
		conn_run(conn, run_state);
}

/*
 * What others tell it.
 */

int
conn_add_request(struct conn *conn, struct request *request)
{
	struct conn_pending *pending;

	if ((pending = conn_pending(conn)) == NULL)
		return (-1);
	TAILQ_INSERT_TAIL(&pending->requests, request, of_conn);
	pending->nrequests++;
	record_requests(conn);
	return (0);
}

void
conn_run_ready(struct conn *conn)
{
	if (conn->pending->is_ready)
		end_ready(conn);
	conn_run(conn, go_on);
}

void
conn_on_memory(struct conn *conn)
{
	end_starving(conn);
	conn_make_ready(conn);
}

void
conn_reconsider(struct conn *conn)
{
	if (conn->state == CONN_DISPATCHED && conn_may_handle(conn))
		conn_make_ready(conn);
}

/*
 * Changing hands.
 */

bool
conn_at_rest(const struct conn *conn)
{
	const struct request *request;

	if (conn->state == CONN_CLOSING)
		return (false);
	if (conn->pending == NULL)
		return (true);
	if (conn->pending->shed != CONN_NOT_SHED)
		return (false);
	/* A reply that is about to leave need not go with it. */
	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_RUNNING || request->is_leaving)
			return (false);
	return (true);
}

void
conn_park(struct conn *conn)
{
	struct request *request;

	event_del(&conn->event);
	deadline_clear(conn);
	if (conn->pending == NULL)
		return;
	conn_stop_waiting(conn);
	if (conn->pending->is_ready)
		end_ready(conn);
	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_WAITING)
			lane_withdraw(request);
}

bool
conn_is_parked(const struct conn *conn)
{
	return (conn->deadline == DEADLINE_NONE);
}

/* What a request's handler was not asked for yet. */
static void
readmit_requests(struct conn *conn)
{
	struct request *request;

	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_PARKED)
			handler_readmit(request);
}

void
conn_wake(struct conn *conn, enum deadline_kind was, uint64_t since_ms)
{
	enum deadline_kind kind = conn_owes(conn) ? DEADLINE_WRITE :
	    reading_deadline(conn);

	conn_enter(conn, conn_owes(conn) ? CONN_WRITING : CONN_READING);
	deadline_restore(conn, kind, kind == was ? since_ms :
	    conn_worker(conn)->now_ms);
	if (watch(conn, conn_owes(conn) ? EV_WRITE : EV_READ) == -1) {
		conn->reason = CLOSE_MEMORY;
		conn_free(conn);
		return;
	}
	if (conn->pending == NULL)
		return;
	if (!blame_resume(conn) && conn_awaits(conn))
		readmit_requests(conn);
	/* What it waited for may be there. */
	conn_make_ready(conn);
}

/*
 * Slowed down: blame.h.
 */

void
conn_on_patience(struct conn *conn)
{
	blame_suspend(conn);
	readmit_requests(conn);
	conn_make_ready(conn);
}
