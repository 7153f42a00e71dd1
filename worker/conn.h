/* SPDX-License-Identifier: ISC */
/*
 * A connection: one small struct and one event; no buffers while nothing is
 * owed.
 *
 * Its public part (id, peer, times, counts, state) is its record in the shared
 * mapping.  conn_run() is its one driver, conn_enter() alone changes its state,
 * conn_free() alone ends it and says why.
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
	/* Reads in one turn of a connection whose peer sends without end: after
	 * so many the others have their turn. */
	CONN_READS_PER_TURN = 4,
	/* Bytes read at a time while memory is short. */
	CONN_READ_SHORT = 4096,
	/* A peer that takes so many bytes within write_timeout may go on. */
	CONN_WRITE_PROGRESS = 65536,
	/* A peer that goes on sending after it was told all is let go. */
	CONN_LINGER_MAX_MS = 10000,
};

/* A connection that had to go as memory was short. */
enum conn_shed {
	CONN_NOT_SHED,
	CONN_SHED_TOLD,		/* it is told so */
	CONN_SHED_SILENT,	/* it was waiting for other replies */
	CONN_SHED_CUT,		/* it did not take its replies */
};

/* What a connection has only while something is unfinished. */
struct conn_pending {
	struct conn *conn;	/* borrowed; owns us */
	TAILQ_ENTRY(conn_pending) ready;	/* in worker->ready */
	bool is_ready;
	struct buffer *in;	/* a message whose rest has not come */
	struct buffer *out;	/* replies that the peer has not taken */
	struct request_list requests;	/* owed replies, in their order */
	unsigned nrequests;
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
	uint8_t proto : 2;		/* in protos[]; a protocol can install
					   another one */
};

/*
 * Serve a socket that has been accepted; owned from here on, also on failure.
 * Returns NULL with errno set.
 */
struct worker;

struct conn *conn_new(struct listener *, int fd, const struct sockaddr *peer);

/* The same for a client over the limit: it is told so, and let go. */
void conn_reject(struct listener *, int fd, const struct sockaddr *peer,
    enum reject_reason);

/* Close the socket, at once, for conn->reason.  conn is gone after this. */
void conn_free(struct conn *);

/* End a connection now, whatever it is about: what it owes is lost. */
void conn_cut(struct conn *, enum close_reason);

/* End a connection that is between two messages; does nothing if bytes of the
 * next one have come.  Returns whether it is ending. */
bool conn_finish_idle(struct conn *, enum close_reason);

/* Stop serving a connection: send what it owes no further than the kernel takes
 * it at once, and end. */
void conn_finish_now(struct conn *, enum close_reason);

/* End the connections whose deadline has come: called once per tick. */
void conn_end_due(struct worker *);

/* A request stands in the list of a connection from now on.  Returns -1 with
 * errno set. */
int conn_add_request(struct conn *, struct request *);
/* Have a connection run that has a pending part and something to do: at the end
 * of this turn, or with the next conn_run_all_ready(). */
void conn_make_ready(struct conn *);
/* Run one that is ready, or called: send the replies that are there, and go
 * on. */
void conn_run_ready(struct conn *);
/* Run each connection that is ready, once. */
void conn_run_all_ready(struct worker *);
/* It was starved, and there is memory; its delay is over. */
void conn_on_memory(struct conn *);
void conn_on_patience(struct conn *);
/* It may have been held back for what is over now: departure_holds_back(). */
void conn_reconsider(struct conn *);

/*
 * Changing hands: giver.h, taker.h.
 *
 * A connection is at rest when nobody works on a request of it.  It can be
 * parked then: it is not served, stands in no queue, and all that is to be
 * known of it stands in its structs, until it wakes, here or elsewhere.  Whose
 * it is meanwhile, and so who counts it, is between giver and taker.
 */
bool conn_at_rest(const struct conn *);
void conn_park(struct conn *);
static inline bool
conn_is_parked(const struct conn *conn)
{
	return (conn->state == CONN_PARKED);
}

/* Serve it.  It may come to its end here. */
void conn_wake(struct conn *);

/* A place for a connection that comes, with its event set up; its record is not
 * filled.  NULL with errno set, and fd still the caller's. */
struct conn *conn_place(struct listener *, int fd);
/* It is another's now: close our copy of the socket, and count nothing. */
void conn_forget(struct conn *);
/* It was never ours: give its place back, and leave its socket alone. */
void conn_withdraw(struct conn *);

static inline const struct proto *
conn_proto(const struct conn *conn)
{
	return (protos[conn->proto]);
}

/* The public part; see conn_record.h. */
struct conn_record *conn_record(const struct conn *);
static inline int
conn_fd(const struct conn *conn)
{
	return (conn->event.ev_fd);
}

/* Whether the peer has not taken all that it is to get. */
static inline bool
conn_owes(const struct conn *conn)
{
	return (conn->pending != NULL && conn->pending->out != NULL);
}


/* conn->pending, made if it is not there.  NULL with errno set. */
struct conn_pending *conn_pending(struct conn *);

#endif
