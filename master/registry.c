/* SPDX-License-Identifier: ISC */
#include "master/registry.h"

#include <stdlib.h>
#include <string.h>

static int
number_of(struct registry *registry, const char *name)
{
	for (unsigned i = 0; i < registry->n; i++)
		if (strcmp(registry->names[i], name) == 0)
			return ((int)i);
	if (registry->n == COUNTERS_LISTENERS ||
	    (registry->names[registry->n] = strdup(name)) == NULL)
		return (-1);
	return ((int)registry->n++);
}

int
registry_number(struct registry *registry, const struct conf *conf,
    unsigned numbers[CONF_LISTENERS_MAX])
{
	int number;

	for (size_t i = 0; i < conf->nlisteners; i++) {
		number = number_of(registry, conf->listeners[i].name);
		if (number == -1)
			return (-1);
		numbers[i] = (unsigned)number;
	}
	return (0);
}

void
registry_free(struct registry *registry)
{
	while (registry->n > 0)
		free(registry->names[--registry->n]);
}
