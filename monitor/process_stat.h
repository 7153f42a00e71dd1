/* SPDX-License-Identifier: ISC */
/*
 * What /proc tells of the server's processes.
 */
#ifndef MONITOR_PROCESS_STAT_H
#define MONITOR_PROCESS_STAT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

struct process_stat {
	uint64_t cpu_us;
	uint64_t resident_bytes;
	uint64_t threads;
	uint64_t fds;
	bool fds_known;		/* we may not look at everybody's */
};

/* Returns false if there is no such process. */
bool process_stat_read(struct process_stat *, pid_t);

#endif
