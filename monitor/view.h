/* SPDX-License-Identifier: ISC */
/*
 * A view of the server at one moment: sums of the counters in the mappings, and
 * the status from the master.
 */
#ifndef MONITOR_VIEW_H
#define MONITOR_VIEW_H

#include <stdbool.h>

#include "common/heritage.h"

struct view {
	const struct heritage *heritage;	/* borrowed */
	uint64_t now_ms;			/* clock_ms() */
	bool known;				/* now is valid */
	struct status_now now;
	/* By number; sums over the slots. */
	struct counters_listener listener[COUNTERS_LISTENERS];
	struct counters_handler handler[COUNTERS_HANDLERS];
	const char *listener_name[COUNTERS_LISTENERS];	/* borrowed; NULL: not
							   to be shown */
	const char *handler_name[COUNTERS_HANDLERS];
	/* By slot; sums over the listeners. */
	struct counters_worker worker[CONF_WORKERS_MAX];
	struct counters_listener slot[CONF_WORKERS_MAX];
};

/* Make a view.  Returns NULL with errno set; the caller frees it by free(3). */
struct view *view_new(const struct heritage *);

/* Whether a listener or handler is shown: its number can have another name now,
 * and handlers in the event loop have no queue and no executors. */
bool view_tells_listener(const struct view *, size_t number);
bool view_tells_handler(const struct view *, size_t number);

/* The worker that serves in a slot, or NULL. */
const struct status_process *view_worker(const struct view *, unsigned slot);

/* Whether every slot has a worker and the server is not stopping.  If not, why
 * gets the reason. */
bool view_is_ready(const struct view *, char *why, size_t size);

#endif
