/* SPDX-License-Identifier: ISC */
/*
 * A client that holds many connections to one server, sends numbered messages
 * over them, and verifies every byte of what comes back.
 *
 * One thread with one epoll set.  Runs where hold_turn() is called, or in a
 * process of its own (hold_start()).  Owns its sockets; knows nothing of what
 * it is used for: it counts, and the caller judges.
 */
#ifndef TESTS_HOLD_H
#define TESTS_HOLD_H

#include <sys/socket.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

enum hold_wire {
	HOLD_FRAME,
	HOLD_LINE,
};

enum {
	HOLD_MESSAGE_MIN = 18,	/* bytes that a message's number takes */
	HOLD_FULL_SPEED = -1,
};

struct hold_options {
	struct sockaddr_storage server;
	socklen_t server_len;
	struct sockaddr_storage source;	/* len 0: as the kernel likes it */
	socklen_t source_len;
	enum hold_wire wire;
	unsigned connections;
	unsigned connecting_max;	/* under way at a time; 0: 64 */
	unsigned message_size;		/* payload; 0: 64 */
	/* Messages a second over all connections, in turn; 0: none; or
	 * HOLD_FULL_SPEED: a new burst as soon as the last is answered. */
	double rate;
	unsigned burst;			/* messages in flight each; 0: 1 */
	/* After so many answers a connection is closed and a new one takes its
	 * place; 0: it stays. */
	unsigned churn;
	uint64_t total;			/* answers until done; 0: no end */
	bool reconnect;			/* in place of one that was lost */
	/* An answer or a connect that takes longer has hung; 0: 20,000. */
	unsigned patience_ms;
};

/* Written by the client alone, read by anyone at any time. */
struct hold_report {
	uint64_t open;		/* gauge: connections that stand */
	uint64_t connected;	/* that came to stand */
	uint64_t refused;	/* connects that failed */
	uint64_t finished;	/* connections that we closed, as planned */
	uint64_t disconnected;	/* that the server closed */
	uint64_t reset;		/* that broke */
	uint64_t hung;		/* that we gave up waiting for */
	uint64_t sent;		/* whole messages that the kernel took */
	uint64_t answered;	/* and those that came back as they went */
	uint64_t lost;		/* and those whose connection ended before */
	uint64_t corrupted;	/* connections that brought something else */
	uint64_t slowest_ms;	/* longest time to an answer */
	uint64_t slowest_connect_ms;
	uint64_t is_done;	/* options.total is reached, or all is closed */
};

struct hold;

/*
 * In the caller's process.
 */

/* The report is the caller's and outlives the hold.  NULL with errno set. */
struct hold *hold_new(const struct hold_options *, struct hold_report *);
/* Do what there is to do, wait for more up to timeout_ms. */
void hold_turn(struct hold *, int timeout_ms);
/* Send nothing more, and close each connection when it has its answers. */
void hold_finish(struct hold *);
void hold_free(struct hold *);

/*
 * In a process of its own.  It ends with the one that started it.
 */

struct hold_process;

/* NULL with errno set. */
struct hold_process *hold_start(const struct hold_options *);
/* What it has counted so far; valid until hold_drop(). */
const struct hold_report *hold_peek(const struct hold_process *);
/* Change options.rate.  A pause is a rate of 0. */
void hold_set_rate(struct hold_process *, double rate);
/* hold_finish() there, and wait for its end.  The report is final. */
const struct hold_report *hold_stop(struct hold_process *);
/* End it as it is, and forget it. */
void hold_drop(struct hold_process *);

#endif
