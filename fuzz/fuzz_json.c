/* SPDX-License-Identifier: ISC */
/*
 * What a server may send to penstockctl: JSON out of anything.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tools/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* A tree is as its header tells, and what asks it takes whatever it is. */
static void
check(const struct json_value *value, unsigned depth)
{
	bool is_group = value->type == JSON_ARRAY || value->type == JSON_OBJECT;

	assert(depth <= 64);
	assert(is_group == (value->text == NULL));
	assert(is_group || value->first == NULL);
	(void)json_u64(value);
	(void)json_double(value);
	(void)json_is_true(value);
	JSON_EACH(one, value) {
		assert((one->name != NULL) == (value->type == JSON_OBJECT));
		if (one->name != NULL)
			assert(json_get(value, one->name) != NULL);
		check(one, depth + 1);
	}
}

static char *
print(const struct json_value *value, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	assert(out != NULL);
	json_print(out, value);
	assert(fclose(out) == 0);
	return (text);
}

/* Print a value, which is freed, and read that. */
static struct json_value *
reread(struct json_value *value)
{
	size_t size;
	char *text = print(value, &size);
	struct json_value *again = json_read(text, size);

	assert(again != NULL);
	free(text);
	json_free(value);
	return (again);
}

/* What was read prints as what reads as the same; but the first time, bytes that
 * are not UTF-8 are replaced. */
int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct json_value *value;
	char *copy, *first, *second;
	size_t size;

	/* No longer than it is, so that a sanitizer sees who reads beyond. */
	copy = malloc(len > 0 ? len : 1);
	assert(copy != NULL);
	memcpy(copy, input, len);
	value = json_read(copy, len);
	free(copy);
	if (value == NULL)
		return (0);
	check(value, 0);
	value = reread(value);
	first = print(value, &size);
	value = reread(value);
	second = print(value, &size);
	assert(strcmp(first, second) == 0);
	free(first);
	free(second);
	json_free(value);
	return (0);
}
