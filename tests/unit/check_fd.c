/* SPDX-License-Identifier: ISC */
/*
 * Holds common/fd.c to common/fd.h.
 */
#include "common/fd.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/harness.h"

enum {
	FIRST = 40,		/* descriptors that a test plays with */
	MANY = 20,
};

/*
 * These functions change the whole process, so each test does it in a child,
 * which finds out what came of it and cannot report by descriptors that are
 * gone: it exits with the line of the first thing that is not so.
 */
#define expect(condition)						\
	do {								\
		if (!(condition))					\
			_exit(__LINE__ % 255 + 1);			\
	} while (0)

static void
expect_well_in_child(void (*test)(void))
{
	pid_t child;
	int status;

	ck_assert_int_ne(child = fork(), -1);
	if (child == 0) {
		test();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status), "status %d", status);
	ck_assert_msg(WEXITSTATUS(status) == 0, "broken in line %d (mod 255)",
	    WEXITSTATUS(status) - 1);
}

static bool
is_open(int fd)
{
	return (fcntl(fd, F_GETFD) != -1);
}

static bool
is_null(int fd)
{
	struct stat st;

	return (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	    st.st_rdev == makedev(1, 3));
}

/* Have FIRST and so many after it open. */
static void
open_many(void)
{
	int fd = open("/", O_RDONLY);

	expect(fd >= 0);
	for (int i = 0; i < MANY; i++)
		expect(dup2(fd, FIRST + i) == FIRST + i);
}

/* Of those from open_many() only this one is open. */
static bool
is_open_alone(int fd)
{
	for (int i = FIRST; i < FIRST + MANY; i++)
		if (is_open(i) != (i == fd))
			return (false);
	return (true);
}

/*
 * The standard ones.
 */

static void
open_standard_where_all_are_closed(void)
{
	closefrom(0);
	fd_open_standard();
	for (int fd = 0; fd <= 2; fd++) {
		expect(is_null(fd));
		expect((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR);
		expect((fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0);
	}
	expect(!is_open(3));
}

static void
open_standard_where_one_is_closed(void)
{
	for (int closed = 0; closed <= 2; closed++) {
		for (int fd = 0; fd <= 2; fd++)
			expect(dup2(open("/", O_RDONLY), fd) == fd);
		closefrom(3);
		close(closed);
		fd_open_standard();
		for (int fd = 0; fd <= 2; fd++)
			expect(is_null(fd) == (fd == closed));
		expect(!is_open(3));
	}
}

static void
open_standard_where_none_is_closed(void)
{
	for (int fd = 0; fd <= 2; fd++)
		expect(dup2(open("/", O_RDONLY), fd) == fd);
	closefrom(3);
	fd_open_standard();
	for (int fd = 0; fd <= 2; fd++)
		expect(!is_null(fd));
	expect(!is_open(3));
}

START_TEST(closed_standard_descriptors_are_opened_on_dev_null)
{
	expect_well_in_child(open_standard_where_all_are_closed);
	expect_well_in_child(open_standard_where_one_is_closed);
}
END_TEST

START_TEST(open_standard_descriptors_stay_as_they_are)
{
	expect_well_in_child(open_standard_where_none_is_closed);
}
END_TEST

static void
redirect(void)
{
	open_many();
	fd_redirect_to_null(FIRST + 2);
	for (int i = 0; i < MANY; i++)
		expect(is_null(FIRST + i) == (i == 2));
	expect((fcntl(FIRST + 2, F_GETFL) & O_ACCMODE) == O_RDWR);
	fd_redirect_to_null(STDERR_FILENO);
	expect(is_null(STDERR_FILENO));
	expect((fcntl(STDERR_FILENO, F_GETFD) & FD_CLOEXEC) == 0);
	/* And nothing else is left open. */
	closefrom(3);
	fd_redirect_to_null(STDIN_FILENO);
	expect(is_null(STDIN_FILENO));
	expect(!is_open(3));
}

START_TEST(a_redirected_descriptor_leads_to_dev_null)
{
	expect_well_in_child(redirect);
}
END_TEST

/*
 * Closing.
 */

static void
close_all(void)
{
	int none[1];

	open_many();
	fd_close_all_but(none, 0);
	expect(is_open_alone(-1));
	for (int fd = 3; fd < FIRST; fd++)
		expect(!is_open(fd));
	for (int fd = 0; fd <= 2; fd++)
		expect(is_open(fd));
}

START_TEST(every_descriptor_above_2_is_closed)
{
	expect_well_in_child(close_all);
}
END_TEST

static void
keep_some(void)
{
	int keep[] = { FIRST + 7, FIRST, FIRST + MANY - 1, FIRST + 1 };

	open_many();
	fd_close_all_but(keep, sizeof(keep) / sizeof(*keep));
	for (int i = 0; i < MANY; i++)
		expect(is_open(FIRST + i) == (i == 0 || i == 1 || i == 7 ||
		    i == MANY - 1));
	for (int i = 1; i < 4; i++)
		expect(keep[i - 1] < keep[i]);
}

START_TEST(those_to_keep_are_kept_in_whatever_order_they_come)
{
	expect_well_in_child(keep_some);
}
END_TEST

static void
keep_oddly(void)
{
	int keep[] = { FIRST + 3, -1, 2, FIRST + 3, 0, -1, FIRST + 3 };

	open_many();
	fd_close_all_but(keep, sizeof(keep) / sizeof(*keep));
	expect(is_open_alone(FIRST + 3));
	for (int fd = 0; fd <= 2; fd++)
		expect(is_open(fd));
}

START_TEST(those_to_keep_may_be_none_standard_or_named_twice)
{
	expect_well_in_child(keep_oddly);
}
END_TEST

static void
keep_first_and_last(void)
{
	int last = (int)sysconf(_SC_OPEN_MAX) - 1;
	int keep[] = { 3, last };

	open_many();
	expect(dup2(FIRST, 3) == 3);
	expect(dup2(FIRST, last) == last);
	fd_close_all_but(keep, 2);
	expect(is_open(3));
	expect(is_open(last));
	expect(is_open_alone(-1));
}

START_TEST(the_lowest_and_the_highest_can_be_kept)
{
	expect_well_in_child(keep_first_and_last);
}
END_TEST

static void
keep_closed(void)
{
	int keep[] = { FIRST - 1, FIRST + 5 };

	open_many();
	close(FIRST - 1);
	fd_close_all_but(keep, 2);
	expect(is_open_alone(FIRST + 5));
	expect(!is_open(FIRST - 1));
}

START_TEST(one_to_keep_that_is_not_open_does_no_harm)
{
	expect_well_in_child(keep_closed);
}
END_TEST

/*
 * Those that come with a message.
 */

START_TEST(descriptors_of_a_message_are_taken_as_far_as_there_is_room)
{
	enum { SENT = 3 };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(SENT * sizeof(int))];
	} control = { .space = { 0 } };
	struct msghdr hdr = {
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);
	const int sent[SENT] = { 7, 8, 9 };
	int taken[SENT + 1] = { -1, -1, -1, -1 };

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(sent));
	memcpy(CMSG_DATA(cmsg), sent, sizeof(sent));
	ck_assert_uint_eq(fd_take_rights(&hdr, taken, SENT - 1), SENT - 1);
	ck_assert_int_eq(taken[0], 7);
	ck_assert_int_eq(taken[1], 8);
	ck_assert_int_eq(taken[2], -1);
	ck_assert_uint_eq(fd_take_rights(&hdr, taken, SENT + 1), SENT);
	ck_assert_int_eq(taken[2], 9);
	ck_assert_int_eq(taken[3], -1);

	/* Who sent it is none. */
	cmsg->cmsg_type = SCM_CREDENTIALS;
	ck_assert_uint_eq(fd_take_rights(&hdr, taken, SENT), 0);
	hdr.msg_controllen = 0;
	ck_assert_uint_eq(fd_take_rights(&hdr, taken, SENT), 0);
}
END_TEST

RUN_TESTS("fd",
    closed_standard_descriptors_are_opened_on_dev_null,
    open_standard_descriptors_stay_as_they_are,
    a_redirected_descriptor_leads_to_dev_null,
    every_descriptor_above_2_is_closed,
    those_to_keep_are_kept_in_whatever_order_they_come,
    those_to_keep_may_be_none_standard_or_named_twice,
    the_lowest_and_the_highest_can_be_kept,
    one_to_keep_that_is_not_open_does_no_harm,
    descriptors_of_a_message_are_taken_as_far_as_there_is_room)
