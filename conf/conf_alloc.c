/* SPDX-License-Identifier: ISC */
#include "conf/conf_alloc.h"

#include <stdlib.h>
#include <string.h>

static struct {
	char *bytes;
	size_t size, used;
	void (*end)(enum conf_outcome);
} region;

static struct block {
	struct block *next;
	max_align_t bytes[];
} *blocks;

void
conf_alloc_begin(void *bytes, size_t size, void (*end)(enum conf_outcome))
{
	struct block *next;

	region.bytes = bytes;
	region.size = size;
	region.used = 0;
	region.end = end;
	for (; blocks != NULL; blocks = next) {
		next = blocks->next;
		free(blocks);
	}
}

size_t
conf_alloc_used(void)
{
	return (region.used);
}

static void __attribute__((noreturn))
alloc_give_up(enum conf_outcome outcome)
{
	if (region.end != NULL)
		region.end(outcome);
	abort();
}

void *
conf_alloc(size_t n, size_t size)
{
	size_t align = _Alignof(max_align_t);
	size_t begin = (region.used + align - 1) / align * align;

	if (begin > region.size ||
	    (size > 0 && n > (region.size - begin) / size))
		alloc_give_up(CONF_NO_ROOM);
	region.used = begin + n * size;
	return (region.bytes + begin);
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

void *
conf_alloc_scratch(size_t size)
{
	struct block *block = conf_must(malloc(sizeof(*block) + size));

	block->next = blocks;
	blocks = block;
	return (block->bytes);
}
