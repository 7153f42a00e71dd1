/* SPDX-License-Identifier: ISC */
/*
 * What a server takes of its machine: the CPU time and the memory of a process
 * and all below it, as /proc has them.
 */
#ifndef TOOLS_BENCH_SERVER_USE_H
#define TOOLS_BENCH_SERVER_USE_H

#include <sys/types.h>

#include <stdint.h>

struct server_use {
	unsigned processes;
	/* In user and kernel mode; with that of children that have ended. */
	uint64_t cpu_us;
	/* Proportional set size: what is shared counts in parts.  0 if it may
	 * not be read. */
	uint64_t pss_kib;
};

/* Returns -1 with errno set if there is no such process. */
int server_use_read(pid_t, struct server_use *);

#endif
