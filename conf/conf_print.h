/* SPDX-License-Identifier: ISC */
/*
 * Values as the configuration's grammar has them.
 */
#ifndef CONF_CONF_PRINT_H
#define CONF_CONF_PRINT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct conf;
struct conf_key;

/* Print a string in quotes, escaped, and only its beginning if it is longer
 * than max bytes. */
void conf_print_string(FILE *, const char *, size_t max);

/* Print a number so that it reads back to the same: with a point or an
 * exponent. */
void conf_print_float(FILE *, double);

/* Print the value of one key of the struct at base.  depth is the number of
 * tabs before its lines, should it have more than one. */
void conf_print_value(FILE *, const struct conf_key *, const void *base,
    unsigned depth);

/* A number that two configurations share if they print the same.  Runs in the
 * reader. */
uint64_t conf_hash(const struct conf *);

#endif
