/* SPDX-License-Identifier: ISC */
/*
 * The resources of a server: the CPU time and memory of a process and all its
 * descendants, from /proc.
 */
#ifndef TOOLS_BENCH_SERVER_USE_H
#define TOOLS_BENCH_SERVER_USE_H

#include <sys/types.h>

#include <stdint.h>

struct server_use {
	unsigned processes;
	/* In user and kernel mode, with children that have ended. */
	uint64_t cpu_us;
	/* Proportional set size: shared memory is divided between its
	 * processes.  0 if it may not be read. */
	uint64_t pss_kib;
};

/* Returns -1 with errno set if there is no such process. */
int server_use_read(pid_t, struct server_use *);

#endif
