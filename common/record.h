/* SPDX-License-Identifier: ISC */
/*
 * The record of a connection that every process can read, in the table of its
 * worker.  common/counters.h says where the tables are.
 */
#ifndef COMMON_RECORD_H
#define COMMON_RECORD_H

#include <stdbool.h>
#include <stdint.h>

/* The state of a connection, for its worker and for other processes. */
enum conn_state {
	CONN_READING,		/* messages are read */
	CONN_DISPATCHED,	/* handlers owe replies; nothing is read */
	CONN_WRITING,		/* the client has not taken all replies */
	CONN_CLOSING,		/* all is sent; linger for EOF */
	CONN_PROXY_HEADER,	/* nothing is read but the PROXY header; not
				   known to previous programs */
	CONN_PARKED,		/* in a hand-over; not in records, which keep
				   the previous state */
};

/*
 * The public part of a connection.  Its worker locks it with seq, a seqlock
 * (see common/shared.h), while it makes or clears the record.  The counts are
 * written without the lock, and may differ from each other by one message.
 */
struct conn_record {
	uint32_t seq;
	uint16_t listener;	/* its number in struct counters_block */
	uint8_t state;		/* enum conn_state */
	uint8_t family;		/* AF_INET, AF_INET6, AF_UNIX; 0: unused */
	uint64_t id;
	uint64_t opened_ms;	/* clock_ms() */
	uint64_t since_ms;	/* when it began what it does now */
	uint64_t messages;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint8_t peer[16];	/* address, in network order */
	uint16_t peer_port;	/* in host order */
	uint16_t requests;	/* in flight */
	uint16_t pad[2];
};

_Static_assert(sizeof(struct conn_record) == 80,
    "the layout of COUNTERS_VERSION");

/* Copy a record.  Returns false if it is unused, or was written at that
 * moment. */
bool conn_record_copy(struct conn_record *to, const struct conn_record *from);

#endif
