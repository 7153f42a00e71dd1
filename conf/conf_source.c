/* SPDX-License-Identifier: ISC */
/*
 * The text of a configuration: a file with all that it includes.
 *
 * Runs in the reader.  libconfig could read and include files by itself, but
 * libconfig 1.5
 *
 *	- ends the process when a directory is included (flex's read error):
 *	  open_for_reading();
 *	- puts its include directory before absolute paths too, and cannot say
 *	  why an include failed: include();
 *	- cuts the text and strings at a NUL byte: has_nul(), is_escaped_nul();
 *	- cuts a number that does not end in L to 32 bits: copy_word();
 *	- takes a comment that is never closed for the end of the file:
 *	  copy_block_comment();
 *	- tells of the end of the file where a string is not closed:
 *	  copy_string(), refuse_string();
 *	- takes the last line for an error if it is a comment without a newline:
 *	  copy_file().
 *
 * So the files are put together here, and libconfig gets one string.  The
 * scanner below knows as much of libconfig's grammar as that takes.
 */
#include "conf/conf_source.h"

#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_print.h"
#include "conf/conf_report.h"

enum { LINE_QUOTED_MAX = 60 };

/* Lines of the text that come from consecutive lines of one file. */
struct segment {
	unsigned first;			/* line of the text */
	struct conf_place place;	/* where that line comes from */
};

struct conf_source {
	char *text;
	size_t text_size;
	FILE *stream;			/* writes text until that is whole */
	unsigned line;			/* that the stream is in */

	char *dir;			/* what includes are relative to; "" or
					   ends in a slash */
	size_t taken;			/* bytes read from all files */
	bool stopped;			/* no sense in reading on */
	char last;			/* byte that is no blank or comment */

	struct segment *segments;
	size_t nsegments;
	char **files;			/* names, for as long as places live */
	size_t nfiles;

	struct conf_report *report;	/* borrowed while reading */
};

/* One file while it is copied into the text. */
struct scan {
	struct conf_source *source;
	const char *file;
	unsigned line;
	unsigned depth;			/* of includes; 0: the file itself */
	const char *start;
	const char *p;			/* the next byte to copy */
	const char *end;
};

static void include_file(struct conf_source *, const char *file,
    unsigned depth, const struct scan *from);

/* ---- reading ---- */

static int
open_for_reading(const char *path)
{
	struct stat st;
	int fd, error;

	/* Not to wait for a writer if this is a named pipe that has none. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		goto fail;
	}
	/* A pipe that does have one (-c /dev/stdin) is read to its end. */
	if (fcntl(fd, F_SETFL, 0) == -1)
		goto fail;
	return fd;

fail:
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/*
 * Read to the end of the file or one byte beyond max, and add a NUL.  Returns the
 * number of bytes, or -1 with errno set.
 */
static ssize_t
read_up_to(int fd, char *buf, size_t max)
{
	size_t have = 0;

	while (have <= max) {
		ssize_t n = read(fd, buf + have, max + 1 - have);

		if (n == 0)
			break;
		if (n > 0)
			have += (size_t)n;
		else if (errno != EINTR)
			return -1;
	}
	buf[have] = '\0';
	return (ssize_t)have;
}

/* As read_up_to(), for a path.  The caller frees *buf in any case. */
static ssize_t
read_path(const char *path, char **buf, size_t max)
{
	ssize_t len;
	int fd, error;

	*buf = NULL;
	fd = open_for_reading(path);
	if (fd == -1)
		return -1;
	*buf = conf_must(malloc(max + 2));
	len = read_up_to(fd, *buf, max);
	error = errno;
	close(fd);
	errno = error;
	return len;
}

/* ---- errors ---- */

/* A file that cannot be read is told where it is included. */
static void
cannot_read(struct conf_source *source, const char *file,
    const struct scan *from)
{
	const char *why = strerror(errno);

	if (from == NULL)
		conf_report_addf(source->report, file, 0, "cannot be read: %s",
		    why);
	else
		conf_report_addf(source->report, from->file, from->line,
		    "cannot include \"%s\": %s", file, why);
}

static void
too_large(struct conf_source *source, const char *file)
{
	conf_report_addf(source->report, file, 0, "this is too large: the "
	    "limit is %d bytes with all that is included", CONF_SOURCE_MAX);
	source->stopped = true;
}

static void
scan_error(const struct scan *scan, unsigned line, const char *text)
{
	conf_report_addf(scan->source->report, scan->file, line, "%s", text);
}

/* The line that holds a byte of a text: in quotes, without the blanks around
 * it, and cut if it is long.  The caller frees it. */
static char *
quote_line(const char *text, const char *at)
{
	char *trimmed, *quoted;
	size_t len, size;
	FILE *out;

	while (at > text && at[-1] != '\n')
		at--;
	at += strspn(at, " \t");
	len = strcspn(at, "\n");
	while (len > 0 && strchr(" \t\r", at[len - 1]) != NULL)
		len--;
	trimmed = conf_must(strndup(at, len));
	out = conf_must(open_memstream(&quoted, &size));
	conf_print_string(out, trimmed, LINE_QUOTED_MAX);
	if (fclose(out) == EOF)
		conf_lacks_memory();
	free(trimmed);
	return quoted;
}

/* ---- copying ---- */

static void
begin_segment(const struct scan *scan)
{
	struct conf_source *source = scan->source;

	source->segments = conf_must(reallocarray(source->segments,
	    source->nsegments + 1, sizeof(*source->segments)));
	source->segments[source->nsegments++] = (struct segment){
		.first = source->line,
		.place = { .file = scan->file, .line = scan->line },
	};
}

static void
copy_byte(struct scan *scan)
{
	if (*scan->p == '\n') {
		scan->line++;
		scan->source->line++;
	}
	putc(*scan->p++, scan->source->stream);
}

static bool
ahead(const struct scan *scan, const char *what)
{
	size_t len = strlen(what);

	return (size_t)(scan->end - scan->p) >= len &&
	    memcmp(scan->p, what, len) == 0;
}

/* libconfig drops this byte without a word. */
static bool
is_escaped_nul(const struct scan *scan)
{
	return ahead(scan, "\\x00") || ahead(scan, "\\X00");
}

static void
copy_string(struct scan *scan)
{
	unsigned line = scan->line;

	copy_byte(scan);
	while (scan->p < scan->end && *scan->p != '"') {
		if (is_escaped_nul(scan))
			scan_error(scan, scan->line,
			    "a string cannot hold a NUL byte");
		if (ahead(scan, "\\\\") || ahead(scan, "\\\""))
			copy_byte(scan);
		copy_byte(scan);
	}
	if (scan->p < scan->end)
		copy_byte(scan);
	else
		scan_error(scan, line,
		    "the string that begins here is never closed");
}

static void
copy_block_comment(struct scan *scan)
{
	unsigned line = scan->line;

	copy_byte(scan);
	copy_byte(scan);
	while (scan->p < scan->end && !ahead(scan, "*/"))
		copy_byte(scan);
	if (scan->p == scan->end) {
		scan_error(scan, line,
		    "the comment that begins here is never closed");
		return;
	}
	copy_byte(scan);
	copy_byte(scan);
}

static void
copy_line_comment(struct scan *scan)
{
	while (scan->p < scan->end && *scan->p != '\n')
		copy_byte(scan);
}

/* Whether a word is a number that libconfig would cut to 32 bits. */
static bool
needs_long(const char *word, size_t len)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	bool hex = len > 2 && word[0] == '0' && (word[1] | 0x20) == 'x';

	if (hex) {
		word += 2;
		len -= 2;
	}
	for (size_t i = 0; i < len; i++)
		if (memchr(digits, word[i], hex ? 22 : 10) == NULL)
			return false;
	while (len > 0 && *word == '0') {
		word++;
		len--;
	}
	if (hex)
		return len > 8;
	return len > 10 || (len == 10 && memcmp(word, "2147483647", 10) > 0);
}

static bool
in_word(char c)
{
	return isalnum((unsigned char)c) || c == '*' || c == '_' || c == '-';
}

/*
 * A name or a number, or a part of a number that has a point.  Whole numbers
 * get the L that they may lack.
 */
static void
copy_word(struct scan *scan)
{
	const char *word = scan->p;
	bool in_float = word > scan->start && word[-1] == '.';

	while (scan->p < scan->end && in_word(*scan->p))
		copy_byte(scan);
	in_float = in_float || ahead(scan, ".");
	if (!in_float && needs_long(word, (size_t)(scan->p - word)))
		putc('L', scan->source->stream);
}

/* A quote where no string can be: an earlier string was not closed.  libconfig
 * would tell of the end of the file. */
static void
refuse_string(struct scan *scan)
{
	char *near = quote_line(scan->start, scan->p);

	conf_report_addf(scan->source->report, scan->file, scan->line,
	    "syntax error near %s", near);
	free(near);
	scan->source->stopped = true;
}

static bool
string_may_follow(char last)
{
	return last != '\0' && strchr("=:([,\"", last) != NULL;
}

static void
copy_token(struct scan *scan)
{
	char first = *scan->p;

	if (first == '"' && !string_may_follow(scan->source->last))
		refuse_string(scan);
	else if (first == '"')
		copy_string(scan);
	else if (isalnum((unsigned char)first) || first == '*')
		copy_word(scan);
	else
		copy_byte(scan);
	scan->source->last = first;
}

static void
copy_next(struct scan *scan)
{
	if (ahead(scan, "/*"))
		copy_block_comment(scan);
	else if (*scan->p == '#' || ahead(scan, "//"))
		copy_line_comment(scan);
	else if (isspace((unsigned char)*scan->p))
		copy_byte(scan);
	else
		copy_token(scan);
}

/* ---- including ---- */

static size_t
count_blanks(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && (p[n] == ' ' || p[n] == '\t'))
		n++;
	return n;
}

/*
 * The name in an include that begins at p: after its opening quote, or NULL if
 * there is no include.  As in libconfig, only blanks stand before one.
 */
static const char *
find_include(const struct scan *scan)
{
	static const char word[] = "@include";
	const char *p = scan->p;
	size_t blanks;

	if (p > scan->start && p[-1] != '\n')
		return NULL;
	p += count_blanks(p, scan->end);
	if ((size_t)(scan->end - p) < strlen(word) ||
	    memcmp(p, word, strlen(word)) != 0)
		return NULL;
	p += strlen(word);
	blanks = count_blanks(p, scan->end);
	p += blanks;
	if (blanks == 0 || p == scan->end || *p != '"')
		return NULL;
	return p + 1;
}

/* Take the name of an include up to its closing quote; NULL without one. */
static char *
take_include_name(struct scan *scan)
{
	char *name = conf_must(malloc((size_t)(scan->end - scan->p) + 1));
	size_t len = 0;

	while (scan->p < scan->end && *scan->p != '"' && *scan->p != '\n') {
		if (ahead(scan, "\\\\") || ahead(scan, "\\\""))
			scan->p++;
		name[len++] = *scan->p++;
	}
	name[len] = '\0';
	if (scan->p < scan->end && *scan->p == '"') {
		scan->p++;
		return name;
	}
	free(name);
	return NULL;
}

/* The path of an include.  It lives as long as the source. */
static const char *
include_path(struct conf_source *source, const char *name)
{
	char *path;

	if (asprintf(&path, "%s%s", name[0] == '/' ? "" : source->dir,
	    name) == -1)
		conf_lacks_memory();
	source->files = conf_must(reallocarray(source->files,
	    source->nfiles + 1, sizeof(*source->files)));
	source->files[source->nfiles++] = path;
	return path;
}

static void
include(struct scan *scan)
{
	char *name = take_include_name(scan);

	if (name == NULL) {
		scan_error(scan, scan->line,
		    "the name of the include is never closed");
		return;
	}
	if (scan->depth == CONF_INCLUDE_DEPTH_MAX)
		scan_error(scan, scan->line, "includes are nested too deep; "
		    "does a file include itself?");
	else
		include_file(scan->source, include_path(scan->source, name),
		    scan->depth + 1, scan);
	free(name);
	begin_segment(scan);
}

static bool
has_nul(const struct scan *scan)
{
	size_t len = (size_t)(scan->end - scan->start);
	const char *nul = memchr(scan->start, '\0', len);
	unsigned line = 1;

	if (nul == NULL)
		return false;
	for (const char *p = scan->start; p < nul; p++)
		line += *p == '\n';
	scan_error(scan, line, "this is not text: it holds a NUL byte");
	return true;
}

static void
copy_file(struct scan *scan)
{
	begin_segment(scan);
	while (scan->p < scan->end && !scan->source->stopped) {
		const char *name = find_include(scan);

		if (name == NULL) {
			copy_next(scan);
			continue;
		}
		scan->p = name;
		include(scan);
	}
	/* What follows an include begins on a line of its own. */
	if (scan->p > scan->start && scan->p[-1] != '\n') {
		putc('\n', scan->source->stream);
		scan->source->line++;
	}
}

/* Put the content of a file, which ends with a NUL, into the text. */
static void
include_content(struct conf_source *source, const char *file, unsigned depth,
    const char *content, size_t len)
{
	struct scan scan = {
		.source = source, .file = file, .line = 1, .depth = depth,
		.start = content, .p = content, .end = content + len,
	};

	if (len > CONF_SOURCE_MAX - source->taken) {
		too_large(source, file);
		return;
	}
	source->taken += len;
	if (!has_nul(&scan))
		copy_file(&scan);
}

/* Read a file and put it into the text.  from is where it is included, or
 * NULL. */
static void
include_file(struct conf_source *source, const char *file, unsigned depth,
    const struct scan *from)
{
	char *content = NULL;
	ssize_t len;

	len = read_path(file, &content, CONF_SOURCE_MAX - source->taken);
	if (len == -1)
		cannot_read(source, file, from);
	else
		include_content(source, file, depth, content, (size_t)len);
	free(content);
}

/* ---- the whole ---- */

static char *
directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;

	return conf_must(strndup(path, len));
}

struct conf_source *
conf_source_read(const char *path, const char *text,
    struct conf_report *report)
{
	struct conf_source *source = conf_must(calloc(1, sizeof(*source)));
	size_t nerrors = report->nerrors;

	source->dir = directory_of(path);
	source->line = 1;
	source->report = report;
	source->stream = conf_must(open_memstream(&source->text,
	    &source->text_size));
	/* The name outlives the caller's. */
	source->files = conf_must(calloc(1, sizeof(*source->files)));
	source->files[source->nfiles++] = conf_must(strdup(path));
	if (text != NULL)
		include_content(source, source->files[0], 0, text,
		    strlen(text));
	else
		include_file(source, source->files[0], 0, NULL);
	if (fclose(source->stream) == EOF)
		conf_lacks_memory();
	if (source->report->nerrors > nerrors) {
		conf_source_free(source);
		return NULL;
	}
	source->report = NULL;
	return source;
}

void
conf_source_free(struct conf_source *source)
{
	for (size_t i = 0; i < source->nfiles; i++)
		free(source->files[i]);
	free(source->files);
	free(source->segments);
	free(source->dir);
	free(source->text);
	free(source);
}

const char *
conf_source_text(const struct conf_source *source)
{
	return source->text;
}

/* An error at the very end stands after the last newline: take that line. */
static unsigned
clamp_line(const struct conf_source *source, unsigned line)
{
	return line >= source->line && source->line > 1 ?
	    source->line - 1 : line;
}

struct conf_place
conf_source_place(const struct conf_source *source, unsigned line)
{
	const struct segment *segment = &source->segments[0];
	struct conf_place place = segment->place;

	if (line == 0) {
		place.line = 0;
		return place;
	}
	line = clamp_line(source, line);
	for (size_t i = 1; i < source->nsegments; i++) {
		if (source->segments[i].first > line)
			break;
		segment = &source->segments[i];
	}
	place = segment->place;
	place.line += line - segment->first;
	return place;
}

static const char *
line_start(const struct conf_source *source, unsigned line)
{
	const char *p = source->text;

	for (unsigned n = 1; n < line; n++) {
		const char *newline = strchr(p, '\n');

		if (newline == NULL)
			break;
		p = newline + 1;
	}
	return p;
}

static const char *
previous_line(const struct conf_source *source, const char *line)
{
	const char *p = line - 1;	/* its newline */

	while (p > source->text && p[-1] != '\n')
		p--;
	return p;
}

char *
conf_source_line(const struct conf_source *source, unsigned line)
{
	return quote_line(source->text,
	    line_start(source, clamp_line(source, line)));
}

unsigned
conf_source_find_string(const struct conf_source *source, unsigned first,
    unsigned last, const char *string)
{
	const char *p = line_start(source, last);
	unsigned line, found = last;
	char *quoted;

	if (asprintf(&quoted, "\"%s\"", string) == -1)
		conf_lacks_memory();
	for (line = last; line >= first; line--) {
		if (memmem(p, strcspn(p, "\n"), quoted, strlen(quoted))) {
			found = line;
			break;
		}
		if (p == source->text)
			break;
		p = previous_line(source, p);
	}
	free(quoted);
	return found;
}
