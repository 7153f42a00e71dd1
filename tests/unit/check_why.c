/* SPDX-License-Identifier: ISC */
/*
 * Holds common/why.c to common/why.h.
 */
#include "common/why.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/lib/harness.h"

START_TEST(whoever_fails_returns_it)
{
	struct why why;

	errno = EUSERS;
	ck_assert_int_eq(why_set(&why, "slot %u: %s", 3, "no"), -1);
	ck_assert_int_eq(errno, EUSERS);
	ck_assert_str_eq(why.text, "slot 3: no");
}
END_TEST

START_TEST(a_reason_can_be_part_of_the_next_one)
{
	struct why why = { "it died" };

	why_set(&why, "worker %d: %s", 7, why.text);
	ck_assert_str_eq(why.text, "worker 7: it died");
}
END_TEST

START_TEST(what_is_too_long_is_cut)
{
	struct why why = { "a" };

	/* Twice as long each time. */
	for (int i = 0; i < 10; i++)
		why_set(&why, "%s%s", why.text, why.text);
	ck_assert_uint_eq(strlen(why.text), sizeof(why.text) - 1);
}
END_TEST

RUN_TESTS("why",
    whoever_fails_returns_it,
    a_reason_can_be_part_of_the_next_one,
    what_is_too_long_is_cut)
