/* SPDX-License-Identifier: ISC */
/*
 * Which handlers there are.
 *
 * Runs in the reader.  A listener may name a handler that stands below it, so
 * their names are collected before any setting is read.
 */
#include "conf/conf_handlers.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_complain.h"
#include "conf/conf_groups.h"

static const struct {
	const char *name;
	enum conf_handler_type type;
} builtin[] = {
	{ "echo", CONF_HANDLER_ECHO },
	{ "discard", CONF_HANDLER_DISCARD },
};

enum { BUILTIN_COUNT = sizeof(builtin) / sizeof(builtin[0]) };

static bool
handlers_name(const config_setting_t *list, unsigned length, const char *name)
{
	for (unsigned i = 0; i < length; i++) {
		const char *own;

		own = conf_own_name(config_setting_get_elem(list, i));
		if (own != NULL && strcmp(own, name) == 0)
			return true;
	}
	return false;
}

void
conf_handlers_collect(struct conf_reader *reader, const config_setting_t *root)
{
	const config_setting_t *list;
	unsigned length = 0;
	size_t n = 0;

	list = config_setting_get_member(root, "handlers");
	if (list != NULL && config_setting_is_list(list))
		length = (unsigned)config_setting_length(list);
	reader->handlers = conf_alloc_scratch((BUILTIN_COUNT + length) *
	    sizeof(*reader->handlers));
	for (size_t i = 0; i < BUILTIN_COUNT; i++)
		if (!handlers_name(list, length, builtin[i].name))
			reader->handlers[n++] = builtin[i].name;
	for (unsigned i = 0; i < length; i++) {
		const char *own;

		own = conf_own_name(config_setting_get_elem(list, i));
		if (own != NULL)
			reader->handlers[n++] = own;
	}
	reader->nhandlers = n;
}

/* The index of a handler, or the number of all. */
static size_t
handlers_find(const struct conf *conf, const char *name)
{
	size_t i = 0;

	while (i < conf->nhandlers && strcmp(conf->handlers[i].name, name) != 0)
		i++;
	return i;
}

static bool
handlers_lack(const struct conf *conf, size_t which)
{
	return handlers_find(conf, builtin[which].name) == conf->nhandlers;
}

size_t
conf_handlers_count_builtin(const struct conf *conf)
{
	size_t count = 0;

	for (size_t i = 0; i < BUILTIN_COUNT; i++)
		count += handlers_lack(conf, i);
	return count;
}

static void
handlers_add_builtin(struct conf *conf)
{
	size_t n = 0;
	struct conf_handler *all;

	all = conf_alloc(BUILTIN_COUNT + conf->nhandlers, sizeof(*all));
	for (size_t i = 0; i < BUILTIN_COUNT; i++) {
		if (!handlers_lack(conf, i))
			continue;
		conf_group_init(conf_handler_keys, &all[n]);
		all[n].name = conf_copy(builtin[i].name);
		all[n++].type = builtin[i].type;
	}
	if (conf->nhandlers > 0)
		memcpy(&all[n], conf->handlers, conf->nhandlers * sizeof(*all));
	conf->handlers = all;
	conf->nhandlers += n;
}

static size_t
handlers_index(const struct conf *conf, const char *name)
{
	size_t index = handlers_find(conf, name);

	/* The name was collected, and no handler was refused. */
	assert(index < conf->nhandlers);
	return index;
}

void
conf_handlers_settle(struct conf *conf)
{
	handlers_add_builtin(conf);
	for (size_t i = 0; i < conf->nlisteners; i++) {
		struct conf_listener *listener = &conf->listeners[i];

		/* With routes there may be none, and any will do. */
		if (*listener->handler != '\0')
			listener->handler_index = handlers_index(conf,
			    listener->handler);
		for (size_t j = 0; j < listener->http.nroutes; j++)
			listener->http.routes[j].handler_index =
			    handlers_index(conf,
			    listener->http.routes[j].handler);
	}
}
