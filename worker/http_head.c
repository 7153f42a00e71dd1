/* SPDX-License-Identifier: ISC */
#include "worker/http_head.h"

#include <endian.h>
#include <llhttp.h>
#include <string.h>
#include <strings.h>

#include "worker/http_route.h"

enum {
	/* The method, two spaces and the version of a request line. */
	LINE_REST_MAX = 64,
	VERSION_LEN = 8,		/* "HTTP/1.1" */
};

/* What a byte of a header is. */
enum {
	IS_TOKEN = 1,			/* of methods and names of fields */
	IS_TARGET = 2,			/* of a request's target */
	IS_HOST = 4,			/* of a Host field */
	IS_CONTROL = 8,			/* of none, but for line ends and tabs */
};

static const uint8_t kinds[256] = {
	[0 ... 8] = IS_CONTROL, [10 ... 31] = IS_CONTROL, [127] = IS_CONTROL,
	['0' ... '9'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['A' ... 'Z'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['a' ... 'z'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['!'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['"'] = IS_TARGET,
	['#'] = IS_TOKEN,
	['$'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['%'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['&'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['\''] = IS_TOKEN | IS_TARGET | IS_HOST,
	['('] = IS_TARGET | IS_HOST, [')'] = IS_TARGET | IS_HOST,
	['*'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['+'] = IS_TOKEN | IS_TARGET | IS_HOST,
	[','] = IS_TARGET,
	['-'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['.'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['/'] = IS_TARGET,
	[':'] = IS_TARGET | IS_HOST, [';'] = IS_TARGET | IS_HOST,
	['<'] = IS_TARGET, ['='] = IS_TARGET | IS_HOST, ['>'] = IS_TARGET,
	['?'] = IS_TARGET, ['@'] = IS_TARGET,
	['['] = IS_TARGET | IS_HOST, ['\\'] = IS_TARGET,
	[']'] = IS_TARGET | IS_HOST,
	['^'] = IS_TOKEN | IS_TARGET,
	['_'] = IS_TOKEN | IS_TARGET | IS_HOST,
	['`'] = IS_TOKEN | IS_TARGET,
	['{'] = IS_TARGET,
	['|'] = IS_TOKEN | IS_TARGET, ['}'] = IS_TARGET,
	['~'] = IS_TOKEN | IS_TARGET | IS_HOST,
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

bool
http_slice_is(struct http_slice slice, const char *word)
{
	return (slice.len == strlen(word) &&
	    strncasecmp(slice.bytes, word, slice.len) == 0);
}

/*
 * The end of the header.
 */

/* What is wrong with the length that a header has got to. */
static unsigned
check_size(const struct conf_http *conf, size_t len, bool is_first_line)
{
	if (is_first_line && len > conf->max_target_size + LINE_REST_MAX)
		return (HTTP_414);
	if (len > conf->max_header_size)
		return (is_first_line ? HTTP_414 : HTTP_431);
	return (0);
}

/* Whether the line that ends with the LF at the end of the bytes is a request
 * line.  What is not speaks another protocol, and may never send what this one
 * waits for: HTTP/0.9 does not. */
static bool
is_request_line(const uint8_t *bytes, size_t len)
{
	const char *line = (const char *)bytes, *space, *version;
	size_t line_len = len - 2, target_len;

	if ((space = memchr(line, ' ', line_len)) == NULL ||
	    !http_is_token(line, (size_t)(space - line)))
		return (false);
	if (line_len < (size_t)(space - line) + 3 + VERSION_LEN)
		return (false);
	version = line + line_len - VERSION_LEN;
	target_len = (size_t)(version - space) - 2;
	return (version[-1] == ' ' &&
	    all_are(space + 1, target_len, IS_TARGET) &&
	    (memcmp(version, "HTTP/1.1", VERSION_LEN) == 0 ||
	    memcmp(version, "HTTP/1.0", VERSION_LEN) == 0));
}

/*
 * Look at the byte at a place, with those before it.  Returns what is wrong
 * with it, or 0.  Every byte is looked at once and alone, so the answer to a
 * header does not hang on the pieces in which it comes.
 */
static unsigned
check_byte(const uint8_t *bytes, size_t at, const struct conf_http *conf,
    bool *is_first_line)
{
	uint8_t byte = bytes[at], before = at > 0 ? bytes[at - 1] : 0;

	if (before == '\r' && byte != '\n')
		return (HTTP_400);
	if (byte == '\n') {
		if (before != '\r')
			return (HTTP_400);
		if (*is_first_line && !is_request_line(bytes, at + 1))
			return (HTTP_400);
		*is_first_line = false;
	} else if ((kinds[byte] & IS_CONTROL) != 0 && byte != '\r')
		return (HTTP_400);
	/* A line that goes on with the next, or a field without a name. */
	if (before == '\n' && (byte == ' ' || byte == '\t' || byte == ':'))
		return (HTTP_400);
	return (check_size(conf, at + 1, *is_first_line));
}

/* Eight bytes at once, each the same. */
#define EIGHT(byte)	(UINT64_C(0x0101010101010101) * (byte))

/* Which of eight bytes is the first one below 32, or 127; or 8.  A byte is below
 * n if taking n from it sets its top bit, which it did not have itself; what that
 * borrows from those behind is of no matter. */
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

/* Skip to the next byte of control. */
static size_t
skip_text(const uint8_t *bytes, size_t at, size_t len)
{
	for (size_t n = 8; n == 8 && at + 8 <= len; at += n)
		n = find_control(bytes + at);
	while (at < len && (kinds[bytes[at]] & IS_CONTROL) == 0)
		at++;
	return (at);
}

/* Whether a line ends there, and the next one begins with the name of a field. */
static bool
is_next_field(const uint8_t *bytes, size_t at, size_t len)
{
	return (at + 2 < len && bytes[at] == '\r' && bytes[at + 1] == '\n' &&
	    (kinds[bytes[at + 2]] & IS_TOKEN) != 0);
}

/* Skip, behind one that is none of control, the bytes that check_byte() has
 * nothing against. */
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

/* A header while llhttp reads it. */
struct reading {
	llhttp_t parser;
	struct http_head *head;
	const struct conf_http *conf;
	struct http_slice name;		/* of the field */
	struct http_slice value;
	unsigned status;		/* of the reply, when not 0 */
	unsigned nheaders;
	unsigned nhosts;
	unsigned nlengths;
	unsigned ncodings;
	bool is_host_good;
	bool is_coding_good;
	bool says_close;
	bool says_keep_alive;
	bool has_expect;
	bool expects_more;		/* than we know of */
};

static int
refuse(struct reading *reading, unsigned status)
{
	if (reading->status == 0)
		reading->status = status;
	return (HPE_USER);
}

/* The whole header is there, so a span comes in one piece; were it not so, the
 * pieces would lie side by side. */
static void
extend(struct http_slice *slice, const char *at, size_t len)
{
	if (slice->bytes == NULL)
		slice->bytes = at;
	slice->len = (size_t)(at + len - slice->bytes);
}

static int
on_url(llhttp_t *parser, const char *at, size_t len)
{
	struct reading *reading = parser->data;

	extend(&reading->head->target, at, len);
	return (0);
}

static int
on_field(llhttp_t *parser, const char *at, size_t len)
{
	struct reading *reading = parser->data;

	extend(&reading->name, at, len);
	return (0);
}

static int
on_value(llhttp_t *parser, const char *at, size_t len)
{
	struct reading *reading = parser->data;

	extend(&reading->value, at, len);
	return (0);
}

static struct http_slice
trim(struct http_slice slice)
{
	while (slice.len > 0 && (*slice.bytes == ' ' || *slice.bytes == '\t')) {
		slice.bytes++;
		slice.len--;
	}
	while (slice.len > 0 && (slice.bytes[slice.len - 1] == ' ' ||
	    slice.bytes[slice.len - 1] == '\t'))
		slice.len--;
	return (slice);
}

/* Take the next element from a list with commas.  Returns false at its end. */
static bool
next_element(struct http_slice *list, struct http_slice *element)
{
	const char *comma;

	if (list->bytes == NULL)
		return (false);
	comma = memchr(list->bytes, ',', list->len);
	*element = *list;
	if (comma == NULL) {
		list->bytes = NULL;
	} else {
		element->len = (size_t)(comma - list->bytes);
		list->len -= element->len + 1;
		list->bytes = comma + 1;
	}
	*element = trim(*element);
	return (true);
}

static void
read_connection(struct reading *reading, struct http_slice list)
{
	struct http_slice token;

	while (next_element(&list, &token)) {
		reading->says_close |= http_slice_is(token, "close");
		reading->says_keep_alive |= http_slice_is(token, "keep-alive");
	}
}

static int
read_length(struct reading *reading, struct http_slice value)
{
	uint64_t length = 0;

	reading->nlengths++;
	if (value.len == 0)
		return (refuse(reading, HTTP_400));
	for (size_t i = 0; i < value.len; i++) {
		unsigned digit = (unsigned)(value.bytes[i] - '0');

		if (digit > 9 || length > (UINT64_MAX - digit) / 10)
			return (refuse(reading, HTTP_400));
		length = length * 10 + digit;
	}
	reading->head->body_len = length;
	return (0);
}

static void
read_accept(struct reading *reading, struct http_slice list)
{
	static const char json[] = "application/json";
	struct http_slice range;

	while (next_element(&list, &range)) {
		if (range.len < sizeof(json) - 1)
			continue;
		range.len = sizeof(json) - 1;
		reading->head->exchange.wants_json |=
		    http_slice_is(range, json);
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
	char *id = reading->head->exchange.id;

	if (value.len > HTTP_REQUEST_ID_MAX ||
	    !http_is_token(value.bytes, value.len))
		return;
	memcpy(id, value.bytes, value.len);
	id[value.len] = '\0';
}

/* Whether it is a host, with a port or without. */
static bool
is_authority(struct http_slice slice)
{
	return (slice.len > 0 && *slice.bytes != ':' &&
	    all_are(slice.bytes, slice.len, IS_HOST));
}

/* The fields that this server itself has to know. */
static int
read_known(struct reading *reading, struct http_slice name,
    struct http_slice value)
{
	switch (name.len) {
	case 4:
		if (!http_slice_is(name, "host"))
			break;
		reading->nhosts++;
		/* Where there is no host to name, it is to be empty. */
		reading->is_host_good = value.len == 0 || is_authority(value);
		break;
	case 6:
		if (http_slice_is(name, "accept"))
			read_accept(reading, value);
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
		if (!http_slice_is(name, "transfer-encoding"))
			break;
		reading->ncodings++;
		reading->is_coding_good = http_slice_is(value, "chunked");
		break;
	}
	return (0);
}

/* And those that handlers see. */
static int
keep_wanted(struct reading *reading, struct http_slice name,
    struct http_slice value)
{
	char *const *wanted = reading->conf->fields;
	struct http_head *head = reading->head;

	for (unsigned i = 0; wanted != NULL && wanted[i] != NULL; i++) {
		if (!http_slice_is(name, wanted[i]))
			continue;
		if (head->nfields == HTTP_FIELDS_MAX)
			return (refuse(reading, HTTP_431));
		head->fields[head->nfields++] = (struct http_field){
			.number = i, .value = value,
		};
	}
	return (0);
}

static int
on_field_complete(llhttp_t *parser)
{
	struct reading *reading = parser->data;

	/* No space may be before the colon. */
	if (!http_is_token(reading->name.bytes, reading->name.len) ||
	    reading->name.bytes[reading->name.len] != ':')
		return (refuse(reading, HTTP_400));
	if (++reading->nheaders > reading->conf->max_headers)
		return (refuse(reading, HTTP_431));
	return (0);
}

static int
on_value_complete(llhttp_t *parser)
{
	struct reading *reading = parser->data;
	struct http_slice name = reading->name, value = reading->value;

	reading->name = reading->value = (struct http_slice){ .len = 0 };
	if (value.bytes == NULL)
		value.bytes = "";
	value = trim(value);
	if (read_known(reading, name, value) != 0)
		return (HPE_USER);
	return (keep_wanted(reading, name, value));
}

/* The body is not llhttp's matter. */
static int
on_headers_complete(llhttp_t *parser)
{
	(void)parser;
	return (HPE_PAUSED);
}

/*
 * Whether it may say so.
 */

/* What the length of the body is, and that nobody can think otherwise. */
static unsigned
check_body(struct reading *reading)
{
	struct http_head *head = reading->head;
	const llhttp_t *parser = &reading->parser;

	if (reading->nlengths > 1 ||
	    (reading->nlengths > 0 && reading->ncodings > 0))
		return (HTTP_400);
	if (reading->ncodings > 0 && (reading->ncodings > 1 ||
	    !reading->is_coding_good || head->exchange.is_10))
		return (HTTP_400);
	if (reading->ncodings > 0)
		head->body = HTTP_BODY_CHUNKED;
	else if (reading->nlengths > 0 && head->body_len > 0)
		head->body = HTTP_BODY_LENGTH;
	/* llhttp has come to the same by its own way. */
	if (((parser->flags & F_CHUNKED) != 0) !=
	    (head->body == HTTP_BODY_CHUNKED) ||
	    (reading->nlengths > 0 && parser->content_length !=
	    head->body_len))
		return (HTTP_400);
	return (0);
}

/* A body of no length that is known is none; those who send one, and forget to
 * say so, had better know. */
static bool
lacks_length(const struct reading *reading)
{
	struct http_slice method = reading->head->method;

	return (reading->nlengths == 0 && reading->ncodings == 0 &&
	    ((method.len == 4 && memcmp(method.bytes, "POST", 4) == 0) ||
	    (method.len == 3 && memcmp(method.bytes, "PUT", 3) == 0) ||
	    (method.len == 5 && memcmp(method.bytes, "PATCH", 5) == 0)));
}

/* The path in an absolute form, from where its authority begins. */
static bool
skip_authority(struct http_slice *rest)
{
	size_t len = 0;

	while (len < rest->len && rest->bytes[len] != '/' &&
	    rest->bytes[len] != '?')
		len++;
	if (!is_authority((struct http_slice){ rest->bytes, len }))
		return (false);
	rest->bytes += len;
	rest->len -= len;
	return (true);
}

/* Leave in the slice what begins with the path.  Returns false if it is no
 * target. */
static bool
skip_scheme(struct http_slice *rest)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(schemes[i]);

		if (rest->len < len || !http_slice_is((struct http_slice){
		    rest->bytes, len }, schemes[i]))
			continue;
		rest->bytes += len;
		rest->len -= len;
		return (skip_authority(rest));
	}
	return (false);
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

static unsigned
check_target(struct http_head *head, const struct conf_http *conf)
{
	struct http_slice rest = head->target;

	if (rest.len > conf->max_target_size)
		return (HTTP_414);
	if (rest.len == 1 && *rest.bytes == '*') {
		head->path = rest;
		return (is_options(head) ? 0 : HTTP_400);
	}
	if (rest.len == 0 || (*rest.bytes != '/' && !skip_scheme(&rest)))
		return (HTTP_400);
	split_query(head, rest);
	return (0);
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

/* Requests that nobody here could do: the others are the handlers' matter. */
static bool
is_unknown_method(const llhttp_t *parser, llhttp_errno_t error)
{
	return (error == HPE_INVALID_METHOD || parser->method == HTTP_CONNECT ||
	    parser->method == HTTP_TRACE);
}

static unsigned
check_all(struct reading *reading)
{
	struct http_head *head = reading->head;
	unsigned status;

	if ((status = check_target(head, reading->conf)) != 0 ||
	    (status = check_fields(reading)) != 0 ||
	    (status = check_body(reading)) != 0)
		return (status);
	if (lacks_length(reading))
		return (HTTP_411);
	return (check_expectation(reading));
}

static void
begin(struct reading *reading, struct http_head *head,
    const struct conf_http *conf)
{
	static const llhttp_settings_t settings = {
		.on_url = on_url,
		.on_header_field = on_field,
		.on_header_field_complete = on_field_complete,
		.on_header_value = on_value,
		.on_header_value_complete = on_value_complete,
		.on_headers_complete = on_headers_complete,
	};

	*reading = (struct reading){ .head = head, .conf = conf };
	llhttp_init(&reading->parser, HTTP_REQUEST, &settings);
	reading->parser.data = reading;
	/* All but the slots of the fields. */
	memset(head, 0, offsetof(struct http_head, fields));
}

/* What the request line tells: it has been found to be one. */
static void
read_line(struct http_head *head, const uint8_t *bytes)
{
	const char *line = (const char *)bytes;
	const char *end = strchr(line, '\r');

	head->method.bytes = line;
	head->method.len = (size_t)(strchr(line, ' ') - line);
	head->exchange.is_10 = end[-1] == '0';
	head->exchange.is_head = head->method.len == 4 &&
	    memcmp(line, "HEAD", 4) == 0;
}

unsigned
http_head_parse(struct http_head *head, const uint8_t *bytes, size_t len,
    const struct conf_http *conf)
{
	struct reading reading;
	llhttp_errno_t error;
	unsigned status;

	begin(&reading, head, conf);
	read_line(head, bytes);
	error = llhttp_execute(&reading.parser, (const char *)bytes, len);
	if (is_unknown_method(&reading.parser, error))
		status = HTTP_501;
	else if (error != HPE_PAUSED)
		status = reading.status != 0 ? reading.status : HTTP_400;
	else
		status = check_all(&reading);
	head->exchange.close = status != 0 || reading.says_close ||
	    (head->exchange.is_10 && !reading.says_keep_alive);
	head->exchange.status = (uint16_t)status;
	if (status == 0)
		http_route(head, conf);
	return (status);
}
