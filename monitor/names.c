/* SPDX-License-Identifier: ISC */
#include "monitor/names.h"

static const struct counters_listener *
lives_of(const struct heritage *heritage, size_t number)
{
	/* The master changes it before the counters. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return (&heritage->counters[0].map->block[0].listener[number]);
}

const char *
names_listener(const struct heritage *heritage, size_t number)
{
	if (number >= heritage->nlistener_names)
		return (NULL);
	/* Without lives, no number ever gets another name. */
	if (heritage->listener_lives != NULL &&
	    heritage->listener_lives[number] !=
	    counter_get(&lives_of(heritage, number)->life))
		return (NULL);
	return (heritage->listener_names[number]);
}

const char *
names_handler(const struct heritage *heritage, size_t number)
{
	if (number >= heritage->nhandler_names)
		return (NULL);
	if (heritage->handler_lives != NULL &&
	    heritage->handler_lives[number] !=
	    counter_get(&lives_of(heritage, number)->handler_life))
		return (NULL);
	return (heritage->handler_names[number]);
}
