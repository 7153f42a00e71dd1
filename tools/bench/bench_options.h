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
					 * that is held; 0: it is not about
					 * that */
	pid_t pid;			/* 0: nobody's use is looked at */
	bool is_json, is_quiet;
};

/* Ends the process if something is wrong with the words, or help is asked
 * for. */
void bench_options_read(struct bench_options *, int argc, char **argv);

const char *bench_wire_name(enum message_wire);

#endif
