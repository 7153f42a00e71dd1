/* SPDX-License-Identifier: ISC */
#include "worker/handover.h"

#include <sys/socket.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/ctl.h"
#include "common/fd.h"

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(HANDOVER_FDS_MAX * sizeof(int))];
};

/*
 * Versions.
 */

/* The structs are those of the previous version. */
_Static_assert(sizeof(struct handover_hello) == 128 &&
    sizeof(struct handover_adopted) == 16 &&
    sizeof(struct handover_conn) == 184 &&
    sizeof(struct handover_request) == 48 &&
    sizeof(struct handover_trace) == 64 &&
    sizeof(struct proto_progress) == 56 &&
    offsetof(struct handover_conn, out_len) == 128 &&
    offsetof(struct handover_conn, flags) == 179,
    "a struct that differs has to be converted");

unsigned
handover_version_for(unsigned giver)
{
	return (giver < CTL_VERSION ? HANDOVER_PREVIOUS : HANDOVER_VERSION);
}

static size_t
batch_length(uint32_t n)
{
	return (offsetof(struct handover_batch, conns) +
	    n * sizeof(struct handover_conn));
}

static size_t
payload_length(const struct handover_message *msg, enum handover_type type)
{
	switch (type) {
	case HANDOVER_HELLO:
		return (sizeof(msg->hello));
	case HANDOVER_BATCH:
		return (batch_length(msg->batch.n));
	case HANDOVER_ADOPTED:
		return (sizeof(msg->adopted));
	case HANDOVER_ASK:
	case HANDOVER_TOLD:
		return (sizeof(msg->ask));
	}
	return (0);
}

/*
 * Messages.
 */

int
handover_send(int link, unsigned version, struct handover_message *msg,
    enum handover_type type, const int *fds, size_t nfds)
{
	union control control;
	struct iovec iov = { .iov_base = msg };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	msg->header.version = (uint16_t)version;
	msg->header.type = (uint16_t)type;
	msg->header.length = (uint32_t)payload_length(msg, type);
	iov.iov_len = sizeof(msg->header) + msg->header.length;
	if (nfds > 0) {
		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		memset(&control, 0, hdr.msg_controllen);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	do {
		n = sendmsg(link, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	return (n == -1 ? -1 : 0);
}

static ssize_t
receive(int link, struct handover_message *msg, struct handover_fds *fds)
{
	union control control;
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(HANDOVER_FDS_MAX * sizeof(int)),
	};
	bool reset = false;
	ssize_t n;

	fds->n = 0;
	do {
		n = recvmsg(link, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT |
		    MSG_TRUNC);
		/* If the peer closed with unread messages of ours, the error
		 * comes before its last messages: unix(7). */
		if (n == -1 && errno == ECONNRESET && !reset) {
			reset = true;
			errno = EINTR;
		}
	} while (n == -1 && errno == EINTR);
	/* Also those of an empty message. */
	if (n >= 0)
		fds->n = fd_take_rights(&hdr, fds->fd, HANDOVER_FDS_MAX);
	return (n);
}

/* Whether the kernel had no memory just now: it still has the message. */
static bool
is_short(int why)
{
	return (why == ENOMEM || why == ENOBUFS);
}

/* Returns 0, or what is wrong with the first n bytes of a message, as errno. */
static int
check(const struct handover_message *msg, size_t n)
{
	unsigned version;
	size_t length;

	if (n < sizeof(msg->header))
		return (EPROTO);
	version = msg->header.version;
	if (version < HANDOVER_PREVIOUS || version > HANDOVER_VERSION)
		return (EPROTONOSUPPORT);
	length = n - sizeof(msg->header);
	if (msg->header.length != length)
		return (EPROTO);
	if (msg->header.type != HANDOVER_BATCH)
		return (length > 0 && length == payload_length(msg,
		    (enum handover_type)msg->header.type) ? 0 : EPROTO);
	if (length < batch_length(1) ||
	    msg->batch.n > HANDOVER_CONNS_MAX ||
	    length != batch_length(msg->batch.n))
		return (EPROTO);
	return (0);
}

bool
handover_peek(int link, struct handover_message *msg)
{
	ssize_t n;

	/* The error of a peer that has closed comes once: see receive(). */
	do {
		n = recv(link, msg, sizeof(*msg), MSG_PEEK | MSG_DONTWAIT |
		    MSG_TRUNC);
	} while (n == -1 && (errno == EINTR || errno == ECONNRESET));
	return (n > 0 && check(msg, (size_t)n) == 0);
}

int
handover_receive(int link, struct handover_message *msg,
    struct handover_fds *fds)
{
	ssize_t n;
	int wrong;

	if ((n = receive(link, msg, fds)) <= 0) {
		handover_close_fds(fds);
		if (n == -1 && is_short(errno))
			errno = EAGAIN;
		return ((int)n);
	}
	if ((wrong = check(msg, (size_t)n)) == 0)
		return (1);
	handover_close_fds(fds);
	errno = wrong;
	return (-1);
}

void
handover_close_fds(struct handover_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++)
		if (fds->fd[i] != -1)
			close(fds->fd[i]);
	fds->n = 0;
}
