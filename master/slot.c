/* SPDX-License-Identifier: ISC */
#include "master/slot.h"

#include <sys/wait.h>

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/limits.h"
#include "master/master.h"
#include "master/pause.h"

int
slots_prepare(struct master *master, unsigned slots)
{
	while (master->nslots < slots) {
		unsigned n = (unsigned)master->nslots;

		if (counters_new(&master->counters[n], n,
		    limits_records()) == -1)
			return (-1);
		master->slots[n] = (struct slot){ .number = n };
		master->nslots++;
	}
	return (0);
}

bool
slot_has_room(const struct slot *slot)
{
	for (int i = 0; i < COUNTERS_BLOCKS; i++)
		if (!slot->lent[i])
			return (true);
	return (false);
}

void
slots_steer(struct master *master)
{
	bool live[CONF_WORKERS_MAX];

	for (unsigned i = 0; i < master->running->slots; i++)
		live[i] = master->slots[i].serving != NULL &&
		    master->slots[i].serving->state == WORKER_SERVING;
	sockets_steer(&master->sockets, live, master->running->slots);
}

static void
revive(struct master *master, struct slot *slot)
{
	slot->again_ms = 0;
	slot->serving = worker_proc_new(master, slot, master->running, false);
	if (slot->serving == NULL) {
		LOG(ERROR, WORKER_FAILED, F_U64("child_slot", slot->number),
		    F_ERRNO(errno));
		slot->again_ms = clock_ms() + PAUSE_YOUNG_MS / 10;
	}
}

static void
log_death(const struct worker_proc *worker, int status, uint64_t lost,
    uint64_t retry_ms)
{
	uint64_t alive_ms = clock_ms() - worker->process.born_ms;
	char how[PAUSE_HOW_MAX];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && lost == 0) {
		LOG(INFO, WORKER_EXIT, F_I64("child", worker->process.pid),
		    F_U64("child_slot", worker->slot->number),
		    F_U64("child_gen", worker->generation->number),
		    F_U64("alive_ms", alive_ms));
		return;
	}
	LOG(ERROR, WORKER_DIED, F_I64("child", worker->process.pid),
	    F_U64("child_slot", worker->slot->number),
	    F_U64("child_gen", worker->generation->number),
	    F_STR("how", describe_death(status, how)),
	    F_I64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
	    F_I64("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
	    F_U64("alive_ms", alive_ms), F_U64("conns_lost", lost),
	    F_U64("retry_ms", retry_ms));
}

static enum status_cause
cause_of(const struct worker_proc *worker, int status)
{
	if (worker->was_killed)
		return (worker->cause);
	return (WIFSIGNALED(status) ? STATUS_SIGNAL : STATUS_EXIT);
}

static void
replace(struct slot *slot, const struct worker_proc *worker, int status,
    uint64_t lost)
{
	struct master *master = worker->master;
	char how[PAUSE_HOW_MAX];
	uint64_t pause;

	pause = pause_after(&slot->young_deaths,
	    clock_ms() - worker->process.born_ms);
	log_death(worker, status, lost, pause);
	probation_on_death(master, worker->generation, slot->young_deaths,
	    "workers", describe_death(status, how));
	status_count_death(&master->status, slot->number,
	    cause_of(worker, status));
	slots_steer(master);
	if (pause == 0)
		revive(master, slot);
	else
		slot->again_ms = clock_ms() + pause;
}

void
slot_on_death(struct slot *slot, struct worker_proc *worker, int status,
    uint64_t lost)
{
	char how[PAUSE_HOW_MAX];

	if (worker == slot->serving) {
		slot->serving = NULL;
		replace(slot, worker, status, lost);
		return;
	}
	log_death(worker, status, lost, 0);
	if (worker == slot->next) {
		slot->next = NULL;
		reload_on_death(worker, *worker->why != '\0' ? worker->why :
		    describe_death(status, how));
	}
}

void
slots_revive(struct master *master)
{
	uint64_t now_ms = clock_ms();

	for (size_t i = 0; i < master->nslots; i++)
		if (master->slots[i].again_ms != 0 &&
		    now_ms >= master->slots[i].again_ms)
			revive(master, &master->slots[i]);
}
