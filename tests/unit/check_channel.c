/* SPDX-License-Identifier: ISC */
/*
 * Holds common/channel.c and common/ctl.c to their headers.
 */
#include "common/channel.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tests/lib/rights.h"

enum { GENERATION = 7, HEARD_MAX = 256 };

/*
 * Two ends, and what the callbacks of ours have heard.
 */
static struct event_base *base;
static struct channel *ours, *theirs;
static int raw;				/* their end, where it has no channel */
static struct ctl heard[HEARD_MAX];
static unsigned nheard, nends;
static const char *end_why;
static void (*when_heard)(struct ctl *);
static bool free_at_end;

static void
on_message(struct ctl *msg, void *arg)
{
	ck_assert_ptr_eq(arg, &ours);
	ck_assert_uint_lt(nheard, HEARD_MAX);
	heard[nheard++] = *msg;
	if (when_heard != NULL)
		when_heard(msg);
}

static void
on_end(const char *why, void *arg)
{
	ck_assert_ptr_eq(arg, &ours);
	end_why = why;
	nends++;
	if (free_at_end) {
		channel_free(ours);
		ours = NULL;
	}
}

static const struct channel_callbacks callbacks = {
	.on_message = on_message,
	.on_end = on_end,
};

/* Our end listens to peer; theirs is a bare descriptor. */
static void
start_raw(enum ctl_sender peer)
{
	int fds[2];

	nheard = nends = 0;
	end_why = "on_end was not called";
	when_heard = NULL;
	free_at_end = false;
	ck_assert_ptr_nonnull(base = event_base_new());
	ck_assert_int_eq(channel_pair(fds), 0);
	ours = channel_new(base, fds[0], peer, CTL_VERSION, &callbacks,
	    &ours);
	ck_assert_ptr_nonnull(ours);
	raw = fds[1];
	theirs = NULL;
}

static void
ignore_end(const char *why, void *arg)
{
	(void)why;
	(void)arg;
}

/* Theirs is a channel too, to which ours says nothing. */
static void
start(enum ctl_sender peer)
{
	static const struct channel_callbacks none = { .on_end = ignore_end };

	start_raw(peer);
	theirs = channel_new(base, raw, peer == CTL_FROM_CHILD ?
	    CTL_FROM_MASTER : CTL_FROM_CHILD, CTL_VERSION, &none, NULL);
	ck_assert_ptr_nonnull(theirs);
	raw = -1;
}

static void
finish(void)
{
	channel_free(ours);
	channel_free(theirs);
	if (raw != -1)
		close(raw);
	event_base_free(base);
}

/* As many turns of the loop as anything comes in. */
static void
run(void)
{
	unsigned before;

	do {
		before = nheard + nends;
		ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	} while (nheard + nends > before);
}

static void
say(enum ctl_type type, const void *payload)
{
	ck_assert_int_eq(channel_send(theirs, type, GENERATION, payload, -1),
	    0);
}

/* Send bytes as they are, with a descriptor if it is not -1. */
static void
send_raw(const void *bytes, size_t len, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
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
	ck_assert_int_eq(sendmsg(raw, &hdr, MSG_NOSIGNAL), (ssize_t)len);
}

/* Our end again, as one that speaks the previous version. */
static void
restart_in_previous(void)
{
	int fds[2];

	ck_assert_int_eq(channel_pair(fds), 0);
	ours = channel_new(base, fds[0], CTL_FROM_CHILD, CTL_PREVIOUS,
	    &callbacks, &ours);
	ck_assert_ptr_nonnull(ours);
	raw = fds[1];
}

static struct ctl
make(enum ctl_type type)
{
	return ((struct ctl){ .header = {
		.version = CTL_VERSION,
		.type = (uint16_t)type,
		.length = ctl_length(type, CTL_VERSION),
		.generation = GENERATION,
	} });
}

static size_t
count_fds(void)
{
	return (proc_fds(getpid(), NULL, 0));
}

static bool
is_same_file(int a, int b)
{
	struct stat x, y;

	return (fstat(a, &x) == 0 && fstat(b, &y) == 0 &&
	    x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

static int
open_any(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return (fd);
}

/*
 * The list.
 */

static const struct {
	enum ctl_type type;
	enum ctl_sender sender;
	uint32_t length;
	const char *name;
} types[] = {
#define ROW(name, sender, before, length)				\
	{ CTL_##name, CTL_##sender, length, #name },
	CTL_MESSAGES(ROW)
#undef ROW
};

#define NTYPES	(sizeof(types) / sizeof(*types))

START_TEST(every_type_has_its_number_length_and_name)
{
	ck_assert_uint_eq(NTYPES, CTL_TYPE_COUNT - 1);
	for (unsigned i = 0; i < NTYPES; i++) {
		ck_assert_uint_eq(types[i].type, i + 1);
		ck_assert_uint_eq(ctl_length(types[i].type, CTL_VERSION),
		    types[i].length);
		ck_assert_str_eq(ctl_name(types[i].type), types[i].name);
	}
	ck_assert_uint_eq(ctl_length(CTL_DRAIN, CTL_VERSION),
	    sizeof(struct ctl_drain));
	ck_assert_str_eq(ctl_name(CTL_DRAIN), "DRAIN");
}
END_TEST

START_TEST(what_is_no_type_has_a_name_that_says_so)
{
	ck_assert_str_eq(ctl_name(CTL_NONE), "none");
	ck_assert_str_eq(ctl_name(CTL_TYPE_COUNT), "unknown");
	ck_assert_str_eq(ctl_name(UINT16_MAX), "unknown");
	ck_assert_str_eq(ctl_name(UINT_MAX), "unknown");
}
END_TEST

START_TEST(numbers_on_the_channel_never_change)
{
	ck_assert_uint_eq(CTL_READY, 1);
	ck_assert_uint_eq(CTL_FAILED, 2);
	ck_assert_uint_eq(CTL_START, 3);
	ck_assert_uint_eq(CTL_DRAIN, 4);
	ck_assert_uint_eq(CTL_DRAINED, 5);
	ck_assert_uint_eq(CTL_STOP, 6);
	ck_assert_uint_eq(CTL_LOG, 7);
	ck_assert_uint_eq(sizeof(struct ctl_header), 16);
}
END_TEST

/*
 * What is refused.
 */

/* Wrong in the eyes of ctl_check(), and so it ends a channel. */
static void
expect_refused(const struct ctl *msg, size_t len, enum ctl_sender sender,
    const char *why)
{
	ck_assert_str_eq(ctl_check(msg, len, sender), why);
	start_raw(sender);
	send_raw(msg, len, NULL, 0);
	run();
	ck_assert_uint_eq(nheard, 0);
	ck_assert_uint_eq(nends, 1);
	ck_assert_str_eq(end_why, why);
	finish();
}

START_TEST(a_whole_message_from_its_sender_is_good)
{
	struct ctl msg;

	for (size_t i = 0; i < NTYPES; i++) {
		msg = make(types[i].type);
		ck_assert_ptr_null(ctl_check(&msg, sizeof(msg.header) +
		    types[i].length, types[i].sender));
	}
}
END_TEST

START_TEST(a_message_that_is_not_the_senders_to_send_is_refused)
{
	struct ctl msg;

	for (size_t i = 0; i < NTYPES; i++) {
		msg = make(types[i].type);
		expect_refused(&msg, sizeof(msg.header) + types[i].length,
		    types[i].sender == CTL_FROM_MASTER ? CTL_FROM_CHILD :
		    CTL_FROM_MASTER, "not the sender's to send");
	}
}
END_TEST

START_TEST(a_payload_of_the_wrong_length_is_refused)
{
	struct ctl msg;

	for (size_t i = 0; i < NTYPES; i++) {
		size_t len = sizeof(msg.header) + types[i].length;

		msg = make(types[i].type);
		expect_refused(&msg, len + 1, types[i].sender,
		    "of the wrong length");
		if (types[i].length == 0)
			continue;
		expect_refused(&msg, len - 1, types[i].sender,
		    "of the wrong length");
		expect_refused(&msg, sizeof(msg.header), types[i].sender,
		    "of the wrong length");
	}
}
END_TEST

START_TEST(a_header_that_tells_the_wrong_length_is_refused)
{
	struct ctl msg = make(CTL_DRAINED);
	static const uint32_t wrong[] = {
		0, sizeof(struct ctl_drained) - 1,
		sizeof(struct ctl_drained) + 1, UINT32_MAX
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		msg.header.length = wrong[i];
		expect_refused(&msg, sizeof(msg.header) +
		    sizeof(struct ctl_drained), CTL_FROM_CHILD,
		    "of the wrong length");
	}
	/* Nor does it help that the packet is as long as it says. */
	msg.header.length = sizeof(struct ctl_drained) - 1;
	expect_refused(&msg, sizeof(msg.header) + msg.header.length,
	    CTL_FROM_CHILD, "of the wrong length");
}
END_TEST

START_TEST(a_message_shorter_than_a_header_is_refused)
{
	struct ctl msg = make(CTL_READY);

	ck_assert_str_eq(ctl_check(&msg, 0, CTL_FROM_CHILD),
	    "shorter than a header");
	for (size_t len = 1; len < sizeof(msg.header); len++)
		expect_refused(&msg, len, CTL_FROM_CHILD,
		    "shorter than a header");
}
END_TEST

START_TEST(a_message_of_another_version_is_refused)
{
	static const uint16_t wrong[] = {
		0, CTL_PREVIOUS - 1, CTL_VERSION + 1, UINT16_MAX
	};
	struct ctl msg = make(CTL_READY);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		msg.header.version = wrong[i];
		expect_refused(&msg, sizeof(msg.header), CTL_FROM_CHILD,
		    "of another version");
	}
}
END_TEST

/*
 * The previous version.
 */

/* As the previous release has them: this list is never changed, only replaced
 * when that release is not the previous one any more. */
static const struct {
	enum ctl_sender sender;
	uint32_t length;
} previous[] = {
	[1] = { CTL_FROM_CHILD, 0 },		/* READY */
	{ CTL_FROM_CHILD, 240 },		/* FAILED */
	{ CTL_FROM_MASTER, 0 },			/* START */
	{ CTL_FROM_MASTER, 12 },		/* DRAIN */
	{ CTL_FROM_CHILD, 32 },			/* DRAINED */
	{ CTL_FROM_MASTER, 0 },			/* STOP */
	{ CTL_FROM_MASTER, 8 },			/* LOG */
	{ CTL_FROM_MASTER, 16 },		/* EXECUTOR */
	{ CTL_FROM_CHILD, 128 },		/* DISOWN */
	{ CTL_FROM_MASTER, 8 },			/* GIVE */
	{ CTL_FROM_MASTER, 0 },			/* TAKE */
	{ CTL_FROM_CHILD, 32 },			/* GIVEN */
	{ CTL_FROM_MASTER, 0 },			/* ACCESS_LOG */
	{ CTL_FROM_CHILD, 8 },			/* ASK_CLOSE */
	{ CTL_FROM_CHILD, 0 },			/* ASK_REBALANCE */
	{ CTL_FROM_MASTER, 8 },			/* CLOSE */
	{ CTL_FROM_CHILD, 0 },			/* BEAT */
};

#define NPREVIOUS	(sizeof(previous) / sizeof(*previous))

START_TEST(every_message_of_the_previous_version_is_understood)
{
	uint8_t packet[16 + 240];
	struct ctl_header header = { .version = 2, .generation = GENERATION };

	ck_assert_uint_eq(CTL_PREVIOUS, 2);
	for (uint16_t type = 1; type < NPREVIOUS; type++) {
		header.type = type;
		header.length = previous[type].length;
		memset(packet, 'a', sizeof(packet));
		memcpy(packet, &header, sizeof(header));
		start_raw(previous[type].sender);
		send_raw(packet, sizeof(header) + header.length, NULL, 0);
		run();
		ck_assert_msg(nheard == 1, "%s", ctl_name(type));
		ck_assert_mem_eq(&heard[0], packet,
		    sizeof(header) + header.length);
		/* What it does not have is 0. */
		for (size_t i = sizeof(header) + header.length;
		    i < offsetof(struct ctl, fd); i++)
			ck_assert_uint_eq(((uint8_t *)&heard[0])[i], 0);
		finish();
	}
}
END_TEST

START_TEST(every_message_can_be_sent_in_the_previous_version)
{
	struct ctl payload = { .header = { .version = 0 } };
	uint8_t packet[sizeof(struct ctl)];
	struct ctl_header header;

	for (unsigned type = 1; type < CTL_TYPE_COUNT; type++) {
		start_raw(types[type - 1].sender == CTL_FROM_CHILD ?
		    CTL_FROM_MASTER : CTL_FROM_CHILD);
		channel_free(ours);
		ours = NULL;
		close(raw);
		restart_in_previous();
		ck_assert_int_eq(channel_send(ours, (enum ctl_type)type,
		    GENERATION, &payload.failed, -1), 0);
		if (type >= NPREVIOUS) {
			ck_assert_int_eq(recv(raw, packet, sizeof(packet), 0),
			    -1);
			ck_assert_int_eq(errno, EAGAIN);
		} else {
			ck_assert_int_eq(recv(raw, packet, sizeof(packet), 0),
			    (ssize_t)(16 + previous[type].length));
			memcpy(&header, packet, sizeof(header));
			ck_assert_uint_eq(header.version, 2);
			ck_assert_uint_eq(header.length,
			    previous[type].length);
		}
		finish();
	}
}
END_TEST

/* A downgrade: the children speak as the next program understands. */
START_TEST(both_ends_go_over_to_the_version_that_is_asked_for)
{
	start(CTL_FROM_CHILD);
	ck_assert_uint_eq(channel_speaks(ours), CTL_VERSION);
	channel_speak(ours, CTL_PREVIOUS, GENERATION);
	channel_speak(ours, CTL_PREVIOUS, GENERATION);
	/* Before the other end has heard it. */
	ck_assert_uint_eq(channel_speaks(ours), CTL_VERSION);
	say(CTL_READY, NULL);
	run();
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(channel_speaks(ours), CTL_PREVIOUS);
	ck_assert_uint_eq(channel_speaks(theirs), CTL_PREVIOUS);
	say(CTL_READY, NULL);
	run();
	ck_assert_uint_eq(nheard, 2);
	ck_assert_uint_eq(heard[0].header.version, CTL_VERSION);
	ck_assert_uint_eq(heard[1].header.version, CTL_PREVIOUS);
	ck_assert_uint_eq(nends, 0);
	finish();
}
END_TEST

/* An end that has no room for its answer does not follow. */
START_TEST(an_end_that_does_not_answer_is_asked_again)
{
	struct ctl order;

	start_raw(CTL_FROM_CHILD);
	for (int i = 0; i < 2; i++) {
		channel_speak(ours, CTL_PREVIOUS, GENERATION);
		channel_speak(ours, CTL_PREVIOUS, GENERATION);
		ck_assert_int_gt(recv(raw, &order, sizeof(order), 0), 0);
		ck_assert_uint_eq(order.header.type, CTL_SPEAK);
		ck_assert_int_eq(recv(raw, &order, sizeof(order), 0), -1);
		pause_us(300000);
	}
	finish();
}
END_TEST

START_TEST(no_other_version_is_gone_over_to)
{
	start(CTL_FROM_CHILD);
	channel_speak(ours, CTL_VERSION + 1, GENERATION);
	channel_speak(ours, CTL_PREVIOUS - 1, GENERATION);
	run();
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(channel_speaks(ours), CTL_VERSION);
	ck_assert_uint_eq(channel_speaks(theirs), CTL_VERSION);
	finish();
}
END_TEST

START_TEST(a_message_of_no_known_type_is_refused)
{
	static const uint16_t wrong[] = {
		CTL_NONE, CTL_TYPE_COUNT, UINT16_MAX
	};
	struct ctl msg = make(CTL_READY);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		msg.header.type = wrong[i];
		expect_refused(&msg, sizeof(msg.header), CTL_FROM_CHILD,
		    "of an unknown type");
		expect_refused(&msg, sizeof(msg.header), CTL_FROM_MASTER,
		    "of an unknown type");
	}
}
END_TEST

START_TEST(a_packet_longer_than_any_message_is_refused)
{
	uint8_t packet[4096] = { 0 };
	struct ctl msg = make(CTL_READY);

	memcpy(packet, &msg, sizeof(msg.header));
	start_raw(CTL_FROM_CHILD);
	send_raw(packet, sizeof(packet), NULL, 0);
	run();
	ck_assert_uint_eq(nheard, 0);
	ck_assert_str_eq(end_why, "of the wrong length");
	finish();
}
END_TEST

START_TEST(after_nonsense_nothing_more_is_heard)
{
	struct ctl good = make(CTL_READY), bad = good;

	bad.header.version++;
	start_raw(CTL_FROM_CHILD);
	send_raw(&good, sizeof(good.header), NULL, 0);
	send_raw(&bad, sizeof(bad.header), NULL, 0);
	send_raw(&good, sizeof(good.header), NULL, 0);
	close(raw);
	raw = -1;
	run();
	ck_assert_uint_eq(nheard, 1);
	ck_assert_uint_eq(nends, 1);
	ck_assert_str_eq(end_why, "of another version");
	finish();
}
END_TEST

/*
 * What arrives.
 */

START_TEST(the_ends_of_a_pair_keep_packets_and_close_on_exec)
{
	int fds[2], type;
	socklen_t len = sizeof(type);

	ck_assert_int_eq(channel_pair(fds), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		ck_assert_int_ne(fcntl(fds[i], F_GETFL) & O_NONBLOCK, 0);
		ck_assert_int_eq(getsockopt(fds[i], SOL_SOCKET, SO_TYPE, &type,
		    &len), 0);
		ck_assert_int_eq(type, SOCK_SEQPACKET);
		close(fds[i]);
	}
}
END_TEST

START_TEST(a_message_arrives_as_it_was_sent)
{
	uint8_t payload[sizeof(struct ctl)];

	for (size_t i = 0; i < NTYPES; i++) {
		/* The channel's own. */
		if (types[i].type == CTL_SPEAK ||
		    types[i].type == CTL_SPEAKING)
			continue;
		memset(payload, (int)(0xa0 + i), sizeof(payload));
		start(types[i].sender);
		say(types[i].type, types[i].length > 0 ? payload : NULL);
		run();
		ck_assert_uint_eq(nheard, 1);
		ck_assert_uint_eq(nends, 0);
		ck_assert_uint_eq(heard[0].header.type, types[i].type);
		ck_assert_uint_eq(heard[0].header.generation, GENERATION);
		ck_assert_uint_eq(heard[0].header.length, types[i].length);
		ck_assert_mem_eq((uint8_t *)&heard[0] + sizeof(struct
		    ctl_header), payload, types[i].length);
		ck_assert_int_eq(heard[0].fd[0], -1);
		finish();
	}
}
END_TEST

START_TEST(messages_arrive_in_their_order)
{
	struct ctl_drained drained = { .cut = 5 };

	start(CTL_FROM_CHILD);
	for (drained.finished = 0; drained.finished < 100;
	    drained.finished++) {
		say(CTL_DRAINED, &drained);
		say(CTL_READY, NULL);
	}
	run();
	ck_assert_uint_eq(nheard, 200);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_uint_eq(heard[2 * i].drained.finished, i);
		ck_assert_uint_eq(heard[2 * i + 1].header.type, CTL_READY);
	}
	finish();
}
END_TEST

static void
count_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(unsigned *)arg = nheard;
}

START_TEST(a_peer_that_never_stops_sending_does_not_block_the_loop)
{
	unsigned heard_before = UINT_MAX;
	int other[2];
	struct event *event;

	start(CTL_FROM_CHILD);
	ck_assert_int_eq(pipe2(other, O_CLOEXEC), 0);
	event = event_new(base, other[0], EV_READ, count_turn, &heard_before);
	ck_assert_ptr_nonnull(event);
	ck_assert_int_eq(event_add(event, NULL), 0);
	for (int i = 0; i < 200; i++)
		say(CTL_READY, NULL);
	/* Last, so that its turn comes behind ours. */
	ck_assert_int_eq(write(other[1], "x", 1), 1);
	run();
	ck_assert_uint_gt(heard_before, 0);
	ck_assert_uint_lt(heard_before, 100);
	ck_assert_uint_eq(nheard, 200);
	event_free(event);
	close(other[0]);
	close(other[1]);
	finish();
}
END_TEST

START_TEST(what_has_come_can_be_heard_without_the_loop)
{
	start(CTL_FROM_CHILD);
	channel_catch_up(ours);
	ck_assert_uint_eq(nheard, 0);
	say(CTL_READY, NULL);
	say(CTL_READY, NULL);
	channel_catch_up(ours);
	ck_assert_uint_eq(nheard, 2);
	finish();
}
END_TEST

/*
 * The other end goes.
 */

START_TEST(what_was_said_before_the_end_is_heard_before_it)
{
	start(CTL_FROM_CHILD);
	say(CTL_READY, NULL);
	channel_free(theirs);
	theirs = NULL;
	run();
	ck_assert_uint_eq(nheard, 1);
	ck_assert_uint_eq(nends, 1);
	ck_assert_ptr_null(end_why);
	finish();
}
END_TEST

START_TEST(an_end_with_unread_messages_is_an_end_like_any_other)
{
	start(CTL_FROM_CHILD);
	/* Theirs are never read, so ours meets ECONNRESET. */
	ck_assert_int_eq(channel_send(ours, CTL_STOP, GENERATION, NULL, -1),
	    0);
	channel_free(theirs);
	theirs = NULL;
	run();
	ck_assert_uint_eq(nends, 1);
	ck_assert_ptr_null(end_why);
	finish();
}
END_TEST

START_TEST(sending_to_a_closed_peer_is_an_error_without_a_signal)
{
	start(CTL_FROM_CHILD);
	signal(SIGPIPE, SIG_DFL);
	channel_free(theirs);
	theirs = NULL;
	ck_assert_int_eq(channel_send(ours, CTL_START, GENERATION, NULL, -1),
	    -1);
	ck_assert_int_eq(errno, EPIPE);
	signal(SIGPIPE, SIG_IGN);
	finish();
}
END_TEST

START_TEST(messages_before_a_reset_are_heard)
{
	start(CTL_FROM_CHILD);
	say(CTL_READY, NULL);
	say(CTL_DRAINED, &(struct ctl_drained){ .finished = 3 });
	/* Theirs is never read, so ours meets ECONNRESET. */
	ck_assert_int_eq(channel_send(ours, CTL_STOP, GENERATION, NULL, -1),
	    0);
	channel_free(theirs);
	theirs = NULL;
	run();
	ck_assert_uint_eq(nheard, 2);
	ck_assert_uint_eq(heard[1].drained.finished, 3);
	ck_assert_uint_eq(nends, 1);
	ck_assert_ptr_null(end_why);
	finish();
}
END_TEST

START_TEST(messages_that_cannot_be_sent_are_kept_in_their_order)
{
	struct ctl_drain order = { .timeout_ms = 0 };
	struct ctl msg;
	uint32_t sent = 0, got = 0;

	start_raw(CTL_FROM_CHILD);
	while (channel_send(ours, CTL_DRAIN, GENERATION, &order, -1) == 0)
		order.timeout_ms = ++sent;
	ck_assert(channel_has_unsent(ours));
	ck_assert_int_eq(channel_flush(ours), -1);
	ck_assert_int_eq(errno, EAGAIN);
	do {
		while (recv(raw, &msg, sizeof(msg), MSG_DONTWAIT) > 0) {
			ck_assert_uint_eq(msg.header.type, CTL_DRAIN);
			ck_assert_uint_eq(msg.drain.timeout_ms, got++);
		}
	} while (channel_flush(ours) == -1 || got < sent);
	ck_assert(!channel_has_unsent(ours));
	ck_assert_int_eq(recv(raw, &msg, sizeof(msg), MSG_DONTWAIT), -1);
	finish();
}
END_TEST

START_TEST(descriptors_in_flight_to_a_peer_that_does_not_read_are_bounded)
{
	struct ctl_log log = { .level = 1 };
	int fd = open_any();
	unsigned sent = 0;

	start(CTL_FROM_MASTER);
	while (channel_send(theirs, CTL_LOG, GENERATION, &log, fd) == 0)
		ck_assert_uint_lt(++sent, 100);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_gt(sent, 4);
	ck_assert(!channel_has_room(theirs));
	/* What needs no descriptor is still sent. */
	say(CTL_STOP, NULL);
	ck_assert(!channel_has_unsent(theirs));
	run();
	ck_assert_uint_eq(nheard, sent + 1);
	ck_assert(channel_has_room(theirs));
	ck_assert_int_eq(channel_send(theirs, CTL_LOG, GENERATION, &log, fd),
	    0);
	close(fd);
	finish();
}
END_TEST

START_TEST(sending_to_a_peer_that_does_not_read_never_blocks)
{
	unsigned sent = 0;
	int result;

	start_raw(CTL_FROM_CHILD);
	while ((result = channel_send(ours, CTL_STOP, GENERATION, NULL,
	    -1)) == 0)
		ck_assert_uint_lt(++sent, 100000);
	ck_assert_int_eq(result, -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_gt(sent, 10);
	finish();
}
END_TEST

/*
 * Freeing in a callback.
 */

static void
free_ours(struct ctl *msg)
{
	(void)msg;
	channel_free(ours);
	ours = NULL;
}

START_TEST(a_channel_may_be_freed_by_a_message)
{
	start(CTL_FROM_CHILD);
	when_heard = free_ours;
	say(CTL_READY, NULL);
	say(CTL_READY, NULL);
	run();
	ck_assert_uint_eq(nheard, 1);
	ck_assert_uint_eq(nends, 0);
	finish();
}
END_TEST

START_TEST(a_channel_may_be_freed_by_a_message_that_is_caught_up_with)
{
	start(CTL_FROM_CHILD);
	when_heard = free_ours;
	say(CTL_READY, NULL);
	say(CTL_READY, NULL);
	channel_catch_up(ours);
	ck_assert_uint_eq(nheard, 1);
	finish();
}
END_TEST

START_TEST(a_channel_may_be_freed_by_its_end)
{
	struct ctl bad = make(CTL_STOP);

	start(CTL_FROM_CHILD);
	free_at_end = true;
	channel_free(theirs);
	theirs = NULL;
	run();
	ck_assert_uint_eq(nends, 1);
	ck_assert_ptr_null(ours);
	finish();

	start_raw(CTL_FROM_CHILD);
	free_at_end = true;
	send_raw(&bad, sizeof(bad.header), NULL, 0);
	run();
	ck_assert_uint_eq(nends, 1);
	ck_assert_ptr_null(ours);
	finish();
}
END_TEST

START_TEST(freeing_nothing_does_nothing)
{
	channel_free(NULL);
}
END_TEST

START_TEST(a_channel_that_is_freed_is_closed)
{
	unsigned before = count_fds();

	start(CTL_FROM_CHILD);
	finish();
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

static void
say_nothing(int severity, const char *text)
{
	(void)severity;
	(void)text;
}

START_TEST(a_channel_that_cannot_be_made_leaves_its_descriptor_open)
{
	int fd = open_any();		/* epoll takes no regular file */

	event_set_log_callback(say_nothing);
	ck_assert_ptr_nonnull(base = event_base_new());
	ck_assert_ptr_null(channel_new(base, fd, CTL_FROM_CHILD, CTL_VERSION,
	    &callbacks, &ours));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(close(fd), 0);
	event_base_free(base);
	event_set_log_callback(NULL);
}
END_TEST

/*
 * Descriptors.
 */

static int taken;

static void
take_fd(struct ctl *msg)
{
	taken = msg->fd[0];
	msg->fd[0] = -1;
}

static int both_taken[CTL_FDS_MAX];

static void
take_fds(struct ctl *msg)
{
	for (int i = 0; i < CTL_FDS_MAX; i++) {
		both_taken[i] = msg->fd[i];
		msg->fd[i] = -1;
	}
}

START_TEST(a_descriptor_comes_along_and_is_a_copy)
{
	struct ctl_log log = { .level = 1 };
	int fd = open_any();

	start(CTL_FROM_MASTER);
	when_heard = take_fd;
	ck_assert_int_eq(channel_send(theirs, CTL_LOG, GENERATION, &log, fd),
	    0);
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
	run();
	ck_assert_int_ne(taken, fd);
	ck_assert(is_same_file(taken, fd));
	ck_assert_int_eq(fcntl(taken, F_GETFD), FD_CLOEXEC);
	close(taken);
	close(fd);
	finish();
}
END_TEST

START_TEST(two_descriptors_come_along_in_their_order)
{
	struct ctl_executor executor = { .id = 1 };
	int fds[CTL_FDS_MAX] = { open_any(), -1 };

	ck_assert_int_ne(fds[1] = dup(STDIN_FILENO), -1);
	start(CTL_FROM_MASTER);
	when_heard = take_fds;
	ck_assert_int_eq(channel_send_fds(theirs, CTL_EXECUTOR, GENERATION,
	    &executor, fds), 0);
	run();
	ck_assert_uint_eq(nheard, 1);
	for (int i = 0; i < CTL_FDS_MAX; i++) {
		ck_assert(is_same_file(both_taken[i], fds[i]));
		ck_assert_int_eq(fcntl(both_taken[i], F_GETFD), FD_CLOEXEC);
		close(both_taken[i]);
		close(fds[i]);
	}
	finish();
}
END_TEST

START_TEST(a_descriptor_that_nobody_takes_is_closed)
{
	struct ctl_log log = { .level = 1 };
	unsigned before = count_fds();
	int fd = open_any();

	start(CTL_FROM_MASTER);
	ck_assert_int_eq(channel_send(theirs, CTL_LOG, GENERATION, &log, fd),
	    0);
	run();
	ck_assert_uint_eq(nheard, 1);
	ck_assert_int_ne(heard[0].fd[0], -1);
	finish();
	close(fd);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(a_descriptor_that_nobody_takes_is_closed_if_the_channel_goes)
{
	struct ctl_log log = { .level = 1 };
	unsigned before = count_fds();
	int fd = open_any();

	start(CTL_FROM_MASTER);
	when_heard = free_ours;
	ck_assert_int_eq(channel_send(theirs, CTL_LOG, GENERATION, &log, fd),
	    0);
	run();
	ck_assert_uint_eq(nheard, 1);
	finish();
	close(fd);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(the_descriptor_of_a_refused_message_is_closed)
{
	struct ctl bad = make(CTL_STOP);
	unsigned before = count_fds();
	int fd = open_any();

	start_raw(CTL_FROM_CHILD);
	send_raw(&bad, sizeof(bad.header), &fd, 1);
	run();
	ck_assert_uint_eq(nends, 1);
	finish();
	close(fd);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(the_descriptor_of_an_empty_message_is_closed)
{
	unsigned before = count_fds();
	int fd = open_any();

	start_raw(CTL_FROM_CHILD);
	send_raw(&fd, 0, &fd, 1);
	run();
	ck_assert_uint_eq(nends, 1);
	finish();
	close(fd);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

/* It would take minutes to close. */
START_TEST(a_child_that_sends_a_descriptor_delays_nobody)
{
	struct ctl msg = make(CTL_READY);
	unsigned before = count_fds();

	for (int behind = 0; behind < 2; behind++) {
		start_raw(CTL_FROM_CHILD);
		/* What is nonsense ends the channel before. */
		if (behind == 1)
			send_raw("nonsense", 8, NULL, 0);
		ck_assert(rights_send(raw, &msg, sizeof(msg.header)));
		run();
		ck_assert_uint_eq(nheard, 0);
		ck_assert_uint_eq(nends, 1);
		ck_assert_str_eq(end_why, behind == 1 ?
		    "shorter than a header" : "it sent a descriptor");
		finish();
		/* The one that listens for its connection. */
		ck_assert_uint_eq(count_fds(), ++before);
	}
}
END_TEST

START_TEST(descriptors_beyond_the_first_are_closed)
{
	struct ctl msg = make(CTL_START);
	unsigned before = count_fds();
	int fd = open_any();
	int fds[] = { fd, fd, fd, fd, fd, fd, fd, fd };

	for (size_t n = 1; n <= 8; n++) {
		start_raw(CTL_FROM_MASTER);
		send_raw(&msg, sizeof(msg.header), fds, n);
		run();
		ck_assert_uint_eq(nheard, 1);
		finish();
		ck_assert_msg(count_fds() == before + 1,
		    "of %zu descriptors some are left", n);
	}
	close(fd);
}
END_TEST

/* Let no descriptor be free; returns the limit that was. */
static struct rlimit
take_all_descriptors(void)
{
	struct rlimit before, none;
	int lowest = open_any();

	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ (rlim_t)lowest, before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(dup(0), -1);
	ck_assert_int_eq(errno, EMFILE);
	return (before);
}

START_TEST(descriptors_arrive_even_where_no_others_are_free)
{
	struct ctl_executor executor = { .id = 1 };
	struct rlimit before;
	int fd = open_any();
	const int both[CTL_FDS_MAX] = { fd, fd };

	start(CTL_FROM_MASTER);
	before = take_all_descriptors();
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(channel_send_fds(theirs, CTL_EXECUTOR,
		    GENERATION, &executor, both), 0);
		run();
		ck_assert_uint_eq(nheard, i + 1);
		/* Nobody takes them, so the next have their places. */
		ck_assert_int_ne(heard[i].fd[0], -1);
		ck_assert_int_ne(heard[i].fd[1], -1);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(fd);
	finish();
}
END_TEST

RUN_TESTS("channel",
    every_type_has_its_number_length_and_name,
    what_is_no_type_has_a_name_that_says_so,
    numbers_on_the_channel_never_change,
    a_whole_message_from_its_sender_is_good,
    a_message_that_is_not_the_senders_to_send_is_refused,
    a_payload_of_the_wrong_length_is_refused,
    a_header_that_tells_the_wrong_length_is_refused,
    a_message_shorter_than_a_header_is_refused,
    a_message_of_another_version_is_refused,
    every_message_of_the_previous_version_is_understood,
    every_message_can_be_sent_in_the_previous_version,
    both_ends_go_over_to_the_version_that_is_asked_for,
    an_end_that_does_not_answer_is_asked_again,
    no_other_version_is_gone_over_to,
    a_message_of_no_known_type_is_refused,
    a_packet_longer_than_any_message_is_refused,
    after_nonsense_nothing_more_is_heard,
    the_ends_of_a_pair_keep_packets_and_close_on_exec,
    a_message_arrives_as_it_was_sent,
    messages_arrive_in_their_order,
    a_peer_that_never_stops_sending_does_not_block_the_loop,
    what_has_come_can_be_heard_without_the_loop,
    what_was_said_before_the_end_is_heard_before_it,
    an_end_with_unread_messages_is_an_end_like_any_other,
    messages_before_a_reset_are_heard,
    messages_that_cannot_be_sent_are_kept_in_their_order,
    descriptors_in_flight_to_a_peer_that_does_not_read_are_bounded,
    sending_to_a_closed_peer_is_an_error_without_a_signal,
    sending_to_a_peer_that_does_not_read_never_blocks,
    a_channel_may_be_freed_by_a_message,
    a_channel_may_be_freed_by_a_message_that_is_caught_up_with,
    a_channel_may_be_freed_by_its_end,
    freeing_nothing_does_nothing,
    a_channel_that_is_freed_is_closed,
    a_channel_that_cannot_be_made_leaves_its_descriptor_open,
    a_descriptor_comes_along_and_is_a_copy,
    two_descriptors_come_along_in_their_order,
    a_descriptor_that_nobody_takes_is_closed,
    a_descriptor_that_nobody_takes_is_closed_if_the_channel_goes,
    the_descriptor_of_a_refused_message_is_closed,
    the_descriptor_of_an_empty_message_is_closed,
    a_child_that_sends_a_descriptor_delays_nobody,
    descriptors_beyond_the_first_are_closed,
    descriptors_arrive_even_where_no_others_are_free)
