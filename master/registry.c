/* SPDX-License-Identifier: ISC */
#include "master/registry.h"

#include <stdlib.h>
#include <string.h>

int
registry_number(struct registry *registry, const char *name)
{
	for (unsigned i = 0; i < registry->n; i++)
		if (strcmp(registry->names[i], name) == 0)
			return ((int)i);
	if (registry->n == registry->most ||
	    (registry->names[registry->n] = strdup(name)) == NULL)
		return (-1);
	return ((int)registry->n++);
}

void
registry_free(struct registry *registry)
{
	while (registry->n > 0)
		free(registry->names[--registry->n]);
}
