/* SPDX-License-Identifier: ISC */
/*
 * How a child died, and how long to wait before the next one.
 */
#ifndef MASTER_PAUSE_H
#define MASTER_PAUSE_H

#include <stdint.h>

enum {
	/* A child that lived so long did not die of its start. */
	PAUSE_YOUNG_MS = 10000,
	PAUSE_HOW_MAX = 96,
};

/* Milliseconds before the next try: none after the first death of a young
 * child, then more and more, up to 10 seconds. */
uint64_t pause_after(unsigned young_deaths);

/* What waitpid(2) says, in words. */
const char *describe_death(int status, char how[PAUSE_HOW_MAX]);

#endif
