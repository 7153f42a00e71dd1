/* SPDX-License-Identifier: ISC */
#include "executor/pool.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "executor/call.h"

enum {
	/* A module is quick while handle() takes less on average. */
	QUICK_US = 50,
	/* One long call counts as this long, so that a thread that had to wait
	 * for its CPU does not make a quick module slow for long. */
	CALL_US_MAX = 1000,
	AVERAGE_OVER = 8,	/* calls */
	/* Work in the queue that is worth a wake-up. */
	WAKE_US = 100,
	/* While the module is quick, replies wait for the next ones, up to this
	 * time and this number of bytes. */
	GATHER_US = 200,
	GATHER_BYTES = 128 * 1024,
	IN_FLIGHT_MIN = 64,
	IN_FLIGHT_PER_THREAD = 2,
	STACK = 1024 * 1024,
	QUIET_MAX = 10,
};

struct thread {
	pthread_t id;
	struct pool *pool;
	pthread_cond_t wake;
	bool is_woken;
	struct thread *next_idle;
	uint64_t now_us;	/* if it was read just now, else 0 */
	struct call call;
};

static bool
is_quick(const struct pool *pool)
{
	return (pool->average_us < QUICK_US);
}

static void
notify(const struct pool *pool)
{
	/* Its counter cannot get full. */
	(void)eventfd_write(pool->notify_fd, 1);
}

/*
 * Waiting and waking.
 */

static void
pool_wake_all(struct pool *pool)
{
	struct thread *thread;

	while ((thread = pool->idle) != NULL) {
		pool->idle = thread->next_idle;
		thread->is_woken = true;
		pthread_cond_signal(&thread->wake);
	}
}

/* Nothing more is read.  why is NULL if that is how it should be; otherwise
 * what waits in the queue is given up. */
static void
pool_end(struct pool *pool, const char *why)
{
	pool->is_ended = true;
	if (why != NULL && pool->why == NULL) {
		pool->why = why;
		STAILQ_CONCAT(&pool->spare, &pool->queue);
		pool->nqueued = 0;
		/* Who reads is not to wait for more. */
		shutdown(pool->intake.fd, SHUT_RD);
	}
	pool_wake_all(pool);
}

static void
sleep_until_woken(struct thread *thread)
{
	struct pool *pool = thread->pool;

	thread->is_woken = false;
	thread->next_idle = pool->idle;
	pool->idle = thread;
	while (!thread->is_woken)
		pthread_cond_wait(&thread->wake, &pool->lock);
	pool->is_waking = false;
	thread->now_us = 0;
}

static bool
may_read(const struct pool *pool)
{
	return (!pool->is_reading && !pool->is_ended &&
	    pool->in_flight < pool->in_flight_max);
}

/* Whether there is something for another thread to do. */
static bool
needs_help(const struct pool *pool)
{
	if (pool->idle == NULL || pool->is_waking)
		return (false);
	if (is_quick(pool))
		return ((double)pool->nqueued * pool->average_us > WAKE_US);
	return (pool->nqueued > 0 || may_read(pool));
}

/* The thread to be woken, without the lock; NULL if that is not needed. */
static struct thread *
pick_helper(struct pool *pool)
{
	struct thread *helper = NULL;

	if (needs_help(pool)) {
		helper = pool->idle;
		pool->idle = helper->next_idle;
		helper->is_woken = true;
		pool->is_waking = true;
	}
	return (helper);
}

/*
 * Work.
 */

static struct job *
take_job(struct pool *pool)
{
	struct job *job = STAILQ_FIRST(&pool->queue);

	if (job != NULL) {
		STAILQ_REMOVE_HEAD(&pool->queue, link);
		pool->nqueued--;
	}
	return (job);
}

static void
pool_learn(struct pool *pool, uint64_t took_us)
{
	if (took_us > CALL_US_MAX)
		took_us = CALL_US_MAX;
	pool->average_us += ((double)took_us - pool->average_us) / AVERAGE_OVER;
	pool->nfinished++;
}

static bool
must_flush(const struct pool *pool, uint64_t now_us)
{
	return (!is_quick(pool) || pool->replies.waiting > GATHER_BYTES ||
	    now_us > pool->replies.since_us + GATHER_US);
}

/* Handle a job, without the lock.  Returns -1 with errno set. */
static int
handle(struct thread *thread, struct job *job, uint64_t *took_us)
{
	uint64_t began_us = thread->now_us;
	int status;

	if (began_us == 0)
		began_us = clock_us();
	/* The worker has said when, if it begins at once. */
	if (job->facts.deadline_us != 0 && thread->pool->timeout_us > 0)
		job->facts.deadline_us = began_us + thread->pool->timeout_us;
	status = call_run(&thread->call, thread->pool->module, job);
	thread->now_us = clock_us();
	*took_us = thread->now_us - began_us;
	job_trim(job);
	return (status);
}

static void
pool_run(struct thread *thread, struct job *job)
{
	struct pool *pool = thread->pool;
	struct thread *helper = pick_helper(pool);
	bool is_news = !pool->is_watched;
	uint64_t took_us;
	int status;

	pool->is_watched |= is_news;
	pool->nrunning++;
	pthread_mutex_unlock(&pool->lock);
	if (helper != NULL)
		pthread_cond_signal(&helper->wake);
	if (is_news)
		notify(pool);
	status = handle(thread, job, &took_us);
	pthread_mutex_lock(&pool->lock);
	pool->nrunning--;
	pool->in_flight--;
	STAILQ_INSERT_HEAD(&pool->spare, job, link);
	pool_learn(pool, took_us);
	if (status == -1 || replies_add(&pool->replies, &thread->call.draft,
	    &thread->call.head, thread->call.len, thread->now_us) == -1)
		pool_end(pool, "no memory for a reply");
}

static void
pool_flush(struct thread *thread)
{
	struct pool *pool = thread->pool;

	replies_flush(&pool->replies, &pool->lock);
	thread->now_us = 0;
	/* If the worker does not read replies, stop. */
	if (pool->replies.is_broken && !pool->is_ended)
		pool_end(pool, NULL);
}

static void
read_more(struct pool *pool)
{
	struct intake *intake = &pool->intake;
	struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);
	enum intake_result result;
	size_t room = pool->in_flight_max - pool->in_flight, n = 0;
	struct job *job;

	pool->is_reading = true;
	STAILQ_CONCAT(&intake->spare, &pool->spare);
	pthread_mutex_unlock(&pool->lock);
	result = intake_read(intake, &jobs, room);
	STAILQ_FOREACH(job, &jobs, link)
		n++;
	pthread_mutex_lock(&pool->lock);
	pool->is_reading = false;
	pool->nqueued += n;
	pool->in_flight += n;
	STAILQ_CONCAT(&pool->queue, &jobs);
	if (result != INTAKE_JOBS)
		pool_end(pool, result == INTAKE_FAILED ? intake->why : NULL);
}

static void
work(struct thread *thread)
{
	struct pool *pool = thread->pool;
	struct replies *replies = &pool->replies;
	struct job *job;

	for (;;) {
		if ((job = take_job(pool)) != NULL) {
			pool_run(thread, job);
			if (must_flush(pool, thread->now_us))
				pool_flush(thread);
		} else if (replies->first != NULL && !replies->is_writing)
			pool_flush(thread);
		else if (may_read(pool)) {
			read_more(pool);
			thread->now_us = 0;
		} else if (!pool->is_ended)
			sleep_until_woken(thread);
		else
			return;
	}
}

static void *
thread_main(void *arg)
{
	struct thread *thread = arg;
	struct pool *pool = thread->pool;

	pthread_mutex_lock(&pool->lock);
	work(thread);
	pool->is_done = ++pool->nleft == pool->nthreads;
	if (pool->is_done)
		notify(pool);
	pthread_mutex_unlock(&pool->lock);
	return (NULL);
}

/*
 * What the main thread calls.
 */

/* Whether no request was finished since the last call, though some run. */
static bool
pool_is_stuck(struct pool *pool)
{
	bool is_same = pool->nfinished == pool->nfinished_seen;

	pool->nfinished_seen = pool->nfinished;
	if (is_same && pool->nrunning == 0)
		pool->nquiet++;
	else
		pool->nquiet = 0;
	if (!is_same || pool->nrunning < pool->nthreads)
		pool->nstuck = 0;
	else
		pool->nstuck++;
	return (is_same && pool->nrunning > 0);
}

/* Append a frame with the message of a job that was not begun.  Returns -1 with
 * errno set. */
static int
add_returned(struct pool *pool, const struct job *job)
{
	struct exec_reply head = {
		.tag = job->facts.tag,
		.result = EXEC_RETURNED,
	};
	size_t len = job->len - job->facts.told_len;
	struct chunk *draft, *grown;
	int status;

	if ((draft = draft_new()) == NULL)
		return (-1);
	if ((grown = draft_grow(draft, 0, len)) == NULL) {
		free(draft);
		return (-1);
	}
	draft = grown;
	memcpy(draft->bytes + REPLY_HEAD, job->payload + job->facts.told_len,
	    len);
	status = replies_add(&pool->replies, &draft, &head, len, clock_us());
	free(draft);
	return (status);
}

/* Nothing in the queue, or on the channel, will be begun soon.  Jobs for which
 * there is no memory stay. */
static void
return_jobs(struct pool *pool)
{
	struct pollfd readable = { .fd = pool->intake.fd, .events = POLLIN };
	struct job *job;

	if (may_read(pool) && poll(&readable, 1, 0) == 1)
		read_more(pool);
	while ((job = STAILQ_FIRST(&pool->queue)) != NULL &&
	    job->facts.may_return == 1 && add_returned(pool, job) == 0) {
		(void)take_job(pool);
		pool->in_flight--;
		job_trim(job);
		STAILQ_INSERT_HEAD(&pool->spare, job, link);
	}
}

bool
pool_watch(struct pool *pool)
{
	struct thread *helper = NULL;
	bool is_watched;

	pthread_mutex_lock(&pool->lock);
	if (pool_is_stuck(pool)) {
		pool->average_us = CALL_US_MAX;
		helper = pick_helper(pool);
		if (pool->nstuck >= POOL_STUCK_MAX)
			return_jobs(pool);
		replies_flush_nowait(&pool->replies);
	}
	pool->is_watched = pool->nquiet < QUIET_MAX;
	is_watched = pool->is_watched;
	pthread_mutex_unlock(&pool->lock);
	if (helper != NULL)
		pthread_cond_signal(&helper->wake);
	return (is_watched);
}

bool
pool_is_watched(struct pool *pool)
{
	bool is_watched;

	pthread_mutex_lock(&pool->lock);
	is_watched = pool->is_watched;
	pthread_mutex_unlock(&pool->lock);
	return (is_watched);
}

bool
pool_is_done(struct pool *pool)
{
	bool is_done;

	pthread_mutex_lock(&pool->lock);
	is_done = pool->is_done;
	pthread_mutex_unlock(&pool->lock);
	return (is_done);
}

/*
 * Birth and death.
 */

static size_t
in_flight_max(unsigned nthreads)
{
	size_t max = (size_t)nthreads * IN_FLIGHT_PER_THREAD;

	return (max < IN_FLIGHT_MIN ? IN_FLIGHT_MIN : max);
}

static int
start_thread(struct pool *pool, unsigned number, const pthread_attr_t *attr)
{
	struct thread *thread = &pool->threads[number];

	thread->pool = pool;
	pthread_cond_init(&thread->wake, NULL);
	call_init(&thread->call, pool->conf, number);
	return (pthread_create(&thread->id, attr, thread_main, thread));
}

/* They find the lock taken until all are there. */
static int
start_threads(struct pool *pool, unsigned nthreads)
{
	pthread_attr_t attr;
	int error = 0;

	pool->threads = calloc(nthreads, sizeof(*pool->threads));
	if (pool->threads == NULL)
		return (-1);
	if ((error = pthread_attr_init(&attr)) != 0) {
		errno = error;
		return (-1);
	}
	pthread_attr_setstacksize(&attr, STACK);
	pthread_mutex_lock(&pool->lock);
	while (error == 0 && pool->nthreads < nthreads)
		if ((error = start_thread(pool, pool->nthreads, &attr)) == 0)
			pool->nthreads++;
	pthread_mutex_unlock(&pool->lock);
	pthread_attr_destroy(&attr);
	errno = error;
	return (error == 0 ? 0 : -1);
}

int
pool_start(struct pool *pool, const struct heritage *heritage,
    const struct module *module, int notify_fd)
{
	*pool = (struct pool){
		.module = module,
		.conf = heritage->conf,
		.notify_fd = notify_fd,
		.timeout_us = heritage->conf->handlers[heritage->handler]
		    .request_timeout_ms * 1000ULL,
		.queue = STAILQ_HEAD_INITIALIZER(pool->queue),
		.spare = STAILQ_HEAD_INITIALIZER(pool->spare),
		.in_flight_max = in_flight_max(heritage->threads),
		/* Slow, until it has shown that it is not. */
		.average_us = CALL_US_MAX,
	};
	pthread_mutex_init(&pool->lock, NULL);
	replies_init(&pool->replies, heritage->work);
	if (intake_init(&pool->intake, heritage->work,
	    heritage->conf->nlisteners) == -1)
		return (-1);
	return (start_threads(pool, heritage->threads));
}

const char *
pool_finish(struct pool *pool)
{
	for (unsigned i = 0; i < pool->nthreads; i++) {
		pthread_join(pool->threads[i].id, NULL);
		pthread_cond_destroy(&pool->threads[i].wake);
		call_free(&pool->threads[i].call);
	}
	free(pool->threads);
	intake_free(&pool->intake);
	replies_free(&pool->replies);
	job_list_free(&pool->queue);
	job_list_free(&pool->spare);
	pthread_mutex_destroy(&pool->lock);
	return (pool->why);
}
