/* SPDX-License-Identifier: ISC */
/*
 * Endings from outside the connection's own course.
 */
#include "worker/conn_internal.h"

#include <assert.h>

#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/transport.h"

static void
conn_end(struct conn *conn, enum close_reason reason)
{
	if (conn_finish(conn, reason) == CONN_DONE)
		conn_free(conn);
}

bool
conn_finish_idle(struct conn *conn, enum close_reason reason)
{
	assert(conn->state == CONN_READING && !conn_in_mid_message(conn));
	if (transport_has_unread(conn)) {
		conn_set_deadline(conn);
		return (false);
	}
	conn_end(conn, reason);
	return (true);
}

/* Send the replies that are there, of one that is not run any more. */
static void
conn_send_done(struct conn *conn)
{
	struct output *output = &conn_worker(conn)->output;

	if (!conn_awaits(conn))
		return;
	output_begin(output, conn);
	if (conn_finish_done(conn) == 0)
		(void)output_flush(output, conn);
	output_end(output);
}

void
conn_finish_now(struct conn *conn, enum close_reason reason)
{
	if (conn->state == CONN_CLOSING)
		return;
	conn_send_done(conn);
	conn_abandon_requests(conn);
	if (conn_owes(conn)) {
		conn_cut(conn, reason);
		return;
	}
	conn_end(conn, reason);
}

void
conn_reject(struct listener *listener, int fd, const struct sockaddr *peer,
    enum reject_reason reason)
{
	struct conn *conn;
	char text[CONN_PEER_MAX];

	counter_add(&listener->counters->rejected[reason], 1);
	if ((conn = conn_make(listener, fd, peer)) == NULL)
		return;
	conn->rejected = true;
	LOG_CLIENT(WARN, CONN_REJECTED,
	    F_STR("listener", listener->conf->name),
	    F_STR("peer", conn_peer(conn, text)),
	    F_STR("reason", reject_reason_name(reason)));
	output_tell(conn, NULL, TROUBLE_BUSY, conn_proto(conn)->busy);
	conn_end(conn, CLOSE_EOF);
}

static void
conn_end_idle(struct conn *conn)
{
	if (transport_has_unread(conn))
		conn_set_deadline(conn);
	else if (transport_unsent(conn) > 0)
		/* It is idle because it takes nothing. */
		conn_cut(conn, CLOSE_WRITE_TIMEOUT);
	else
		conn_cut(conn, CLOSE_IDLE);
}

/* Tell the peer, and the access log, that its message came too late; the reply
 * knows as much of it as has come. */
static void
conn_tell_late(struct conn *conn)
{
	const struct conn_pending *pending = conn->pending;
	const struct listener *listener = conn->listener;
	const struct proto_progress none = { .scanned = 0 };
	bool has_begun = conn_in_mid_message(conn);
	struct proto_room room;
	struct exchange *exchange = (struct exchange *)room.bytes;
	struct payload payload;

	conn_proto(conn)->glimpse(has_begun ? pending->in->bytes :
	    conn_no_payload.bytes, has_begun ? pending->in->len : 0,
	    listener->conf, has_begun ? &pending->progress : &none, exchange);
	conn_name_request(conn, exchange);
	payload = conn_proto(conn)->explain(TROUBLE_LATE, exchange);
	conn_log_access(conn, exchange, 0, payload.len);
	output_tell(conn, exchange, TROUBLE_LATE, NULL);
}

/* A message has taken too long to come: if the protocol has words for that,
 * the peer is told, unless it waits for other replies. */
static void
conn_end_late(struct conn *conn)
{
	if (!conn_proto(conn)->has_exchange || conn_awaits(conn) ||
	    conn_owes(conn)) {
		conn_cut(conn, CLOSE_READ_TIMEOUT);
		return;
	}
	conn_tell_late(conn);
	conn_finish_now(conn, CLOSE_READ_TIMEOUT);
}

/* The kernel may have no room for more, and its peer still take what is
 * there. */
static void
conn_end_unless_taking(struct conn *conn)
{
	const struct conn_pending *pending = conn->pending;

	if (pending->unsent + pending->taken <
	    transport_unsent(conn) + CONN_WRITE_PROGRESS)
		conn_cut(conn, CLOSE_WRITE_TIMEOUT);
	else
		conn_set_deadline(conn);
}

/* Whether what it waits for has come, and its event will say so in this turn of
 * the loop.  conn_end_idle() looks itself. */
static bool
conn_can_go_on(const struct conn *conn)
{
	if (conn->deadline == DEADLINE_PROXY)
		return (transport_has_unread(conn));
	if (conn->deadline == DEADLINE_READ)
		return (conn->state == CONN_READING &&
		    transport_has_unread(conn));
	return (conn->deadline == DEADLINE_WRITE &&
	    transport_has_room(conn));
}

static void
conn_on_deadline(struct conn *conn)
{
	switch ((enum deadline_kind)conn->deadline) {
	case DEADLINE_IDLE:
		conn_end_idle(conn);
		return;
	case DEADLINE_READ:
		conn_end_late(conn);
		return;
	case DEADLINE_WRITE:
		conn_end_unless_taking(conn);
		return;
	case DEADLINE_LINGER:
		conn_free(conn);
		return;
	case DEADLINE_PROXY:
		conn_log_header(conn, CLOSE_READ_TIMEOUT,
		    "it did not come in time");
		conn_cut(conn, CLOSE_READ_TIMEOUT);
		return;
	case DEADLINE_REPLY:
	case DEADLINE_NONE:
	case DEADLINE_KINDS:
		break;
	}
}

void
conn_end_due(struct worker *worker)
{
	struct conn *conn;

	while ((conn = deadline_next_due(worker)) != NULL) {
		/* What it waits for may have come, and not been looked at. */
		if (!conn->overdue && conn_can_go_on(conn))
			deadline_put_off(conn);
		else
			conn_on_deadline(conn);
	}
}

void
conn_end_all(struct worker *worker)
{
	struct deadline_queue *queue;
	struct conn *conn;

	for (size_t i = 0; i < worker->nlisteners; i++)
		for (int kind = 0; kind < DEADLINE_KINDS; kind++) {
			queue = &worker->listeners[i].deadlines[kind];
			while ((conn = TAILQ_FIRST(&queue->waiting)) != NULL) {
				if (kind == DEADLINE_LINGER)
					conn_free(conn);
				else
					conn_cut(conn, CLOSE_CUT);
			}
		}
}
