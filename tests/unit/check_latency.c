/* SPDX-License-Identifier: ISC */
/*
 * tools/load/latency.c: quantiles that are right to a few per cent.
 */
#include "tools/load/latency.h"

#include <check.h>

#include "tests/lib/harness.h"

START_TEST(nothing_measured_is_zero)
{
	static const struct latency none;

	ck_assert_uint_eq(latency_quantile_us(&none, 0.5), 0);
	ck_assert_uint_eq(latency_quantile_us(&none, 1), 0);
}
END_TEST

START_TEST(quantiles_are_right_to_three_per_cent_at_any_size)
{
	static const double parts[] = { 0.01, 0.5, 0.9, 0.99, 0.999 };
	const uint64_t n = 10000;
	uint64_t exact, told;

	for (uint64_t unit = 1; unit <= 100000; unit *= 10) {
		struct latency latency = { .count = 0 };

		for (uint64_t i = 1; i <= n; i++)
			latency_add(&latency, i * unit);
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			exact = (uint64_t)(parts[i] * (double)n) * unit;
			told = latency_quantile_us(&latency, parts[i]);
			ck_assert_uint_ge(told, exact);
			ck_assert_uint_le(told, exact + exact * 32 / 1000 + 1);
		}
		ck_assert_uint_eq(latency.count, n);
		ck_assert_uint_eq(latency.max_us, n * unit);
		ck_assert_uint_eq(latency_quantile_us(&latency, 1), n * unit);
	}
}
END_TEST

START_TEST(a_single_value_is_every_quantile)
{
	static const uint64_t values[] = { 0, 1, 31, 32, 33, 63, 64, 1000,
	    123456789, UINT64_MAX };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct latency latency = { .count = 0 };

		latency_add(&latency, values[i]);
		ck_assert_uint_eq(latency.max_us, values[i]);
		/* Above an hour only the longest is exact. */
		if (values[i] >> 32 == 0)
			ck_assert_uint_eq(latency_quantile_us(&latency, 0.5),
			    values[i]);
	}
}
END_TEST

START_TEST(what_two_have_measured_adds_up)
{
	struct latency one = { .count = 0 }, two = { .count = 0 };

	for (uint64_t i = 0; i < 100; i++) {
		latency_add(&one, 10);
		latency_add(&two, 20);
	}
	latency_add(&two, 5000);
	latency_merge(&one, &two);
	ck_assert_uint_eq(one.count, 201);
	ck_assert_uint_eq(one.max_us, 5000);
	ck_assert_uint_eq(latency_quantile_us(&one, 0.49), 10);
	ck_assert_uint_eq(latency_quantile_us(&one, 0.6), 20);
	ck_assert_uint_eq(latency_quantile_us(&one, 1), 5000);
}
END_TEST

RUN_TESTS("latency",
    nothing_measured_is_zero,
    quantiles_are_right_to_three_per_cent_at_any_size,
    a_single_value_is_every_quantile,
    what_two_have_measured_adds_up)
