/* SPDX-License-Identifier: ISC */
/*
 * What every process can see of a connection: its record, in the table of the
 * worker that holds it.  common/counters.h says where the tables are.
 */
#ifndef COMMON_RECORD_H
#define COMMON_RECORD_H

#include <stdbool.h>
#include <stdint.h>

/* The state of a connection, for its worker and for other processes. */
enum conn_state {
	CONN_READING,		/* more messages are welcome */
	CONN_DISPATCHED,	/* handlers owe replies; no more is read */
	CONN_WRITING,		/* the peer has not taken all that we owe */
	CONN_CLOSING,		/* nothing more will be sent; linger for EOF */
	CONN_PARKED,		/* it changes hands; in no record, which shows
				   what it did before */
};

/*
 * The public part of a connection.  Its worker holds seq as a seqlock, see
 * common/shared.h, while it makes or clears the record.  The numbers at the end
 * are written without it, and may be one message apart from each other.
 */
struct conn_record {
	uint32_t seq;
	uint16_t listener;	/* its number in struct counters_block */
	uint8_t state;		/* enum conn_state */
	uint8_t family;		/* AF_INET, AF_INET6, AF_UNIX; 0: unused */
	uint64_t id;
	uint64_t opened_ms;	/* clock_ms() */
	uint64_t since_ms;	/* when it came to what it now does */
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

/* Copy a record.  Returns false if it is unused, or was written to meanwhile. */
bool conn_record_copy(struct conn_record *to, const struct conn_record *from);

#endif
