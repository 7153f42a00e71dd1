/* SPDX-License-Identifier: ISC */
#include "master/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The number of a name; registry->n if it has none. */
static unsigned
registry_find(const struct registry *registry, const char *name)
{
	unsigned i;

	for (i = 0; i < registry->n; i++)
		if (strcmp(registry->names[i], name) == 0)
			break;
	return (i);
}

/* The number to give away next; registry->most if all are in use. */
static unsigned
registry_find_spare(const struct registry *registry)
{
	const struct registry_entry *entry;
	unsigned best = registry->most;

	if (registry->n < registry->most)
		return (registry->n);
	for (unsigned i = 0; i < registry->n; i++) {
		entry = &registry->entries[i];
		if (entry->users == 0 && (best == registry->most ||
		    entry->unused_since <
		    registry->entries[best].unused_since))
			best = i;
	}
	return (best);
}

static int
registry_assign(struct registry *registry, unsigned number, const char *name)
{
	char *copy;

	if ((copy = strdup(name)) == NULL)
		return (-1);
	if (number < registry->n)
		free(registry->names[number]);
	else
		registry->n = number + 1;
	registry->names[number] = copy;
	registry->entries[number] = (struct registry_entry){ .users = 0 };
	if (number >= registry->touched) {
		registry->touched = number + 1;
		return (0);
	}
	registry->lives[number]++;
	if (registry->renew != NULL)
		registry->renew(registry->arg, number,
		    registry->lives[number]);
	return (0);
}

int
registry_take(struct registry *registry, const char *name)
{
	unsigned number = registry_find(registry, name);

	if (number == registry->n) {
		number = registry_find_spare(registry);
		if (number == registry->most) {
			errno = EUSERS;
			return (-1);
		}
		if (registry_assign(registry, number, name) == -1)
			return (-1);
	}
	registry->entries[number].users++;
	return ((int)number);
}

void
registry_share(struct registry *registry, unsigned number)
{
	registry->entries[number].users++;
}

static bool
registry_is_forgettable(const struct registry *registry, unsigned number)
{
	return (registry->entries[number].users == 0 &&
	    !registry->entries[number].served);
}

void
registry_drop(struct registry *registry, unsigned number)
{
	struct registry_entry *entry = &registry->entries[number];

	if (--entry->users > 0)
		return;
	/* One that was never in effect is the first to go. */
	entry->unused_since = entry->served ? ++registry->unused : 0;
	while (registry->n > 0 &&
	    registry_is_forgettable(registry, registry->n - 1))
		free(registry->names[--registry->n]);
}

void
registry_confirm(struct registry *registry, unsigned number)
{
	registry->entries[number].served = true;
}

int
registry_restore(struct registry *registry, const char *name)
{
	unsigned number = registry->n;

	if (registry_find(registry, name) != number ||
	    number == registry->most ||
	    registry_assign(registry, number, name) == -1)
		return (-1);
	registry->entries[number].served = true;
	return (0);
}

void
registry_free(struct registry *registry)
{
	while (registry->n > 0)
		free(registry->names[--registry->n]);
}
