/* SPDX-License-Identifier: ISC */
/*
 * A server that echoes, and does one thing wrong, once: for tests of who has to
 * notice.
 *
 * Runs in a process of its own, on a port of the test's own address.  Has as
 * much memory for what is not read as that takes, and room for BAD_CONNS_MAX
 * connections.
 */
#ifndef TESTS_LIB_BAD_SERVER_H
#define TESTS_LIB_BAD_SERVER_H

#include <sys/types.h>

#include <stdint.h>

#include "tools/load/message.h"

enum {
	BAD_CONNS_MAX = 128,
	BAD_DELAY_MS = 300,
	BAD_PARTIAL_MAX = 64,
};

enum fault {
	FAULT_NONE,
	FAULT_DROP,		/* a message has no reply */
	FAULT_DOUBLE,		/* it has two */
	FAULT_SWAP,		/* its reply comes after the next one */
	FAULT_FLIP,		/* a bit of the last byte is wrong */
	FAULT_FLIP_LENGTH,	/* a bit of the first byte is wrong */
	FAULT_FOREIGN,		/* the reply was another connection's */
	FAULT_ERROR,		/* it is "ERR busy" */
	FAULT_CLOSE,		/* the connection is closed instead */
	FAULT_CLOSE_LATE,	/* and in the middle of the reply */
	FAULT_RESET,		/* it is reset */
	FAULT_STALL,		/* it gets nothing from then on */
	FAULT_DELAY,		/* all wait for BAD_DELAY_MS */
};

/* What it has seen, in memory that it shares. */
struct bad_view {
	uint64_t messages;
	uint64_t owed_max;	/* bytes that one client did not take */
	/* How often so many bytes of an unfinished message were there. */
	uint64_t partial[BAD_PARTIAL_MAX];
};

struct bad_server {
	pid_t pid;
	struct bad_view *view;
};

/* The fault is done to the when-th message of all, from 1 on. */
struct bad_server bad_server_start(unsigned port, enum message_wire, enum fault,
    uint64_t when);
void bad_server_end(struct bad_server *);

#endif
