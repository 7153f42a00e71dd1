/* SPDX-License-Identifier: ISC */
#include "monitor/monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/title.h"
#include "monitor/exporter.h"
#include "monitor/front.h"
#include "monitor/pages.h"

enum {
	/* Time for requests in flight when the monitor has to exit. */
	LEAVE_MS = 500,
	TICK_MS = 100,
	/* Interval of the beat to the master: several times in the shortest
	 * watchdog_timeout. */
	BEAT_MS = 300,
};

struct monitor {
	const struct heritage *heritage;	/* borrowed */
	struct event_base *base;
	struct channel *channel;
	struct event *tick;
	struct front *front;
	struct exporter *exporter;		/* NULL: tracing is off */
	struct pages pages;
	uint64_t leave_ms;			/* at the latest; 0: stay */
	uint64_t beat_ms;			/* when the next is due */
	uint64_t tick_ms;			/* the last tick */
};

/*
 * What the master says.
 */

static void
monitor_leave(struct monitor *monitor)
{
	if (monitor->leave_ms != 0)
		return;
	monitor->leave_ms = clock_ms() + LEAVE_MS;
	/* Who has not been accepted stays in the queue, for the next one. */
	front_close(monitor->front);
}

static void
monitor_on_message(struct ctl *msg, void *arg)
{
	struct monitor *monitor = arg;

	if (msg->header.type == CTL_STOP)
		monitor_leave(monitor);
	else if (msg->header.type == CTL_LOG)
		(void)ctl_use_log(msg);
}

static void
monitor_on_channel_end(const char *why, void *arg)
{
	struct monitor *monitor = arg;

	LOG(ERROR, MASTER_GONE, F_STR("error", why));
	monitor_leave(monitor);
}

/*
 * What an administrator orders through us.
 */

static bool
order(enum ctl_type type, uint64_t id, void *arg)
{
	struct monitor *monitor = arg;
	const struct ctl_conn conn = { .id = id };

	return (channel_send(monitor->channel, type,
	    monitor->heritage->generation,
	    type == CTL_ASK_CLOSE ? &conn : NULL, -1) == 0);
}

static void
monitor_answer(struct front_request *request, void *arg)
{
	struct monitor *monitor = arg;

	pages_answer(&monitor->pages, request, front_pending(monitor->front));
}

/*
 * Start and end.
 */

static void
monitor_beat(struct monitor *monitor)
{
	uint64_t now_ms = clock_coarse_ms();

	if (now_ms < monitor->beat_ms)
		return;
	monitor->beat_ms = now_ms + BEAT_MS;
	/* A master that does not read has to wait for the next one. */
	(void)channel_send(monitor->channel, CTL_BEAT,
	    monitor->heritage->generation, NULL, -1);
}

static void
monitor_forgive(struct monitor *monitor, uint64_t stall_ms)
{
	front_forgive(monitor->front, stall_ms);
	exporter_forgive(monitor->exporter, stall_ms);
	if (monitor->leave_ms != 0)
		monitor->leave_ms += stall_ms;
}

static void
monitor_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *monitor = arg;

	uint64_t now_ms = clock_ms();
	uint64_t stall_ms = clock_stall_ms(monitor->tick_ms, now_ms, TICK_MS);

	(void)fd;
	(void)what;
	monitor->tick_ms = now_ms;
	if (stall_ms > 0)
		monitor_forgive(monitor, stall_ms);
	monitor_beat(monitor);
	(void)channel_flush(monitor->channel);
	exporter_tick(monitor->exporter);
	log_flush_suppressed();
}

/* libevent reads for us, and would take descriptors that are sent along. */
static void
guard(const struct heritage *heritage)
{
	for (size_t i = 0; i < heritage->nsockets; i++)
		if (fd_is_local(heritage->sockets[i].fd) &&
		    !fd_refuses_rights(heritage->sockets[i].fd))
			fd_break_waits();
}

static int
monitor_set_up(struct monitor *monitor)
{
	static const struct channel_callbacks callbacks = {
		.on_message = monitor_on_message,
		.on_end = monitor_on_channel_end,
	};
	const struct heritage *heritage = monitor->heritage;
	struct timeval interval = { .tv_usec = TICK_MS * 1000 };

	guard(heritage);
	errno = ENOMEM;		/* libevent does not always say */
	monitor->channel = channel_new(monitor->base, heritage->channel,
	    CTL_FROM_MASTER, heritage->speaks, &callbacks, monitor);
	monitor->front =
	    front_new(monitor->base, heritage, monitor_answer, monitor);
	monitor->exporter = exporter_new(monitor->base, heritage);
	monitor->tick_ms = clock_ms();
	monitor->tick =
	    event_new(monitor->base, -1, EV_PERSIST, monitor_on_tick, monitor);
	if (monitor->channel == NULL || monitor->front == NULL ||
	    monitor->tick == NULL ||
	    event_add(monitor->tick, &interval) == -1)
		return (-1);
	return (channel_send(monitor->channel, CTL_READY,
	    heritage->generation, NULL, -1));
}

static bool
monitor_is_over(const struct monitor *monitor)
{
	if (monitor->leave_ms == 0)
		return (false);
	return ((front_is_quiet(monitor->front) &&
	    exporter_is_idle(monitor->exporter)) ||
	    clock_ms() >= monitor->leave_ms);
}

static int
monitor_run(struct monitor *monitor)
{
	if (monitor_set_up(monitor) == -1) {
		LOG(ERROR, MONITOR_FAILED, F_ERRNO(errno));
		return (EXIT_FAILURE);
	}
	while (!monitor_is_over(monitor)) {
		if (event_base_loop(monitor->base, EVLOOP_ONCE) == -1)
			return (EXIT_FAILURE);
		front_sweep(monitor->front);
	}
	return (EXIT_SUCCESS);
}

int
monitor_main(struct heritage *heritage)
{
	static struct monitor monitor;
	int status;

	monitor.heritage = heritage;
	monitor.pages = (struct pages){
		.heritage = heritage, .order = order, .arg = &monitor,
	};
	log_identify("monitor", -1, (int64_t)heritage->generation);
	title_set("monitor gen=%" PRIu64, heritage->generation);
	if ((monitor.base = loop_new()) == NULL)
		return (EXIT_FAILURE);
	status = monitor_run(&monitor);
	if (monitor.tick != NULL)
		event_free(monitor.tick);
	front_free(monitor.front);
	exporter_free(monitor.exporter);
	channel_free(monitor.channel);
	event_base_free(monitor.base);
	return (status);
}
