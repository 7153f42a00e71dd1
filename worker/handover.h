/* SPDX-License-Identifier: ISC */
/*
 * What passes between two workers when connections change hands.
 *
 * The master gives a SOCK_SEQPACKET pair to both.  First the taker says what it
 * takes.  The giver sends batches of connections with their descriptors.  The
 * taker answers each batch with the connections that it now owns.  The giver
 * still owns all others: it has stopped serving them, and resumes if the taker
 * is gone.
 *
 * Bytes that were read or are owed travel in a memfd, one for a batch, so that
 * a batch is one packet whatever it holds: it arrives whole or not at all.
 *
 * The two can come from two releases, for example after an upgrade in place.
 * The taker learns from the master which version the giver speaks, says hello
 * in a version that both know, and the giver uses that.  The header never
 * changes.
 *
 * The structs are those of the previous version.  To extend one, append fields
 * for which 0 is a good default, and convert it for the previous version in
 * handover_send() and handover_receive(), or in parcel.c.  Enumerations and
 * flags are checked by the taker, so that a taker of the previous version
 * refuses new values: see parcel_pack().
 */
#ifndef WORKER_HANDOVER_H
#define WORKER_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"
#include "common/trace_context.h"
#include "worker/proto.h"

/* The version of the last release, and that of this program: they belong to
 * CTL_PREVIOUS and CTL_VERSION.  Tests build a program that only speaks the
 * previous version. */
#define HANDOVER_PREVIOUS 4
#ifndef HANDOVER_VERSION
#define HANDOVER_VERSION 5
#endif

enum {
	HANDOVER_CONNS_MAX = 64,	/* of a batch; bits of a uint64_t */
	/* The memfd goes first: it is what must not be cut off. */
	HANDOVER_FDS_MAX = 1 + HANDOVER_CONNS_MAX,
};

enum handover_type {
	HANDOVER_HELLO = 1,
	HANDOVER_BATCH,
	HANDOVER_ADOPTED,
	/* Not in the previous version: whether all batches have come.  A rescuer
	 * asks that does not know what the giver had sent before it died.  The
	 * answer comes after those to the batches. */
	HANDOVER_ASK,
	HANDOVER_TOLD,
};

struct handover_header {
	uint16_t version;
	uint16_t type;			/* enum handover_type */
	uint32_t length;		/* of what follows, in bytes */
};

/* What the taker takes. */
struct handover_hello {
	/* By the number of a listener of the giver: its protocol + 1, or 0 if
	 * none of the taker's has its connections; see lineage.h. */
	uint8_t protocol[COUNTERS_LISTENERS];
};

enum {
	HANDOVER_FINISHING = 1 << 0,	/* as in struct conn */
	HANDOVER_EOF = 1 << 1,
	HANDOVER_UNHANDLED = 1 << 2,
	HANDOVER_PROXIED = 1 << 3,	/* not in the previous version */
	HANDOVER_FLAGS = (1 << 4) - 1
};

/* One connection.  Its bytes are in the memfd from offset on, after those of
 * the previous connection: an unfinished message, the bytes of replies that its
 * peer has not taken, then the requests. */
struct handover_conn {
	uint64_t id;
	uint64_t opened_ms;
	uint64_t since_ms;
	uint64_t messages;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t offset;
	uint64_t size;			/* of all of them */
	uint64_t in_len;
	struct proto_progress progress;
	uint64_t out_len;
	uint64_t taken;
	uint64_t unsent;
	uint32_t nrequests;
	uint16_t listener;		/* number */
	uint16_t peer_port;
	uint8_t peer[16];
	uint8_t family;
	uint8_t deadline;		/* enum deadline_kind */
	uint8_t reason;			/* enum close_reason */
	uint8_t flags;
	uint32_t blame;			/* see blame_pack(); 0: none, as older
					   programs always say */
};

enum {
	HANDOVER_AT_ONCE = 1 << 0,	/* a reply that no handler was asked for,
					   or that one gave at once */
	HANDOVER_EXCHANGE = 1 << 1,	/* it has an exchange: proto->pack() */
	HANDOVER_TRACED = 1 << 2,	/* it has a struct handover_trace */
	HANDOVER_REQUEST_FLAGS = (1 << 3) - 1
};

/* A request that no executor had begun, or a reply that waits for earlier
 * ones.  After it come its place in its trace, its exchange with the
 * descriptions for its handler and the access log, its response fields, and its
 * payload. */
struct handover_request {
	uint64_t arrived_us;
	uint64_t number;		/* as in struct request */
	uint64_t begun_us;		/* likewise */
	uint64_t len;			/* of the payload */
	uint32_t told_len;
	uint32_t logged_len;
	uint16_t route;			/* number + 1 of its handler; 0: it
					   is for the listener's */
	uint8_t state;			/* enum request_state */
	uint8_t result;			/* enum request_result */
	uint8_t flags;
	uint8_t pad;
	uint16_t fields_len;		/* of the response fields of a reply */
};

/* The members of struct span that the taker cannot know. */
struct handover_trace {
	uint8_t trace[TRACE_ID_LEN];
	uint8_t id[TRACE_SPAN_LEN];
	uint8_t parent[TRACE_SPAN_LEN];
	uint8_t handling[TRACE_SPAN_LEN];
	uint64_t received_us;
	uint64_t handled_us;
	uint8_t sampled;
	uint8_t pad[7];
};

struct handover_batch {
	uint64_t number;
	uint64_t bytes;			/* in the memfd; 0: there is none */
	uint32_t n;
	uint32_t pad;
	struct handover_conn conns[HANDOVER_CONNS_MAX];
};

struct handover_adopted {
	uint64_t number;		/* of the batch */
	uint64_t taken;			/* bit i: connection i */
};

struct handover_ask {
	uint64_t number;		/* not 0; the answer has the same */
};

struct handover_message {
	struct handover_header header;
	union {
		struct handover_hello hello;
		struct handover_batch batch;
		struct handover_adopted adopted;
		struct handover_ask ask;
	};
};

/* The descriptors that came with a message; a descriptor that is taken is set
 * to -1. */
struct handover_fds {
	size_t n;
	int fd[HANDOVER_FDS_MAX];
};

/* The version to take in from a giver that speaks that CTL_VERSION; 0: the
 * previous one. */
unsigned handover_version_for(unsigned giver);

/* Send a message in that version, with copies of the descriptors.  Its payload
 * is filled in, and not needed afterwards.  Never blocks.  Returns -1 with
 * errno set. */
int handover_send(int link, unsigned version, struct handover_message *,
    enum handover_type, const int *fds, size_t nfds);

/* Look at the next message without its descriptors, and leave it there.  Returns
 * whether there is one, and it is no nonsense. */
bool handover_peek(int link, struct handover_message *);

/*
 * Receive one message; its header says in which version it was sent.  Fewer
 * descriptors than were sent may arrive.  Returns 1; 0 at the end of the link;
 * or -1 with errno set: EAGAIN, EPROTONOSUPPORT for a message of an unknown
 * version, EPROTO for nonsense.
 */
int handover_receive(int link, struct handover_message *,
    struct handover_fds *);

/* Close the descriptors that were not taken. */
void handover_close_fds(struct handover_fds *);

#endif
