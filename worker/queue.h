/* SPDX-License-Identifier: ISC */
/*
 * The bounded queue in front of a handler that answers later.
 *
 * A request that no executor is free for waits in one of two lanes, in the
 * order of arrival.  The high lane goes first, but of QUEUE_HIGH_RUN + 1
 * requests that begin while both lanes wait, one is of the normal lane.  When a
 * lane holds as many requests as it may, or handlers' work as much memory,
 * those who bring more wait with their connection unread, or are answered busy.
 * They have their turn in the order in which they came, with up to
 * QUEUE_CALL_RUN messages each: replies that leave together cost much less.
 */
#ifndef WORKER_QUEUE_H
#define WORKER_QUEUE_H

#include <sys/queue.h>

#include "common/ctl.h"
#include "worker/handler.h"
#include "worker/request.h"

struct exec_link;
struct proto_message;
struct queue;
struct worker;

enum {
	QUEUE_HIGH_RUN = 7,
	QUEUE_CALL_RUN = 16,
};

TAILQ_HEAD(queue_list, queue);

/* index is that of the handler in the configuration.  NULL with errno set. */
struct queue *queue_new(struct worker *, struct handler *, size_t index);
/* Everything in it is gone with it; no connection may be left. */
void queue_free(struct queue *);

enum handler_verdict queue_submit(struct queue *, struct conn *,
    const struct proto_message *);

/* A connection that was told HANDLER_FULL ends, or need not be told any
 * more; and one that was called, and brings nothing. */
void queue_forget_feeder(struct queue *, struct conn *);
void queue_forget_called(struct queue *, struct conn *);

/* A request's connection has ended. */
void request_abandon(struct request *);
/* The last that happens to a request. */
void request_free(struct worker *, struct request *);

/* Take a request that waits out of its lane; and put it into that of a queue,
 * in the order of arrival, whatever the limit: it was let in once.  It does not
 * begin before the end of this turn, after queue_make_roomy(). */
void queue_withdraw(struct request *);
void queue_readmit(struct queue *, struct request *);

/* An executor of the handler is there: serve through the descriptors of a CTL
 * message, which are taken out of it; on failure they stay. */
void queue_add_executor(struct queue *, uint64_t id, int fds[CTL_FDS_MAX],
    unsigned speaks);

/* A request is done: called by its link.  The reply has to stay until
 * worker_run_ready() was called. */
void queue_on_done(struct request *, enum request_result,
    const struct payload *reply);
/* A request has been returned with its message, and waits again: called by its
 * link. */
void queue_on_return(struct request *, const struct payload *message);
/* There may be room: what waits is given out, and those who were held back are
 * called, at the end of this turn. */
void queue_make_roomy(struct queue *);
/* Do so for the first queue of which that was said.  One client at a time is
 * called, which has to be run before the next. */
void queue_pump_next(struct worker *);

/*
 * buffer_reserve() for a message of the connection's on its way.  No client has
 * to go for it as long as memory comes back from the work that there is.
 */
int queue_reserve(struct queue *, struct conn *, struct buffer **,
    size_t room);

void queue_remove_executor(struct queue *, struct exec_link *);

/* An executor, perhaps one of these, has died. */
void queue_on_death(struct queue *, uint64_t id);

/* Count that an executor has ended that ever had a message, perhaps with one;
 * and that a connection was slowed down for that, perhaps for the first
 * time. */
void queue_count_end(struct queue *, bool with_message);
void queue_count_offence(struct queue *, bool is_first);

/* Whether its executors have nothing of ours, and we have nothing of theirs. */
bool queue_is_at_rest(const struct queue *);

const char *queue_handler_name(const struct queue *);

/* When the client of a request that began then is told that it took too long:
 * clock_us(); 0 if never. */
uint64_t queue_deadline_us(const struct queue *, uint64_t begun_us);

/* Time goes by. */
void queue_tick(struct queue *);

/* The worker did not run for that long: no request has waited meanwhile. */
void queue_forgive(struct queue *, uint64_t stall_us);

#endif
