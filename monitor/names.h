/* SPDX-License-Identifier: ISC */
/*
 * What a number in shared memory means.
 *
 * The monitor knows the names that there were when it was started.  A number can
 * be given to another name meanwhile, until another monitor takes over that knows
 * it: what stands under that number then is not to be told under the old name.
 */
#ifndef MONITOR_NAMES_H
#define MONITOR_NAMES_H

#include "common/heritage.h"

/* The name of a listener or handler; NULL if the number is not one that we know.
 * For counters, ask after they were read: they are this name's then. */
const char *names_listener(const struct heritage *, size_t number);
const char *names_handler(const struct heritage *, size_t number);

#endif
