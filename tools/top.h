/* SPDX-License-Identifier: ISC */
/*
 * penstockctl top: what the server does, second by second.
 */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

#include <stdbool.h>

#include "tools/contact.h"

/* Show it every so many milliseconds, in all so many times (0: until "q").
 * Returns an exit status. */
int top_run(const struct contact *, unsigned every_ms, unsigned times);

#endif
