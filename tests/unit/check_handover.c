/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/handover.c to worker/handover.h.
 */
#include "worker/handover.h"

#include <sys/socket.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tests/lib/rights.h"

static int ends[2];
static struct handover_message msg;
static struct handover_fds fds;
static size_t before;

static void
start(void)
{
	before = proc_fds(getpid(), NULL, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, ends), 0);
	memset(&msg, 0, sizeof(msg));
}

/* Nothing is left open, whatever had come. */
static void
finish(void)
{
	close(ends[0]);
	close(ends[1]);
	ck_assert_uint_eq(proc_fds(getpid(), NULL, 0), before);
}

/* Some bytes with a copy of a descriptor. */
static void
send_raw(const void *bytes, size_t len)
{
	ck_assert(rights_pass(ends[1], bytes, len, ends[0]));
}

static void
expect_error(const void *bytes, size_t len, int error)
{
	send_raw(bytes, len);
	ck_assert_int_eq(handover_receive(ends[0], &msg, &fds), -1);
	ck_assert_int_eq(errno, error);
}

START_TEST(a_batch_arrives_with_its_descriptors)
{
	int sent[HANDOVER_FDS_MAX];

	start();
	for (int i = 0; i < HANDOVER_FDS_MAX; i++)
		sent[i] = ends[0];
	msg.batch.number = 7;
	msg.batch.n = HANDOVER_CONNS_MAX;
	msg.batch.conns[HANDOVER_CONNS_MAX - 1].id = 8;
	ck_assert_int_eq(handover_send(ends[1], HANDOVER_VERSION, &msg, HANDOVER_BATCH, sent,
	    HANDOVER_FDS_MAX), 0);
	memset(&msg, 0, sizeof(msg));
	ck_assert_int_eq(handover_receive(ends[0], &msg, &fds), 1);
	ck_assert_uint_eq(msg.header.type, HANDOVER_BATCH);
	ck_assert_uint_eq(msg.batch.number, 7);
	ck_assert_uint_eq(msg.batch.conns[HANDOVER_CONNS_MAX - 1].id, 8);
	ck_assert_uint_eq(fds.n, HANDOVER_FDS_MAX);
	/* One that was taken stays open. */
	close(fds.fd[5]);
	ck_assert_int_ne(fds.fd[5] = open("/dev/null", O_RDONLY), -1);
	sent[0] = fds.fd[5];
	fds.fd[5] = -1;
	handover_close_fds(&fds);
	ck_assert_int_ne(fcntl(sent[0], F_GETFD), -1);
	close(sent[0]);
	finish();
}
END_TEST

START_TEST(nothing_yet_and_the_end_are_told_apart)
{
	start();
	ck_assert_int_eq(handover_receive(ends[0], &msg, &fds), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(ends[1]);
	ck_assert_int_eq(handover_receive(ends[0], &msg, &fds), 0);
	finish();
}
END_TEST

/* unix(7): the reset comes first. */
START_TEST(what_was_said_by_one_that_left_much_unread_is_heard)
{
	start();
	ck_assert_int_eq(send(ends[0], "unread", 6, 0), 6);
	msg.adopted.number = 9;
	ck_assert_int_eq(handover_send(ends[1], HANDOVER_VERSION, &msg, HANDOVER_ADOPTED, NULL,
	    0), 0);
	close(ends[1]);
	memset(&msg, 0, sizeof(msg));
	ck_assert_int_eq(handover_receive(ends[0], &msg, &fds), 1);
	ck_assert_uint_eq(msg.adopted.number, 9);
	ck_assert_int_eq(handover_receive(ends[0], &msg, &fds), 0);
	finish();
}
END_TEST

START_TEST(another_version_is_told_apart_from_nonsense)
{
	struct handover_header header = { .version = HANDOVER_VERSION + 1 };

	start();
	expect_error(&header, sizeof(header), EPROTONOSUPPORT);
	header.version = HANDOVER_PREVIOUS - 1;
	expect_error(&header, sizeof(header), EPROTONOSUPPORT);
	expect_error(&header, sizeof(header) - 1, EPROTO);
	header.version = HANDOVER_VERSION;
	expect_error(&header, sizeof(header), EPROTO);
	finish();
}
END_TEST

START_TEST(a_wrong_length_is_refused)
{
	start();
	msg.header.version = HANDOVER_VERSION;
	for (unsigned type = 0; type < HANDOVER_TOLD + 2; type++) {
		msg.header.type = (uint16_t)type;
		for (size_t len = 0; len < sizeof(msg) - sizeof(msg.header);
		    len += len < 600 ? 1 : 333) {
			if ((type == HANDOVER_HELLO &&
			    len == sizeof(msg.hello)) ||
			    (type == HANDOVER_ADOPTED &&
			    len == sizeof(msg.adopted)) ||
			    ((type == HANDOVER_ASK || type == HANDOVER_TOLD) &&
			    len == sizeof(msg.ask)))
				continue;
			memset(&msg.batch, 0, sizeof(msg.batch));
			msg.header.version = HANDOVER_VERSION;
			msg.header.type = (uint16_t)type;
			msg.header.length = (uint32_t)len;
			expect_error(&msg, sizeof(msg.header) + len, EPROTO);
		}
	}
	finish();
}
END_TEST

START_TEST(a_wrong_number_of_connections_is_refused)
{
	size_t len = sizeof(msg.header) + offsetof(struct handover_batch,
	    conns) + 2 * sizeof(msg.batch.conns[0]);

	start();
	for (int bit = 0; bit < 32; bit++) {
		memset(&msg, 0, sizeof(msg));
		msg.header.version = HANDOVER_VERSION;
		msg.header.type = HANDOVER_BATCH;
		msg.header.length = (uint32_t)(len - sizeof(msg.header));
		msg.batch.n = 2U ^ 1U << bit;
		expect_error(&msg, len, EPROTO);
	}
	finish();
}
END_TEST

START_TEST(the_descriptor_of_an_empty_message_is_closed)
{
	start();
	send_raw("", 0);
	ck_assert_int_eq(handover_receive(ends[0], &msg, &fds), 0);
	finish();
}
END_TEST

RUN_TESTS("handover messages",
    a_batch_arrives_with_its_descriptors,
    nothing_yet_and_the_end_are_told_apart,
    what_was_said_by_one_that_left_much_unread_is_heard,
    another_version_is_told_apart_from_nonsense,
    a_wrong_length_is_refused,
    a_wrong_number_of_connections_is_refused,
    the_descriptor_of_an_empty_message_is_closed)
