/* SPDX-License-Identifier: ISC */
#include "common/why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
why_set(struct why *why, const char *fmt, ...)
{
	char text[sizeof(why->text)];
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(why->text, text, strlen(text) + 1);
	errno = saved;
	return (-1);
}
