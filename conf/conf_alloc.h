/* SPDX-License-Identifier: ISC */
/*
 * Memory of the process that reads a configuration (conf.c).  The result goes
 * into a region that the reader shares with the process that asked; the rest goes
 * onto the heap.  If either is exhausted, the reader ends, and the process that
 * asked says so.
 */
#ifndef CONF_CONF_ALLOC_H
#define CONF_CONF_ALLOC_H

#include <stddef.h>

/* How a reading ended. */
enum conf_outcome {
	CONF_NO_MEMORY,		/* also where libconfig called exit() */
	CONF_NO_ROOM,		/* the result does not fit into the region */
	CONF_READ,
};

/* Begin with an empty region.  Its bytes are zero, its beginning is aligned for
 * every type.  end is called where the reader cannot go on. */
void conf_alloc_begin(void *region, size_t size,
    void (*end)(enum conf_outcome));

/* How much of the region is in use, in bytes from its beginning. */
size_t conf_alloc_used(void);

/* Zeroed memory, and the first bytes of a string, in the region.  Never freed. */
void *conf_alloc(size_t n, size_t size);
char *conf_copy(const char *);
char *conf_copy_up_to(const char *, size_t max);

/* Memory that the next conf_alloc_begin() frees. */
void *conf_alloc_scratch(size_t size);

/* What an allocation on the heap has returned, if that is not NULL. */
void *conf_must(void *memory);

#endif
