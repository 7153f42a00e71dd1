/* SPDX-License-Identifier: ISC */
#include "monitor/front.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/http_date.h"
#include "conf/conf.h"
#include "monitor/own_host.h"

enum {
	/* Limits for a client that still sends after its last reply. */
	LINGER_MS = 2000,
	LINGER_BYTES_MAX = 1 << 20,
};

struct front_conn {
	TAILQ_ENTRY(front_conn) link;
	struct front *front;
	struct bufferevent *bev;	/* owned, and with it the socket */
	uint64_t deadline_ms;
	size_t scanned;			/* see http_head_find() */
	bool trusted;
	bool answered;			/* one request at least */
	bool last;			/* its last reply has been made */
	size_t discarded;		/* while it lingers */
	bool lingers;			/* and taken: what comes is discarded */
	bool ended;			/* to be freed at the next sweep */
};

/* One address. */
struct entrance {
	struct front *front;
	struct evconnlistener *listener;	/* NULL: closed */
	bool trusted;
};

struct front {
	struct event_base *base;
	const struct conf_monitor *conf;	/* borrowed */
	struct conf_http http;			/* what requests may be */
	struct entrance *entrances;
	size_t n;
	TAILQ_HEAD(, front_conn) conns;
	size_t nconns;
	size_t naccepted;		/* in this turn of the loop */
	front_answer_fn answer;
	void *arg;
};

/*
 * Connections.
 */

/* libevent frees a bufferevent in the next turn of the loop only; the
 * descriptor is closed now, so that their number is bounded. */
static void
front_conn_free(struct front_conn *conn)
{
	evutil_socket_t fd = bufferevent_getfd(conn->bev);

	TAILQ_REMOVE(&conn->front->conns, conn, link);
	conn->front->nconns--;
	bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(conn->bev, EV_READ | EV_WRITE);
	bufferevent_setfd(conn->bev, -1);
	evutil_closesocket(fd);
	bufferevent_free(conn->bev);
	free(conn);
}

static struct evbuffer *
input_of(const struct front_conn *conn)
{
	return (bufferevent_get_input(conn->bev));
}

static size_t
unsent(const struct front_conn *conn)
{
	return (evbuffer_get_length(bufferevent_get_output(conn->bev)));
}

static void
discard(struct front_conn *conn)
{
	size_t len = evbuffer_get_length(input_of(conn));

	evbuffer_drain(input_of(conn), len);
	conn->discarded += len;
	conn->ended |= conn->discarded > LINGER_BYTES_MAX;
}

/* All is said: the client is to see that, and what it still sends is not to
 * reset the reply that is on its way. */
static void
linger(struct front_conn *conn)
{
	conn->lingers = true;
	conn->deadline_ms = clock_ms() + LINGER_MS;
	shutdown(bufferevent_getfd(conn->bev), SHUT_WR);
	discard(conn);
	bufferevent_enable(conn->bev, EV_READ);
}

static void
end_slowest(struct front *front)
{
	struct front_conn *conn, *slowest = NULL;

	TAILQ_FOREACH(conn, &front->conns, link)
		if (slowest == NULL ||
		    conn->deadline_ms < slowest->deadline_ms)
			slowest = conn;
	if (slowest != NULL)
		front_conn_free(slowest);
}

/*
 * Replies.
 */

static const char *
front_reason_of(unsigned status)
{
	switch (status) {
	case 202:	return ("Accepted");
	case 403:	return ("Forbidden");
	case 421:	return ("Misdirected Request");
	case HTTP_OK:	return ("OK");
#define REASON_CASE(code, reason) case HTTP_##code: return (reason);
	HTTP_STATUSES(REASON_CASE)
#undef REASON_CASE
	}
	return ("");
}

static void
front_send_reply(struct front_conn *conn, const struct http_exchange *exchange,
    const struct front_reply *reply)
{
	struct evbuffer *out = bufferevent_get_output(conn->bev);
	size_t len = reply->body == NULL ? 0 :
	    evbuffer_get_length(reply->body);

	conn->last |= exchange->base.close;
	evbuffer_add_printf(out,
	    "HTTP/1.1 %u %s\r\nDate: %.*s\r\n"
	    "Content-Type: %s\r\nCache-Control: no-store\r\n"
	    "Content-Length: %zu\r\n",
	    reply->status, front_reason_of(reply->status), HTTP_DATE_LEN,
	    http_date(), reply->type, len);
	if (reply->allow != NULL)
		evbuffer_add_printf(out, "Allow: %s\r\n", reply->allow);
	if (exchange->base.close)
		evbuffer_add_printf(out, "Connection: close\r\n");
	else if (exchange->is_10)
		evbuffer_add_printf(out, "Connection: keep-alive\r\n");
	evbuffer_add(out, "\r\n", 2);
	if (reply->body != NULL && !exchange->is_head)
		evbuffer_add_buffer(out, reply->body);
}

void
front_reply(struct front_request *request, const struct front_reply *reply)
{
	front_send_reply(request->conn, &request->head->exchange, reply);
}

static void
front_refuse(struct front_conn *conn, struct http_head *head, unsigned status)
{
	struct front_reply reply = {
		.status = status,
		.type = "text/plain; charset=utf-8",
		.body = evbuffer_new(),
	};

	if (reply.body != NULL)
		evbuffer_add_printf(reply.body, "%u %s\n", status,
		    front_reason_of(status));
	head->exchange.base.close = true;
	front_send_reply(conn, &head->exchange, &reply);
	if (reply.body != NULL)
		evbuffer_free(reply.body);
}

/*
 * Requests.
 */

static void
copy_string(char *to, size_t size, struct http_slice slice)
{
	size_t len = slice.len < size ? slice.len : size - 1;

	if (len > 0)
		memcpy(to, slice.bytes, len);
	to[len] = '\0';
}

static void
answer_request(struct front_conn *conn, const struct http_head *head)
{
	struct front_request request = {
		.conn = conn,
		.head = head,
		.trusted = conn->trusted,
	};
	char accept[FRONT_HEADER_MAX] = "";

	copy_string(request.path, sizeof(request.path), head->path);
	copy_string(request.query, sizeof(request.query), head->query);
	for (unsigned i = 0; i < head->nfields; i++)
		snprintf(accept + strlen(accept),
		    sizeof(accept) - strlen(accept), "%s%.*s",
		    i > 0 ? ", " : "", (int)head->fields[i].value.len,
		    head->fields[i].value.bytes);
	request.accept = accept;
	conn->answered = true;
	conn->deadline_ms = clock_ms() + FRONT_NEXT_MS;
	conn->front->answer(&request, conn->front->arg);
}

/* Whether a good header asks for what is given here.  Returns 0 or a status. */
static unsigned
front_check(const struct front_conn *conn, const struct http_head *head)
{
	/* DNS rebinding is not possible over a unix socket. */
	if (!conn->trusted && head->host.len > 0 && !is_own_host(head->host,
	    bufferevent_getfd(conn->bev), conn->front->conf))
		return (421);
	if (head->body == HTTP_BODY_CHUNKED)
		return (HTTP_411);
	if (head->body_len > FRONT_BODY_MAX)
		return (HTTP_413);
	if (!http_slice_is(head->method, "GET") && !head->exchange.is_head &&
	    !http_slice_is(head->method, "POST"))
		return (HTTP_501);
	return (0);
}

/* Take the request at the head of the input, if it is whole.  Returns whether
 * the next one is to be looked for. */
static bool
take_request(struct front_conn *conn)
{
	const struct conf_http *conf = &conn->front->http;
	struct evbuffer *input = input_of(conn);
	size_t len = evbuffer_get_length(input), head_len;
	const uint8_t *bytes;
	struct http_head head;
	unsigned status;

	if (len == 0 || (bytes = evbuffer_pullup(input, -1)) == NULL)
		return (false);
	if (conn->scanned <= 1 && len >= 2 && memcmp(bytes, "\r\n", 2) == 0) {
		conn->scanned = 0;
		evbuffer_drain(input, 2);
		return (true);
	}
	head_len = http_head_find(bytes, len, conf, &conn->scanned, &status);
	if (head_len == 0 && status == 0)
		return (false);
	if (head_len == 0) {
		http_head_glimpse(&head, bytes, len);
		front_refuse(conn, &head, status);
		return (false);
	}
	conn->scanned = 0;
	status = http_head_parse(&head, bytes, head_len, conf);
	if (status == 0)
		status = front_check(conn, &head);
	if (status != 0) {
		front_refuse(conn, &head, status);
		return (false);
	}
	if (len - head_len < head.body_len)
		return (false);
	answer_request(conn, &head);
	evbuffer_drain(input, head_len + (size_t)head.body_len);
	return (true);
}

/* Answer what has come, as long as the replies are taken; what comes meanwhile
 * waits in the kernel. */
static void
take_requests(struct front_conn *conn)
{
	while (!conn->last && unsent(conn) <= FRONT_OUTPUT_MAX &&
	    take_request(conn))
		continue;
	if (conn->last || unsent(conn) > FRONT_OUTPUT_MAX)
		bufferevent_disable(conn->bev, EV_READ);
}

static void
front_on_readable(struct bufferevent *bev, void *arg)
{
	struct front_conn *conn = arg;

	(void)bev;
	if (conn->lingers)
		discard(conn);
	else if (!conn->ended)
		take_requests(conn);
}

/* All that was said has been taken. */
static void
on_taken(struct bufferevent *bev, void *arg)
{
	struct front_conn *conn = arg;

	if (conn->lingers || conn->ended)
		return;
	if (conn->last) {
		linger(conn);
		return;
	}
	bufferevent_enable(bev, EV_READ);
	take_requests(conn);
}

static void
front_on_event(struct bufferevent *bev, short what, void *arg)
{
	struct front_conn *conn = arg;

	(void)bev;
	/* It may have closed only one direction, and wait for its replies. */
	if ((what & BEV_EVENT_EOF) != 0 && !conn->lingers &&
	    unsent(conn) > 0) {
		conn->last = true;
		return;
	}
	conn->ended = true;
}

/*
 * Accepting.
 */

/* Without a limit, libevent accepts until the queue is empty, and clients that
 * connect without pause would delay all other work. */
static void
listen_again(struct front *front)
{
	for (size_t i = 0; i < front->n; i++)
		if (front->entrances[i].listener != NULL)
			evconnlistener_enable(front->entrances[i].listener);
}

void
front_forgive(struct front *front, uint64_t stall_ms)
{
	struct front_conn *conn;

	TAILQ_FOREACH(conn, &front->conns, link)
		conn->deadline_ms += stall_ms;
}

void
front_sweep(struct front *front)
{
	uint64_t now_ms = clock_ms();
	struct front_conn *conn, *next;

	if (front->naccepted >= FRONT_ACCEPTS_MAX)
		listen_again(front);
	front->naccepted = 0;
	for (conn = TAILQ_FIRST(&front->conns); conn != NULL; conn = next) {
		next = TAILQ_NEXT(conn, link);
		if (conn->ended || now_ms >= conn->deadline_ms)
			front_conn_free(conn);
	}
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *peer, int len, void *arg)
{
	struct entrance *entrance = arg;
	struct front *front = entrance->front;
	struct front_conn *conn;

	(void)peer;
	(void)len;
	if (++front->naccepted >= FRONT_ACCEPTS_MAX)
		evconnlistener_disable(listener);
	if ((conn = calloc(1, sizeof(*conn))) == NULL ||
	    (conn->bev = bufferevent_socket_new(front->base, fd, 0)) ==
	    NULL) {
		free(conn);
		evutil_closesocket(fd);
		return;
	}
	conn->front = front;
	conn->trusted = entrance->trusted;
	conn->deadline_ms = clock_ms() + FRONT_FIRST_MS;
	if (front->nconns >= FRONT_CONNECTIONS_MAX)
		end_slowest(front);
	TAILQ_INSERT_TAIL(&front->conns, conn, link);
	front->nconns++;
	bufferevent_setcb(conn->bev, front_on_readable, on_taken,
	    front_on_event, conn);
	bufferevent_setwatermark(conn->bev, EV_READ, 0, FRONT_INPUT_MAX);
	bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
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
	*entrance = (struct entrance){ .front = front, .trusted = is_unix(fd) };
	/* It listens already. */
	entrance->listener = evconnlistener_new(front->base, on_accept,
	    entrance, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	return (entrance->listener == NULL ? -1 : 0);
}

struct front *
front_new(struct event_base *base, const struct heritage *heritage,
    front_answer_fn answer, void *arg)
{
	static char accept[] = "accept";
	static char *fields[] = { accept, NULL };
	struct front *front;

	if ((front = calloc(1, sizeof(*front))) == NULL)
		return (NULL);
	front->base = base;
	front->conf = &heritage->conf->monitor;
	front->http = (struct conf_http){
		.max_header_size = FRONT_HEADER_MAX,
		.max_headers = HTTP_FIELDS_MAX,
		.max_target_size = FRONT_TARGET_MAX,
		.fields = fields,
	};
	front->answer = answer;
	front->arg = arg;
	TAILQ_INIT(&front->conns);
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
	struct front_conn *conn;

	if (front == NULL)
		return;
	front_close(front);
	while ((conn = TAILQ_FIRST(&front->conns)) != NULL)
		front_conn_free(conn);
	free(front->entrances);
	free(front);
}

void
front_close(struct front *front)
{
	for (size_t i = 0; i < front->n; i++) {
		if (front->entrances[i].listener != NULL)
			evconnlistener_free(front->entrances[i].listener);
		front->entrances[i].listener = NULL;
	}
}

bool
front_is_quiet(const struct front *front)
{
	const struct front_conn *conn;

	TAILQ_FOREACH(conn, &front->conns, link)
		if (!conn->answered || unsent(conn) > 0)
			return (false);
	return (true);
}

size_t
front_pending(const struct front *front)
{
	const struct front_conn *conn;
	size_t sum = 0;

	TAILQ_FOREACH(conn, &front->conns, link)
		sum += unsent(conn);
	return (sum);
}
