/* SPDX-License-Identifier: ISC */
/*
 * The master: binds the sockets, forks and supervises the others, carries out
 * the administrator's orders.  Never reads a byte from the network.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/heritage.h"
#include "common/status.h"
#include "conf/conf.h"
#include "master/balance.h"
#include "master/evidence.h"
#include "master/keeper.h"
#include "master/logger_proc.h"
#include "master/monitor_proc.h"
#include "master/phase.h"
#include "master/pidfile.h"
#include "master/probation.h"
#include "master/reload.h"
#include "master/signals.h"
#include "master/slot.h"
#include "master/socket.h"
#include "master/succession.h"
#include "master/upgrade.h"
#include "master/worker_proc.h"

enum {
	/* How often deadlines and pauses of processes are looked at. */
	MASTER_TICK_MS = 100,
	/* A worker that is not READY by then has failed. */
	MASTER_READY_MS = 10000,
	/* A process that was told to exit, or has said that it will, has this
	 * long. */
	MASTER_EXIT_MS = 2000,
	/* The same when the start has failed. */
	MASTER_FAIL_MS = 500,
};

/* What the master may fork. */
struct roles {
	const struct role *worker;
	const struct role *executor;
	const struct role *monitor;
	const struct role *logger;
};

struct master {
	enum phase phase;
	struct pending pending;
	struct event_base *base;
	struct signals signals;
	struct event *tick;
	struct event turn_end;		/* active while is_changed */
	bool is_changed;
	const struct roles *roles;		/* borrowed */
	const char *conf_path;			/* borrowed */
	struct generation_list generations;	/* all that there are */
	struct generation *running;		/* owned; NULL at the start */
	struct reload reload;
	struct upgrade upgrade;
	struct probation probation;
	struct evidence_before evidence;
	struct keeper *keeper;			/* during an upgrade; NULL */
	struct process_list processes;
	struct succession_report_list reports;	/* that are not complete */
	struct worker_list workers;
	struct worker_list dead;		/* reaped, not buried yet */
	struct executor_list leaving;		/* without a worker */
	struct executor_list kept;		/* for a roll-back */
	uint64_t executors;			/* that ever were */
	struct slot slots[CONF_WORKERS_MAX];
	struct counters counters[CONF_WORKERS_MAX];	/* of nslots slots */
	size_t nslots;				/* that ever were */
	struct status status;			/* what we tell of ourselves */
	struct balance balance;
	uint64_t shared;			/* connections that serving
					   workers gave others */
	struct settling settling;
	struct spans_taken spans;		/* of those whom it concerns */
	int64_t started;			/* seconds since 1970 */
	struct monitor_proc monitor;
	struct logger_list loggers;
	struct logger_proc *logging;		/* has our lines; NULL: none */
	bool is_reopened;			/* the log, as far as is known */
	struct sockets sockets;
	struct registry listener_names;
	struct registry handler_names;
	struct log_limit stderr_limits[COUNTERS_HANDLERS];	/* by number */
	struct pidfiles pidfiles;
	uint64_t numbered;			/* generations so far */
	uint64_t tick_ms;			/* the last tick */
	uint64_t lenient_until_ms;		/* see watchdog.c */
	bool resuming;				/* a reload has taken a stop
						   back: if refused, it holds */
	int daemon_fd;				/* see daemon_ready(); -1 */
	int exit_status;
};

/* A master that has nothing yet. */
void master_init(struct master *);

/* The program: returns its exit status. */
int master_main(int argc, char *argv[], const struct roles *);

/*
 * Something has changed: a process is ready or gone, an order has come.  Files
 * below phase.c change their own state, and say so here.  What follows is
 * decided in one place, when all that was ready in this turn of the loop has
 * been looked at.
 */
static inline void
master_changed(struct master *master)
{
	if (master->is_changed)
		return;
	master->is_changed = true;
	event_active(&master->turn_end, EV_TIMEOUT, 0);
}

/* What a worker counts. */
static inline struct counters_block *
worker_proc_counters(const struct worker_proc *worker)
{
	return (&worker->process.master->counters[worker->slot->number].map->
	    block[worker->block]);
}

#endif
