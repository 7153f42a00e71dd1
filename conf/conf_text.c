/* SPDX-License-Identifier: ISC */
#include "conf/conf_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void
text_print_char(FILE *out, unsigned char c)
{
	static const char special[] = "\"\\\n\r\t\f", letters[] = "\"\\nrtf";
	const char *at = c == '\0' ? NULL : strchr(special, c);

	if (at != NULL)
		fprintf(out, "\\%c", letters[at - special]);
	else if (c < ' ' || c == 0x7f)
		fprintf(out, "\\x%02X", c);
	else
		putc(c, out);
}

void
conf_print_string(FILE *out, const char *string, size_t max)
{
	size_t len = strnlen(string, max);
	bool cut = string[len] != '\0';

	/* Not in the middle of a character of UTF-8. */
	while (cut && len > 0 && ((unsigned char)string[len] & 0xc0) == 0x80)
		len--;
	putc('"', out);
	for (size_t i = 0; i < len; i++)
		text_print_char(out, (unsigned char)string[i]);
	fputs(cut ? "\"..." : "\"", out);
}

void
conf_print_float(FILE *out, double value)
{
	char text[32];
	int digits = 15;

	do
		snprintf(text, sizeof(text), "%.*g", digits, value);
	while (digits++ < 17 && strtod(text, NULL) != value);
	fprintf(out, "%s%s", text, strpbrk(text, ".en") == NULL ? ".0" : "");
}

void
conf_print_indent(FILE *out, unsigned tabs)
{
	while (tabs-- > 0)
		putc('\t', out);
}
