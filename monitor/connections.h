/* SPDX-License-Identifier: ISC */
/*
 * /connections: the open connections, from the tables of the workers.
 */
#ifndef MONITOR_CONNECTIONS_H
#define MONITOR_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/heritage.h"

enum {
	CONNECTIONS_LIMIT = 100,	/* default */
	CONNECTIONS_LIMIT_MAX = 100000,
	CONNECTIONS_SCHEMA = 1,
};

/* The parameters of a request. */
struct connections_query {
	int sort;			/* see connections_find_sort() */
	size_t limit;
	int listener;			/* its number; -1: all */
};

/* The sort key with a name, or -1: "id" is lowest first, all others are highest
 * first. */
int connections_find_sort(const char *name);

/* Print the connections.  Returns -1 with errno set. */
int connections_print(FILE *, const struct heritage *,
    const struct connections_query *, uint64_t now_ms);

/* Whether there is a connection with that id. */
bool connections_have(const struct heritage *, uint64_t id);

#endif
