/* SPDX-License-Identifier: ISC */
/*
 * Holds our own reading of HTTP against llhttp's: over the table of requests, and
 * over the inputs that the fuzz target has kept.
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/harness.h"
#include "tests/lib/http_judge.h"
#include "tests/lib/http_table.h"

enum {
	MESSAGE_MAX = 1 << 30,
	INPUT_MAX = 1 << 20,
};

/* Returns how many requests were the same. */
static size_t
compare(const char *name, const uint8_t *bytes, size_t len)
{
	struct stream stream;
	const char *wrong;
	size_t agreed;

	stream_init(&stream, &proto_http, MESSAGE_MAX);
	stream_feed(&stream, bytes, len);
	wrong = http_judge(&stream.found, bytes, len, &agreed);
	ck_assert_msg(wrong == NULL, "%s: request %zu: %s:\n%.*s", name,
	    agreed, wrong, (int)len, (const char *)bytes);
	stream_free(&stream);
	return (agreed);
}

START_TEST(llhttp_reads_the_requests_of_the_table_as_we_do)
{
	size_t agreed = 0;

	for (size_t i = 0; i < http_table_len; i++)
		agreed += compare("the table", (const uint8_t *)
		    http_table[i].raw, http_table[i].len);
	ck_assert_uint_gt(agreed, 50);
}
END_TEST

/* The first two bytes of an input say how the target cuts it. */
static size_t
compare_file(const char *dir, const char *name)
{
	static uint8_t bytes[INPUT_MAX];
	char path[4096];
	FILE *from;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_ptr_nonnull(from = fopen(path, "re"));
	len = fread(bytes, 1, sizeof(bytes), from);
	fclose(from);
	return (len > 2 ? compare(path, bytes + 2, len - 2) : 0);
}

START_TEST(llhttp_reads_the_inputs_of_the_fuzz_target_as_we_do)
{
	const char *top = getenv("TOP_SRCDIR");
	const struct dirent *entry;
	size_t agreed = 0;
	char dir[2048];
	DIR *corpus;

	snprintf(dir, sizeof(dir), "%s/fuzz/corpus/http",
	    top != NULL ? top : ".");
	ck_assert_ptr_nonnull(corpus = opendir(dir));
	while ((entry = readdir(corpus)) != NULL)
		if (*entry->d_name != '.')
			agreed += compare_file(dir, entry->d_name);
	closedir(corpus);
	ck_assert_uint_gt(agreed, 10);
}
END_TEST

RUN_TESTS("http_judge", llhttp_reads_the_requests_of_the_table_as_we_do,
    llhttp_reads_the_inputs_of_the_fuzz_target_as_we_do)
