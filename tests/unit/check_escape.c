/* SPDX-License-Identifier: ISC */
/*
 * Text from others: UTF-8 stays as it is, and what comes out is JSON whatever
 * goes in.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/escape.h"
#include "tests/lib/harness.h"

static const struct {
	const char *text;
	const char *escaped;
} rows[] = {
	{ "plain ~", "plain ~" },
	{ "\"\\/'", "\\\"\\\\/'" },
	{ "\x01\t\r\n\x1f", "\\u0001\\u0009\\u000d\\u000a\\u001f" },
	{ "\x7f", "\\u007f" },
	/* UTF-8 of two, three and four bytes, the first and last of each. */
	{ "caf\xc3\xa9", "caf\xc3\xa9" },
	{ "\xc2\xa0\xdf\xbf", "\xc2\xa0\xdf\xbf" },
	{ "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
	  "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf" },
	{ "\xf0\x90\x80\x80\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf",
	  "\xf0\x90\x80\x80\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf" },
	/* C1, by which some terminals take orders. */
	{ "\xc2\x80\xc2\x9b\xc2\x9f", "\\u0080\\u009b\\u009f" },
	/* No UTF-8: a single byte, cut, longer than need be, a surrogate, too
	 * large. */
	{ "a\xffz", "a\\ufffdz" },
	{ "\x80\xbf", "\\ufffd\\ufffd" },
	{ "\xc3", "\\ufffd" },
	{ "\xc3(", "\\ufffd(" },
	{ "\xe2\x82", "\\ufffd\\ufffd" },
	{ "\xe2\x82\"", "\\ufffd\\ufffd\\\"" },
	{ "\xf0\x9f\x98", "\\ufffd\\ufffd\\ufffd" },
	{ "\xc0\xaf", "\\ufffd\\ufffd" },
	{ "\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd" },
	{ "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd" },
	{ "\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
};

/* Of a copy that ends where the text does, so that a sanitizer or valgrind sees
 * who reads beyond.  The caller frees it. */
static char *
escape(const char *text, size_t len)
{
	char *copy = malloc(len + 1), *all, *at, *end;
	size_t taken;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, text, len);
	copy = realloc(copy, len > 0 ? len : 1);
	all = at = malloc(len * ESCAPE_JSON_PER_BYTE + ESCAPE_JSON_MAX);
	ck_assert_ptr_nonnull(all);
	end = all + len * ESCAPE_JSON_PER_BYTE;
	for (size_t i = 0; i < len; i += taken) {
		at += escape_json(copy + i, len - i, at, &taken);
		ck_assert(taken > 0 && taken <= len - i);
	}
	ck_assert(at <= end);
	*at = '\0';
	free(copy);
	return (all);
}

START_TEST(each_character_stays_or_is_escaped)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *escaped = escape(rows[i].text, strlen(rows[i].text));

		ck_assert_str_eq(escaped, rows[i].escaped);
		free(escaped);
	}
}
END_TEST

/* The text as a JSON library reads it. */
static void
expect_json(const char *escaped, const char *text, size_t len, bool is_utf8)
{
	json_error_t error;
	json_t *value;
	char *json;

	ck_assert_int_ne(asprintf(&json, "\"%s\"", escaped), -1);
	value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	ck_assert_msg(value != NULL, "%s: %s", json, error.text);
	if (is_utf8) {
		ck_assert_uint_eq(json_string_length(value), len);
		ck_assert_int_eq(memcmp(json_string_value(value), text, len),
		    0);
	}
	json_decref(value);
	free(json);
}

/* jansson judges what UTF-8 is. */
static bool
is_utf8(const char *text, size_t len)
{
	json_t *value = json_stringn(text, len);

	json_decref(value);
	return (value != NULL);
}

START_TEST(whatever_goes_in_json_comes_out)
{
	char text[4], *escaped;

	srandom(1);
	for (unsigned n = 0; n < rounds(20000, 10000000); n++) {
		size_t len = 1 + (size_t)random() % sizeof(text);

		/* Mostly as UTF-8 has them. */
		for (size_t i = 0; i < len; i++)
			text[i] = (char)(random() % 8 == 0 ? random() :
			    (i == 0 ? 0xc0 : 0x80) + random() % 64);
		escaped = escape(text, len);
		expect_json(escaped, text, len, is_utf8(text, len));
		free(escaped);
	}
}
END_TEST

START_TEST(what_is_printable_is_no_order_to_a_terminal)
{
	static const char *const orders[] = {
		"", "\x1b[2J", "\x7f", "\xc2\x9b", "\x9b", "\xc3", "\xff",
	};

	for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++)
		ck_assert_uint_eq(escape_printable(orders[i],
		    strlen(orders[i])), 0);
	ck_assert_uint_eq(escape_printable("ab", 2), 1);
	ck_assert_uint_eq(escape_printable("\xc3\xa9z", 3), 2);
	ck_assert_uint_eq(escape_printable("\xc3\xa9", 1), 0);
	ck_assert_uint_eq(escape_printable("\xf0\x9f\x98\x80", 4), 4);
}
END_TEST

START_TEST(bytes_are_recognised)
{
	static const char text[] = "caf\xc3\xa9\n\0\xff\x1b\\";
	char to[64], exact[5];

	ck_assert_str_eq(escape_bytes(to, sizeof(to), text, sizeof(text) - 1),
	    "caf\xc3\xa9\\n\\x00\\xff\\x1b\\x5c");
	ck_assert_str_eq(escape_bytes(to, sizeof(to), "", 0), "");
	/* As much as fits. */
	for (size_t size = 1; size < sizeof(to); size++) {
		memset(to, 'x', sizeof(to));
		escape_bytes(to, size, text, sizeof(text) - 1);
		ck_assert_uint_lt(strnlen(to, size), size);
	}
	ck_assert_str_eq(escape_bytes(exact, sizeof(exact), "\xff\xff", 2),
	    "\\xff");
}
END_TEST

START_TEST(a_printed_string_has_its_quotes)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	escape_json_print(out, "");
	escape_json_print(out, "a\"\xc3\xa9\n\xff");
	fclose(out);
	ck_assert_str_eq(text, "\"\"\"a\\\"\xc3\xa9\\u000a\\ufffd\"");
	free(text);
}
END_TEST

RUN_TESTS("escape",
    each_character_stays_or_is_escaped,
    whatever_goes_in_json_comes_out,
    what_is_printable_is_no_order_to_a_terminal,
    bytes_are_recognised,
    a_printed_string_has_its_quotes)
