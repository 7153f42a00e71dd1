/* SPDX-License-Identifier: ISC */
/*
 * Spans as OTLP in JSON: an ExportTraceServiceRequest, as the OpenTelemetry
 * Protocol has it for HTTP.
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
	/* What clock_us() was when it was no time at all since 1970, in
	 * nanoseconds: so much is added to become the time of day. */
	int64_t epoch_ns;
};

/* What to add to the monotonic clock just now. */
int64_t otlp_epoch_ns(void);

void otlp_print(FILE *, const struct heritage *, const struct otlp_batch *);

#endif
