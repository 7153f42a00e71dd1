/* SPDX-License-Identifier: ISC */
#include "master/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/counters.h"
#include "common/log.h"
#include "common/why.h"
#include "master/master.h"

/*
 * Numbers of names.
 */

static void
generation_drop_numbers(struct generation *generation)
{
	struct master *master = generation->master;

	while (generation->nlisteners > 0)
		registry_drop(&master->listener_names,
		    generation->listener_number[--generation->nlisteners]);
	while (generation->nhandlers > 0)
		registry_drop(&master->handler_names,
		    generation->handler_number[--generation->nhandlers]);
}

static int
generation_take_numbers(struct generation *generation)
{
	struct master *master = generation->master;
	const struct conf *conf = generation->conf;
	int number;

	for (size_t i = 0; i < conf->nlisteners; i++) {
		number = registry_take(&master->listener_names,
		    conf->listeners[i].name);
		if (number == -1)
			return (-1);
		generation->listener_number[generation->nlisteners++] =
		    (unsigned)number;
	}
	for (size_t i = 0; i < conf->nhandlers; i++) {
		number = registry_take(&master->handler_names,
		    conf->handlers[i].name);
		if (number == -1)
			return (-1);
		generation->handler_number[generation->nhandlers++] =
		    (unsigned)number;
	}
	return (0);
}

/* Call a function for all numbers. */
static void
generation_each_number(const struct generation *generation,
    void (*fn)(struct registry *, unsigned))
{
	struct master *master = generation->master;

	for (unsigned i = 0; i < generation->nlisteners; i++)
		fn(&master->listener_names, generation->listener_number[i]);
	for (unsigned i = 0; i < generation->nhandlers; i++)
		fn(&master->handler_names, generation->handler_number[i]);
}

void
generation_confirm(const struct generation *generation)
{
	generation_each_number(generation, registry_confirm);
}

/* Why there are no numbers, as errno says. */
static int
generation_say_why(struct why *why)
{
	if (errno != EUSERS)
		return (why_set(why, "%s", strerror(errno)));
	return (why_set(why, "more than %d names of listeners or %d of "
	    "handlers, with those of workers that still drain",
	    COUNTERS_LISTENERS, COUNTERS_HANDLERS));
}

/*
 * Life and death.
 */

/* One more, with a reference, in the order of numbers. */
static struct generation *
generation_add(struct master *master, uint64_t number)
{
	struct generation *generation, *later;

	if ((generation = calloc(1, sizeof(*generation))) == NULL)
		return (NULL);
	generation->master = master;
	generation->number = number;
	generation->references = 1;
	TAILQ_FOREACH(later, &master->generations, link)
		if (later->number > number)
			break;
	if (later != NULL)
		TAILQ_INSERT_BEFORE(later, generation, link);
	else
		TAILQ_INSERT_TAIL(&master->generations, generation, link);
	return (generation);
}

int
generation_fill(struct generation *generation, struct conf *conf,
    struct why *why)
{
	generation->conf = conf;
	generation->conf_hash = conf->hash;
	free(generation->path);
	free(generation->text);
	generation->path = generation->text = NULL;
	for (size_t i = 0; i < conf->nhandlers; i++)
		fingerprint_take(&generation->files[i], &conf->handlers[i]);
	return (generation_take_numbers(generation) == 0 ? 0 :
	    generation_say_why(why));
}

struct generation *
generation_new(struct master *master, struct conf *conf, struct why *why)
{
	const struct generation *running = master->running;
	struct generation *generation;
	struct identity identity;
	int saved;

	/* Names that stay are not looked up again, and others not here: a name
	 * service that does not answer would hold up a running master. */
	if (running != NULL && strcmp(conf->user, running->conf->user) == 0 &&
	    strcmp(conf->group, running->conf->group) == 0)
		identity = running->identity;
	else if ((running == NULL ? privileges_find(conf, &identity, why) :
	    privileges_ask(conf, &identity, why)) == -1)
		return (NULL);
	generation = generation_add(master, master->numbered + 1);
	if (generation == NULL) {
		why_set(why, "%s", strerror(errno));
		return (NULL);
	}
	generation->loaded = (int64_t)time(NULL);
	generation->slots = conf_worker_count(conf);
	generation->identity = identity;
	if (generation_fill(generation, conf, why) == 0)
		return (generation);
	saved = errno;
	generation->conf = NULL;
	generation_release(generation);
	errno = saved;
	return (NULL);
}

struct generation *
generation_renew(struct generation *older)
{
	struct master *master = older->master;
	struct generation *generation;

	if ((generation = malloc(sizeof(*generation))) == NULL)
		return (NULL);
	*generation = *older;
	generation->number = master->numbered + 1;
	generation->references = 1;
	generation->lender = generation_hold(older->lender != NULL ?
	    older->lender : older);
	generation_each_number(generation, registry_share);
	TAILQ_INSERT_TAIL(&master->generations, generation, link);
	return (generation);
}

struct generation *
generation_refer(struct master *master, uint64_t number)
{
	struct generation *generation;

	TAILQ_FOREACH(generation, &master->generations, link)
		if (generation->number == number)
			return (generation);
	return (generation_add(master, number));
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
	TAILQ_REMOVE(&generation->master->generations, generation, link);
	generation_drop_numbers(generation);
	if (generation->lender == NULL && generation->conf != NULL)
		conf_free(generation->conf);
	generation_release(generation->lender);
	free(generation->path);
	free(generation->text);
	free(generation);
}
