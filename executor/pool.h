/* SPDX-License-Identifier: ISC */
/*
 * The threads that run a module, and who of them does what.
 *
 * All threads are alike.  Each takes a request from the queue, handles it, and
 * comes back; whoever finds the queue empty writes the replies that wait, and
 * then reads the next requests, if nobody else does.  The rest wait, the one
 * that was busy last on top.  So requests that come together are read, handled
 * and answered by one thread, with two system calls in all, as long as the
 * module is quick.
 *
 * If it is not, that would let requests wait behind others while threads are
 * idle, and finished replies behind work.  So a pool knows how long the module
 * takes on average.  When it is slow, every reply is written when it is there,
 * and a thread that begins with a request wakes another one, which takes the
 * next, or reads.  The waking goes on from one to the next, so no thread is
 * woken in vain more than once.
 *
 * A module that was quick and then is slow is found by pool_watch(), which the
 * main thread calls every POOL_WATCH_MS while there is work.  When all threads
 * are in calls that take long, it returns the requests in the queue to the
 * worker, where they can wait as long as they may and go elsewhere.
 *
 * Runs in the executor's threads.  Owns them, the queue and the jobs.
 */
#ifndef EXECUTOR_POOL_H
#define EXECUTOR_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/heritage.h"
#include "executor/intake.h"
#include "executor/job.h"
#include "executor/module.h"
#include "executor/replies.h"

enum {
	POOL_WATCH_MS = 2,
	/* So many times in a row no call has come to its end. */
	POOL_STUCK_MAX = 10,
	POOL_THREADS_MAX = 1024,
};

struct thread;

struct pool {
	pthread_mutex_t lock;		/* everything below but the borrowed,
					   and intake: that belongs to whoever
					   reads */
	const struct module *module;	/* borrowed */
	const struct conf *conf;	/* borrowed */
	int notify_fd;			/* borrowed; tells the main thread that
					   is_watched or is_done has changed */
	struct thread *threads;
	unsigned nthreads;		/* that have been started */
	unsigned nleft;			/* of those, that have come to their
					   end */
	struct thread *idle;		/* a stack */
	bool is_waking;			/* a thread has been woken, and has not
					   got to work yet */
	struct intake intake;
	bool is_reading;
	bool is_ended;			/* nothing will be read any more */
	bool is_done;			/* nor written, and no thread is left */
	const char *why;		/* it has ended badly */
	struct job_list queue;
	size_t nqueued;
	struct job_list spare;
	uint64_t timeout_us;		/* of a call; 0: none */
	size_t in_flight_max;		/* requests read and not answered */
	size_t in_flight;
	unsigned nrunning;		/* threads in handle() */
	double average_us;		/* that handle() takes */
	struct replies replies;
	uint64_t nfinished;		/* requests, ever */
	/* Of pool_watch(): */
	bool is_watched;
	uint64_t nfinished_seen;
	unsigned nquiet;		/* calls in a row without work */
	unsigned nstuck;		/* and in which work made no progress */
};

/*
 * Start to read requests from fd and to handle them.  A descriptor (of
 * eventfd(2)) is notified when pool_watch() is to be called from time to time,
 * and at the end.  Returns -1 with errno set.
 */
int pool_start(struct pool *, const struct heritage *, const struct module *,
    int notify_fd);

/* See to threads that are stuck.  Returns false when that is not needed any
 * more, until the next notification. */
bool pool_watch(struct pool *);

bool pool_is_watched(struct pool *);
bool pool_is_done(struct pool *);

/* Release a pool that is done.  Returns what has ended it: NULL, or what went
 * wrong. */
const char *pool_finish(struct pool *);

#endif
