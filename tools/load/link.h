/* SPDX-License-Identifier: ISC */
/*
 * One connection of a load client: it connects, sends numbered messages up to
 * the given numbers of messages and bytes, and verifies the replies.
 *
 * hold.c knows the other links, and decides when to send.
 */
#ifndef TOOLS_LOAD_LINK_H
#define TOOLS_LOAD_LINK_H

#include <sys/socket.h>

#include "tools/load/hold_report.h"
#include "tools/load/message.h"
#include "tools/load/verifier.h"

enum {
	LINK_SCRATCH = 65536,
};

#define LINK_NO_LIMIT	UINT64_MAX

/* What many links share.  Its owner owns all that is in it. */
struct link_gear {
	int epoll;
	struct hold_report *report;
	struct message_form form[HOLD_KINDS];
	uint8_t *send_buf;	/* LINK_SCRATCH bytes, or one message */
	size_t send_size;
	uint8_t *receive_buf;	/* LINK_SCRATCH bytes */
	uint8_t *reply_buf;	/* one message */
	struct response_head head;
};

enum link_state {
	LINK_DOWN,		/* waits to be connected */
	LINK_CONNECTING,
	LINK_OPEN,
	LINK_GONE,		/* not connected again */
};

struct link {
	int fd;			/* owned; -1 unless CONNECTING or OPEN */
	enum link_state state;
	enum hold_kind kind;
	uint32_t index;		/* of its events */
	uint32_t conn;		/* its number, unique */

	uint32_t issued;	/* messages to send in all */
	uint32_t sent;		/* that the kernel took as a whole */
	uint32_t sent_bytes;	/* of the message after those */
	uint64_t may_send;	/* bytes, LINK_NO_LIMIT: all that are issued */
	struct verifier replies;

	bool is_deaf;		/* does not read */
	bool awaits_room;	/* the kernel takes no more for now */
	uint64_t since_ms;	/* when it began to wait */

	/* When messages left, as a ring; NULL if not measured.  At most
	 * ring_size are in flight. */
	uint64_t *left_us;	/* borrowed */
	uint32_t ring_size;
	/* When the issued messages were due, if latency counts from then; else
	 * 0. */
	uint64_t intended_us;

	/* Of hold.c. */
	uint32_t cut;		/* where the last message was split */
	uint32_t probed;	/* the last round that it was probed in */
	uint32_t round;		/* the last round that it has done */
	uint32_t owed;		/* bursts that were due, and not issued yet */
	uint64_t due_us;	/* when the first of those was */
};

/* Where to connect. */
struct link_route {
	struct sockaddr_storage server, source;
	socklen_t server_len, source_len;	/* 0: any source */
	/* Keep socket buffers small on both sides. */
	bool is_narrow;
};

/* Begin to connect.  Returns -1 if this fails at once. */
int link_connect(struct link *, const struct link_gear *,
    const struct link_route *);

/* Get the result of a connect. */
int link_connected(struct link *, const struct link_gear *);

/* Close it in any state. */
void link_close(struct link *);

/* Messages that are issued and neither answered nor lost. */
uint32_t link_in_flight(const struct link *);

/* Whether it waits for the server. */
bool link_waits(const struct link *);

/* Send what is issued and allowed, as many messages at a time as fit. */
void link_send(struct link *, const struct link_gear *);

/* Read once, and verify.  Returns NULL, or the report's counter for the end of
 * the connection, which the caller has to close then. */
uint64_t *link_receive(struct link *, struct link_gear *);

/* Stop or continue reading. */
void link_set_deaf(struct link *, const struct link_gear *, bool is_deaf);

#endif
