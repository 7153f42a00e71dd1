/* SPDX-License-Identifier: ISC */
/*
 * Numbers as text, where each message comes by and printf(3) would show.
 */
#ifndef COMMON_DIGITS_H
#define COMMON_DIGITS_H

#include <stdint.h>

enum {
	DIGITS_MAX = 20,		/* of a uint64_t */
};

/* Write a number's decimal digits so that they end before end, where there is
 * room for DIGITS_MAX of them.  Returns where they begin. */
char *digits_put(char *end, uint64_t number);

#endif
