/* SPDX-License-Identifier: ISC */
/*
 * Which handlers there are: those of the file, and the built-in ones that it
 * has none instead of.
 *
 * Runs in the reader.  A listener may name a handler that stands below it, so
 * names are looked up in libconfig's tree, which is whole before any setting is
 * read, and places when all are.
 */
#include "conf/conf_handlers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_complain.h"
#include "conf/conf_keys.h"

static const struct {
	const char *name;
	enum conf_handler_type type;
} builtin[] = {
	{ "echo", CONF_HANDLER_ECHO },
	{ "discard", CONF_HANDLER_DISCARD },
};

enum { BUILTIN_COUNT = sizeof(builtin) / sizeof(builtin[0]) };

/* ---- names, while a file is read ---- */

/* The list of handlers in the file of a setting, or NULL. */
static const config_setting_t *
find_list(const config_setting_t *setting)
{
	const config_setting_t *list;

	while (!config_setting_is_root(setting))
		setting = config_setting_parent(setting);
	list = config_setting_get_member(setting, "handlers");
	return list != NULL && config_setting_is_list(list) ? list : NULL;
}

static bool
list_has(const config_setting_t *list, const char *name)
{
	int length = list == NULL ? 0 : config_setting_length(list);

	for (int i = 0; i < length; i++) {
		const char *own;

		own = conf_own_name(config_setting_get_elem(list,
		    (unsigned)i));
		if (own != NULL && strcmp(own, name) == 0)
			return true;
	}
	return false;
}

bool
conf_handlers_have(const config_setting_t *setting, const char *name)
{
	for (size_t i = 0; i < BUILTIN_COUNT; i++)
		if (strcmp(builtin[i].name, name) == 0)
			return true;
	return list_has(find_list(setting), name);
}

/* The names of all handlers, in the order that they will have; the caller frees
 * the array. */
static const char **
collect_names(const config_setting_t *list, size_t *count)
{
	unsigned length = 0;
	const char **names, *own;

	if (list != NULL)
		length = (unsigned)config_setting_length(list);
	names = conf_must(calloc(BUILTIN_COUNT + length, sizeof(*names)));
	*count = 0;
	for (size_t i = 0; i < BUILTIN_COUNT; i++)
		if (!list_has(list, builtin[i].name))
			names[(*count)++] = builtin[i].name;
	for (unsigned i = 0; i < length; i++) {
		own = conf_own_name(config_setting_get_elem(list, i));
		if (own != NULL)
			names[(*count)++] = own;
	}
	return names;
}

void
conf_handlers_print(FILE *out, const config_setting_t *setting)
{
	size_t count;
	const char **names = collect_names(find_list(setting), &count);

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			fputs(i + 1 == count ? " or " : ", ", out);
		fprintf(out, "\"%s\"", names[i]);
	}
	free(names);
}

/* ---- places, when it is read ---- */

static bool
find(const struct conf *conf, const char *name, size_t *index)
{
	for (size_t i = 0; i < conf->nhandlers; i++) {
		if (strcmp(conf->handlers[i].name, name) == 0) {
			*index = i;
			return true;
		}
	}
	return false;
}

size_t
conf_handlers_count_builtin(const struct conf *conf)
{
	size_t count = 0, index;

	for (size_t i = 0; i < BUILTIN_COUNT; i++)
		count += !find(conf, builtin[i].name, &index);
	return count;
}

static void
set_builtin(struct conf_handler *handler, size_t which)
{
	const struct conf_key *list = conf_key_find(conf_keys, "handlers");

	conf_keys_init(list->keys, handler);
	handler->name = conf_copy(builtin[which].name);
	handler->type = builtin[which].type;
}

static void
add_builtin(struct conf *conf)
{
	size_t added = conf_handlers_count_builtin(conf), at = 0, index;
	struct conf_handler *all;

	all = conf_alloc(added + conf->nhandlers, sizeof(*all));
	for (size_t i = 0; i < BUILTIN_COUNT; i++)
		if (!find(conf, builtin[i].name, &index))
			set_builtin(&all[at++], i);
	for (size_t i = 0; i < conf->nhandlers; i++)
		all[at++] = conf->handlers[i];
	conf->handlers = all;
	conf->nhandlers = at;
}

static void
settle(const struct conf *conf, const char *name, size_t *index)
{
	bool found = find(conf, name, index);

	/* It was in the tree, and no handler was refused. */
	assert(found);
	(void)found;
}

void
conf_handlers_settle(struct conf *conf)
{
	add_builtin(conf);
	for (size_t i = 0; i < conf->nlisteners; i++) {
		struct conf_listener *listener = &conf->listeners[i];

		/* Where routes tell, any will do. */
		if (*listener->handler != '\0')
			settle(conf, listener->handler,
			    &listener->handler_index);
		for (size_t j = 0; j < listener->http.nroutes; j++)
			settle(conf, listener->http.routes[j].handler,
			    &listener->http.routes[j].handler_index);
	}
}
