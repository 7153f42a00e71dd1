/* SPDX-License-Identifier: ISC */
/*
 * penstockctl top: shows the activity of the server.
 */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

#include <stdbool.h>

#include "tools/contact.h"

/* Show a view every every_ms milliseconds, times times (0: until "q").  Returns
 * an exit status. */
int top_run(const struct contact *, unsigned every_ms, unsigned times);

#endif
