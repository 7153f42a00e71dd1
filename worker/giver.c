/* SPDX-License-Identifier: ISC */
#include "worker/giver.h"

#include <sys/resource.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/custody.h"
#include "worker/departure.h"
#include "worker/parcel.h"

/* A batch while it is put together. */
struct packing {
	struct giver_batch *batch;
	struct handover_message msg;
	struct parcel_bytes store;
	struct conn *unpackable;	/* parked, and has to stay; or NULL */
};

static void giver_take_up_next(struct worker *);

static int
giver_link_of(const struct giver *giver)
{
	return (event_get_fd(&giver->event));
}

/* Perhaps there is one more to give. */
static void
giver_on_rest(struct worker *worker)
{
	worker->giver.rested = worker->giver.on;
	if (worker->giver.rested)
		worker_end_later(worker);
}

void
giver_expect(struct worker *worker)
{
	worker->giver.heard_ms = worker->now_ms;
}

void
giver_orphan(struct worker *worker)
{
	worker->giver.orphaned = true;
}

/*
 * What goes.
 */

static bool
giver_gives_all(const struct giver *giver)
{
	return (giver->order.quota == CTL_GIVE_ALL);
}

uint64_t
giver_under_way(const struct giver *giver)
{
	uint64_t n = 0;

	for (int i = 0; i < GIVER_WINDOW; i++)
		if (giver->batches[i].number != 0)
			n += giver->batches[i].n;
	return (n);
}

/* How many more are to be sent off. */
static uint64_t
giver_wanted(const struct giver *giver)
{
	uint64_t gone = giver->carried + giver_under_way(giver);

	return (giver->order.quota > gone ? giver->order.quota - gone : 0);
}

/* Go on with those that were held back, where a request has become slow. */
static void
giver_release_slow(struct worker *worker)
{
	struct conn *conn;

	for (size_t i = 0; i < worker->nlisteners; i++)
		TAILQ_FOREACH(conn, &worker->listeners[i]
		    .deadlines[DEADLINE_REPLY].waiting, waiting)
			conn_reconsider(conn);
}

static bool
giver_can_go(const struct conn *conn)
{
	return (!conn->stays && departure_is_at_rest(conn));
}

/* Park a connection and put it into the batch.  Returns whether it fits. */
static bool
giver_pack(struct packing *packing, struct conn *conn)
{
	struct giver_batch *batch = packing->batch;
	struct handover_batch *wire = &packing->msg.batch;

	if (packing->store.len >= GIVER_BATCH_BYTES)
		return (false);
	conn_park(conn);
	if (parcel_pack(conn, &wire->conns[batch->n], &packing->store) == -1) {
		packing->unpackable = conn;
		return (false);
	}
	batch->conns[batch->n++] = conn;
	return (true);
}

/* Returns whether there is room for more. */
static bool
giver_pack_queue(struct packing *packing, struct deadline_queue *queue,
    uint64_t most)
{
	struct conn *conn, *next;

	for (conn = TAILQ_FIRST(&queue->waiting); conn != NULL; conn = next) {
		if (packing->batch->n == most)
			return (false);
		next = TAILQ_NEXT(conn, waiting);
		if (giver_can_go(conn) && !giver_pack(packing, conn))
			return (false);
	}
	return (true);
}

static void
giver_pack_all(struct worker *worker, struct packing *packing)
{
	static const enum deadline_kind kinds[] = {
		DEADLINE_IDLE, DEADLINE_READ, DEADLINE_WRITE, DEADLINE_REPLY
	};
	const struct giver *giver = &worker->giver;
	size_t nkinds =
	    giver_gives_all(giver) ? sizeof(kinds) / sizeof(*kinds) : 1;
	uint64_t most = giver_wanted(giver);

	if (most > giver->batch_conns)
		most = giver->batch_conns;
	for (size_t i = 0; i < worker->nlisteners; i++) {
		struct listener *listener = &worker->listeners[i];

		if (!departure_has_taker(giver, listener))
			continue;
		for (size_t k = 0; k < nkinds; k++)
			if (!giver_pack_queue(packing,
				&listener->deadlines[kinds[k]], most))
				return;
	}
}

/*
 * What stays.
 */

static void
giver_take_back(struct worker *worker, struct conn *conn, bool stays)
{
	conn->stays = stays;
	if (stays && worker->giver.retry_ms == 0)
		worker->giver.retry_ms = worker->now_ms + GIVER_RETRY_MS;
	conn_wake(conn);
}

/* Nobody has taken any of a batch. */
static void
giver_take_back_all(struct worker *worker, struct giver_batch *batch)
{
	batch->number = 0;
	for (unsigned i = 0; i < batch->n; i++) {
		if (batch->conns[i] == NULL)
			continue;
		conn_count_return(batch->conns[i]);
		giver_take_back(worker, batch->conns[i], false);
	}
}

/* It is another's now.  A rescuer may not have found it. */
static void
giver_let_go(struct conn *conn)
{
	if (conn == NULL)
		return;
	conn_count_gone(conn);
	conn_forget(conn);
}

static void
giver_forget_stays(struct worker *worker)
{
	struct conn *conn;

	for (size_t i = 0; i < worker->nlisteners; i++)
		for (int kind = 0; kind < DEADLINE_KINDS; kind++)
			TAILQ_FOREACH(conn, &worker->listeners[i]
			    .deadlines[kind].waiting, waiting)
				conn->stays = false;
}

/*
 * Sending.
 */

static struct giver_batch *
giver_find_batch(struct giver *giver, uint64_t number)
{
	for (int i = 0; i < GIVER_WINDOW; i++)
		if (giver->batches[i].number == number)
			return (&giver->batches[i]);
	return (NULL);
}

/* Before they are on their way: if this worker dies now, they may be the
 * taker's. */
static void
giver_note_batch(struct worker *worker, const struct giver_batch *batch,
    uint64_t number)
{
	unsigned index = (unsigned)(batch - worker->giver.batches);
	struct custody_map *map = worker->custody;
	struct custody_conn *held;

	_Static_assert((int)GIVER_WINDOW == (int)CUSTODY_BATCHES,
	    "each batch has its place");
	if (map == NULL)
		return;
	map->batch[index] = number;
	map->giver.number = number;
	for (unsigned i = 0; i < batch->n; i++) {
		held = custody_of(batch->conns[i]);
		held->group = index & 7;
		held->place = (uint8_t)i;
		custody_order();
		held->hold = CUSTODY_OFFERED;
	}
	custody_order();
}

/* The answer is there: this is noted before it is taken out of the link, or a
 * death in between would leave no trace of it. */
static void
giver_note_answer(struct worker *worker, const struct giver_batch *batch,
    uint64_t taken)
{
	size_t index = (size_t)(batch - worker->giver.batches);

	if (worker->custody == NULL)
		return;
	worker->custody->taken[index] = taken;
	custody_order();
	worker->custody->batch[index] = 0;
	custody_order();
}

/* The link as it is now, or none. */
static void
giver_note_link(struct worker *worker)
{
	const struct giver *giver = &worker->giver;

	if (worker->custody == NULL)
		return;
	worker->custody->giver = (struct custody_link){
		.fd = giver->on ? giver_link_of(giver) : 0,
		.version = giver->version,
		.number = giver->numbered,
	};
}

static int
giver_send_packed(struct worker *worker, struct packing *packing)
{
	struct giver *giver = &worker->giver;
	struct giver_batch *batch = packing->batch;
	int fds[HANDOVER_FDS_MAX];
	size_t nfds = 0;

	if (packing->store.len > 0)
		fds[nfds++] = packing->store.fd;
	for (unsigned i = 0; i < batch->n; i++)
		fds[nfds++] = conn_fd(batch->conns[i]);
	packing->msg.batch.number = giver->numbered + 1;
	packing->msg.batch.bytes = packing->store.len;
	packing->msg.batch.n = batch->n;
	packing->msg.batch.pad = 0;
	custody_move(worker->custody, true);
	for (unsigned i = 0; i < batch->n; i++)
		conn_count_offer(batch->conns[i]);
	FAULT("giver_counted");
	giver_note_batch(worker, batch, giver->numbered + 1);
	custody_move(worker->custody, false);
	FAULT("giver_noted");
	if (handover_send(giver_link_of(giver), giver->version, &packing->msg,
	    HANDOVER_BATCH, fds, nfds) == -1)
		return (-1);
	FAULT("giver_sent");
	batch->number = ++giver->numbered;
	giver->unanswered++;
	return (0);
}

/* Send what is at rest, as much as fits into a batch.  Returns whether it may
 * be worth to try again. */
static bool
giver_send_batch(struct worker *worker)
{
	struct packing packing = {
		.batch = giver_find_batch(&worker->giver, 0),
		.store = { .fd = -1, .version = worker->giver.version },
	};
	bool sent = false;

	packing.batch->n = 0;
	packing.batch->parked_us = clock_us();
	giver_pack_all(worker, &packing);
	if (packing.batch->n > 0 && !(sent =
	    giver_send_packed(worker, &packing) == 0)) {
		/* Too much is under way, of ours or the kernel's: when there
		 * has been an answer, or some time, it may be otherwise. */
		worker->giver.blocked = true;
		giver_take_back_all(worker, packing.batch);
	}
	if (packing.unpackable != NULL)
		giver_take_back(worker, packing.unpackable, true);
	if (packing.store.fd != -1)
		close(packing.store.fd);
	return (sent || packing.unpackable != NULL);
}

/*
 * The link.
 */

/* Tell the master that this is all for now, or for good. */
static void
giver_say_given(struct worker *worker, bool ended)
{
	struct giver *giver = &worker->giver;
	struct ctl_given given = {
		.carried = giver->carried - giver->carried_said,
		.left = worker->conns.count,
		.longest_us = giver->longest_us,
		.duration_ms = (uint32_t)(clock_ms() - giver->ordered_ms),
		.ended = ended,
	};

	if (giver->said)
		return;
	giver->said = channel_send(worker->channel, CTL_GIVEN,
	    worker->heritage->generation, &given, -1) == 0 || errno == EPIPE;
	if (giver->said)
		giver->carried_said = giver->carried;
}

/* With nothing under way. */
static void
giver_end_link(struct worker *worker)
{
	struct giver *giver = &worker->giver;

	giver_say_given(worker, true);
	event_del(&giver->event);
	giver->on = false;
	giver_note_link(worker);
	close(giver_link_of(giver));
	FAULT("giver_ended");
	giver->heard_ms = worker->now_ms;
	giver->carried = giver->carried_said = 0;
	giver_take_up_next(worker);
}

/* No batch is on its way, whatever was sent.  Returns how many connections
 * stay. */
static uint64_t
giver_take_back_batches(struct worker *worker)
{
	struct giver *giver = &worker->giver;
	uint64_t kept = 0;

	for (int i = 0; i < GIVER_WINDOW; i++) {
		struct giver_batch *batch = &giver->batches[i];

		if (batch->number == 0)
			continue;
		kept += batch->n;
		giver_take_back_all(worker, batch);
	}
	giver->unanswered = 0;
	return (kept);
}

static void
giver_break_link(struct worker *worker, int why)
{
	struct giver *giver = &worker->giver;
	uint64_t kept;

	giver->blocked = true;
	kept = giver_take_back_batches(worker);
	/* There may be more to give, and nobody to take it. */
	giver->said = false;
	if (why != 0 || kept > 0)
		LOG(WARN, HANDOVER_BROKEN,
		    F_STR("error", why == 0 ? "the taker is gone" :
		    why == EPROTONOSUPPORT ? "the taker speaks another "
		    "version" : strerror(why)),
		    F_U64("conns_kept", kept),
		    F_U64("conns", worker->conns.count));
	giver_end_link(worker);
	/* Those who were to begin elsewhere. */
	handlers_pump(worker);
}

/* Go on as far as can be; no connection is being run. */
bool
giver_settle(struct worker *worker)
{
	struct giver *giver = &worker->giver;

	if (!giver->rested)
		return (false);
	giver->rested = false;
	if (!giver->on || !giver->greeted)
		return (false);
	while (departure_has_room(giver) && giver_wanted(giver) > 0 &&
	    giver_send_batch(worker))
		;
	if (giver->unanswered > 0 || giver->blocked)
		return (false);
	if (giver->next != -1 || !giver_gives_all(giver)) {
		giver_end_link(worker);
		return (false);
	}
	giver_say_given(worker, false);
	return (true);
}

static void
giver_on_adopted(struct worker *worker, const struct handover_adopted *adopted)
{
	struct giver *giver = &worker->giver;
	struct giver_batch *batch = giver_find_batch(giver, adopted->number);
	uint64_t us, kept = 0;

	FAULT("giver_heard");
	us = clock_us() - batch->parked_us;
	batch->number = 0;
	giver->unanswered--;
	giver->blocked = false;
	for (unsigned i = 0; i < batch->n; i++) {
		if (batch->conns[i] == NULL)
			continue;
		if ((adopted->taken & (UINT64_C(1) << i)) == 0) {
			conn_count_return(batch->conns[i]);
			giver_take_back(worker, batch->conns[i], true);
			kept++;
			continue;
		}
		giver_let_go(batch->conns[i]);
		FAULT("giver_let_go");
		giver->carried++;
		if (us > giver->longest_us)
			giver->longest_us = us;
	}
	if (kept > 0)
		LOG_CLIENT(WARN, HANDOVER_KEPT, F_U64("conns", kept));
}

/* The taker cannot be understood, but it lives, and may serve what it has not
 * answered for: nobody must be served twice. */
static void
giver_give_up(struct worker *worker, int why)
{
	struct giver *giver = &worker->giver;

	for (int i = 0; i < GIVER_WINDOW; i++) {
		struct giver_batch *batch = &giver->batches[i];

		if (batch->number == 0)
			continue;
		batch->number = 0;
		for (unsigned k = 0; k < batch->n; k++)
			giver_let_go(batch->conns[k]);
	}
	giver->unanswered = 0;
	giver_break_link(worker, why);
}

/* For a rescuer: the answer that is received next. */
static void
giver_note_next(struct worker *worker)
{
	struct giver *giver = &worker->giver;
	const struct giver_batch *batch;
	struct handover_message msg;

	if (worker->custody == NULL ||
	    !handover_peek(giver_link_of(giver), &msg) ||
	    msg.header.type != HANDOVER_ADOPTED || msg.adopted.number == 0)
		return;
	if ((batch = giver_find_batch(giver, msg.adopted.number)) != NULL)
		giver_note_answer(worker, batch, msg.adopted.taken);
	FAULT("giver_noted_answer");
}

/* Returns whether another message may be there. */
static bool
giver_handle_one(struct worker *worker)
{
	struct giver *giver = &worker->giver;
	struct handover_message msg;
	struct handover_fds fds;
	int got;

	giver_note_next(worker);
	got = handover_receive(giver_link_of(giver), &msg, &fds);
	if (got == -1 && errno == EAGAIN)
		return (false);
	if (got != 1) {
		if (got == 0 || errno == ECONNRESET)
			giver_break_link(worker, 0);
		else
			giver_give_up(worker, errno);
		return (false);
	}
	handover_close_fds(&fds);
	giver->heard_ms = worker->now_ms;
	if (msg.header.type == HANDOVER_HELLO && !giver->greeted) {
		giver->greeted = true;
		giver->version = msg.header.version;
		memcpy(giver->protocol, msg.hello.protocol,
		    sizeof(giver->protocol));
		giver_note_link(worker);
	} else if (msg.header.type == HANDOVER_ADOPTED &&
	    msg.adopted.number != 0 && msg.adopted.number <= giver->numbered) {
		/* A rescuer of the taker may say it once more. */
		if (giver_find_batch(giver, msg.adopted.number) != NULL)
			giver_on_adopted(worker, &msg.adopted);
	} else if (msg.header.type == HANDOVER_TOLD && worker->is_rescuer) {
		/* The others were never sent. */
		giver->blocked = false;
		(void)giver_take_back_batches(worker);
	} else {
		giver_give_up(worker, EPROTO);
		return (false);
	}
	return (giver->on);
}

static void
giver_on_link(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	worker_turn(worker);
	while (giver_handle_one(worker))
		;
	giver_on_rest(worker);
}

static void
giver_take_up(struct worker *worker, int link, const struct ctl_give *order)
{
	struct giver *giver = &worker->giver;

	giver->order = *order;
	giver->greeted = false;
	giver->blocked = false;
	giver->said = false;
	giver->retry_ms = 0;
	giver->longest_us = 0;
	giver->ordered_ms = clock_ms();
	giver->heard_ms = worker->now_ms;
	giver_forget_stays(worker);
	event_assign(&giver->event, worker->base, link, EV_READ | EV_PERSIST,
	    giver_on_link, worker);
	giver->on = event_add(&giver->event, NULL) == 0;
	if (giver->on)
		return;
	close(link);
	giver_say_given(worker, true);
}

static void
giver_take_up_next(struct worker *worker)
{
	struct giver *giver = &worker->giver;
	int link = giver->next;

	if (link == -1)
		return;
	giver->next = -1;
	giver_take_up(worker, link, &giver->next_order);
}

void
giver_restore_batch(struct worker *worker, int index, uint64_t number,
    struct conn *const *conns, unsigned n)
{
	struct giver_batch *batch = &worker->giver.batches[index];

	if (n == 0)
		return;
	batch->number = number;
	batch->parked_us = clock_us();
	batch->n = n;
	memcpy(batch->conns, conns, n * sizeof(*conns));
	worker->giver.unanswered++;
}

int
giver_restore(struct worker *worker, const struct custody_link *link)
{
	const struct ctl_give none = { .quota = 0 };
	struct giver *giver = &worker->giver;
	struct handover_message msg = { .ask.number = link->number };

	giver_take_up(worker, link->fd, &none);
	giver->numbered = link->number;
	giver->version = link->version;
	giver->greeted = giver->on;
	giver_note_link(worker);
	/* If it cannot be asked, its answers or the end of its link tell. */
	if (giver->on && giver->unanswered > 0)
		(void)handover_send(link->fd, giver->version, &msg,
		    HANDOVER_ASK, NULL, 0);
	FAULT("giver_asked");
	giver_on_rest(worker);
	return (giver->on ? 0 : -1);
}

void
giver_decline(struct worker *worker)
{
	const struct ctl_given given = {
		.left = worker->conns.count,
		.ended = true,
	};

	(void)channel_send(worker->channel, CTL_GIVEN,
	    worker->heritage->generation, &given, -1);
}

void
giver_begin(struct worker *worker, int link, const struct ctl_give *order)
{
	struct giver *giver = &worker->giver;

	if (!giver->on) {
		giver_take_up(worker, link, order);
		return;
	}
	if (giver->next != -1) {
		close(giver->next);
		giver_decline(worker);
	}
	giver->next = link;
	giver->next_order = *order;
	giver_on_rest(worker);
}

void
giver_end(struct worker *worker)
{
	struct giver *giver = &worker->giver;

	giver->order.quota = 0;
	giver_on_rest(worker);
	if (giver->next == -1)
		return;
	close(giver->next);
	giver->next = -1;
	giver_decline(worker);
}

void
giver_forgive(struct worker *worker, uint64_t stall_ms)
{
	struct giver *giver = &worker->giver;

	giver->heard_ms = clock_later(giver->heard_ms, stall_ms,
	    worker->now_ms);
}

void
giver_tick(struct worker *worker)
{
	struct giver *giver = &worker->giver;

	if (!giver->on)
		return;
	giver->blocked = false;
	giver_release_slow(worker);
	if (giver->retry_ms != 0 && worker->now_ms >= giver->retry_ms) {
		giver->retry_ms = 0;
		giver_forget_stays(worker);
	}
	giver_on_rest(worker);
}

/*
 * The descriptors that a user has on their way are limited by RLIMIT_NOFILE, over
 * all its processes: unix(7).  All workers that give at once take half of it; the
 * rest is for the master's messages and for other programs of the user.
 */
static void
giver_divide(struct giver *giver, unsigned workers)
{
	uint64_t share = HANDOVER_FDS_MAX * GIVER_WINDOW;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur / 2 / workers < share)
		share = limit.rlim_cur / 2 / workers;
	if (share < GIVER_SHARE_MIN)
		share = GIVER_SHARE_MIN;
	giver->window = (unsigned)(share / GIVER_SHARE_MIN);
	if (giver->window > GIVER_WINDOW)
		giver->window = GIVER_WINDOW;
	/* With each batch a memfd goes. */
	giver->batch_conns = (unsigned)(share / giver->window) - 1;
}

int
giver_init(struct worker *worker)
{
	struct giver *giver = &worker->giver;

	giver->next = -1;
	giver_divide(giver, worker->heritage->slots);
	giver->batches = calloc(GIVER_WINDOW, sizeof(*giver->batches));
	return (giver->batches == NULL ? -1 : 0);
}

void
giver_free(struct worker *worker)
{
	struct giver *giver = &worker->giver;

	for (int i = 0; giver->batches != NULL && i < GIVER_WINDOW; i++)
		if (giver->batches[i].number != 0)
			for (unsigned k = 0; k < giver->batches[i].n; k++)
				giver_let_go(giver->batches[i].conns[k]);
	free(giver->batches);
	if (giver->on) {
		event_del(&giver->event);
		close(giver_link_of(giver));
	}
	if (giver->batches != NULL && giver->next != -1)
		close(giver->next);
}
