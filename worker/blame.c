/* SPDX-License-Identifier: ISC */
#include "worker/blame.h"

#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/queue.h"
#include "worker/worker.h"

enum {
	/* In a packed blame. */
	COINCIDENCES_SHIFT = 8,
	LEFT_SHIFT = 16,
	LEFT_UNIT_MS = 10,
};

/*
 * Slowing down.
 */

static void
blame_slow(struct conn *conn)
{
	struct conn_pending *pending = conn->pending;
	struct request *request;

	if (pending->blame.is_slowed)
		return;
	pending->blame.is_slowed = true;
	TAILQ_INSERT_TAIL(&conn->listener->worker->slowed, pending, slowed);
	TAILQ_FOREACH(request, &pending->requests, of_conn)
		if (request->state == REQUEST_WAITING)
			lane_withdraw(request);
}

void
blame_suspend(struct conn *conn)
{
	struct conn_pending *pending = conn->pending;

	if (!pending->blame.is_slowed)
		return;
	pending->blame.is_slowed = false;
	TAILQ_REMOVE(&conn->listener->worker->slowed, pending, slowed);
}

bool
blame_resume(struct conn *conn)
{
	if (conn->pending->blame.until_ms > conn->listener->worker->now_ms)
		blame_slow(conn);
	return (conn->pending->blame.is_slowed);
}

struct conn *
blame_next_over(struct worker *worker)
{
	struct conn_pending *pending;

	TAILQ_FOREACH(pending, &worker->slowed, slowed) {
		/* A server that stops does not wait for it. */
		if (pending->blame.until_ms > worker->now_ms &&
		    !worker->drain.closing)
			continue;
		pending->blame.until_ms = 0;
		return (pending->conn);
	}
	return (NULL);
}

/*
 * Blaming.
 */

static unsigned
blame_delay_after(unsigned strikes)
{
	unsigned delay_ms = BLAME_FIRST_MS;

	while (--strikes > 0 && delay_ms < BLAME_MAX_MS)
		delay_ms *= 2;
	return (delay_ms < BLAME_MAX_MS ? delay_ms : BLAME_MAX_MS);
}

static unsigned
blame_strikes_now(const struct blame *blame, uint64_t now_ms)
{
	uint64_t forgiven = (now_ms - blame->struck_ms) / BLAME_FORGIVE_MS;

	return (forgiven < blame->strikes ?
	    blame->strikes - (unsigned)forgiven : 0);
}

bool
blame_is_over(const struct blame *blame, uint64_t now_ms)
{
	return (blame->coincidences == 0 && !blame->is_slowed &&
	    (blame->strikes == 0 || blame_strikes_now(blame, now_ms) == 0));
}

static void
blame_strike(const struct exec_link *link, struct conn *conn)
{
	struct worker *worker = link->worker;
	struct blame *blame = &conn->pending->blame;
	unsigned strikes = blame_strikes_now(blame, worker->now_ms), delay_ms;
	char peer[CONN_PEER_MAX];

	counter_add(&link->queue->counters->slowed, 1);
	counter_add(&link->queue->counters->offenders, strikes == 0);
	strikes += strikes < UINT8_MAX;
	delay_ms = blame_delay_after(strikes);
	*blame = (struct blame){
		.until_ms = worker->now_ms + delay_ms,
		.struck_ms = worker->now_ms,
		.strikes = (uint8_t)strikes,
		.is_slowed = blame->is_slowed,
	};
	blame_slow(conn);
	LOG_CLIENT(WARN, CONN_SLOWED, F_U64("conn", conn_record(conn)->id),
	    F_STR("listener", conn->listener->conf->name),
	    F_STR("peer", conn_peer(conn, peer)),
	    F_STR("handler", link->queue->conf->name),
	    F_U64("strikes", strikes), F_U64("delay_ms", delay_ms));
}

static void
blame_suspect(const struct exec_link *link, struct conn *conn)
{
	struct blame *blame = &conn->pending->blame;

	if (++blame->coincidences >= BLAME_COINCIDENCES)
		blame_strike(link, conn);
}

/* Whether a request is the first one of its connection in the list; false if
 * its connection has ended. */
static bool
blame_is_first_of_conn(const struct exec_link *link,
    const struct request *request)
{
	const struct request *other;

	if (request->conn == NULL)
		return (false);
	TAILQ_FOREACH(other, &link->running, of_work) {
		if (other == request)
			return (true);
		if (other->conn == request->conn)
			break;
	}
	return (false);
}

/* Whether all requests are of one connection, which is still there. */
static bool
blame_is_of_one_conn(const struct exec_link *link)
{
	const struct request *first = TAILQ_FIRST(&link->running), *request;

	TAILQ_FOREACH(request, &link->running, of_work)
		if (request->conn == NULL || request->conn != first->conn)
			return (false);
	return (first != NULL);
}

void
blame_for(const struct exec_link *link)
{
	const struct request *request;

	if (blame_is_of_one_conn(link)) {
		blame_strike(link, TAILQ_FIRST(&link->running)->conn);
		return;
	}
	TAILQ_FOREACH(request, &link->running, of_work)
		if (blame_is_first_of_conn(link, request))
			blame_suspect(link, request->conn);
}

/*
 * Changing hands.
 */

uint32_t
blame_pack(const struct blame *blame, uint64_t now_ms)
{
	uint64_t left_ms = 0;

	if (blame->until_ms > now_ms)
		left_ms = blame->until_ms - now_ms;
	return (blame_strikes_now(blame, now_ms) |
	    (uint32_t)blame->coincidences << COINCIDENCES_SHIFT |
	    (uint32_t)(left_ms / LEFT_UNIT_MS) << LEFT_SHIFT);
}

void
blame_unpack(struct blame *blame, uint32_t packed, uint64_t now_ms)
{
	uint64_t left_ms = (uint64_t)(packed >> LEFT_SHIFT) * LEFT_UNIT_MS;

	if (left_ms > BLAME_MAX_MS)
		left_ms = BLAME_MAX_MS;
	*blame = (struct blame){
		.until_ms = left_ms > 0 ? now_ms + left_ms : 0,
		.struck_ms = now_ms,
		.strikes = (uint8_t)packed,
		.coincidences = (uint8_t)(packed >> COINCIDENCES_SHIFT) %
		    BLAME_COINCIDENCES,
	};
}
