/* SPDX-License-Identifier: ISC */
#include "worker/custody.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/record.h"
#include "worker/conn_internal.h"

/* Of linux/tcp.h's states, which it does not name: net/tcp_states.h. */
enum {
	STATE_ESTABLISHED = 1,
	STATE_CLOSE_WAIT = 8,
};

enum {
	/* How often to ask, while bytes pass. */
	CUSTODY_TRIES = 1000,
};

static size_t
custody_size(uint32_t places)
{
	return (offsetof(struct custody_map, conns) +
	    places * sizeof(struct custody_conn));
}

struct custody_map *
custody_new(uint32_t places)
{
	struct custody_map *map = mmap(NULL, custody_size(places),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return (NULL);
	return (map);
}

void
custody_free(struct custody_map *map, uint32_t places)
{
	if (map != NULL)
		munmap(map, custody_size(places));
}

/*
 * The worker's part.
 */

void
custody_use_place(const struct conn *conn)
{
	struct custody_map *map = conn_worker(conn)->custody;

	if (map != NULL && conn->index >= map->end)
		map->end = conn->index + 1;
	custody_order();
}

/* The descriptor comes last: with it, the rest holds. */
static void
custody_put(const struct conn *conn, const struct custody_conn *as)
{
	struct custody_conn *held = custody_of(conn);

	*held = *as;
	held->proxied = conn->proxied;
	custody_settle(conn, 0, false);
	held->fd = conn_fd(conn);
	custody_order();
}

void
custody_enter(const struct conn *conn)
{
	const struct custody_conn fresh = { .rest_in = CUSTODY_NEVER };

	if (conn_worker(conn)->custody == NULL)
		return;
	if (custody_of(conn)->fd != conn_fd(conn)) {
		custody_put(conn, &fresh);
		return;
	}
	custody_of(conn)->hold = CUSTODY_OWN;
	custody_settle(conn, 0, false);
}

void
custody_own(const struct conn *conn)
{
	if (conn_worker(conn)->custody != NULL)
		custody_of(conn)->hold = CUSTODY_OWN;
	custody_order();
}

void
custody_take(const struct conn *conn, unsigned group, unsigned place,
    unsigned from)
{
	const struct custody_conn taken = {
		.rest_in = CUSTODY_NEVER,
		.hold = CUSTODY_TAKEN,
		.group = group & 7,
		.place = (uint8_t)place,
		.from = (uint8_t)from,
	};

	custody_put(conn, &taken);
}

void
custody_note_proxied(const struct conn *conn)
{
	if (conn_worker(conn)->custody == NULL)
		return;
	custody_of(conn)->proxied = true;
	custody_order();
}

void
custody_leave(const struct conn *conn)
{
	if (conn_worker(conn)->custody == NULL)
		return;
	custody_of(conn)->fd = 0;
	custody_order();
}

/* Whether what the kernel has of it, and gets of its replies, is all that there is,
 * but for requests that are with handlers; and for the input that is kept, if
 * that is being used up. */
static bool
custody_is_at_boundary(const struct conn *conn, bool is_last)
{
	const struct conn_pending *pending = conn->pending;

	/* One that ends with its last reply still has that. */
	if (conn->finishing && conn->reason != CLOSE_EOF &&
	    (conn->reason != CLOSE_DONE || !conn_awaits(conn)))
		return (false);
	return (pending == NULL ||
	    ((pending->in == NULL || is_last) &&
	    pending->nmade == 0 &&
	    pending->nrequests <= (conn_proto(conn)->has_exchange ?
	    CUSTODY_OWED_EXCHANGES : CUSTODY_OWED_MAX)));
}

/* What a rescuer has to know of the requests. */
static void
custody_note_exchanges(struct custody_conn *held, const struct conn *conn)
{
	const struct request *request;
	unsigned n = 0;

	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		held->with[n++] = (struct custody_owed){
			.note = conn_proto(conn)->brief(request->exchange),
			.handler = (uint8_t)(request->handler -
			    conn_worker(conn)->handlers),
		};
}

void
custody_settle_pending(const struct conn *conn, size_t leaving, bool is_last)
{
	struct custody_conn *held = custody_of(conn);
	unsigned owed = conn_awaits(conn) ? conn->pending->nrequests : 0;

	/* What the kernel has not taken yet goes first. */
	if (conn_owes(conn))
		leaving += conn->pending->out->len;

	held->rest_in = CUSTODY_NEVER;
	custody_order();
	if (!custody_is_at_boundary(conn, is_last))
		return;
	if (owed > 0 && conn_proto(conn)->has_exchange)
		custody_note_exchanges(held, conn);
	custody_write(held, conn_record(conn), leaving, (uint8_t)owed);
}

/*
 * The rescuer's part.
 */

static bool
custody_has_option(int fd, int option, int wanted)
{
	socklen_t len = sizeof(int);
	int value;

	return (getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 &&
	    value == wanted);
}

/* What kind of socket it is; AF_UNSPEC if that cannot be known. */
static int
custody_domain(int fd)
{
	socklen_t len = sizeof(int);
	int domain;

	return (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 ?
	    domain : AF_UNSPEC);
}

static bool
custody_is_peer(const struct conn_record *record,
    const struct sockaddr_storage *peer)
{
	const struct sockaddr_in *in = (const void *)peer;
	const struct sockaddr_in6 *in6 = (const void *)peer;

	if (peer->ss_family != record->family)
		return (false);
	switch (record->family) {
	case AF_UNIX:
		return (true);
	case AF_INET:
		return (memcmp(record->peer, &in->sin_addr,
		    sizeof(in->sin_addr)) == 0 &&
		    record->peer_port == ntohs(in->sin_port));
	case AF_INET6:
		return (memcmp(record->peer, &in6->sin6_addr,
		    sizeof(in6->sin6_addr)) == 0 &&
		    record->peer_port == ntohs(in6->sin6_port));
	}
	return (false);
}

/* Whether a socket of that kind can be that of the record. */
static bool
custody_fits(int domain, const struct custody_conn *held,
    const struct conn_record *record)
{
	if (held->proxied)
		return (domain == AF_INET || domain == AF_INET6 ||
		    domain == AF_UNIX);
	return (domain == record->family);
}

/* Whether the socket is that of the record; of one that came through a proxy,
 * only the counts can tell.  Returns -1 if so, or a reason. */
static int
custody_check_socket(const struct custody_conn *held, int domain,
    const struct conn_record *record)
{
	int fd = held->fd;
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(peer);

	if (!custody_has_option(fd, SO_TYPE, SOCK_STREAM) ||
	    !custody_has_option(fd, SO_ACCEPTCONN, 0) ||
	    !custody_fits(domain, held, record))
		return (RESCUE_DAMAGED);
	/* A peer that has left has no name any more. */
	if (getpeername(fd, (struct sockaddr *)&peer, &len) == -1)
		return (errno == ENOTCONN ? RESCUE_OVER : RESCUE_DAMAGED);
	return (held->proxied || custody_is_peer(record, &peer) ? -1 :
	    RESCUE_DAMAGED);
}

/* Returns whether the kernel says what has passed, and the connection is open in
 * our direction. */
static bool
custody_ask_kernel(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);

	return (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0 &&
	    len >= offsetof(struct tcp_info, tcpi_segs_out) &&
	    (info->tcpi_state == STATE_ESTABLISHED ||
	    info->tcpi_state == STATE_CLOSE_WAIT));
}

/* What was read from the socket and written to it.  Returns false if that cannot
 * be known. */
static bool
custody_count(int fd, uint64_t *in, uint64_t *out)
{
	struct tcp_info info, again;
	int unread, unsent, tries = CUSTODY_TRIES;

	/* The peer may send, and take what it gets, at any moment. */
	if (!custody_ask_kernel(fd, &again))
		return (false);
	do {
		info = again;
		if (tries-- == 0 || ioctl(fd, SIOCINQ, &unread) == -1 ||
		    ioctl(fd, SIOCOUTQ, &unsent) == -1 ||
		    !custody_ask_kernel(fd, &again))
			return (false);
	} while (again.tcpi_bytes_received != info.tcpi_bytes_received ||
	    again.tcpi_bytes_acked != info.tcpi_bytes_acked ||
	    again.tcpi_state != info.tcpi_state);
	/* The end of the stream counts as a byte that came. */
	*in = info.tcpi_bytes_received - (uint64_t)unread -
	    (info.tcpi_state == STATE_CLOSE_WAIT);
	*out = info.tcpi_bytes_acked + (uint64_t)unsent;
	return (true);
}

int
custody_check(const struct custody_conn *held, const struct conn_record *record)
{
	/* A unix socket has no such counts: there is only the worker's word. */
	uint64_t in = record->bytes_in, out = record->bytes_out;
	int why, domain;

	if (held->fd <= STDERR_FILENO || held->hold > CUSTODY_TAKEN ||
	    record->seq % 2 != 0 || record->state >= CONN_PARKED)
		return (RESCUE_DAMAGED);
	domain = custody_domain(held->fd);
	if ((why = custody_check_socket(held, domain, record)) != -1)
		return (why);
	if (record->state == CONN_CLOSING)
		return (RESCUE_OVER);
	if (held->rest_in == CUSTODY_NEVER)
		return (RESCUE_BUSY);
	if (domain != AF_UNIX && !custody_count(held->fd, &in, &out))
		return (RESCUE_COUNTS);
	if (in == held->rest_in && out == held->rest_out)
		return (-1);
	return (in < held->rest_in || out > held->rest_out ? RESCUE_COUNTS :
	    RESCUE_BUSY);
}
