/* SPDX-License-Identifier: ISC */
#include "common/shared.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/harness.h"

enum { VERSION = 7, WORDS = 64, WRITES = 100000, NOBODY = 65534 };

struct area {
	uint32_t version;
	uint32_t seq;
	uint64_t words[WORDS];
};

static struct area *
create(int *fd)
{
	struct area *area = shared_new("check", sizeof(*area), VERSION, fd);

	ck_assert_ptr_nonnull(area);
	return (area);
}

static void
destroy(int fd, struct area *area)
{
	shared_free(fd, area, sizeof(*area));
}

/*
 * Mappings.
 */

START_TEST(every_process_that_opens_it_sees_what_is_written)
{
	struct area *area, *reader, *writer;
	int fd;

	area = create(&fd);
	ck_assert_uint_eq(area->words[WORDS - 1], 0);
	reader = shared_open(dup(fd), sizeof(*area), VERSION, false);
	writer = shared_open(dup(fd), sizeof(*area), VERSION, true);
	ck_assert_ptr_nonnull(reader);
	ck_assert_ptr_nonnull(writer);
	writer->words[1] = 5;
	ck_assert_uint_eq(reader->words[1], 5);
	ck_assert_uint_eq(area->words[1], 5);
	destroy(-1, reader);
	destroy(-1, writer);
	destroy(fd, area);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

static void
expect_refused(int fd, size_t size, uint32_t version, int error)
{
	errno = 0;
	ck_assert_ptr_null(shared_open(fd, size, version, true));
	ck_assert_int_eq(errno, error);
}

START_TEST(another_size_or_version_is_refused)
{
	struct area *area;
	int fd;

	area = create(&fd);
	expect_refused(fd, sizeof(*area) - 1, VERSION, EINVAL);
	expect_refused(fd, sizeof(*area) + 1, VERSION, EINVAL);
	expect_refused(fd, sizeof(*area), VERSION + 1, EINVAL);
	expect_refused(-1, sizeof(*area), VERSION, EBADF);
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
	destroy(fd, area);
}
END_TEST

/* A reader beyond the end of a file is killed by SIGBUS. */
START_TEST(a_file_that_can_shrink_is_refused)
{
	struct area area = { .version = VERSION };
	int fd = memfd_create("check", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, &area, sizeof(area)), sizeof(area));
	expect_refused(fd, sizeof(area), VERSION, EINVAL);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	ck_assert_ptr_nonnull(shared_open(fd, sizeof(area), VERSION, false));
	close(fd);
}
END_TEST

START_TEST(a_sealed_mapping_is_read_only_by_its_descriptor_too)
{
	struct area *area;
	uint64_t word;
	int fd;

	area = create(&fd);
	area->words[0] = 3;
	ck_assert_int_eq(shared_seal(fd, area, sizeof(*area)), 0);
	ck_assert_uint_eq(area->words[0], 3);
	ck_assert_int_eq(mprotect(area, sizeof(*area),
	    PROT_READ | PROT_WRITE), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(pwrite(fd, "x", 1, 0), -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(pread(fd, &word, sizeof(word),
	    offsetof(struct area, words)), sizeof(word));
	ck_assert_uint_eq(word, 3);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	destroy(fd, area);
}
END_TEST

/* The monitor has them, and has dropped its privileges by then. */
START_TEST(a_sealed_descriptor_is_not_opened_again_for_writing)
{
	struct area *area;
	char path[32];
	int fd, status;
	pid_t child;

	area = create(&fd);
	ck_assert_int_eq(shared_seal(fd, area, sizeof(*area)), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_ne(child = fork(), -1);
	if (child == 0) {
		/* Whoever owns it could change its mode. */
		if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0)
			_exit(open(path, O_RDWR | O_CLOEXEC) != -1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	destroy(fd, area);
}
END_TEST

/*
 * The seqlock.
 */

static void
write_all(struct area *area, uint64_t value)
{
	seqlock_write_begin(&area->seq);
	for (int i = 0; i < WORDS; i++)
		__atomic_store_n(&area->words[i], value, __ATOMIC_RELAXED);
	seqlock_write_end(&area->seq);
}

static bool
read_all(const struct area *area, uint64_t words[WORDS])
{
	uint32_t seq = seqlock_read_begin(&area->seq);

	for (int i = 0; i < WORDS; i++)
		words[i] = __atomic_load_n(&area->words[i], __ATOMIC_RELAXED);
	return (seqlock_read_end(&area->seq, seq));
}

START_TEST(a_copy_that_was_written_to_meanwhile_is_not_whole)
{
	static struct area area;
	uint32_t seq;

	memset(&area, 0, sizeof(area));
	seq = seqlock_read_begin(&area.seq);
	ck_assert(seqlock_read_end(&area.seq, seq));
	seqlock_write_begin(&area.seq);
	ck_assert(!seqlock_read_end(&area.seq, seq));
	seq = seqlock_read_begin(&area.seq);
	ck_assert(!seqlock_read_end(&area.seq, seq));
	seqlock_write_end(&area.seq);
	ck_assert(!seqlock_read_end(&area.seq, seq));
	seq = seqlock_read_begin(&area.seq);
	ck_assert(seqlock_read_end(&area.seq, seq));
}
END_TEST

/* Its record would be unreadable for ever, or read while it is written. */
START_TEST(a_write_after_one_that_was_never_finished_is_read)
{
	static struct area area;
	uint64_t words[WORDS];

	memset(&area, 0, sizeof(area));
	write_all(&area, 1);
	seqlock_write_begin(&area.seq);
	ck_assert(!read_all(&area, words));
	seqlock_write_begin(&area.seq);
	ck_assert(!read_all(&area, words));
	seqlock_write_end(&area.seq);
	ck_assert(read_all(&area, words));
}
END_TEST

START_TEST(no_reader_sees_half_a_write)
{
	uint64_t words[WORDS], whole = 0;
	struct area *area;
	pid_t child;
	int fd, status;

	area = create(&fd);
	ck_assert_int_ne(child = fork(), -1);
	if (child == 0) {
		for (uint64_t n = 1; n <= WRITES; n++)
			write_all(area, n);
		_exit(0);
	}
	do {
		if (!read_all(area, words))
			continue;
		for (int i = 1; i < WORDS; i++)
			ck_assert_uint_eq(words[i], words[0]);
		ck_assert_uint_ge(words[0], whole);
		whole = words[0];
	} while (waitpid(child, &status, WNOHANG) == 0);
	ck_assert_int_eq(status, 0);
	ck_assert(read_all(area, words));
	ck_assert_uint_eq(words[0], WRITES);
	destroy(fd, area);
}
END_TEST

RUN_TESTS("shared",
    every_process_that_opens_it_sees_what_is_written,
    another_size_or_version_is_refused,
    a_file_that_can_shrink_is_refused,
    a_sealed_mapping_is_read_only_by_its_descriptor_too,
    a_sealed_descriptor_is_not_opened_again_for_writing,
    a_copy_that_was_written_to_meanwhile_is_not_whole,
    a_write_after_one_that_was_never_finished_is_read,
    no_reader_sees_half_a_write)
