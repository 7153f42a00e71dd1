/* SPDX-License-Identifier: ISC */
/*
 * A worker's end of the channel to one executor.
 *
 * Requests are gathered and leave in one write at the end of the worker's turn;
 * the replies of one read are handed on together.  Replies are checked like the
 * messages of clients: an executor that talks nonsense is given up, and the
 * master gets a notice.
 *
 * An executor has as many threads as it can work on requests at a time.  It
 * begins requests in the order in which it gets them, so that many of the
 * oldest are its calls, and request_timeout counts only for calls.  While calls
 * are short, some more requests are sent ahead, which saves system calls on
 * both sides.  An executor of modules that is stuck returns them, and they wait
 * in the queue again.
 *
 * A call that takes too long keeps its thread forever.  The link is retired
 * then: the master starts another executor, this one gets no more requests, and
 * it is given up when its other calls are done.  Each of them has its own time
 * limit.
 */
#ifndef WORKER_EXEC_LINK_H
#define WORKER_EXEC_LINK_H

#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>

#include "common/ctl.h"
#include "common/why.h"
#include "worker/handler.h"
#include "worker/exec_wire.h"
#include "worker/reply_facts.h"

struct exec_link {
	TAILQ_ENTRY(exec_link) of_queue;
	TAILQ_ENTRY(exec_link) unsent;	/* in worker->unsent */
	struct event readable;		/* owned, and with it the descriptor */
	struct event writable;		/* the same; added while out waits */
	bool is_socket;			/* one socket for both; or two pipes */
	struct worker *worker;		/* borrowed, as the queue */
	struct queue *queue;
	uint64_t id;			/* the master's name for it */
	enum exec_wire wire;
	bool metadata;			/* facts before each request */
	bool reply_metadata;		/* and before each reply */
	bool looks;			/* as in struct conn */
	bool is_noted;			/* noted is of the next reply */
	struct reply_facts noted;
	struct why fault;		/* why it is given up, for the log; or
					   why the next reply is refused */
	bool is_unsent;			/* out has bytes of this turn */
	unsigned ngathered;		/* requests among those */
	bool is_blocked;		/* out has bytes it does not take */
	struct buffer *in;		/* an unfinished reply */
	struct buffer *out;		/* requests */
	struct request_list running;	/* in the order in which they left, and
					   in which they are begun */
	struct request *ahead;		/* the first that is not begun; NULL */
	unsigned ncalls;		/* those before it */
	unsigned nthreads;		/* that can have a call */
	uint64_t calls_us;		/* AVERAGE_OVER times the average of
					   what a call takes */
	unsigned limit;			/* requests that it may have by now */
	bool is_retired;
	struct request **places;	/* capacity; by the low bits of a tag */
	unsigned *free;			/* a stack of free places */
	unsigned capacity;		/* the most that limit can be */
	unsigned nrunning;		/* calls, and those that are ahead */
	uint64_t serial;
};

TAILQ_HEAD(exec_link_list, exec_link);

/* Replies come from fds[0], and requests go to fds[1]; if that is -1, fds[0] is
 * a socket for both.  NULL with errno set; fds are then still the caller's. */
struct exec_link *exec_link_new(struct worker *, struct queue *, uint64_t id,
    const int fds[CTL_FDS_MAX], const struct conf_handler *,
    event_callback_fn on_readable, event_callback_fn on_writable);

/* Give the link up.  Its requests get the result.  why goes to the master,
 * which replaces the executor; "": its channel has ended; NULL: the worker
 * ends, and the master gets no notice. */
void exec_link_free(struct exec_link *, enum request_result, const char *why);

bool exec_link_has_room(const struct exec_link *);

/* Make sure that a request can be sent with so many bytes; what is gathered may
 * be written first.  Returns -1 with errno set: EAGAIN if the executor does not
 * take that, ENOBUFS or ENOMEM if there is no memory. */
int exec_link_reserve(struct exec_link *, const struct request *, size_t len);

/* Send a request with its message, for which room has been reserved. */
void exec_link_send(struct exec_link *, struct request *,
    const struct payload *message);

/* Write what waits.  Returns -1 if the executor is gone. */
int exec_link_flush(struct exec_link *);

/* Hand on the whole replies.  Returns the number of bytes used up, or -1 with
 * link->fault set. */
ssize_t exec_link_take(struct exec_link *, const uint8_t *bytes, size_t len);

/* A request is not its executor's any more.  Returns it. */
struct request *exec_link_take_out(struct exec_link *, struct request *);
/* How many requests it may have from now on. */
void exec_link_set_limit(struct exec_link *);
/* Count the end of an executor that ever had a message, perhaps with one. */
void exec_link_count_end(const struct exec_link *, bool with_message);

/* The worker did not run for that long: no call has taken it. */
void exec_link_forgive(struct exec_link *, uint64_t stall_us);

/* Where replies come from, and where requests go. */
static inline int
exec_link_reply_fd(const struct exec_link *link)
{
	return (link->readable.ev_fd);
}

static inline int
exec_link_request_fd(const struct exec_link *link)
{
	return (link->writable.ev_fd);
}

#endif
