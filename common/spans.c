/* SPDX-License-Identifier: ISC */
#include "common/spans.h"

#include "common/shared.h"

int
spans_new(struct spans_taken *taken)
{
	taken->map = shared_new("penstock-spans", sizeof(*taken->map),
	    SPANS_VERSION, &taken->fd);
	return (taken->map == NULL ? -1 : 0);
}

int
spans_open(struct spans_taken *taken, int fd)
{
	taken->map = shared_open(fd, sizeof(*taken->map), SPANS_VERSION, true);
	taken->fd = taken->map == NULL ? -1 : fd;
	return (taken->map == NULL ? -1 : 0);
}

void
spans_free(struct spans_taken *taken)
{
	shared_free(taken->fd, taken->map, sizeof(*taken->map));
	*taken = (struct spans_taken){ .fd = -1 };
}

int
spans_seal(struct spans_taken *taken)
{
	return (shared_seal(taken->fd, taken->map, sizeof(*taken->map)));
}

bool
spans_put(struct spans *spans, const uint64_t *taken, const struct span *span)
{
	uint64_t head = spans->head;

	uint64_t read = __atomic_load_n(taken, __ATOMIC_ACQUIRE);

	/* A reader that claims to be ahead of us has read all. */
	if (read < head && head - read >= SPANS_MAX)
		return (false);
	spans->span[head % SPANS_MAX] = *span;
	__atomic_store_n(&spans->head, head + 1, __ATOMIC_RELEASE);
	return (true);
}

bool
spans_get(const struct spans *spans, uint64_t n, struct span *span)
{
	uint64_t head = __atomic_load_n(&spans->head, __ATOMIC_ACQUIRE);

	if (n >= head || head - n > SPANS_MAX)
		return (false);
	*span = spans->span[n % SPANS_MAX];
	span->request[SPAN_REQUEST_MAX - 1] = '\0';
	return (true);
}

const char *
span_result_name(uint8_t result)
{
	static const char *const names[] = {
#define SPAN_RESULT_NAME(id, name) [SPAN_##id] = name,
		SPAN_RESULTS(SPAN_RESULT_NAME)
#undef SPAN_RESULT_NAME
	};

	return (result < SPAN_RESULT_COUNT ? names[result] : "unknown");
}
