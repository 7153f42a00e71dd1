/* SPDX-License-Identifier: ISC */
/*
 * What a command says of its reply: which words are taken, and that all others
 * are refused and none is half taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "worker/reply_facts.h"

/* status -1: it is refused. */
struct row {
	const char *text;
	int status;
	const char *type;
};

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
	/* The last one counts. */
	{ "{\"status\":201,\"status\":202}", 202, "" },
	{ "{\"content_type\":\"a/b\",\"content_type\":\"c\"}", 0, "c" },

	/* What is not is passed over, whatever it is. */
	{ "{\"x\":1}", 0, "" },
	{ "{\"Status\":1,\"statu\":2,\"statuss\":3,\"\":4}", 0, "" },
	{ "{\"x\":-1.5e+10,\"y\":true,\"z\":null,\"status\":300}", 300, "" },
	{ "{\"x\":{\"status\":99},\"y\":[\"content_type\",{}],\"status\":300}",
	  300, "" },
	{ "{\"x\":\"}\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\",\"status\":300}", 300,
	  "" },
	{ "{\"x\":[],\"y\":[[[]]],\"status\":300}", 300, "" },
	{ "{\"\xc3\xa4\":\"\xff\"}", 0, "" },

	/* Numbers that are no status. */
	{ "{\"status\":199}", -1, NULL },
	{ "{\"status\":100}", -1, NULL },
	{ "{\"status\":0}", -1, NULL },
	{ "{\"status\":600}", -1, NULL },
	{ "{\"status\":2000}", -1, NULL },
	{ "{\"status\":20}", -1, NULL },
	{ "{\"status\":-200}", -1, NULL },
	{ "{\"status\":200.5}", -1, NULL },
	{ "{\"status\":2e2}", -1, NULL },
	{ "{\"status\":4294967496}", -1, NULL },
	{ "{\"status\":\"200\"}", -1, NULL },
	{ "{\"status\":null}", -1, NULL },
	{ "{\"status\":}", -1, NULL },
	{ "{\"status\"}", -1, NULL },

	/* Types that may not stand in a header. */
	{ "{\"content_type\":\"\"}", -1, NULL },
	{ "{\"content_type\":\"a\\r\\nb\"}", -1, NULL },
	{ "{\"content_type\":\"a\\u000ab\"}", -1, NULL },
	{ "{\"content_type\":\"a\rb\"}", -1, NULL },
	{ "{\"content_type\":\"a\nb\"}", -1, NULL },
	{ "{\"content_type\":\"\x7f\"}", -1, NULL },
	{ "{\"content_type\":\"\xc3\xa4\"}", -1, NULL },
	{ "{\"content_type\":1}", -1, NULL },

	/* No object. */
	{ "{", -1, NULL },
	{ "}", -1, NULL },
	{ "[]", -1, NULL },
	{ "200", -1, NULL },
	{ "null", -1, NULL },
	{ " ", -1, NULL },
	{ "{}{}", -1, NULL },
	{ "{} x", -1, NULL },
	{ "{,}", -1, NULL },
	{ "{\"status\":200,}", -1, NULL },
	{ "{\"status\":200 \"x\":1}", -1, NULL },
	{ "{\"status\" 200}", -1, NULL },
	{ "{status:200}", -1, NULL },
	{ "{'status':200}", -1, NULL },
	{ "{\"status:200}", -1, NULL },
	{ "{\"x\":\"\\", -1, NULL },
	{ "{\"x\":\"\\x\"}", -1, NULL },
	{ "{\"x\":\"\\u00g0\"}", -1, NULL },
	{ "{\"x\":\"\\u00", -1, NULL },
	{ "{\"x\":]}", -1, NULL },
	{ "{\"x\":[}", -1, NULL },
	{ "{\"x\":\x01}", -1, NULL },
	{ "HTTP/1.1 200 OK\r\n", -1, NULL },
};

/* In memory that ends where the text does, so that a sanitizer or valgrind sees
 * who reads beyond. */
static int
read_exactly(struct reply_facts *facts, const char *text, size_t len)
{
	uint8_t *bytes = malloc(len > 0 ? len : 1);
	int result;

	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, text, len);
	result = reply_facts_read(facts, bytes, len);
	free(bytes);
	return (result);
}

START_TEST(each_text_is_taken_or_refused_as_a_whole)
{
	const struct row *row = &rows[_i];
	struct reply_facts facts;
	int result;

	memset(&facts, 'x', sizeof(facts));
	result = read_exactly(&facts, row->text, strlen(row->text));
	ck_assert_msg(result == (row->status == -1 ? -1 : 0), "%s", row->text);
	if (row->status == -1)
		return;
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

	if (rows[_i].status == -1)
		return;
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	for (size_t n = 1; n < len; n++)
		ck_assert_msg(read_exactly(&facts, text, n) == -1, "%.*s",
		    (int)n, text);
}
END_TEST

START_TEST(a_nul_is_no_end)
{
	static const char text[] = "{\"x\":\"\0\"}", after[] = "{}\0";
	struct reply_facts facts;

	ck_assert_int_eq(read_exactly(&facts, text, sizeof(text) - 1), -1);
	ck_assert_int_eq(read_exactly(&facts, after, sizeof(after) - 1), -1);
}
END_TEST

START_TEST(a_type_has_as_many_bytes_as_fit)
{
	char text[HTTP_NOTE_MAX + 64];
	struct reply_facts facts;

	for (int len = HTTP_NOTE_MAX - 2; len <= HTTP_NOTE_MAX + 1; len++) {
		snprintf(text, sizeof(text), "{\"content_type\":\"%0*d\"}", len,
		    0);
		ck_assert_int_eq(read_exactly(&facts, text, strlen(text)),
		    len < HTTP_NOTE_MAX ? 0 : -1);
		if (len < HTTP_NOTE_MAX)
			ck_assert_uint_eq(strlen(facts.type), (size_t)len);
	}
}
END_TEST

START_TEST(values_stand_within_each_other_to_a_depth)
{
	enum { DEPTH = 100000 };
	static char text[2 * DEPTH + 64];
	struct reply_facts facts;

	for (int depth = 1; depth <= DEPTH; depth *= 2) {
		strcpy(text, "{\"x\":");
		memset(text + 5, '[', (size_t)depth);
		memset(text + 5 + depth, ']', (size_t)depth);
		strcpy(text + 5 + 2 * depth, "}");
		ck_assert_int_eq(read_exactly(&facts, text, strlen(text)),
		    depth <= 16 ? 0 : -1);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("reply_facts");
	TCase *tests = tcase_create("reply_facts");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tests, each_text_is_taken_or_refused_as_a_whole, 0,
	    (int)(sizeof(rows) / sizeof(*rows)));
	tcase_add_loop_test(tests, no_beginning_of_a_text_is_taken_for_it, 0,
	    (int)(sizeof(rows) / sizeof(*rows)));
	tcase_add_test(tests, a_nul_is_no_end);
	tcase_add_test(tests, a_type_has_as_many_bytes_as_fit);
	tcase_add_test(tests, values_stand_within_each_other_to_a_depth);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
