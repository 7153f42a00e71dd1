/* SPDX-License-Identifier: ISC */
/*
 * Reading JSON (RFC 8259) into a tree.
 */
#ifndef TOOLS_JSON_READ_H
#define TOOLS_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json_value {
	enum json_type type;
	char *name;			/* of a member; else NULL */
	char *text;			/* of a string, a number, true, false */
	struct json_value *first;	/* of an array or object */
	struct json_value *next;	/* in the same array or object */
};

/* Returns NULL if the text is not JSON or is nested deeper than 64, or if there
 * is no memory. */
struct json_value *json_read(const char *text, size_t len);
void json_free(struct json_value *);

/* Print a value as JSON, in one line, without its name. */
void json_print(FILE *, const struct json_value *);

/* All of these accept NULL for a missing value, so that calls can be chained,
 * and return NULL, "" or 0 then. */
const struct json_value *json_get(const struct json_value *, const char *name);
size_t json_count(const struct json_value *);
const char *json_text(const struct json_value *);
uint64_t json_u64(const struct json_value *);
double json_double(const struct json_value *);
bool json_is_true(const struct json_value *);

#define JSON_EACH(value, in)						\
	for (const struct json_value *value = (in) == NULL ? NULL :	\
	    (in)->first; value != NULL; value = value->next)

#endif
