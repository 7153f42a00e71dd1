/* SPDX-License-Identifier: ISC */
#include "tools/load/link.h"

#include <sys/epoll.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/counters.h"

static void
link_watch(const struct link *link, const struct link_gear *gear, int how)
{
	struct epoll_event event = {
		.events = (link->is_deaf ? 0U : EPOLLIN) |
		    (link->awaits_room ? EPOLLOUT : 0U),
		.data = { .u32 = link->index },
	};

	epoll_ctl(gear->epoll, how, link->fd, &event);
}

static void
set_awaits_room(struct link *link, const struct link_gear *gear, bool awaits)
{
	if (link->awaits_room == awaits)
		return;
	link->awaits_room = awaits;
	link_watch(link, gear, EPOLL_CTL_MOD);
}

void
link_set_deaf(struct link *link, const struct link_gear *gear, bool is_deaf)
{
	if (link->is_deaf == is_deaf)
		return;
	link->is_deaf = is_deaf;
	link->since_ms = clock_ms();
	link_watch(link, gear, EPOLL_CTL_MOD);
}

uint32_t
link_in_flight(const struct link *link)
{
	return (link->issued - link->replies.next);
}

bool
link_waits(const struct link *link)
{
	if (link->state == LINK_CONNECTING)
		return (true);
	return (link->state == LINK_OPEN && !link->is_deaf &&
	    (link->sent != link->replies.next ||
	    (link->issued != link->sent && link->may_send > 0)));
}

static struct message_id
link_id_of(const struct link *link, uint32_t number)
{
	return ((struct message_id){ link->conn, number });
}

/*
 * Connecting.
 */

/* On loopback a segment has 64 KiB, and the server's kernel holds two dozen of
 * them for a client that does not read. */
static void
make_narrow(int fd)
{
	int receive_buffer = 4096, segment = 536;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer,
	    sizeof(receive_buffer));
	setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
}

static int
make_socket(const struct link_route *route)
{
	int on = 1, fd;

	fd = socket(route->server.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return (-1);
	if (route->server.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (route->is_narrow)
		make_narrow(fd);
	if (route->source_len == 0)
		return (fd);
	/* The port is chosen at connect, so that one can serve many servers. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (const void *)&route->source, route->source_len) == 0)
		return (fd);
	close(fd);
	return (-1);
}

int
link_connect(struct link *link, const struct link_gear *gear,
    const struct link_route *route)
{
	link->state = LINK_CONNECTING;
	link->since_ms = clock_ms();
	link->may_send = LINK_NO_LIMIT;
	if ((link->fd = make_socket(route)) == -1)
		return (-1);
	if (connect(link->fd, (const void *)&route->server,
	    route->server_len) == -1 && errno != EINPROGRESS)
		return (-1);
	link->awaits_room = true;
	link_watch(link, gear, EPOLL_CTL_ADD);
	return (0);
}

int
link_connected(struct link *link, const struct link_gear *gear)
{
	socklen_t len = sizeof(int);
	int error = 0;

	getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0)
		return (-1);
	link->state = LINK_OPEN;
	set_awaits_room(link, gear, false);
	return (0);
}

void
link_close(struct link *link)
{
	if (link->fd != -1)
		close(link->fd);
	verifier_clear(&link->replies);
	*link = (struct link){
		.fd = -1,
		.state = LINK_GONE,
		.kind = link->kind,
		.index = link->index,
		.left_us = link->left_us,
		.ring_size = link->ring_size,
	};
}

/*
 * Sending.
 */

/* Put messages together from the first that is not sent as a whole.  Returns
 * their length, of which sent_bytes have gone. */
static size_t
build_messages(const struct link *link, const struct link_gear *gear)
{
	const struct message_form *form = &gear->form[link->kind];
	size_t room = message_room(form), len = 0;

	for (uint32_t number = link->sent; number != link->issued &&
	    (len == 0 || gear->send_size - len >= room); number++)
		len += message_build(form, gear->send_buf + len,
		    link_id_of(link, number));
	return (len);
}

/* The kernel took that many more bytes, which were ready at now_us. */
static void
advance(struct link *link, const struct link_gear *gear, size_t bytes,
    uint64_t now_us)
{
	const struct message_form *form = &gear->form[link->kind];
	size_t len;

	if (link->sent == link->replies.next)
		link->since_ms = now_us / 1000;
	if (link->may_send != LINK_NO_LIMIT)
		link->may_send -= bytes;
	bytes += link->sent_bytes;
	while (link->sent != link->issued && bytes >=
	    (len = message_length(form, link_id_of(link, link->sent)))) {
		bytes -= len;
		if (link->left_us != NULL)
			link->left_us[link->sent % link->ring_size] =
			    link->intended_us != 0 ? link->intended_us : now_us;
		link->sent++;
		counter_add(&gear->report->sent, 1);
	}
	link->sent_bytes = (uint32_t)bytes;
}

void
link_send(struct link *link, const struct link_gear *gear)
{
	uint64_t now_us;
	size_t len;
	ssize_t n;

	while (link->sent != link->issued && link->may_send > 0) {
		len = build_messages(link, gear) - link->sent_bytes;
		if (len > link->may_send)
			len = link->may_send;
		/* The server can have them before send() returns. */
		now_us = clock_us();
		n = send(link->fd, gear->send_buf + link->sent_bytes, len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1) {
			/* What the server had to say before it closed may
			 * still be read; the end is met there. */
			set_awaits_room(link, gear,
			    errno == EAGAIN || errno == EWOULDBLOCK);
			return;
		}
		advance(link, gear, (size_t)n, now_us);
	}
	set_awaits_room(link, gear, false);
}

/*
 * Receiving.
 */

/* Note how long the replies took that are settled now. */
static void
note_latency(const struct link *link, const struct link_gear *gear,
    uint32_t from, uint64_t now_us)
{
	struct hold_report *report = gear->report;
	uint64_t took_us;

	for (uint32_t i = from; i != link->replies.next; i++) {
		took_us = now_us - link->left_us[i % link->ring_size];
		latency_add(&report->kind[link->kind].latency, took_us);
		if (took_us > report->slowest_us && link->kind != HOLD_SLOW)
			counter_set(&report->slowest_us, took_us);
	}
}

static bool
verify(struct link *link, struct link_gear *gear, size_t len)
{
	const struct verifier_rule rule = {
		.form = &gear->form[link->kind],
		.report = gear->report,
		.scratch = gear->reply_buf,
		.head = &gear->head,
	};
	uint64_t answered = gear->report->answered, now_us;
	uint32_t next = link->replies.next;
	bool is_framed;

	is_framed = verifier_take(&link->replies, &rule, link->conn,
	    link->sent, gear->receive_buf, len);
	counter_add(&gear->report->kind[link->kind].answered,
	    gear->report->answered - answered);
	now_us = clock_us();
	if (link->left_us != NULL)
		note_latency(link, gear, next, now_us);
	link->since_ms = now_us / 1000;
	return (is_framed);
}

uint64_t *
link_receive(struct link *link, struct link_gear *gear)
{
	struct hold_report *report = gear->report;
	ssize_t n;

	n = recv(link->fd, gear->receive_buf, LINK_SCRATCH, MSG_DONTWAIT);
	if (n == 0)
		return (&report->disconnected);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK ||
	    errno == EINTR))
		return (NULL);
	if (n == -1)
		return (errno == ECONNRESET ? &report->reset :
		    &report->broken);
	return (verify(link, gear, (size_t)n) ? NULL : &report->unframed);
}
