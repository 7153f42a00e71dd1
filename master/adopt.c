/* SPDX-License-Identifier: ISC */
#include "master/adopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "master/master.h"

/*
 * What leaves no trace.
 */

static int
adopt_prepare_generation(struct generation *generation, struct why *why)
{
	const struct conf_request request = {
		.path = generation->path, .text = generation->text,
	};
	struct conf_report report = { .errors = NULL };
	struct conf *conf;
	int result = -1;

	if ((conf = conf_read(&request, &report)) == NULL)
		why_set(why, "a configuration that is in effect: line %u: %s",
		    report.errors[0].line, report.errors[0].text);
	else
		result = generation_fill(generation, conf, why);
	conf_report_free(&report);
	return (result);
}

static int
adopt_prepare_counters(struct master *master, struct why *why)
{
	for (size_t i = 0; i < master->nslots; i++)
		if (counters_open(&master->counters[i],
		    master->counters[i].fd, true) == -1)
			return (why_set(why, "counters: %s",
			    strerror(errno)));
	if (status_open(&master->status, master->status.fd, true) == -1)
		return (why_set(why, "status: %s", strerror(errno)));
	if (spans_open(&master->spans, master->spans.fd) == -1)
		return (why_set(why, "spans: %s", strerror(errno)));
	return (0);
}

/* How often each number has been given to another name. */
static void
adopt_prepare_lives(struct master *master)
{
	const struct counters_listener *saved;

	saved = master->counters[0].map->block[0].listener;
	for (unsigned i = 0; i < COUNTERS_LISTENERS; i++)
		master->listener_names.lives[i] = counter_get(&saved[i].life);
	for (unsigned i = 0; i < COUNTERS_HANDLERS; i++)
		master->handler_names.lives[i] =
		    counter_get(&saved[i].handler_life);
	/* Names of which nothing is said any more may have had others. */
	master->listener_names.touched = COUNTERS_LISTENERS;
	master->handler_names.touched = COUNTERS_HANDLERS;
}

/* An executor's handler has to be one of its generation's. */
static int
adopt_check_handlers(const struct executor_list *list, struct why *why)
{
	const struct executor_proc *executor;

	TAILQ_FOREACH(executor, list, link)
		if (executor->handler >=
		    executor->generation->conf->nhandlers)
			return (why_set(why, "executor %d has no handler",
			    (int)executor->process.pid));
	return (0);
}

int
adopt_prepare(struct master *master, int state_fd, struct why *why)
{
	struct generation *generation;
	const struct worker_proc *worker;

	if (state_read(master, state_fd, why) == -1)
		return (-1);
	if (state_pass_on(master, STATE_VERSION, false) == -1)
		return (why_set(why, "a descriptor of the state: %s",
		    strerror(errno)));
	TAILQ_FOREACH(generation, &master->generations, link)
		if (adopt_prepare_generation(generation, why) == -1)
			return (-1);
	TAILQ_FOREACH(worker, &master->workers, link)
		if (adopt_check_handlers(&worker->crew.members, why) == -1)
			return (-1);
	if (adopt_check_handlers(&master->leaving, why) == -1 ||
	    adopt_prepare_counters(master, why) == -1)
		return (-1);
	adopt_prepare_lives(master);
	return (0);
}

/*
 * The rest.
 */

static int
adopt_finish_executors(struct master *master, struct executor_list *list)
{
	struct executor_proc *executor;

	TAILQ_FOREACH(executor, list, link)
		if (crew_adopt(master, executor) == -1)
			return (-1);
	return (0);
}

static int
adopt_finish_processes(struct master *master)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker_proc_adopt(master, worker) == -1 ||
		    adopt_finish_executors(master, &worker->crew.members) == -1)
			return (-1);
	if (adopt_finish_executors(master, &master->leaving) == -1 ||
	    monitor_proc_adopt(master) == -1)
		return (-1);
	succession_adopt(master);
	return (0);
}

static void
adopt_finish_log(const struct master *master)
{
	const struct generation *running = master->running;
	int fd = master->upgrade.log;

	log_configure(running->conf->log.level, running->conf->log.format);
	log_use(fd != -1 ? fd : STDERR_FILENO);
	log_identify("master", -1, (int64_t)running->number);
}

int
adopt_finish(struct master *master, struct why *why)
{
	struct generation *generation, *next;

	adopt_finish_log(master);
	if (adopt_finish_processes(master) == -1)
		return (why_set(why, "processes: %s", strerror(errno)));
	/* Those that nobody has may go. */
	for (generation = TAILQ_FIRST(&master->generations);
	    generation != NULL; generation = next) {
		next = TAILQ_NEXT(generation, link);
		generation_release(generation);
	}
	return (0);
}
