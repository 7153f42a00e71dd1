/* SPDX-License-Identifier: ISC */
/*
 * What the monitor knows at one moment: sums of the counters in the mappings,
 * and what the master tells.
 */
#ifndef MONITOR_VIEW_H
#define MONITOR_VIEW_H

#include <stdbool.h>

#include "common/heritage.h"

struct view {
	const struct heritage *heritage;	/* borrowed */
	uint64_t now_ms;			/* clock_ms() */
	bool known;				/* now is */
	struct status_now now;
	/* By number; summed up over slots. */
	struct counters_listener listener[COUNTERS_LISTENERS];
	struct counters_handler handler[COUNTERS_HANDLERS];
	const char *listener_name[COUNTERS_LISTENERS];	/* borrowed; NULL: not
							   to be told of */
	const char *handler_name[COUNTERS_HANDLERS];
	/* By slot; of all listeners. */
	struct counters_worker worker[CONF_WORKERS_MAX];
	struct counters_listener slot[CONF_WORKERS_MAX];
};

/* A look at everything.  Returns NULL with errno set; free(3) it. */
struct view *view_new(const struct heritage *);

/* Whether there is anything to tell of a listener or handler: a number can have
 * come to be another name's, and handlers on the loop have no queue and no
 * executors. */
bool view_tells_listener(const struct view *, size_t number);
bool view_tells_handler(const struct view *, size_t number);

/* The worker that serves in a slot, or NULL. */
const struct status_process *view_worker(const struct view *, unsigned slot);

/* Whether all is as it should be: every slot has a worker, and the server does
 * not stop.  If not, why tells. */
bool view_is_ready(const struct view *, char *why, size_t size);

#endif
