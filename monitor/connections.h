/* SPDX-License-Identifier: ISC */
/*
 * /connections: who is connected, from the tables that the workers keep.
 */
#ifndef MONITOR_CONNECTIONS_H
#define MONITOR_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/heritage.h"

enum {
	CONNECTIONS_LIMIT = 100,	/* unless another is asked for */
	CONNECTIONS_LIMIT_MAX = 100000,
	CONNECTIONS_SCHEMA = 1,
};

/* What is asked for. */
struct connections_query {
	const char *sort;		/* a name of connections_sorts */
	size_t limit;
	int listener;			/* its number; -1: all */
};

/* The names by which they can be sorted: "id" from the lowest, all others from
 * the highest; end with NULL. */
extern const char *const connections_sorts[];

/* Print them.  Returns -1 with errno set. */
int connections_print(FILE *, const struct heritage *,
    const struct connections_query *, uint64_t now_ms);

/* Whether there is one with that id. */
bool connections_have(const struct heritage *, uint64_t id);

#endif
