/* SPDX-License-Identifier: ISC */
/*
 * The anchor of a worker as the master sees it: a process that the worker has
 * cloned, as a child of the master.  It shares the worker's table of descriptors
 * and nothing else, so that the connections stay open when the worker dies.  It
 * waits on its link to the master, and clones a rescuer when it is asked to.
 *
 * An anchor belongs to the worker that holds the connections: the one that has
 * cloned it, and after that one's death its rescuer.
 */
#ifndef MASTER_ANCHOR_PROC_H
#define MASTER_ANCHOR_PROC_H

#include <stdbool.h>
#include <stdint.h>

#include "master/process.h"

struct worker_proc;

/* What its worker does about it. */
struct anchor_events {
	/* The rescuer that was asked for is a child of ours; or there is none
	 * if the pid is 0. */
	void (*on_rescuer)(struct worker_proc *, const struct ctl_cloned *);
	/* It is dead or of no use, and is to be ended. */
	void (*on_end)(struct worker_proc *, const char *why);
};

struct anchor_proc {
	struct process process;		/* without a pid until ANCHOR */
	struct worker_proc *worker;
	const struct anchor_events *events;
	bool is_asked;			/* for a rescuer */
	pid_t rescuer;			/* the last that it has cloned: that one
					   says so, too */
};

/* Expect the anchor of a worker that is forked next; *end is the anchor's end of
 * the link, which the caller closes.  Returns NULL with errno set. */
struct anchor_proc *anchor_proc_new(struct worker_proc *,
    const struct anchor_events *, int *end);

/* It is there, as its worker says.  Returns NULL, or why not. */
const char *anchor_proc_arrive(struct anchor_proc *, const struct ctl_cloned *);

/* Take over an anchor that another program had, as it was read.  Returns -1 with
 * errno set. */
int anchor_proc_adopt(struct anchor_proc *, struct master *,
    const struct anchor_events *);

/* Whether it could be asked for a rescuer. */
bool anchor_proc_is_there(const struct anchor_proc *);

/* Ask it for a rescuer with that channel, of which it gets a copy.  Returns -1
 * with errno set. */
int anchor_proc_ask(struct anchor_proc *, int channel);

/* Called with the master's tick. */
void anchor_proc_watch(struct anchor_proc *, uint64_t now_ms);

/* Kill it and free it; NULL is fine. */
void anchor_proc_end(struct anchor_proc *);

#endif
