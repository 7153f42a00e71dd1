/* SPDX-License-Identifier: ISC */
#include "common/http_fields.h"

#include <string.h>

#include "common/http_head.h"

/*
 * What the server writes itself, what frames the message, and what is meant for
 * the next hop only (RFC 9110, 7.6.1).  Content-Type has a place of its own.
 */
static const char *const reserved[] = {
	"Connection", "Content-Length", "Content-Type", "Date", "Keep-Alive",
	"Proxy-Connection", "Server", "TE", "Trailer", "Transfer-Encoding",
	"Upgrade", "X-Request-Id",
};

static bool
is_reserved(struct http_slice name)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
		if (http_slice_is(name, reserved[i]))
			return (true);
	return (false);
}

/* RFC 9110, 5.5: visible characters, bytes beyond ASCII, spaces and tabs. */
static bool
is_value(struct http_slice value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.bytes[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return (false);
	}
	return (true);
}

static const char *
http_fields_check(struct http_slice name, struct http_slice value)
{
	if (!http_is_token(name.bytes, name.len))
		return ("the name is not a token of HTTP");
	if (is_reserved(name))
		return ("the server sets this field itself");
	if (!is_value(value))
		return ("the value has a control character");
	return (NULL);
}

static void
http_fields_put(struct http_fields *fields, const char *bytes, size_t len)
{
	if (len > 0)
		memcpy(fields->bytes + fields->len, bytes, len);
	fields->len += len;
}

const char *
http_fields_add(struct http_fields *fields, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	struct http_slice trimmed = http_slice_trim(
	    (struct http_slice){ value, value_len });
	size_t left = sizeof(fields->bytes) - fields->len;
	const char *why;

	why = http_fields_check((struct http_slice){ name, name_len }, trimmed);
	if (why != NULL)
		return (why);
	if (fields->count == HTTP_FIELDS_COUNT_MAX)
		return ("the reply has more than 64 fields");
	if (left < 4 || name_len > left - 4 ||
	    trimmed.len > left - 4 - name_len)
		return ("the fields of the reply have more than 8192 bytes");
	http_fields_put(fields, "\r\n", 2);
	http_fields_put(fields, name, name_len);
	http_fields_put(fields, ": ", 2);
	http_fields_put(fields, trimmed.bytes, trimmed.len);
	fields->count++;
	return (NULL);
}

/* Take one field off the bytes. */
static bool
take_field(struct http_slice *left)
{
	const char *colon, *end;
	struct http_slice name, value;

	if (left->len < 2 || memcmp(left->bytes, "\r\n", 2) != 0)
		return (false);
	name.bytes = left->bytes + 2;
	colon = memchr(name.bytes, ':', left->len - 2);
	if (colon == NULL)
		return (false);
	name.len = (size_t)(colon - name.bytes);
	left->len -= 2 + name.len + 1;
	left->bytes = colon + 1;
	if (left->len == 0 || *left->bytes != ' ')
		return (false);
	value.bytes = left->bytes + 1;
	value.len = left->len - 1;
	if ((end = memchr(value.bytes, '\r', value.len)) != NULL)
		value.len = (size_t)(end - value.bytes);
	left->bytes += 1 + value.len;
	left->len -= 1 + value.len;
	return (http_fields_check(name, value) == NULL);
}

bool
http_fields_are_sound(const char *bytes, size_t len)
{
	struct http_slice left = { bytes, len };

	if (len > HTTP_FIELDS_LEN_MAX)
		return (false);
	for (unsigned n = 0; left.len > 0; n++)
		if (n == HTTP_FIELDS_COUNT_MAX || !take_field(&left))
			return (false);
	return (true);
}
