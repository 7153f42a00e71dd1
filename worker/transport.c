/* SPDX-License-Identifier: ISC */
#include "worker/transport.h"

#include <sys/ioctl.h>

#include <linux/sockios.h>

#include <poll.h>
#include <unistd.h>

void
transport_open(struct conn *conn, bool is_local)
{
	conn->is_local = is_local;
	conn->looks = conn->is_local && !fd_refuses_rights(conn_fd(conn));
}

void
transport_close(const struct conn *conn)
{
	if (conn->looks)
		fd_close_unread(conn_fd(conn));
	else
		close(conn_fd(conn));
}

int
transport_end(const struct conn *conn)
{
	return (shutdown(conn_fd(conn), SHUT_WR));
}

void
transport_drop_unsent(const struct conn *conn)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(conn_fd(conn), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

bool
transport_has_unread(const struct conn *conn)
{
	char byte;

	return (recv(conn_fd(conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

bool
transport_has_room(const struct conn *conn)
{
	struct pollfd writable = { .fd = conn_fd(conn), .events = POLLOUT };

	return (poll(&writable, 1, 0) == 1);
}

size_t
transport_unsent(const struct conn *conn)
{
	int n;

	return (ioctl(conn_fd(conn), SIOCOUTQ, &n) == 0 && n > 0 ?
	    (size_t)n : 0);
}
