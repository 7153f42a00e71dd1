/* SPDX-License-Identifier: ISC */
/*
 * What a command says of its reply, out of anything.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/reply_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What may stand in a header. */
static void
check(const struct reply_facts *facts)
{
	const char *end = memchr(facts->type, '\0', sizeof(facts->type));

	assert(facts->status == 0 ||
	    (facts->status >= 200 && facts->status <= 599));
	assert(end != NULL);
	for (const char *at = facts->type; at < end; at++)
		assert(*at >= ' ' && *at <= '~' && *at != '\\');
}

/* The same, said in the fewest words, is taken for the same. */
static void
say_again(const struct reply_facts *facts)
{
	char text[HTTP_NOTE_MAX + 64], status[32] = "", type[HTTP_NOTE_MAX + 32];
	struct reply_facts again;
	int len;

	if (facts->status != 0)
		snprintf(status, sizeof(status), "\"status\":%u",
		    facts->status);
	type[0] = '\0';
	if (*facts->type != '\0')
		snprintf(type, sizeof(type), "\"content_type\":\"%s\"",
		    facts->type);
	len = snprintf(text, sizeof(text), "{%s%s%s}", status,
	    *status != '\0' && *type != '\0' ? "," : "", type);
	assert(len > 0 && (size_t)len < sizeof(text));
	assert(reply_facts_read(&again, (const uint8_t *)text, (size_t)len) ==
	    0);
	assert(again.status == facts->status &&
	    strcmp(again.type, facts->type) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct reply_facts facts;
	uint8_t *copy;

	/* No longer than it is, so that a sanitizer sees who reads beyond. */
	copy = malloc(len > 0 ? len : 1);
	assert(copy != NULL);
	if (len > 0)
		memcpy(copy, input, len);
	if (reply_facts_read(&facts, copy, len) == 0) {
		check(&facts);
		say_again(&facts);
	}
	free(copy);
	return (0);
}
