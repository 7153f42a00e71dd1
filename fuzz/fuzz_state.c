/* SPDX-License-Identifier: ISC */
/*
 * The state of a master out of anything.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "master/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What is taken is what would have been printed. */
int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct state state = { .server = NULL };
	char why[STATE_WHY_MAX] = "", *text = NULL, *copy;
	size_t size;
	FILE *out;

	/* No longer than it is, so that a sanitizer sees who reads beyond. */
	copy = malloc(len > 0 ? len : 1);
	assert(copy != NULL);
	memcpy(copy, input, len);
	if (state_parse(&state, copy, len, why) == -1) {
		assert(*why != '\0' && memchr(why, '\0', sizeof(why)) != NULL);
	} else {
		out = open_memstream(&text, &size);
		assert(out != NULL);
		assert(state_print(out, &state) == 0 && fclose(out) == 0);
		/* Strings may come with escapes that they need not have. */
		assert(size <= len + 3 * len);
		state_free(&state);
		assert(state_parse(&state, text, size, why) == 0);
		free(text);
	}
	state_free(&state);
	free(copy);
	return (0);
}
