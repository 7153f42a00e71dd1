/* SPDX-License-Identifier: ISC */
#include "common/title.h"

#include <bsd/unistd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static bool has_room;

void
title_init(int argc, char *argv[])
{
	setproctitle_init(argc, argv, environ);
	has_room = true;
}

void
title_set(const char *fmt, ...)
{
	char title[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(title, sizeof(title), fmt, args);
	va_end(args);
	/* It complains on standard error otherwise, as of a tool. */
	if (!has_room)
		return;
	setproctitle("-penstock: %s", title);
}
