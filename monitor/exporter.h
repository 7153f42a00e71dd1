/* SPDX-License-Identifier: ISC */
/*
 * Reads spans from the rings of the workers, and posts them to the collector.
 *
 * One batch is sent at a time, and only answered batches count as read.  While
 * the collector is slow the rings fill up, and workers drop and count further
 * spans.  A batch that the collector refuses or does not answer is lost, and
 * counted; then the exporter pauses.
 */
#ifndef MONITOR_EXPORTER_H
#define MONITOR_EXPORTER_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/heritage.h"

enum {
	EXPORTER_BATCH = 512,		/* spans in one request, at most */
	EXPORTER_EVERY_MS = 1000,	/* a smaller batch waits this long */
	EXPORTER_TIMEOUT_S = 5,
	EXPORTER_PAUSE_MAX_MS = 30000,	/* the pause after a failure doubles
					   from EXPORTER_EVERY_MS up to this */
};

struct exporter;

/* Returns NULL if tracing is off, or with errno set. */
struct exporter *exporter_new(struct event_base *, const struct heritage *);
void exporter_free(struct exporter *);

/* Send what is in the rings at once.  Returns whether no batch is being
 * sent. */
bool exporter_is_idle(struct exporter *);

/* Called with the monitor's tick. */
void exporter_tick(struct exporter *);

/* The monitor did not run for that time. */
void exporter_forgive(struct exporter *, uint64_t stall_ms);

#endif
