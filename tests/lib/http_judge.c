/* SPDX-License-Identifier: ISC */
#include "tests/lib/http_judge.h"

#include <llhttp.h>

#include <string.h>

#include "common/http_method.h"

static int
on_body(llhttp_t *parser, const char *at, size_t len)
{
	struct found *found = parser->data;

	found_add(found, (const uint8_t *)at, len);
	return (0);
}

/* One message at a time: the next begins with a new parser, as llhttp stops at
 * one that closes or upgrades. */
static int
on_complete(llhttp_t *parser)
{
	(void)parser;
	return (HPE_PAUSED);
}

/* An upgrade that is not heard leaves the body to be read. */
static int
on_headers(llhttp_t *parser)
{
	parser->upgrade = 0;
	return (0);
}

/* The body that llhttp finds at the head of the bytes, and how many of them it
 * took for that.  Returns HPE_PAUSED if it has found one. */
static llhttp_errno_t
find_one(const uint8_t *bytes, size_t len, struct found *body, size_t *used)
{
	static const llhttp_settings_t settings = {
		.on_headers_complete = on_headers,
		.on_body = on_body,
		.on_message_complete = on_complete,
	};
	llhttp_errno_t error;
	llhttp_t parser;

	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = body;
	error = llhttp_execute(&parser, (const char *)bytes, len);
	if (error != HPE_OK)
		*used = (size_t)((const uint8_t *)
		    llhttp_get_error_pos(&parser) - bytes);
	return (error);
}

/*
 * The differences.
 */

static bool
has(const uint8_t *bytes, size_t len, const char *text)
{
	return (memmem(bytes, len, text, strlen(text)) != NULL);
}

/* A version 1.2 and later is served as 1.1: RFC 9110, 2.5. */
static bool
is_later_version(const uint8_t *bytes, size_t len)
{
	const uint8_t *lf = memchr(bytes, '\n', len);

	return (lf != NULL && lf - bytes > 10 &&
	    memcmp(lf - 9, "HTTP/1.", 7) == 0 && lf[-2] >= '2');
}

/* llhttp's methods are those of its version: RFC 9110, 16.1.1, has a registry of
 * them. */
static bool
is_registered_method(const uint8_t *bytes, size_t len)
{
	const uint8_t *space = memchr(bytes, ' ', len);

	return (space != NULL && http_method_is_known((const char *)bytes,
	    (size_t)(space - bytes)));
}

/* Blanks and quoted pairs in the extensions of a chunk, and more of them behind a
 * value: RFC 9112, 7.1.1.  Zeros before its size: the same. */
static bool
is_in_chunk_line(const uint8_t *bytes, size_t len, size_t at)
{
	const uint8_t *line = at < len ? memrchr(bytes, '\n', at + 1) : NULL;
	size_t left;

	line = line == NULL ? bytes : line + 1;
	left = len - (size_t)(line - bytes);
	return (has(bytes, len, "\r\n\r\n") && left > 0 &&
	    (memchr(line, ';', left) != NULL || *line == '0'));
}

/* A tab is white space around the value of a field: RFC 9110, 5.5. */
static bool
has_tab(const uint8_t *bytes, size_t at)
{
	return (memchr(bytes, '\t', at) != NULL);
}

static bool
is_excused(llhttp_errno_t error, const uint8_t *bytes, size_t len, size_t at)
{
	switch (error) {
	case HPE_INVALID_VERSION:
		return (is_later_version(bytes, len));
	case HPE_INVALID_METHOD:
		return (is_registered_method(bytes, len));
	case HPE_INVALID_CHUNK_SIZE:
	case HPE_STRICT:
		return (is_in_chunk_line(bytes, len, at));
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_INVALID_TRANSFER_ENCODING:
	case HPE_INVALID_HEADER_TOKEN:
		return (has_tab(bytes, at + 1));
	default:
		return (false);
	}
}

const char *
http_judge(const struct found *ours, const uint8_t *bytes, size_t len,
    size_t *agreed)
{
	const uint8_t *payload = ours->payloads;
	size_t total = 0, used = 0;
	llhttp_errno_t error;
	bool is_same;

	for (*agreed = 0; *agreed < ours->n; ++*agreed) {
		struct found body = { .n = 0 };

		/* Empty lines before it, which are no part of either. */
		while (len - total >= 2 &&
		    memcmp(bytes + total, "\r\n", 2) == 0)
			total += 2;
		error = find_one(bytes + total, len - total, &body, &used);
		is_same = body.len == ours->lens[*agreed] && (body.len == 0 ||
		    memcmp(body.payloads, payload, body.len) == 0);
		if (body.len > 0)
			payload += body.len;
		found_free(&body);
		if (error != HPE_PAUSED)
			return (is_excused(error, bytes + total, len - total,
			    used) ? NULL : "llhttp refuses it");
		if (!is_same)
			return ("llhttp finds another body");
		total += used;
	}
	while (ours->consumed - total >= 2 && ours->consumed > total &&
	    memcmp(bytes + total, "\r\n", 2) == 0)
		total += 2;
	return (total == ours->consumed ? NULL :
	    "llhttp takes up other bytes");
}
