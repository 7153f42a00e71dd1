/* SPDX-License-Identifier: ISC */
#include "common/title.h"

#include <bsd/unistd.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void
title_init(int argc, char *argv[])
{
	setproctitle_init(argc, argv, environ);
}

void
title_set(const char *fmt, ...)
{
	char title[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(title, sizeof(title), fmt, args);
	va_end(args);
	setproctitle("-penstock: %s", title);
}
