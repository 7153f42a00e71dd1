/* SPDX-License-Identifier: ISC */
#include "common/status.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#include "common/shared.h"

int
status_new(struct status *status)
{
	status->map = shared_new("penstock-status", sizeof(*status->map),
	    STATUS_VERSION, &status->fd);
	return (status->map == NULL ? -1 : 0);
}

int
status_open(struct status *status, int fd, bool writable)
{
	status->map = shared_open(fd, sizeof(*status->map), STATUS_VERSION,
	    writable);
	status->fd = status->map == NULL ? -1 : fd;
	return (status->map == NULL ? -1 : 0);
}

int
status_seal(struct status *status)
{
	return (shared_seal(status->fd, status->map, sizeof(*status->map)));
}

void
status_free(struct status *status)
{
	shared_free(status->fd, status->map, sizeof(*status->map));
	*status = (struct status){ .fd = -1 };
}

static struct status_report *
status_place_of(const struct status *status, uint64_t n)
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

	seqlock_write_begin(&map->seq);
	*status_place_of(status, n) = *report;
	add_up(map, report);
	__atomic_store_n(&map->reports, n, __ATOMIC_RELAXED);
	seqlock_write_end(&map->seq);
}

bool
status_get_report(const struct status *status, uint64_t n,
    struct status_report *report)
{
	const struct status_map *map = status->map;

	for (int i = 0; i < SEQLOCK_TRIES; i++) {
		uint32_t seq = seqlock_read_begin(&map->seq);
		uint64_t reports = counter_get(&map->reports);

		if (n == 0 || n > reports || reports - n >= STATUS_REPORTS)
			return (false);
		*report = *status_place_of(status, n);
		report->why[STATUS_WHY_MAX - 1] = '\0';
		if (seqlock_read_end(&map->seq, seq))
			return (true);
	}
	return (false);
}

/* What is used of a struct status_now. */
static size_t
status_length_of(const struct status_now *now)
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

	seqlock_write_begin(&map->now_seq);
	memcpy(&map->now, now, status_length_of(now));
	seqlock_write_end(&map->now_seq);
}

static bool
copy_now(const struct status_map *map, struct status_now *now)
{
	uint32_t seq = seqlock_read_begin(&map->now_seq);

	memcpy(now, &map->now, offsetof(struct status_now, process));
	memcpy(now->process, map->now.process, status_length_of(now) -
	    offsetof(struct status_now, process));
	/* At 0 it has not been written yet. */
	return (seqlock_read_end(&map->now_seq, seq) && seq > 0);
}

bool
status_get_now(const struct status *status, struct status_now *now)
{
	for (int i = 0; i < SEQLOCK_TRIES; i++) {
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

/*
 * Names.  A value may come from another program: see struct status_map.
 */

#define NAMES(function, count, ...)					\
	const char *							\
	function(uint32_t value)					\
	{								\
		static const char *const names[count] = { __VA_ARGS__ };	\
									\
		return (value < (count) ? names[value] : "unknown");	\
	}

NAMES(status_state_name, STATUS_STATES,
    [STATUS_STARTING] = "starting", [STATUS_RUNNING] = "running",
    [STATUS_RELOADING] = "reloading", [STATUS_STOPPING] = "stopping")
NAMES(status_role_name, STATUS_ROLES,
    [STATUS_MASTER] = "master", [STATUS_WORKER] = "worker",
    [STATUS_EXECUTOR] = "executor", [STATUS_MONITOR] = "monitor")
NAMES(status_life_name, STATUS_LIVES,
    [STATUS_BORN] = "starting", [STATUS_READY] = "ready",
    [STATUS_SERVING] = "serving", [STATUS_DRAINING] = "draining",
    [STATUS_ENDING] = "ending")
NAMES(status_cause_name, STATUS_CAUSES,
    [STATUS_EXIT] = "exit", [STATUS_SIGNAL] = "signal", [STATUS_HUNG] = "hung",
    [STATUS_LATE] = "late", [STATUS_DISOWNED] = "disowned")
NAMES(status_kind_name, STATUS_KINDS,
    [STATUS_RELOAD] = "reload", [STATUS_UPGRADE] = "upgrade",
    [STATUS_ROLLBACK] = "rollback")
NAMES(status_result_name, STATUS_RESULTS,
    [STATUS_DONE] = "done", [STATUS_REFUSED] = "refused")
