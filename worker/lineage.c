/* SPDX-License-Identifier: ISC */
#include "worker/lineage.h"

#include <sys/socket.h>

#include <string.h>

#include "conf/conf.h"
#include "worker/worker.h"

/* Whether a listener has an address, or accepts for it on all addresses. */
static bool
has_address(const struct conf_listener *listener,
    const struct sockaddr_storage *address)
{
	for (size_t i = 0; i < listener->naddresses; i++)
		if (conf_addr_covers(&listener->addresses[i].addr, address))
			return (true);
	return (false);
}

static bool
has_all_addresses(const struct conf_listener *listener,
    const struct conf_listener *of)
{
	for (size_t i = 0; i < of->naddresses; i++)
		if (!has_address(listener, &of->addresses[i].addr))
			return (false);
	return (true);
}

/* Whether a client of one listener can be one of the other. */
static bool
have_common_address(const struct conf_listener *a,
    const struct conf_listener *b)
{
	for (size_t i = 0; i < a->naddresses; i++)
		if (has_address(b, &a->addresses[i].addr))
			return (true);
	for (size_t i = 0; i < b->naddresses; i++)
		if (has_address(a, &b->addresses[i].addr))
			return (true);
	return (false);
}

/* The one of the same name is preferred, if it has an address in common; and
 * taken, if no listener has. */
static struct listener *
find_heir(struct worker *worker, const struct conf_listener *of)
{
	struct listener *namesake = NULL, *neighbour = NULL, *listener;

	for (size_t i = 0; i < worker->nlisteners; i++) {
		listener = &worker->listeners[i];
		if (listener->conf->protocol != of->protocol)
			continue;
		if (strcmp(listener->conf->name, of->name) == 0)
			namesake = listener;
		if (!have_common_address(listener->conf, of))
			continue;
		if (namesake == listener)
			return (listener);
		if (neighbour == NULL)
			neighbour = listener;
	}
	return (neighbour != NULL ? neighbour : namesake);
}

static const struct heritage_ancestor *
find_ancestor(const struct heritage *heritage, uint64_t generation)
{
	for (size_t i = 0; i < heritage->nancestors; i++)
		if (heritage->ancestors[i].generation == generation)
			return (&heritage->ancestors[i]);
	return (NULL);
}

void
lineage_init(struct lineage *lineage, struct worker *worker,
    uint64_t generation)
{
	const struct heritage_ancestor *ancestor;
	const struct conf_listener *of;
	struct listener *heir;
	unsigned number;

	*lineage = (struct lineage){ .heir = { NULL } };
	ancestor = find_ancestor(worker->heritage, generation);
	for (size_t i = 0; ancestor == NULL && i < worker->nlisteners; i++)
		lineage->heir[worker->listeners[i].number] =
		    &worker->listeners[i];
	for (size_t i = 0; ancestor != NULL &&
	    i < ancestor->conf->nlisteners; i++) {
		of = &ancestor->conf->listeners[i];
		number = ancestor->listener_number[i];
		if ((heir = find_heir(worker, of)) == NULL)
			continue;
		lineage->heir[number] = heir;
		lineage->is_split[number] = !has_all_addresses(heir->conf, of);
	}
}

struct listener *
lineage_find(const struct lineage *lineage, unsigned number, int fd)
{
	struct sockaddr_storage local = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(local);
	struct listener *heir, *listener;
	struct worker *worker;

	if (number >= COUNTERS_LISTENERS ||
	    (heir = lineage->heir[number]) == NULL)
		return (NULL);
	if (!lineage->is_split[number] ||
	    getsockname(fd, (struct sockaddr *)&local, &len) == -1)
		return (heir);
	worker = heir->worker;
	for (size_t i = 0; i < worker->nlisteners; i++) {
		listener = &worker->listeners[i];
		if (listener->conf->protocol == heir->conf->protocol &&
		    has_address(listener->conf, &local))
			return (listener);
	}
	return (heir);
}
