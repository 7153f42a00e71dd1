/* SPDX-License-Identifier: ISC */
/*
 * Buffers for what cannot be finished at once: the first part of a message, the
 * last part of a reply that the peer has not taken.
 *
 * A pool belongs to one worker.  It lends buffers out, bounds the sum of what
 * is lent, and keeps some of the small ones that come back for the next
 * borrower.
 */
#ifndef WORKER_BUFFER_H
#define WORKER_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"

enum {
	BUFFER_MIN = 256,		/* bytes; each capacity a power of 2 */
	BUFFER_POOLED_MAX = 65536,	/* larger ones go back to the system */
	BUFFER_CLASSES = 9,		/* BUFFER_MIN to BUFFER_POOLED_MAX */
	BUFFER_KEEP = 262144,		/* bytes kept of each capacity */
};

/* Who will give a buffer back. */
enum buffer_use {
	BUFFER_PEER,			/* a client, by sending or taking more */
	BUFFER_HELD,			/* a client, as its message waits */
	BUFFER_WORK,			/* a handler, by doing its work */
	BUFFER_USES
};

/* Bytes of another owner.  They stay until the function that got them returns,
 * or until its caller has used them. */
struct payload {
	const uint8_t *bytes;
	size_t len;
};

struct buffer {
	struct buffer *next;		/* while it lies in the pool */
	size_t cap;
	size_t len;			/* bytes[0, len) are in use */
	enum buffer_use use;
	_Alignas(max_align_t) uint8_t bytes[];	/* for any object */
};

struct buffer_pool {
	struct buffer *free[BUFFER_CLASSES];
	size_t kept[BUFFER_CLASSES];	/* bytes in each list */
	size_t limit;			/* bytes that may be lent out */
	size_t lent;
	size_t used[BUFFER_USES];	/* parts of lent */
	struct counters_worker *counters;	/* borrowed; told of lent */
};

void buffer_pool_init(struct buffer_pool *, size_t limit,
    struct counters_worker *);
void buffer_pool_free(struct buffer_pool *);

/*
 * Make sure that *buffer, which may be NULL, has room for so many bytes more;
 * it may move.  Returns -1 with errno set and *buffer as it was: ENOBUFS when
 * the pool's limit forbids it, ENOMEM when the system has no memory.
 */
int buffer_reserve(struct buffer_pool *, struct buffer **buffer, size_t room);

/* Whether buffer_reserve() could succeed if nothing else were lent. */
bool buffer_fits(const struct buffer_pool *, const struct buffer *,
    size_t room);

/* Say who will give the buffer, which may be NULL, back: BUFFER_PEER until
 * something else is said.  It is still so when the buffer has moved. */
void buffer_use(struct buffer_pool *, struct buffer *, enum buffer_use);

/* Append bytes for which room has been reserved; if there are none, neither they
 * nor the buffer need be there. */
void buffer_append(struct buffer *, const void *bytes, size_t len);

/*
 * Take n bytes from the head.  A buffer that is empty then goes back to the
 * pool and *buffer becomes NULL; one that has become far too large is
 * exchanged.
 */
void buffer_consume(struct buffer_pool *, struct buffer **buffer, size_t n);

/* Give *buffer, which may be NULL, back whatever is in it. */
void buffer_release(struct buffer_pool *, struct buffer **buffer);

#endif
