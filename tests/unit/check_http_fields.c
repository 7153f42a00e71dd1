/* SPDX-License-Identifier: ISC */
/*
 * Response fields that a handler gives: what RFC 9110, 5.1 and 5.5, lets be a field
 * is taken, and nothing that could end it or begin another one.
 */
#include "common/http_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/harness.h"

#define NOT_TOKEN	"the name is not a token of HTTP"
#define RESERVED	"the server sets this field itself"
#define CONTROL		"the value has a control character"

static const struct row {
	const char *name;
	const char *value;
	const char *why;	/* or NULL, and it is kept so */
	const char *kept;
} rows[] = {
	{ "Location", "/a?b=c", NULL, "\r\nLocation: /a?b=c" },
	{ "x", "", NULL, "\r\nx: " },
	{ "X-A", " \t a \t b\t ", NULL, "\r\nX-A: a \t b" },
	{ "X-A", "\xc3\xa4\x80\xff", NULL, "\r\nX-A: \xc3\xa4\x80\xff" },
	{ "!#$%&'*+-.^_`|~09azAZ", "v", NULL,
	  "\r\n!#$%&'*+-.^_`|~09azAZ: v" },
	{ "Set-Cookie", "a=\"b\"; Path=/; HttpOnly", NULL,
	  "\r\nSet-Cookie: a=\"b\"; Path=/; HttpOnly" },
	{ "Content-Lengths", "1", NULL, "\r\nContent-Lengths: 1" },

	{ "", "v", NOT_TOKEN, NULL },
	{ "a b", "v", NOT_TOKEN, NULL },
	{ "a ", "v", NOT_TOKEN, NULL },
	{ " a", "v", NOT_TOKEN, NULL },
	{ "a:", "v", NOT_TOKEN, NULL },
	{ "a\r\nb", "v", NOT_TOKEN, NULL },
	{ "a\n", "v", NOT_TOKEN, NULL },
	{ "a\t", "v", NOT_TOKEN, NULL },
	{ "\xc3\xa4", "v", NOT_TOKEN, NULL },
	{ "a(b)", "v", NOT_TOKEN, NULL },

	{ "a", "b\r\nSet-Cookie: c", CONTROL, NULL },
	{ "a", "b\r\n c", CONTROL, NULL },
	{ "a", "b\r", CONTROL, NULL },
	{ "a", "b\n", CONTROL, NULL },
	{ "a", "\n", CONTROL, NULL },
	{ "a", "\r\n\r\n<html>", CONTROL, NULL },
	{ "a", "b\x0b", CONTROL, NULL },
	{ "a", "\x1b[31m", CONTROL, NULL },
	{ "a", "\x7f", CONTROL, NULL },

	{ "Content-Length", "1", RESERVED, NULL },
	{ "content-length", "1", RESERVED, NULL },
	{ "TRANSFER-ENCODING", "chunked", RESERVED, NULL },
	{ "Content-Type", "a/b", RESERVED, NULL },
	{ "Connection", "close", RESERVED, NULL },
	{ "Keep-Alive", "1", RESERVED, NULL },
	{ "Proxy-Connection", "close", RESERVED, NULL },
	{ "Upgrade", "x", RESERVED, NULL },
	{ "Trailer", "x", RESERVED, NULL },
	{ "tE", "x", RESERVED, NULL },
	{ "Date", "x", RESERVED, NULL },
	{ "Server", "x", RESERVED, NULL },
	{ "X-Request-Id", "x", RESERVED, NULL },
};

static struct http_fields fields;

static const char *
add(const char *name, const char *value)
{
	return (http_fields_add(&fields, name, strlen(name), value,
	    strlen(value)));
}

static void
clear(void)
{
	fields.count = 0;
	fields.len = 0;
}

START_TEST(a_field_is_taken_as_it_is_or_refused)
{
	const struct row *row = &rows[_i];
	const char *why;

	clear();
	why = add(row->name, row->value);
	if (row->why != NULL) {
		ck_assert_ptr_nonnull(why);
		ck_assert_str_eq(why, row->why);
		ck_assert_uint_eq(fields.len, 0);
		ck_assert_uint_eq(fields.count, 0);
		return;
	}
	ck_assert_msg(why == NULL, "%s", why);
	ck_assert_uint_eq(fields.len, strlen(row->kept));
	ck_assert_mem_eq(fields.bytes, row->kept, fields.len);
	ck_assert(http_fields_are_sound(fields.bytes, fields.len));
}
END_TEST

START_TEST(a_nul_is_a_control_character_like_any_other)
{
	clear();
	ck_assert_str_eq(http_fields_add(&fields, "a", 1, "b\0c", 3), CONTROL);
	ck_assert_str_eq(http_fields_add(&fields, "a\0b", 3, "c", 1),
	    NOT_TOKEN);
}
END_TEST

START_TEST(fields_are_bounded_in_number_and_in_bytes)
{
	static char value[HTTP_FIELDS_LEN_MAX + 1];
	const char *why;

	clear();
	for (int i = 0; i < HTTP_FIELDS_COUNT_MAX; i++)
		ck_assert_ptr_null(add("Set-Cookie", "a=b"));
	ck_assert(http_fields_are_sound(fields.bytes, fields.len));
	why = add("a", "b");
	ck_assert_str_eq(why, "the reply has more than 64 fields");
	memcpy(fields.bytes + fields.len, "\r\na: b", 6);
	ck_assert(!http_fields_are_sound(fields.bytes, fields.len + 6));

	/* CR, LF, name, colon and space. */
	for (size_t len = HTTP_FIELDS_LEN_MAX; len > HTTP_FIELDS_LEN_MAX - 5;
	    len--) {
		clear();
		memset(value, 'v', len);
		value[len] = '\0';
		why = add("n", value);
		ck_assert_str_eq(why,
		    "the fields of the reply have more than 8192 bytes");
		ck_assert_uint_eq(fields.len, 0);
	}
	value[HTTP_FIELDS_LEN_MAX - 5] = '\0';
	ck_assert_ptr_null(add("n", value));
	ck_assert_uint_eq(fields.len, HTTP_FIELDS_LEN_MAX);
	ck_assert(http_fields_are_sound(fields.bytes, fields.len));
	ck_assert_ptr_nonnull(add("n", ""));
	ck_assert_ptr_nonnull(add("", ""));
}
END_TEST

/* In memory that ends with them, so that a sanitizer sees who reads beyond. */
static bool
is_sound(const char *text, size_t len)
{
	char *bytes = malloc(len > 0 ? len : 1);
	bool sound;

	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, text, len);
	sound = http_fields_are_sound(bytes, len);
	free(bytes);
	return (sound);
}

START_TEST(bytes_that_are_no_fields_are_seen_to_be_none)
{
	static const char *const bad[] = {
		"a: b", "\r\n", "\r\na", "\r\na:", "\r\na:b", "\r\n: b",
		"\r\na: b\r\n", "\r\na: b\r", "\r\na: b\n", "\r\na: b\r\n\r\n",
		"\r\na: b\rc", "\r\na: b\nc: d", "\r\na b: c", "\na: b",
		"\r\na: b\r\n c", "\r\nContent-Length: 1",
		"\r\na: b\r\nconnection: close", "\r\na: \x7f",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!is_sound(bad[i], strlen(bad[i])), "%zu", i);
	ck_assert(!is_sound("\r\na: \0", 6));
	ck_assert(is_sound("", 0));
	ck_assert(is_sound("\r\na: b\r\nc: ", 11));
}
END_TEST

RUN_TESTS_OF_ROWS("http_fields", 1, sizeof(rows) / sizeof(*rows),
    a_field_is_taken_as_it_is_or_refused,
    a_nul_is_a_control_character_like_any_other,
    fields_are_bounded_in_number_and_in_bytes,
    bytes_that_are_no_fields_are_seen_to_be_none)
