/* SPDX-License-Identifier: ISC */
/*
 * What the files of a connection share, and no other file needs to know:
 * conn_state.c has its parts, its states and its end, conn_proxy.c what comes
 * before the messages, conn_read.c what comes in, conn_reply.c what goes out, conn_run.c its course, and conn_end.c the endings
 * that others cause.
 */
#ifndef WORKER_CONN_INTERNAL_H
#define WORKER_CONN_INTERNAL_H

#include "worker/conn.h"
#include "worker/departure.h"
#include "worker/worker.h"

/* What a state function says of what comes next. */
enum conn_next {
	CONN_AGAIN,		/* the state has changed: run it */
	CONN_SETTLE,		/* by what is owed, and what is there */
	CONN_WAIT,		/* for the event that is set */
	CONN_DONE,		/* it is over, for conn->reason */
};

static inline struct worker *
conn_worker(const struct conn *conn)
{
	return (conn->listener->worker);
}

static inline bool
conn_in_mid_message(const struct conn *conn)
{
	return (conn->pending != NULL && conn->pending->in != NULL);
}

/* Whether a handler owes us replies. */
static inline bool
conn_awaits(const struct conn *conn)
{
	return (conn->pending != NULL && conn->pending->nrequests > 0);
}

/* Whether the next message could be handled now. */
static inline bool
conn_may_handle(const struct conn *conn)
{
	const struct conn_pending *pending = conn->pending;

	return (!conn->finishing && (pending == NULL || (pending->out == NULL &&
	    pending->feeds == NULL && !pending->starved &&
	    !pending->blame.is_slowed &&
	    pending->nrequests < conn->listener->conf->pipeline &&
	    (pending->nrequests == 0 || !departure_holds_back(conn)))));
}

/* Nothing more of the peer's is handled; when all that is owed has been taken,
 * the connection ends. */
static inline void
conn_end_after_replies(struct conn *conn, enum close_reason reason)
{
	conn->finishing = true;
	conn->reason = (uint8_t)reason;
}

/*
 * conn_state.c
 */

/* conn_make_ready() for a caller who has it run: he calls conn_run_all_ready(),
 * or worker_end_later(). */
void conn_list_ready(struct conn *);
void conn_end_ready(struct conn *);

/* A request is not its connection's any more; the first one. */
void conn_remove_request(struct conn *, struct request *);
struct request *conn_take_request(struct conn *);
/* It waits for nothing but its replies any more. */
void conn_stop_waiting(struct conn *);
/* Nobody waits for the replies any more. */
void conn_abandon_requests(struct conn *);
/* The input has to wait for memory before it grows. */
void conn_starve(struct conn *);
/* Free the pending part, if nothing is. */
void conn_trim(struct conn *);

/*
 * The only ways from one state to another, with conn_park(): set the event and
 * the deadline that belong to it.  Returns -1 with errno set and the state as it
 * was; DISPATCHED is always entered.
 */
int conn_enter(struct conn *, enum conn_state);
/* From PARKED to where it goes on; if it waits for the same as before, it has
 * waited all the time. */
int conn_unpark(struct conn *);
/* The same state begins again, now. */
void conn_set_deadline(struct conn *);

/* What its peer does not take would stay in the kernel for minutes: let the
 * close destroy it. */
void conn_close_hard(struct conn *);

/* Something failed on the way to or from the peer: for which reason the
 * connection ends, by errno. */
enum conn_next conn_fail(struct conn *);

/*
 * conn_run.c
 */

/* A connection in the table with its event set up and its record filled. */
struct conn *conn_make(struct listener *, int fd, const struct sockaddr *peer);

/* No more is to be read: what is owed goes first, if anything. */
enum conn_next conn_finish(struct conn *, enum close_reason);

/*
 * conn_read.c
 */

/* Read what there is, and have its messages handled. */
enum conn_next conn_read_messages(struct conn *);

/*
 * conn_proxy.c
 */

/* Read the header that comes before all else.  CONN_AGAIN: it is there. */
enum conn_next conn_read_header(struct conn *);

/*
 * conn_reply.c; those that return an int return -1 with errno set.
 */

/* Send a reply that is there at once, after those that are still awaited; the
 * exchange is NULL if the protocol has none, and not kept. */
extern const struct payload conn_no_payload;
int conn_reply(struct conn *, struct exchange *, const struct payload *);
/* The same about trouble; text is as for proto_explain(). */
int conn_explain(struct conn *, enum proto_trouble, const char *text,
    struct exchange *);
/* What a handler's client is told of trouble; an empty text closes instead. */
int conn_reply_text(struct conn *, const char *text, struct exchange *);

/* Send the replies of the first requests that are done. */
int conn_finish_done(struct conn *);

/* Whether a worker that drains may end a connection with what is said next, as
 * the peer has not said more. */
bool conn_is_last_of_drain(const struct conn *);

/* Write a reply of that many bytes to the access log, if there is one; the
 * exchange may be NULL.  arrived_us is when the message was whole; 0: now. */
void conn_write_access(const struct conn *, const struct exchange *,
    uint64_t arrived_us, size_t len);
static inline void
conn_log_access(const struct conn *conn, const struct exchange *exchange,
    uint64_t arrived_us, size_t len)
{
	if (exchange != NULL && conn_worker(conn)->access_log != NULL &&
	    !exchange->is_interim)
		conn_write_access(conn, exchange, arrived_us, len);
}

/* Give a request its id, unless its client has. */
void conn_name_request(const struct conn *, struct exchange *);

#endif
