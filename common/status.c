/* SPDX-License-Identifier: ISC */
#include "common/status.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int
map_it(struct status *status, bool writable)
{
	status->map = mmap(NULL, sizeof(*status->map),
	    writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
	    status->fd, 0);
	return (status->map == MAP_FAILED ? -1 : 0);
}

int
status_new(struct status *status)
{
	int saved;

	status->fd = memfd_create("penstock-status",
	    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (status->fd == -1)
		return (-1);
	if (ftruncate(status->fd, sizeof(*status->map)) == -1 ||
	    fcntl(status->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == -1 ||
	    map_it(status, true) == -1) {
		saved = errno;
		close(status->fd);
		errno = saved;
		return (-1);
	}
	status->map->version = STATUS_VERSION;
	return (0);
}

int
status_open(struct status *status, int fd, bool writable)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return (-1);
	if ((size_t)st.st_size != sizeof(*status->map)) {
		errno = EINVAL;
		return (-1);
	}
	status->fd = fd;
	if (map_it(status, writable) == -1)
		return (-1);
	if (status->map->version == STATUS_VERSION)
		return (0);
	munmap(status->map, sizeof(*status->map));
	errno = EINVAL;
	return (-1);
}

void
status_free(struct status *status)
{
	if (status->map == NULL)
		return;
	munmap(status->map, sizeof(*status->map));
	if (status->fd != -1)
		close(status->fd);
	*status = (struct status){ .fd = -1 };
}

static struct status_report *
place_of(const struct status *status, uint64_t n)
{
	return (&status->map->report[(n - 1) % STATUS_REPORTS]);
}

void
status_add_report(struct status *status, const struct status_report *report)
{
	struct status_map *map = status->map;
	uint64_t n = map->reports + 1;

	__atomic_store_n(&map->seq, map->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*place_of(status, n) = *report;
	__atomic_store_n(&map->reports, n, __ATOMIC_RELAXED);
	__atomic_store_n(&map->seq, map->seq + 1, __ATOMIC_RELEASE);
}

bool
status_get_report(const struct status *status, uint64_t n,
    struct status_report *report)
{
	const struct status_map *map = status->map;
	uint32_t seq = __atomic_load_n(&map->seq, __ATOMIC_ACQUIRE);
	uint64_t reports = __atomic_load_n(&map->reports, __ATOMIC_RELAXED);

	if (seq % 2 == 1 || n == 0 || n > reports ||
	    reports - n >= STATUS_REPORTS)
		return (false);
	*report = *place_of(status, n);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	report->why[STATUS_WHY_MAX - 1] = '\0';
	return (__atomic_load_n(&map->seq, __ATOMIC_RELAXED) == seq);
}

const char *
status_kind_name(uint32_t kind)
{
	static const char *const names[STATUS_KINDS] = {
		[STATUS_RELOAD] = "reload",
		[STATUS_UPGRADE] = "upgrade",
		[STATUS_ROLLBACK] = "rollback",
	};

	return (kind < STATUS_KINDS ? names[kind] : "unknown");
}

const char *
status_result_name(uint32_t result)
{
	static const char *const names[STATUS_RESULTS] = {
		[STATUS_DONE] = "done",
		[STATUS_REFUSED] = "refused",
	};

	return (result < STATUS_RESULTS ? names[result] : "unknown");
}
