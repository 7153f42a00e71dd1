/* SPDX-License-Identifier: ISC */
/*
 * Points that a test can have a process die at.  In the product they are
 * nothing: only a program of the tests is compiled with them, see
 * tests/programs/penstock_points.c.
 */
#ifndef COMMON_FAULT_H
#define COMMON_FAULT_H

#ifdef PENSTOCK_FAULT_POINTS
#include <stddef.h>

/* This process passes the point of that name; or it does with a text that is
 * not terminated. */
void fault_pass(const char *point);
void fault_pass_with(const char *point, const void *text, size_t len);

#define FAULT(point)			fault_pass(point)
#define FAULT_WITH(point, text, len)	fault_pass_with(point, text, len)
#else
#define FAULT(point)			((void)0)
#define FAULT_WITH(point, text, len)	((void)0)
#endif

#endif
