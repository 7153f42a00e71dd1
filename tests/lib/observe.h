/* SPDX-License-Identifier: ISC */
/*
 * The counters of a running server, read from outside through the memfds that
 * its master holds.
 *
 * Runs in whoever looks: tests, tools.  Owns its mappings, which stay readable
 * when the server has ended.
 */
#ifndef TESTS_LIB_OBSERVE_H
#define TESTS_LIB_OBSERVE_H

#include <sys/types.h>

#include <stdbool.h>

#include "common/counters.h"
#include "conf/conf.h"

struct observer {
	struct counters slot[CONF_WORKERS_MAX];	/* map NULL: no such slot */
	unsigned nslots;			/* highest slot, plus 1 */
};

/* Map the counters of every slot that a master has by now.  Returns -1 with
 * errno set; what is mapped then is to be closed nevertheless. */
int observe_open(struct observer *, pid_t master);
void observe_close(struct observer *);

/* One listener by its number in struct counters_block, or all of them; summed
 * up over slots and blocks.  peak is the sum of the peaks. */
enum { OBSERVE_ALL = COUNTERS_LISTENERS };
struct counters_listener observe_listener(const struct observer *,
    unsigned number);

/* The same for one slot. */
struct counters_listener observe_slot(const struct observer *, unsigned slot,
    unsigned number);

/* Gauges summed up; buffered_peak is the largest of any worker, beat_ms the
 * latest beat. */
struct counters_worker observe_workers(const struct observer *);

/* Records of connections in use. */
unsigned observe_records(const struct observer *);

/* accepted == active + all that were closed, on each listener of each block. */
bool observe_adds_up(const struct observer *);

#endif
