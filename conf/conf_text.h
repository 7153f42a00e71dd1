/* SPDX-License-Identifier: ISC */
/*
 * Values as the grammar of the configuration has them.
 */
#ifndef CONF_CONF_TEXT_H
#define CONF_CONF_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Print a string in quotes, escaped, and only its beginning if it is longer
 * than max bytes. */
void conf_print_string(FILE *, const char *, size_t max);

/* Print a number so that it reads back to the same: with a point or an
 * exponent. */
void conf_print_float(FILE *, double);

void conf_print_indent(FILE *, unsigned tabs);

#endif
