/* SPDX-License-Identifier: ISC */
/*
 * Holds common/trace_context.c to W3C Trace Context, by the cases of the test
 * suite that is published with it (https://github.com/w3c/trace-context).
 */
#include "common/trace_context.h"

#include <check.h>
#include <string.h>

#include "tests/lib/harness.h"

#define TRACE	"12345678901234567890123456789012"
#define SPAN	"1234567890123456"

static struct trace_context context;

static bool
parse(const char *text)
{
	char copy[128];
	size_t len = strlen(text);

	/* No NUL behind it. */
	memset(copy, 'f', sizeof(copy));
	memcpy(copy, text, len);
	memset(&context, 0, sizeof(context));
	return (trace_context_parse(&context, copy, len));
}

static void
expect_refusal(const char *text)
{
	ck_assert_msg(!parse(text), "this was taken: \"%s\"", text);
}

static void
expect_print(const char *text, const char *expected)
{
	char printed[TRACEPARENT_MAX];

	ck_assert_msg(parse(text), "this was refused: \"%s\"", text);
	trace_context_print(&context, printed);
	ck_assert_str_eq(printed, expected);
}

START_TEST(what_the_standard_shows_is_read)
{
	expect_print("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
	ck_assert(context.sampled);
	ck_assert_uint_eq(context.trace[0], 0x4b);
	ck_assert_uint_eq(context.span[7], 0xb7);
	expect_print("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
	    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
	ck_assert(!context.sampled);
}
END_TEST

START_TEST(flags_that_are_not_known_are_not_passed_on)
{
	expect_print("00-" TRACE "-" SPAN "-ff", "00-" TRACE "-" SPAN "-01");
	expect_print("00-" TRACE "-" SPAN "-fe", "00-" TRACE "-" SPAN "-00");
}
END_TEST

START_TEST(a_later_version_is_read_as_far_as_it_is_known)
{
	expect_print("cc-" TRACE "-" SPAN "-01", "00-" TRACE "-" SPAN "-01");
	expect_print("cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like",
	    "00-" TRACE "-" SPAN "-01");
	expect_refusal("cc-" TRACE "-" SPAN "-01.what-the-future-will-be-like");
	expect_refusal("00-" TRACE "-" SPAN "-01-what-the-future-will-be-like");
	expect_refusal("00-" TRACE "-" SPAN "-01.");
	expect_refusal("ff-" TRACE "-" SPAN "-01");
}
END_TEST

START_TEST(what_is_malformed_is_refused)
{
	static const char *const bad[] = {
		"", "00", "00-", "foo", ".0-" TRACE "-" SPAN "-01",
		"0.-" TRACE "-" SPAN "-01", "000-" TRACE "-" SPAN "-01",
		"0000-" TRACE "-" SPAN "-01", "0-" TRACE "-" SPAN "-01",
		/* trace-id */
		"00-00000000000000000000000000000000-" SPAN "-01",
		"00-.2345678901234567890123456789012-" SPAN "-01",
		"00-1234567890123456789012345678901.-" SPAN "-01",
		"00-123456789012345678901234567890123-" SPAN "-01",
		"00-1234567890123456789012345678901-" SPAN "-01",
		"00-1234567890123456789012345678901A-" SPAN "-01",
		/* parent-id */
		"00-" TRACE "-0000000000000000-01",
		"00-" TRACE "-.234567890123456-01",
		"00-" TRACE "-123456789012345.-01",
		"00-" TRACE "-12345678901234567-01",
		"00-" TRACE "-123456789012345-01",
		"00-" TRACE "-123456789012345F-01",
		/* trace-flags */
		"00-" TRACE "-" SPAN "-.0", "00-" TRACE "-" SPAN "-0.",
		"00-" TRACE "-" SPAN "-001", "00-" TRACE "-" SPAN "-1",
		"00-" TRACE "-" SPAN "-0A",
		/* dashes */
		"00_" TRACE "-" SPAN "-01", "00-" TRACE "_" SPAN "-01",
		"00-" TRACE "-" SPAN "_01", " 00-" TRACE "-" SPAN "-01",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		expect_refusal(bad[i]);
}
END_TEST

START_TEST(a_part_of_it_is_refused)
{
	static const char text[] = "00-" TRACE "-" SPAN "-01";

	for (size_t len = 0; len < strlen(text); len++)
		ck_assert(!trace_context_parse(&context, text, len));
	ck_assert(trace_context_parse(&context, text, strlen(text)));
}
END_TEST

RUN_TESTS("trace context",
    what_the_standard_shows_is_read,
    flags_that_are_not_known_are_not_passed_on,
    a_later_version_is_read_as_far_as_it_is_known,
    what_is_malformed_is_refused,
    a_part_of_it_is_refused)
