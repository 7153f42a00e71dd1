/* SPDX-License-Identifier: ISC */
#include "tools/printable.h"

#include <stdbool.h>
#include <stddef.h>

/* Of a character that is not ASCII, by its first byte. */
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
has_rest(const unsigned char *text, const struct lead *lead)
{
	if (text[1] < lead->least || text[1] > lead->most)
		return (false);
	for (size_t i = 2; i < lead->len; i++)
		if (text[i] < 0x80 || text[i] > 0xbf)
			return (false);
	return (true);
}

/* The length of the character that stands here; 0 if it is not to be shown. */
static size_t
measure(const unsigned char *text)
{
	if (*text < 0x80)
		return (*text >= ' ' && *text != 0x7f);
	for (size_t i = 0; i < sizeof(leads) / sizeof(*leads); i++)
		if (*text >= leads[i].first && *text <= leads[i].last &&
		    has_rest(text, &leads[i]))
			return (leads[i].len);
	return (0);
}

char *
printable(char *text)
{
	size_t len;

	for (char *at = text; *at != '\0'; at += len > 0 ? len : 1)
		if ((len = measure((const unsigned char *)at)) == 0)
			*at = '?';
	return (text);
}
