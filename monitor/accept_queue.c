/* SPDX-License-Identifier: ISC */
#include "monitor/accept_queue.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum {
	LISTENING = 10,		/* TCP_LISTEN, also of unix sockets */
	PATIENCE_US = 200000,
	ROOM = 32768,
};

struct reading {
	const struct conf *conf;
	struct accept_queue *queues;
};

/* A listening socket, as the kernel describes it. */
struct sock {
	bool (*is_at)(const struct conf_address *, const struct sock *);
	const struct inet_diag_msg *inet;
	const char *path;		/* of a unix socket */
	size_t path_len;
	uint64_t waiting, limit;
};

/* Count a socket for the listeners that have its address. */
static void
accept_queue_add(const struct reading *reading, const struct sock *sock)
{
	const struct conf_listener *listener;

	for (size_t i = 0; i < reading->conf->nlisteners; i++) {
		listener = &reading->conf->listeners[i];
		for (size_t k = 0; k < listener->naddresses; k++) {
			if (!sock->is_at(&listener->addresses[k], sock))
				continue;
			reading->queues[i].waiting += sock->waiting;
			reading->queues[i].limit += sock->limit;
		}
	}
}

/*
 * TCP.
 */

static bool
is_at_inet(const struct conf_address *address, const struct sock *sock)
{
	const struct sockaddr_in *in = (const void *)&address->addr;
	const struct sockaddr_in6 *in6 = (const void *)&address->addr;
	const struct inet_diag_msg *msg = sock->inet;

	if (address->addr.ss_family != msg->idiag_family)
		return (false);
	if (msg->idiag_family == AF_INET)
		return (in->sin_port == msg->id.idiag_sport &&
		    memcmp(&in->sin_addr, msg->id.idiag_src,
		    sizeof(in->sin_addr)) == 0);
	return (in6->sin6_port == msg->id.idiag_sport &&
	    memcmp(&in6->sin6_addr, msg->id.idiag_src,
	    sizeof(in6->sin6_addr)) == 0);
}

static void
take_inet(const struct reading *reading, const struct nlmsghdr *head)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(head);

	if (head->nlmsg_len >= NLMSG_LENGTH(sizeof(*msg)))
		accept_queue_add(reading,
		    &(struct sock){ .is_at = is_at_inet,
			.inet = msg,
			.waiting = msg->idiag_rqueue,
			.limit = msg->idiag_wqueue });
}

/*
 * Unix sockets.
 */

static bool
is_at_path(const struct conf_address *address, const struct sock *sock)
{
	const struct sockaddr_un *un = (const void *)&address->addr;

	return (un->sun_family == AF_UNIX &&
	    strlen(un->sun_path) == strnlen(sock->path, sock->path_len) &&
	    strncmp(un->sun_path, sock->path, sock->path_len) == 0);
}

static void
take_unix(const struct reading *reading, const struct nlmsghdr *head)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(head);
	const struct unix_diag_rqlen *rqlen = NULL;
	const struct rtattr *attr = (const void *)(msg + 1);
	struct sock sock = { .is_at = is_at_path };
	int left;

	if (head->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)))
		return;
	left = (int)(head->nlmsg_len - NLMSG_LENGTH(sizeof(*msg)));
	for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
		if (attr->rta_type == UNIX_DIAG_NAME) {
			sock.path = RTA_DATA(attr);
			sock.path_len = RTA_PAYLOAD(attr);
		} else if (attr->rta_type == UNIX_DIAG_RQLEN &&
		    RTA_PAYLOAD(attr) >= sizeof(*rqlen))
			rqlen = RTA_DATA(attr);
	}
	if (sock.path == NULL || rqlen == NULL)
		return;
	sock.waiting = rqlen->udiag_rqueue;
	sock.limit = rqlen->udiag_wqueue;
	accept_queue_add(reading, &sock);
}

/*
 * The dump.
 */

/* Take what one datagram holds.  Returns 1 if more are to come, 0 at the end,
 * -1 for an error. */
static int
accept_queue_take(const struct reading *reading, int family, const char *bytes,
    ssize_t n)
{
	const struct nlmsghdr *head = (const void *)bytes;
	size_t left = (size_t)n;

	for (; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
		if (head->nlmsg_type == NLMSG_DONE)
			return (0);
		if (head->nlmsg_type == NLMSG_ERROR)
			return (-1);
		if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY)
			continue;
		if (family == AF_UNIX)
			take_unix(reading, head);
		else
			take_inet(reading, head);
	}
	return (1);
}

static bool
dump(const struct reading *reading, int fd, int family, const void *query,
    size_t len)
{
	static char bytes[ROOM] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr head = {
		.nlmsg_len = (uint32_t)NLMSG_LENGTH(len),
		.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	};
	const struct iovec iov[] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)(uintptr_t)query, .iov_len = len },
	};
	ssize_t n;
	int more;

	if (writev(fd, iov, 2) != (ssize_t)head.nlmsg_len)
		return (false);
	do {
		do {
			n = recv(fd, bytes, sizeof(bytes), 0);
		} while (n == -1 && errno == EINTR);
		if (n <= 0)
			return (false);
		more = accept_queue_take(reading, family, bytes, n);
	} while (more == 1);
	return (more == 0);
}

static bool
dump_inet(const struct reading *reading, int fd, int family)
{
	const struct inet_diag_req_v2 query = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1 << LISTENING,
	};

	return (dump(reading, fd, family, &query, sizeof(query)));
}

static bool
dump_unix(const struct reading *reading, int fd)
{
	const struct unix_diag_req query = {
		.sdiag_family = AF_UNIX,
		.udiag_states = 1 << LISTENING,
		.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN,
	};

	return (dump(reading, fd, AF_UNIX, &query, sizeof(query)));
}

static bool
has_family(const struct conf *conf, int family)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		for (size_t k = 0; k < conf->listeners[i].naddresses; k++)
			if (conf->listeners[i].addresses[k].addr.ss_family ==
			    family)
				return (true);
	return (false);
}

static bool
accept_queue_read_all(const struct reading *reading, int fd)
{
	const struct conf *conf = reading->conf;

	return ((!has_family(conf, AF_INET) ||
	    dump_inet(reading, fd, AF_INET)) &&
	    (!has_family(conf, AF_INET6) ||
	    dump_inet(reading, fd, AF_INET6)) &&
	    (!has_family(conf, AF_UNIX) || dump_unix(reading, fd)));
}

bool
accept_queues_read(const struct conf *conf,
    struct accept_queue queues[CONF_LISTENERS_MAX])
{
	struct reading reading = { .conf = conf, .queues = queues };
	struct timeval patience = { .tv_usec = PATIENCE_US };
	bool known;
	int fd;

	memset(queues, 0, CONF_LISTENERS_MAX * sizeof(*queues));
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd == -1)
		return (false);
	known = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience)) == 0 && accept_queue_read_all(&reading, fd);
	close(fd);
	return (known);
}
