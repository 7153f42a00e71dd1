/* SPDX-License-Identifier: ISC */
/*
 * The replies on their way to the worker.
 *
 * A thread makes a reply in a chunk of its own, the draft.  A finished reply is
 * appended to those that wait; a large one waits in its own chunk.  One thread
 * at a time is the writer: it writes all replies that wait, until none is left.
 * So replies that are finished during a write leave with the next one, and
 * their threads need not wait.
 *
 * All functions need the pool's lock unless they say otherwise.
 */
#ifndef EXECUTOR_REPLIES_H
#define EXECUTOR_REPLIES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/exec.h"

struct chunk {
	struct chunk *next;
	size_t capacity;		/* of bytes[] */
	size_t begin, end;		/* of the bytes to write */
	uint8_t bytes[] __attribute__((aligned(16)));
};

enum {
	/* The payload of a draft begins here, so that it is aligned; the head
	 * of the frame is written before it. */
	REPLY_HEAD = 32,
	REPLY_FRAME_HEAD = EXEC_LENGTH_LEN + sizeof(struct exec_reply),
	REPLY_PAYLOAD_MAX = 1 << 30,
};

struct replies {
	int fd;				/* borrowed; blocking */
	struct chunk *first;		/* owned, to last: replies that wait */
	struct chunk *last;
	size_t waiting;			/* bytes */
	uint64_t since_us;		/* since when the oldest waits */
	struct chunk *spare;		/* owned; free chunks */
	unsigned nspare;
	bool is_writing;
	bool is_broken;			/* the worker reads no more */
};

void replies_init(struct replies *, int fd);
void replies_free(struct replies *);

/* Make a draft.  Needs no lock.  Returns NULL with errno set. */
struct chunk *draft_new(void);

/*
 * Make room for more bytes after len bytes of payload; the chunk may move.
 * Needs no lock.  On failure returns NULL with errno set, and the old chunk
 * stays.
 */
struct chunk *draft_grow(struct chunk *, size_t len, size_t more);

/*
 * Append the reply in *draft, with len bytes after its head, to those that
 * wait.  A large reply takes the chunk, and *draft becomes NULL.  Returns -1
 * with errno set.
 */
int replies_add(struct replies *, struct chunk **draft,
    const struct exec_reply *head, size_t len, uint64_t now_us);

/* Write the replies that wait, unless another thread is writing.  Releases the
 * lock during the write. */
void replies_flush(struct replies *, pthread_mutex_t *lock);

/* Write as much as the socket takes without blocking; keeps the lock. */
void replies_flush_nowait(struct replies *);

#endif
