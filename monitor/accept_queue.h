/* SPDX-License-Identifier: ISC */
/*
 * How many clients wait in the kernel to be accepted: sock_diag(7).
 */
#ifndef MONITOR_ACCEPT_QUEUE_H
#define MONITOR_ACCEPT_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

struct accept_queue {
	uint64_t waiting;	/* in all sockets of the listener */
	uint64_t limit;
};

/* Read the queue of each listener of the configuration.  Returns false if the
 * kernel does not report it. */
bool accept_queues_read(const struct conf *,
    struct accept_queue queues[CONF_LISTENERS_MAX]);

#endif
