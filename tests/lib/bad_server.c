/* SPDX-License-Identifier: ISC */
#include "tests/lib/bad_server.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/counters.h"
#include "tests/lib/harness.h"
#include "tools/load/wire_http.h"

enum {
	READ_SIZE = 65536,
};

struct bytes {
	uint8_t *at;
	size_t len, size;
};

struct peer {
	int fd;			/* -1: nobody */
	struct bytes in, out;
	struct bytes kept;	/* a reply that waits for the next one */
	bool is_stalled;
	bool is_ending;		/* as soon as all is out */
};

struct bad {
	enum message_wire wire;
	enum fault fault;
	uint64_t when;
	struct bad_view *view;
	struct peer peers[BAD_CONNS_MAX];
	struct bytes reply;	/* the one that is due */
	/* Somebody's message. */
	struct bytes sample;
	const struct peer *sample_of;
};

static void
append(struct bytes *bytes, const void *more, size_t len)
{
	if (bytes->size - bytes->len < len) {
		bytes->size = 2 * (bytes->len + len);
		if ((bytes->at = realloc(bytes->at, bytes->size)) == NULL)
			abort();
	}
	if (len > 0)
		memcpy(bytes->at + bytes->len, more, len);
	bytes->len += len;
}

static void
consume(struct bytes *bytes, size_t len)
{
	bytes->len -= len;
	if (bytes->len > 0)
		memmove(bytes->at, bytes->at + len, bytes->len);
}

static void
hang_up(struct peer *peer, bool by_reset)
{
	const struct linger none = { .l_onoff = 1 };

	if (by_reset)
		setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &none,
		    sizeof(none));
	close(peer->fd);
	free(peer->in.at);
	free(peer->out.at);
	free(peer->kept.at);
	*peer = (struct peer){ .fd = -1 };
}

/*
 * One message.
 */

static void
sleep_ms(long ms)
{
	struct timespec time = { .tv_nsec = ms * 1000000 };

	while (nanosleep(&time, &time) == -1)
		continue;
}

static void
reply_error(struct bad *bad, struct peer *peer)
{
	static const char busy[] = "HTTP/1.1 503 Busy\r\n"
	    "Content-Length: 4\r\n\r\nbusy";
	const uint8_t header[] = { 0, 0, 0, 8 };

	if (bad->wire == WIRE_HTTP) {
		append(&peer->out, busy, strlen(busy));
		return;
	}
	if (bad->wire == WIRE_FRAME)
		append(&peer->out, header, sizeof(header));
	append(&peer->out, "ERR busy\n", bad->wire == WIRE_FRAME ? 8 : 9);
}

static void
reply_flipped(struct peer *peer, const uint8_t *reply, size_t len, size_t at)
{
	append(&peer->out, reply, len);
	peer->out.at[peer->out.len - len + at] ^= 1;
}

static void
misbehave(struct bad *bad, struct peer *peer, const uint8_t *reply, size_t len)
{
	switch (bad->fault) {
	case FAULT_NONE:
	case FAULT_DROP:
		return;
	case FAULT_DOUBLE:
		append(&peer->out, reply, len);
		append(&peer->out, reply, len);
		return;
	case FAULT_SWAP:
		append(&peer->kept, reply, len);
		return;
	case FAULT_FLIP:
		reply_flipped(peer, reply, len, len - 2);
		return;
	case FAULT_FLIP_LENGTH:
		reply_flipped(peer, reply, len, 0);
		return;
	case FAULT_FOREIGN:
		append(&peer->out, bad->sample.at, bad->sample.len);
		return;
	case FAULT_ERROR:
		reply_error(bad, peer);
		return;
	case FAULT_CLOSE:
		peer->is_ending = true;
		return;
	case FAULT_CLOSE_LATE:
		append(&peer->out, reply, len / 2);
		peer->is_ending = true;
		return;
	case FAULT_RESET:
		hang_up(peer, true);
		return;
	case FAULT_STALL:
		peer->is_stalled = true;
		return;
	case FAULT_DELAY:
		sleep_ms(BAD_DELAY_MS);
		append(&peer->out, reply, len);
		return;
	}
}

static void
answer(struct bad *bad, struct peer *peer, const uint8_t *reply, size_t len)
{
	counter_add(&bad->view->messages, 1);
	/* For that it takes two. */
	if (bad->view->messages == bad->when && bad->fault == FAULT_FOREIGN &&
	    bad->sample_of == peer)
		bad->when++;
	if (bad->view->messages == bad->when) {
		misbehave(bad, peer, reply, len);
		return;
	}
	if (bad->view->messages == 1) {
		append(&bad->sample, reply, len);
		bad->sample_of = peer;
	}
	append(&peer->out, reply, len);
	append(&peer->out, peer->kept.at, peer->kept.len);
	peer->kept.len = 0;
}

/* A request's, likewise: with chunks it ends with the last one. */
static size_t
http_len(const struct bytes *in)
{
	size_t head = wire_http_head(in->at, in->len), whole;
	const uint8_t *end;

	if (head == 0)
		return (0);
	if (memmem(in->at, head, "chunked", 7) == NULL) {
		whole = wire_http_length(in->at, in->len);
		return (whole <= in->len ? whole : 0);
	}
	end = memmem(in->at + head, in->len - head, "\r\n0\r\n\r\n", 7);
	return (end == NULL ? 0 : (size_t)(end - in->at) + 7);
}

/* The length of the message that stands first, 0 if it is not whole. */
static size_t
message_len(const struct bad *bad, const struct bytes *in)
{
	const uint8_t *end;
	uint32_t header;

	if (bad->wire == WIRE_HTTP)
		return (http_len(in));
	if (bad->wire == WIRE_LINE) {
		end = in->len > 0 ? memchr(in->at, '\n', in->len) : NULL;
		return (end == NULL ? 0 : (size_t)(end - in->at) + 1);
	}
	if (in->len < sizeof(header))
		return (0);
	memcpy(&header, in->at, sizeof(header));
	if (in->len - sizeof(header) < ntohl(header))
		return (0);
	return (sizeof(header) + ntohl(header));
}

/* Put the body's chunks together.  Returns their length. */
static size_t
join_chunks(uint8_t *body)
{
	const uint8_t *from = body;
	size_t n, joined = 0;
	char *end;

	while ((n = strtoul((const char *)from, &end, 16)) > 0) {
		from = (const uint8_t *)end + 2;
		memmove(body + joined, from, n);
		joined += n;
		from += n + 2;
	}
	return (joined);
}

static void
make_http_reply(struct bytes *reply, uint8_t *message, size_t len)
{
	uint8_t head[MESSAGE_FRAMING], *body;

	body = message + wire_http_head(message, len);
	len -= (size_t)(body - message);
	if (memmem(message, (size_t)(body - message), "chunked", 7) != NULL)
		len = join_chunks(body);
	append(reply, head, wire_http_reply(head, sizeof(head), len));
	append(reply, body, len);
	memcpy(reply->at + WIRE_HTTP_DATE_AT, "Tue, 03 Mar 2026", 16);
}

/* In the reply, a line ends with only LF. */
static void
make_reply(struct bad *bad, uint8_t *message, size_t len)
{
	bad->reply.len = 0;
	if (bad->wire == WIRE_HTTP) {
		make_http_reply(&bad->reply, message, len);
		return;
	}
	append(&bad->reply, message, len);
	if (bad->wire == WIRE_FRAME || len < 2 || message[len - 2] != '\r')
		return;
	bad->reply.at[len - 2] = '\n';
	bad->reply.len--;
}

/*
 * Connections.
 */

static void
serve(struct bad *bad, struct peer *peer)
{
	static uint8_t bytes[READ_SIZE];
	size_t len;
	ssize_t n;

	n = recv(peer->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n == 0 || (n == -1 && errno != EAGAIN)) {
		hang_up(peer, false);
		return;
	}
	if (n == -1)
		return;
	append(&peer->in, bytes, (size_t)n);
	while (peer->fd != -1 && !peer->is_stalled && !peer->is_ending &&
	    (len = message_len(bad, &peer->in)) > 0) {
		make_reply(bad, peer->in.at, len);
		answer(bad, peer, bad->reply.at, bad->reply.len);
		if (peer->fd != -1)
			consume(&peer->in, len);
	}
	if (peer->in.len < BAD_PARTIAL_MAX)
		counter_add(&bad->view->partial[peer->in.len], 1);
}

static void
deliver(struct bad *bad, struct peer *peer)
{
	ssize_t n;

	if (peer->out.len > 0) {
		n = send(peer->fd, peer->out.at, peer->out.len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -1 && errno != EAGAIN) {
			hang_up(peer, false);
			return;
		}
		consume(&peer->out, n > 0 ? (size_t)n : 0);
	}
	if (peer->out.len > bad->view->owed_max)
		counter_set(&bad->view->owed_max, peer->out.len);
	if (peer->is_ending && peer->out.len == 0)
		hang_up(peer, false);
}

static void
welcome(struct bad *bad, int listener)
{
	int fd, on = 1;

	for (int i = 0; i < BAD_CONNS_MAX; i++) {
		if (bad->peers[i].fd != -1)
			continue;
		if ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) == -1)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		bad->peers[i].fd = fd;
		return;
	}
	abort();
}

static void
run(struct bad *bad, int listener)
{
	struct pollfd polled[BAD_CONNS_MAX + 1];
	struct peer *peer;

	for (int i = 0; i < BAD_CONNS_MAX; i++)
		bad->peers[i].fd = -1;
	polled[BAD_CONNS_MAX] = (struct pollfd){ listener, POLLIN, 0 };
	for (;;) {
		for (int i = 0; i < BAD_CONNS_MAX; i++) {
			peer = &bad->peers[i];
			polled[i] = (struct pollfd){ .fd = peer->fd,
			    .events = (short)(POLLIN |
			    (peer->out.len > 0 ? POLLOUT : 0)) };
		}
		poll(polled, BAD_CONNS_MAX + 1, -1);
		for (int i = 0; i < BAD_CONNS_MAX; i++) {
			peer = &bad->peers[i];
			if (peer->fd != -1 &&
			    (polled[i].revents & ~POLLOUT) != 0)
				serve(bad, peer);
			if (peer->fd != -1 && polled[i].revents != 0)
				deliver(bad, peer);
		}
		if (polled[BAD_CONNS_MAX].revents != 0)
			welcome(bad, listener);
	}
}

static int
listen_on(unsigned port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = { .s_addr = htonl(own_address_number()) },
		.sin_port = htons((uint16_t)port),
	};
	int fd, on = 1;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ne(fd, -1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ck_assert_int_eq(bind(fd, (const void *)&address, sizeof(address)),
	    0);
	ck_assert_int_eq(listen(fd, BAD_CONNS_MAX), 0);
	return (fd);
}

struct bad_server
bad_server_start(unsigned port, enum message_wire wire, enum fault fault,
    uint64_t when)
{
	struct bad_server server;
	int listener = listen_on(port);
	struct bad bad = { .wire = wire, .fault = fault, .when = when };
	pid_t parent = getpid();

	server.view = mmap(NULL, sizeof(*server.view), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(server.view, MAP_FAILED);
	bad.view = server.view;
	ck_assert_int_ne(server.pid = fork(), -1);
	if (server.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			run(&bad, listener);
		_exit(1);
	}
	close(listener);
	return (server);
}

void
bad_server_end(struct bad_server *server)
{
	int status;

	kill(server->pid, SIGKILL);
	ck_assert_int_eq(waitpid(server->pid, &status, 0), server->pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	    "the bad server died by itself");
	munmap(server->view, sizeof(*server->view));
}
