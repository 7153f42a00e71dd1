/* SPDX-License-Identifier: ISC */
/*
 * Notices to the master: what it has to know of our executors, and that the
 * worker is done.
 */
#ifndef WORKER_NOTICE_H
#define WORKER_NOTICE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/ctl.h"

struct worker;

struct notice {
	STAILQ_ENTRY(notice) link;
	enum ctl_type type;
	struct ctl_disown order;
};

/* Notices that did not fit into the channel. */
STAILQ_HEAD(notice_list, notice);

/* Have the master replace an executor: end it, or only start another one while
 * it is needed. */
void notice_disown(struct worker *, uint64_t id, const char *why, bool ended);
void notice_retire(struct worker *, uint64_t id, const char *why);

/* Tell what a rescuer has kept and dropped since it did so last. */
void notice_rescued(struct worker *);

/* Report how the drain went, and end the loop when the master can read it. */
void notice_drained(struct worker *, const struct ctl_drained *);

/* Send what did not fit into the channel: called once per tick. */
void notices_flush(struct worker *);
void notices_free(struct worker *);

#endif
