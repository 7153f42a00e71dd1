/* SPDX-License-Identifier: ISC */
#include "worker/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/title.h"
#include "worker/access_log.h"
#include "worker/anchor.h"
#include "worker/custody.h"
#include "worker/executors.h"
#include "worker/orders.h"
#include "worker/memory.h"
#include "worker/rescue.h"

enum {
	/* Buffers from here on are mapped one by one, so that their memory goes
	 * back to the system when they are freed: mallopt(3). */
	MMAP_FROM = 131072,
	/* A worker that has failed waits for at most so long to say so. */
	WORKER_LINGER_MS = 1000,
};

static void
worker_on_message(struct ctl *msg, void *arg)
{
	struct worker *worker = arg;

	worker_turn(worker);
	orders_obey(worker, msg);
}

/* The master is gone, and nobody will take our place: serve those who are
 * here. */
static void
worker_on_channel_end(const char *why, void *arg)
{
	struct worker *worker = arg;
	struct ctl_drain order = {
		.mode = CTL_DRAIN_REPLACED,
		.timeout_ms = worker->heritage->conf->drain_timeout_ms,
		.spread_ms = worker->heritage->conf->drain_spread_ms,
	};

	LOG(ERROR, MASTER_GONE, F_STR("error", why));
	giver_orphan(worker);
	if (worker->drain.on)
		return;
	worker_turn(worker);
	drain_begin(worker, &order);
}

/* That the loop turns, and how much later than due its tick ran: so long had
 * everybody to wait. */
static void
worker_beat(struct worker *worker)
{
	struct counters_worker *counters = worker->counters;
	uint64_t now_us = clock_us();
	uint64_t due_us = worker->tick_us + WORKER_TICK_MS * 1000;
	uint64_t lag_us = now_us > due_us ? now_us - due_us : 0;

	worker->tick_us = now_us;
	histogram_add(&counters->lag, lag_us);
	if (lag_us > counter_get(&counters->lag_peak_us))
		counter_set(&counters->lag_peak_us, lag_us);
	counter_set(&counters->beat_ms, now_us / 1000);
}

/* The clients, the handlers and the other processes have had no answer from us
 * for that long, and perhaps did not run themselves. */
static void
worker_forgive(struct worker *worker, uint64_t stall_ms)
{
	deadline_forgive(worker, stall_ms);
	giver_forgive(worker, stall_ms);
	drain_forgive(worker, stall_ms);
	for (size_t i = 0; i < worker->nhandlers; i++)
		if (worker->handlers[i].queue != NULL)
			queue_forgive(worker->handlers[i].queue,
			    stall_ms * 1000);
}

static void
worker_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	struct conn *conn;
	uint64_t stall_ms;

	(void)fd;
	(void)what;
	worker_turn(worker);
	if ((stall_ms = clock_stall_ms(worker->tick_us / 1000, clock_ms(),
	    WORKER_TICK_MS)) > 0)
		worker_forgive(worker, stall_ms);
	worker_beat(worker);
	conn_end_due(worker);
	while ((conn = blame_next_over(worker)) != NULL)
		conn_on_patience(conn);
	takers_tick(worker);
	giver_tick(worker);
	acceptors_resume(&worker->acceptors);
	drain_tick(worker);
	for (size_t i = 0; i < worker->nhandlers; i++)
		if (worker->handlers[i].queue != NULL)
			executors_tick(worker->handlers[i].queue);
	worker_end_later(worker);
	access_log_tick(worker->access_log, worker->now_ms);
	log_flush_suppressed();
	if (worker->is_rescuer)
		notice_rescued(worker);
	notices_flush(worker);
}

static void
worker_call_feeder(struct worker *worker)
{
	struct conn *conn = queue_call_next(worker);

	if (conn != NULL)
		conn_run_ready(conn);
	worker->call.conn = NULL;
}

static bool
worker_has_more(const struct worker *worker)
{
	return (worker->nready > 0 || worker->giver.rested ||
	    !TAILQ_EMPTY(&worker->roomy) || !TAILQ_EMPTY(&worker->unsent) ||
	    (!TAILQ_EMPTY(&worker->starved) && !memory_is_short(worker)));
}

void
worker_end_turn(struct worker *worker)
{
	while (worker_has_more(worker)) {
		/* Who is at rest goes before it begins something new. */
		if (giver_settle(worker))
			/* With nothing left it need not wait for the tick. */
			drain_tick(worker);
		conn_run_all_ready(worker);
		worker_call_feeder(worker);
		memory_feed_starved(worker);
		if (worker->nready == 0 && TAILQ_EMPTY(&worker->roomy))
			executors_flush(worker);
	}
	if (worker->acceptors.has_room)
		acceptors_resume(&worker->acceptors);
	worker->is_end_due = false;
}

static void
worker_on_turn_end(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	worker_turn(worker);
	worker_end_turn(worker);
}

void
worker_init_turn(struct worker *worker)
{
	TAILQ_INIT(&worker->unsent);
	TAILQ_INIT(&worker->takers);
	TAILQ_INIT(&worker->ready);
	TAILQ_INIT(&worker->roomy);
	TAILQ_INIT(&worker->starved);
	TAILQ_INIT(&worker->slowed);
	STAILQ_INIT(&worker->notices);
	event_assign(&worker->turn_end, worker->base, -1, 0, worker_on_turn_end,
	    worker);
}

static int
worker_start_tick(struct worker *worker)
{
	struct timeval interval = { .tv_usec = WORKER_TICK_MS * 1000 };

	worker->tick =
	    event_new(worker->base, -1, EV_PERSIST, worker_on_tick, worker);
	if (worker->tick == NULL)
		return (-1);
	worker->tick_us = clock_us();
	return (event_add(worker->tick, &interval));
}

/* Bind the worker of slot n to the n-th of the CPUs that it may use. */
static void
worker_set_affinity(const struct heritage *heritage)
{
	cpu_set_t allowed, one;
	int n;

	if (!heritage->conf->cpu_affinity ||
	    sched_getaffinity(0, sizeof(allowed), &allowed) == -1)
		return;
	n = (int)heritage->slot % CPU_COUNT(&allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || n-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

/* Everything that a worker needs but its base and channel.  Returns -1 with
 * errno set; worker_free() releases what is there then. */
static int
worker_init(struct worker *worker)
{
	const struct heritage *heritage = worker->heritage;

	tracing_init(worker);
	buffer_pool_init(&worker->buffers, heritage->conf->max_buffered,
	    worker->counters);
	if ((worker->scratch = malloc(WORKER_SCRATCH)) == NULL ||
	    (worker->exec_scratch = malloc(WORKER_SCRATCH)) == NULL ||
	    output_init(&worker->output) == -1 ||
	    conn_table_init(&worker->conns,
		&heritage->counters[heritage->slot], heritage->block) == -1 ||
	    access_log_init(worker) == -1 ||
	    giver_init(worker) == -1 ||
	    handlers_init(worker) == -1 ||
	    listeners_init(worker) == -1 ||
	    acceptors_init(worker) == -1)
		return (-1);
	errno = ENOMEM;		/* libevent does not always say */
	return (worker_start_tick(worker));
}

static void
worker_free(struct worker *worker)
{
	acceptors_free(worker);
	takers_free(worker);
	giver_free(worker);
	conn_end_all(worker);
	listeners_free(worker);
	handlers_free(worker);
	access_log_free(worker);
	conn_table_free(&worker->conns);
	custody_free(worker->custody, worker->heritage->counters[
	    worker->heritage->slot].records);
	buffer_pool_free(&worker->buffers);
	output_free(&worker->output);
	free(worker->scratch);
	free(worker->exec_scratch);
	event_del(&worker->turn_end);
	notices_free(worker);
	if (worker->tick != NULL)
		event_free(worker->tick);
	channel_free(worker->channel);
	event_base_free(worker->base);
}

static int
worker_report_failure(struct worker *worker, const char *what)
{
	struct ctl_failed failed = { .why = "" };

	snprintf(failed.why, sizeof(failed.why), "%s: %s", what,
	    strerror(errno));
	(void)channel_send(worker->channel, CTL_FAILED,
	    worker->heritage->generation, &failed, -1);
	channel_linger(worker->channel, WORKER_LINGER_MS);
	return (EXIT_FAILURE);
}

static int
worker_run(struct worker *worker)
{
	if (worker_init(worker) == -1)
		return (worker_report_failure(worker, "set-up"));
	if (worker->is_rescuer && rescue_run(worker) == -1)
		/* Nothing is closed: another one tries. */
		exit(worker_report_failure(worker, "rescue"));
	if (worker->is_rescuer) {
		notice_rescued(worker);
		FAULT("rescue_told");
	} else {
		FAULT("worker_starts");
		if (channel_send(worker->channel, CTL_READY,
		    worker->heritage->generation, NULL, -1) == -1)
			return (EXIT_FAILURE);
	}
	if (event_base_dispatch(worker->base) == -1)
		return (worker_report_failure(worker, "event loop"));
	return (EXIT_SUCCESS);
}

/* Have the descriptors outlive this process.  Returns whether it is a rescuer,
 * that has those of another one. */
static bool
worker_leave_anchor(struct worker *worker, struct heritage *heritage,
    struct ctl_cloned *anchor)
{
	uint32_t places = heritage->counters[heritage->slot].records;

	*anchor = (struct ctl_cloned){ .error = ENOMEM };
	if ((worker->custody = custody_new(places)) == NULL)
		return (false);
	worker->is_rescuer = anchor_start(heritage, places, anchor);
	if (worker->is_rescuer) {
		heritage->nsockets = 0;
		if (rescue_close_rest(worker) == -1)
			exit(EXIT_FAILURE);
	} else if (anchor->pid == 0) {
		custody_free(worker->custody, places);
		worker->custody = NULL;
	}
	return (worker->is_rescuer);
}

int
worker_main(struct heritage *heritage)
{
	static const struct channel_callbacks callbacks = {
		.on_message = worker_on_message,
		.on_end = worker_on_channel_end,
	};
	struct worker worker = {
		.heritage = heritage,
		.counters = &heritage->counters[heritage->slot]
		    .map->block[heritage->block].worker,
	};
	const char *role = "worker";
	struct ctl_cloned anchor;
	int status;

	worker_set_affinity(heritage);
	if (heritage->anchor != -1 &&
	    worker_leave_anchor(&worker, heritage, &anchor))
		role = "rescuer";
	log_identify(role, (int)heritage->slot, (int64_t)heritage->generation);
	log_share_untold(&worker.counters->log_untold);
	title_set("%s slot=%u gen=%" PRIu64, role, heritage->slot,
	    heritage->generation);
	mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
	worker_turn(&worker);
	if ((worker.base = loop_new()) == NULL)
		return (EXIT_FAILURE);
	worker_init_turn(&worker);
	worker.channel = channel_new(worker.base, heritage->channel,
	    CTL_FROM_MASTER, heritage->speaks, &callbacks, &worker);
	if (worker.channel == NULL) {
		event_base_free(worker.base);
		return (EXIT_FAILURE);
	}
	if (heritage->anchor != -1 && !worker.is_rescuer)
		(void)channel_send(worker.channel, CTL_ANCHOR,
		    heritage->generation, &anchor, -1);
	status = worker_run(&worker);
	worker_free(&worker);
	return (status);
}
