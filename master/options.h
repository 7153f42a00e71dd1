/* SPDX-License-Identifier: ISC */
/*
 * The command line.
 */
#ifndef MASTER_OPTIONS_H
#define MASTER_OPTIONS_H

#include <stdbool.h>

/* Tests build a program that has another one. */
#ifndef PENSTOCK_VERSION
#define PENSTOCK_VERSION PACKAGE_VERSION
#endif

/* How the program ends; penstock(8) tells the same. */
enum exit_status {
	EXIT_FINE = 0,
	EXIT_FAILED = 1,	/* could not start, or could not go on */
	EXIT_USAGE = 2,		/* the command line is wrong */
	EXIT_CONF = 3,		/* the configuration is wrong */
	EXIT_NOT_RUNNING = 4,	/* -s: no master is running */
};

struct options {
	const char *conf_path;
	bool test;		/* -t */
	bool print;		/* -T */
	bool daemonize;		/* -D */
	int signal;		/* -s; 0: none */
};

/* Read the command line.  Returns -1 to go on, or the exit status: for
 * mistakes, which it has reported, and for options that only print
 * something. */
int options_parse(struct options *, int argc, char *argv[]);

#endif
