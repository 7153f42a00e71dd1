/* SPDX-License-Identifier: ISC */
/*
 * Reads /proc for the processes of the server.
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
	bool fds_known;		/* false without permission to look */
};

/* Returns false if there is no such process. */
bool process_stat_read(struct process_stat *, pid_t);

#endif
