/* SPDX-License-Identifier: ISC */
/*
 * The event loop of a process.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <event2/event.h>

/*
 * A base for one thread.  It does not let an environment variable switch on
 * libevent's change list, which does not work with duplicated descriptors: see
 * event_base_new_with_config().  Returns NULL if there is no memory.
 */
struct event_base *loop_new(void);

#endif
