/* SPDX-License-Identifier: ISC */
/*
 * Memory that several processes map, and a lock for consistent copies of it.
 *
 * A mapping is a memfd that never changes its size and begins with its
 * version, 32 bits.  Only size and version are checked when it is mapped: its
 * writer can have written anything else.
 */
#ifndef COMMON_SHARED_H
#define COMMON_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Create a memfd of zeroes and map it for writing.  Returns NULL with errno
 * set, and then *fd is -1. */
void *shared_new(const char *name, size_t size, uint32_t version, int *fd);

/* Map an existing memfd; the caller still owns fd.  Returns NULL with errno
 * set: EINVAL if its size or version is different, or if it can shrink, because
 * a process that reads beyond the end of a file is killed. */
void *shared_open(int fd, size_t size, uint32_t version, bool writable);

/* Forbid this process to write to the mapping: from now on, both the mapping
 * and fd can only be read.  Returns -1 with errno set. */
int shared_seal(int fd, void *map, size_t size);

/* Unmap it, and close fd.  Does nothing if map is NULL; fd may be -1. */
void shared_free(int fd, void *map, size_t size);

/*
 * A seqlock: one process writes.  Any number of processes copy, and discard the
 * copy if the data changed in that time.  The sequence number is odd during a
 * write.
 *
 * A writer never waits.  A writer that dies can leave the number odd; then
 * every copy fails until the next write.  So the number of a reader's attempts
 * must be limited.
 */
enum {
	/* A write takes microseconds: after that many copies, the writer must
	 * have died. */
	SEQLOCK_TRIES = 1000,
};

static inline void
seqlock_write_begin(uint32_t *seq)
{
	/* Not seq + 1: the previous writer can have died during a write. */
	__atomic_store_n(seq, *seq | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void
seqlock_write_end(uint32_t *seq)
{
	__atomic_store_n(seq, *seq + 1, __ATOMIC_RELEASE);
}

static inline uint32_t
seqlock_read_begin(const uint32_t *seq)
{
	return (__atomic_load_n(seq, __ATOMIC_ACQUIRE));
}

/* Returns whether the copy since seqlock_read_begin() is consistent. */
static inline bool
seqlock_read_end(const uint32_t *seq, uint32_t begun)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return (begun % 2 == 0 &&
	    __atomic_load_n(seq, __ATOMIC_RELAXED) == begun);
}

#endif
