/* SPDX-License-Identifier: ISC */
/*
 * Text from others, for logs, JSON and terminals.
 */
#ifndef COMMON_ESCAPE_H
#define COMMON_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

enum {
	ESCAPE_JSON_MAX = 8,	/* with a NUL */
	/* The most that escape_json() writes for each byte that it takes. */
	ESCAPE_JSON_PER_BYTE = 6,
};

/* How many bytes the character has that the text begins with.  Returns 0 if it is
 * a control character (C0, DEL, C1), or not UTF-8. */
size_t escape_printable(const char *text, size_t len);

/*
 * Write the character that the text begins with, which has at least one byte, as
 * it stands in a string of JSON: UTF-8 stays as it is, control characters are
 * escaped, and a byte that is not UTF-8 becomes U+FFFD.  Returns the number of
 * bytes written, and in taken that of the text.
 */
size_t escape_json(const char *text, size_t len, char to[ESCAPE_JSON_MAX],
    size_t *taken);

/* Write as many characters of a text in the same way as have room.  Returns the
 * number of bytes written, and in taken that of the text. */
size_t escape_json_text(char *to, size_t size, const char *text, size_t len,
    size_t *taken);

/* Write bytes so that a person recognises them: what is not printable UTF-8, and
 * a backslash, as \n or \xNN.  What does not fit is left out.  Returns to. */
char *escape_bytes(char *to, size_t size, const void *bytes, size_t len);

/* Print a string of JSON with its quotes. */
void escape_json_print(FILE *, const char *text);

#endif
