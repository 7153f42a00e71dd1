/* SPDX-License-Identifier: ISC */
#include "common/http_head.h"

#include <endian.h>
#include <string.h>
#include <strings.h>

#include "common/http_accept.h"
#include "common/http_authority.h"
#include "common/http_method.h"
#include "conf/conf.h"

enum {
	/* The method, two spaces and the version of a request line. */
	LINE_REST_MAX = 64,
	VERSION_LEN = 8,		/* "HTTP/1.1" */
};

/* What a byte of a header is. */
enum {
	IS_TOKEN = 1,			/* of methods and names of fields */
	IS_TARGET = 2,			/* of a request's target */
	IS_CONTROL = 4,			/* of none, but for line ends and tabs */
};

/* A target may have every printable byte of ASCII but "#": more than RFC 3986
 * lists, as browsers send some of the others. */
static const uint8_t kinds[256] = {
	[0 ... 8] = IS_CONTROL, [10 ... 31] = IS_CONTROL, [127] = IS_CONTROL,
	['0' ... '9'] = IS_TOKEN | IS_TARGET,
	['A' ... 'Z'] = IS_TOKEN | IS_TARGET,
	['a' ... 'z'] = IS_TOKEN | IS_TARGET,
	['!'] = IS_TOKEN | IS_TARGET, ['"'] = IS_TARGET, ['#'] = IS_TOKEN,
	['$'] = IS_TOKEN | IS_TARGET, ['%'] = IS_TOKEN | IS_TARGET,
	['&'] = IS_TOKEN | IS_TARGET, ['\''] = IS_TOKEN | IS_TARGET,
	['('] = IS_TARGET, [')'] = IS_TARGET,
	['*'] = IS_TOKEN | IS_TARGET, ['+'] = IS_TOKEN | IS_TARGET,
	[','] = IS_TARGET,
	['-'] = IS_TOKEN | IS_TARGET, ['.'] = IS_TOKEN | IS_TARGET,
	['/'] = IS_TARGET, [':'] = IS_TARGET, [';'] = IS_TARGET,
	['<'] = IS_TARGET, ['='] = IS_TARGET, ['>'] = IS_TARGET,
	['?'] = IS_TARGET, ['@'] = IS_TARGET, ['['] = IS_TARGET,
	['\\'] = IS_TARGET, [']'] = IS_TARGET,
	['^'] = IS_TOKEN | IS_TARGET, ['_'] = IS_TOKEN | IS_TARGET,
	['`'] = IS_TOKEN | IS_TARGET, ['{'] = IS_TARGET,
	['|'] = IS_TOKEN | IS_TARGET, ['}'] = IS_TARGET,
	['~'] = IS_TOKEN | IS_TARGET,
};

static bool
all_are(const char *bytes, size_t len, uint8_t kind)
{
	for (size_t i = 0; i < len; i++)
		if ((kinds[(uint8_t)bytes[i]] & kind) == 0)
			return (false);
	return (true);
}

bool
http_is_token(const char *bytes, size_t len)
{
	return (len > 0 && all_are(bytes, len, IS_TOKEN));
}

/*
 * The end of the header.
 */

/* Check the length of a header so far.  Returns 0 or a status. */
static unsigned
check_size(const struct conf_http *conf, size_t len, bool is_first_line)
{
	if (is_first_line && len > conf->max_target_size + LINE_REST_MAX)
		return (HTTP_414);
	if (len > conf->max_header_size)
		return (is_first_line ? HTTP_414 : HTTP_431);
	return (0);
}

/* Check the version of a request line.  A later 1.x is served as 1.1: RFC 9110,
 * 2.5.  Returns 0 or a status. */
static unsigned
check_version(const char *version)
{
	if (memcmp(version, "HTTP/", 5) != 0 || version[6] != '.' ||
	    version[5] < '0' || version[5] > '9' ||
	    version[7] < '0' || version[7] > '9')
		return (HTTP_400);
	return (version[5] == '1' ? 0 : HTTP_505);
}

/* Check the request line, which ends with the LF at the end of the bytes.  It
 * is checked at once, because a client of another protocol, such as HTTP/0.9,
 * may never send the end of a header.  Returns 0 or a status. */
static unsigned
check_request_line(const uint8_t *bytes, size_t len)
{
	const char *line = (const char *)bytes, *space, *version;
	size_t line_len = len - 2, target_len;

	if ((space = memchr(line, ' ', line_len)) == NULL ||
	    !http_is_token(line, (size_t)(space - line)))
		return (HTTP_400);
	if (line_len < (size_t)(space - line) + 3 + VERSION_LEN)
		return (HTTP_400);
	version = line + line_len - VERSION_LEN;
	target_len = (size_t)(version - space) - 2;
	if (version[-1] != ' ' || !all_are(space + 1, target_len, IS_TARGET))
		return (HTTP_400);
	return (check_version(version));
}

/*
 * Check the byte at a place, with the bytes before it.  Returns 0 or a status.
 * Every byte is checked once, so the result does not depend on the pieces in
 * which a header comes.
 */
static unsigned
check_byte(const uint8_t *bytes, size_t at, const struct conf_http *conf,
    bool *is_first_line)
{
	uint8_t byte = bytes[at], before = at > 0 ? bytes[at - 1] : 0;
	unsigned status;

	if (before == '\r' && byte != '\n')
		return (HTTP_400);
	if (byte == '\n') {
		if (before != '\r')
			return (HTTP_400);
		if (*is_first_line &&
		    (status = check_request_line(bytes, at + 1)) != 0)
			return (status);
		*is_first_line = false;
	} else if ((kinds[byte] & IS_CONTROL) != 0 && byte != '\r')
		return (HTTP_400);
	/* A line that continues the previous one, or a field without a name. */
	if (before == '\n' && (byte == ' ' || byte == '\t' || byte == ':'))
		return (HTTP_400);
	return (check_size(conf, at + 1, *is_first_line));
}

/* Eight bytes at once, each the same. */
#define EIGHT(byte)	(UINT64_C(0x0101010101010101) * (byte))

/* The first of eight bytes that is below 32 or equal to 127; or 8.  A byte is
 * below n if subtracting n sets its top bit, which was not set before; a borrow
 * from later bytes does not matter. */
static size_t
find_control(const uint8_t *bytes)
{
	uint64_t eight, deleted, found;

	memcpy(&eight, bytes, sizeof(eight));
	eight = le64toh(eight);
	deleted = eight ^ EIGHT(127);
	found = (((eight - EIGHT(32)) & ~eight) |
	    ((deleted - EIGHT(1)) & ~deleted)) & EIGHT(128);
	return (found == 0 ? 8 : (size_t)__builtin_ctzll(found) / 8);
}

/* Skip to the next control character. */
static size_t
skip_text(const uint8_t *bytes, size_t at, size_t len)
{
	for (size_t n = 8; n == 8 && at + 8 <= len; at += n)
		n = find_control(bytes + at);
	while (at < len && (kinds[bytes[at]] & IS_CONTROL) == 0)
		at++;
	return (at);
}

/* Whether a line ends there, and the next one begins with the name of a
 * field. */
static bool
is_next_field(const uint8_t *bytes, size_t at, size_t len)
{
	return (at + 2 < len && bytes[at] == '\r' && bytes[at + 1] == '\n' &&
	    (kinds[bytes[at + 2]] & IS_TOKEN) != 0);
}

/* After a byte that is not a control character, skip the bytes that
 * check_byte() accepts. */
static size_t
skip_plain(const uint8_t *bytes, size_t at, size_t len,
    const struct conf_http *conf, bool is_first_line)
{
	size_t limit = conf->max_header_size;

	if (is_first_line && limit > conf->max_target_size)
		limit = conf->max_target_size;
	if (len > limit)
		len = limit;
	if ((kinds[bytes[at - 1]] & IS_CONTROL) != 0)
		return (at);
	at = skip_text(bytes, at, len);
	while (!is_first_line && is_next_field(bytes, at, len))
		at = skip_text(bytes, at + 3, len);
	return (at);
}

size_t
http_head_find(const uint8_t *bytes, size_t len, const struct conf_http *conf,
    size_t *scanned, unsigned *status)
{
	size_t at = *scanned;
	bool is_first_line = memchr(bytes, '\n', at) == NULL;

	*status = 0;
	while (*status == 0 && at < len) {
		*status = check_byte(bytes, at, conf, &is_first_line);
		at++;
		if (*status == 0 && at >= 4 && bytes[at - 1] == '\n' &&
		    memcmp(bytes + at - 4, "\r\n\r\n", 4) == 0)
			return (at);
		at = skip_plain(bytes, at, len, conf, is_first_line);
	}
	*scanned = at;
	return (0);
}

/*
 * What it says.
 */

/* A header while it is read. */
struct reading {
	struct http_head *head;
	const struct conf_http *conf;
	struct http_slice authority;	/* of a target in absolute form */
	struct http_accept accept;
	unsigned nheaders;
	unsigned nhosts;
	unsigned nlengths;
	unsigned ncodings;		/* that are named, in all fields */
	unsigned nchunked;		/* of these */
	bool is_chunked_last;
	bool is_host_good;
	bool has_bad_coding;		/* or none, where one has to be */
	bool says_close;
	bool says_keep_alive;
	bool has_expect;
	bool expects_more;		/* than we know of */
};

static void
read_connection(struct reading *reading, struct http_slice list)
{
	struct http_slice token;

	while (http_slice_next(&list, ',', false, &token)) {
		reading->says_close |= http_slice_is(token, "close");
		reading->says_keep_alive |= http_slice_is(token, "keep-alive");
	}
}

static unsigned
read_length(struct reading *reading, struct http_slice value)
{
	uint64_t length = 0;

	reading->nlengths++;
	if (value.len == 0)
		return (HTTP_400);
	for (size_t i = 0; i < value.len; i++) {
		unsigned digit = (unsigned)(value.bytes[i] - '0');

		if (digit > 9 || length > (UINT64_MAX - digit) / 10)
			return (HTTP_400);
		length = length * 10 + digit;
	}
	reading->head->body_len = length;
	return (0);
}

/* Several fields are one list: RFC 9110, 5.3. */
static void
read_codings(struct reading *reading, struct http_slice list)
{
	struct http_slice coding;

	while (http_slice_next(&list, ',', false, &coding)) {
		reading->ncodings++;
		reading->is_chunked_last = http_slice_is(coding, "chunked");
		reading->nchunked += reading->is_chunked_last;
		reading->has_bad_coding |=
		    !http_is_token(coding.bytes, coding.len);
	}
}

static void
read_expect(struct reading *reading, struct http_slice value)
{
	reading->has_expect = true;
	reading->expects_more |= !http_slice_is(value, "100-continue");
}

/* There is to be one: W3C Trace Context, 4.3. */
static void
read_traceparent(struct reading *reading, struct http_slice value)
{
	struct http_slice *traceparent = &reading->head->traceparent;

	if (traceparent->bytes != NULL)
		value.len = 0;
	*traceparent = value;
}

/* An id that may not be one is as good as none. */
static void
read_request_id(struct reading *reading, struct http_slice value)
{
	char *id = reading->head->exchange.base.id;

	if (value.len > EXCHANGE_ID_MAX ||
	    !http_is_token(value.bytes, value.len))
		return;
	memcpy(id, value.bytes, value.len);
	id[value.len] = '\0';
}

/* The fields that this server itself has to know.  Returns 0 or a status. */
static unsigned
read_known(struct reading *reading, struct http_slice name,
    struct http_slice value)
{
	switch (name.len) {
	case 4:
		if (!http_slice_is(name, "host"))
			break;
		reading->nhosts++;
		reading->head->host = value;
		/* Where there is no host to name, it is to be empty. */
		reading->is_host_good = value.len == 0 ||
		    http_is_authority(value);
		break;
	case 6:
		if (http_slice_is(name, "accept"))
			http_accept_read(&reading->accept, value);
		else if (http_slice_is(name, "expect"))
			read_expect(reading, value);
		break;
	case 7:
		if (http_slice_is(name, "referer"))
			reading->head->referer = value;
		break;
	case 10:
		if (http_slice_is(name, "connection"))
			read_connection(reading, value);
		else if (http_slice_is(name, "user-agent"))
			reading->head->agent = value;
		break;
	case 11:
		if (http_slice_is(name, "traceparent"))
			read_traceparent(reading, value);
		break;
	case 12:
		if (http_slice_is(name, "x-request-id"))
			read_request_id(reading, value);
		break;
	case 14:
		if (http_slice_is(name, "content-length"))
			return (read_length(reading, value));
		break;
	case 17:
		if (http_slice_is(name, "transfer-encoding"))
			read_codings(reading, value);
		break;
	}
	return (0);
}

/* And those that handlers see.  Returns 0 or a status. */
static unsigned
keep_wanted(struct reading *reading, struct http_slice name,
    struct http_slice value)
{
	char *const *wanted = reading->conf->fields;
	struct http_head *head = reading->head;

	for (unsigned i = 0; wanted != NULL && wanted[i] != NULL; i++) {
		if (!http_slice_is(name, wanted[i]))
			continue;
		if (head->nfields == HTTP_FIELDS_MAX)
			return (HTTP_431);
		head->fields[head->nfields++] = (struct http_field){
			.number = i, .value = value,
		};
	}
	return (0);
}

/* One line, without its end.  Returns 0 or a status. */
static unsigned
read_field(struct reading *reading, const char *line, size_t len)
{
	struct http_slice name = { line, 0 }, value;
	unsigned status;

	/* No space may be before the colon. */
	while (name.len < len && (kinds[(uint8_t)line[name.len]] & IS_TOKEN) !=
	    0)
		name.len++;
	if (name.len == 0 || name.len == len || line[name.len] != ':')
		return (HTTP_400);
	if (++reading->nheaders > reading->conf->max_headers)
		return (HTTP_431);
	value = http_slice_trim((struct http_slice){ line + name.len + 1,
	    len - name.len - 1 });
	if ((status = read_known(reading, name, value)) != 0)
		return (status);
	return (keep_wanted(reading, name, value));
}

/* Read all lines after the first; each has its end, and the last one is empty.
 * Returns 0 or a status. */
static unsigned
read_fields(struct reading *reading, const char *at, const char *end)
{
	const char *cr;
	unsigned status;

	for (; at < end - 2; at = cr + 2) {
		cr = memchr(at, '\r', (size_t)(end - at));
		status = read_field(reading, at, (size_t)(cr - at));
		if (status != 0)
			return (status);
	}
	return (0);
}

/*
 * Checks of the whole header.
 */

/* In the list of codings, chunked has to be the last one and occur once; others
 * are not supported: RFC 9112, 6.1 and 6.3. */
static unsigned
check_codings(const struct reading *reading)
{
	if (reading->head->exchange.is_10 || reading->has_bad_coding)
		return (HTTP_400);
	if (reading->nchunked > 1 ||
	    (reading->nchunked == 1 && !reading->is_chunked_last))
		return (HTTP_400);
	return (reading->ncodings == reading->nchunked ? 0 : HTTP_501);
}

/* Find the length of the body, which has to be unambiguous.  Without a field
 * for it there is no body. */
static unsigned
check_body(struct reading *reading)
{
	struct http_head *head = reading->head;
	unsigned status;

	if (reading->nlengths > 1 ||
	    (reading->nlengths > 0 && reading->ncodings > 0))
		return (HTTP_400);
	if (reading->ncodings > 0) {
		if ((status = check_codings(reading)) != 0)
			return (status);
		head->body = HTTP_BODY_CHUNKED;
	} else if (head->body_len > 0)
		head->body = HTTP_BODY_LENGTH;
	return (0);
}

/* The path in an absolute form, from where its authority begins. */
static bool
skip_authority(struct http_slice *rest, struct http_slice *authority)
{
	size_t len = 0;

	while (len < rest->len && rest->bytes[len] != '/' &&
	    rest->bytes[len] != '?')
		len++;
	*authority = (struct http_slice){ rest->bytes, len };
	if (!http_is_authority(*authority))
		return (false);
	rest->bytes += len;
	rest->len -= len;
	return (true);
}

/* Leave in the slice what begins with the path.  Returns false if it is no
 * target. */
static bool
skip_scheme(struct http_slice *rest, struct http_slice *authority)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(schemes[i]);

		if (rest->len < len || !http_slice_is((struct http_slice){
		    rest->bytes, len }, schemes[i]))
			continue;
		rest->bytes += len;
		rest->len -= len;
		return (skip_authority(rest, authority));
	}
	return (false);
}

static bool
is_head(struct http_slice method)
{
	return (method.len == 4 && memcmp(method.bytes, "HEAD", 4) == 0);
}

static bool
is_options(const struct http_head *head)
{
	return (head->method.len == 7 &&
	    memcmp(head->method.bytes, "OPTIONS", 7) == 0);
}

static void
split_query(struct http_head *head, struct http_slice rest)
{
	const char *mark = memchr(rest.bytes, '?', rest.len);

	head->path = rest;
	if (mark != NULL) {
		head->path.len = (size_t)(mark - rest.bytes);
		head->query.bytes = mark + 1;
		head->query.len = rest.len - head->path.len - 1;
	}
	if (head->path.len == 0)
		head->path = (struct http_slice){ "/", 1 };
}

/* The host of an absolute form counts, whatever the field says: RFC 9112,
 * 3.2.2. */
static unsigned
overrule_host(struct reading *reading)
{
	struct http_head *head = reading->head;
	char *const *wanted = reading->conf->fields;

	head->host = reading->authority;
	for (unsigned i = 0; i < head->nfields; i++)
		if (strcasecmp(wanted[head->fields[i].number], "host") == 0) {
			head->fields[i].value = reading->authority;
			return (0);
		}
	/* In HTTP/1.0 there may have been none. */
	return (keep_wanted(reading, (struct http_slice){ "host", 4 },
	    reading->authority));
}

static unsigned
check_target(struct reading *reading)
{
	struct http_head *head = reading->head;
	struct http_slice rest = head->target;

	if (rest.len > reading->conf->max_target_size)
		return (HTTP_414);
	if (rest.len == 1 && *rest.bytes == '*') {
		head->path = rest;
		return (is_options(head) ? 0 : HTTP_400);
	}
	if (rest.len == 0 || (*rest.bytes != '/' &&
	    !skip_scheme(&rest, &reading->authority)))
		return (HTTP_400);
	split_query(head, rest);
	return (reading->authority.len > 0 ? overrule_host(reading) : 0);
}

static unsigned
check_fields(const struct reading *reading)
{
	const struct http_head *head = reading->head;

	if (reading->nhosts > 1 ||
	    (reading->nhosts == 0 && !head->exchange.is_10) ||
	    (reading->nhosts == 1 && !reading->is_host_good))
		return (HTTP_400);
	return (0);
}

/* An expectation of HTTP/1.0 is to be ignored. */
static unsigned
check_expectation(struct reading *reading)
{
	if (reading->head->exchange.is_10)
		return (0);
	reading->head->expects = reading->has_expect;
	return (reading->expects_more ? HTTP_417 : 0);
}

/* Read the request line, which was checked before.  Returns where the next line
 * begins. */
static const char *
read_line(struct http_head *head, const char *line)
{
	const char *space = strchr(line, ' '), *end = strchr(space, '\r');

	head->method = (struct http_slice){ line, (size_t)(space - line) };
	head->target = (struct http_slice){ space + 1,
	    (size_t)(end - space) - 2 - VERSION_LEN };
	head->exchange.is_10 = end[-1] == '0';
	head->exchange.is_head = is_head(head->method);
	return (end + 2);
}

static unsigned
read_all(struct reading *reading, const char *bytes, size_t len)
{
	struct http_head *head = reading->head;
	const char *fields = read_line(head, bytes);
	unsigned status;

	if ((status = read_fields(reading, fields, bytes + len)) != 0)
		return (status);
	head->exchange.wants_json = http_accept_wants_json(&reading->accept);
	if (!http_method_is_known(head->method.bytes, head->method.len))
		return (HTTP_501);
	if ((status = check_target(reading)) != 0 ||
	    (status = check_fields(reading)) != 0 ||
	    (status = check_body(reading)) != 0)
		return (status);
	return (check_expectation(reading));
}

/* Clear it, but for the slots of the fields. */
static void
clear(struct http_head *head)
{
	memset(head, 0, offsetof(struct http_head, fields));
}

unsigned
http_head_parse(struct http_head *head, const uint8_t *bytes, size_t len,
    const struct conf_http *conf)
{
	struct reading reading = { .head = head, .conf = conf };
	unsigned status;

	clear(head);
	status = read_all(&reading, (const char *)bytes, len);
	head->exchange.base.close = status != 0 || reading.says_close ||
	    (head->exchange.is_10 && !reading.says_keep_alive);
	head->exchange.status = (uint16_t)status;
	return (status);
}

void
http_head_glimpse(struct http_head *head, const uint8_t *bytes, size_t len)
{
	const char *line = (const char *)bytes, *space, *target;
	size_t n = 0;

	clear(head);
	if ((space = memchr(line, ' ', len)) == NULL ||
	    !http_is_token(line, (size_t)(space - line))) {
		head->exchange.base.is_unread = true;
		return;
	}
	head->method = (struct http_slice){ line, (size_t)(space - line) };
	head->exchange.is_head = is_head(head->method);
	target = space + 1;
	len -= (size_t)(target - line);
	while (n < len && (kinds[(uint8_t)target[n]] & IS_TARGET) != 0)
		n++;
	head->target = (struct http_slice){ target, n };
	head->exchange.is_10 = len - n >= VERSION_LEN + 2 &&
	    memcmp(target + n, " HTTP/1.0\r", VERSION_LEN + 2) == 0;
}
