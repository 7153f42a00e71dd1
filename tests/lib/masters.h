/* SPDX-License-Identifier: ISC */
/*
 * A master that only has what it has read of a state.
 */
#ifndef TESTS_LIB_MASTERS_H
#define TESTS_LIB_MASTERS_H

#include <stdlib.h>

#include "master/master.h"

static inline void
drop_executors(struct executor_list *list)
{
	struct executor_proc *executor;

	while ((executor = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, executor, link);
		generation_release(executor->generation);
		free(executor);
	}
}

static inline void
drop_sockets(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->n; i++) {
		free(sockets->groups[i]->text);
		free(sockets->groups[i]);
	}
	free(sockets->groups);
}

/* Free what was read.  Nothing was opened. */
static inline void
drop_master(struct master *master)
{
	struct succession_report *report;
	struct generation *generation, *next;
	struct worker_proc *worker;

	while ((worker = TAILQ_FIRST(&master->workers)) != NULL) {
		TAILQ_REMOVE(&master->workers, worker, link);
		drop_executors(&worker->crew.members);
		generation_release(worker->generation);
		free(worker->anchor);
		free(worker);
	}
	drop_executors(&master->leaving);
	while ((report = TAILQ_FIRST(&master->reports)) != NULL) {
		TAILQ_REMOVE(&master->reports, report, link);
		free(report);
	}
	drop_sockets(&master->sockets);
	drop_sockets(&master->monitor.sockets);
	registry_free(&master->listener_names);
	registry_free(&master->handler_names);
	if (master->running != NULL)
		generation_release(master->running);
	if (master->upgrade.back != NULL)
		generation_release(master->upgrade.back);
	for (generation = TAILQ_FIRST(&master->generations);
	    generation != NULL; generation = next) {
		next = TAILQ_NEXT(generation, link);
		generation_release(generation);
	}
	free(master->upgrade.path);
	free(master->pidfiles.now.path);
	master_init(master);
}

#endif
