/* SPDX-License-Identifier: ISC */
/*
 * What comes through the link between two workers, out of anything, at either
 * end of it: HELLO and ADOPTED at the giver's, batches with their descriptors
 * and bytes at the taker's.
 *
 * An input is
 *
 *	one byte	bits of enum how
 *	one byte	how many sockets go along
 *	two bytes	the length of the bytes in the memfd, low byte first
 *	these bytes
 *	the message, or what is in it
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/lib/lone_worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum how {
	HOW_GIVER = 1,		/* to the giver, else to the taker */
	HOW_RAW = 2,		/* a message of these bytes; else they are its
				   payload, and its header is right */
	HOW_MEMFD = 4,		/* the memfd goes along */
	HOW_PIPE = 8,		/* and is a pipe */
	HOW_LIAR = 16,		/* and has more bytes than there are */
	HOW_PREVIOUS = 32,	/* in the previous version, unless HOW_RAW */
};

enum {
	SOCKETS_MAX = 80,	/* more than may come */
	DESCRIPTORS_MAX = 400,	/* more than are ever open at a time */
	GIVEN_MAX = 3,
};

struct input {
	uint8_t how;
	uint8_t sockets;
	const uint8_t *bytes;	/* of the memfd */
	size_t nbytes;
	const uint8_t *rest;
	size_t len;
};

static struct lone_worker lone;

static bool
parse(struct input *input, const uint8_t *from, size_t len)
{
	if (len < 4)
		return (false);
	input->how = from[0];
	input->sockets = from[1] % SOCKETS_MAX;
	input->nbytes = (size_t)from[2] | (size_t)from[3] << 8;
	if (input->nbytes > len - 4)
		input->nbytes = len - 4;
	input->bytes = from + 4;
	input->rest = from + 4 + input->nbytes;
	input->len = len - 4 - input->nbytes;
	return (true);
}

static unsigned
count_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return (n);
}

/*
 * Sending.
 */

static int
make_bytes(const struct input *input)
{
	int ends[2], fd;

	if ((input->how & HOW_PIPE) != 0) {
		assert(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
		close(ends[1]);
		return (ends[0]);
	}
	assert((fd = memfd_create("fuzz", MFD_CLOEXEC)) != -1);
	assert(write(fd, input->bytes, input->nbytes) ==
	    (ssize_t)input->nbytes);
	return (fd);
}

static size_t
make_descriptors(const struct input *input, int *fds, int *peers)
{
	size_t n = 0;
	int ends[2];

	if ((input->how & HOW_MEMFD) != 0)
		fds[n++] = make_bytes(input);
	for (size_t i = 0; i < input->sockets; i++) {
		assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0, ends) == 0);
		fds[n++] = ends[0];
		peers[i] = ends[1];
	}
	return (n);
}

static void
close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* The payload as far as there are bytes for it, and the rest zero; and the
 * header that fits. */
static void
fill_message(const struct input *input, struct handover_message *msg)
{
	size_t n = input->len;

	memset(msg, 0, sizeof(*msg));
	if ((input->how & HOW_GIVER) != 0) {
		if (n > sizeof(msg->adopted))
			n = sizeof(msg->adopted);
		memcpy(&msg->adopted, input->rest, n);
		return;
	}
	if (n > sizeof(msg->batch.conns))
		n = sizeof(msg->batch.conns);
	memcpy(msg->batch.conns, input->rest, n);
	msg->batch.number = 1;
	msg->batch.n = (uint32_t)((n + sizeof(struct handover_conn) - 1) /
	    sizeof(struct handover_conn));
	if ((input->how & HOW_MEMFD) != 0)
		msg->batch.bytes = input->nbytes +
		    ((input->how & HOW_LIAR) != 0 ? 100 : 0);
	if (msg->batch.n == 0)
		msg->batch.n = 1;
}

static void
send_raw(const struct input *input, int link, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE((SOCKETS_MAX + 1) * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = {
		.iov_base = (void *)(uintptr_t)input->rest,
		.iov_len = input->len,
	};
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (nfds > 0) {
		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	(void)sendmsg(link, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
send_input(const struct input *input, int link)
{
	int fds[SOCKETS_MAX + 1], peers[SOCKETS_MAX];
	struct handover_message msg;
	size_t nfds;

	nfds = make_descriptors(input, fds, peers);
	if ((input->how & HOW_RAW) != 0)
		send_raw(input, link, fds, nfds);
	else {
		if (nfds > HANDOVER_FDS_MAX) {
			close_all(fds + HANDOVER_FDS_MAX,
			    nfds - HANDOVER_FDS_MAX);
			nfds = HANDOVER_FDS_MAX;
		}
		fill_message(input, &msg);
		(void)handover_send(link, (input->how & HOW_PREVIOUS) != 0 ?
		    HANDOVER_PREVIOUS : HANDOVER_VERSION, &msg,
		    (input->how & HOW_GIVER) != 0 ? HANDOVER_ADOPTED :
		    HANDOVER_BATCH, fds, nfds);
	}
	close_all(fds, nfds);
	lone_worker_turn(&lone);
	close_all(peers, input->sockets);
}

static void
open_link(int ends[2])
{
	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, ends) == 0);
}

/*
 * To the taker.
 */

/* Nothing is taken whose descriptor was not there. */
static void
check_answer(int link, size_t nfds)
{
	struct handover_message msg;
	struct handover_fds fds;

	while (handover_receive(link, &msg, &fds) == 1) {
		assert(fds.n == 0);
		assert(msg.header.type == HANDOVER_ADOPTED);
		assert(msg.adopted.number != 0);
		assert(__builtin_popcountll(msg.adopted.taken) <=
		    (int)nfds);
	}
}

static void
try_taker(const struct input *input)
{
	const struct ctl_take order = {
		.giver = (input->how & HOW_PREVIOUS) != 0 ? CTL_PREVIOUS :
		    CTL_VERSION,
	};
	struct handover_message msg;
	struct handover_fds fds;
	int ends[2];

	open_link(ends);
	taker_begin(&lone.worker, ends[0], &order);
	assert(handover_receive(ends[1], &msg, &fds) == 1);
	assert(msg.header.type == HANDOVER_HELLO);
	send_input(input, ends[1]);
	check_answer(ends[1], input->sockets + 1U);
	close(ends[1]);
	lone_worker_turn(&lone);
	assert(TAILQ_EMPTY(&lone.worker.takers));
}

/*
 * To the giver.
 */

/* Connections that have gone, and have not come back. */
static uint64_t
count_carried(void)
{
	const struct counters_listener *counters;
	uint64_t n = 0;

	for (size_t i = 0; i < lone.worker.nlisteners; i++) {
		counters = lone.worker.listeners[i].counters;
		n += counter_get(&counters->carried_out) -
		    counter_get(&counters->carried_in);
	}
	return (n);
}

static void
take_in_what_is_given(int link)
{
	struct handover_message msg;
	struct handover_fds fds;

	while (handover_receive(link, &msg, &fds) == 1)
		handover_close_fds(&fds);
}

static void
connect_some(int peers[GIVEN_MAX])
{
	for (int i = 0; i < GIVEN_MAX; i++)
		(void)lone_worker_connect(&lone, i % LONE_LISTENERS, &peers[i]);
	/* A part of a message, and one that nobody works on. */
	assert(write(peers[0], "\0\0\0\11part", 8) == 8);
	assert(write(peers[1], "whole\npart", 10) == 10);
	lone_worker_turn(&lone);
}

static void
try_giver(const struct input *input)
{
	static const struct ctl_give order = { .quota = CTL_GIVE_ALL };
	struct giver *giver = &lone.worker.giver;
	struct handover_message msg = { .hello = { .protocol = {
	    CONF_PROTOCOL_FRAME + 1, CONF_PROTOCOL_LINE + 1 } } };
	uint64_t carried = count_carried();
	int ends[2], peers[GIVEN_MAX];
	struct ctl said;

	open_link(ends);
	connect_some(peers);
	/* The number of a batch in the input is one of now. */
	giver->numbered = 0;
	giver_begin(&lone.worker, ends[0], &order);
	if ((input->how & HOW_LIAR) == 0)
		assert(handover_send(ends[1], (input->how & HOW_PREVIOUS) != 0 ?
		    HANDOVER_PREVIOUS : HANDOVER_VERSION, &msg,
		    HANDOVER_HELLO, NULL, 0) == 0);
	lone_worker_turn(&lone);
	take_in_what_is_given(ends[1]);
	send_input(input, ends[1]);
	take_in_what_is_given(ends[1]);
	close(ends[1]);
	lone_worker_turn(&lone);
	assert(!giver->on && giver->unanswered == 0);
	/* Whatever it was told, it has what it has not given. */
	carried = count_carried() - carried;
	assert(lone.worker.conns.count + carried <= GIVEN_MAX);
	close_all(peers, GIVEN_MAX);
	while (recv(lone.master, &said, sizeof(said), MSG_DONTWAIT) > 0)
		;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static bool is_made;
	struct input input;
	unsigned before;

	if (!is_made) {
		log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
		lone_worker_init(&lone);
		is_made = true;
	}
	if (!parse(&input, bytes, len))
		return (0);
	before = count_descriptors();
	if ((input.how & HOW_GIVER) != 0)
		try_giver(&input);
	else
		try_taker(&input);
	lone_worker_clear(&lone);
	assert(lone.worker.conns.count == 0);
	assert(lone.worker.buffers.lent == 0);
	assert(count_descriptors() == before);
	return (0);
}
