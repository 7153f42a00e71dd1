/* SPDX-License-Identifier: ISC */
/*
 * The threads that run a module, and how they share the work.
 *
 * All threads are equal.  A thread takes a request from the queue and handles
 * it, then the next one.  A thread that finds the queue empty writes the
 * replies that wait, and then reads the next requests, unless another thread is
 * reading.  The other threads wait on a stack, the one that was busy last on
 * top.  So as long as the module is quick, one thread reads, handles and
 * answers requests that come together, with two system calls in all.
 *
 * If the module is slow, this would make requests wait while threads are idle,
 * and finished replies wait for calls.  So the pool measures the average time
 * of a call.  If that is long, every reply is written at once, and a thread
 * that begins with a request wakes another one, which takes the next request,
 * or reads.  That thread wakes the next one, so at most one thread is woken
 * without work.
 *
 * pool_watch() finds a module that was quick and becomes slow; the main thread
 * calls it every POOL_WATCH_MS while there is work.  If all threads are in
 * calls that take long, it returns the requests in the queue to the worker,
 * where they wait for queue_timeout and can go to another executor.
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
	/* After this many times in a row in which no call ended, it is
	 * stuck. */
	POOL_STUCK_MAX = 10,
	POOL_THREADS_MAX = 1024,
};

struct thread;

struct pool {
	pthread_mutex_t lock;		/* of everything below except what is
					   borrowed, and except intake, which
					   belongs to the thread that reads */
	const struct module *module;	/* borrowed */
	const struct conf *conf;	/* borrowed */
	int notify_fd;			/* borrowed; wakes the main thread when
					   is_watched or is_done has changed */
	struct thread *threads;
	unsigned nthreads;		/* started threads */
	unsigned nleft;			/* of those, ended threads */
	struct thread *idle;		/* a stack */
	bool is_waking;			/* a thread has been woken, and does not
					   work yet */
	struct intake intake;
	bool is_reading;
	bool is_ended;			/* nothing more will be read */
	bool is_done;			/* nor written, and no thread is left */
	const char *why;		/* reason of a failure, or NULL */
	struct job_list queue;
	size_t nqueued;
	struct job_list spare;
	uint64_t timeout_us;		/* of a call; 0: none */
	size_t in_flight_max;		/* requests read and not answered */
	size_t in_flight;
	unsigned nrunning;		/* threads in handle() */
	double average_us;		/* time of a call of handle() */
	struct replies replies;
	uint64_t nfinished;		/* requests so far */
	/* Of pool_watch(): */
	bool is_watched;
	uint64_t nfinished_seen;
	unsigned nquiet;		/* in a row without work */
	unsigned nstuck;		/* in a row without progress */
};

/*
 * Start to read and handle requests.  notify_fd, of eventfd(2), is written when
 * pool_watch() has to be called from time to time, and at the end.  Returns -1
 * with errno set.
 */
int pool_start(struct pool *, const struct heritage *, const struct module *,
    int notify_fd);

/* Look for threads that are stuck.  Returns false if this is not needed again
 * until the next notification. */
bool pool_watch(struct pool *);

bool pool_is_watched(struct pool *);
bool pool_is_done(struct pool *);

/* Free a pool that is done.  Returns NULL, or the reason of a failure. */
const char *pool_finish(struct pool *);

#endif
