/* SPDX-License-Identifier: ISC */
#include "common/digits.h"

#include <string.h>

/* Two at a time: the division is what takes long. */
char *
digits_put(char *end, uint64_t number)
{
	static const char pairs[] =
	    "0001020304050607080910111213141516171819"
	    "2021222324252627282930313233343536373839"
	    "4041424344454647484950515253545556575859"
	    "6061626364656667686970717273747576777879"
	    "8081828384858687888990919293949596979899";

	while (number > 99) {
		end -= 2;
		memcpy(end, pairs + number % 100 * 2, 2);
		number /= 100;
	}
	if (number > 9)
		return (memcpy(end - 2, pairs + number * 2, 2));
	*--end = (char)('0' + number);
	return (end);
}
