/* SPDX-License-Identifier: ISC */
#include "worker/taker.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/custody.h"
#include "worker/keepalive.h"
#include "worker/parcel.h"
#include "worker/worker.h"

enum {
	/* After so many batches, those who are served have their turn. */
	BATCHES_PER_TURN = 2,
};

static int
taker_link_of(const struct taker *taker)
{
	return (event_get_fd(&taker->event));
}

/*
 * What a rescuer is to know: the connections that are adopted, with their places
 * in the batch; then, when all are there, that this link has them; and when they
 * are served, that it has none.
 */

static void
taker_note_link(struct taker *taker)
{
	struct custody_map *map = taker->worker->custody;

	for (int i = 0; map != NULL && i < CUSTODY_TAKERS; i++)
		if (map->taker[i].fd == 0) {
			taker->noted = &map->taker[i];
			*taker->noted = (struct custody_link){
				.fd = taker_link_of(taker),
				.version = taker->version,
			};
			return;
		}
}

static void
taker_note_conn(const struct taker *taker, const struct conn *conn,
    unsigned place, unsigned from)
{
	if (taker->noted != NULL)
		custody_take(conn, (unsigned)(taker->noted -
		    taker->worker->custody->taker), place, from);
}

static void
taker_note_batch(const struct taker *taker)
{
	if (taker->noted == NULL)
		return;
	custody_order();
	taker->noted->number = taker->answer.number;
	custody_order();
}

static void
taker_free(struct taker *taker)
{
	TAILQ_REMOVE(&taker->worker->takers, taker, entry);
	if (taker->noted != NULL)
		*taker->noted = (struct custody_link){ .fd = 0 };
	event_del(&taker->event);
	close(taker_link_of(taker));
	for (unsigned i = 0; i < taker->nadopted; i++) {
		conn_count_gone(taker->adopted[i]);
		conn_forget(taker->adopted[i]);
	}
	free(taker);
}

/*
 * Adopting.
 */

/* The socket was accepted from a listener of another configuration. */
static void
taker_renew_options(const struct conn *conn)
{
	int nodelay = conn->listener->conf->nodelay;

	keepalive_renew(conn);
	if (!conn->is_local)
		(void)setsockopt(conn_fd(conn), IPPROTO_TCP, TCP_NODELAY,
		    &nodelay, sizeof(nodelay));
}

/* Serve the connections that are ours now.  They are not counted before: if we died
 * then, the giver would serve them on, and they would not be lost. */
static void
taker_wake_all(struct taker *taker)
{
	struct worker *worker = taker->worker;
	unsigned n = taker->nadopted;

	taker->answer.number = 0;
	taker->nadopted = 0;
	custody_move(worker->custody, true);
	for (unsigned i = 0; i < n; i++) {
		/* First: a rescuer counts those that are ours and are not
		 * counted yet, but cannot know that another one is. */
		custody_own(taker->adopted[i]);
		conn_count_enter(taker->adopted[i], taker->from[i]);
		FAULT("taker_entered");
	}
	custody_move(worker->custody, false);
	/* If one of them is the end of us, all of them were ours. */
	for (unsigned i = 0; i < n; i++) {
		taker_renew_options(taker->adopted[i]);
		conn_wake(taker->adopted[i]);
		FAULT("taker_woke");
	}
	taker_note_batch(taker);
	FAULT("taker_done");
	handlers_pump(worker);
}

/* Send it, or find that nobody hears it any more.  Returns false if it has to
 * be tried again. */
static bool
taker_say(struct taker *taker, struct handover_message *msg,
    enum handover_type type)
{
	return (handover_send(taker_link_of(taker), taker->version, msg, type,
		    NULL, 0) == 0 ||
	    errno == EPIPE || errno == ECONNRESET);
}

/* Say what we have taken.  Until that can be said, we have not, and nothing
 * more is taken. */
static void
taker_answer(struct taker *taker)
{
	struct handover_message msg = { .adopted = taker->answer };

	if (!taker_say(taker, &msg, taker->answers)) {
		event_del(&taker->event);
		return;
	}
	FAULT("taker_answered");
	/* A giver that is gone serves nobody. */
	taker_wake_all(taker);
}

/* Take what arrived of a batch: connections whose descriptor did not, or for
 * whom there is no room, stay where they are. */
static void
taker_adopt(struct taker *taker, const struct handover_batch *batch,
    struct handover_fds *fds)
{
	struct parcel_bytes store = {
		.fd = -1,
		.version = taker->version,
		.lineage = &taker->lineage,
		.len = batch->bytes,
	};
	size_t first = 0;
	struct conn *conn;
	int why = 0;

	FAULT("taker_received");
	taker->answer = (struct handover_adopted){ .number = batch->number };
	taker->answers = HANDOVER_ADOPTED;
	if (batch->bytes > 0) {
		store.fd = fds->n > 0 ? fds->fd[0] : -1;
		first = 1;
	}
	for (uint32_t i = 0; i < batch->n; i++) {
		if (first + i >= fds->n) {
			why = EMFILE;
			break;
		}
		conn = parcel_unpack(taker->worker, &batch->conns[i], &store,
		    fds->fd[first + i]);
		if (conn == NULL) {
			if ((why = errno) == EPROTO)
				break;
			continue;
		}
		fds->fd[first + i] = -1;
		taker_note_conn(taker, conn, i, batch->conns[i].listener);
		FAULT("taker_adopted");
		taker->from[taker->nadopted] = batch->conns[i].listener;
		taker->adopted[taker->nadopted++] = conn;
		taker->answer.taken |= UINT64_C(1) << i;
	}
	if (why != 0)
		LOG_CLIENT(WARN, HANDOVER_REFUSED, F_ERRNO(why),
		    F_U64("conns", batch->n - taker->nadopted));
	for (unsigned i = 0; i < taker->nadopted; i++)
		conn_count_hold(taker->adopted[i]);
	FAULT("taker_counted");
	taker_note_batch(taker);
	FAULT("taker_noted");
	taker_answer(taker);
}

/* A rescuer asks which batches have come: all before this have their answer. */
static void
taker_tell(struct taker *taker, const struct handover_ask *ask)
{
	taker->answer = (struct handover_adopted){ .number = ask->number };
	taker->answers = HANDOVER_TOLD;
	taker_answer(taker);
}

/* Returns whether another batch may be there. */
static bool
taker_handle_one(struct taker *taker)
{
	struct handover_message msg;
	struct handover_fds fds;
	int got;

	/* One answer at a time. */
	if (taker->answer.number != 0)
		return (false);
	got = handover_receive(taker_link_of(taker), &msg, &fds);
	if (got == -1 && errno == EAGAIN)
		return (false);
	if (got == -1)
		LOG(WARN, HANDOVER_BROKEN, F_ERRNO(errno));
	if (got == 1 && msg.header.type == HANDOVER_ASK &&
	    msg.ask.number != 0) {
		handover_close_fds(&fds);
		taker_tell(taker, &msg.ask);
		return (true);
	}
	if (got != 1 || msg.header.type != HANDOVER_BATCH ||
	    msg.header.version != taker->version ||
	    msg.batch.number == 0) {
		if (got == 1)
			handover_close_fds(&fds);
		taker_free(taker);
		return (false);
	}
	taker_adopt(taker, &msg.batch, &fds);
	handover_close_fds(&fds);
	return (true);
}

static void
taker_on_link(evutil_socket_t fd, short what, void *arg)
{
	struct taker *taker = arg;
	struct worker *worker = taker->worker;

	(void)fd;
	(void)what;
	worker_turn(worker);
	for (int i = 0; i < BATCHES_PER_TURN; i++)
		if (!taker_handle_one(taker))
			break;		/* there may be no taker any more */
}

static void
taker_say_hello(struct taker *taker)
{
	struct handover_message msg = { .hello = { .protocol = { 0 } } };
	const struct listener *heir;

	for (unsigned i = 0; i < COUNTERS_LISTENERS; i++)
		if ((heir = taker->lineage.heir[i]) != NULL)
			msg.hello.protocol[i] =
			    (uint8_t)(heir->conf->protocol + 1);
	taker->greeted = taker_say(taker, &msg, HANDOVER_HELLO);
}

void
taker_begin(struct worker *worker, int link, const struct ctl_take *order)
{
	struct taker *taker;

	if ((taker = calloc(1, sizeof(*taker))) == NULL)
		goto fail;
	taker->worker = worker;
	taker->version = handover_version_for(order->giver);
	lineage_init(&taker->lineage, worker, order->generation);
	event_assign(&taker->event, worker->base, link, EV_READ | EV_PERSIST,
	    taker_on_link, taker);
	if (event_add(&taker->event, NULL) == -1)
		goto fail;
	TAILQ_INSERT_TAIL(&worker->takers, taker, entry);
	taker_note_link(taker);
	taker_say_hello(taker);
	return;
fail:
	/* The giver sees it, and serves on. */
	LOG(WARN, HANDOVER_BROKEN, F_ERRNO(ENOMEM));
	free(taker);
	close(link);
}

/* Those that the dead worker had adopted, if they are at rest; if not, their
 * giver may serve them on. */
static void
taker_readopt(struct taker *taker, struct conn *const *conns)
{
	struct conn *conn;

	for (unsigned i = 0; i < HANDOVER_CONNS_MAX; i++) {
		if ((conn = conns[i]) == NULL)
			continue;
		if (custody_check(custody_of(conn), conn_record(conn)) != -1) {
			conn_count_gone(conn);
			conn_forget(conn);
			continue;
		}
		taker->from[taker->nadopted] = custody_of(conn)->from;
		taker->adopted[taker->nadopted++] = conn;
		taker->answer.taken |= UINT64_C(1) << i;
	}
}

int
taker_restore(struct worker *worker, struct custody_link *link,
    struct conn *const conns[HANDOVER_CONNS_MAX])
{
	struct taker *taker;

	if ((taker = calloc(1, sizeof(*taker))) == NULL)
		return (-1);
	taker->worker = worker;
	taker->version = link->version;
	taker->noted = link;
	taker->greeted = taker->is_last = true;
	taker->answer.number = link->number;
	taker->answers = HANDOVER_ADOPTED;
	event_assign(&taker->event, worker->base, link->fd,
	    EV_READ | EV_PERSIST, taker_on_link, taker);
	TAILQ_INSERT_TAIL(&worker->takers, taker, entry);
	taker_readopt(taker, conns);
	taker_answer(taker);
	if (taker->answer.number == 0)
		taker_free(taker);
	return (0);
}

void
takers_tick(struct worker *worker)
{
	struct taker *taker, *next;

	for (taker = TAILQ_FIRST(&worker->takers); taker != NULL;
	    taker = next) {
		next = TAILQ_NEXT(taker, entry);
		if (!taker->greeted)
			taker_say_hello(taker);
		if (taker->answer.number != 0)
			taker_answer(taker);
		/* Where that could be said, or could not be done before. */
		if (taker->answer.number == 0 && taker->is_last)
			taker_free(taker);
		else if (taker->answer.number == 0)
			(void)event_add(&taker->event, NULL);
	}
}

void
takers_free(struct worker *worker)
{
	struct taker *taker;

	while ((taker = TAILQ_FIRST(&worker->takers)) != NULL)
		taker_free(taker);
}
