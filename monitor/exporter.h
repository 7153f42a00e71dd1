/* SPDX-License-Identifier: ISC */
/*
 * Fetches spans from the rings of the workers, and posts them to the collector.
 *
 * One batch is on its way at a time, and only what the collector has answered
 * for counts as taken: while it is slow the rings fill up, and workers drop and
 * count what does not fit.  A batch that it refuses or does not answer is lost,
 * and counted; then it is left in peace for a while.
 */
#ifndef MONITOR_EXPORTER_H
#define MONITOR_EXPORTER_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/heritage.h"

enum {
	EXPORTER_BATCH = 512,		/* spans in one request, at most */
	EXPORTER_EVERY_MS = 1000,	/* fewer wait for so long */
	EXPORTER_TIMEOUT_S = 5,
	EXPORTER_PAUSE_MAX_MS = 30000,	/* after failures it doubles from
					   EXPORTER_EVERY_MS up to this */
};

struct exporter;

/* NULL without a cause to have one, or with errno set. */
struct exporter *exporter_new(struct event_base *, const struct heritage *);
void exporter_free(struct exporter *);

/* Whether nothing is on its way; what is there is sent off at once. */
bool exporter_is_idle(struct exporter *);

/* Called with the monitor's tick. */
void exporter_tick(struct exporter *);

/* The monitor did not run for that long. */
void exporter_forgive(struct exporter *, uint64_t stall_ms);

#endif
