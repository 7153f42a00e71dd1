/* SPDX-License-Identifier: ISC */
/*
 * Memory for the configuration, which is a few pages of text.  A process that
 * cannot have those has no way to go on that anyone could test: it stops.
 */
#ifndef COMMON_CONF_ALLOC_H
#define COMMON_CONF_ALLOC_H

#include <stdlib.h>

static inline void *
conf_must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

#endif
