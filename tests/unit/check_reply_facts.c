/* SPDX-License-Identifier: ISC */
/*
 * Reply metadata: JSON as libraries write it is taken (RFC 8259), everything else
 * is refused, and the reason says where and why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/why.h"
#include "tests/lib/harness.h"
#include "worker/reply_facts.h"

/* The metadata is in order, but the reply is refused. */
enum { REFUSED = -2 };

/* status -1 or REFUSED: type is a part of the reason. */
struct row {
	const char *text;
	int status;
	const char *type;
};

#define NOT_STATUS	", not an integer from 200 to 599"
#define NOT_TYPE	", not 1 to 255 printable ASCII characters"

static const struct row rows[] = {
	/* Nothing said. */
	{ "", 0, "" },
	{ "{}", 0, "" },
	{ " \t\r\n{ \n } ", 0, "" },

	/* What is known. */
	{ "{\"status\":200}", 200, "" },
	{ "{\"status\":599}", 599, "" },
	{ " { \"status\" : 404 , \"content_type\" : \"text/x; a=b\" } ", 404,
	  "text/x; a=b" },
	{ "{\"content_type\":\"a/b\",\"status\":201}", 201, "a/b" },

	/* As libraries write it: json_encode of PHP, Gson, numbers of Lua and of
	 * JavaScript. */
	{ "{\"status\":201,\"content_type\":\"text\\/plain; charset=utf-8\"}",
	  201, "text/plain; charset=utf-8" },
	{ "{\"content_type\":\"a/b; c\\u003d\\\"d\\\\\\\"\\u0022\"}", 0,
	  "a/b; c=\"d\\\"\"" },
	{ "{\"\\u0073tatus\":202}", 202, "" },
	{ "{\"status\":200.0}", 200, "" },
	{ "{\"status\":2e2}", 200, "" },
	{ "{\"status\":2.01E+2}", 201, "" },
	{ "{\"status\":40400e-2}", 404, "" },

	/* What is not known is passed over, whatever it is. */
	{ "{\"x\":1}", 0, "" },
	{ "{\"Status\":1,\"statu\":2,\"statuss\":3,\"\":4}", 0, "" },
	{ "{\"x\":-1.5e+10,\"y\":true,\"z\":null,\"status\":300}", 300, "" },
	{ "{\"x\":{\"status\":99},\"y\":[\"content_type\",{}],\"status\":300}",
	  300, "" },
	{ "{\"x\":\"}\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\",\"status\":300}", 300,
	  "" },
	{ "{\"x\":[],\"y\":[[[]]],\"status\":300}", 300, "" },
	{ "{\"x\":18446744073709551616,\"y\":-9223372036854775809}", 0, "" },
	{ "{\"\xc3\xa4\":\"\xf0\x9f\x98\x80\",\"y\":\"\\ud83d\\ude00\"}", 0,
	  "" },
	{ "{\"x\":\"\\u0000\"}", 0, "" },

	/* Response fields: Content-Type is one of them, unless content_type
	 * says it. */
	{ "{\"fields\":{}}", 0, "" },
	{ "{\"fields\":{\"Location\":\"/\"},\"status\":302}", 302, "" },
	{ "{\"fields\":{\"Content-Type\":\"a/b\"}}", 0, "a/b" },
	{ "{\"fields\":{\"content-type\":\"a/b\"},\"content_type\":\"c/d\"}",
	  0, "c/d" },
	{ "{\"fields\":[]}", REFUSED, "fields is [], not an object" },
	{ "{\"fields\":null}", REFUSED, "fields is null, not an object" },
	{ "{\"fields\":{\"A\":1}}", REFUSED, "field \"A\": a value is not a string" },
	{ "{\"fields\":{\"A\":null}}", REFUSED, "a value is not a string" },
	{ "{\"fields\":{\"A\":{\"b\":\"c\"}}}", REFUSED, "a value is not a string" },
	{ "{\"fields\":{\"A\":[\"b\",1]}}", REFUSED, "a value is not a string" },
	{ "{\"fields\":{\"A\":[[\"b\"]]}}", REFUSED, "a value is not a string" },
	{ "{\"fields\":{\"A\":\"b\\r\\nSet-Cookie: c\"}}", REFUSED,
	  "field \"A\": the value has a control character" },
	{ "{\"fields\":{\"A\":[\"b\",\"c\\u0000\"]}}", REFUSED,
	  "field \"A\": the value has a control character" },
	{ "{\"fields\":{\"A\\r\\nB\":\"c\"}}", REFUSED,
	  "field \"A\\r\\nB\": the name is not a token of HTTP" },
	{ "{\"fields\":{\"\xc3\xa4\":\"c\"}}", REFUSED,
	  "field \"\\u00E4\": the name is not a token of HTTP" },
	{ "{\"fields\":{\"\":\"c\"}}", REFUSED, "the name is not a token of HTTP" },
	{ "{\"fields\":{\"A\\u0000\":\"c\"}}", REFUSED, "NUL byte in object key" },
	{ "{\"fields\":{\"content-length\":\"1\"}}", REFUSED,
	  "field \"content-length\": the server sets this field itself" },
	{ "{\"fields\":{\"Content-Type\":\"a\\nb\"}}", REFUSED,
	  "field \"Content-Type\": the value is not 1 to 255" },
	{ "{\"fields\":{\"Content-Type\":\"\"}}", REFUSED, "is not 1 to 255" },
	{ "{\"fields\":{\"Content-Type\":[\"a/b\"]}}", REFUSED, "is not 1 to 255" },
	{ "{\"fields\":{\"Content-Type\":\"a/b\",\"content-type\":\"c/d\"}}",
	  REFUSED, "field \"content-type\": there is more than one" },
	{ "{\"fields\":{\"A\":\"b\",\"A\":\"c\"}}", -1,
	  "duplicate object key" },

	/* Numbers that are no status. */
	{ "{\"status\":199}", -1, "status is 199.0" NOT_STATUS },
	{ "{\"status\":100}", -1, "100" },
	{ "{\"status\":0}", -1, "0.0" },
	{ "{\"status\":600}", -1, "600" },
	{ "{\"status\":2000}", -1, "2000" },
	{ "{\"status\":20}", -1, "20" },
	{ "{\"status\":-200}", -1, "-200" },
	{ "{\"status\":200.5}", -1, "status is 200.5" NOT_STATUS },
	{ "{\"status\":4294967496}", -1, "4294967496" },
	{ "{\"status\":18446744073709551816}", -1, "status is 1.8" },
	{ "{\"status\":1e999}", -1, "byte 15: real number overflow" },
	{ "{\"status\":\"200\"}", -1, "status is \"200\"" NOT_STATUS },
	{ "{\"status\":null}", -1, "status is null" NOT_STATUS },
	{ "{\"status\":true}", -1, "status is true" NOT_STATUS },
	{ "{\"status\":[200]}", -1, "status is [200.0]" NOT_STATUS },
	{ "{\"status\":\"a long text that is shown in part\"}", -1,
	  "status is \"a long text that is..." NOT_STATUS },
	{ "{\"status\":0200}", -1, "byte 11: invalid token near '0'" },
	{ "{\"status\":200.}", -1, "invalid token" },
	{ "{\"status\":+200}", -1, "invalid token near '+'" },
	{ "{\"status\":0xc8}", -1, "'}' expected near 'xc'" },
	{ "{\"status\":NaN}", -1, "invalid token near 'NaN'" },
	{ "{\"status\":}", -1, "byte 11: unexpected token near '}'" },
	{ "{\"status\"}", -1, "byte 10: ':' expected near '}'" },

	/* Types that may not stand in a header. */
	{ "{\"content_type\":\"\"}", REFUSED, "content_type is \"\"" NOT_TYPE },
	{ "{\"content_type\":\"a\\r\\nb\"}", REFUSED,
	  "content_type is \"a\\r\\nb\"" NOT_TYPE },
	{ "{\"content_type\":\"a\\u000ab\"}", REFUSED, NOT_TYPE },
	{ "{\"content_type\":\"a\\u0000b\"}", REFUSED,
	  "content_type is \"a\\u0000b\"" NOT_TYPE },
	{ "{\"content_type\":\"\\u0000\"}", REFUSED, NOT_TYPE },
	{ "{\"content_type\":\"a\rb\"}", -1, "byte 18: control character 0xd" },
	{ "{\"content_type\":\"a\nb\"}", -1, "byte 18: unexpected newline" },
	{ "{\"content_type\":\"\x7f\"}", REFUSED, NOT_TYPE },
	{ "{\"content_type\":\"\xc3\xa4\"}", REFUSED, "is \"\\u00E4\"" NOT_TYPE },
	{ "{\"content_type\":1}", REFUSED, "content_type is 1.0" NOT_TYPE },

	/* Twice the same: no reader could tell which one is meant. */
	{ "{\"status\":201,\"status\":202}", -1,
	  "duplicate object key near '\"status\"'" },
	{ "{\"x\":{\"a\":1,\"\\u0061\":1}}", -1, "duplicate object key" },

	/* No object. */
	{ "{", -1, "byte 1: string or '}' expected near end of file" },
	{ "}", -1, "byte 1: '[' or '{' expected near '}'" },
	{ "[]", -1, "it is [], not an object" },
	{ "200", -1, "byte 3: '[' or '{' expected near '200'" },
	{ "null", -1, "expected near 'null'" },
	{ " ", -1, "expected near end of file" },
	{ "{}{}", -1, "byte 3: end of file expected near '{'" },
	{ "{} x", -1, "byte 4: end of file expected near 'x'" },
	{ "{,}", -1, "byte 2: string or '}' expected near ','" },
	{ "{\"status\":200,}", -1,
	  "byte 15: string or '}' expected near '}'" },
	{ "{\"status\":200 \"x\":1}", -1, "'}' expected near '\"x\"'" },
	{ "{\"status\" 200}", -1, "':' expected near '200'" },
	{ "{status:200}", -1, "byte 7: string or '}' expected near 'status'" },
	{ "{'status':200}", -1, "byte 2: string or '}' expected near '''" },
	{ "{\"status:200}", -1, "premature end of input" },
	{ "{\"x\":1/**/}", -1, "near '/'" },
	{ "\xef\xbb\xbf{}", -1, "byte 3: " },
	{ "{\"x\":\"\\", -1, "byte " },
	{ "{\"x\":\"\\x\"}", -1, "invalid escape" },
	{ "{\"x\":\"\\u00g0\"}", -1, "invalid escape" },
	{ "{\"x\":\"\\u00", -1, "byte " },
	{ "{\"x\":]}", -1, "byte 6: unexpected token near ']'" },
	{ "{\"x\":[}", -1, "byte 7: unexpected token near '}'" },
	{ "{\"x\":\x01}", -1, "byte 6: invalid token" },
	{ "HTTP/1.1 200 OK\r\n", -1, "byte 4: '[' or '{' expected near 'HTTP'" },

	/* Half a character, as it can come from a client. */
	{ "{\"x\":\"\xff\"}", REFUSED, "unable to decode byte 0xff" },
	{ "{\"x\":\"\xc0\xaf\"}", REFUSED, "unable to decode byte 0xc0" },
	{ "{\"x\":\"\xed\xa0\x80\"}", REFUSED, "unable to decode byte 0xed" },
	{ "{\"x\":\"\\ud800\"}", REFUSED, "invalid Unicode '\\uD800'" },
	{ "{\"x\":\"\\udc00\\ud800\"}", REFUSED, "invalid Unicode '\\uDC00'" },
	{ "{\"fields\":{\"A\":\"\\ud83d\"}}", REFUSED, "invalid Unicode '\\uD83D'" },
	{ " {\"\xff\":1}", REFUSED, "unable to decode byte 0xff" },
	{ "{\"x\":\"\\ud800\\u0041\"}", REFUSED, "invalid Unicode '\\uD800" },
	/* But no object. */
	{ "\xff{}", -1, "unable to decode byte 0xff" },
	{ "\"\\ud800\"", -1, "invalid Unicode" },
};

enum { ROWS = sizeof(rows) / sizeof(*rows) };

static struct why why;

/* In memory that ends where the text does, so that a sanitizer or valgrind sees
 * who reads beyond. */
static enum reply_verdict
read_exactly(struct reply_facts *facts, const char *text, size_t len)
{
	uint8_t *bytes = malloc(len > 0 ? len : 1);
	enum reply_verdict result;

	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, text, len);
	result = reply_facts_read(facts, bytes, len, &why);
	free(bytes);
	return (result);
}

/* As the first of an executor. */
static enum reply_verdict
read_afresh(struct reply_facts *facts, const char *text, size_t len)
{
	memset(facts, 0, sizeof(*facts));
	return (read_exactly(facts, text, len));
}

START_TEST(each_text_is_taken_or_refused_as_a_whole)
{
	const struct row *row = &rows[_i];
	struct reply_facts facts;
	enum reply_verdict result;

	result = read_afresh(&facts, row->text, strlen(row->text));
	if (row->status < 0) {
		ck_assert_msg(result == (row->status == REFUSED ?
		    REPLY_REFUSED : REPLY_BROKEN), "%s", row->text);
		ck_assert_msg(strstr(why.text, row->type) != NULL, "%s: %s",
		    row->text, why.text);
		return;
	}
	ck_assert_msg(result == REPLY_TAKEN, "%s: %s", row->text, why.text);
	ck_assert_msg(facts.status == (unsigned)row->status, "%s", row->text);
	ck_assert_str_eq(facts.type, row->type);
}
END_TEST

/* A text that is cut is none, but for blanks at its end. */
START_TEST(no_beginning_of_a_text_is_taken_for_it)
{
	const char *text = rows[_i].text;
	size_t len = strlen(text);
	struct reply_facts facts;

	if (rows[_i].status < 0)
		return;
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	for (size_t n = 1; n < len; n++)
		ck_assert_msg(read_afresh(&facts, text, n) != REPLY_TAKEN,
		    "%.*s", (int)n, text);
}
END_TEST

/* After that of another reply, and after the same. */
static void
expect_facts_after(struct reply_facts *facts, const struct row *row)
{
	ck_assert_int_eq(read_exactly(facts, row->text, strlen(row->text)),
	    REPLY_TAKEN);
	ck_assert_uint_eq(facts->status, (unsigned)row->status);
	ck_assert_str_eq(facts->type, row->type);
}

START_TEST(no_fact_of_a_reply_is_left_to_the_next_one)
{
	struct reply_facts facts;

	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].status < 0 || rows[_i].status < 0)
			continue;
		read_afresh(&facts, rows[i].text, strlen(rows[i].text));
		expect_facts_after(&facts, &rows[_i]);
		expect_facts_after(&facts, &rows[_i]);
	}
}
END_TEST

/* What the text has of fields, as they are sent. */
static void
expect_fields(struct reply_facts *facts, const char *text, const char *fields)
{
	ck_assert_msg(read_exactly(facts, text, strlen(text)) == 0, "%s",
	    why.text);
	ck_assert_uint_eq(facts->fields.len, strlen(fields));
	ck_assert_mem_eq(facts->fields.bytes, fields, strlen(fields));
}

START_TEST(fields_stand_in_their_order_and_more_than_once)
{
	static const char more[] = "{\"fields\":{\"A\":\"\"}}";
	struct reply_facts facts = { .status = 0 };

	for (int i = 0; i < 2; i++) {
		expect_fields(&facts, "{\"fields\":{\"Z\":\" a\\tb \","
		    "\"Set-Cookie\":[\"a=1\",\"b=2\"],\"B\":[],"
		    "\"Content-Type\":\"x/y\",\"c\":\"\xc3\xa4\","
		    "\"C\":\"\\\"\\/\"}}",
		    "\r\nZ: a\tb\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2"
		    "\r\nc: \xc3\xa4\r\nC: \"/");
		expect_fields(&facts, more, "\r\nA: ");
		/* Remembered. */
		expect_fields(&facts, more, "\r\nA: ");
		expect_fields(&facts, "", "");
		expect_fields(&facts, more, "\r\nA: ");
		expect_fields(&facts, "{}", "");
	}
}
END_TEST

START_TEST(fields_are_bounded)
{
	static char text[REPLY_METADATA_MAX], *at;
	struct reply_facts facts = { .status = 0 };

	for (int n = 63; n <= 65; n++) {
		at = stpcpy(text, "{\"fields\":{\"Set-Cookie\":[\"a\"");
		for (int i = 1; i < n; i++)
			at = stpcpy(at, ",\"a\"");
		strcpy(at, "]}}");
		ck_assert_int_eq(read_exactly(&facts, text, strlen(text)),
		    n > HTTP_FIELDS_COUNT_MAX ? REPLY_REFUSED : REPLY_TAKEN);
	}
	ck_assert_str_eq(why.text, "reply metadata: field \"Set-Cookie\": "
	    "the reply has more than 64 fields");
	snprintf(text, sizeof(text), "{\"fields\":{\"A\":\"%0*d\"}}",
	    HTTP_FIELDS_LEN_MAX, 0);
	ck_assert_int_eq(read_exactly(&facts, text, strlen(text)),
	    REPLY_REFUSED);
	ck_assert_str_eq(why.text, "reply metadata: field \"A\": "
	    "the fields of the reply have more than 8192 bytes");
	/* The reason has room for any name. */
	snprintf(text, sizeof(text), "{\"fields\":{\"%0*d\":1}}",
	    HTTP_FIELDS_LEN_MAX, 0);
	ck_assert_int_eq(read_exactly(&facts, text, strlen(text)),
	    REPLY_REFUSED);
	ck_assert_ptr_nonnull(strstr(why.text, ": a value is not a string"));
}
END_TEST

START_TEST(a_nul_is_no_end)
{
	static const char text[] = "{\"x\":\"\0\"}", after[] = "{}\0";
	struct reply_facts facts;

	ck_assert_int_eq(read_afresh(&facts, text, sizeof(text) - 1),
	    REPLY_BROKEN);
	ck_assert_int_eq(read_afresh(&facts, after, sizeof(after) - 1),
	    REPLY_BROKEN);
}
END_TEST

START_TEST(a_type_has_as_many_bytes_as_fit)
{
	char text[HTTP_NOTE_MAX + 64];
	struct reply_facts facts;

	for (int len = HTTP_NOTE_MAX - 2; len <= HTTP_NOTE_MAX + 1; len++) {
		snprintf(text, sizeof(text), "{\"content_type\":\"%0*d\"}", len,
		    0);
		ck_assert_int_eq(read_afresh(&facts, text, strlen(text)),
		    len >= HTTP_NOTE_MAX ? REPLY_REFUSED : REPLY_TAKEN);
		if (len < HTTP_NOTE_MAX)
			ck_assert_uint_eq(strlen(facts.type), (size_t)len);
	}
}
END_TEST

START_TEST(values_stand_within_each_other_to_a_depth)
{
	enum { DEPTH = 32000 };
	static char text[2 * DEPTH + 64];
	struct reply_facts facts;

	for (int depth = 1; depth <= DEPTH; depth *= 2) {
		strcpy(text, "{\"x\":");
		memset(text + 5, '[', (size_t)depth);
		memset(text + 5 + depth, ']', (size_t)depth);
		strcpy(text + 5 + 2 * depth, "}");
		ck_assert_int_eq(read_afresh(&facts, text, strlen(text)),
		    depth < 2048 ?
		    REPLY_TAKEN : REPLY_BROKEN);
	}
	ck_assert_str_eq(why.text, "reply metadata: byte 2053: "
	    "maximum parsing depth reached near '['");
}
END_TEST

START_TEST(metadata_has_a_largest_size)
{
	static char text[REPLY_METADATA_MAX + 1];
	struct reply_facts facts;

	memset(text, ' ', sizeof(text));
	memcpy(text, "{}", 2);
	ck_assert_int_eq(read_afresh(&facts, text, sizeof(text) - 1),
	    REPLY_TAKEN);
	ck_assert_int_eq(read_afresh(&facts, text, sizeof(text)),
	    REPLY_BROKEN);
	ck_assert_str_eq(why.text, "reply metadata: 65537 bytes, more than "
	    "65536");
}
END_TEST

START_TEST(a_reason_has_room_for_whatever_is_found)
{
	char text[512];
	struct reply_facts facts;

	for (int len = 1; len < 400; len++) {
		memset(&why, 'x', sizeof(why));
		memset(text, 'a', sizeof(text));
		ck_assert_int_eq(read_afresh(&facts, text, (size_t)len),
		    REPLY_BROKEN);
		ck_assert_uint_lt(strnlen(why.text, sizeof(why)), sizeof(why));
		snprintf(text, sizeof(text), "{\"content_type\":[\"%0*d\"]}",
		    len, 0);
		ck_assert_int_eq(read_afresh(&facts, text, strlen(text)),
		    REPLY_REFUSED);
		ck_assert_ptr_nonnull(strstr(why.text, NOT_TYPE));
	}
}
END_TEST

RUN_TESTS_OF_ROWS("reply_facts", 3, ROWS,
    each_text_is_taken_or_refused_as_a_whole,
    no_beginning_of_a_text_is_taken_for_it,
    no_fact_of_a_reply_is_left_to_the_next_one,
    fields_stand_in_their_order_and_more_than_once,
    fields_are_bounded,
    a_nul_is_no_end,
    a_type_has_as_many_bytes_as_fit,
    values_stand_within_each_other_to_a_depth,
    metadata_has_a_largest_size,
    a_reason_has_room_for_whatever_is_found)
