/* SPDX-License-Identifier: ISC */
#include "master/generation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/counters.h"

static int
number_all(struct generation *generation, struct registry *listeners,
    struct registry *handlers)
{
	const struct conf *conf = generation->conf;
	int number;

	for (size_t i = 0; i < conf->nlisteners; i++) {
		number = registry_number(listeners, conf->listeners[i].name);
		if (number == -1)
			return (-1);
		generation->listener_number[i] = (unsigned)number;
	}
	for (size_t i = 0; i < conf->nhandlers; i++) {
		number = registry_number(handlers, conf->handlers[i].name);
		if (number == -1)
			return (-1);
		generation->handler_number[i] = (unsigned)number;
	}
	return (0);
}

struct generation *
generation_new(uint64_t number, struct conf *conf, struct registry *listeners,
    struct registry *handlers, char why[GENERATION_WHY_MAX])
{
	struct generation *generation;

	if ((generation = calloc(1, sizeof(*generation))) == NULL) {
		snprintf(why, GENERATION_WHY_MAX, "%s", strerror(errno));
		return (NULL);
	}
	generation->number = number;
	generation->references = 1;
	generation->conf = conf;
	generation->slots = conf_worker_count(conf);
	if (privileges_find(conf, &generation->identity, why) == -1)
		goto fail;
	if (number_all(generation, listeners, handlers) == -1) {
		snprintf(why, GENERATION_WHY_MAX, "more than %d names of "
		    "listeners or %d of handlers since the start",
		    COUNTERS_LISTENERS, COUNTERS_HANDLERS);
		goto fail;
	}
	return (generation);
fail:
	free(generation);
	return (NULL);
}

struct generation *
generation_hold(struct generation *generation)
{
	generation->references++;
	return (generation);
}

void
generation_release(struct generation *generation)
{
	if (generation == NULL || --generation->references > 0)
		return;
	conf_free(generation->conf);
	free(generation);
}
