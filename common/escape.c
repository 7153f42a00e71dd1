/* SPDX-License-Identifier: ISC */
#include "common/escape.h"

#include <stdbool.h>
#include <string.h>

/* Of a character that is not ASCII, by its first byte: RFC 3629, 4. */
static const struct lead {
	unsigned char first, last;
	/* Bounds of the second byte: without C1, forms that are longer than
	 * they need be, surrogates, and what is above U+10FFFF. */
	unsigned char least, most;
	size_t len;
} leads[] = {
	{ 0xc2, 0xc2, 0xa0, 0xbf, 2 }, { 0xc3, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static bool
has_rest(const unsigned char *text, size_t len, const struct lead *lead)
{
	if (len < lead->len || text[1] < lead->least || text[1] > lead->most)
		return (false);
	for (size_t i = 2; i < lead->len; i++)
		if (text[i] < 0x80 || text[i] > 0xbf)
			return (false);
	return (true);
}

size_t
escape_printable(const char *text, size_t len)
{
	const unsigned char *at = (const unsigned char *)text;

	if (len == 0)
		return (0);
	if (*at < 0x80)
		return (*at >= ' ' && *at != 0x7f);
	for (size_t i = 0; i < sizeof(leads) / sizeof(*leads); i++)
		if (*at >= leads[i].first && *at <= leads[i].last &&
		    has_rest(at, len, &leads[i]))
			return (leads[i].len);
	return (0);
}

/* Of a character that is not printable; how many bytes it has goes to taken. */
static unsigned
code_of(const unsigned char *at, size_t len, size_t *taken)
{
	*taken = 1;
	if (*at < 0x80)
		return (*at);
	if (*at != 0xc2 || len < 2 || at[1] < 0x80 || at[1] > 0x9f)
		return (0xfffd);
	*taken = 2;
	return (at[1]);		/* C1 */
}

size_t
escape_json(const char *text, size_t len, char to[ESCAPE_JSON_MAX],
    size_t *taken)
{
	size_t n = 0;

	*taken = escape_printable(text, len);
	if (*taken > 0) {
		if (*text == '"' || *text == '\\')
			to[n++] = '\\';
		memcpy(to + n, text, *taken);
		return (n + *taken);
	}
	snprintf(to, ESCAPE_JSON_MAX, "\\u%04x",
	    code_of((const unsigned char *)text, len, taken));
	return (strlen(to));
}

char *
escape_bytes(char *to, size_t size, const void *bytes, size_t len)
{
	enum { ROOM = 5 };	/* for "\\xNN" with its NUL */
	const char *at = bytes, *end = at + len;
	size_t used = 0, n;

	*to = '\0';
	for (; at < end && used + ROOM <= size; at += n > 0 ? n : 1) {
		n = *at == '\\' ? 0 : escape_printable(at, (size_t)(end - at));
		if (n > 0)
			snprintf(to + used, ROOM, "%.*s", (int)n, at);
		else if (*at == '\n')
			snprintf(to + used, ROOM, "\\n");
		else
			snprintf(to + used, ROOM, "\\x%02x",
			    (unsigned char)*at);
		used += strlen(to + used);
	}
	return (to);
}

size_t
escape_json_text(char *to, size_t size, const char *text, size_t len,
    size_t *taken)
{
	char escaped[ESCAPE_JSON_MAX];
	size_t used = 0, n, more;

	for (*taken = 0; *taken < len; *taken += more) {
		n = escape_json(text + *taken, len - *taken, escaped, &more);
		if (n > size - used)
			break;
		memcpy(to + used, escaped, n);
		used += n;
	}
	return (used);
}

void
escape_json_print(FILE *out, const char *text)
{
	size_t len = strlen(text), taken, n;
	char part[256];

	putc('"', out);
	for (; len > 0; len -= taken, text += taken) {
		n = escape_json_text(part, sizeof(part), text, len, &taken);
		fwrite(part, 1, n, out);
	}
	putc('"', out);
}
