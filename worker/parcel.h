/* SPDX-License-Identifier: ISC */
/*
 * A connection in the form in which it goes to another worker: what is fixed in
 * a struct handover_conn, its bytes in the memfd of its batch.
 */
#ifndef WORKER_PARCEL_H
#define WORKER_PARCEL_H

#include <stdint.h>

#include "worker/handover.h"

struct conn;
struct lineage;
struct worker;

/* The memfd of a batch. */
struct parcel_bytes {
	int fd;				/* -1: there is none */
	unsigned version;		/* of the hand-over */
	const struct lineage *lineage;	/* of the giver, to unpack; borrowed */
	uint64_t len;
	uint64_t at;			/* of the next one to unpack */
};

/* Wrap up a connection that is parked.  Returns -1 with errno set when there is
 * no place for its bytes, which may be half written then. */
int parcel_pack(const struct conn *, struct handover_conn *,
    struct parcel_bytes *);

/*
 * Make a parked connection of it, with the socket fd.  The connections of a
 * batch are unpacked in their order.  Returns NULL with errno set: the socket
 * is still the caller's.  EPROTO: the record is wrong, and so may be the rest
 * of the batch.
 */
struct conn *parcel_unpack(struct worker *, const struct handover_conn *,
    struct parcel_bytes *, int fd);

#endif
