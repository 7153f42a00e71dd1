/* SPDX-License-Identifier: ISC */
/*
 * The place of a request in a trace: the traceparent of W3C Trace Context.
 */
#ifndef COMMON_TRACE_CONTEXT_H
#define COMMON_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TRACE_ID_LEN = 16,
	TRACE_SPAN_LEN = 8,
	/* Length of a traceparent, without and with a NUL. */
	TRACEPARENT_LEN = 55,
	TRACEPARENT_MAX = TRACEPARENT_LEN + 1,
};

struct trace_context {
	uint8_t trace[TRACE_ID_LEN];	/* not all zero */
	uint8_t span[TRACE_SPAN_LEN];	/* not all zero */
	bool sampled;			/* the client records the trace */
};

/* Read the value of a field, without the space around it.  Returns whether it
 * is valid; if not, the caller begins a new trace. */
bool trace_context_parse(struct trace_context *, const char *text, size_t len);

void trace_context_print(const struct trace_context *,
    char text[TRACEPARENT_MAX]);

/* Write bytes as hexadecimal digits and a NUL. */
void trace_hex(char *text, const uint8_t *bytes, size_t n);

#endif
