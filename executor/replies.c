/* SPDX-License-Identifier: ISC */
#include "executor/replies.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK = 64 * 1024,
	SPARE_CHUNKS = 8,
	DRAFT_MIN = 4096,
	/* A reply up to this is copied, and its draft used again. */
	COPY_MAX = 16 * 1024,
	IOVECS = 64,
};

static struct chunk *
chunk_new(size_t capacity)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + capacity);

	if (chunk != NULL)
		*chunk = (struct chunk){ .capacity = capacity };
	return (chunk);
}

void
replies_init(struct replies *replies, int fd)
{
	*replies = (struct replies){ .fd = fd };
}

static void
free_all(struct chunk *chunk)
{
	struct chunk *next;

	for (; chunk != NULL; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
}

void
replies_free(struct replies *replies)
{
	free_all(replies->first);
	free_all(replies->spare);
}

/*
 * Drafts.
 */

struct chunk *
draft_new(void)
{
	return (chunk_new(DRAFT_MIN));
}

struct chunk *
draft_grow(struct chunk *draft, size_t len, size_t more)
{
	size_t capacity = 2 * draft->capacity;
	struct chunk *grown;

	if (len > REPLY_PAYLOAD_MAX || more > REPLY_PAYLOAD_MAX - len) {
		errno = EMSGSIZE;
		return (NULL);
	}
	if (capacity < REPLY_HEAD + len + more)
		capacity = REPLY_HEAD + len + more;
	grown = realloc(draft, sizeof(*draft) + capacity);
	if (grown != NULL)
		grown->capacity = capacity;
	return (grown);
}

/* Write the head of the frame in front of the payload. */
static void
replies_seal(struct chunk *draft, const struct exec_reply *head, size_t len)
{
	uint32_t length = htonl((uint32_t)(sizeof(*head) + len));
	uint8_t *frame;

	draft->begin = REPLY_HEAD - REPLY_FRAME_HEAD;
	draft->end = REPLY_HEAD + len;
	frame = draft->bytes + draft->begin;
	memcpy(frame, &length, EXEC_LENGTH_LEN);
	memcpy(frame + EXEC_LENGTH_LEN, head, sizeof(*head));
}

/*
 * What waits.
 */

static void
replies_append(struct replies *replies, struct chunk *chunk)
{
	chunk->next = NULL;
	if (replies->first == NULL)
		replies->first = chunk;
	else
		replies->last->next = chunk;
	replies->last = chunk;
}

/* The chunk at the end, if it has room, or a new one. */
static struct chunk *
with_room(struct replies *replies, size_t len)
{
	struct chunk *chunk = replies->last;

	if (replies->first != NULL && chunk->capacity - chunk->end >= len)
		return (chunk);
	if ((chunk = replies->spare) != NULL) {
		replies->spare = chunk->next;
		replies->nspare--;
	} else if ((chunk = chunk_new(CHUNK)) == NULL)
		return (NULL);
	replies_append(replies, chunk);
	return (chunk);
}

int
replies_add(struct replies *replies, struct chunk **draft,
    const struct exec_reply *head, size_t len, uint64_t now_us)
{
	struct chunk *chunk;
	size_t total = REPLY_FRAME_HEAD + len;

	if (replies->is_broken)
		return (0);
	replies_seal(*draft, head, len);
	if (total > COPY_MAX) {
		replies_append(replies, *draft);
		*draft = NULL;
	} else {
		if ((chunk = with_room(replies, total)) == NULL)
			return (-1);
		memcpy(chunk->bytes + chunk->end,
		    (*draft)->bytes + (*draft)->begin, total);
		chunk->end += total;
	}
	if (replies->waiting == 0)
		replies->since_us = now_us;
	replies->waiting += total;
	return (0);
}

/*
 * Writing.
 */

/* Skip n bytes that have been written.  Returns the first chunk that has more;
 * those before it go to *done. */
static struct chunk *
replies_skip(struct chunk *chunk, size_t n, struct chunk **done)
{
	struct chunk *next;

	while (chunk != NULL && n >= chunk->end - chunk->begin) {
		n -= chunk->end - chunk->begin;
		next = chunk->next;
		chunk->next = *done;
		*done = chunk;
		chunk = next;
	}
	if (chunk != NULL)
		chunk->begin += n;
	return (chunk);
}

static ssize_t
send_some(int fd, const struct chunk *chunk, int flags)
{
	struct iovec iov[IOVECS];
	struct msghdr hdr = { .msg_iov = iov };
	ssize_t n;

	for (; chunk != NULL && hdr.msg_iovlen < IOVECS; chunk = chunk->next)
		iov[hdr.msg_iovlen++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)(chunk->bytes +
			    chunk->begin),
			.iov_len = chunk->end - chunk->begin,
		};
	do {
		n = sendmsg(fd, &hdr, MSG_NOSIGNAL | flags);
	} while (n == -1 && errno == EINTR);
	return (n);
}

/* Write chunks until all are in *done, or something goes wrong.  Returns those
 * that are left, with errno set. */
static struct chunk *
send_all(int fd, struct chunk *chunk, int flags, struct chunk **done)
{
	ssize_t n;

	while (chunk != NULL) {
		if ((n = send_some(fd, chunk, flags)) == -1)
			break;
		chunk = replies_skip(chunk, (size_t)n, done);
	}
	return (chunk);
}

/* Chunks of the ordinary size are kept, up to a number. */
static void
recycle(struct replies *replies, struct chunk *chunk)
{
	struct chunk *next;

	for (; chunk != NULL; chunk = next) {
		next = chunk->next;
		if (chunk->capacity != CHUNK ||
		    replies->nspare >= SPARE_CHUNKS) {
			free(chunk);
			continue;
		}
		*chunk = (struct chunk){
			.next = replies->spare,
			.capacity = CHUNK,
		};
		replies->spare = chunk;
		replies->nspare++;
	}
}

/* The worker is gone: drop its replies. */
static void
replies_give_up(struct replies *replies, struct chunk *left)
{
	free_all(left);
	free_all(replies->first);
	replies->first = NULL;
	replies->waiting = 0;
	replies->is_broken = true;
}

void
replies_flush(struct replies *replies, pthread_mutex_t *lock)
{
	struct chunk *taken, *left, *done;

	if (replies->is_writing)
		return;
	replies->is_writing = true;
	while ((taken = replies->first) != NULL) {
		replies->first = NULL;
		replies->waiting = 0;
		done = NULL;
		pthread_mutex_unlock(lock);
		left = send_all(replies->fd, taken, 0, &done);
		pthread_mutex_lock(lock);
		recycle(replies, done);
		if (left != NULL)
			replies_give_up(replies, left);
	}
	replies->is_writing = false;
}

void
replies_flush_nowait(struct replies *replies)
{
	struct chunk *left, *done = NULL;

	if (replies->is_writing || replies->first == NULL)
		return;
	left = send_all(replies->fd, replies->first, MSG_DONTWAIT, &done);
	recycle(replies, done);
	replies->first = left;
	replies->waiting = 0;
	if (left != NULL && errno != EAGAIN) {
		replies->first = NULL;
		replies_give_up(replies, left);
		return;
	}
	for (; left != NULL; left = left->next)
		replies->waiting += left->end - left->begin;
}
