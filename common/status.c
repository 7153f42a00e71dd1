/* SPDX-License-Identifier: ISC */
#include "common/status.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	/* The writer is done in microseconds: a reader that fails so often
	 * reads what nobody writes. */
	NOW_TRIES = 1000,
};

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

int
status_seal(struct status *status)
{
	char path[32];
	void *map;
	int fd;

	/* As counters_seal(). */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", status->fd);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (-1);
	map = mmap(status->map, sizeof(*status->map), PROT_READ,
	    MAP_SHARED | MAP_FIXED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return (-1);
	status->map = map;
	return (0);
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

/* Report numbers are added up under the same seq as the report is written. */
static void
add_up(struct status_map *map, const struct status_report *report)
{
	if (report->kind >= STATUS_KINDS || report->result >= STATUS_RESULTS)
		return;
	counter_add(&map->results[report->kind][report->result], 1);
	counter_add(&map->held, report->held);
	counter_add(&map->carried, report->carried);
	counter_add(&map->finished, report->finished);
	counter_add(&map->cut, report->cut);
	counter_add(&map->lost, report->lost);
	if (report->result == STATUS_DONE)
		__atomic_store_n(&map->last_done[report->kind],
		    (int64_t)time(NULL), __ATOMIC_RELAXED);
}

static uint64_t
rest(uint64_t held, uint64_t known)
{
	return (held > known ? held - known : 0);
}

uint64_t
status_closed(const struct status_report *report)
{
	return (rest(report->held, report->carried + report->finished +
	    report->cut + report->lost));
}

uint64_t
status_closed_of_all(const struct status_map *map)
{
	return (rest(counter_get(&map->held), counter_get(&map->carried) +
	    counter_get(&map->finished) + counter_get(&map->cut) +
	    counter_get(&map->lost)));
}

void
status_add_report(struct status *status, const struct status_report *report)
{
	struct status_map *map = status->map;
	uint64_t n = map->reports + 1;

	__atomic_store_n(&map->seq, map->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*place_of(status, n) = *report;
	add_up(map, report);
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

/* What is used of a struct status_now. */
static size_t
length_of(const struct status_now *now)
{
	uint32_t n = now->processes < STATUS_PROCESSES ? now->processes :
	    STATUS_PROCESSES;

	return (offsetof(struct status_now, process) +
	    n * sizeof(now->process[0]));
}

void
status_set_now(struct status *status, const struct status_now *now)
{
	struct status_map *map = status->map;

	__atomic_store_n(&map->now_seq, map->now_seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(&map->now, now, length_of(now));
	__atomic_store_n(&map->now_seq, map->now_seq + 1, __ATOMIC_RELEASE);
}

static bool
copy_now(const struct status_map *map, struct status_now *now)
{
	uint32_t seq = __atomic_load_n(&map->now_seq, __ATOMIC_ACQUIRE);

	memcpy(now, &map->now, offsetof(struct status_now, process));
	memcpy(now->process, map->now.process, length_of(now) -
	    offsetof(struct status_now, process));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return (seq % 2 == 0 && seq > 0 &&
	    __atomic_load_n(&map->now_seq, __ATOMIC_RELAXED) == seq);
}

bool
status_get_now(const struct status *status, struct status_now *now)
{
	for (int i = 0; i < NOW_TRIES; i++) {
		if (!copy_now(status->map, now))
			continue;
		now->conf_path[STATUS_PATH_MAX - 1] = '\0';
		now->build[STATUS_BUILD_MAX - 1] = '\0';
		if (now->processes > STATUS_PROCESSES)
			now->processes = STATUS_PROCESSES;
		return (true);
	}
	return (false);
}

void
status_count_death(struct status *status, unsigned slot,
    enum status_cause cause)
{
	counter_add(&status->map->counts.deaths[slot][cause], 1);
}

const char *
status_state_name(uint32_t state)
{
	static const char *const names[STATUS_STATES] = {
		[STATUS_STARTING] = "starting",
		[STATUS_RUNNING] = "running",
		[STATUS_RELOADING] = "reloading",
		[STATUS_STOPPING] = "stopping",
	};

	return (state < STATUS_STATES ? names[state] : "unknown");
}

const char *
status_role_name(uint32_t role)
{
	static const char *const names[STATUS_ROLES] = {
		[STATUS_MASTER] = "master",
		[STATUS_WORKER] = "worker",
		[STATUS_EXECUTOR] = "executor",
		[STATUS_MONITOR] = "monitor",
	};

	return (role < STATUS_ROLES ? names[role] : "unknown");
}

const char *
status_life_name(uint32_t life)
{
	static const char *const names[STATUS_LIVES] = {
		[STATUS_BORN] = "starting",
		[STATUS_READY] = "ready",
		[STATUS_SERVING] = "serving",
		[STATUS_DRAINING] = "draining",
		[STATUS_ENDING] = "ending",
	};

	return (life < STATUS_LIVES ? names[life] : "unknown");
}

const char *
status_cause_name(uint32_t cause)
{
	static const char *const names[STATUS_CAUSES] = {
		[STATUS_EXIT] = "exit",
		[STATUS_SIGNAL] = "signal",
		[STATUS_HUNG] = "hung",
		[STATUS_LATE] = "late",
		[STATUS_DISOWNED] = "disowned",
	};

	return (cause < STATUS_CAUSES ? names[cause] : "unknown");
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
