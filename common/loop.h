/* SPDX-License-Identifier: ISC */
/*
 * The event loop of a process.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <event2/event.h>

/*
 * A base for one thread.  No environment variable may switch libevent's change
 * list on, which duplicated descriptors confuse: event_base_new_with_config().
 * Returns NULL if there is no memory for it.
 */
struct event_base *loop_new(void);

#endif
