/* SPDX-License-Identifier: ISC */
/*
 * Reply metadata: any bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "worker/reply_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static char why[REPLY_WHY_MAX];

/* What may stand in a header. */
static void
check(const struct reply_facts *facts)
{
	const char *end = memchr(facts->type, '\0', sizeof(facts->type));

	assert(facts->status == 0 ||
	    (facts->status >= 200 && facts->status <= 599));
	assert(end != NULL);
	for (const char *at = facts->type; at < end; at++)
		assert(*at >= ' ' && *at <= '~');
}

/* The same metadata is remembered, and taken for the same afresh. */
static void
read_again(const struct reply_facts *facts, const uint8_t *bytes, size_t len)
{
	struct reply_facts again = *facts, afresh = { .status = 0 };

	assert(reply_facts_read(&again, bytes, len, why) == 0);
	assert(memcmp(&again, facts, sizeof(again)) == 0);
	assert(reply_facts_read(&afresh, bytes, len, why) == 0);
	assert(memcmp(&afresh, facts, sizeof(afresh)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct reply_facts facts = { .status = 0 };
	uint8_t *copy;

	/* No longer than it is, so that a sanitizer sees who reads beyond. */
	copy = malloc(len > 0 ? len : 1);
	assert(copy != NULL);
	if (len > 0)
		memcpy(copy, input, len);
	if (reply_facts_read(&facts, copy, len, why) == 0) {
		check(&facts);
		read_again(&facts, copy, len);
	} else
		assert(*why != '\0' && memchr(why, '\0', sizeof(why)) != NULL);
	free(copy);
	return (0);
}
