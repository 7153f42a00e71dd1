/* SPDX-License-Identifier: ISC */
/*
 * Have a process of penstock-next die when it passes a point of common/fault.h.
 *
 * The file "points" in the directory of the server, which has to be there when
 * the program is executed, is memory that the test and all its processes share.
 */
#ifndef TESTS_LIB_POINTS_H
#define TESTS_LIB_POINTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	POINT_NAME_MAX = 32,
	POINT_PIDS = 8,
	POINTS = 2,		/* at a time */
};

/* What happens there, if it is no signal. */
enum {
	POINT_HANG = 1000,
	POINT_EXIT,		/* with status 1 */
};

struct point {
	char name[POINT_NAME_MAX];	/* "": none */
	char text[POINT_NAME_MAX];	/* of those that come with a text */
	uint32_t how;			/* a signal, or one of the above */
	uint32_t nth;			/* the pass that is the first one to
					   die, */
	uint32_t kills;			/* and how many do */
	uint32_t passes;		/* so far, of all processes */
	uint32_t killed;		/* of these */
	int32_t pid[POINT_PIDS];	/* the first ones */
};

struct server;

/* POINTS of them, before the server is started.  Valid as long as the test. */
struct point *points_map(struct server *);

/* Let the nth one to pass from now on die, and so many in all; with no name,
 * none. */
void points_arm(struct point *, const char *name, int how, unsigned nth,
    unsigned kills);

/* How many have. */
unsigned points_killed(const struct point *);

#endif
