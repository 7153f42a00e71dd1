/* SPDX-License-Identifier: ISC */
/*
 * The status of the whole server: one memfd that only the master writes and the
 * monitor reads.  It outlives an upgrade in place.
 */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/counters.h"

enum {
	STATUS_VERSION = 2,
	STATUS_REPORTS = 16,		/* the last ones are kept */
	STATUS_WHY_MAX = 320,
	STATUS_PROCESSES = 1024,	/* further ones are only counted */
	STATUS_PATH_MAX = 1024,
	STATUS_BUILD_MAX = 32,
};

/* The state of the master; the name is used in the status. */
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

/* The states of a process, in their order. */
enum status_life {
	STATUS_BORN,			/* not ready yet */
	STATUS_READY,			/* not serving yet */
	STATUS_SERVING,
	STATUS_DRAINING,
	STATUS_ENDING,
	STATUS_LIVES
};

/* Why a serving worker had to be replaced. */
enum status_cause {
	STATUS_EXIT,			/* exited, with any status */
	STATUS_SIGNAL,			/* crashed, or killed from outside */
	STATUS_HUNG,			/* killed by the watchdog */
	STATUS_LATE,			/* did not carry out an order in time */
	STATUS_DISOWNED,		/* bad message, or orders not read */
	STATUS_CAUSES
};

struct status_process {
	int32_t pid;
	uint16_t role;			/* enum status_role */
	uint16_t life;			/* enum status_life */
	uint32_t slot;			/* of a worker */
	uint32_t block;			/* its block of the slot's counters */
	uint32_t handler;		/* of an executor: its number */
	uint32_t has_custody;		/* 1: a worker that would be rescued;
					   0 in previous programs */
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
	uint32_t processes;		/* used elements of process[] */
	uint32_t unlisted;		/* processes that do not fit there */
	struct status_process process[STATUS_PROCESSES];
};

/* Counters of the master.  Each is read with counter_get(), without a lock. */
struct status_counts {
	uint64_t deaths[CONF_WORKERS_MAX][STATUS_CAUSES];
	uint64_t executor_deaths[COUNTERS_HANDLERS];
	uint64_t monitor_deaths;
};

/* The order of a report; the name is used in the log. */
enum status_kind {
	STATUS_RELOAD,
	STATUS_UPGRADE,
	STATUS_ROLLBACK,
	STATUS_KINDS
};

enum status_result {
	STATUS_DONE,			/* the new generation is in effect */
	STATUS_REFUSED,			/* nothing has changed */
	STATUS_RESULTS
};

/* What became of the connections when a generation replaced another one.  Those
 * of held that no other field counts were closed by the server:
 * status_closed(). */
struct status_report {
	uint32_t kind;			/* enum status_kind */
	uint32_t result;		/* enum status_result */
	uint64_t generation;		/* in effect now */
	int64_t begun;			/* seconds since 1970 */
	uint64_t read_ms;		/* clock_ms() when the order began and
					   the configuration was read */
	uint64_t duration_ms;		/* to the exit of the last old worker */
	uint64_t held;			/* connections at the beginning */
	uint64_t carried;		/* of these: handed over, */
	uint64_t finished;		/* closed by their clients, */
	uint64_t cut;			/* cut by drain_timeout, */
	uint64_t lost;			/* and lost with their worker */
	uint64_t longest_us;		/* without an owner */
	uint32_t slots;			/* used elements of slot_ms[] */
	uint32_t slot_ms[CONF_WORKERS_MAX]; /* until the slot's old worker had
					   no connections */
	char why[STATUS_WHY_MAX];	/* reason of a refusal or roll-back */
};

struct status_map {
	uint32_t version;
	uint32_t seq;			/* odd while a report is written */
	uint64_t reports;		/* so far; number n is at
					   (n - 1) % STATUS_REPORTS */
	struct status_report report[STATUS_REPORTS];
	/* Sums over all reports so far: */
	uint64_t results[STATUS_KINDS][STATUS_RESULTS];
	int64_t last_done[STATUS_KINDS];	/* seconds since 1970; 0 */
	uint64_t held, carried, finished, cut, lost;

	struct status_counts counts;
	uint32_t now_seq;		/* odd while now is written */
	uint32_t pad;
	struct status_now now;
};

/* A process's mapping. */
struct status {
	int fd;				/* -1 in children */
	struct status_map *map;
};

/* Returns -1 with errno set. */
int status_new(struct status *);
/* Map an existing memfd, for reading, or for its one writer; EINVAL if it was
 * not made by status_new(). */
int status_open(struct status *, int fd, bool writable);
void status_free(struct status *);

/* Forbid this process to write to it. */
int status_seal(struct status *);

/* How many connections the server itself closed, such as for a timeout: in one
 * report, and in all. */
uint64_t status_closed(const struct status_report *);
uint64_t status_closed_of_all(const struct status_map *);

void status_add_report(struct status *, const struct status_report *);

/* Copy report number n, counted from 1.  Returns false if it is not kept any
 * more, or was written at that moment. */
bool status_get_report(const struct status *, uint64_t n,
    struct status_report *);

/* Write and read the current status.  status_get_now() returns false if it
 * could not get a consistent copy. */
void status_set_now(struct status *, const struct status_now *);
bool status_get_now(const struct status *, struct status_now *);

/* Count the death of a serving worker. */
void status_count_death(struct status *, unsigned slot, enum status_cause);

const char *status_state_name(uint32_t state);
const char *status_role_name(uint32_t role);
const char *status_life_name(uint32_t life);
const char *status_cause_name(uint32_t cause);
const char *status_kind_name(uint32_t kind);
const char *status_result_name(uint32_t result);

#endif
