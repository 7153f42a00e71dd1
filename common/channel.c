/* SPDX-License-Identifier: ISC */
#include "common/channel.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <linux/sockios.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"

enum {
	/* Messages handled in one turn of the loop, so that a child that never
	 * stops talking cannot keep its master from everything else. */
	MESSAGES_PER_TURN = 16,
	/* Messages that are kept for a peer that has not read for long, or for
	 * a kernel that is short of memory. */
	KEPT_MAX = 16,
	/* Bytes on their way to a peer, as the kernel counts them with its own,
	 * from which on no descriptor is sent: about 40 messages.  Descriptors
	 * on their way count against the user's limit. */
	UNREAD_MAX = 32768,
	/* How often a message that has to leave now is tried again. */
	LINGER_STEP_MS = 10,
	/* An answer to SPEAK that has not come by then may never come. */
	ASK_AGAIN_MS = 200,
};

struct kept {
	size_t len;
	uint8_t bytes[offsetof(struct ctl, fd)];
};

struct channel {
	struct event *event;		/* owned, and with it the descriptor */
	int fd;
	enum ctl_sender peer;
	unsigned speaks;		/* CTL_VERSION of what we send */
	unsigned asked;			/* of the peer, by SPEAK; 0: nothing */
	uint64_t asked_ms;
	const struct channel_callbacks *callbacks;
	void *arg;
	int spare[CTL_FDS_MAX];		/* places for descriptors to arrive at
					   if no others are left; or -1 */
	bool *freed;			/* set while a callback runs */
	struct kept kept[KEPT_MAX];	/* a ring */
	unsigned first, nkept;
};

int
channel_pair(int fds[2])
{
	return (socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
}

static ssize_t
channel_receive(int fd, struct ctl *msg)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {
		.iov_base = msg,
		.iov_len = offsetof(struct ctl, fd),
	};
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		/* Not CMSG_SPACE(): its padding is room for one more. */
		.msg_controllen = CMSG_LEN(CTL_FDS_MAX * sizeof(int)),
	};
	bool reset = false;
	ssize_t n;

	/* What a shorter payload lacks is 0. */
	memset(msg, 0, sizeof(*msg));
	for (size_t i = 0; i < CTL_FDS_MAX; i++)
		msg->fd[i] = -1;
	do {
		n = recvmsg(fd, &hdr, MSG_CMSG_CLOEXEC | MSG_TRUNC);
		/* A peer that left something of ours unread is reported before
		 * the last messages that it sent: unix(7). */
		if (n == -1 && errno == ECONNRESET && !reset) {
			reset = true;
			errno = EINTR;
		}
	} while (n == -1 && errno == EINTR);
	/* Also those of an empty message. */
	if (n >= 0)
		(void)fd_take_rights(&hdr, msg->fd, CTL_FDS_MAX);
	return (n);
}

static void
close_fds(struct ctl *msg)
{
	for (size_t i = 0; i < CTL_FDS_MAX; i++)
		if (msg->fd[i] != -1)
			close(msg->fd[i]);
}

static void
close_spare(struct channel *channel)
{
	for (size_t i = 0; i < CTL_FDS_MAX; i++) {
		if (channel->spare[i] != -1)
			close(channel->spare[i]);
		channel->spare[i] = -1;
	}
}

static void
open_spare(struct channel *channel)
{
	/* A child has none to give. */
	if (channel->peer == CTL_FROM_CHILD)
		return;
	for (size_t i = 0; i < CTL_FDS_MAX; i++)
		if (channel->spare[i] == -1)
			channel->spare[i] = fcntl(channel->fd,
			    F_DUPFD_CLOEXEC, 0);
}

static void
channel_end(struct channel *channel, const char *why)
{
	event_del(channel->event);
	channel->callbacks->on_end(why, channel->arg);
}

/* Obey a SPEAK.  If that cannot be said, the master asks again. */
static void
follow(struct channel *channel, const struct ctl *msg)
{
	if (ctl_is_spoken(msg->speak.version) && channel_send(channel,
	    CTL_SPEAKING, msg->header.generation, NULL, -1) == 0)
		channel->speaks = msg->speak.version;
}

/* Whether a message is about the channel itself, and no one else's business. */
static bool
handle_own(struct channel *channel, const struct ctl *msg)
{
	if (msg->header.type == CTL_SPEAK)
		follow(channel, msg);
	else if (msg->header.type != CTL_SPEAKING)
		return (false);
	else if (channel->asked != 0) {
		channel->speaks = channel->asked;
		channel->asked = 0;
	}
	return (true);
}

/* Read and hand on one message.  Returns whether another may be there. */
static bool
channel_handle_one(struct channel *channel)
{
	struct ctl msg;
	const char *wrong;
	bool freed = false;
	ssize_t n;

	/* A child has none to give, and what it sends could be one that takes
	 * long to close. */
	if (channel->peer == CTL_FROM_CHILD && fd_brings_rights(channel->fd)) {
		channel_end(channel, "it sent a descriptor");
		return (false);
	}
	close_spare(channel);
	n = channel_receive(channel->fd, &msg);
	if (n == -1 && errno == EAGAIN) {
		open_spare(channel);
		return (false);
	}
	if (n <= 0) {
		close_fds(&msg);
		channel_end(channel, n == 0 || errno == ECONNRESET ? NULL :
		    strerror(errno));
		return (false);
	}
	wrong = ctl_check(&msg, (size_t)n, channel->peer);
	if (wrong != NULL) {
		close_fds(&msg);
		channel_end(channel, wrong);
		return (false);
	}
	if (handle_own(channel, &msg)) {
		close_fds(&msg);
		open_spare(channel);
		return (true);
	}
	/* Set back below, unless there is no channel any more. */
	/* cppcheck-suppress autoVariables */
	channel->freed = &freed;
	channel->callbacks->on_message(&msg, channel->arg);
	close_fds(&msg);
	if (freed)
		return (false);
	channel->freed = NULL;
	open_spare(channel);
	return (true);
}

bool
channel_catch_up(struct channel *channel)
{
	int i = 0;

	while (i < MESSAGES_PER_TURN && channel_handle_one(channel))
		i++;
	return (i == MESSAGES_PER_TURN);
}

static void
channel_on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)channel_catch_up(arg);
}

struct channel *
channel_new(struct event_base *base, int fd, enum ctl_sender peer,
    unsigned speaks, const struct channel_callbacks *callbacks, void *arg)
{
	struct channel *channel;

	if ((channel = calloc(1, sizeof(*channel))) == NULL)
		goto fail;
	channel->fd = fd;
	channel->peer = peer;
	channel->speaks = speaks;
	channel->callbacks = callbacks;
	channel->arg = arg;
	for (size_t i = 0; i < CTL_FDS_MAX; i++)
		channel->spare[i] = -1;
	open_spare(channel);
	channel->event = event_new(base, fd, EV_READ | EV_PERSIST,
	    channel_on_readable, channel);
	if (channel->event == NULL || event_add(channel->event, NULL) == -1)
		goto fail;
	return (channel);
fail:
	if (channel != NULL) {
		close_spare(channel);
		if (channel->event != NULL)
			event_free(channel->event);
	}
	free(channel);
	errno = ENOMEM;
	return (NULL);
}

void
channel_free(struct channel *channel)
{
	if (channel == NULL)
		return;
	if (channel->freed != NULL)
		*channel->freed = true;
	event_free(channel->event);
	close_spare(channel);
	if (channel->peer == CTL_FROM_CHILD)
		fd_close_unread(channel->fd);
	else
		close(channel->fd);
	free(channel);
}

int
channel_fd(const struct channel *channel)
{
	return (channel->fd);
}

unsigned
channel_speaks(const struct channel *channel)
{
	return (channel->speaks);
}

void
channel_speak(struct channel *channel, unsigned version, uint64_t generation)
{
	const struct ctl_speak order = { .version = version };
	uint64_t now_ms = clock_ms();

	if (channel->speaks == version || (channel->asked == version &&
	    now_ms < channel->asked_ms + ASK_AGAIN_MS))
		return;
	channel->asked = version;
	channel->asked_ms = now_ms;
	(void)channel_send(channel, CTL_SPEAK, generation, &order, -1);
}

/*
 * Sending.
 */

/* Whether a call has failed only because the peer has not read yet, or because
 * the kernel lacks something at the moment. */
static bool
channel_is_short(int why)
{
	switch (why) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
	case ETOOMANYREFS:
	case EMFILE:
	case ENFILE:
		return (true);
	default:
		return (false);
	}
}

static const int no_fds[CTL_FDS_MAX] = { -1, -1 };

/* Returns how many descriptors there are, which go to the front of packed. */
static size_t
pack_fds(const int fds[CTL_FDS_MAX], int packed[CTL_FDS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < CTL_FDS_MAX; i++)
		if (fds[i] != -1)
			packed[n++] = fds[i];
	return (n);
}

static int
channel_transmit(int fd, const struct kept *message, const int fds[CTL_FDS_MAX])
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = {
		.iov_base = (void *)(uintptr_t)message->bytes,
		.iov_len = message->len,
	};
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	int packed[CTL_FDS_MAX];
	size_t nfds = pack_fds(fds, packed);
	ssize_t n;

	if (nfds > 0) {
		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), packed, nfds * sizeof(int));
	}
	do {
		n = sendmsg(fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	if (n == -1 && channel_is_short(errno))
		errno = EAGAIN;
	return (n == -1 ? -1 : 0);
}

static void
put_together(struct kept *message, unsigned version, enum ctl_type type,
    uint64_t generation, const void *payload)
{
	struct ctl_header header = {
		.version = (uint16_t)version,
		.type = (uint16_t)type,
		.length = ctl_length(type, version),
		.generation = generation,
	};

	memcpy(message->bytes, &header, sizeof(header));
	if (header.length > 0)
		memcpy(message->bytes + offsetof(struct ctl, failed), payload,
		    header.length);
	message->len = sizeof(header) + header.length;
}

bool
channel_has_unsent(const struct channel *channel)
{
	return (channel->nkept > 0);
}

bool
channel_has_room(const struct channel *channel)
{
	int unread = 0;

	return (channel->nkept == 0 &&
	    ioctl(channel->fd, SIOCOUTQ, &unread) == 0 && unread < UNREAD_MAX);
}

int
channel_flush(struct channel *channel)
{
	while (channel->nkept > 0) {
		if (channel_transmit(channel->fd,
			&channel->kept[channel->first], no_fds) == -1)
			return (-1);
		channel->first = (channel->first + 1) % KEPT_MAX;
		channel->nkept--;
	}
	return (0);
}

void
channel_linger(struct channel *channel, unsigned ms)
{
	for (unsigned waited = 0; waited < ms; waited += LINGER_STEP_MS) {
		if (channel_flush(channel) == 0 || errno != EAGAIN)
			return;
		(void)poll(NULL, 0, LINGER_STEP_MS);
	}
}

int
channel_send(struct channel *channel, enum ctl_type type, uint64_t generation,
    const void *payload, int pass_fd)
{
	const int fds[CTL_FDS_MAX] = { pass_fd, -1 };

	return (channel_send_fds(channel, type, generation, payload, fds));
}

int
channel_send_fds(struct channel *channel, enum ctl_type type,
    uint64_t generation, const void *payload, const int pass_fds[CTL_FDS_MAX])
{
	int packed[CTL_FDS_MAX];
	bool passes = pack_fds(pass_fds, packed) > 0;
	struct kept message;

	if (ctl_length(type, channel->speaks) == CTL_ABSENT)
		return (0);
	put_together(&message, channel->speaks, type, generation, payload);
	if (passes && !channel_has_room(channel)) {
		errno = EAGAIN;
		return (-1);
	}
	if (channel_flush(channel) == 0 &&
	    channel_transmit(channel->fd, &message, pass_fds) == 0)
		return (0);
	if (errno != EAGAIN || passes || channel->nkept == KEPT_MAX)
		return (-1);
	channel->kept[(channel->first + channel->nkept++) % KEPT_MAX] = message;
	return (0);
}
