/* SPDX-License-Identifier: ISC */
#include "conf/conf_alloc.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = _Alignof(max_align_t) };

static struct {
	char *bytes;
	size_t used;
	size_t end;			/* from there on there is scratch */
	void (*give_up)(enum conf_outcome);
} region;

void
conf_alloc_begin(void *bytes, size_t size,
    void (*give_up)(enum conf_outcome))
{
	region.bytes = bytes;
	region.used = 0;
	region.end = size / ALIGN * ALIGN;
	region.give_up = give_up;
}

size_t
conf_alloc_used(void)
{
	return (region.used);
}

static void
alloc_give_up(enum conf_outcome outcome)
{
	if (region.give_up != NULL)
		region.give_up(outcome);
	abort();
}

/* The bytes of n elements, rounded up. */
static size_t
alloc_size(size_t n, size_t size)
{
	size_t room = region.end - region.used;

	if (size > 0 && n > room / size)
		alloc_give_up(CONF_NO_ROOM);
	return ((n * size + ALIGN - 1) / ALIGN * ALIGN);
}

void *
conf_alloc(size_t n, size_t size)
{
	size_t begin = region.used;

	region.used += alloc_size(n, size);
	return (region.bytes + begin);
}

void *
conf_alloc_scratch(size_t n, size_t size)
{
	region.end -= alloc_size(n, size);
	return (region.bytes + region.end);
}

char *
conf_copy_up_to(const char *text, size_t max)
{
	size_t len = strnlen(text, max);

	return (memcpy(conf_alloc(len + 1, 1), text, len));
}

char *
conf_copy(const char *text)
{
	return (conf_copy_up_to(text, strlen(text)));
}

void *
conf_must(void *memory)
{
	if (memory == NULL)
		alloc_give_up(CONF_NO_MEMORY);
	return (memory);
}
