/* SPDX-License-Identifier: ISC */
/*
 * The text of a configuration: a file with all that it includes.
 *
 * Runs in the reader.  libconfig could read and include files by itself, but
 * libconfig 1.5
 *
 *	- ends the process when a directory is included, cannot say why an
 *	  include failed, and puts its include directory before absolute paths
 *	  too: source_include();
 *	- cuts the text and strings at a NUL byte: source_has_nul(),
 *	  scan_string();
 *	- cuts a number that does not end in L to 32 bits: scan_number();
 *	- takes a comment that is never closed for the end of the file, and a
 *	  last line that is a comment for an error: scan_block_comment(),
 *	  scan_next();
 *	- reports the end of the file where a string is not closed:
 *	  scan_string(), scan_token();
 *	- gives a string in a list the line of what comes after it, which may be
 *	  a bracket some lines below: scan_token().
 *
 * So the files are put together here, and libconfig gets one string.  The
 * scanner below knows as much of libconfig's grammar as that takes.
 */
#include "conf/conf_source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_alloc.h"
#include "conf/conf_report.h"
#include "conf/conf_text.h"

enum {
	LINE_QUOTED_MAX = 60,
	/* A byte becomes three at most: a number before the end of an include
	 * gets an L and a newline. */
	TEXT_MAX = 3 * CONF_SOURCE_MAX,
	/* The whole, each include, and what comes after it. */
	SEGMENTS_MAX = 1 + 2 * (CONF_SOURCE_MAX / sizeof("@include \"\"")),
};

/* Lines of the text that come from consecutive lines of one file. */
struct segment {
	unsigned first;			/* line of the text */
	struct conf_place place;	/* where that line comes from */
	const char *start;		/* of that line, in the file's content */
};

struct conf_source {
	char *text;			/* for libconfig */
	size_t len;
	unsigned line;			/* of the text, beginning with 1 */
	unsigned held;			/* newlines that are not written yet */
	char last;			/* byte that is no blank or comment */

	const char *path;
	size_t taken;			/* bytes read from all files */
	bool stopped;			/* no sense in reading on */
	struct segment *segments;
	size_t nsegments;
	struct conf_findings *findings;
};

/* One file while it is copied into the text. */
struct scan {
	struct conf_source *source;
	const char *file;
	unsigned line;
	unsigned depth;			/* of includes; 0: the file itself */
	const char *start;		/* ends with a NUL */
	const char *p;			/* the next byte to copy */
};

static void source_include(struct conf_source *, const char *file,
    unsigned depth, const struct scan *from);

/* ---- errors ---- */

static void
scan_error(const struct scan *scan, unsigned line, const char *text)
{
	conf_report_addf(scan->source->findings, scan->file, line, "%s", text);
}

/* The line of a text that holds a byte. */
static const char *
source_quote(const char *text, const char *at)
{
	enum { SIZE = 4 * LINE_QUOTED_MAX + 8 };	/* all escaped */
	char *trimmed, *quoted = conf_alloc_scratch(SIZE, 1);
	FILE *out = conf_must(fmemopen(quoted, SIZE, "w"));
	size_t len;

	while (at > text && at[-1] != '\n')
		at--;
	at += strspn(at, " \t");
	len = strcspn(at, "\n");
	while (len > 0 && strchr(" \t\r", at[len - 1]) != NULL)
		len--;
	trimmed = conf_alloc_scratch(len + 1, 1);
	memcpy(trimmed, at, len);
	conf_print_string(out, trimmed, LINE_QUOTED_MAX);
	fclose(out);
	return quoted;
}

/* ---- tokens ---- */

static bool
scan_is_at(const struct scan *scan, const char *what)
{
	return strncmp(scan->p, what, strlen(what)) == 0;
}

static void
source_write(struct conf_source *source, const char *bytes, size_t len)
{
	memcpy(source->text + source->len, bytes, len);
	source->len += len;
}

static void
source_write_newlines(struct conf_source *source)
{
	for (; source->held > 0; source->held--) {
		source_write(source, "\n", 1);
		source->line++;
	}
}

/* Newlines between tokens are held back, so that those after a string can be
 * written after what ends it. */
static void
scan_skip(struct scan *scan)
{
	if (*scan->p++ == '\n') {
		scan->line++;
		scan->source->held++;
	}
}

static void
scan_copy(struct scan *scan, size_t len)
{
	source_write(scan->source, scan->p, len);
	scan->p += len;
}

static void
scan_string(struct scan *scan)
{
	unsigned line = scan->line;

	scan_copy(scan, 1);
	while (*scan->p != '\0' && *scan->p != '"') {
		if (scan_is_at(scan, "\\x00") || scan_is_at(scan, "\\X00"))
			scan_error(scan, scan->line,
			    "a string cannot hold a NUL byte");
		if (*scan->p == '\n') {
			scan->line++;
			scan->source->line++;
		}
		scan_copy(scan, scan_is_at(scan, "\\\\") ||
		    scan_is_at(scan, "\\\"") ? 2 : 1);
	}
	if (*scan->p != '\0')
		scan_copy(scan, 1);
	else
		scan_error(scan, line,
		    "the string that begins here is never closed");
}

/* A whole number gets the L that it may lack. */
static void
scan_number(struct scan *scan)
{
	static const char decimal[] = "0123456789";
	const char *p = scan->p + strspn(scan->p, decimal), *exponent;
	bool is_whole = *p != '.';

	if (!is_whole)
		p += 1 + strspn(p + 1, decimal);
	exponent = p + 1 + (p[0] != '\0' && (p[1] == '+' || p[1] == '-'));
	if ((*p | 0x20) == 'e' && isdigit((unsigned char)*exponent)) {
		p = exponent + strspn(exponent, decimal);
		is_whole = false;
	}
	if (scan->p[0] == '0' && (scan->p[1] | 0x20) == 'x' &&
	    isxdigit((unsigned char)scan->p[2]))
		p = scan->p + 2 + strspn(scan->p + 2,
		    "0123456789abcdefABCDEF");
	scan_copy(scan, (size_t)(p - scan->p));
	if (is_whole && *p != 'L')
		source_write(scan->source, "L", 1);
}

static void
scan_name(struct scan *scan)
{
	size_t len = 0;

	while (isalnum((unsigned char)scan->p[len]) ||
	    memchr("*_-", scan->p[len], 3) != NULL)
		len++;
	scan_copy(scan, len);
}

static void
scan_token(struct scan *scan)
{
	struct conf_source *source = scan->source;
	char first = *scan->p, last = source->last;

	if (last != '"' || strchr(",])", first) == NULL)
		source_write_newlines(source);
	if (first == '"' && (last == '\0' || strchr("=:([,\"", last) == NULL)) {
		/* An earlier string was not closed. */
		conf_report_addf(source->findings, scan->file, scan->line,
		    "syntax error near %s", source_quote(scan->start, scan->p));
		source->stopped = true;
	} else if (first == '"')
		scan_string(scan);
	else if (isdigit((unsigned char)first) || first == '.')
		scan_number(scan);
	else if (isalpha((unsigned char)first) || first == '*')
		scan_name(scan);
	else
		scan_copy(scan, 1);
	/* The lines may be others now, and this must not become an include. */
	if (first == '@')
		source_write(source, "@", 1);
	source->last = first;
}

/* ---- between tokens ---- */

/* What remains of a comment separates what is around it. */
static void
scan_block_comment(struct scan *scan)
{
	unsigned line = scan->line;

	source_write(scan->source, "/**/", 4);
	scan->p += 2;
	while (*scan->p != '\0' && !scan_is_at(scan, "*/"))
		scan_skip(scan);
	if (*scan->p != '\0')
		scan->p += 2;
	else
		scan_error(scan, line,
		    "the comment that begins here is never closed");
}

static void
scan_next(struct scan *scan)
{
	if (scan_is_at(scan, "/*"))
		scan_block_comment(scan);
	else if (*scan->p == '#' || scan_is_at(scan, "//"))
		scan->p += strcspn(scan->p, "\n");
	else if (*scan->p == '\n')
		scan_skip(scan);
	else if (isspace((unsigned char)*scan->p))
		scan_copy(scan, 1);
	else
		scan_token(scan);
}

/* ---- including ---- */

/*
 * The name in an include that begins here: after its opening quote, or NULL if
 * there is no include.  As in libconfig, only blanks stand before one.
 */
static const char *
scan_find_include(const struct scan *scan)
{
	static const char word[] = "@include";
	const char *p = scan->p;
	size_t blanks;

	if (p > scan->start && p[-1] != '\n')
		return NULL;
	p += strspn(p, " \t");
	if (strncmp(p, word, strlen(word)) != 0)
		return NULL;
	p += strlen(word);
	blanks = strspn(p, " \t");
	return blanks > 0 && p[blanks] == '"' ? p + blanks + 1 : NULL;
}

/* The path of an include that has its name here, up to a closing quote; NULL
 * without one. */
static char *
scan_include_path(struct scan *scan)
{
	const char *slash = strrchr(scan->source->path, '/');
	size_t dir = 0, len;
	char *path;

	if (*scan->p != '/' && slash != NULL)
		dir = (size_t)(slash - scan->source->path) + 1;
	path = conf_alloc_scratch(dir + strlen(scan->p) + 1, 1);
	memcpy(path, scan->source->path, dir);
	for (len = dir; *scan->p != '"'; path[len++] = *scan->p++) {
		if (scan_is_at(scan, "\\\\") || scan_is_at(scan, "\\\""))
			scan->p++;
		if (*scan->p == '\n' || *scan->p == '\0')
			return NULL;
	}
	scan->p++;
	return path;
}

static void
scan_begin_segment(const struct scan *scan)
{
	struct conf_source *source = scan->source;

	source->segments[source->nsegments++] = (struct segment){
		.first = source->line + source->held,
		.place = { .file = scan->file, .line = scan->line },
		.start = scan->p,
	};
}

static void
scan_include(struct scan *scan)
{
	const char *path = scan_include_path(scan);

	if (path == NULL) {
		scan_error(scan, scan->line,
		    "the name of the include is never closed");
		return;
	}
	if (scan->depth == CONF_INCLUDE_DEPTH_MAX)
		scan_error(scan, scan->line, "includes are nested too deep; "
		    "does a file include itself?");
	else
		source_include(scan->source, path, scan->depth + 1, scan);
	scan_begin_segment(scan);
}

static void
scan_file(struct scan *scan)
{
	scan_begin_segment(scan);
	while (*scan->p != '\0' && !scan->source->stopped) {
		const char *name = scan_find_include(scan);

		if (name == NULL) {
			scan_next(scan);
			continue;
		}
		scan->p = name;
		scan_include(scan);
	}
	/* What follows an include begins on a line of its own. */
	if (scan->p > scan->start && scan->p[-1] != '\n')
		scan->source->held++;
}

static bool
source_has_nul(struct conf_source *source, const char *file,
    const char *content, size_t len)
{
	unsigned line = 1;

	if (strlen(content) == len)
		return false;
	for (; *content != '\0'; content++)
		line += *content == '\n';
	conf_report_addf(source->findings, file, line,
	    "this is not text: it holds a NUL byte");
	return true;
}

/* Read to the end of a file or one byte beyond max.  Returns NULL with errno
 * set if that fails. */
static const char *
source_read_file(const char *path, size_t max, size_t *len)
{
	static char buffer[CONF_SOURCE_MAX + 1];
	FILE *in;
	int fd, error = 0;

	/* Not to wait for a writer if this is a named pipe that has none; one
	 * that has (-c /dev/stdin) is read to its end. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1 || fcntl(fd, F_SETFL, 0) == -1)
		return NULL;
	in = conf_must(fdopen(fd, "r"));
	*len = fread(buffer, 1, max + 1, in);
	if (ferror(in))
		error = errno;
	fclose(in);
	errno = error;
	return error != 0 ? NULL :
	    memcpy(conf_alloc_scratch(*len + 1, 1), buffer, *len);
}

/* Put the content of a file into the text. */
static void
source_add(struct conf_source *source, const char *file, unsigned depth,
    const char *content, size_t len)
{
	struct scan scan = {
		.source = source, .file = file, .line = 1, .depth = depth,
		.start = content, .p = content,
	};

	if (len > CONF_SOURCE_MAX - source->taken) {
		conf_report_addf(source->findings, file, 0, "this is too "
		    "large: the limit is %d bytes with all that is included",
		    CONF_SOURCE_MAX);
		source->stopped = true;
		return;
	}
	source->taken += len;
	if (!source_has_nul(source, file, content, len))
		scan_file(&scan);
}

/* Put a file into the text, which is included from there, if that is not NULL. */
static void
source_include(struct conf_source *source, const char *file, unsigned depth,
    const struct scan *from)
{
	size_t len;
	const char *content = source_read_file(file,
	    CONF_SOURCE_MAX - source->taken, &len);

	if (content != NULL)
		source_add(source, file, depth, content, len);
	else if (from == NULL)
		conf_report_addf(source->findings, file, 0,
		    "cannot be read: %s", strerror(errno));
	else
		conf_report_addf(source->findings, from->file, from->line,
		    "cannot include \"%s\": %s", file, strerror(errno));
}

/* ---- the whole ---- */

const struct conf_source *
conf_source_read(const char *path, const char *text,
    struct conf_findings *findings)
{
	struct conf_source *source = conf_alloc_scratch(1, sizeof(*source));

	source->line = 1;
	source->path = path;
	source->findings = findings;
	source->text = conf_alloc_scratch(TEXT_MAX + 1, 1);
	source->segments = conf_alloc_scratch(SEGMENTS_MAX,
	    sizeof(*source->segments));
	if (text != NULL)
		source_add(source, path, 0, text, strlen(text));
	else
		source_include(source, path, 0, NULL);
	return source;
}

const char *
conf_source_text(const struct conf_source *source)
{
	return source->text;
}

static const struct segment *
source_find_segment(const struct conf_source *source, unsigned line)
{
	const struct segment *segment = source->segments;

	for (size_t i = 1; i < source->nsegments; i++)
		if (source->segments[i].first <= line)
			segment = &source->segments[i];
	return segment;
}

struct conf_place
conf_source_place(const struct conf_source *source, unsigned line)
{
	const struct segment *segment = source_find_segment(source, line);
	struct conf_place place = segment->place;

	place.line = line == 0 ? 0 : place.line + line - segment->first;
	return place;
}

const char *
conf_source_line(const struct conf_source *source, unsigned line)
{
	const struct segment *segment = source_find_segment(source, line);
	const char *p = segment->start;

	for (unsigned n = segment->first; n < line; n++) {
		p += strcspn(p, "\n");
		p += *p != '\0';
	}
	return source_quote(segment->start, p);
}
