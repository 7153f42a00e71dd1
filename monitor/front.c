/* SPDX-License-Identifier: ISC */
#include "monitor/front.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdlib.h>

#include "common/clock.h"

enum { NO_TIMEOUT_S = 365 * 86400 };

/*
 * A connection of evhttp's.  The guard holds a reference to the bufferevent, so
 * that it can be looked at safely: evhttp takes its callbacks off when it is
 * done with one.
 */
struct guard {
	TAILQ_ENTRY(guard) link;
	struct bufferevent *bev;
	uint64_t deadline_ms;
	bool answered;			/* one request at least */
};

/* One address. */
struct entrance {
	struct front *front;
	struct evhttp *http;
	struct evhttp_bound_socket *bound;
	bool trusted;
};

struct front {
	struct event_base *base;
	struct entrance *entrances;
	size_t n;
	TAILQ_HEAD(, guard) guards;
	size_t nguards;
	size_t naccepted;		/* in this turn of the loop */
	front_answer_fn answer;
	void *arg;
};

/*
 * Guards.
 */

static bool
is_gone(const struct guard *guard)
{
	bufferevent_event_cb on_event;

	bufferevent_getcb(guard->bev, NULL, NULL, &on_event, NULL);
	return (on_event == NULL);
}

static void
guard_free(struct front *front, struct guard *guard)
{
	TAILQ_REMOVE(&front->guards, guard, link);
	front->nguards--;
	bufferevent_decref(guard->bev);
	free(guard);
}

/* evhttp is told of the end of the connection, and closes it.  It would not see
 * that for itself while it does not read. */
static void
guard_end(struct front *front, struct guard *guard)
{
	bufferevent_trigger_event(guard->bev, BEV_EVENT_EOF, 0);
	guard_free(front, guard);
}

static struct guard *
find_guard(const struct front *front, const struct bufferevent *bev)
{
	struct guard *guard;

	TAILQ_FOREACH(guard, &front->guards, link)
		if (guard->bev == bev)
			break;
	return (guard);
}

static void
end_slowest(struct front *front)
{
	struct guard *guard, *slowest = NULL;

	TAILQ_FOREACH(guard, &front->guards, link)
		if (slowest == NULL ||
		    guard->deadline_ms < slowest->deadline_ms)
			slowest = guard;
	if (slowest != NULL)
		guard_end(front, slowest);
}

static bool
is_over(const struct guard *guard, uint64_t now_ms)
{
	return (now_ms >= guard->deadline_ms || evbuffer_get_length(
	    bufferevent_get_input(guard->bev)) > FRONT_INPUT_MAX);
}

/* Without a bound libevent accepts until the queue is empty, and those who come
 * without pause hold up all else. */
static void
listen_again(struct front *front)
{
	for (size_t i = 0; i < front->n; i++)
		if (front->entrances[i].bound != NULL)
			evconnlistener_enable(evhttp_bound_socket_get_listener(
			    front->entrances[i].bound));
}

void
front_forgive(struct front *front, uint64_t stall_ms)
{
	struct guard *guard;

	TAILQ_FOREACH(guard, &front->guards, link)
		guard->deadline_ms += stall_ms;
}

void
front_sweep(struct front *front)
{
	uint64_t now_ms = clock_ms();
	struct guard *guard, *next;

	if (front->naccepted >= FRONT_ACCEPTS_MAX)
		listen_again(front);
	front->naccepted = 0;
	for (guard = TAILQ_FIRST(&front->guards); guard != NULL; guard = next) {
		next = TAILQ_NEXT(guard, link);
		if (is_gone(guard))
			guard_free(front, guard);
		else if (is_over(guard, now_ms))
			guard_end(front, guard);
	}
}

/*
 * evhttp.
 */

/* It asks for the bufferevent of a connection that it has accepted. */
static struct bufferevent *
on_accept(struct event_base *base, void *arg)
{
	struct entrance *entrance = arg;
	struct front *front = entrance->front;
	struct guard *guard;

	if (++front->naccepted >= FRONT_ACCEPTS_MAX)
		evconnlistener_disable(evhttp_bound_socket_get_listener(
		    entrance->bound));
	if ((guard = calloc(1, sizeof(*guard))) == NULL)
		return (NULL);
	if ((guard->bev = bufferevent_socket_new(base, -1, 0)) == NULL) {
		free(guard);
		return (NULL);
	}
	bufferevent_incref(guard->bev);
	guard->deadline_ms = clock_ms() + FRONT_FIRST_MS;
	if (front->nguards >= FRONT_CONNECTIONS_MAX)
		end_slowest(front);
	TAILQ_INSERT_TAIL(&front->guards, guard, link);
	front->nguards++;
	return (guard->bev);
}

static void
on_request(struct evhttp_request *request, void *arg)
{
	struct entrance *entrance = arg;
	struct evhttp_connection *conn =
	    evhttp_request_get_connection(request);
	struct guard *guard = find_guard(entrance->front,
	    evhttp_connection_get_bufferevent(conn));

	if (guard != NULL) {
		guard->deadline_ms = clock_ms() + FRONT_NEXT_MS;
		guard->answered = true;
	}
	entrance->front->answer(request, entrance->trusted,
	    entrance->front->arg);
	/* evhttp would read on while it waits for the reply to be taken.  When
	 * it is, evhttp turns to what it has read, and then reads again.  (With
	 * a high watermark the loop spins on a line that has no end.) */
	if (guard != NULL)
		bufferevent_disable(guard->bev, EV_READ);
}

static bool
is_unix(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	return (getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
	    address.ss_family == AF_UNIX);
}

static int
open_entrance(struct entrance *entrance, struct front *front, int fd)
{
	struct evhttp *http;

	*entrance = (struct entrance){ .front = front, .trusted = is_unix(fd) };
	if ((http = evhttp_new(front->base)) == NULL)
		return (-1);
	entrance->http = http;
	evhttp_set_allowed_methods(http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
	evhttp_set_max_headers_size(http, FRONT_HEADERS_MAX);
	evhttp_set_max_body_size(http, FRONT_BODY_MAX);
	/* The guards have the time; libevent's is over before it looks at what
	 * came while the process stood still. */
	evhttp_set_timeout(http, NO_TIMEOUT_S);
	evhttp_set_bevcb(http, on_accept, entrance);
	evhttp_set_gencb(http, on_request, entrance);
	entrance->bound = evhttp_accept_socket_with_handle(http, fd);
	return (entrance->bound == NULL ? -1 : 0);
}

struct front *
front_new(struct event_base *base, const struct heritage *heritage,
    front_answer_fn answer, void *arg)
{
	struct front *front;

	if ((front = calloc(1, sizeof(*front))) == NULL)
		return (NULL);
	front->base = base;
	front->answer = answer;
	front->arg = arg;
	TAILQ_INIT(&front->guards);
	front->entrances = calloc(heritage->nsockets + 1,
	    sizeof(*front->entrances));
	if (front->entrances == NULL) {
		free(front);
		return (NULL);
	}
	for (size_t i = 0; i < heritage->nsockets; i++) {
		front->n++;
		if (open_entrance(&front->entrances[i], front,
		    heritage->sockets[i].fd) == 0)
			continue;
		front_free(front);
		return (NULL);
	}
	return (front);
}

void
front_free(struct front *front)
{
	struct guard *guard;

	if (front == NULL)
		return;
	for (size_t i = 0; i < front->n; i++)
		if (front->entrances[i].http != NULL)
			evhttp_free(front->entrances[i].http);
	while ((guard = TAILQ_FIRST(&front->guards)) != NULL)
		guard_free(front, guard);
	free(front->entrances);
	free(front);
}

void
front_close(struct front *front)
{
	for (size_t i = 0; i < front->n; i++) {
		evhttp_del_accept_socket(front->entrances[i].http,
		    front->entrances[i].bound);
		front->entrances[i].bound = NULL;
	}
}

static size_t
unsent(const struct guard *guard)
{
	return (evbuffer_get_length(bufferevent_get_output(guard->bev)));
}

bool
front_is_quiet(const struct front *front)
{
	const struct guard *guard;

	TAILQ_FOREACH(guard, &front->guards, link)
		if (!guard->answered || unsent(guard) > 0)
			return (false);
	return (true);
}

size_t
front_pending(const struct front *front)
{
	const struct guard *guard;
	size_t sum = 0;

	TAILQ_FOREACH(guard, &front->guards, link)
		sum += unsent(guard);
	return (sum);
}
