/* SPDX-License-Identifier: ISC */
/*
 * The text that Prometheus reads, held to what is published of its format, and
 * to the rules of names that "promtool check metrics" has.
 */
#ifndef TESTS_LIB_EXPOSITION_H
#define TESTS_LIB_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

/* Check a whole text.  Returns NULL, or what is wrong with it, and in which
 * line; valid until the next call. */
const char *exposition_check(const char *text, bool open);

/* The value of a sample by its name and all its labels, as they stand there:
 * "x_total{slot=\"0\"}"; -1 if there is none. */
double exposition_value(const char *text, const char *sample);

/* Call for the name of each family. */
void exposition_each(const char *text, void (*)(const char *name, void *),
    void *arg);

#endif
