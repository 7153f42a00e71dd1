/* SPDX-License-Identifier: ISC */
#include "config.h"

#include "master/publish.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "master/master.h"
#include "master/options.h"

static struct status_process *
publish_add(struct status_now *now, pid_t pid, enum status_role role,
    enum status_life life)
{
	static struct status_process nowhere;
	struct status_process *process = &nowhere;

	if (now->processes < STATUS_PROCESSES)
		process = &now->process[now->processes++];
	else
		now->unlisted++;
	*process = (struct status_process){
		.pid = pid, .role = (uint16_t)role, .life = (uint16_t)life,
	};
	return (process);
}

static enum status_life
publish_life_of_worker(const struct worker_proc *worker)
{
	switch (worker->state) {
	case WORKER_STARTING:	return (STATUS_BORN);
	case WORKER_READY:	return (STATUS_READY);
	case WORKER_SERVING:	return (STATUS_SERVING);
	case WORKER_DRAINING:	return (STATUS_DRAINING);
	case WORKER_ENDING:
	case WORKER_DEAD:	break;
	}
	return (STATUS_ENDING);
}

static enum status_life
publish_life_of_executor(const struct executor_proc *executor)
{
	switch (executor->state) {
	case EXECUTOR_STARTING:	return (STATUS_BORN);
	case EXECUTOR_HUNG_UP:
	case EXECUTOR_DISOWNED:
	case EXECUTOR_SERVING:	return (STATUS_SERVING);
	case EXECUTOR_KEPT:	return (STATUS_READY);
	case EXECUTOR_LEAVING:
	case EXECUTOR_DEAD:	break;
	}
	return (STATUS_ENDING);
}

static void
publish_executors(struct status_now *now, const struct executor_list *list)
{
	const struct executor_proc *executor;
	struct status_process *process;

	TAILQ_FOREACH(executor, list, link) {
		process = publish_add(now, executor->process.pid,
		    STATUS_EXECUTOR, publish_life_of_executor(executor));
		process->handler =
		    executor->generation->handler_number[executor->handler];
		process->generation = executor->generation->number;
		process->born_ms = executor->process.born_ms;
	}
}

static void
publish_worker(struct status_now *now, const struct worker_proc *worker)
{
	struct status_process *process;

	process = publish_add(now, worker->process.pid, STATUS_WORKER,
	    publish_life_of_worker(worker));
	process->slot = worker->slot->number;
	process->block = worker->block;
	process->has_custody = worker_proc_has_custody(worker);
	process->generation = worker->generation->number;
	process->born_ms = worker->process.born_ms;
}

static void
publish_processes(struct status_now *now, const struct master *master)
{
	const struct worker_proc *worker;

	publish_add(now, getpid(), STATUS_MASTER, STATUS_SERVING);
	if (master->monitor.process.pid != 0)
		publish_add(now, master->monitor.process.pid, STATUS_MONITOR,
		    STATUS_SERVING)->born_ms = master->monitor.process.born_ms;
	/* All workers before any executor, should there be no place for
	 * all. */
	TAILQ_FOREACH(worker, &master->workers, link)
		/* A rescuer may not be there yet. */
		if (worker->process.pid != 0)
			publish_worker(now, worker);
	TAILQ_FOREACH(worker, &master->workers, link)
		publish_executors(now, &worker->crew.members);
	publish_executors(now, &master->kept);
	publish_executors(now, &master->leaving);
}

/* One that is to end in a roll-back lasts until that begins. */
static uint64_t
publish_end_of_probation(const struct probation *probation)
{
	uint64_t soon_ms = clock_ms() + 1000;

	return (*probation->why.text != '\0' && probation->until_ms < soon_ms ?
	    soon_ms : probation->until_ms);
}

static enum status_state
publish_state_of(const struct master *master)
{
	switch (master->phase) {
	case PHASE_STARTING:
		return (STATUS_STARTING);
	case PHASE_STOPPING:
		return (STATUS_STOPPING);
	case PHASE_RUNNING:
		if (!master->pending.reload && !master->pending.upgrade)
			return (STATUS_RUNNING);
		break;
	case PHASE_PREPARING:
	case PHASE_CANARY:
	case PHASE_HANDING_OVER:
	case PHASE_CHECKING:
		break;
	}
	return (STATUS_RELOADING);
}

void
publish_now(struct master *master)
{
	/* Too large for the stack; what is not used of it stays zero. */
	static struct status_now now;
	const struct generation *running = master->running;

	now.processes = now.unlisted = 0;
	now.pid = getpid();
	now.state = publish_state_of(master);
	now.started = master->started;
	now.probation_ms = publish_end_of_probation(&master->probation);
	snprintf(now.build, sizeof(now.build), "%s", PENSTOCK_VERSION);
	snprintf(now.conf_path, sizeof(now.conf_path), "%s",
	    master->conf_path);
	if (running != NULL) {
		now.generation = running->number;
		now.slots = running->slots;
		now.conf_loaded = running->loaded;
		now.conf_hash = running->conf_hash;
	}
	publish_processes(&now, master);
	status_set_now(&master->status, &now);
}
