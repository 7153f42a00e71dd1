/* SPDX-License-Identifier: ISC */
/*
 * A client that holds many connections to one server, sends numbered messages
 * over them, and verifies every byte of the replies, which have to be echoes.
 * It counts, and the caller judges.
 *
 * It is one thread with one epoll set, which runs where hold_turn() is called;
 * or it runs in processes of its own, see hold_process.h.
 *
 * The kinds of connections:
 *
 *	ECHO		sends a message or a burst when its turn comes, and is
 *			idle in between
 *	PIPELINE	like ECHO, with more messages at once
 *	SLOW		like ECHO, to a slow handler
 *	SPLIT		always has a partial message: its first byte, in the
 *			next message two bytes, and so on through header,
 *			payload and end; the rest follows at a flush
 *	DEAF		sends many messages and reads nothing until a flush
 *	STREAM		sends a steady stream of bytes, cut anywhere in
 *			messages
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
	/* Only for SLOW; len 0: the one above. */
	struct sockaddr_storage slow_server;
	socklen_t slow_server_len;
	struct sockaddr_storage source;	/* len 0: the kernel chooses */
	socklen_t source_len;
	enum message_wire wire;

	/* How many connections of each kind; ECHO comes first. */
	unsigned connections;
	unsigned pipeline;
	unsigned slow;
	unsigned split;
	unsigned deaf;
	unsigned stream;
	unsigned processes;		/* that share them; 0: 1 */

	unsigned connecting_max;	/* opened at a time; 0: 64 */
	unsigned message_size;		/* payload; 0: 64 */
	unsigned message_size_max;	/* 0: all have message_size */

	/* Messages per second over all connections that take turns (ECHO,
	 * PIPELINE, SLOW); 0: none; or HOLD_FULL_SPEED: the next burst when the
	 * previous one is answered. */
	double rate;
	/* Each burst is due at a time given by the rate, late bursts are still
	 * sent, and latency counts from that time.  Otherwise a connection that
	 * is busy loses its turn. */
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
	/* SPLIT and DEAF flush after this time; 0: only by hold_flush(). */
	unsigned flush_ms;

	/* After that many answers a connection is closed and replaced; 0:
	 * never. */
	unsigned churn;
	bool reconnect;			/* replace lost connections */
	/* An answer or a connect that takes longer hangs; 0: 20,000. */
	unsigned patience_ms;
};

struct hold;

/* Connections are numbered from first_conn.  The caller owns the report, which
 * outlives the hold.  Returns NULL with errno set. */
struct hold *hold_new(const struct hold_options *, uint32_t first_conn,
    struct hold_report *);
/* Do the work that there is, or wait for work up to timeout_ms. */
void hold_turn(struct hold *, int timeout_ms);
/* Change options.rate. */
void hold_change_rate(struct hold *, double rate);
/* SPLIT: send the rest; DEAF: read all.  They begin again after their
 * answers. */
void hold_flush(struct hold *);
/* Begin a round of verification: wait until all connections are idle, exchange
 * one more message on each open connection, then continue.  The report counts
 * the rounds that have ended. */
void hold_begin_round(struct hold *);
/* Forget all times that were measured so far. */
void hold_measure_anew(struct hold *);
/* Send no more messages, and close each connection after its answers. */
void hold_finish(struct hold *);
bool hold_is_finishing(const struct hold *);
void hold_free(struct hold *);

#endif
