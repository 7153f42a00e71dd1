/* SPDX-License-Identifier: ISC */
/*
 * The state of a master out of anything.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ctl.h"
#include "common/why.h"
#include "master/state.h"
#include "tests/lib/masters.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What is printed in either version is taken again. */
static void
expect_taken_again(const struct master *master, unsigned version, size_t len)
{
	static struct master again;
	struct why why = { "" };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert(out != NULL);
	assert(state_write(out, master, version) == 0 && fclose(out) == 0);
	/* Strings may come with escapes that they need not have. */
	assert(size <= len + 3 * len);
	master_init(&again);
	if (state_parse(&again, text, size, &why) == -1) {
		fprintf(stderr, "%s:\n%s", why.text, text);
		abort();
	}
	drop_master(&again);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	static struct master master;
	struct why why = { "" };
	char *copy;

	/* No longer than it is, so that a sanitizer sees who reads beyond. */
	copy = malloc(len > 0 ? len : 1);
	assert(copy != NULL);
	memcpy(copy, input, len);
	master_init(&master);
	if (state_parse(&master, copy, len, &why) == -1) {
		assert(*why.text != '\0' &&
		    memchr(why.text, '\0', sizeof(why)) != NULL);
	} else {
		expect_taken_again(&master, STATE_VERSION, len);
		/* As it is before such a state is written. */
		master.upgrade.speaks = CTL_PREVIOUS;
		expect_taken_again(&master, STATE_PREVIOUS, len);
	}
	drop_master(&master);
	free(copy);
	return (0);
}
