/* SPDX-License-Identifier: ISC */
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/status.h"
#include "tests/lib/harness.h"

START_TEST(the_last_reports_are_kept)
{
	struct status status, reader;
	struct status_report report = { .kind = STATUS_UPGRADE }, copy;

	ck_assert_int_eq(status_new(&status), 0);
	ck_assert(!status_get_report(&status, 0, &copy));
	ck_assert(!status_get_report(&status, 1, &copy));
	for (unsigned n = 1; n <= STATUS_REPORTS + 3; n++) {
		report.generation = n;
		status_add_report(&status, &report);
	}
	ck_assert_int_eq(status_open(&reader, dup(status.fd), false), 0);
	for (unsigned n = 1; n <= 3; n++)
		ck_assert(!status_get_report(&reader, n, &copy));
	for (unsigned n = 4; n <= STATUS_REPORTS + 3; n++) {
		ck_assert(status_get_report(&reader, n, &copy));
		ck_assert_uint_eq(copy.generation, n);
		ck_assert_str_eq(status_kind_name(copy.kind), "upgrade");
	}
	ck_assert(!status_get_report(&reader, STATUS_REPORTS + 4, &copy));
	status_free(&reader);
	status_free(&status);
}
END_TEST

START_TEST(a_report_that_is_being_written_is_not_read)
{
	struct status status;
	struct status_report report = { .result = STATUS_REFUSED };

	ck_assert_int_eq(status_new(&status), 0);
	status_add_report(&status, &report);
	status.map->seq++;
	ck_assert(!status_get_report(&status, 1, &report));
	status.map->seq++;
	ck_assert(status_get_report(&status, 1, &report));
	/* A program that ended in the middle of a write. */
	status.map->seq++;
	status_add_report(&status, &report);
	ck_assert(status_get_report(&status, 2, &report));
	status_free(&status);
}
END_TEST

START_TEST(a_file_that_is_not_a_status_is_refused)
{
	struct status status;
	int fd;

	fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(status_open(&status, fd, false), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(ftruncate(fd, sizeof(struct status_map)), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	ck_assert_int_eq(status_open(&status, fd, true), -1);
	ck_assert_int_eq(errno, EINVAL);
	close(fd);
}
END_TEST

START_TEST(status_values_have_names)
{
	ck_assert_str_eq(status_kind_name(STATUS_ROLLBACK), "rollback");
	ck_assert_str_eq(status_kind_name(STATUS_KINDS), "unknown");
	ck_assert_str_eq(status_result_name(STATUS_DONE), "done");
	ck_assert_str_eq(status_result_name(STATUS_RESULTS), "unknown");
}
END_TEST

RUN_TESTS("status",
    the_last_reports_are_kept,
    a_report_that_is_being_written_is_not_read,
    a_file_that_is_not_a_status_is_refused,
    status_values_have_names)
