/* SPDX-License-Identifier: ISC */
#include "tools/json_read.h"

#include <stdlib.h>
#include <string.h>

#include "common/escape.h"

enum { DEPTH_MAX = 64 };

struct reader {
	const char *at;
	const char *end;
	unsigned depth;
};

static struct json_value *read_value(struct reader *);

static void
skip_space(struct reader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) !=
	    NULL && *reader->at != '\0')
		reader->at++;
}

static bool
json_take(struct reader *reader, char c)
{
	if (reader->at == reader->end || *reader->at != c)
		return (false);
	reader->at++;
	return (true);
}

static struct json_value *
value_new(enum json_type type)
{
	struct json_value *value = calloc(1, sizeof(*value));

	if (value != NULL)
		value->type = type;
	return (value);
}

void
json_free(struct json_value *value)
{
	struct json_value *next;

	for (; value != NULL; value = next) {
		next = value->next;
		json_free(value->first);
		free(value->name);
		free(value->text);
		free(value);
	}
}

/*
 * Strings.
 */

static char *
put_utf8(char *to, unsigned code)
{
	if (code < 0x80)
		*to++ = (char)code;
	else if (code < 0x800) {
		*to++ = (char)(0xc0 | code >> 6);
		*to++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*to++ = (char)(0xe0 | code >> 12);
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	} else {
		*to++ = (char)(0xf0 | code >> 18);
		*to++ = (char)(0x80 | (code >> 12 & 0x3f));
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	}
	return (to);
}

static bool
take_hex(struct reader *reader, unsigned *code)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	const char *digit;
	unsigned value;

	*code = 0;
	for (int i = 0; i < 4; i++) {
		if (reader->at == reader->end || *reader->at == '\0' ||
		    (digit = strchr(digits, *reader->at++)) == NULL)
			return (false);
		value = (unsigned)(digit - digits);
		*code = *code * 16 + (value < 16 ? value : value - 6);
	}
	return (true);
}

/* Read what follows "\\u"; the second half of a surrogate pair has its own. */
static bool
take_unicode(struct reader *reader, unsigned *code)
{
	unsigned low;

	if (!take_hex(reader, code) || *code == 0)
		return (false);
	if (*code < 0xd800 || *code > 0xdfff)
		return (true);
	if (*code > 0xdbff || !json_take(reader, '\\') ||
	    !json_take(reader, 'u') || !take_hex(reader, &low) ||
	    low < 0xdc00 || low > 0xdfff)
		return (false);
	*code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
	return (true);
}

static bool
json_take_escape(struct reader *reader, char **to)
{
	static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	const char *name;
	unsigned code;

	if (json_take(reader, 'u')) {
		if (!take_unicode(reader, &code))
			return (false);
		*to = put_utf8(*to, code);
		return (true);
	}
	if (reader->at == reader->end || *reader->at == '\0' ||
	    (name = strchr(names, *reader->at++)) == NULL)
		return (false);
	*(*to)++ = means[name - names];
	return (true);
}

/* The length of the string up to its closing quote.  The decoded string is
 * never longer. */
static size_t
written_len(const struct reader *reader)
{
	const char *at = reader->at;

	while (at < reader->end && *at != '"')
		at += *at == '\\' && at + 1 < reader->end ? 2 : 1;
	return ((size_t)(at - reader->at));
}

/* The caller frees it. */
static char *
json_take_string(struct reader *reader)
{
	char *text, *to;
	bool fine = true;

	if (!json_take(reader, '"') ||
	    (text = malloc(written_len(reader) + 1)) == NULL)
		return (NULL);
	to = text;
	while (fine && reader->at < reader->end && *reader->at != '"') {
		if (json_take(reader, '\\'))
			fine = json_take_escape(reader, &to);
		else if ((fine = (unsigned char)*reader->at >= ' '))
			*to++ = *reader->at++;
	}
	*to++ = '\0';
	if (!fine || !json_take(reader, '"')) {
		free(text);
		return (NULL);
	}
	return (text);
}

/*
 * Values.
 */

static size_t
count_digits(const struct reader *reader, const char *at)
{
	const char *from = at;

	while (at < reader->end && *at >= '0' && *at <= '9')
		at++;
	return ((size_t)(at - from));
}

/* The length of the number at this place; 0 if there is none. */
static size_t
measure_number(const struct reader *reader)
{
	const char *at = reader->at;
	size_t digits;

	at += at < reader->end && *at == '-';
	digits = count_digits(reader, at);
	if (digits == 0 || (digits > 1 && *at == '0'))
		return (0);
	at += digits;
	if (at < reader->end && *at == '.') {
		if ((digits = count_digits(reader, at + 1)) == 0)
			return (0);
		at += 1 + digits;
	}
	if (at < reader->end && (*at == 'e' || *at == 'E')) {
		at++;
		at += at < reader->end && (*at == '+' || *at == '-');
		if ((digits = count_digits(reader, at)) == 0)
			return (0);
		at += digits;
	}
	return ((size_t)(at - reader->at));
}

static struct json_value *
read_text(struct reader *reader, enum json_type type, size_t len)
{
	struct json_value *value = value_new(type);

	if (value == NULL)
		return (NULL);
	if ((value->text = strndup(reader->at, len)) == NULL) {
		json_free(value);
		return (NULL);
	}
	reader->at += len;
	return (value);
}

static struct json_value *
json_read_word(struct reader *reader)
{
	static const struct {
		const char *word;
		enum json_type type;
	} words[] = {
		{ "true", JSON_BOOL }, { "false", JSON_BOOL },
		{ "null", JSON_NULL },
	};
	size_t left = (size_t)(reader->end - reader->at), len;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		len = strlen(words[i].word);
		if (left >= len && memcmp(reader->at, words[i].word, len) == 0)
			return (read_text(reader, words[i].type, len));
	}
	if ((len = measure_number(reader)) == 0)
		return (NULL);
	return (read_text(reader, JSON_NUMBER, len));
}

static struct json_value *
read_string(struct reader *reader)
{
	struct json_value *value = value_new(JSON_STRING);

	if (value == NULL)
		return (NULL);
	if ((value->text = json_take_string(reader)) == NULL) {
		json_free(value);
		return (NULL);
	}
	return (value);
}

static struct json_value *
read_member(struct reader *reader)
{
	struct json_value *value;
	char *name;

	skip_space(reader);
	if ((name = json_take_string(reader)) == NULL)
		return (NULL);
	skip_space(reader);
	value = json_take(reader, ':') ? read_value(reader) : NULL;
	if (value == NULL)
		free(name);
	else
		value->name = name;
	return (value);
}

/* Read the elements and the closing bracket. */
static bool
read_elements(struct reader *reader, struct json_value *group)
{
	char close = group->type == JSON_ARRAY ? ']' : '}';
	struct json_value **end = &group->first;

	skip_space(reader);
	if (json_take(reader, close))
		return (true);
	do {
		*end = group->type == JSON_ARRAY ? read_value(reader) :
		    read_member(reader);
		if (*end == NULL)
			return (false);
		end = &(*end)->next;
		skip_space(reader);
	} while (json_take(reader, ','));
	return (json_take(reader, close));
}

static struct json_value *
read_group(struct reader *reader, enum json_type type)
{
	struct json_value *group;
	bool whole;

	if (reader->depth == DEPTH_MAX || (group = value_new(type)) == NULL)
		return (NULL);
	reader->depth++;
	whole = read_elements(reader, group);
	reader->depth--;
	if (whole)
		return (group);
	json_free(group);
	return (NULL);
}

static struct json_value *
read_value(struct reader *reader)
{
	skip_space(reader);
	if (json_take(reader, '['))
		return (read_group(reader, JSON_ARRAY));
	if (json_take(reader, '{'))
		return (read_group(reader, JSON_OBJECT));
	if (reader->at < reader->end && *reader->at == '"')
		return (read_string(reader));
	return (json_read_word(reader));
}

struct json_value *
json_read(const char *text, size_t len)
{
	struct reader reader = { .at = text, .end = text + len };
	struct json_value *value = read_value(&reader);

	skip_space(&reader);
	if (reader.at == reader.end)
		return (value);
	json_free(value);
	return (NULL);
}

/*
 * Writing.
 */

static void
print_group(FILE *out, const struct json_value *group)
{
	const char *before = "";

	JSON_EACH(one, group) {
		fputs(before, out);
		if (one->name != NULL) {
			escape_json_print(out, one->name);
			putc(':', out);
		}
		json_print(out, one);
		before = ",";
	}
}

void
json_print(FILE *out, const struct json_value *value)
{
	switch (value->type) {
	case JSON_STRING:
		escape_json_print(out, value->text);
		return;
	case JSON_ARRAY:
		putc('[', out);
		print_group(out, value);
		putc(']', out);
		return;
	case JSON_OBJECT:
		putc('{', out);
		print_group(out, value);
		putc('}', out);
		return;
	case JSON_NULL:
	case JSON_BOOL:
	case JSON_NUMBER:
		fputs(value->text, out);
		return;
	}
}

/*
 * Asking.
 */

const struct json_value *
json_get(const struct json_value *object, const char *name)
{
	JSON_EACH(member, object)
		if (member->name != NULL && strcmp(member->name, name) == 0)
			return (member);
	return (NULL);
}

size_t
json_count(const struct json_value *group)
{
	size_t n = 0;

	JSON_EACH(element, group)
		n++;
	return (n);
}

const char *
json_text(const struct json_value *value)
{
	return (value == NULL || value->text == NULL ? "" : value->text);
}

uint64_t
json_u64(const struct json_value *value)
{
	return (strtoull(json_text(value), NULL, 10));
}

double
json_double(const struct json_value *value)
{
	return (strtod(json_text(value), NULL));
}

bool
json_is_true(const struct json_value *value)
{
	return (value != NULL && value->type == JSON_BOOL &&
	    strcmp(value->text, "true") == 0);
}
