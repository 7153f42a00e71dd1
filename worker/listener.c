/* SPDX-License-Identifier: ISC */
#include "worker/listener.h"

#include <stdlib.h>

#include "worker/worker.h"

static void
listener_init(struct listener *listener, struct worker *worker, size_t i)
{
	const struct heritage *heritage = worker->heritage;
	struct counters_map *map = heritage->counters[heritage->slot].map;

	listener->worker = worker;
	listener->conf = &heritage->conf->listeners[i];
	listener->handler = 
	    &worker->handlers[listener->conf->handler_index];
	listener->number = (uint16_t)heritage->listener_number[i];
	listener->counters =
	    &map->block[heritage->block].listener[listener->number];
	deadline_init(listener->deadlines, listener->conf);
}

int
listeners_init(struct worker *worker)
{
	size_t n = worker->heritage->conf->nlisteners;

	if ((worker->listeners = calloc(n, sizeof(*worker->listeners))) == NULL)
		return (-1);
	worker->nlisteners = n;
	for (size_t i = 0; i < n; i++)
		listener_init(&worker->listeners[i], worker, i);
	return (0);
}

void
listeners_free(struct worker *worker)
{
	free(worker->listeners);
}

uint16_t
listener_index(const struct listener *listener)
{
	return ((uint16_t)(listener - listener->worker->listeners));
}

/* What another process wrote is believed only as far as it can be true. */
static uint64_t
bounded(uint64_t active, const struct counters *counters)
{
	return (active < counters->records ? active : counters->records);
}

static uint64_t
less(uint64_t all, uint64_t some)
{
	return (all > some ? all - some : 0);
}

/* The connections of a listener that two workers hold, as they are on their way
 * from one to the other: they are active twice, but were accepted, or moved from
 * another listener, once. */
static uint64_t
held_twice(const struct heritage *heritage, unsigned number)
{
	uint64_t closed = 0, active = 0, moved = 0, accepted = 0;

	for (size_t slot = 0; slot < heritage->ncounters; slot++) {
		const struct counters *counters = &heritage->counters[slot];

		for (unsigned i = 0; i < COUNTERS_BLOCKS; i++) {
			const struct counters_listener *listener =
			    &counters->map->block[i].listener[number];

			/* In this order: of what happens meanwhile, nothing is
			 * taken for held twice that is not. */
			closed += counters_closed(listener);
			active += bounded(counter_get(&listener->active),
			    counters);
			moved += counter_get(&listener->moved);
			accepted += counter_get(&listener->accepted);
		}
	}
	return (less(active, counters_once(accepted, moved, closed)));
}

bool
listener_is_full(const struct listener *listener, enum reject_reason *why)
{
	const struct heritage *heritage = listener->worker->heritage;
	const struct conf *conf = heritage->conf;
	uint64_t here = 0, everywhere = 0;

	for (size_t slot = 0; slot < heritage->ncounters; slot++) {
		const struct counters *counters = &heritage->counters[slot];

		for (unsigned i = 0; i < COUNTERS_BLOCKS; i++) {
			const struct counters_block *block =
			    &counters->map->block[i];

			everywhere += bounded(
			    counter_get(&block->worker.active), counters);
			here += bounded(counter_get(
			    &block->listener[listener->number].active),
			    counters);
		}
	}
	/* What is held twice is of interest only where it could matter. */
	if (here >= listener->conf->max_connections)
		here = less(here, held_twice(heritage, listener->number));
	for (size_t i = 0; i < conf->nlisteners &&
	    everywhere >= conf->max_connections; i++)
		everywhere = less(everywhere, held_twice(heritage,
		    heritage->listener_number[i]));
	*why = here >= listener->conf->max_connections ?
	    REJECT_LISTENER_LIMIT : REJECT_SERVER_LIMIT;
	return (here >= listener->conf->max_connections ||
	    everywhere >= conf->max_connections);
}
