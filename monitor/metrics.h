/* SPDX-License-Identifier: ISC */
/*
 * /metrics: a view as text for Prometheus, or as OpenMetrics.
 *
 * penstock-metrics(7) has every name; a test compares the two lists.
 */
#ifndef MONITOR_METRICS_H
#define MONITOR_METRICS_H

#include <stdbool.h>
#include <stdio.h>

#include "monitor/view.h"

#define METRICS_TEXT	"text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPEN							\
	"application/openmetrics-text; version=1.0.0; charset=utf-8"

void metrics_print(FILE *, const struct view *, bool open);

/* Whether a client that sends this Accept header, NULL for none, wants
 * OpenMetrics. */
bool metrics_wants_open(const char *accept);

#endif
