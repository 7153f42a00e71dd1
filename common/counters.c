/* SPDX-License-Identifier: ISC */
#include "common/counters.h"

#include <sys/mman.h>

#include <stdio.h>
#include <unistd.h>

#include "common/record.h"
#include "common/shared.h"

static size_t
page_align(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return ((size + page - 1) / page * page);
}

/* Each block's table begins on a page, so that its pages can be given back. */
static size_t
table_size(uint32_t records)
{
	return (page_align((size_t)records * sizeof(struct conn_record)));
}

static size_t
counters_ring_size(void)
{
	return (page_align(sizeof(struct spans)));
}

static size_t
mapping_size(uint32_t records)
{
	return (page_align(sizeof(struct counters_map)) +
	    COUNTERS_BLOCKS * (table_size(records) + counters_ring_size()));
}

static int
counters_begin(struct counters *counters, int fd, void *map, uint32_t records)
{
	*counters = (struct counters){
		.fd = map == NULL ? -1 : fd,
		.size = mapping_size(records),
		.records = records,
		.listeners = COUNTERS_LISTENERS,
		.handlers = COUNTERS_HANDLERS,
		.map = map,
	};
	return (map == NULL ? -1 : 0);
}

int
counters_new(struct counters *counters, unsigned slot, uint32_t records)
{
	char name[32];
	void *map;
	int fd;

	snprintf(name, sizeof(name), "penstock-slot-%u", slot);
	map = shared_new(name, mapping_size(records), COUNTERS_VERSION, &fd);
	if (counters_begin(counters, fd, map, records) == -1)
		return (-1);
	counters->map->records = records;
	return (0);
}

int
counters_open(struct counters *counters, int fd, bool writable)
{
	uint32_t records = 0;

	/* Of a file that is too short for it, the size is refused below. */
	if (pread(fd, &records, sizeof(records),
	    offsetof(struct counters_map, records)) == -1)
		return (-1);
	return (counters_begin(counters, fd,
	    shared_open(fd, mapping_size(records), COUNTERS_VERSION, writable),
	    records));
}

void
counters_free(struct counters *counters)
{
	shared_free(counters->fd, counters->map, counters->size);
	*counters = (struct counters){ .fd = -1 };
}

int
counters_seal(struct counters *counters)
{
	return (shared_seal(counters->fd, counters->map, counters->size));
}

struct conn_record *
counters_records(const struct counters *counters, unsigned block)
{
	uint8_t *tables = (uint8_t *)counters->map +
	    page_align(sizeof(struct counters_map));

	return ((struct conn_record *)(void *)(tables +
	    block * table_size(counters->records)));
}

struct spans *
counters_spans(const struct counters *counters, unsigned block)
{
	uint8_t *base = (uint8_t *)counters->map;

	return ((struct spans *)(void *)(base +
	    page_align(sizeof(struct counters_map)) +
	    COUNTERS_BLOCKS * table_size(counters->records) +
	    block * counters_ring_size()));
}

bool
counters_find_records(const struct counters *counters, unsigned block,
    uint32_t i, uint32_t *first, uint32_t *end)
{
	const size_t one = sizeof(struct conn_record);
	off_t table = (off_t)((uint8_t *)counters_records(counters, block) -
	    (uint8_t *)counters->map);
	off_t limit = table + (off_t)(counters->records * one);
	off_t data, hole;

	if (i >= counters->records)
		return (false);
	/* cppcheck-suppress invalidFunctionArg ; it knows only POSIX */
	data = lseek(counters->fd, table + (off_t)(i * one), SEEK_DATA);
	if (data == -1 || data >= limit)
		return (false);
	/* cppcheck-suppress invalidFunctionArg */
	hole = lseek(counters->fd, data, SEEK_HOLE);
	if (hole == -1 || hole > limit)
		hole = limit;
	/* A record may lie across two pages. */
	*first = (uint32_t)((size_t)(data - table) / one);
	*end = (uint32_t)(((size_t)(hole - table) + one - 1) / one);
	if (*first < i)
		*first = i;
	if (*end > counters->records)
		*end = counters->records;
	return (*first < *end);
}

void
counters_forget(struct counters *counters, unsigned block, uint32_t first,
    uint32_t n)
{
	struct conn_record *records = counters_records(counters, block) + first;
	size_t size = n * sizeof(*records);

	/* Nothing follows the last record on its page. */
	if (first + n == counters->records)
		size = page_align(size);
	/* MADV_REMOVE punches a hole of whole pages, which reads as zeroes. */
	if (size == page_align(size) && madvise(records, size,
	    MADV_REMOVE) == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		records[i] = (struct conn_record){ .seq = records[i].seq };
}

uint64_t
counters_closed(const struct counters_listener *listener)
{
	uint64_t closed = 0;

	for (int i = 0; i < CLOSE_REASON_COUNT; i++)
		closed += counter_get(&listener->closed[i]);
	return (closed);
}

uint64_t
counters_once(uint64_t accepted, uint64_t moved, uint64_t closed)
{
	uint64_t once = accepted + moved - closed;

	/* The sums may have been made while something happened. */
	return (once <= INT64_MAX ? once : 0);
}

/* A page that was never written to stays so. */
static void
counters_clear(uint64_t *words, size_t size)
{
	for (size_t i = 0; i < size / sizeof(*words); i++)
		if (counter_get(&words[i]) != 0)
			counter_set(&words[i], 0);
}

void
counters_renew_listener(struct counters *counters, unsigned number)
{
	struct counters_listener *listener;

	for (unsigned i = 0; i < COUNTERS_BLOCKS; i++) {
		listener = &counters->map->block[i].listener[number];
		counters_clear(&listener->active,
		    offsetof(struct counters_listener, life));
	}
}

void
counters_renew_handler(struct counters *counters, unsigned number)
{
	struct counters_handler *handler;

	for (unsigned i = 0; i < COUNTERS_BLOCKS; i++) {
		handler = &counters->map->block[i].handler[number];
		counters_clear(&handler->waiting, sizeof(*handler));
	}
}

/*
 * Connections that have come and not gone.  The gauge may be off by one, because
 * a worker can die between two stores.
 */
static uint64_t
held_of_listener(const struct counters_listener *listener, uint64_t most)
{
	uint64_t closed = counter_get(&listener->carried_out) +
	    counters_closed(listener), held;
	uint64_t accepted = counter_get(&listener->accepted) +
	    counter_get(&listener->carried_in);

	held = accepted > closed ? accepted - closed : 0;
	/* No worker can hold more than its table has room for. */
	return (held < most ? held : most);
}

uint64_t
counters_held(const struct counters *counters, unsigned block)
{
	const struct counters_block *of = &counters->map->block[block];
	uint64_t held = 0;

	for (unsigned i = 0; i < counters->listeners; i++)
		held += held_of_listener(&of->listener[i], counters->records);
	return (held);
}

/* Of those that have come and not gone, all but so many are lost. */
static uint64_t
bury_listener(struct counters_listener *dead, uint64_t most, uint64_t own)
{
	uint64_t held = held_of_listener(dead, most);
	uint64_t lost = held > own ? held - own : 0;

	/* A page that was never written to stays so. */
	if (lost > 0)
		counter_add(&dead->closed[CLOSE_LOST], lost);
	if (counter_get(&dead->active) > 0)
		counter_set(&dead->active, 0);
	return (lost);
}

static void
bury_handler(struct counters_handler *dead)
{
	if (counter_get(&dead->waiting) > 0)
		counter_set(&dead->waiting, 0);
	if (counter_get(&dead->executors) > 0)
		counter_set(&dead->executors, 0);
	if (counter_get(&dead->executors_busy) > 0)
		counter_set(&dead->executors_busy, 0);
}

uint64_t
counters_bury(struct counters *counters, unsigned block)
{
	struct counters_block *dead = &counters->map->block[block];
	uint64_t lost = 0;

	/* Reading what was never used would allocate memory. */
	for (unsigned i = 0; i < counters->listeners; i++)
		lost += bury_listener(&dead->listener[i], counters->records,
		    0);
	for (unsigned i = 0; i < counters->handlers; i++)
		bury_handler(&dead->handler[i]);
	counter_set(&dead->worker.active, 0);
	counter_set(&dead->worker.buffered, 0);
	return (lost);
}

void
counters_go_on(struct counters *counters, unsigned block,
    const unsigned listeners[], size_t n, const uint32_t own[],
    const uint32_t guests[], bool is_moving)
{
	struct counters_block *dead = &counters->map->block[block];
	uint64_t all = 0, held;

	for (size_t i = 0; i < n; i++) {
		struct counters_listener *listener =
		    &dead->listener[listeners[i]];

		(void)bury_listener(listener, counters->records, own[i]);
		/* It may have died before it could count one. */
		held = held_of_listener(listener, counters->records);
		if (held < own[i])
			counter_add(is_moving ? &listener->carried_in :
			    &listener->accepted, own[i] - held);
		counter_set(&listener->active, own[i] + guests[i]);
		all += own[i] + guests[i];
	}
	for (unsigned i = 0; i < counters->handlers; i++)
		bury_handler(&dead->handler[i]);
	counter_set(&dead->worker.active, all);
	counter_set(&dead->worker.buffered, 0);
}

/* Connections of a listener that left in a hand-over and arrived nowhere. */
static uint64_t
lost_between(const struct counters slots[], size_t n, unsigned number)
{
	uint64_t out = 0, in = 0;

	for (size_t i = 0; i < n; i++)
		for (int block = 0; block < COUNTERS_BLOCKS; block++) {
			const struct counters_listener *listener =
			    &slots[i].map->block[block].listener[number];

			/* One from another listener has left that one. */
			out += counter_get(&listener->carried_out) +
			    counter_get(&listener->moved);
			in += counter_get(&listener->carried_in);
		}
	return ((int64_t)(out - in) > 0 ? out - in : 0);
}

uint64_t
counters_settle(const struct counters slots[], size_t n,
    struct counters *counters, unsigned block)
{
	struct counters_listener *listener;
	uint64_t lost, sum = 0;

	for (unsigned i = 0; i < counters->listeners; i++) {
		lost = lost_between(slots, n, i);
		/* A larger number than a worker can hold is wrong. */
		if (lost == 0 || lost > counters->records)
			continue;
		listener = &counters->map->block[block].listener[i];
		counter_add(&listener->carried_in, lost);
		counter_add(&listener->closed[CLOSE_LOST], lost);
		sum += lost;
	}
	return (sum);
}

static void
tally_close(struct counters_tally *tally, enum close_reason reason, uint64_t n)
{
	switch (reason) {
	case CLOSE_EOF:
	case CLOSE_ABORTED:
	case CLOSE_RESET:
	case CLOSE_DONE:
		tally->finished += n;
		return;
	case CLOSE_IDLE:
	case CLOSE_READ_TIMEOUT:
	case CLOSE_WRITE_TIMEOUT:
	case CLOSE_MALFORMED:
	case CLOSE_TOO_LARGE:
	case CLOSE_MEMORY:
	case CLOSE_DRAIN:
	case CLOSE_HANDLER:
	case CLOSE_OPERATOR:
		tally->closed += n;
		return;
	case CLOSE_CUT:
		tally->cut += n;
		return;
	case CLOSE_LOST:
		tally->lost += n;
		return;
	case CLOSE_REASON_COUNT:
		return;
	}
}

void
counters_tally(const struct counters *counters, unsigned block,
    const unsigned listeners[], size_t n, struct counters_tally *tally)
{
	const struct counters_block *from = &counters->map->block[block];

	*tally = (struct counters_tally){ .accepted = 0 };
	for (size_t i = 0; i < n; i++) {
		const struct counters_listener *listener =
		    &from->listener[listeners[i]];

		tally->accepted += counter_get(&listener->accepted);
		tally->carried_in += counter_get(&listener->carried_in);
		tally->carried_out += counter_get(&listener->carried_out);
		for (int reason = 0; reason < CLOSE_REASON_COUNT; reason++)
			tally_close(tally, (enum close_reason)reason,
			    counter_get(&listener->closed[reason]));
	}
}

void
counters_compare(const struct counters_tally *before,
    const struct counters_tally *now, struct counters_fates *fates)
{
	uint64_t in = now->carried_in - before->carried_in;
	uint64_t out = now->carried_out - before->carried_out;
	uint64_t gone = now->carried_out + now->finished + now->closed +
	    now->cut + now->lost;

	*fates = (struct counters_fates){
		/* What came back, or came in and went on, went nowhere. */
		.carried = out > in ? out - in : 0,
		.finished = now->finished - before->finished,
		.closed = now->closed - before->closed,
		.cut = now->cut - before->cut,
		.lost = now->lost - before->lost,
	};
	if (now->accepted + now->carried_in > gone)
		fates->left = now->accepted + now->carried_in - gone;
	fates->held = fates->carried + fates->finished + fates->closed +
	    fates->cut + fates->lost + fates->left;
}
