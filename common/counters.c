/* SPDX-License-Identifier: ISC */
#include "common/counters.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char *const close_reason_names[] = {
#define CLOSE_REASON_NAME(id, name) [CLOSE_##id] = name,
	CLOSE_REASONS(CLOSE_REASON_NAME)
};

static const char *const reject_reason_names[] = {
#define REJECT_REASON_NAME(id, name) [REJECT_##id] = name,
	REJECT_REASONS(REJECT_REASON_NAME)
};

const char *
close_reason_name(enum close_reason reason)
{
	return (close_reason_names[reason]);
}

const char *
reject_reason_name(enum reject_reason reason)
{
	return (reject_reason_names[reason]);
}

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
mapping_size(uint32_t records)
{
	return (page_align(sizeof(struct counters_map)) +
	    COUNTERS_BLOCKS * table_size(records));
}

int
counters_new(struct counters *counters, unsigned slot, uint32_t records)
{
	char name[32];
	int fd, saved;

	snprintf(name, sizeof(name), "penstock-slot-%u", slot);
	if ((fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)) == -1)
		return (-1);
	counters->fd = fd;
	counters->records = records;
	counters->size = mapping_size(records);
	if (ftruncate(fd, (off_t)counters->size) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == -1)
		goto fail;
	counters->map = mmap(NULL, counters->size, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (counters->map == MAP_FAILED)
		goto fail;
	counters->map->version = COUNTERS_VERSION;
	counters->map->records = records;
	return (0);
fail:
	saved = errno;
	close(fd);
	errno = saved;
	return (-1);
}

int
counters_open(struct counters *counters, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return (-1);
	if ((size_t)st.st_size < sizeof(struct counters_map)) {
		errno = EINVAL;
		return (-1);
	}
	counters->fd = fd;
	counters->size = (size_t)st.st_size;
	counters->map = mmap(NULL, counters->size, PROT_READ, MAP_SHARED, fd,
	    0);
	if (counters->map == MAP_FAILED)
		return (-1);
	counters->records = counters->map->records;
	if (counters->map->version == COUNTERS_VERSION &&
	    mapping_size(counters->records) == counters->size)
		return (0);
	munmap(counters->map, counters->size);
	errno = EINVAL;
	return (-1);
}

void
counters_free(struct counters *counters)
{
	munmap(counters->map, counters->size);
	if (counters->fd != -1)
		close(counters->fd);
	*counters = (struct counters){ .fd = -1 };
}

void
counters_seal(struct counters *counters)
{
	mprotect(counters->map, counters->size, PROT_READ);
}

struct conn_record *
counters_records(const struct counters *counters, unsigned block)
{
	uint8_t *tables = (uint8_t *)counters->map +
	    page_align(sizeof(struct counters_map));

	return ((struct conn_record *)(void *)(tables +
	    block * table_size(counters->records)));
}

void
counters_forget(struct counters *counters, unsigned block, uint32_t first,
    uint32_t n)
{
	struct conn_record *records = counters_records(counters, block) + first;

	/* MADV_REMOVE punches a hole, which reads as zeroes. */
	if (madvise(records, page_align(n * sizeof(*records)),
	    MADV_REMOVE) == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		records[i] = (struct conn_record){ .seq = records[i].seq };
}

uint64_t
counters_bury(struct counters *counters, unsigned block)
{
	struct counters_block *dead = &counters->map->block[block];
	uint64_t lost = 0;

	for (unsigned i = 0; i < COUNTERS_LISTENERS; i++) {
		struct counters_listener *listener = &dead->listener[i];
		uint64_t active = counter_get(&listener->active);

		/* No worker can hold more than its table has room for. */
		if (active > counters->records)
			active = counters->records;
		if (active == 0)
			continue;
		counter_add(&listener->closed[CLOSE_LOST], active);
		counter_set(&listener->active, 0);
		lost += active;
	}
	counter_set(&dead->worker.active, 0);
	counter_set(&dead->worker.buffered, 0);
	return (lost);
}
