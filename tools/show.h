/* SPDX-License-Identifier: ISC */
/*
 * Prints the monitor's JSON as text.
 */
#ifndef TOOLS_SHOW_H
#define TOOLS_SHOW_H

#include <stdint.h>
#include <stdio.h>

#include "tools/json_read.h"

enum { SHOW_MAX = 32 };

void show_status(FILE *, const struct json_value *status);
void show_connections(FILE *, const struct json_value *connections);
void show_report(FILE *, const struct json_value *report);

/* Short forms: "41 s", "3 d 7 h"; "512", "12.3 K"; "1.2 ms". */
const char *show_time(char text[SHOW_MAX], double seconds);
const char *show_count(char text[SHOW_MAX], double count);
const char *show_duration(char text[SHOW_MAX], double seconds);

/* The quantile of a histogram in seconds: part of its values are below.  Values
 * that an earlier histogram counted (NULL: none) are left out.  0 if it is
 * empty. */
double show_quantile(const struct json_value *histogram,
    const struct json_value *before, double part);

#endif
