/* SPDX-License-Identifier: ISC */
#include "common/spans.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int
map_it(struct spans_taken *taken)
{
	taken->map = mmap(NULL, sizeof(*taken->map), PROT_READ | PROT_WRITE,
	    MAP_SHARED, taken->fd, 0);
	return (taken->map == MAP_FAILED ? -1 : 0);
}

int
spans_new(struct spans_taken *taken)
{
	int saved;

	taken->fd = memfd_create("penstock-spans",
	    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (taken->fd == -1)
		return (-1);
	if (ftruncate(taken->fd, sizeof(*taken->map)) == -1 ||
	    fcntl(taken->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == -1 ||
	    map_it(taken) == -1) {
		saved = errno;
		close(taken->fd);
		*taken = (struct spans_taken){ .fd = -1 };
		errno = saved;
		return (-1);
	}
	taken->map->version = SPANS_VERSION;
	return (0);
}

int
spans_open(struct spans_taken *taken, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return (-1);
	if ((size_t)st.st_size != sizeof(*taken->map)) {
		errno = EINVAL;
		return (-1);
	}
	taken->fd = fd;
	if (map_it(taken) == -1)
		return (-1);
	if (taken->map->version == SPANS_VERSION)
		return (0);
	munmap(taken->map, sizeof(*taken->map));
	errno = EINVAL;
	return (-1);
}

void
spans_free(struct spans_taken *taken)
{
	if (taken->map == NULL)
		return;
	munmap(taken->map, sizeof(*taken->map));
	if (taken->fd != -1)
		close(taken->fd);
	*taken = (struct spans_taken){ .fd = -1 };
}

int
spans_seal(struct spans_taken *taken)
{
	char path[32];
	void *map;
	int fd;

	/* As counters_seal(). */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", taken->fd);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (-1);
	map = mmap(taken->map, sizeof(*taken->map), PROT_READ,
	    MAP_SHARED | MAP_FIXED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return (-1);
	taken->map = map;
	return (0);
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
