/* SPDX-License-Identifier: ISC */
/*
 * A traceparent out of anything.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What was read prints as what begins and reads the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct trace_context context, again;
	char text[TRACEPARENT_MAX], *copy;

	/* No longer than it is, so that a sanitizer sees who reads beyond. */
	copy = malloc(len > 0 ? len : 1);
	assert(copy != NULL);
	memcpy(copy, input, len);
	if (trace_context_parse(&context, copy, len)) {
		trace_context_print(&context, text);
		assert(strlen(text) == TRACEPARENT_LEN);
		assert(memcmp(text + 2, copy + 2, TRACEPARENT_LEN - 4) == 0);
		assert(trace_context_parse(&again, text, TRACEPARENT_LEN));
		assert(memcmp(again.trace, context.trace, TRACE_ID_LEN) == 0 &&
		    memcmp(again.span, context.span, TRACE_SPAN_LEN) == 0 &&
		    again.sampled == context.sampled);
	}
	free(copy);
	return (0);
}
