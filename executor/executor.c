/* SPDX-License-Identifier: ISC */
/*
 * The main thread: listens to the master, and sees to the threads.
 */
#include "executor/executor.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/title.h"
#include "executor/module.h"
#include "executor/pool.h"

enum {
	/* How long READY or FAILED may take to be sent. */
	LINGER_MS = 1000,
};

struct executor {
	const struct heritage *heritage;
	struct event_base *base;
	struct channel *channel;	/* NULL when the master is gone */
	int notify_fd;			/* -1 before it is there */
	struct event *notified;
	struct event *watch;		/* pool_watch(), while it is needed */
	struct module module;
	struct pool pool;
};

/*
 * The master.
 */

/* We serve from READY on, and until the worker hangs up. */
static void
executor_on_message(struct ctl *msg, void *arg)
{
	(void)arg;
	if (msg->header.type == CTL_STOP)
		/* Nothing can be released that threads are using. */
		_exit(EXIT_SUCCESS);
	if (msg->header.type == CTL_LOG)
		(void)ctl_use_log(msg);
}

/* The master is gone; the worker still finishes what it has. */
static void
executor_on_channel_end(const char *why, void *arg)
{
	struct executor *executor = arg;

	LOG(ERROR, MASTER_GONE, F_STR("error", why));
	channel_free(executor->channel);
	executor->channel = NULL;
}

static int
report(struct executor *executor, enum ctl_type type,
    const struct ctl_failed *failed)
{
	if (channel_send(executor->channel, type,
	    executor->heritage->generation, failed, -1) == -1)
		return (-1);
	/* No client is served yet, so none has to wait. */
	channel_linger(executor->channel, LINGER_MS);
	return (channel_has_unsent(executor->channel) ? -1 : 0);
}

/*
 * The pool.
 */

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct executor *executor = arg;

	(void)fd;
	(void)what;
	if (!pool_watch(&executor->pool))
		event_del(executor->watch);
}

static void
on_notified(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval interval = {
		.tv_usec = POOL_WATCH_MS * 1000,
	};
	struct executor *executor = arg;
	eventfd_t count;

	(void)what;
	(void)eventfd_read(fd, &count);
	if (pool_is_done(&executor->pool))
		event_base_loopbreak(executor->base);
	else if (pool_is_watched(&executor->pool))
		event_add(executor->watch, &interval);
}

/*
 * Birth and death.
 */

/* Reads and writes wait. */
static int
set_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return (-1);
	return (fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

static int
start_events(struct executor *executor)
{
	executor->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (executor->notify_fd == -1)
		return (-1);
	errno = ENOMEM;		/* libevent does not always say */
	executor->watch = event_new(executor->base, -1, EV_PERSIST, on_watch,
	    executor);
	executor->notified = event_new(executor->base, executor->notify_fd,
	    EV_READ | EV_PERSIST, on_notified, executor);
	if (executor->watch == NULL || executor->notified == NULL)
		return (-1);
	return (event_add(executor->notified, NULL));
}

static void
executor_fail(struct executor *executor, const char *what)
{
	struct ctl_failed failed = { .why = "" };

	snprintf(failed.why, sizeof(failed.why), "%s: %s", what,
	    strerror(errno));
	(void)report(executor, CTL_FAILED, &failed);
}

/* On failure reports the reason to the master and returns -1. */
static int
open_module(struct executor *executor)
{
	const struct heritage *heritage = executor->heritage;
	struct ctl_failed failed = { .why = "" };

	if (module_open(&executor->module,
	    &heritage->conf->handlers[heritage->handler], heritage->threads,
	    failed.why, sizeof(failed.why)) == 0)
		return (0);
	(void)report(executor, CTL_FAILED, &failed);
	return (-1);
}

/* Serve until the worker hangs up. */
static int
executor_serve(struct executor *executor)
{
	const char *why;

	/* If the master is gone, the loop will find out. */
	if (report(executor, CTL_READY, NULL) == -1 && errno != EPIPE)
		_exit(EXIT_FAILURE);
	event_base_dispatch(executor->base);
	/* Only its loop's failure could bring us here before. */
	if (!pool_is_done(&executor->pool))
		_exit(EXIT_FAILURE);
	if ((why = pool_finish(&executor->pool)) != NULL)
		LOG(ERROR, EXECUTOR_FAILED, F_STR("error", why));
	module_close(&executor->module);
	return (why == NULL ? EXIT_SUCCESS : EXIT_FAILURE);
}

static int
executor_run(struct executor *executor)
{
	const struct heritage *heritage = executor->heritage;

	if (set_blocking(heritage->work) == -1 ||
	    start_events(executor) == -1) {
		executor_fail(executor, "set-up");
		return (EXIT_FAILURE);
	}
	if (open_module(executor) == -1)
		return (EXIT_FAILURE);
	if (pool_start(&executor->pool, heritage, &executor->module,
	    executor->notify_fd) == -1) {
		/* Some of its threads may be there. */
		executor_fail(executor, "starting its threads");
		_exit(EXIT_FAILURE);
	}
	return (executor_serve(executor));
}

static void
executor_free(struct executor *executor)
{
	if (executor->notified != NULL)
		event_free(executor->notified);
	if (executor->watch != NULL)
		event_free(executor->watch);
	if (executor->notify_fd != -1)
		close(executor->notify_fd);
	channel_free(executor->channel);
	event_base_free(executor->base);
}

int
executor_main(struct heritage *heritage)
{
	static const struct channel_callbacks callbacks = {
		.on_message = executor_on_message,
		.on_end = executor_on_channel_end,
	};
	struct executor executor = {
		.heritage = heritage,
		.notify_fd = -1,
	};
	int status;

	log_identify("executor", (int)heritage->slot,
	    (int64_t)heritage->generation);
	title_set("executor %s slot=%u gen=%" PRIu64,
	    heritage->conf->handlers[heritage->handler].name, heritage->slot,
	    heritage->generation);
	if ((executor.base = loop_new()) == NULL)
		return (EXIT_FAILURE);
	executor.channel = channel_new(executor.base, heritage->channel,
	    CTL_FROM_MASTER, heritage->speaks, &callbacks, &executor);
	if (executor.channel == NULL) {
		event_base_free(executor.base);
		return (EXIT_FAILURE);
	}
	status = executor_run(&executor);
	executor_free(&executor);
	return (status);
}
