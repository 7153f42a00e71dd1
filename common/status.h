/* SPDX-License-Identifier: ISC */
/*
 * What the master tells of the server as a whole: one memfd, written by the
 * master alone and read by whoever shows it.  It outlives an upgrade in place.
 */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/counters.h"
#include "conf/conf.h"

enum {
	STATUS_VERSION = 2,
	STATUS_REPORTS = 16,		/* the last ones are kept */
	STATUS_WHY_MAX = 320,
	STATUS_PROCESSES = 1024,	/* more are not told */
	STATUS_PATH_MAX = 1024,
	STATUS_BUILD_MAX = 32,
};

/* What the master does; the name stands in the status. */
enum status_state {
	STATUS_STARTING,
	STATUS_RUNNING,
	STATUS_RELOADING,
	STATUS_STOPPING,
	STATUS_STATES
};

enum status_role {
	STATUS_MASTER,
	STATUS_WORKER,
	STATUS_EXECUTOR,
	STATUS_MONITOR,
	STATUS_ROLES
};

/* What a process does, in the order of life. */
enum status_life {
	STATUS_BORN,			/* not ready yet */
	STATUS_READY,			/* not serving yet */
	STATUS_SERVING,
	STATUS_DRAINING,
	STATUS_ENDING,
	STATUS_LIVES
};

/* Why a worker that served had to be replaced. */
enum status_cause {
	STATUS_EXIT,			/* of itself, in whatever order */
	STATUS_SIGNAL,			/* crashed, or was killed by others */
	STATUS_HUNG,			/* the watchdog */
	STATUS_LATE,			/* did not do in time what was due */
	STATUS_DISOWNED,		/* talked nonsense, or did not listen */
	STATUS_CAUSES
};

struct status_process {
	int32_t pid;
	uint16_t role;			/* enum status_role */
	uint16_t life;			/* enum status_life */
	uint32_t slot;			/* of a worker */
	uint32_t block;			/* its block of the slot's counters */
	uint32_t handler;		/* of an executor: its number */
	uint32_t pad;
	uint64_t generation;
	uint64_t born_ms;		/* clock_ms() */
};

/* The server as it is now. */
struct status_now {
	int32_t pid;
	uint32_t state;			/* enum status_state */
	int64_t started;		/* seconds since 1970 */
	uint64_t generation;
	uint32_t slots;			/* of that generation */
	uint32_t pad;
	int64_t conf_loaded;		/* seconds since 1970 */
	uint64_t conf_hash;		/* see struct conf */
	uint64_t probation_ms;		/* clock_ms() at its end; 0: none */
	char conf_path[STATUS_PATH_MAX];
	char build[STATUS_BUILD_MAX];	/* the version of the program */
	uint32_t processes;		/* of process[] */
	uint32_t unlisted;		/* and those that had no place there */
	struct status_process process[STATUS_PROCESSES];
};

/* Counters of the master's: each goes up alone, and is read with
 * counter_get(). */
struct status_counts {
	uint64_t deaths[CONF_WORKERS_MAX][STATUS_CAUSES];
	uint64_t executor_deaths[COUNTERS_HANDLERS];
	uint64_t monitor_deaths;
};

/* What a report is about; the name stands in the log. */
enum status_kind {
	STATUS_RELOAD,
	STATUS_UPGRADE,
	STATUS_ROLLBACK,
	STATUS_KINDS
};

enum status_result {
	STATUS_DONE,			/* the new generation holds */
	STATUS_REFUSED,			/* nothing has changed */
	STATUS_RESULTS
};

/* What became of everybody when a generation took the place of another.  What of
 * held is not among the rest was closed by the server: status_closed(). */
struct status_report {
	uint32_t kind;			/* enum status_kind */
	uint32_t result;		/* enum status_result */
	uint64_t generation;		/* that holds now */
	int64_t begun;			/* seconds since 1970 */
	uint64_t read_ms;		/* clock_ms(): when it was begun, and
					   the configuration read */
	uint64_t duration_ms;		/* to the exit of the last old worker */
	uint64_t held;			/* connections when it began to hold */
	uint64_t carried;		/* of these: handed over, */
	uint64_t finished;		/* closed by their clients, */
	uint64_t cut;			/* drain_timeout, */
	uint64_t lost;			/* and had a worker that died */
	uint64_t longest_us;		/* that one was without an owner */
	uint32_t slots;			/* of slot_ms[] */
	uint32_t slot_ms[CONF_WORKERS_MAX]; /* until the slot's old worker had
					   nothing left */
	char why[STATUS_WHY_MAX];	/* of what was refused or rolled back */
};

struct status_map {
	uint32_t version;
	uint32_t seq;			/* odd while a report is written */
	uint64_t reports;		/* that ever were; number n stands at
					   (n - 1) % STATUS_REPORTS */
	struct status_report report[STATUS_REPORTS];
	/* Of all reports that ever were: */
	uint64_t results[STATUS_KINDS][STATUS_RESULTS];
	int64_t last_done[STATUS_KINDS];	/* seconds since 1970; 0 */
	uint64_t held, carried, finished, cut, lost;

	struct status_counts counts;
	uint32_t now_seq;		/* odd while now is written */
	uint32_t pad;
	struct status_now now;
};

/* The mapping, as a process sees it. */
struct status {
	int fd;				/* -1 in children */
	struct status_map *map;
};

/* Returns -1 with errno set. */
int status_new(struct status *);
/* Map a memfd that is there already, for reading, or for its one writer; EINVAL
 * if it is not what status_new() makes. */
int status_open(struct status *, int fd, bool writable);
void status_free(struct status *);

/* Forbid this process to write to it. */
int status_seal(struct status *);

/* How many connections the server itself closed, for a timeout for example: of a
 * report, and of all of them. */
uint64_t status_closed(const struct status_report *);
uint64_t status_closed_of_all(const struct status_map *);

void status_add_report(struct status *, const struct status_report *);

/* Copy report number n, counted from 1.  Returns whether it is kept, and was
 * not written to meanwhile. */
bool status_get_report(const struct status *, uint64_t n,
    struct status_report *);

/* Say how the server is now, and read it.  status_get_now() returns false when
 * it could not be read whole. */
void status_set_now(struct status *, const struct status_now *);
bool status_get_now(const struct status *, struct status_now *);

/* A worker that served has died. */
void status_count_death(struct status *, unsigned slot, enum status_cause);

const char *status_state_name(uint32_t state);
const char *status_role_name(uint32_t role);
const char *status_life_name(uint32_t life);
const char *status_cause_name(uint32_t cause);
const char *status_kind_name(uint32_t kind);
const char *status_result_name(uint32_t result);

#endif
