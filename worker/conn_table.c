/* SPDX-License-Identifier: ISC */
#include "worker/conn_table.h"

#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/conn.h"

/* Connections alone: whole pages of them. */
struct conn_slab {
	struct conn conns[CONN_SLAB];
};

/* The free places of a slab: those that were in use before stand in a list, the
 * next one in conn->index, so that pages are not touched before they are
 * needed. */
struct conn_places {
	uint16_t nfree;			/* in all */
	uint16_t fresh;			/* from this one on none ever was */
	uint16_t first;			/* of the list, or CONN_SLAB */
};

int
conn_table_init(struct conn_table *table, struct counters *counters,
    unsigned block)
{
	table->nslabs = (counters->records + CONN_SLAB - 1) / CONN_SLAB;
	table->slabs = calloc(table->nslabs, sizeof(*table->slabs));
	table->places = calloc(table->nslabs, sizeof(*table->places));
	table->first_free = 0;
	table->empty = table->nslabs;
	table->count = 0;
	table->counters = counters;
	table->block = block;
	table->records = counters_records(counters, block);
	return (table->slabs == NULL || table->places == NULL ? -1 : 0);
}

void
conn_table_free(struct conn_table *table)
{
	for (size_t i = 0; table->slabs != NULL && i < table->nslabs; i++)
		if (table->slabs[i] != NULL)
			munmap(table->slabs[i], sizeof(struct conn_slab));
	free(table->slabs);
	free(table->places);
}

/* The places of a slab: all CONN_SLAB, but for the last one of the table. */
static uint16_t
slab_size(const struct conn_table *table, size_t i)
{
	uint32_t rest = table->counters->records - (uint32_t)i * CONN_SLAB;

	return (rest < CONN_SLAB ? (uint16_t)rest : CONN_SLAB);
}

static struct conn_slab *
map_slab(struct conn_table *table, size_t i)
{
	struct conn_slab *slab;

	/* Not from malloc(): its pages are to go back to the system. */
	slab = mmap(NULL, sizeof(*slab), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slab == MAP_FAILED)
		return (NULL);
	table->places[i] = (struct conn_places){
		.nfree = slab_size(table, i),
		.first = CONN_SLAB,
	};
	table->slabs[i] = slab;
	return (slab);
}

static void
unmap_slab(struct conn_table *table, size_t i)
{
	munmap(table->slabs[i], sizeof(struct conn_slab));
	table->slabs[i] = NULL;
	counters_forget(table->counters, table->block, (uint32_t)i * CONN_SLAB,
	    slab_size(table, i));
}

static uint16_t
take_place(struct conn_places *places, const struct conn_slab *slab)
{
	uint16_t place = places->first;

	places->nfree--;
	if (place == CONN_SLAB)
		return (places->fresh++);
	places->first = (uint16_t)slab->conns[place].index;
	return (place);
}

static void
give_place(struct conn_places *places, struct conn *conn)
{
	uint16_t place = (uint16_t)(conn->index % CONN_SLAB);

	conn->index = places->first;
	places->first = place;
	places->nfree++;
}

static struct conn *
begin_conn(struct conn_table *table, size_t i, uint16_t place)
{
	struct conn *conn = &table->slabs[i]->conns[place];

	memset(conn, 0, sizeof(*conn));
	conn->index = (uint32_t)i * CONN_SLAB + place;
	table->count++;
	return (conn);
}

struct conn *
conn_table_take_again(struct conn_table *table, uint32_t index)
{
	size_t i = index / CONN_SLAB;
	uint16_t place = (uint16_t)(index % CONN_SLAB);
	struct conn_places *places = &table->places[i];

	if (i < table->nslabs && table->slabs[i] == NULL &&
	    map_slab(table, i) == NULL)
		return (NULL);
	if (i >= table->nslabs || place >= slab_size(table, i) ||
	    place < places->fresh) {
		errno = EINVAL;
		return (NULL);
	}
	/* Those between are free. */
	for (; places->fresh < place; places->fresh++) {
		table->slabs[i]->conns[places->fresh].index = places->first;
		places->first = places->fresh;
	}
	places->fresh++;
	places->nfree--;
	return (begin_conn(table, i, place));
}

struct conn *
conn_table_take(struct conn_table *table)
{
	struct conn_slab *slab;
	uint16_t place;
	size_t i;

	/* The lowest place that is free, so that the others become empty. */
	for (i = table->first_free; i < table->nslabs; i++)
		if (table->slabs[i] == NULL || table->places[i].nfree > 0)
			break;
	table->first_free = i;
	if (i == table->nslabs) {
		errno = ENFILE;
		return (NULL);
	}
	if ((slab = table->slabs[i]) == NULL &&
	    (slab = map_slab(table, i)) == NULL)
		return (NULL);
	if (table->empty == i)
		table->empty = table->nslabs;
	place = take_place(&table->places[i], slab);
	return (begin_conn(table, i, place));
}

void
conn_table_give(struct conn_table *table, struct conn *conn)
{
	size_t i = conn->index / CONN_SLAB;

	give_place(&table->places[i], conn);
	table->count--;
	if (i < table->first_free)
		table->first_free = i;
	if (table->places[i].nfree < slab_size(table, i))
		return;
	/* One empty slab is kept, and the lowest is the one to keep: else a
	 * connection that comes and goes would map and unmap each time. */
	if (table->empty == table->nslabs) {
		table->empty = i;
		return;
	}
	if (table->empty < i) {
		unmap_slab(table, i);
		return;
	}
	unmap_slab(table, table->empty);
	table->empty = i;
}

struct conn *
conn_table_find(const struct conn_table *table, uint64_t id)
{
	uint32_t first;

	for (size_t i = 0; i < table->nslabs; i++) {
		if (table->slabs[i] == NULL)
			continue;
		first = (uint32_t)i * CONN_SLAB;
		for (uint16_t k = 0; k < slab_size(table, i); k++)
			if (table->records[first + k].family != 0 &&
			    table->records[first + k].id == id)
				return (&table->slabs[i]->conns[k]);
	}
	return (NULL);
}
