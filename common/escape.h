/* SPDX-License-Identifier: ISC */
/*
 * Untrusted text for logs, JSON and terminals.
 */
#ifndef COMMON_ESCAPE_H
#define COMMON_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

enum {
	ESCAPE_JSON_MAX = 8,	/* with a NUL */
	/* The most bytes that escape_json() writes for each byte of text. */
	ESCAPE_JSON_PER_BYTE = 6,
};

/* The bytes of the first character of the text.  0 if that is a control
 * character (C0, DEL, C1) or not UTF-8. */
size_t escape_printable(const char *text, size_t len);

/*
 * Write the first character of a text, which is not empty, as in a JSON string.
 * UTF-8 stays as it is, control characters are escaped, and a byte that is not
 * UTF-8 becomes U+FFFD.  Returns the number of bytes written; *taken is the
 * number of bytes of the text.
 */
size_t escape_json(const char *text, size_t len, char to[ESCAPE_JSON_MAX],
    size_t *taken);

/* Write as many characters of a text in the same way as have room.  Returns the
 * number of bytes written, and in taken that of the text. */
size_t escape_json_text(char *to, size_t size, const char *text, size_t len,
    size_t *taken);

/* Write bytes in a readable form: a backslash, and what is not printable UTF-8,
 * becomes \n or \xNN.  Bytes that do not fit are left out.  Returns to. */
char *escape_bytes(char *to, size_t size, const void *bytes, size_t len);

/* Print a JSON string with its quotes. */
void escape_json_print(FILE *, const char *text);

#endif
