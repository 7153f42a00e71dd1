/* SPDX-License-Identifier: ISC */
/*
 * Holds master/registry.c to master/registry.h.
 */
#include "master/registry.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/harness.h"

enum { MOST = 4 };

static struct registry registry;
static unsigned renewed;	/* how often, */
static unsigned renewed_last;	/* which number, */
static uint64_t renewed_life;	/* and to what */

static void
on_renew(void *arg, unsigned number, uint64_t life)
{
	ck_assert_ptr_eq(arg, &registry);
	renewed++;
	renewed_last = number;
	renewed_life = life;
}

static void
start(void)
{
	memset(&registry, 0, sizeof(registry));
	registry.most = MOST;
	registry.renew = on_renew;
	registry.arg = &registry;
	renewed = 0;
}

/* A name that is in effect for a while. */
static unsigned
serve(const char *name)
{
	int number = registry_take(&registry, name);

	ck_assert_int_ge(number, 0);
	registry_confirm(&registry, (unsigned)number);
	return ((unsigned)number);
}

static void
use_all(void)
{
	static const char *const names[MOST] = { "a", "b", "c", "d" };

	for (unsigned i = 0; i < MOST; i++)
		ck_assert_uint_eq(serve(names[i]), i);
}

START_TEST(a_name_keeps_its_number_while_it_is_not_needed)
{
	start();
	ck_assert_uint_eq(serve("a"), 0);
	ck_assert_uint_eq(serve("b"), 1);
	registry_drop(&registry, 0);
	ck_assert_uint_eq(serve("c"), 2);
	ck_assert_uint_eq(serve("a"), 0);
	ck_assert_uint_eq(registry.n, 3);
	ck_assert_uint_eq(renewed, 0);
	registry_free(&registry);
}
END_TEST

START_TEST(the_number_that_is_unused_for_longest_is_used_again)
{
	start();
	use_all();
	registry_drop(&registry, 2);
	registry_drop(&registry, 0);
	ck_assert_uint_eq(serve("e"), 2);
	ck_assert_str_eq(registry.names[2], "e");
	ck_assert_uint_eq(renewed_last, 2);
	ck_assert_uint_eq(renewed_life, 1);
	ck_assert_uint_eq(registry.lives[2], 1);
	ck_assert_uint_eq(serve("f"), 0);
	ck_assert_uint_eq(renewed, 2);
	registry_free(&registry);
}
END_TEST

START_TEST(a_number_in_use_is_never_used_again)
{
	start();
	use_all();
	registry_share(&registry, 1);
	registry_drop(&registry, 1);
	errno = 0;
	ck_assert_int_eq(registry_take(&registry, "e"), -1);
	ck_assert_int_eq(errno, EUSERS);
	ck_assert_int_eq(registry_take(&registry, "d"), 3);
	registry_drop(&registry, 1);
	ck_assert_uint_eq(serve("e"), 1);
	ck_assert_uint_eq(renewed, 1);
	registry_free(&registry);
}
END_TEST

START_TEST(a_name_that_was_never_in_effect_is_forgotten)
{
	char name[16];

	start();
	serve("a");
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "refused-%d", i);
		ck_assert_int_eq(registry_take(&registry, name), 1);
		strcat(name, "x");
		ck_assert_int_eq(registry_take(&registry, name), 2);
		registry_drop(&registry, (unsigned)i % 2 + 1);
		registry_drop(&registry, 2 - (unsigned)i % 2);
		ck_assert_uint_eq(registry.n, 1);
	}
	registry_free(&registry);
}
END_TEST

/* Only the name that had the number loses its counters to it, however many are
 * refused. */
START_TEST(names_that_were_never_in_effect_are_the_first_to_go)
{
	char name[16];

	start();
	use_all();
	registry_drop(&registry, 0);
	registry_drop(&registry, 1);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "refused-%d", i);
		ck_assert_int_eq(registry_take(&registry, name), 0);
		registry_drop(&registry, 0);
	}
	ck_assert_uint_eq(registry.lives[0], 100);
	ck_assert_uint_eq(serve("b"), 1);
	registry_free(&registry);
}
END_TEST

START_TEST(any_number_of_names_can_follow_each_other)
{
	char name[16];
	unsigned number;

	start();
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		number = serve(name);
		ck_assert_uint_eq(number, i % MOST);
		ck_assert_uint_eq(registry.lives[number], i / MOST);
		registry_drop(&registry, number);
	}
	registry_free(&registry);
}
END_TEST

START_TEST(names_of_another_program_keep_their_numbers)
{
	start();
	ck_assert_int_eq(registry_restore(&registry, "a"), 0);
	ck_assert_int_eq(registry_restore(&registry, "b"), 0);
	ck_assert_int_eq(registry_restore(&registry, "a"), -1);
	ck_assert_int_eq(registry_take(&registry, "b"), 1);
	registry_drop(&registry, 1);
	ck_assert_uint_eq(registry.n, 2);
	ck_assert_int_eq(registry_restore(&registry, "c"), 0);
	ck_assert_int_eq(registry_restore(&registry, "d"), 0);
	ck_assert_int_eq(registry_restore(&registry, "e"), -1);
	registry_free(&registry);
}
END_TEST

RUN_TESTS("registry",
    a_name_keeps_its_number_while_it_is_not_needed,
    the_number_that_is_unused_for_longest_is_used_again,
    a_number_in_use_is_never_used_again,
    a_name_that_was_never_in_effect_is_forgotten,
    names_that_were_never_in_effect_are_the_first_to_go,
    any_number_of_names_can_follow_each_other,
    names_of_another_program_keep_their_numbers)
