/* SPDX-License-Identifier: ISC */
/*
 * Reply metadata: any bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/why.h"
#include "worker/reply_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct why why;

/* Each line of them has a name, and none has another end than the next line's
 * beginning. */
static void
check_fields(const struct http_fields *fields)
{
	unsigned lines = 0;

	assert(fields->len <= sizeof(fields->bytes));
	assert(http_fields_are_sound(fields->bytes, fields->len));
	for (size_t i = 0; i < fields->len; i++) {
		unsigned char c = (unsigned char)fields->bytes[i];

		if (c == '\r') {
			assert(i + 4 < fields->len);
			assert(fields->bytes[++i] == '\n');
			assert(strchr(" \t:", fields->bytes[i + 1]) == NULL);
			lines++;
		} else
			assert((c >= ' ' && c != 0x7f) || c == '\t');
	}
	assert(lines == fields->count);
}

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
	check_fields(&facts->fields);
}

/* The same metadata is remembered, and taken for the same afresh. */
static void
read_again(const struct reply_facts *facts, const uint8_t *bytes, size_t len)
{
	struct reply_facts again = *facts, afresh = { .status = 0 };

	assert(reply_facts_read(&again, bytes, len, &why) == REPLY_TAKEN);
	assert(memcmp(&again, facts, sizeof(again)) == 0);
	assert(reply_facts_read(&afresh, bytes, len, &why) == REPLY_TAKEN);
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
	if (reply_facts_read(&facts, copy, len, &why) == REPLY_TAKEN) {
		check(&facts);
		read_again(&facts, copy, len);
	} else
		assert(*why.text != '\0' &&
		    memchr(why.text, '\0', sizeof(why)) != NULL);
	free(copy);
	return (0);
}
