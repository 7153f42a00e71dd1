/* SPDX-License-Identifier: ISC */
#include "master/balance.h"

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

enum {
	/* Connections a second, where the operator wants what the configuration
	 * has off. */
	RATE = 1000,
	/* Smaller differences than this, or than this part of the mean, are
	 * left. */
	TOLERANCE = 8,
	TOLERANCE_PART = 20,
	/* After that many steps that moved nothing, it ends: no connection of
	 * the loaded workers is idle. */
	FUTILE_MAX = 20,
};

static void
balance_begin(struct master *master)
{
	struct balance *balance = &master->balance;

	if (balance->on)
		return;
	*balance = (struct balance){
		.on = true,
		.first = master->shared,
		.last = master->shared,
		.begun_ms = clock_ms(),
	};
}

void
balance_order(struct master *master)
{
	if (master->running->conf->rebalance > 0)
		balance_begin(master);
}

void
balance_demand(struct master *master)
{
	LOG(INFO, REBALANCE);
	master->balance.is_demanded = false;
	if (master->phase != PHASE_STARTING && master->phase != PHASE_STOPPING)
		balance_begin(master);
}

static void
balance_end(struct master *master)
{
	struct balance *balance = &master->balance;
	uint64_t moved = master->shared - balance->first;

	balance->on = false;
	if (moved > 0)
		LOG(INFO, REBALANCED, F_U64("conns", moved),
		    F_U64("duration_ms", clock_ms() - balance->begun_ms));
}

struct loads {
	struct worker_proc *most, *fewest;
	uint64_t max, min, mean;
	bool complete;			/* each slot serves and gives none */
};

static void
balance_measure(const struct master *master, struct loads *loads)
{
	uint64_t load, sum = 0;

	*loads = (struct loads){ .complete = true };
	for (unsigned i = 0; i < master->running->slots; i++) {
		struct worker_proc *worker = master->slots[i].serving;

		if (worker == NULL || worker->state != WORKER_SERVING ||
		    worker->passing > 0) {
			loads->complete = false;
			return;
		}
		load = counter_get(
		    &worker_proc_counters(worker)->worker.active);
		sum += load;
		if (loads->most == NULL || load > loads->max) {
			loads->most = worker;
			loads->max = load;
		}
		if (loads->fewest == NULL || load < loads->min) {
			loads->fewest = worker;
			loads->min = load;
		}
	}
	loads->mean = sum / master->running->slots;
}

static uint64_t
balance_step_size(const struct master *master)
{
	unsigned rate = master->running->conf->rebalance;
	uint64_t step;

	step = (uint64_t)(rate > 0 ? rate : RATE) * MASTER_TICK_MS / 1000;
	return (step > 0 ? step : 1);
}

void
balance_tick(struct master *master)
{
	struct balance *balance = &master->balance;
	struct loads loads;
	uint64_t excess, step, tolerance;

	if (!balance->on)
		return;
	balance_measure(master, &loads);
	/* A worker that is awaited, or a step that is not done. */
	if (!loads.complete)
		return;
	balance->futile = master->shared > balance->last ? 0 :
	    balance->futile + 1;
	balance->last = master->shared;
	tolerance = loads.mean / TOLERANCE_PART;
	if (tolerance < TOLERANCE)
		tolerance = TOLERANCE;
	if (loads.max - loads.min <= tolerance ||
	    balance->futile > FUTILE_MAX) {
		balance_end(master);
		return;
	}
	excess = (loads.max - loads.min) / 2;
	step = balance_step_size(master);
	succession_connect(loads.most, loads.fewest,
	    excess < step ? excess : step);
}
