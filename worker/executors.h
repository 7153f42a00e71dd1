/* SPDX-License-Identifier: ISC */
/*
 * The executors of a queue: they come, answer, are late and end.
 *
 * Reads what they say and has exec_link.c check it.  A reply is not copied
 * unless others have to leave before it: the connections that it makes ready
 * are run at once, and then the bytes are used again.
 */
#ifndef WORKER_EXECUTORS_H
#define WORKER_EXECUTORS_H

#include "common/ctl.h"

struct queue;
struct worker;

/* An executor is there: serve through the descriptors of a CTL message, which
 * are taken out of it; on failure they stay. */
void executors_add(struct queue *, uint64_t id, int fds[CTL_FDS_MAX]);

/* An executor, perhaps one of these, has died: hand on what it has answered, and
 * give its link up.  What it has started may have the other end open. */
void executors_on_death(struct queue *, uint64_t id);

/* Write the requests that were gathered, at the end of the worker's turn.  Where
 * it is not worth to wait for more, they have been written before. */
void executors_flush(struct worker *);

/* Run the timers of the calls and of the queue: called once per tick. */
void executors_tick(struct queue *);

#endif
