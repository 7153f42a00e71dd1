/* SPDX-License-Identifier: ISC */
/*
 * The counts of a load client as text.
 */
#ifndef TESTS_LIB_LOAD_REPORT_H
#define TESTS_LIB_LOAD_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "tools/load/hold_report.h"

/* One line without its end; and a table of all kinds. */
void load_report_line(const struct hold_report *, char *text, size_t size);
void load_report_print(const struct hold_report *, FILE *);

#endif
