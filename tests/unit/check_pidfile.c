/* SPDX-License-Identifier: ISC */
/*
 * Holds master/pidfile.c to master/pidfile.h.
 */
#include "master/pidfile.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/harness.h"

static char dir[64], path[128];
static struct pidfile ours;
static pid_t owner;

static void
start(void)
{
	strcpy(dir, "/tmp/check_pidfile.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pid", dir);
	ours = (struct pidfile){ .fd = -1 };
	owner = -2;
}

static void
finish(void)
{
	pidfile_remove(&ours);
	unlink(path);
	/* Nothing else was left there. */
	ck_assert_int_eq(rmdir(dir), 0);
}

static void
start_with_ours(void)
{
	start();
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), 0);
	ck_assert_int_eq(pidfile_publish(&ours), 0);
}

static const char *
draft_path(void)
{
	static char draft[160];

	snprintf(draft, sizeof(draft), "%s.starting", path);
	return (draft);
}

static bool
exists(void)
{
	struct stat st;

	return (lstat(path, &st) == 0);
}

static void
write_file(const char *text)
{
	FILE *to = fopen(path, "we");

	ck_assert_ptr_nonnull(to);
	ck_assert_int_ge(fputs(text, to), 0);
	ck_assert_int_eq(fclose(to), 0);
}

static void
expect_text(const char *text)
{
	char got[64] = "";
	FILE *from = fopen(path, "re");

	ck_assert_ptr_nonnull(from);
	ck_assert_uint_eq(fread(got, 1, sizeof(got) - 1, from), strlen(text));
	ck_assert_str_eq(got, text);
	fclose(from);
}

static void
expect_own_text(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	expect_text(text);
}

/* A process that has written the file, and lives until its pipe is closed. */
struct other {
	pid_t pid;
	int pipe;
};

static void __attribute__((noreturn))
be_other(int from_test, int to_test)
{
	struct pidfile file;
	pid_t unused;
	char byte = 'x';

	if (pidfile_claim(&file, path, &unused) == -1 ||
	    pidfile_publish(&file) == -1 || write(to_test, &byte, 1) != 1)
		_exit(1);
	_exit(read(from_test, &byte, 1) == 0 ? 0 : 1);
}

static struct other
other_start(void)
{
	struct other other;
	int to[2], from[2];
	char byte;

	ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
	ck_assert_int_ne(other.pid = fork(), -1);
	if (other.pid == 0) {
		close(to[1]);
		be_other(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	ck_assert_int_eq(read(from[0], &byte, 1), 1);
	close(from[0]);
	other.pipe = to[1];
	return (other);
}

/* It ends without a chance to remove its file. */
static void
other_end(struct other *other)
{
	int status;

	close(other->pipe);
	ck_assert_int_eq(waitpid(other->pid, &status, 0), other->pid);
	ck_assert_int_eq(status, 0);
}

/*
 * A life.
 */

START_TEST(the_file_appears_when_it_is_written_and_not_before)
{
	start();
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), 0);
	ck_assert_int_eq(owner, 0);
	ck_assert(!exists());
	ck_assert_int_eq(pidfile_owner(path), 0);
	ck_assert_int_eq(pidfile_publish(&ours), 0);
	expect_own_text();
	pidfile_remove(&ours);
	ck_assert(!exists());
	finish();
}
END_TEST

START_TEST(the_file_is_everyones_to_read_and_ours_to_write)
{
	struct stat st;
	mode_t before = umask(022);

	start_with_ours();
	umask(before);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0644);
	ck_assert(S_ISREG(st.st_mode));
	ck_assert_int_eq(fcntl(ours.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	finish();
}
END_TEST

START_TEST(nothing_but_the_file_is_left_beside_it)
{
	struct dirent *entry;
	unsigned n = 0;
	DIR *entries;

	start_with_ours();
	ck_assert_ptr_nonnull(entries = opendir(dir));
	while ((entry = readdir(entries)) != NULL)
		if (entry->d_name[0] != '.') {
			ck_assert_str_eq(entry->d_name, "pid");
			n++;
		}
	closedir(entries);
	ck_assert_uint_eq(n, 1);
	finish();
}
END_TEST

START_TEST(without_a_path_there_is_no_file_and_no_error)
{
	start();
	ck_assert_int_eq(pidfile_claim(&ours, "", &owner), 0);
	ck_assert_str_eq(ours.path, "");
	ck_assert_int_eq(pidfile_publish(&ours), 0);
	ck_assert_int_eq(ours.fd, -1);
	finish();
}
END_TEST

START_TEST(writing_it_once_more_changes_nothing)
{
	struct stat before, after;

	start_with_ours();
	ck_assert_int_eq(stat(path, &before), 0);
	ck_assert_int_eq(pidfile_publish(&ours), 0);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_uint_eq(after.st_ino, before.st_ino);
	ck_assert_int_eq(pidfile_owner(path), getpid());
	finish();
}
END_TEST

static bool
has_pid(void)
{
	FILE *file = fopen(path, "re");
	long pid = 0;

	ck_assert_ptr_nonnull(file);
	if (fscanf(file, "%ld", &pid) != 1)
		pid = 0;
	fclose(file);
	return (pid > 0);
}

/* A shell reads it at any moment. */
START_TEST(it_always_has_a_pid_while_others_take_it_over)
{
	pid_t child;

	start_with_ours();
	for (int i = 0; i < 300; i++) {
		if ((child = fork()) == 0)
			_exit(pidfile_renew(&ours) == 0 ? 0 : 1);
		do
			ck_assert(has_pid());
		while (waitpid(child, NULL, WNOHANG) == 0);
	}
	finish();
}
END_TEST

START_TEST(what_was_never_written_is_not_removed)
{
	start();
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), 0);
	write_file("somebody's\n");
	pidfile_remove(&ours);
	expect_text("somebody's\n");
	finish();
}
END_TEST

START_TEST(a_file_that_somebody_has_replaced_is_not_removed)
{
	start_with_ours();
	unlink(path);
	write_file("somebody's\n");
	pidfile_remove(&ours);
	expect_text("somebody's\n");
	finish();
}
END_TEST

/*
 * Owners.
 */

START_TEST(a_live_owner_is_found_by_its_file)
{
	struct other other;

	start();
	other = other_start();
	ck_assert_int_eq(pidfile_owner(path), other.pid);
	/* To look does not take the lock away. */
	ck_assert_int_eq(pidfile_owner(path), other.pid);
	other_end(&other);
	finish();
}
END_TEST

START_TEST(a_live_owner_prevents_another_one)
{
	struct other other;

	start();
	other = other_start();
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(owner, other.pid);
	pidfile_remove(&ours);
	ck_assert(exists());
	other_end(&other);
	finish();
}
END_TEST

START_TEST(a_file_whose_owner_is_gone_is_stale)
{
	struct other other;

	start();
	other = other_start();
	other_end(&other);
	ck_assert(exists());
	ck_assert_int_eq(pidfile_owner(path), 0);
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), 0);
	ck_assert_int_eq(pidfile_publish(&ours), 0);
	expect_own_text();
	ck_assert_int_eq(pidfile_owner(path), getpid());
	finish();
}
END_TEST

START_TEST(a_stale_file_stays_stale_when_its_pid_lives_again)
{
	char text[32];

	start();
	snprintf(text, sizeof(text), "%d\n", (int)getppid());
	write_file(text);
	ck_assert_int_eq(pidfile_owner(path), 0);
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), 0);
	finish();
}
END_TEST

START_TEST(a_file_without_a_pid_has_no_owner)
{
	static const char *const texts[] = {
		"", "\n", "nobody\n", "-1\n", "0\n", "99999999999999999999\n"
	};
	int fd;

	start();
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		write_file(texts[i]);
		ck_assert_int_ne(fd = open(path, O_RDONLY | O_CLOEXEC), -1);
		ck_assert_int_eq(flock(fd, LOCK_EX), 0);
		ck_assert_int_eq(pidfile_owner(path), 0);
		close(fd);
	}
	finish();
}
END_TEST

/*
 * Errors.
 */

START_TEST(a_file_that_cannot_be_read_is_an_error)
{
	start();
	ck_assert_int_eq(symlink("pid", path), 0);
	ck_assert_int_eq(pidfile_owner(path), -1);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), -1);
	ck_assert_int_eq(errno, ELOOP);
	finish();
}
END_TEST

START_TEST(a_fifo_in_its_place_does_not_make_us_wait)
{
	start();
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(pidfile_owner(path), 0);
	finish();
}
END_TEST

START_TEST(a_file_that_cannot_be_written_is_an_error)
{
	start();
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(owner, 0);
	pidfile_remove(&ours);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	finish();
}
END_TEST

START_TEST(a_file_that_fails_half_way_leaves_nothing)
{
	start();
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), 0);
	/* Nothing can be renamed to a directory's name. */
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(pidfile_publish(&ours), -1);
	ck_assert_int_eq(errno, EISDIR);
	ck_assert_int_eq(rmdir(path), 0);
	/* It can be tried again. */
	ck_assert_int_eq(pidfile_publish(&ours), 0);
	expect_own_text();
	pidfile_remove(&ours);
	ck_assert(!exists());
	finish();
}
END_TEST

START_TEST(a_draft_prevents_another_one)
{
	struct pidfile other;

	start();
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), 0);
	ck_assert(!exists());
	ck_assert_int_eq(pidfile_claim(&other, path, &owner), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(owner, getpid());
	pidfile_remove(&other);
	/* Which has not removed what is not its own. */
	ck_assert_int_eq(pidfile_publish(&ours), 0);
	expect_own_text();
	finish();
}
END_TEST

START_TEST(a_draft_whose_owner_is_gone_is_taken)
{
	FILE *to;

	start();
	ck_assert_ptr_nonnull(to = fopen(draft_path(), "we"));
	ck_assert_int_ge(fputs("1234567890\n", to), 0);
	ck_assert_int_eq(fclose(to), 0);
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), 0);
	ck_assert_int_eq(pidfile_publish(&ours), 0);
	expect_own_text();
	finish();
}
END_TEST

START_TEST(a_link_that_waits_under_the_drafts_name_is_not_followed)
{
	char target[160];
	struct stat st;

	start();
	snprintf(target, sizeof(target), "%s/target", dir);
	ck_assert_int_eq(symlink(target, draft_path()), 0);
	ck_assert_int_eq(pidfile_claim(&ours, path, &owner), -1);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_int_eq(lstat(target, &st), -1);
	unlink(draft_path());
	finish();
}
END_TEST

START_TEST(another_one_takes_its_place_only_when_that_is_in_effect)
{
	struct pidfiles files = { .now.fd = -1, .next.fd = -1 };
	char other[sizeof(path) + 8];

	start();
	snprintf(other, sizeof(other), "%s-other", path);
	ck_assert_int_eq(pidfile_claim(&files.now, path, &owner), 0);
	ck_assert_int_eq(pidfile_publish(&files.now), 0);
	ck_assert_int_eq(pidfiles_prepare(&files, path, &owner), 0);
	pidfiles_commit(&files);
	ck_assert_int_eq(pidfile_owner(path), getpid());
	ck_assert_int_eq(pidfiles_prepare(&files, other, &owner), 0);
	pidfiles_undo(&files);
	pidfiles_commit(&files);
	ck_assert_int_eq(pidfile_owner(path), getpid());
	ck_assert_int_eq(pidfiles_prepare(&files, other, &owner), 0);
	ck_assert_int_eq(pidfile_publish(&files.next), 0);
	pidfiles_commit(&files);
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(pidfile_owner(other), getpid());
	/* None at all. */
	ck_assert_int_eq(pidfiles_prepare(&files, "", &owner), 0);
	pidfiles_commit(&files);
	ck_assert_int_eq(access(other, F_OK), -1);
	pidfile_remove(&files.now);
	finish();
}
END_TEST

RUN_TESTS("pidfile",
    the_file_appears_when_it_is_written_and_not_before,
    the_file_is_everyones_to_read_and_ours_to_write,
    nothing_but_the_file_is_left_beside_it,
    without_a_path_there_is_no_file_and_no_error,
    writing_it_once_more_changes_nothing,
    it_always_has_a_pid_while_others_take_it_over,
    what_was_never_written_is_not_removed,
    a_file_that_somebody_has_replaced_is_not_removed,
    a_live_owner_is_found_by_its_file,
    a_live_owner_prevents_another_one,
    a_file_whose_owner_is_gone_is_stale,
    a_stale_file_stays_stale_when_its_pid_lives_again,
    a_file_without_a_pid_has_no_owner,
    a_file_that_cannot_be_read_is_an_error,
    a_fifo_in_its_place_does_not_make_us_wait,
    a_file_that_cannot_be_written_is_an_error,
    a_file_that_fails_half_way_leaves_nothing,
    a_draft_prevents_another_one,
    a_draft_whose_owner_is_gone_is_taken,
    a_link_that_waits_under_the_drafts_name_is_not_followed,
    another_one_takes_its_place_only_when_that_is_in_effect)
