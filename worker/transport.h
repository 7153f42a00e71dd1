/* SPDX-License-Identifier: ISC */
/*
 * The transport of a connection: where its bytes come from and go to.
 *
 * All bytes of clients pass here, and nobody else uses the socket for them.
 * There is one transport, the plain socket, so what every message needs is
 * inline.
 */
#ifndef WORKER_TRANSPORT_H
#define WORKER_TRANSPORT_H

#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>

#include "common/fd.h"
#include "worker/conn.h"

/* Find out how the socket is to be read, which is a unix socket or is not. */
void transport_open(struct conn *, bool is_local);
/* Close the socket.  Its event is deleted: a duplicate elsewhere would keep it
 * in our set. */
void transport_close(const struct conn *);

/* Read as recv(2), and never block; EBADMSG: there are descriptors that nobody
 * wants. */
static inline ssize_t
transport_receive(const struct conn *conn, void *bytes, size_t len)
{
	ssize_t n;

	if (conn->looks)
		return (fd_receive(conn_fd(conn), bytes, len));
	do {
		n = recv(conn_fd(conn), bytes, len, MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	return (n);
}

/* Returns the number of bytes that the transport took, 0 if none, or -1 with
 * errno set. */
static inline ssize_t
transport_send(const struct conn *conn, struct iovec *parts, size_t nparts)
{
	struct msghdr hdr = { .msg_iov = parts, .msg_iovlen = nparts };
	ssize_t n;

	do {
		if (nparts == 1)
			n = send(conn_fd(conn), parts->iov_base, parts->iov_len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = sendmsg(conn_fd(conn), &hdr,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	return (n == -1 && errno == EAGAIN ? 0 : n);
}

/* Nothing more is sent.  Returns -1 if the peer is gone. */
int transport_end(const struct conn *);
/* What the peer does not take would stay in the kernel for minutes: have the
 * close destroy it. */
void transport_drop_unsent(const struct conn *);

/* Whether there are bytes of the peer's to read, and whether there is room for
 * more bytes to it. */
bool transport_has_unread(const struct conn *);
bool transport_has_room(const struct conn *);
/* The bytes that the transport has of us and the peer has not taken. */
size_t transport_unsent(const struct conn *);

#endif
