/* SPDX-License-Identifier: ISC */
/*
 * The connections of a worker: where they lie in memory.
 *
 * They lie in slabs that are mapped as connections come and unmapped when the
 * last one of a slab has gone.  A connection's number in the table is that of
 * its public record in the shared mapping, so a slab goes with whole pages of
 * records.
 */
#ifndef WORKER_CONN_TABLE_H
#define WORKER_CONN_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"

struct conn;
struct conn_slab;
struct conn_places;

enum {
	/* As many records of 80 bytes are ten pages; and as many connections
	 * of 168 bytes are twenty-one, with nothing left over. */
	CONN_SLAB = 512,
};

struct conn_table {
	struct conn_slab **slabs;	/* NULL where none is mapped */
	struct conn_places *places;	/* of each slab, those that are free */
	size_t nslabs;
	size_t first_free;		/* no slab before it has room */
	size_t empty;			/* one slab kept for the next to come;
					   nslabs: there is none */
	size_t count;			/* connections in the table */
	struct counters *counters;	/* borrowed: our slot's */
	unsigned block;
	struct conn_record *records;	/* in the shared mapping */
};

/* Returns -1 with errno set. */
int conn_table_init(struct conn_table *, struct counters *, unsigned block);
/* Every connection must have gone. */
void conn_table_free(struct conn_table *);

/* A place for a connection, zeroed but for its index.  NULL with errno set:
 * ENOMEM, or ENFILE when the table is full. */
struct conn *conn_table_take(struct conn_table *);
void conn_table_give(struct conn_table *, struct conn *);

/* That place, in a table from which no other was taken but lower ones in the
 * same way.  NULL with errno set: EINVAL for another one. */
struct conn *conn_table_take_again(struct conn_table *, uint32_t index);

/* The connection with that id, or NULL.  Looks at all there are. */
struct conn *conn_table_find(const struct conn_table *, uint64_t id);

#endif
