/* SPDX-License-Identifier: ISC */
/*
 * The orders of the master, and what a worker then does: the one switch.
 */
#ifndef WORKER_ORDERS_H
#define WORKER_ORDERS_H

struct ctl;
struct worker;

/* Act on one message of the master's.  Its sender and length already hold. */
void orders_obey(struct worker *, struct ctl *);

#endif
