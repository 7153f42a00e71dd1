/* SPDX-License-Identifier: ISC */
/*
 * Configurations as tests write and read them.  Each test has a directory of
 * its own, which it is in.
 *
 * Files of samples: from "== " to the next one stand a name, lines that are
 * expected, "--" and the configuration, and "-- FILE" and what it includes.
 */
#ifndef TESTS_LIB_CONF_FILES_H
#define TESTS_LIB_CONF_FILES_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

/* A file of the source tree; the caller frees it. */
char *read_source(const char *name);
void copy_source(const char *from, const char *to);
void write_bytes(const char *name, const char *bytes, size_t len);
void write_file(const char *name, const char *text);
const char *scratch_dir(void);
/* Add a line to a text that is on the heap. */
void add_line(char **text, const char *line);

/* What is wrong with a file, or with a text, one mistake a line; "" if nothing
 * is.  The caller frees it. */
char *conf_mistakes(const char *path, const char *source);

/* Read each beginning of a source file, and the file with each of its bytes
 * replaced by one of the wrong ones: whatever is found, nothing crashes. */
void expect_no_harm_of_beginnings(const char *name);
void expect_no_harm_of_wrong_bytes(const char *name, const char *wrong);

void assert_mistakes(const char *path, const char *expected);
void assert_mistakes_in(const char *text, const char *expected);
void assert_warnings_in(const char *text, const char *expected);

/* A file, text, or file of the source tree that has nothing wrong. */
struct conf *load_file(const char *path);
struct conf *load_text(const char *text);
struct conf *load_source(const char *name);

/* The configuration as it is printed; the caller frees it. */
char *print_conf(const struct conf *);
void assert_reads_back(const struct conf *);

/* main() of a test program: each sample is a case, and what add() adds. */
struct conf_tests {
	const char *theme;
	const char *malformed, *wellformed;	/* files of samples */
	int nmalformed, nwellformed;		/* at least */
	void (*reads_back)(const struct conf *);
	void (*add)(Suite *);
};
int run_conf_tests(const struct conf_tests *);
TCase *add_case(Suite *, const char *name);

#endif
