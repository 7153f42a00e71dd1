/* SPDX-License-Identifier: ISC */
/*
 * Holds common/digits.c to common/digits.h.
 */
#include "common/digits.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/harness.h"

static void
expect_as_printed(uint64_t number)
{
	char room[DIGITS_MAX + 2], printed[DIGITS_MAX + 1];
	char *end = room + DIGITS_MAX + 1, *at;
	int len;

	memset(room, '#', sizeof(room));
	at = digits_put(end, number);
	len = snprintf(printed, sizeof(printed), "%" PRIu64, number);
	ck_assert_int_eq((int)(end - at), len);
	ck_assert_mem_eq(at, printed, (size_t)len);
	/* And nothing beside it. */
	ck_assert_int_eq(at[-1], '#');
	ck_assert_int_eq(*end, '#');
}

START_TEST(numbers_are_written_as_printf_writes_them)
{
	for (uint64_t number = 0; number < 20000; number++)
		expect_as_printed(number);
	for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10) {
		expect_as_printed(power - 1);
		expect_as_printed(power);
		expect_as_printed(power * 10 - 1);
	}
	expect_as_printed(UINT64_MAX);
}
END_TEST

RUN_TESTS("digits",
    numbers_are_written_as_printf_writes_them)
