/* SPDX-License-Identifier: ISC */
/*
 * A connection: one small struct and one event; no buffers while nothing is
 * owed.
 *
 * Its public part (id, peer, times, counts, state) is its record in the shared
 * mapping, see conn_record.h.
 */
#ifndef WORKER_CONN_H
#define WORKER_CONN_H

#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>

#include "common/counters.h"
#include "common/record.h"
#include "worker/blame.h"
#include "worker/buffer.h"
#include "worker/deadline.h"
#include "worker/listener.h"
#include "worker/proto.h"
#include "worker/request.h"

enum {
	/* If a peer sends without end, the other connections have their turn
	 * after so many reads. */
	CONN_READS_PER_TURN = 4,
	/* Bytes read at a time while memory is short. */
	CONN_READ_SHORT = 4096,
	/* A peer that takes so many bytes within write_timeout may go on. */
	CONN_WRITE_PROGRESS = 65536,
	/* A peer that sends on after the last reply is read for so long. */
	CONN_LINGER_MAX_MS = 10000,
};

/* How a connection ends that had to go, as memory was short. */
enum conn_shed {
	CONN_NOT_SHED,
	CONN_SHED_TOLD,		/* with a reply that says so */
	CONN_SHED_SILENT,	/* without: it waited for other replies */
	CONN_SHED_CUT,		/* at once: it did not take its replies */
};

/* What a connection has only while something is unfinished. */
struct conn_pending {
	struct conn *conn;	/* borrowed; owns us */
	TAILQ_ENTRY(conn_pending) ready;	/* in worker->ready */
	bool is_ready;
	struct buffer *in;	/* a partial message */
	struct buffer *out;	/* replies that the peer has not taken */
	struct request_list requests;	/* owed replies, in their order */
	unsigned nrequests;
	unsigned nmade;		/* of these have no handler: replies that were
				   there at once */
	struct queue *feeds;	/* NULL, or the queue that has no room for the
				   next message in "in" */
	size_t feed_len;	/* the length of that message */
	bool starved;		/* "in" waits for memory to grow */
	/* With those who feed the lane, or with those who are starved. */
	TAILQ_ENTRY(conn_pending) held;
	struct blame blame;	/* kept while there is something to remember */
	TAILQ_ENTRY(conn_pending) slowed;	/* in worker->slowed */
	struct proto_progress progress;	/* of the protocol, with in */
	size_t taken;		/* of out, since the deadline was set */
	size_t unsent;		/* what the kernel had of us then */
	uint64_t closing_ms;	/* when all was said */
	bool unhandled;		/* in may hold whole messages: their handling
				   had to wait */
	uint8_t shed;		/* enum conn_shed */
};

TAILQ_HEAD(conn_pending_list, conn_pending);

struct conn {
	struct event event;		/* owned, and with it the socket */
	struct listener *listener;	/* borrowed; outlives every conn */
	struct conn_pending *pending;	/* owned; NULL while nothing is */
	TAILQ_ENTRY(conn) waiting;	/* in the queue of its deadline */
	uint32_t index;			/* in the table, and of its record */
	uint8_t state;			/* enum conn_state */
	uint8_t deadline;		/* enum deadline_kind; while parked: the
					   one before */
	uint8_t reason;			/* enum close_reason; once finishing */
	bool finishing : 1;		/* no more is read, and when all replies
					   are taken it ends */
	bool eof : 1;			/* the peer will send no more */
	bool rejected : 1;		/* over the limit: not counted */
	bool overdue : 1;		/* is judged at the next tick */
	bool stays : 1;			/* it could not change hands just now */
	bool looks : 1;			/* its peer can send descriptors along,
					   and is read as fd_receive() does */
	bool is_local : 1;		/* a unix socket */
	bool unproven : 1;		/* rescued, but not compared with its
					   socket yet */
	uint8_t proto : 2;		/* in protos[]; a protocol can install
					   another one */
	bool proxied : 1;		/* the record has the client's address,
					   and the socket that of its proxy */
};

struct worker;

static inline int
conn_fd(const struct conn *conn)
{
	return (conn->event.ev_fd);
}

static inline const struct proto *
conn_proto(const struct conn *conn)
{
	return (protos[conn->proto]);
}

/* Whether the peer has not taken all that it is to get. */
static inline bool
conn_owes(const struct conn *conn)
{
	return (conn->pending != NULL && conn->pending->out != NULL);
}

struct conn_record *conn_record(const struct conn *);

/*
 * conn_state.c: its parts, its states and its end
 */

/* conn->pending, made if it is not there.  NULL with errno set. */
struct conn_pending *conn_pending(struct conn *);
/* Put a request into its list.  Returns -1 with errno set. */
int conn_add_request(struct conn *, struct request *);

/* Have a connection with a pending part run at the end of this turn, or with
 * the next conn_run_all_ready(). */
void conn_make_ready(struct conn *);
/* It was starved, and there is memory. */
void conn_on_memory(struct conn *);

/* Close the socket, at once, for conn->reason.  conn is gone after this. */
void conn_free(struct conn *);
/* The same whatever the connection is about: what it owes is lost. */
void conn_cut(struct conn *, enum close_reason);
/* It is another worker's now: close our copy of the socket, and count nothing. */
void conn_forget(struct conn *);
/* It was never ours: give its place back, but do not touch its socket. */
void conn_withdraw(struct conn *);

/*
 * A connection is at rest when nobody works on a request of it.  It can be
 * parked then: it is not served, stands in no queue, and its structs hold all
 * that is known of it, until conn_wake(), here or in another worker.  Giver and
 * taker say who counts it meanwhile.
 */
void conn_park(struct conn *);

/*
 * conn_run.c: its course
 */

/* Serve a socket that has been accepted, after its PROXY header if it is to have
 * one; owned from here on, also on failure.
 * Returns NULL with errno set. */
struct conn *conn_new(struct listener *, int fd, const struct sockaddr *peer);
/* A place for a connection that comes, with its event set up; its record is not
 * filled.  NULL with errno set, and fd still the caller's. */
struct conn *conn_place(struct listener *, int fd);
/* The place that it had, and with it its record, when its worker died: parked.
 * In the order of these places, and before any other comes. */
struct conn *conn_place_again(struct listener *, int fd, uint32_t index);

/* Run a connection that is ready, or called: send the replies that are there,
 * and go on.  And each one that is ready, once. */
void conn_run_ready(struct conn *);
void conn_run_all_ready(struct worker *);

/* The next of its requests was with a handler when their worker died: it is
 * answered as failed.  brief is that of its exchange.  Returns -1 with errno
 * set. */
int conn_fail_request(struct conn *, const struct handler *, uint8_t brief);

/* It may have been held back for what is over now: departure_holds_back(). */
void conn_reconsider(struct conn *);
/* Its delay is over. */
void conn_on_patience(struct conn *);
/* Serve one that was parked.  It may come to its end here. */
void conn_wake(struct conn *);

/*
 * conn_end.c: the endings that others cause
 */

/* Tell a client over the limit so, and let it go; fd as for conn_new(). */
void conn_reject(struct listener *, int fd, const struct sockaddr *peer,
    enum reject_reason);
/* End a connection that is between two messages; does nothing if bytes of the
 * next one have come.  Returns whether it is ending. */
bool conn_finish_idle(struct conn *, enum close_reason);
/* Stop serving a connection: send what it owes no further than the kernel takes
 * it at once, and end. */
void conn_finish_now(struct conn *, enum close_reason);
/* End the connections that are due: called once per tick. */
void conn_end_due(struct worker *);
/* Close all that are not parked, as the process ends. */
void conn_end_all(struct worker *);

#endif
