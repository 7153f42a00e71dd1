/* SPDX-License-Identifier: ISC */
#include "monitor/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "conf/conf.h"
#include "monitor/families.h"
#include "monitor/names.h"

/* A block that no worker ever had; to look at it would take memory. */
static bool
is_unused(const struct counters_block *block)
{
	return (counter_get(&block->worker.beat_ms) == 0);
}

static void
add_listener(struct view *view, const struct counters *counters,
    unsigned slot, unsigned number)
{
	struct counters_listener sum = { .active = 0 };

	for (unsigned i = 0; i < COUNTERS_BLOCKS; i++)
		if (!is_unused(&counters->map->block[i]))
			families_fold(listener_families, &sum,
			    &counters->map->block[i].listener[number],
			    sizeof(sum));
	families_add(&view->listener[number], &sum, sizeof(sum));
	families_add(&view->slot[slot], &sum, sizeof(sum));
}

static void
add_handler(struct view *view, const struct counters *counters,
    unsigned number)
{
	struct counters_handler sum = { .waiting = 0 };

	for (unsigned i = 0; i < COUNTERS_BLOCKS; i++)
		if (!is_unused(&counters->map->block[i]))
			families_fold(handler_families, &sum,
			    &counters->map->block[i].handler[number],
			    sizeof(sum));
	families_add(&view->handler[number], &sum, sizeof(sum));
}

static void
add_slot(struct view *view, unsigned slot)
{
	const struct heritage *heritage = view->heritage;
	const struct counters *counters = &heritage->counters[slot];

	for (unsigned i = 0; i < COUNTERS_BLOCKS; i++)
		if (!is_unused(&counters->map->block[i]))
			families_fold(worker_families, &view->worker[slot],
			    &counters->map->block[i].worker,
			    sizeof(view->worker[slot]));
	for (unsigned i = 0; i < heritage->nlistener_names; i++)
		add_listener(view, counters, slot, i);
	for (unsigned i = 0; i < heritage->nhandler_names; i++)
		add_handler(view, counters, i);
}

/* A connection that is handed over is for a moment active in both workers, but it
 * was accepted once. */
static void
count_once(struct counters_listener *sum)
{
	uint64_t once = counters_once(sum->accepted, sum->moved,
	    counters_closed(sum));

	if (sum->active > once)
		sum->active = once;
}

struct view *
view_new(const struct heritage *heritage)
{
	struct view *view;

	if ((view = calloc(1, sizeof(*view))) == NULL)
		return (NULL);
	view->heritage = heritage;
	view->now_ms = clock_ms();
	view->known = status_get_now(&heritage->status, &view->now);
	for (unsigned i = 0; i < heritage->ncounters; i++)
		add_slot(view, i);
	for (unsigned i = 0; i < heritage->nlistener_names; i++)
		count_once(&view->listener[i]);
	for (unsigned i = 0; i < heritage->nlistener_names; i++)
		view->listener_name[i] = names_listener(heritage, i);
	for (unsigned i = 0; i < heritage->nhandler_names; i++)
		view->handler_name[i] = names_handler(heritage, i);
	return (view);
}

bool
view_tells_listener(const struct view *view, size_t number)
{
	return (view->listener_name[number] != NULL);
}

bool
view_tells_handler(const struct view *view, size_t number)
{
	const struct conf *conf = view->heritage->conf;
	const char *name = view->handler_name[number];

	if (name == NULL)
		return (false);
	for (size_t i = 0; i < conf->nhandlers; i++)
		if (strcmp(conf->handlers[i].name, name) == 0)
			return (conf->handlers[i].type != CONF_HANDLER_ECHO &&
			    conf->handlers[i].type != CONF_HANDLER_DISCARD);
	/* One that has left the configuration keeps its counters. */
	return (true);
}

const struct status_process *
view_worker(const struct view *view, unsigned slot)
{
	const struct status_process *process;

	for (uint32_t i = 0; i < view->now.processes; i++) {
		process = &view->now.process[i];
		if (process->role == STATUS_WORKER && process->slot == slot &&
		    process->life == STATUS_SERVING)
			return (process);
	}
	return (NULL);
}

bool
view_is_ready(const struct view *view, char *why, size_t size)
{
	if (!view->known) {
		snprintf(why, size, "no status from the master");
		return (false);
	}
	if (view->now.state != STATUS_RUNNING &&
	    view->now.state != STATUS_RELOADING) {
		snprintf(why, size, "%s", status_state_name(view->now.state));
		return (false);
	}
	for (unsigned i = 0; i < view->now.slots; i++) {
		if (view_worker(view, i) != NULL)
			continue;
		snprintf(why, size, "slot %u has no worker", i);
		return (false);
	}
	return (true);
}
