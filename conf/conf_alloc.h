/* SPDX-License-Identifier: ISC */
/*
 * Memory of the process that reads a configuration (conf.c): a region that it
 * shares with the process that asked.  The result is at its beginning; scratch,
 * which that process does not keep, at its end.  If they meet, or if the C library
 * has no memory, the reader ends, and the process that asked says so.
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
 * every type.  give_up is called where the reader cannot go on. */
void conf_alloc_begin(void *region, size_t size,
    void (*give_up)(enum conf_outcome));

/* How much of the region the result takes, in bytes from its beginning. */
size_t conf_alloc_used(void);

/* Zeroed memory, and the first bytes of a string, for the result. */
void *conf_alloc(size_t n, size_t size);
char *conf_copy(const char *);
char *conf_copy_up_to(const char *, size_t max);

/* Zeroed memory for the reader. */
void *conf_alloc_scratch(size_t n, size_t size);

/* What the C library has returned, if that is not NULL. */
void *conf_must(void *);

#endif
