/* SPDX-License-Identifier: ISC */
/*
 * Numbers as text on the path of each message, where printf(3) would be slow.
 */
#ifndef COMMON_DIGITS_H
#define COMMON_DIGITS_H

#include <stdint.h>

enum {
	DIGITS_MAX = 20,		/* digits of a uint64_t */
};

/* Write a number's decimal digits so that they end before end; there has to be
 * room for DIGITS_MAX digits.  Returns where they begin. */
char *digits_put(char *end, uint64_t number);

#endif
