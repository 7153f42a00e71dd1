/* SPDX-License-Identifier: ISC */
#include "worker/drain.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/title.h"
#include "worker/conn.h"
#include "worker/departure.h"

enum {
	/* After the cut the peers have so long to take what was said before. */
	CUT_LINGER_MS = 500,
};

static const char *
drain_mode_name(uint32_t mode)
{
	return (mode == CTL_DRAIN_STOP ? "stop" : "replaced");
}

/* Whether a request has a handler that may keep it for ever. */
static bool
drain_awaits_without_end(const struct conn *conn)
{
	const struct request *request;

	if (conn->pending == NULL)
		return (false);
	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_RUNNING &&
		    request->handler->conf->request_timeout_ms == 0)
			return (true);
	return (false);
}

/* Whether some connections are still to go. */
static bool
drain_spares_any(const struct worker *worker)
{
	const struct listener *listener;

	for (size_t i = 0; i < worker->nlisteners; i++) {
		listener = &worker->listeners[i];
		if (!departure_is_possible(listener))
			continue;
		if (giver_under_way(&worker->giver) > 0)
			return (true);
		for (int kind = 0; kind < DEADLINE_LINGER; kind++)
			if (!TAILQ_EMPTY(&listener->deadlines[kind].waiting))
				return (true);
	}
	return (false);
}

static size_t
drain_count_idle(const struct worker *worker)
{
	const struct conn *conn;
	size_t n = 0;

	for (size_t i = 0; i < worker->nlisteners; i++) {
		if (departure_is_possible(&worker->listeners[i]))
			continue;
		TAILQ_FOREACH(conn, &worker->listeners[i]
		    .deadlines[DEADLINE_IDLE].waiting, waiting)
			n++;
	}
	return (n);
}

/*
 * Beginning.
 */

static void
drain_tally(const struct worker *worker, struct counters_tally *tally)
{
	const struct heritage *heritage = worker->heritage;

	counters_tally(&heritage->counters[heritage->slot], heritage->block,
	    heritage->listener_number, worker->nlisteners, tally);
}

void
drain_begin(struct worker *worker, const struct ctl_drain *order)
{
	struct drain *drain = &worker->drain;

	acceptors_finish(worker);
	*drain = (struct drain){
		.on = true,
		.order = *order,
		.begun_ms = worker->now_ms,
	};
	drain_tally(worker, &drain->before);
	if (order->mode == CTL_DRAIN_STOP)
		giver_end(worker);
	else
		giver_expect(worker);
	LOG(INFO, WORKER_DRAIN,
	    F_STR("mode", drain_mode_name(order->mode)),
	    F_U64("conns", worker->conns.count),
	    F_U64("timeout_ms", order->timeout_ms));
	title_set("%s slot=%u gen=%" PRIu64 " draining",
	    worker->is_rescuer ? "rescuer" : "worker", worker->heritage->slot, worker->heritage->generation);
	drain_tick(worker);
}

static uint64_t
drain_elapsed(const struct worker *worker)
{
	return (worker->now_ms - worker->drain.begun_ms);
}

/*
 * Ending connections.
 */

/* Close up to n of a listener's idle connections, the longest idle first. */
static uint64_t
drain_close_idle_of(struct listener *listener, uint64_t n)
{
	struct deadline_queue *queue = &listener->deadlines[DEADLINE_IDLE];
	struct conn *last = TAILQ_LAST(&queue->waiting, conn_waiting_list);
	struct conn *conn;
	uint64_t closed = 0;
	bool was_last = false;

	/* One with unread bytes goes to the end, behind the last one of now. */
	while (closed < n && !was_last &&
	    (conn = TAILQ_FIRST(&queue->waiting)) != NULL) {
		was_last = conn == last;
		if (conn_finish_idle(conn, CLOSE_DRAIN))
			closed++;
	}
	return (closed);
}

/* Close as many idle connections as are due by now. */
static void
drain_close_idle(struct worker *worker)
{
	struct drain *drain = &worker->drain;
	uint64_t due = UINT64_MAX, since_ms;

	since_ms = worker->now_ms - drain->closing_ms;
	if (since_ms < drain->order.spread_ms)
		due = drain->idle * since_ms / drain->order.spread_ms;
	for (size_t i = 0; i < worker->nlisteners; i++)
		if (drain->closed < due &&
		    !departure_is_possible(&worker->listeners[i]))
			drain->closed +=
			    drain_close_idle_of(&worker->listeners[i],
				due - drain->closed);
	if (due == UINT64_MAX)
		drain->closed = drain->idle;
}

/* The first connection that is due; NULL if there is none. */
static struct conn *
drain_find_overdue(const struct deadline_queue *queue, bool is_spared)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &queue->waiting, waiting)
		if (!is_spared || drain_awaits_without_end(conn))
			break;
	return (conn);
}

static void
drain_cut_queue(struct worker *worker, struct deadline_queue *queue,
    bool is_spared)
{
	struct drain *drain = &worker->drain;
	struct conn *conn;

	while ((conn = drain_find_overdue(queue, is_spared)) != NULL) {
		drain->cut_ms = worker->now_ms;
		if (conn->deadline == DEADLINE_IDLE &&
		    conn_finish_idle(conn, CLOSE_DRAIN))
			continue;
		conn_finish_now(conn, CLOSE_CUT);
	}
}

static void
drain_cut_listener(struct worker *worker, struct listener *listener)
{
	bool is_spared = departure_is_possible(listener);

	/* An idle connection has no request. */
	if (!is_spared)
		drain_cut_queue(worker, &listener->deadlines[DEADLINE_IDLE],
		    false);
	drain_cut_queue(worker, &listener->deadlines[DEADLINE_READ], is_spared);
	drain_cut_queue(worker, &listener->deadlines[DEADLINE_PROXY],
	    is_spared);
	drain_cut_queue(worker, &listener->deadlines[DEADLINE_WRITE],
	    is_spared);
	drain_cut_queue(worker, &listener->deadlines[DEADLINE_REPLY],
	    is_spared);
}

/* The time is over. */
static void
drain_cut_all(struct worker *worker)
{
	if (worker->drain.cut_ms == 0)
		worker->drain.cut_ms = worker->now_ms;
	for (size_t i = 0; i < worker->nlisteners; i++)
		drain_cut_listener(worker, &worker->listeners[i]);
}

static bool
drain_is_over(const struct worker *worker)
{
	const struct drain *drain = &worker->drain;

	if (worker->conns.count == 0)
		return (true);
	return (drain->cut_ms != 0 &&
	    worker->now_ms >= drain->cut_ms + CUT_LINGER_MS &&
	    !drain_spares_any(worker));
}

/* They have been told what there was to tell, and count when they are closed. */
static void
drain_close_lingering(struct worker *worker)
{
	struct conn *conn;

	for (size_t i = 0; i < worker->nlisteners; i++)
		while ((conn = TAILQ_FIRST(&worker->listeners[i]
		    .deadlines[DEADLINE_LINGER].waiting)) != NULL)
			conn_free(conn);
}

/* Who is on the way to another worker is left to it. */
static void
drain_leave(struct worker *worker)
{
	struct drain *drain = &worker->drain;
	struct counters_tally now;
	struct counters_fates fates;
	struct ctl_drained report;

	drain_close_lingering(worker);
	drain_tally(worker, &now);
	counters_compare(&drain->before, &now, &fates);
	report = (struct ctl_drained){
		.finished = fates.finished + fates.closed,
		.cut = fates.cut,
		.carried = fates.carried,
		.longest_us = fates.carried > 0 ?
		    worker->giver.longest_us : 0,
	};
	drain->left = true;
	counter_set(&worker->counters->at_rest, handlers_at_rest(worker));
	LOG(INFO, WORKER_DRAINED, F_U64("carried", fates.carried),
	    F_U64("finished", fates.finished), F_U64("closed", fates.closed),
	    F_U64("cut", fates.cut),
	    F_U64("duration_ms", drain_elapsed(worker)));
	notice_drained(worker, &report);
}

/* At a stop closing begins at once; else so late that the spread ends with the
 * time: clients that are sent away together come back together. */
static bool
drain_is_closing(struct worker *worker)
{
	struct drain *drain = &worker->drain;
	const struct ctl_drain *order = &drain->order;

	if (!drain->closing && (order->mode == CTL_DRAIN_STOP ||
	    (drain_elapsed(worker) + order->spread_ms >= order->timeout_ms &&
	    !departure_awaits_taker(worker)))) {
		drain->closing = true;
		drain->closing_ms = worker->now_ms;
		drain->idle = drain_count_idle(worker);
	}
	return (drain->closing);
}

void
drain_tick(struct worker *worker)
{
	struct drain *drain = &worker->drain;

	if (!drain->on || drain->left)
		return;
	if (departure_is_overdue(worker))
		drain_cut_all(worker);
	else if (drain_is_closing(worker))
		drain_close_idle(worker);
	if (drain_is_over(worker))
		drain_leave(worker);
}

void
drain_forgive(struct worker *worker, uint64_t stall_ms)
{
	struct drain *drain = &worker->drain;

	drain->begun_ms = clock_later(drain->begun_ms, stall_ms,
	    worker->now_ms);
	drain->closing_ms = clock_later(drain->closing_ms, stall_ms,
	    worker->now_ms);
}
