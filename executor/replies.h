/* SPDX-License-Identifier: ISC */
/*
 * The replies on their way to the worker.
 *
 * A thread makes a reply in a chunk of its own, the draft.  Done, it is copied
 * behind those that wait, or, if it is large, waits in its chunk.  One thread
 * at a time is the writer: it takes all that waits and writes it, again and
 * again until nothing does.  So replies that get done while a write is under
 * way leave with the next one, and whoever made them need not wait.
 *
 * Everything here needs the pool's lock, but what says otherwise.
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
	size_t begin, end;		/* of what is to be written */
	uint8_t bytes[] __attribute__((aligned(16)));
};

enum {
	/* In a draft the payload begins here, so that it is aligned; the
	 * frame's head goes before it. */
	REPLY_HEAD = 32,
	REPLY_FRAME_HEAD = EXEC_LENGTH_LEN + sizeof(struct exec_reply),
	REPLY_PAYLOAD_MAX = 1 << 30,
};

struct replies {
	int fd;				/* borrowed; blocking */
	struct chunk *first;		/* owned, to the last; what waits */
	struct chunk *last;
	size_t waiting;			/* bytes */
	uint64_t since_us;		/* when the oldest of them began to */
	struct chunk *spare;		/* owned; chunks to use */
	unsigned nspare;
	bool is_writing;
	bool is_broken;			/* nobody reads any more */
};

void replies_init(struct replies *, int fd);
void replies_free(struct replies *);

/* A draft.  Without the lock.  NULL with errno set. */
struct chunk *draft_new(void);

/*
 * Make room for more bytes behind len bytes of payload; the chunk may move.
 * Without the lock.  Returns NULL with errno set; the old chunk stays then.
 */
struct chunk *draft_grow(struct chunk *, size_t len, size_t more);

/*
 * Let a reply wait that is in *draft with len bytes behind its head.  A large
 * one takes the chunk along; *draft is then NULL.  Returns -1 with errno set.
 */
int replies_add(struct replies *, struct chunk **draft,
    const struct exec_reply *head, size_t len, uint64_t now_us);

/* Write what waits, unless another thread is at it.  Gives up the lock
 * meanwhile. */
void replies_flush(struct replies *, pthread_mutex_t *lock);

/* Write what of it the socket takes at once; holds the lock all the time. */
void replies_flush_nowait(struct replies *);

#endif
