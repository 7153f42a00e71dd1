/* SPDX-License-Identifier: ISC */
/*
 * A client that holds many connections to one server, sends numbered messages
 * over them, and verifies every byte of what comes back, which is to be an
 * echo.  It counts, and the caller judges.
 *
 * One thread with one epoll set, that runs where hold_turn() is called; or in
 * processes of its own, see hold_process.h.
 *
 * What connections do, by kind:
 *
 *	ECHO		a message, or a burst of them, when its turn comes,
 *			and rest in between
 *	PIPELINE	the same, with more messages at once
 *	SLOW		the same, to a handler that takes its time
 *	SPLIT		always in the middle of a message: behind its first
 *			byte, then, in the next message, behind its second
 *			one, and so on through header, payload and end; the
 *			rest follows at a flush
 *	DEAF		sends many messages and reads nothing until a flush
 *	STREAM		a steady stream of bytes, cut without regard for where
 *			messages end, and never more at rest than is under way
 */
#ifndef TOOLS_LOAD_HOLD_H
#define TOOLS_LOAD_HOLD_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>

#include "tools/load/hold_report.h"
#include "tools/load/message.h"

enum {
	HOLD_FULL_SPEED = -1,
};

struct hold_options {
	struct sockaddr_storage server;
	socklen_t server_len;
	/* For SLOW alone; len 0: the one above. */
	struct sockaddr_storage slow_server;
	socklen_t slow_server_len;
	struct sockaddr_storage source;	/* len 0: as the kernel likes it */
	socklen_t source_len;
	enum message_wire wire;

	/* How many connections of each kind; ECHO comes first. */
	unsigned connections;
	unsigned pipeline;
	unsigned slow;
	unsigned split;
	unsigned deaf;
	unsigned stream;
	unsigned processes;		/* to share them; 0: 1 */

	unsigned connecting_max;	/* under way at a time; 0: 64 */
	unsigned message_size;		/* payload; 0: 64 */
	unsigned message_size_max;	/* 0: all as above, else they differ */

	/* Messages a second over all that take turns (ECHO, PIPELINE, SLOW); 0:
	 * none; or HOLD_FULL_SPEED: a new burst as soon as the last is
	 * answered. */
	double rate;
	/* Each burst has its time, by the rate, and what is late is made up for:
	 * how long it took counts from when it should have left.  Else who is
	 * not free loses its turn. */
	bool is_scheduled;
	/* Of WIRE_POST; NULL: "localhost" and "/".  Of WIRE_RAW.  All
	 * borrowed. */
	const char *host, *path;
	const char *raw;
	size_t raw_len, raw_reply_len;
	unsigned burst;			/* of ECHO, in flight each; 0: 1 */
	unsigned pipeline_burst;	/* 0: 16 */
	unsigned slow_burst;		/* 0: 2 */
	unsigned deaf_burst;		/* 0: 2,000 */
	unsigned stream_bytes_s;	/* each; 0: 10,000 */
	/* SPLIT and DEAF flush by themselves after so long; 0: when told. */
	unsigned flush_ms;

	/* After so many answers a connection is closed and a new one takes its
	 * place; 0: it stays. */
	unsigned churn;
	bool reconnect;			/* in place of one that was lost */
	/* An answer or a connect that takes longer has hung; 0: 20,000. */
	unsigned patience_ms;
};

struct hold;

/* Number connections from first_conn.  The report is the caller's and outlives
 * the hold.  NULL with errno set. */
struct hold *hold_new(const struct hold_options *, uint32_t first_conn,
    struct hold_report *);
/* Do what there is to do, wait for more up to timeout_ms. */
void hold_turn(struct hold *, int timeout_ms);
/* Change options.rate. */
void hold_change_rate(struct hold *, double rate);
/* SPLIT: send the rest; DEAF: read all.  When they have their answers they
 * begin anew. */
void hold_flush(struct hold *);
/* Begin a round of verification: let all come to rest, exchange one message
 * more on each connection that stands, then go on as before.  The report's
 * rounds tells when it has ended. */
void hold_begin_round(struct hold *);
/* Forget how long anything took so far. */
void hold_measure_anew(struct hold *);
/* Send nothing more, and close each connection when it has its answers. */
void hold_finish(struct hold *);
bool hold_is_finishing(const struct hold *);
void hold_free(struct hold *);

#endif
