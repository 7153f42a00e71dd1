/* SPDX-License-Identifier: ISC */
/*
 * Spans as OTLP in JSON: an ExportTraceServiceRequest of the OpenTelemetry
 * Protocol over HTTP.
 */
#ifndef MONITOR_OTLP_H
#define MONITOR_OTLP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/heritage.h"
#include "common/spans.h"

struct otlp_batch {
	const struct span *spans;
	const unsigned *slots;		/* of each span */
	size_t n;
	/* Nanoseconds to add to the monotonic clock to get the time since
	 * 1970. */
	int64_t epoch_ns;
};

/* The current value for epoch_ns. */
int64_t otlp_epoch_ns(void);

void otlp_print(FILE *, const struct heritage *, const struct otlp_batch *);

#endif
