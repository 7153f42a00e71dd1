/* SPDX-License-Identifier: ISC */
#include "master/generation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/counters.h"
#include "common/log.h"

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
generation_adopt(uint64_t number, unsigned slots,
    const struct identity *identity, struct conf *conf,
    struct registry *listeners, struct registry *handlers,
    char why[GENERATION_WHY_MAX])
{
	struct generation *generation;

	if ((generation = calloc(1, sizeof(*generation))) == NULL) {
		snprintf(why, GENERATION_WHY_MAX, "%s", strerror(errno));
		return (NULL);
	}
	generation->number = number;
	generation->references = 1;
	generation->conf = conf;
	generation->loaded = (int64_t)time(NULL);
	generation->conf_hash = conf_hash(conf);
	generation->slots = slots;
	generation->identity = *identity;
	for (size_t i = 0; i < conf->nhandlers; i++)
		fingerprint_take(&generation->files[i], &conf->handlers[i]);
	if (number_all(generation, listeners, handlers) == 0)
		return (generation);
	snprintf(why, GENERATION_WHY_MAX, "more than %d names of listeners or "
	    "%d of handlers since the start", COUNTERS_LISTENERS,
	    COUNTERS_HANDLERS);
	free(generation);
	return (NULL);
}

struct generation *
generation_new(uint64_t number, struct conf *conf,
    const struct generation *running, struct registry *listeners,
    struct registry *handlers, char why[GENERATION_WHY_MAX])
{
	struct identity identity;

	/* Names that stay are not looked up again, and others not here: a name
	 * service that does not answer would hold up a running master. */
	if (running != NULL && strcmp(conf->user, running->conf->user) == 0 &&
	    strcmp(conf->group, running->conf->group) == 0)
		identity = running->identity;
	else if ((running == NULL ? privileges_find(conf, &identity, why) :
	    privileges_ask(conf, &identity, why)) == -1)
		return (NULL);
	return (generation_adopt(number, conf_worker_count(conf), &identity,
	    conf, listeners, handlers, why));
}

struct generation *
generation_renew(uint64_t number, struct generation *older)
{
	struct generation *generation;

	if ((generation = malloc(sizeof(*generation))) == NULL)
		return (NULL);
	*generation = *older;
	generation->number = number;
	generation->references = 1;
	generation->lender = generation_hold(older->lender != NULL ?
	    older->lender : older);
	return (generation);
}

void
generation_check_files(const struct generation *generation)
{
	const struct conf *conf = generation->conf;
	const char *file;

	for (size_t i = 0; i < conf->nhandlers; i++) {
		file = fingerprint_changed(&generation->files[i],
		    &conf->handlers[i]);
		if (file != NULL)
			LOG(WARN, HANDLER_CHANGED,
			    F_STR("handler", conf->handlers[i].name),
			    F_STR("file", file),
			    F_U64("since", generation->number));
	}
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
	if (generation->lender == NULL)
		conf_free(generation->conf);
	generation_release(generation->lender);
	free(generation);
}
