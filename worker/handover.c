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

static const struct {
	size_t before;			/* in HANDOVER_PREVIOUS */
	size_t now;
} lengths[HANDOVER_LENGTHS] = {
	[HANDOVER_LENGTH_HELLO] = { 128, sizeof(struct handover_hello) },
	[HANDOVER_LENGTH_ADOPTED] = { 16, sizeof(struct handover_adopted) },
	[HANDOVER_LENGTH_CONN] = { 184, sizeof(struct handover_conn) },
	[HANDOVER_LENGTH_REQUEST] = { 48, sizeof(struct handover_request) },
	[HANDOVER_LENGTH_EXCHANGE] = { 324, PROTO_PACKED_LEN },
	[HANDOVER_LENGTH_TRACE] = { 64, sizeof(struct handover_trace) },
};

/* What stands before the appended fields is as it was. */
_Static_assert(sizeof(struct proto_progress) == 56 &&
    offsetof(struct handover_conn, out_len) == 128 &&
    offsetof(struct handover_conn, flags) == 179 &&
    offsetof(struct handover_request, fields_len) + 2 == 48 &&
    offsetof(struct handover_trace, pad) + 7 == 64,
    "the previous version");

unsigned
handover_version_for(unsigned giver)
{
	return (giver < CTL_VERSION ? HANDOVER_PREVIOUS : HANDOVER_VERSION);
}

size_t
handover_length(enum handover_part part, unsigned version)
{
	return (version == HANDOVER_PREVIOUS ? lengths[part].before :
	    lengths[part].now);
}

static size_t
batch_length(unsigned version, uint32_t n)
{
	return (offsetof(struct handover_batch, conns) +
	    n * handover_length(HANDOVER_LENGTH_CONN, version));
}

static size_t
payload_length(const struct handover_message *msg, enum handover_type type,
    unsigned version)
{
	switch (type) {
	case HANDOVER_HELLO:
		return (handover_length(HANDOVER_LENGTH_HELLO, version));
	case HANDOVER_BATCH:
		return (batch_length(version, msg->batch.n));
	case HANDOVER_ADOPTED:
		return (handover_length(HANDOVER_LENGTH_ADOPTED, version));
	}
	return (0);
}

/* Leave out what a version does not have of each connection. */
static void
narrow(struct handover_batch *batch, unsigned version)
{
	size_t len = handover_length(HANDOVER_LENGTH_CONN, version);
	uint8_t *conns = (uint8_t *)batch->conns;

	if (len == sizeof(struct handover_conn))
		return;
	for (uint32_t i = 1; i < batch->n; i++)
		memmove(conns + i * len, &batch->conns[i], len);
}

/* The reverse: what is not there is 0. */
static void
widen(struct handover_batch *batch, unsigned version)
{
	size_t len = handover_length(HANDOVER_LENGTH_CONN, version);
	uint8_t *conns = (uint8_t *)batch->conns;

	if (len == sizeof(struct handover_conn))
		return;
	for (uint32_t i = batch->n; i-- > 0;) {
		memmove(&batch->conns[i], conns + i * len, len);
		memset((uint8_t *)&batch->conns[i] + len, 0,
		    sizeof(struct handover_conn) - len);
	}
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
	msg->header.length = (uint32_t)payload_length(msg, type, version);
	if (type == HANDOVER_BATCH)
		narrow(&msg->batch, version);
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
		/* A peer that went with something of ours unread is told
		 * before what it had still said: unix(7). */
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
		    (enum handover_type)msg->header.type, version) ? 0 :
		    EPROTO);
	if (length < batch_length(version, 1) ||
	    msg->batch.n > HANDOVER_CONNS_MAX ||
	    length != batch_length(version, msg->batch.n))
		return (EPROTO);
	return (0);
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
	if ((wrong = check(msg, (size_t)n)) == 0) {
		if (msg->header.type == HANDOVER_BATCH)
			widen(&msg->batch, msg->header.version);
		else
			memset((uint8_t *)msg + n, 0, sizeof(msg->header) +
			    sizeof(msg->hello) - (size_t)n);
		return (1);
	}
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
