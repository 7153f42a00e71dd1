/* SPDX-License-Identifier: ISC */
/*
 * The worker's memory for messages and replies: who has to wait when it is
 * short, and who has to go.
 *
 * What handlers have to do gives its memory back by itself, so if that is much
 * of it, clients wait if their message finds no room in a queue, or would grow.
 * If it is not, clients hold the memory and may never give it back, and the
 * slowest has to go.  The rest is for replies.
 */
#ifndef WORKER_MEMORY_H
#define WORKER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct conn;
struct queue;
struct worker;

/*
 * buffer_reserve() for the sake of a connection, or NULL.  If the limit forbids
 * it, the slowest other connections have to go: their memory is free at once,
 * and they end when they are run.
 */
int memory_reserve_but(struct worker *, const struct conn *, struct buffer **,
    size_t room);
int memory_reserve(struct conn *, struct buffer **, size_t room);
/* The same for a message on its way to a queue.  No client has to go for it as
 * long as memory comes back from the work that there is. */
int memory_reserve_work(struct queue *, struct conn *, struct buffer **,
    size_t room);

/* Whether handlers' work may take that many bytes more; whether there is too
 * little memory left for what it brings; and whether a client with a message
 * that grows has to wait, since it has much of the memory. */
bool memory_has_share(const struct worker *, size_t len);
bool memory_is_crowded(const struct worker *);
bool memory_is_short(const struct worker *);

/* Let the one that has waited the longest go on, if there is memory. */
void memory_feed_starved(struct worker *);

#endif
