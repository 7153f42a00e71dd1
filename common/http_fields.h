/* SPDX-License-Identifier: ISC */
/*
 * Response fields of a handler: which are allowed, and the form in which they
 * are kept.
 *
 * They are kept as they are sent: each field is CR, LF, name, colon, space and
 * value.  A process that receives them from another one checks them again.
 */
#ifndef COMMON_HTTP_FIELDS_H
#define COMMON_HTTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

enum {
	/* The maximum number of fields in one reply, and their bytes in this
	 * form. */
	HTTP_FIELDS_COUNT_MAX = 64,
	HTTP_FIELDS_LEN_MAX = 8192,
};

struct http_fields {
	unsigned count;
	size_t len;
	char bytes[HTTP_FIELDS_LEN_MAX];
};

/*
 * Add a field.  White space around the value is dropped.  Returns NULL, or the
 * reason why the field is not allowed (RFC 9110, 5.1 and 5.5, or the server
 * itself writes it); then nothing is added.
 */
const char *http_fields_add(struct http_fields *, const char *name,
    size_t name_len, const char *value, size_t value_len);

/* Whether http_fields_add() could have made these bytes. */
bool http_fields_are_sound(const char *bytes, size_t len);

#endif
