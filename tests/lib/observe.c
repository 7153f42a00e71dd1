/* SPDX-License-Identifier: ISC */
#include "tests/lib/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/record.h"
#include "tests/lib/proc.h"

enum { FDS_MAX = 4096 };

static int
map_slot(struct observer *observer, pid_t master, int number, unsigned slot)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)master, number);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (-1);
	if (counters_open(&observer->slot[slot], fd, false) == -1) {
		close(fd);
		return (-1);
	}
	if (slot >= observer->nslots)
		observer->nslots = slot + 1;
	return (0);
}

int
observe_open(struct observer *observer, pid_t master)
{
	static struct proc_fd fds[FDS_MAX];
	size_t n = proc_fds(master, fds, FDS_MAX);
	unsigned slot;

	memset(observer, 0, sizeof(*observer));
	for (size_t i = 0; i < n && i < FDS_MAX; i++) {
		if (sscanf(fds[i].target, "/memfd:penstock-slot-%u", &slot) !=
		    1 || slot >= CONF_WORKERS_MAX)
			continue;
		if (map_slot(observer, master, fds[i].number, slot) == -1)
			return (-1);
	}
	if (observer->nslots > 0)
		return (0);
	errno = ESRCH;
	return (-1);
}

void
observe_close(struct observer *observer)
{
	for (unsigned i = 0; i < observer->nslots; i++)
		if (observer->slot[i].map != NULL)
			counters_free(&observer->slot[i]);
	observer->nslots = 0;
}

static uint64_t
sum_closed(const struct counters_listener *listener)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++)
		sum += counter_get(&listener->closed[i]);
	return (sum);
}

static void
add(struct counters_listener *sum, const struct counters_listener *one)
{
	sum->active += counter_get(&one->active);
	sum->peak += counter_get(&one->peak);
	sum->accepted += counter_get(&one->accepted);
	for (unsigned i = 0; i < REJECT_REASON_COUNT; i++)
		sum->rejected[i] += counter_get(&one->rejected[i]);
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++)
		sum->closed[i] += counter_get(&one->closed[i]);
	sum->not_proxied += counter_get(&one->not_proxied);
	sum->carried_out += counter_get(&one->carried_out);
	sum->carried_in += counter_get(&one->carried_in);
	sum->messages_in += counter_get(&one->messages_in);
	sum->messages_out += counter_get(&one->messages_out);
	sum->bytes_in += counter_get(&one->bytes_in);
	sum->bytes_out += counter_get(&one->bytes_out);
}

static void
add_slot(struct counters_listener *sum, const struct counters *slot,
    unsigned number)
{
	if (slot->map == NULL)
		return;
	for (unsigned b = 0; b < COUNTERS_BLOCKS; b++)
		for (unsigned l = 0; l < COUNTERS_LISTENERS; l++)
			if (number == OBSERVE_ALL || number == l)
				add(sum, &slot->map->block[b].listener[l]);
}

struct counters_listener
observe_listener(const struct observer *observer, unsigned number)
{
	struct counters_listener sum = { .active = 0 };

	for (unsigned i = 0; i < observer->nslots; i++)
		add_slot(&sum, &observer->slot[i], number);
	return (sum);
}

struct counters_listener
observe_slot(const struct observer *observer, unsigned slot, unsigned number)
{
	struct counters_listener sum = { .active = 0 };

	if (slot < observer->nslots)
		add_slot(&sum, &observer->slot[slot], number);
	return (sum);
}

static void
raise_to(uint64_t *most, uint64_t value)
{
	if (value > *most)
		*most = value;
}

static void
add_worker(struct counters_worker *sum, const struct counters_worker *one)
{
	sum->active += counter_get(&one->active);
	sum->buffered += counter_get(&one->buffered);
	sum->accept_pauses += counter_get(&one->accept_pauses);
	sum->access_lost += counter_get(&one->access_lost);
	raise_to(&sum->buffered_peak, counter_get(&one->buffered_peak));
	raise_to(&sum->beat_ms, counter_get(&one->beat_ms));
}

struct counters_worker
observe_workers(const struct observer *observer)
{
	struct counters_worker sum = { .active = 0 };

	for (unsigned i = 0; i < observer->nslots; i++) {
		if (observer->slot[i].map == NULL)
			continue;
		for (unsigned b = 0; b < COUNTERS_BLOCKS; b++)
			add_worker(&sum,
			    &observer->slot[i].map->block[b].worker);
	}
	return (sum);
}

static unsigned
records_in(const struct counters *slot)
{
	unsigned n = 0;

	if (slot->map == NULL)
		return (0);
	for (unsigned b = 0; b < COUNTERS_BLOCKS; b++) {
		const struct conn_record *records = counters_records(slot, b);

		for (uint32_t i = 0; i < slot->records; i++)
			if (__atomic_load_n(&records[i].family,
			    __ATOMIC_RELAXED) != 0)
				n++;
	}
	return (n);
}

unsigned
observe_records(const struct observer *observer)
{
	unsigned n = 0;

	for (unsigned i = 0; i < observer->nslots; i++)
		n += records_in(&observer->slot[i]);
	return (n);
}

static bool
block_adds_up(const struct counters_block *block)
{
	for (unsigned i = 0; i < COUNTERS_LISTENERS; i++) {
		const struct counters_listener *one = &block->listener[i];

		if (counter_get(&one->accepted) +
		    counter_get(&one->carried_in) !=
		    counter_get(&one->active) + sum_closed(one) +
		    counter_get(&one->carried_out))
			return (false);
	}
	return (true);
}

bool
observe_adds_up(const struct observer *observer)
{
	for (unsigned i = 0; i < observer->nslots; i++) {
		if (observer->slot[i].map == NULL)
			continue;
		for (unsigned b = 0; b < COUNTERS_BLOCKS; b++)
			if (!block_adds_up(&observer->slot[i].map->block[b]))
				return (false);
	}
	return (true);
}
