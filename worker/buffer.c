/* SPDX-License-Identifier: ISC */
#include "worker/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
buffer_pool_init(struct buffer_pool *pool, size_t limit,
    struct counters_worker *counters)
{
	*pool = (struct buffer_pool){ .limit = limit, .counters = counters };
}

void
buffer_pool_free(struct buffer_pool *pool)
{
	struct buffer *buffer;

	for (unsigned i = 0; i < BUFFER_CLASSES; i++) {
		while ((buffer = pool->free[i]) != NULL) {
			pool->free[i] = buffer->next;
			free(buffer);
		}
		pool->kept[i] = 0;
	}
}

/* The list that buffers of a capacity stand in; only for those that are
 * pooled. */
static unsigned
class_of(size_t cap)
{
	return ((unsigned)__builtin_ctzl(cap) -
	    (unsigned)__builtin_ctzl(BUFFER_MIN));
}

static size_t
capacity_for(size_t size)
{
	size_t cap = BUFFER_MIN;

	while (cap < size)
		cap *= 2;
	return (cap);
}

static void
account(struct buffer_pool *pool, size_t lent)
{
	pool->lent = lent;
	counter_set(&pool->counters->buffered, lent);
	if (lent > counter_get(&pool->counters->buffered_peak))
		counter_set(&pool->counters->buffered_peak, lent);
}

static struct buffer *
lend(struct buffer_pool *pool, size_t cap)
{
	struct buffer *buffer;
	unsigned class;

	if (cap > pool->limit || pool->lent > pool->limit - cap) {
		errno = ENOBUFS;
		return (NULL);
	}
	class = class_of(cap);
	if (cap <= BUFFER_POOLED_MAX && pool->free[class] != NULL) {
		buffer = pool->free[class];
		pool->free[class] = buffer->next;
		pool->kept[class] -= cap;
	} else if ((buffer = malloc(sizeof(*buffer) + cap)) == NULL)
		return (NULL);
	buffer->cap = cap;
	buffer->len = 0;
	buffer->use = BUFFER_PEER;
	pool->used[BUFFER_PEER] += cap;
	account(pool, pool->lent + cap);
	return (buffer);
}

static void
take_back(struct buffer_pool *pool, struct buffer *buffer)
{
	unsigned class = class_of(buffer->cap);

	pool->used[buffer->use] -= buffer->cap;
	account(pool, pool->lent - buffer->cap);
	if (buffer->cap > BUFFER_POOLED_MAX ||
	    pool->kept[class] + buffer->cap > BUFFER_KEEP) {
		free(buffer);
		return;
	}
	buffer->next = pool->free[class];
	pool->free[class] = buffer;
	pool->kept[class] += buffer->cap;
}

void
buffer_use(struct buffer_pool *pool, struct buffer *buffer,
    enum buffer_use use)
{
	if (buffer == NULL)
		return;
	pool->used[buffer->use] -= buffer->cap;
	pool->used[use] += buffer->cap;
	buffer->use = use;
}

/* Exchange *buffer for one of another capacity. */
static int
move(struct buffer_pool *pool, struct buffer **buffer, size_t cap)
{
	struct buffer *other;

	if ((other = lend(pool, cap)) == NULL)
		return (-1);
	if (*buffer != NULL) {
		buffer_use(pool, other, (*buffer)->use);
		buffer_append(other, (*buffer)->bytes, (*buffer)->len);
		take_back(pool, *buffer);
	}
	*buffer = other;
	return (0);
}

int
buffer_reserve(struct buffer_pool *pool, struct buffer **buffer, size_t room)
{
	size_t len = *buffer != NULL ? (*buffer)->len : 0;

	if (*buffer != NULL && (*buffer)->cap - len >= room)
		return (0);
	return (move(pool, buffer, capacity_for(len + room)));
}

bool
buffer_fits(const struct buffer_pool *pool, const struct buffer *buffer,
    size_t room)
{
	size_t len = buffer != NULL ? buffer->len : 0;
	size_t cap = buffer != NULL ? buffer->cap : 0;

	if (buffer != NULL && cap - len >= room)
		return (true);
	/* While it moves there are two of it. */
	return (cap + capacity_for(len + room) <= pool->limit);
}

void
buffer_append(struct buffer *buffer, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(buffer->bytes + buffer->len, bytes, len);
	buffer->len += len;
}

void
buffer_consume(struct buffer_pool *pool, struct buffer **buffer, size_t n)
{
	struct buffer *held = *buffer;

	held->len -= n;
	if (held->len == 0) {
		buffer_release(pool, buffer);
		return;
	}
	memmove(held->bytes, held->bytes + n, held->len);
	/* Should the exchange fail, the large one still serves. */
	if (held->cap > BUFFER_POOLED_MAX && held->len < held->cap / 8)
		(void)move(pool, buffer, capacity_for(held->len));
}

void
buffer_release(struct buffer_pool *pool, struct buffer **buffer)
{
	if (*buffer == NULL)
		return;
	take_back(pool, *buffer);
	*buffer = NULL;
}
