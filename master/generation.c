/* SPDX-License-Identifier: ISC */
#include "master/generation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/counters.h"
#include "common/log.h"

/*
 * Numbers of names.
 */

static void
drop_numbers(struct generation *generation)
{
	while (generation->nlisteners > 0)
		registry_drop(generation->listeners,
		    generation->listener_number[--generation->nlisteners]);
	while (generation->nhandlers > 0)
		registry_drop(generation->handlers,
		    generation->handler_number[--generation->nhandlers]);
}

static int
take_numbers(struct generation *generation)
{
	const struct conf *conf = generation->conf;
	int number;

	for (size_t i = 0; i < conf->nlisteners; i++) {
		number = registry_take(generation->listeners,
		    conf->listeners[i].name);
		if (number == -1)
			return (-1);
		generation->listener_number[generation->nlisteners++] =
		    (unsigned)number;
	}
	for (size_t i = 0; i < conf->nhandlers; i++) {
		number = registry_take(generation->handlers,
		    conf->handlers[i].name);
		if (number == -1)
			return (-1);
		generation->handler_number[generation->nhandlers++] =
		    (unsigned)number;
	}
	return (0);
}

static void
share_numbers(const struct generation *generation)
{
	for (unsigned i = 0; i < generation->nlisteners; i++)
		registry_share(generation->listeners,
		    generation->listener_number[i]);
	for (unsigned i = 0; i < generation->nhandlers; i++)
		registry_share(generation->handlers,
		    generation->handler_number[i]);
}

void
generation_confirm(const struct generation *generation)
{
	for (unsigned i = 0; i < generation->nlisteners; i++)
		registry_confirm(generation->listeners,
		    generation->listener_number[i]);
	for (unsigned i = 0; i < generation->nhandlers; i++)
		registry_confirm(generation->handlers,
		    generation->handler_number[i]);
}

/* Why there are no numbers, as errno says. */
static void
say_why(char why[GENERATION_WHY_MAX])
{
	if (errno == EUSERS)
		snprintf(why, GENERATION_WHY_MAX, "more than %d names of "
		    "listeners or %d of handlers, with those of workers that "
		    "still drain", COUNTERS_LISTENERS, COUNTERS_HANDLERS);
	else
		snprintf(why, GENERATION_WHY_MAX, "%s", strerror(errno));
}

/*
 * Life and death.
 */

struct generation *
generation_adopt(uint64_t number, unsigned slots,
    const struct identity *identity, struct conf *conf,
    struct registry *listeners, struct registry *handlers,
    char why[GENERATION_WHY_MAX])
{
	struct generation *generation;
	int saved;

	if ((generation = calloc(1, sizeof(*generation))) == NULL) {
		snprintf(why, GENERATION_WHY_MAX, "%s", strerror(errno));
		return (NULL);
	}
	generation->number = number;
	generation->references = 1;
	generation->conf = conf;
	generation->loaded = (int64_t)time(NULL);
	generation->conf_hash = conf->hash;
	generation->slots = slots;
	generation->identity = *identity;
	for (size_t i = 0; i < conf->nhandlers; i++)
		fingerprint_take(&generation->files[i], &conf->handlers[i]);
	generation->listeners = listeners;
	generation->handlers = handlers;
	if (take_numbers(generation) == 0)
		return (generation);
	saved = errno;
	say_why(why);
	drop_numbers(generation);
	free(generation);
	errno = saved;
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
	share_numbers(generation);
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
	drop_numbers(generation);
	if (generation->lender == NULL)
		conf_free(generation->conf);
	generation_release(generation->lender);
	free(generation);
}
