/* SPDX-License-Identifier: ISC */
/*
 * The state of a master out of anything.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ctl.h"
#include "master/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What is printed in either version is taken again. */
static void
expect_taken_again(const struct state *state, unsigned version, size_t len)
{
	struct state again = { .server = NULL };
	char why[STATE_WHY_MAX] = "", *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert(out != NULL);
	assert(state_print(out, state, version) == 0 && fclose(out) == 0);
	/* Strings may come with escapes that they need not have. */
	assert(size <= len + 3 * len);
	if (state_parse(&again, text, size, why) == -1) {
		fprintf(stderr, "%s:\n%s", why, text);
		abort();
	}
	state_free(&again);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct state state = { .server = NULL };
	char why[STATE_WHY_MAX] = "", *copy;

	/* No longer than it is, so that a sanitizer sees who reads beyond. */
	copy = malloc(len > 0 ? len : 1);
	assert(copy != NULL);
	memcpy(copy, input, len);
	if (state_parse(&state, copy, len, why) == -1) {
		assert(*why != '\0' && memchr(why, '\0', sizeof(why)) != NULL);
	} else {
		expect_taken_again(&state, STATE_VERSION, len);
		/* As it is before such a state is written. */
		state.server->speaks = CTL_PREVIOUS;
		expect_taken_again(&state, STATE_PREVIOUS, len);
	}
	state_free(&state);
	free(copy);
	return (0);
}
