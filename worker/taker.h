/* SPDX-License-Identifier: ISC */
/*
 * Handing connections over: the taker's side.
 *
 * A worker can take from several at a time.  A connection that came is ours as
 * soon as that was said, and not served before.  The end of a link means that
 * nobody gives any more: what had been sent through it still comes.
 */
#ifndef WORKER_TAKER_H
#define WORKER_TAKER_H

#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/ctl.h"
#include "worker/handover.h"
#include "worker/lineage.h"

struct custody_link;
struct worker;

struct taker {
	TAILQ_ENTRY(taker) entry;
	struct worker *worker;
	struct event event;		/* owns the link */
	struct lineage lineage;		/* of the giver */
	unsigned version;		/* that is spoken there */
	struct conn *adopted[HANDOVER_CONNS_MAX];
	unsigned from[HANDOVER_CONNS_MAX];	/* the number of their
						   listener there */
	unsigned nadopted;
	struct handover_adopted answer;	/* not yet said if number is not 0 */
	enum handover_type answers;	/* ADOPTED or TOLD */
	bool greeted;			/* HELLO has been said */
	bool is_last;			/* nothing follows the answer */
	struct custody_link *noted;	/* for a rescuer; NULL: there is no
					   place */
};

TAILQ_HEAD(taker_list, taker);

/* Take what comes through link, which is owned from here on. */
void taker_begin(struct worker *, int link, const struct ctl_take *);
void takers_free(struct worker *);

/* In a rescuer: the dead worker had adopted connections, by their places in the
 * batch, and its giver may not know.  Say so, and take no more.  Returns -1
 * with errno set. */
int taker_restore(struct worker *, struct custody_link *,
    struct conn *const conns[HANDOVER_CONNS_MAX]);

/* Called with the worker's tick. */
void takers_tick(struct worker *);

#endif
