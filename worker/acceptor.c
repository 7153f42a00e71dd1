/* SPDX-License-Identifier: ISC */
#include "worker/acceptor.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/fd.h"
#include "common/log.h"
#include "worker/conn.h"
#include "worker/conn_record.h"
#include "worker/worker.h"

enum {
	/* Connections accepted in one turn: enough to empty the queue faster
	 * than it fills, few enough that those who are served do not notice. */
	ACCEPT_BATCH = 64,
	SAY_EVERY_MS = 1000,
};

enum accepted {
	ACCEPTED,		/* another may be there */
	ACCEPTED_ALL,		/* the queue is empty */
	ACCEPT_LATER,		/* there is no room for more */
	ACCEPT_NEVER,		/* the socket is of no use */
};

static void
acceptor_unwatch(struct acceptor *acceptor)
{
	if (acceptor->watching)
		event_del(&acceptor->event);
	acceptor->watching = false;
	acceptor->listener->worker->acceptors.held_back = true;
}

static void
acceptor_watch(struct acceptor *acceptor)
{
	if (!acceptor->watching)
		acceptor->watching = event_add(&acceptor->event, NULL) == 0;
}

/* No descriptor, or no memory in the kernel: go on when one has become free. */
static void
acceptor_pause_all(struct worker *worker, int why)
{
	struct acceptors *acceptors = &worker->acceptors;

	for (size_t i = 0; i < acceptors->n; i++)
		acceptor_unwatch(&acceptors->all[i]);
	counter_add(&worker->counters->accept_pauses, 1);
	if (acceptors->said_ms != 0 &&
	    worker->now_ms - acceptors->said_ms < SAY_EVERY_MS)
		return;
	acceptors->said_ms = worker->now_ms;
	LOG(WARN, ACCEPT_PAUSED, F_ERRNO(why),
	    F_U64("conns", worker->conns.count));
}

static enum accepted
acceptor_accept_failed(struct worker *worker, int why)
{
	switch (why) {
	case EAGAIN:
		return (ACCEPTED_ALL);
	case EINVAL:
	case EBADF:
	case ENOTSOCK:
		/* It does not listen, and never will. */
		return (ACCEPT_NEVER);
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		acceptor_pause_all(worker, why);
		return (ACCEPT_LATER);
	default:
		/* Errors of the one connection, which is no more: accept(2). */
		return (ACCEPTED);
	}
}

/* Whether an address may connect, where only proxies may. */
static bool
acceptor_admits(const struct conf_listener *conf, const struct sockaddr *peer)
{
	return (!conf->proxy_protocol || conf_networks_have(conf->proxy_from,
	    conf->nproxy_from, peer));
}

/* To say something would be of use only to those who look for a way in. */
static void
acceptor_turn_away(const struct listener *listener, int fd,
    const struct sockaddr *peer)
{
	char text[CONN_PEER_MAX];

	counter_add(&listener->counters->not_proxied, 1);
	LOG_CLIENT(WARN, CONN_REJECTED,
	    F_STR("listener", listener->conf->name),
	    F_STR("peer", conn_print_peer(peer, text)),
	    F_STR("reason", "proxy_from"));
	fd_close_unread(fd);
}

static enum accepted
acceptor_accept(struct acceptor *acceptor)
{
	struct listener *listener = acceptor->listener;
	struct sockaddr_storage peer = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(peer);
	enum reject_reason why;
	bool full;
	int fd;

	full = listener_is_full(listener, &why);
	if (full && listener->conf->on_limit == CONF_ON_LIMIT_WAIT) {
		acceptor_unwatch(acceptor);
		return (ACCEPT_LATER);
	}
	fd = accept4(event_get_fd(&acceptor->event), (struct sockaddr *)&peer,
	    &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1)
		return (acceptor_accept_failed(listener->worker, errno));
	FAULT("accepted");
	if (!acceptor_admits(listener->conf, (struct sockaddr *)&peer))
		acceptor_turn_away(listener, fd, (struct sockaddr *)&peer);
	else if (full)
		conn_reject(listener, fd, (struct sockaddr *)&peer, why);
	else if (conn_new(listener, fd, (struct sockaddr *)&peer) == NULL) {
		counter_add(&listener->counters->rejected[REJECT_NO_ROOM], 1);
		LOG_CLIENT(WARN, CONN_REJECTED,
		    F_STR("listener", listener->conf->name),
		    F_STR("reason", reject_reason_name(REJECT_NO_ROOM)),
		    F_ERRNO(errno));
	}
	return (ACCEPTED);
}

static void
acceptor_on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *acceptor = arg;

	(void)fd;
	(void)what;
	worker_turn(acceptor->listener->worker);
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		enum accepted accepted = acceptor_accept(acceptor);

		if (accepted == ACCEPT_NEVER)
			event_del(&acceptor->event);
		if (accepted != ACCEPTED)
			return;
	}
}

int
acceptors_init(struct worker *worker)
{
	const struct heritage *heritage = worker->heritage;
	struct acceptors *acceptors = &worker->acceptors;
	struct acceptor *acceptor;

	acceptors->all = calloc(heritage->nsockets, sizeof(*acceptors->all));
	if (acceptors->all == NULL)
		return (-1);
	acceptors->n = heritage->nsockets;
	for (size_t i = 0; i < acceptors->n; i++) {
		acceptor = &acceptors->all[i];
		acceptor->listener =
		    &worker->listeners[heritage->sockets[i].listener];
		event_assign(&acceptor->event, worker->base,
		    heritage->sockets[i].fd, EV_READ | EV_PERSIST,
		    acceptor_on_acceptable, acceptor);
	}
	return (0);
}

static void
acceptor_close_all(struct acceptors *acceptors)
{
	for (size_t i = 0; i < acceptors->n; i++) {
		event_del(&acceptors->all[i].event);
		fd_close_unread(event_get_fd(&acceptors->all[i].event));
	}
	acceptors->n = 0;
	acceptors->open = false;
}

void
acceptors_free(struct worker *worker)
{
	acceptor_close_all(&worker->acceptors);
	free(worker->acceptors.all);
}

void
acceptors_start(struct worker *worker)
{
	struct acceptors *acceptors = &worker->acceptors;

	acceptors->open = true;
	acceptors->held_back = true;
	acceptors_resume(acceptors);
}

void
acceptors_finish(struct worker *worker)
{
	struct acceptors *acceptors = &worker->acceptors;

	if (!acceptors->open) {
		acceptor_close_all(acceptors);
		return;
	}
	for (size_t i = 0; i < acceptors->n; i++) {
		struct acceptor *acceptor = &acceptors->all[i];
		unsigned most = acceptor->listener->conf->backlog + 1;

		while (most-- > 0 && acceptor_accept(acceptor) == ACCEPTED)
			;
	}
	acceptor_close_all(acceptors);
}

void
acceptors_resume(struct acceptors *acceptors)
{
	if (!acceptors->open || !acceptors->held_back)
		return;
	acceptors->held_back = acceptors->has_room = false;
	for (size_t i = 0; i < acceptors->n; i++) {
		acceptor_watch(&acceptors->all[i]);
		if (!acceptors->all[i].watching)
			acceptors->held_back = true;
	}
}
