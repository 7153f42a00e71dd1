/* SPDX-License-Identifier: ISC */
/*
 * The anchor of a worker: a process that keeps the worker's descriptors open
 * when the worker dies.
 *
 * It shares the table of descriptors and the custody memory with the worker, and
 * nothing else; the master is its parent.  It does nothing but wait for an order
 * of the master, who gives it when the worker is dead: the anchor then clones a
 * rescuer, which has the same table.  It ends with its channel.
 */
#ifndef WORKER_ANCHOR_H
#define WORKER_ANCHOR_H

#include <stdbool.h>

#include "common/ctl.h"

struct heritage;

/*
 * Clone an anchor, for a worker with a table of so many connections.  Call it
 * before anything is opened: what changes its number later is unknown to the
 * anchor.  Fills in what the master is to know of it.
 *
 * Returns false in the worker.  Returns true in a rescuer, much later: it has
 * another channel.
 */
bool anchor_start(struct heritage *, uint32_t places, struct ctl_cloned *);

#endif
