/* SPDX-License-Identifier: ISC */
/*
 * From signals to orders: one table.
 *
 * The master keeps every signal of the table blocked from its start on and
 * reads them from a descriptor, so that none is lost, none interrupts anything,
 * and none meets a child that has not yet become one.
 */
#ifndef MASTER_SIGNALS_H
#define MASTER_SIGNALS_H

#include <event2/event.h>
#include <stdio.h>

enum order {
	ORDER_STOP,		/* the second one: now */
	ORDER_STOP_NOW,
	ORDER_RELOAD,
	ORDER_REOPEN,
	ORDER_UPGRADE,
	ORDER_REBALANCE,
	ORDER_REAP,		/* the kernel's: a child has ended */
};

struct signals {
	struct event *event;		/* owned, and with it the descriptor */
	void (*on_order)(enum order, void *arg);
	void *arg;
};

/* Block the signals that the master answers to. */
void signals_block(void);

/* In a child that becomes another program: all signals act as usual. */
void signals_default_in_child(void);

/* In a child: leave orders to the master, and let everything else act as
 * usual. */
void signals_reset_in_child(void);

/* Have the orders carried out from now on.  Returns -1 with errno set. */
int signals_start(struct signals *, struct event_base *);
void signals_stop(struct signals *);

/* The signal for a name of -s, or 0; and the names, as a list in a line. */
int signals_find(const char *name);
void signals_print_names(FILE *);

#endif
