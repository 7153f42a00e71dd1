/* SPDX-License-Identifier: ISC */
#include "common/trace_context.h"

#include <string.h>

enum {
	VERSION_AT = 0,
	TRACE_AT = 3,
	SPAN_AT = 36,
	FLAGS_AT = 53,
	VERSION_NONE = 0xff,
	FLAG_SAMPLED = 1,
};

static const char digits[] = "0123456789abcdef";

/* The value of two hexadecimal digits, in lower case as the standard requires;
 * -1 if they are invalid. */
static int
hex_byte(const char *text)
{
	const char *high, *low;

	high = *text != '\0' ? strchr(digits, text[0]) : NULL;
	low = high != NULL && text[1] != '\0' ? strchr(digits, text[1]) : NULL;
	return (low == NULL ? -1 : (int)((high - digits) << 4 | (low - digits)));
}

/* Returns whether they are digits, and not all of them zeros. */
static bool
parse_id(uint8_t *id, size_t n, const char *text)
{
	int byte, any = 0;

	for (size_t i = 0; i < n; i++) {
		if ((byte = hex_byte(text + 2 * i)) == -1)
			return (false);
		id[i] = (uint8_t)byte;
		any |= byte;
	}
	return (any != 0);
}

bool
trace_context_parse(struct trace_context *context, const char *text,
    size_t len)
{
	int version, flags;

	if (len < TRACEPARENT_LEN || text[TRACE_AT - 1] != '-' ||
	    text[SPAN_AT - 1] != '-' || text[FLAGS_AT - 1] != '-')
		return (false);
	version = hex_byte(text + VERSION_AT);
	flags = hex_byte(text + FLAGS_AT);
	if (version == -1 || version == VERSION_NONE || flags == -1)
		return (false);
	/* Later versions may append more, after another dash. */
	if (len > TRACEPARENT_LEN &&
	    (version == 0 || text[TRACEPARENT_LEN] != '-'))
		return (false);
	context->sampled = (flags & FLAG_SAMPLED) != 0;
	return (parse_id(context->trace, TRACE_ID_LEN, text + TRACE_AT) &&
	    parse_id(context->span, TRACE_SPAN_LEN, text + SPAN_AT));
}

void
trace_hex(char *text, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		*text++ = digits[bytes[i] >> 4];
		*text++ = digits[bytes[i] & 0xf];
	}
	*text = '\0';
}

void
trace_context_print(const struct trace_context *context,
    char text[TRACEPARENT_MAX])
{
	memcpy(text, "00-", TRACE_AT);
	trace_hex(text + TRACE_AT, context->trace, TRACE_ID_LEN);
	text[SPAN_AT - 1] = '-';
	trace_hex(text + SPAN_AT, context->span, TRACE_SPAN_LEN);
	memcpy(text + FLAGS_AT - 1, context->sampled ? "-01" : "-00", 4);
}
