/* SPDX-License-Identifier: ISC */
/*
 * Custody: what a worker leaves behind of its connections when it dies.
 *
 * The descriptors of a worker outlive it, because its anchor shares their table
 * (worker/anchor.h).  This memory says what they are.  The worker, its anchor and
 * a rescuer share it, and no other process has it.  The worker writes a few
 * numbers whenever a connection comes to rest, and never reads them; a rescuer
 * reads them when the worker is dead, and believes only what the kernel
 * confirms.
 */
#ifndef WORKER_CUSTODY_H
#define WORKER_CUSTODY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/reasons.h"
#include "worker/conn.h"
#include "worker/worker.h"

struct conn_record;

enum {
	/* Requests of one connection that a rescuer can answer, where the
	 * protocol has exchanges, and where it has none. */
	CUSTODY_OWED_EXCHANGES = 4,
	CUSTODY_OWED_MAX = 255,
	/* Links with a batch that is not settled: of the giver one, of takers
	 * some.  As many bits as there are in custody_conn.group. */
	CUSTODY_BATCHES = 4,
	CUSTODY_TAKERS = 8,
};

/* custody_conn.rest_in: it is not at rest. */
#define CUSTODY_NEVER UINT64_MAX

/* Whose a connection is. */
enum custody_hold {
	CUSTODY_OWN,
	CUSTODY_OFFERED,	/* in a batch without an answer */
	CUSTODY_TAKEN,		/* adopted, but its giver may not know it */
};

/* A request that is with a handler, in a protocol that has exchanges. */
struct custody_owed {
	uint8_t note;		/* of its exchange: proto->brief() */
	uint8_t handler;	/* index */
};

/*
 * A connection.  It is at rest if as many bytes were read and written as this
 * says, by the kernel's count, and then as many requests of it are with
 * handlers.
 */
struct custody_conn {
	uint64_t rest_in;	/* CUSTODY_NEVER: it is not at rest */
	uint64_t rest_out;
	int32_t fd;		/* 0: there is none */
	uint8_t owed;		/* requests that are with handlers */
	uint8_t hold : 2;	/* enum custody_hold; if not OWN: */
	uint8_t group : 3;	/* index of its batch, or of its taker */
	bool proxied : 1;	/* as in struct conn */
	uint8_t place;		/* in the batch */
	uint8_t from;		/* TAKEN: its listener's number there */
	struct custody_owed with[CUSTODY_OWED_EXCHANGES];
};

_Static_assert(sizeof(struct custody_conn) == 32,
    "two of them are one line of a cache");

/* A batch whose answer is due. */
struct custody_link {
	int32_t fd;		/* 0: there is none */
	uint32_t version;	/* HANDOVER_VERSION there */
	uint64_t number;	/* of the batch that is being answered; of the
				   giver: of the last one */
};

struct custody_map {
	uint32_t end;		/* no place from this one on was ever used */
	uint32_t touched;	/* 1 + the place that a rescuer is looking at,
				   or was when it died */
	uint32_t suspected;	/* the same, when another one had died */
	uint32_t is_moving;	/* connections are being counted as given or
				   taken */
	uint32_t pad;
	struct custody_link giver;
	uint64_t batch[CUSTODY_BATCHES];	/* their numbers; 0: the batch
						   was answered, and of it was */
	uint64_t taken[CUSTODY_BATCHES];	/* taken: bits by place */
	struct custody_link taker[CUSTODY_TAKERS];
	struct custody_conn conns[];	/* by conn->index */
};

/* Make the memory, before the anchor is cloned.  NULL with errno set. */
struct custody_map *custody_new(uint32_t places);
void custody_free(struct custody_map *, uint32_t places);

/* Nobody reads it before its writer is dead, so that only the compiler has to
 * keep an order. */
static inline void
custody_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline struct custody_conn *
custody_of(const struct conn *conn)
{
	return (&conn->listener->worker->custody->conns[conn->index]);
}

/*
 * The worker's part.  All of these do nothing if there is no custody.
 */

/* It has a place, and will have a record. */
void custody_use_place(const struct conn *);
/* Connections that are given or taken are counted between these: if the worker
 * dies there, its rescuer knows what the counts lack. */
static inline void
custody_move(struct custody_map *map, bool is_moving)
{
	custody_order();
	if (map != NULL)
		map->is_moving = is_moving;
	custody_order();
}

/* It is ours, and served. */
void custody_enter(const struct conn *);
/* It came in a batch, through that link. */
void custody_take(const struct conn *, unsigned group, unsigned place,
    unsigned from);
/* Its giver knows. */
void custody_own(const struct conn *);
/* The address in its record is about to be another than that of its socket. */
void custody_note_proxied(const struct conn *);
/* It ends here: its socket is about to be closed. */
void custody_leave(const struct conn *);

/* It may have come to rest: all that it had to send leaves now, and that are so
 * many bytes besides those that the kernel would not take before.  If is_last,
 * the reply to the last of what has come is among them. */
void custody_settle_pending(const struct conn *, size_t leaving, bool is_last);

/* These numbers belong together.  Whatever happens in between, it is not taken
 * for at rest with numbers of which some are old.  What is leaving is written
 * after this: until then the kernel's count is lower. */
static inline void
custody_write(struct custody_conn *held, const struct conn_record *record,
    size_t leaving, uint8_t owed)
{
	held->rest_in = CUSTODY_NEVER;
	custody_order();
	held->rest_out = record->bytes_out + leaving;
	held->owed = owed;
	custody_order();
	held->rest_in = record->bytes_in;
	custody_order();
}

static inline void
custody_settle(const struct conn *conn, size_t leaving, bool is_last)
{
	if (conn->listener->worker->custody == NULL)
		return;
	if (conn->pending == NULL && !conn->finishing)
		custody_write(custody_of(conn), conn_record(conn), leaving, 0);
	else
		custody_settle_pending(conn, leaving, is_last);
}

/* It is about to be read, and the kernel does not count what is read from it. */
static inline void
custody_begin_read(const struct conn *conn)
{
	if (conn->listener->worker->custody != NULL)
		custody_of(conn)->rest_in = CUSTODY_NEVER;
	custody_order();
}

/*
 * The rescuer's part.
 */

/*
 * Whether a connection, as its dead worker has left it, is at rest, and its
 * socket is the one that was recorded.  Nothing is believed.  Returns -1 if all
 * is right, or why it cannot be served (enum rescue_reason).
 */
int custody_check(const struct custody_conn *, const struct conn_record *);

#endif
