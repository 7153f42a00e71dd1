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
	int sort;			/* see connections_find_sort() */
	size_t limit;
	int listener;			/* its number; -1: all */
};

/* The order of that name: by "id" from the lowest, by all others from the
 * highest; or -1. */
int connections_find_sort(const char *name);

/* Print them.  Returns -1 with errno set. */
int connections_print(FILE *, const struct heritage *,
    const struct connections_query *, uint64_t now_ms);

/* Whether there is one with that id. */
bool connections_have(const struct heritage *, uint64_t id);

#endif
