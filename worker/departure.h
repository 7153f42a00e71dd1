/* SPDX-License-Identifier: ISC */
/*
 * Which connections leave this worker, and when: what connections, queues and
 * the drain have to know of the order that the giver and the drain carry out.
 *
 * Only looks at struct giver and struct drain; giver.c and drain.c act.
 */
#ifndef WORKER_DEPARTURE_H
#define WORKER_DEPARTURE_H

#include "worker/worker.h"

bool departure_is_ordered(const struct conn *);
bool departure_is_slow(const struct conn *);

/* Whether no handler works on a request of the connection, so that it can be
 * handed over. */
bool departure_is_at_rest(const struct conn *);
/* Whether the giver can send off one more at the end of this turn. */
bool departure_has_room(const struct giver *);

/* Whether a connection is to be handed over when it comes to rest. */
static inline bool
departure_is_wanted(const struct conn *conn)
{
	return (conn->listener->worker->giver.on && departure_is_ordered(conn));
}

/*
 * Whether a connection that is to be handed over begins no new request until
 * then.  This brings it to rest.  If one of its requests is slow, it is not held
 * back: its other requests need not wait for that one.  It goes when it comes
 * to rest by itself; after drain_timeout it is held back in any case.  For a
 * connection that awaits replies.
 */
static inline bool
departure_holds_back(const struct conn *conn)
{
	return (departure_is_wanted(conn) && !departure_is_slow(conn));
}

/* A connection may have come to rest: if it is to go, giver_settle() sends it
 * off at the end of this turn. */
static inline void
departure_note_rest(const struct conn *conn)
{
	struct worker *worker = conn->listener->worker;

	if (!departure_is_wanted(conn) || !departure_is_at_rest(conn))
		return;
	worker->giver.rested = true;
	worker_end_later(worker);
}

/* Whether a connection is at rest and can be sent off at the end of this
 * turn. */
bool departure_is_next(const struct conn *);

/* Whether the giver has a taker that has a listener for these connections. */
bool departure_has_taker(const struct giver *, const struct listener *);
/* Whether it is not known yet what can be handed over. */
bool departure_awaits_taker(const struct worker *);

/* Whether the connections of a listener need not end in a drain, as they can be
 * handed over now or later.  A taker that does not answer, or does not come, is
 * given up after GIVER_PATIENCE_MS. */
bool departure_is_possible(const struct listener *);

/* Whether the worker drains, and the time for that is over. */
bool departure_is_overdue(const struct worker *);
/* Whether the reply to a connection's last message so far is to be the last
 * one, and whether the connection is to be closed when it comes to rest. */
bool departure_is_closing(const struct conn *);
bool departure_is_due(const struct conn *);

#endif
