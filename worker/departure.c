/* SPDX-License-Identifier: ISC */
#include "worker/departure.h"

/*
 * To another worker.
 */

bool
departure_has_taker(const struct giver *giver, const struct listener *listener)
{
	return (giver->on && giver->greeted &&
	    giver->protocol[listener->number] == listener->conf->protocol + 1);
}

bool
departure_is_ordered(const struct conn *conn)
{
	const struct giver *giver = &conn->listener->worker->giver;

	return (giver->order.quota == CTL_GIVE_ALL && !conn->stays &&
	    departure_has_taker(giver, conn->listener));
}

bool
departure_is_slow(const struct conn *conn)
{
	const struct worker *worker = conn->listener->worker;
	const struct request *request;

	if (departure_is_overdue(worker))
		return (false);
	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_RUNNING)
			break;
	return (request != NULL &&
	    request->begun_us / 1000 + GIVER_SLOW_MS <= worker->now_ms);
}

bool
departure_is_at_rest(const struct conn *conn)
{
	const struct request *request;

	if (conn->state == CONN_CLOSING || conn->state == CONN_PROXY_HEADER)
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

bool
departure_has_room(const struct giver *giver)
{
	return (!giver->blocked && giver->next == -1 &&
	    giver->unanswered < giver->window);
}

bool
departure_is_next(const struct conn *conn)
{
	const struct giver *giver = &conn->listener->worker->giver;

	return (departure_is_wanted(conn) && departure_has_room(giver) &&
	    departure_is_at_rest(conn));
}

static bool
departure_is_patient(const struct worker *worker)
{
	return (worker->now_ms < worker->giver.heard_ms + GIVER_PATIENCE_MS);
}

bool
departure_awaits_taker(const struct worker *worker)
{
	const struct giver *giver = &worker->giver;

	if (giver->on && giver->greeted)
		return (false);
	return ((giver->on || !giver->orphaned) &&
	    departure_is_patient(worker));
}

bool
departure_is_possible(const struct listener *listener)
{
	const struct worker *worker = listener->worker;
	const struct giver *giver = &worker->giver;

	if (worker->drain.order.mode != CTL_DRAIN_REPLACED)
		return (false);
	if (!giver->on || !giver->greeted)
		return (departure_awaits_taker(worker));
	return (departure_has_taker(giver, listener) &&
	    (giver->unanswered == 0 || departure_is_patient(worker)));
}

/*
 * In a drain.
 */

bool
departure_is_overdue(const struct worker *worker)
{
	const struct drain *drain = &worker->drain;

	return (drain->on &&
	    worker->now_ms - drain->begun_ms >= drain->order.timeout_ms);
}

bool
departure_is_closing(const struct conn *conn)
{
	return (conn->listener->worker->drain.closing &&
	    !departure_is_possible(conn->listener));
}

bool
departure_is_due(const struct conn *conn)
{
	const struct drain *drain = &conn->listener->worker->drain;

	/* While the spread lasts, idle connections have their turn in
	 * drain_tick(); after it whoever comes to rest has had it. */
	return (drain->closed >= drain->idle && departure_is_closing(conn));
}
