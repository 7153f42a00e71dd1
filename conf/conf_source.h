/* SPDX-License-Identifier: ISC */
/*
 * The text of a configuration: a file with all that it includes.
 */
#ifndef CONF_CONF_SOURCE_H
#define CONF_CONF_SOURCE_H

struct conf_findings;
struct conf_source;

enum {
	/* Bytes of all files together, which bounds the memory that they take. */
	CONF_SOURCE_MAX = 1 << 20,
	CONF_INCLUDE_DEPTH_MAX = 10,
};

/* A line as its author sees it. */
struct conf_place {
	const char *file;
	unsigned line;			/* 0: the file as a whole */
};

/*
 * Read a file, unless its text is given, and put what it includes in place of
 * each include.  If there are findings, the result is of no use.
 */
const struct conf_source *conf_source_read(const char *path, const char *text,
    struct conf_findings *);

/* The text for libconfig. */
const char *conf_source_text(const struct conf_source *);

/* Where a line of the text comes from. */
struct conf_place conf_source_place(const struct conf_source *, unsigned line);

/* A line of the text as it is in its file: in quotes, without the blanks around
 * it, and cut if it is long. */
const char *conf_source_line(const struct conf_source *, unsigned line);

#endif
