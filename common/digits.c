/* SPDX-License-Identifier: ISC */
#include "common/digits.h"

char *
digits_put(char *end, uint64_t number)
{
	do {
		*--end = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return (end);
}
