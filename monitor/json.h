/* SPDX-License-Identifier: ISC */
/*
 * Writes JSON with its commas and quotes.
 */
#ifndef MONITOR_JSON_H
#define MONITOR_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	bool some;		/* this group is not empty */
};

/* Groups: '{' and '}', or '[' and ']'.  name is the name of the member; NULL in
 * an array and for the outermost group. */
void json_open(struct json *, const char *name, char bracket);
void json_close(struct json *, char bracket);

/* Members, or elements if name is NULL.  A string may hold any bytes: see
 * escape_json(). */
void json_str(struct json *, const char *name, const char *value);
void json_number(struct json *, const char *name, uint64_t value);
void json_signed(struct json *, const char *name, int64_t value);
void json_bool(struct json *, const char *name, bool value);
/* Print microseconds as seconds. */
void json_seconds(struct json *, const char *name, uint64_t us);

#endif
