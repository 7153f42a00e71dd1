/* SPDX-License-Identifier: ISC */
/*
 * The command line of penstock-bench.
 */
#ifndef TOOLS_BENCH_BENCH_OPTIONS_H
#define TOOLS_BENCH_BENCH_OPTIONS_H

#include <sys/types.h>

#include <stdbool.h>

#include "tools/load/hold.h"

struct bench_options {
	struct hold_options hold;
	const char *address;		/* as given */
	double rate;			/* 0: as fast as the replies come */
	double seconds, warmup_seconds;
	double idle_seconds;		/* between two messages of a connection
					 * that is held; 0: not holding */
	pid_t pid;			/* of the server to measure; 0: none */
	bool is_json, is_quiet;
};

/* Ends the process if the options are wrong, or for --help. */
void bench_options_read(struct bench_options *, int argc, char **argv);

const char *bench_wire_name(enum message_wire);

#endif
