/* SPDX-License-Identifier: ISC */
/*
 * The names of the numbers in shared memory.
 *
 * The monitor knows the names from its start.  A number can get another name
 * before the next monitor replaces this one; its counters must then not be
 * shown under the old name.
 */
#ifndef MONITOR_NAMES_H
#define MONITOR_NAMES_H

#include "common/heritage.h"

/* The name of a listener or handler; NULL if the number has another name now.
 * For counters, call this after reading them: then they belong to this name. */
const char *names_listener(const struct heritage *, size_t number);
const char *names_handler(const struct heritage *, size_t number);

#endif
