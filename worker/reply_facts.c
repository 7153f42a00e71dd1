/* SPDX-License-Identifier: ISC */
#include "worker/reply_facts.h"

#include <stdbool.h>
#include <string.h>

enum {
	/* Values within values of members that nobody here knows. */
	DEPTH_MAX = 16,
};

/* What is left to read. */
struct text {
	const char *at;
	const char *end;
};

static void
skip_blanks(struct text *text)
{
	while (text->at < text->end && (*text->at == ' ' ||
	    *text->at == '\t' || *text->at == '\n' || *text->at == '\r'))
		text->at++;
}

/* Take a character if it is the next behind blanks. */
static bool
take(struct text *text, char c)
{
	skip_blanks(text);
	if (text->at == text->end || *text->at != c)
		return (false);
	text->at++;
	return (true);
}

static bool
is_digit(char c)
{
	return (c >= '0' && c <= '9');
}

/*
 * Strings.  What is read from one is ASCII without escapes; others are passed
 * over.
 */

static bool
skip_escape(struct text *text)
{
	size_t n = 1;

	if (text->at == text->end)
		return (false);
	if (*text->at == 'u') {
		for (n = 1; n <= 4; n++)
			if ((size_t)(text->end - text->at) <= n ||
			    strchr("0123456789abcdefABCDEF", text->at[n]) ==
			    NULL || text->at[n] == '\0')
				return (false);
	} else if (*text->at == '\0' ||
	    strchr("\"\\/bfnrt", *text->at) == NULL)
		return (false);
	text->at += n;
	return (true);
}

/* Pass over a string.  Leaves what stands between the quotes. */
static bool
skip_string(struct text *text, struct http_slice *inside)
{
	if (!take(text, '"'))
		return (false);
	inside->bytes = text->at;
	while (text->at < text->end && *text->at != '"') {
		char c = *text->at++;

		if ((unsigned char)c < ' ' ||
		    (c == '\\' && !skip_escape(text)))
			return (false);
	}
	inside->len = (size_t)(text->at - inside->bytes);
	return (take(text, '"'));
}

/*
 * Values that are not known.
 */

/* true, false, null and numbers, which are not looked at more closely. */
static bool
skip_word(struct text *text)
{
	const char *begin = text->at;

	while (text->at < text->end && (is_digit(*text->at) ||
	    (*text->at >= 'a' && *text->at <= 'z') || *text->at == 'E' ||
	    *text->at == '-' || *text->at == '+' || *text->at == '.'))
		text->at++;
	return (text->at > begin);
}

/* One step through values within values; *depth counts the brackets that are
 * open. */
static bool
skip_step(struct text *text, unsigned *depth)
{
	struct http_slice inside;

	skip_blanks(text);
	if (text->at == text->end)
		return (false);
	switch (*text->at) {
	case '"':
		return (skip_string(text, &inside));
	case '{':
	case '[':
		text->at++;
		return (++*depth <= DEPTH_MAX);
	case '}':
	case ']':
		text->at++;
		return ((*depth)-- > 0);
	case ',':
	case ':':
		text->at++;
		return (*depth > 0);
	}
	return (skip_word(text));
}

static bool
skip_value(struct text *text)
{
	unsigned depth = 0;

	do {
		if (!skip_step(text, &depth))
			return (false);
	} while (depth > 0);
	return (true);
}

/*
 * Values that are.
 */

static bool
read_status(struct text *text, struct reply_facts *facts)
{
	unsigned status = 0;
	const char *begin;

	skip_blanks(text);
	begin = text->at;
	while (text->at < text->end && is_digit(*text->at) &&
	    text->at - begin < 3)
		status = status * 10 + (unsigned)(*text->at++ - '0');
	facts->status = status;
	return (status >= 200 && status <= 599);
}

static bool
read_type(struct text *text, struct reply_facts *facts)
{
	struct http_slice type;

	if (!skip_string(text, &type) || type.len >= sizeof(facts->type) ||
	    type.len == 0)
		return (false);
	for (size_t i = 0; i < type.len; i++)
		if (type.bytes[i] > '~' || type.bytes[i] < ' ' ||
		    type.bytes[i] == '\\')
			return (false);
	memcpy(facts->type, type.bytes, type.len);
	facts->type[type.len] = '\0';
	return (true);
}

static bool
is_named(struct http_slice name, const char *text)
{
	return (name.len == strlen(text) &&
	    memcmp(name.bytes, text, name.len) == 0);
}

static bool
read_member(struct text *text, struct reply_facts *facts)
{
	struct http_slice name;

	if (!skip_string(text, &name) || !take(text, ':'))
		return (false);
	if (is_named(name, "status"))
		return (read_status(text, facts));
	if (is_named(name, "content_type"))
		return (read_type(text, facts));
	return (skip_value(text));
}

int
reply_facts_read(struct reply_facts *facts, const uint8_t *bytes, size_t len)
{
	struct text text = { (const char *)bytes, (const char *)bytes + len };

	facts->status = 0;
	facts->type[0] = '\0';
	if (len == 0)
		return (0);
	if (!take(&text, '{'))
		return (-1);
	if (!take(&text, '}')) {
		do {
			if (!read_member(&text, facts))
				return (-1);
		} while (take(&text, ','));
		if (!take(&text, '}'))
			return (-1);
	}
	skip_blanks(&text);
	return (text.at == text.end ? 0 : -1);
}
