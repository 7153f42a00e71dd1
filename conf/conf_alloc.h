/* SPDX-License-Identifier: ISC */
/*
 * Memory of the process that reads a configuration (conf.c): its result
 * goes into a region that it shares with the process that asked, and everything
 * else onto its own heap.  When either is exhausted, the reader ends, and the
 * process that asked says so.
 */
#ifndef CONF_CONF_ALLOC_H
#define CONF_CONF_ALLOC_H

#include <stddef.h>

/* How a reading ended. */
enum conf_outcome {
	CONF_DIED,		/* the reader has not said */
	CONF_READ,
	CONF_NO_MEMORY,
	CONF_NO_ROOM,		/* the result does not fit into the region */
};

/* Begin with an empty region.  Its bytes are zero, its beginning is aligned for
 * every type.  end is called where the reader cannot go on. */
void conf_alloc_begin(void *region, size_t size,
    void (*end)(enum conf_outcome));

/* How much of the region is in use, in bytes from its beginning. */
size_t conf_alloc_used(void);

/* Zeroed memory, and copies of strings, in the region.  Never freed. */
void *conf_alloc(size_t n, size_t size);
char *conf_copy(const char *);
char *conf_copy_up_to(const char *, size_t max);

/* What an allocation on the heap has returned, if that is not NULL. */
void *conf_must(void *memory);

/* The reader has no memory: does not return. */
void conf_lacks_memory(void) __attribute__((noreturn));

#endif
