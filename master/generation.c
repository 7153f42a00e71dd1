/* SPDX-License-Identifier: ISC */
#include "master/generation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct generation *
generation_new(uint64_t number, struct conf *conf, struct registry *registry,
    char why[GENERATION_WHY_MAX])
{
	struct generation *generation;

	if ((generation = calloc(1, sizeof(*generation))) == NULL) {
		snprintf(why, GENERATION_WHY_MAX, "%s", strerror(errno));
		return (NULL);
	}
	generation->number = number;
	generation->conf = conf;
	generation->slots = conf_worker_count(conf);
	if (privileges_find(conf, &generation->identity, why) == -1)
		goto fail;
	if (registry_number(registry, conf,
	    generation->listener_number) == -1) {
		snprintf(why, GENERATION_WHY_MAX, "more than %d names of "
		    "listeners since the start", COUNTERS_LISTENERS);
		goto fail;
	}
	return (generation);
fail:
	free(generation);
	return (NULL);
}

void
generation_free(struct generation *generation)
{
	if (generation == NULL)
		return;
	conf_free(generation->conf);
	free(generation);
}
