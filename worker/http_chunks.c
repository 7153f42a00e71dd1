/* SPDX-License-Identifier: ISC */
#include "worker/http_chunks.h"

#include <string.h>

#include "common/http_head.h"

enum {
	/* Bytes of a line after the last chunk. */
	TRAILER_LINE_MAX = 8192,
};

/* Fields that may not be in a trailer: they say where a message ends, how to
 * route, read or handle it, or who sent it. */
static const char *const forbidden[] = {
	"authorization", "cache-control", "connection", "content-encoding",
	"content-length", "content-range", "content-type", "cookie", "expect",
	"host", "if-match", "if-modified-since", "if-none-match", "if-range",
	"if-unmodified-since", "keep-alive", "max-forwards", "pragma",
	"proxy-authenticate", "proxy-authorization", "proxy-connection",
	"range", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
	"www-authenticate", NULL
};

/*
 * Lines.
 */

/* The line that begins after the bytes that were scanned, without its end.
 * Returns 0, the status of the reply if it is malformed, or -1 if its rest has
 * not come. */
static int
find_line(const uint8_t *bytes, size_t len, const struct proto_progress *progress,
    size_t max, struct http_slice *line)
{
	const char *begin = (const char *)bytes + progress->scanned;
	size_t left = len - progress->scanned;
	const char *lf = memchr(begin, '\n', left < max ? left : max);

	if (lf == NULL)
		return (left < max ? -1 : HTTP_400);
	if (lf == begin || lf[-1] != '\r')
		return (HTTP_400);
	*line = (struct http_slice){ begin, (size_t)(lf - begin) - 1 };
	return (0);
}

/* The line has been read.  Returns the status if there is too much around too
 * little data; all of it may take as much memory as the largest message. */
static unsigned
pass_line(struct proto_progress *progress, struct http_slice line,
    const struct conf_listener *conf, unsigned status)
{
	progress->scanned += line.len + 2;
	progress->framing_len += line.len + 2;
	if (progress->framing_len + progress->body_len <=
	    conf->max_message_size)
		return (0);
	return (progress->framing_len > conf->http.max_header_size +
	    progress->body_len ? status : 0);
}

/* A control character, which another reader might take for a line end. */
static bool
has_control(struct http_slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (((uint8_t)text.bytes[i] < ' ' && text.bytes[i] != '\t') ||
		    text.bytes[i] == 0x7f)
			return (true);
	return (false);
}

/*
 * The line before a chunk.
 */

static void
skip_bytes(struct http_slice *rest, size_t n)
{
	rest->bytes += n;
	rest->len -= n;
}

static bool
skip_token(struct http_slice *rest)
{
	size_t n = 0;

	while (n < rest->len && http_is_token(rest->bytes + n, 1))
		n++;
	skip_bytes(rest, n);
	return (n > 0);
}

/* A quoted string: RFC 9110, 5.6.4.  Control characters have been refused with
 * the line. */
static bool
skip_quoted(struct http_slice *rest)
{
	for (size_t n = 1; n < rest->len; n++) {
		if (rest->bytes[n] == '"') {
			skip_bytes(rest, n + 1);
			return (true);
		}
		if (rest->bytes[n] == '\\')
			n++;
	}
	return (false);
}

static void
skip_blanks(struct http_slice *rest)
{
	while (rest->len > 0 && (*rest->bytes == ' ' || *rest->bytes == '\t'))
		skip_bytes(rest, 1);
}

/* A name, and perhaps a value, a token or a quoted string.  Blanks are allowed
 * around the "=", but not at the end. */
static bool
skip_extension(struct http_slice *rest)
{
	struct http_slice value;

	skip_blanks(rest);
	if (!skip_token(rest))
		return (false);
	value = *rest;
	skip_blanks(&value);
	if (value.len == 0 || *value.bytes != '=')
		return (true);
	skip_bytes(&value, 1);
	skip_blanks(&value);
	*rest = value;
	if (rest->len > 0 && *rest->bytes == '"')
		return (skip_quoted(rest));
	return (skip_token(rest));
}

/* Any number of them, each after a ";", which blanks may precede: RFC 9112,
 * 7.1.1. */
static bool
are_extensions(struct http_slice rest)
{
	while (rest.len > 0) {
		skip_blanks(&rest);
		if (rest.len == 0 || *rest.bytes != ';')
			return (false);
		skip_bytes(&rest, 1);
		if (!skip_extension(&rest))
			return (false);
	}
	return (true);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

static bool
read_size(struct http_slice line, uint64_t *size)
{
	size_t n = 0;

	*size = 0;
	for (; n < line.len && hex_digit(line.bytes[n]) != -1; n++) {
		if (*size > INT64_MAX >> 4)
			return (false);
		*size = *size << 4 | (unsigned)hex_digit(line.bytes[n]);
	}
	skip_bytes(&line, n);
	return (n > 0 && !has_control(line) &&
	    are_extensions(line));
}

static int
read_chunk_line(const uint8_t *bytes, size_t len,
    const struct conf_listener *conf, struct proto_progress *progress)
{
	struct http_slice line;
	uint64_t size;
	int status;

	status = find_line(bytes, len, progress, conf->http.max_header_size,
	    &line);
	if (status != 0)
		return (status);
	if (!read_size(line, &size))
		return (HTTP_400);
	/* A limit can be less than it was when the body began: after a
	 * reload. */
	if (progress->body_len > conf->max_message_size ||
	    size > conf->max_message_size - progress->body_len)
		return (HTTP_413);
	progress->chunk_left = size;
	progress->phase = size > 0 ? HTTP_PHASE_DATA : HTTP_PHASE_TRAILER;
	return ((int)pass_line(progress, line, conf, HTTP_413));
}

/*
 * Data.
 */

static int
read_data(uint8_t *bytes, size_t len, struct proto_progress *progress)
{
	uint8_t *end = bytes + progress->head_len + progress->body_len;
	size_t n = len - progress->scanned;

	if (n == 0)
		return (-1);
	if (n > progress->chunk_left)
		n = progress->chunk_left;
	memmove(end, bytes + progress->scanned, n);
	progress->scanned += n;
	progress->body_len += n;
	progress->chunk_left -= n;
	if (progress->chunk_left == 0)
		progress->phase = HTTP_PHASE_DATA_END;
	return (0);
}

static int
read_data_end(const uint8_t *bytes, size_t len, struct proto_progress *progress)
{
	size_t left = len - progress->scanned;

	if (left > 0 && bytes[progress->scanned] != '\r')
		return (HTTP_400);
	if (left < 2)
		return (-1);
	if (bytes[progress->scanned + 1] != '\n')
		return (HTTP_400);
	progress->scanned += 2;
	progress->framing_len += 2;
	progress->phase = HTTP_PHASE_CHUNK;
	return (0);
}

/*
 * The lines after the last chunk.
 */

static bool
is_good_trailer(struct http_slice line)
{
	const char *colon = memchr(line.bytes, ':', line.len);
	struct http_slice name;

	if (colon == NULL || has_control(line))
		return (false);
	name = (struct http_slice){ line.bytes, (size_t)(colon - line.bytes) };
	if (!http_is_token(name.bytes, name.len))
		return (false);
	for (size_t i = 0; forbidden[i] != NULL; i++)
		if (http_slice_is(name, forbidden[i]))
			return (false);
	return (true);
}

/* A trailer is checked, and then forgotten. */
static int
read_trailer(const uint8_t *bytes, size_t len,
    const struct conf_listener *conf, struct proto_progress *progress)
{
	struct http_slice line;
	int status;

	status = find_line(bytes, len, progress, TRAILER_LINE_MAX, &line);
	if (status != 0)
		return (status);
	if (line.len == 0)
		progress->phase = HTTP_PHASE_WHOLE;
	else if (!is_good_trailer(line))
		return (HTTP_400);
	return ((int)pass_line(progress, line, conf, HTTP_431));
}

/* Read what comes next.  Returns 0, a status, or -1 to wait for more. */
static int
read_next(uint8_t *bytes, size_t len, const struct conf_listener *conf,
    struct proto_progress *progress)
{
	switch ((enum http_phase)progress->phase) {
	case HTTP_PHASE_CHUNK:
		return (read_chunk_line(bytes, len, conf, progress));
	case HTTP_PHASE_DATA:
		return (read_data(bytes, len, progress));
	case HTTP_PHASE_DATA_END:
		return (read_data_end(bytes, len, progress));
	case HTTP_PHASE_TRAILER:
		return (read_trailer(bytes, len, conf, progress));
	case HTTP_PHASE_HEADER:
	case HTTP_PHASE_LENGTH:
	case HTTP_PHASE_WHOLE:
		break;
	}
	return (-1);
}

unsigned
http_chunks_read(uint8_t *bytes, size_t len, const struct conf_listener *conf,
    struct proto_progress *progress)
{
	int status;

	do {
		status = read_next(bytes, len, conf, progress);
	} while (status == 0);
	return (status > 0 ? (unsigned)status : 0);
}
