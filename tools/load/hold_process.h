/* SPDX-License-Identifier: ISC */
/*
 * Holds in processes of their own, which end with the process that started
 * them.
 *
 * options.processes of them share the connections and the rate.  If there is a
 * source address, each process uses the next one, so that neither descriptors
 * nor ports run out.
 */
#ifndef TOOLS_LOAD_HOLD_PROCESS_H
#define TOOLS_LOAD_HOLD_PROCESS_H

#include "tools/load/hold.h"

struct hold_process;

/* NULL with errno set. */
struct hold_process *hold_start(const struct hold_options *);
/* The counts at this moment; valid until hold_drop(). */
const struct hold_report *hold_peek(struct hold_process *);
/* Change options.rate.  A pause is a rate of 0. */
void hold_set_rate(struct hold_process *, double rate);
/* Order a hold_flush() there. */
void hold_order_flush(struct hold_process *);
/* Order a hold_measure_anew() there, and wait for it.  Later times are then not
 * affected by the load of ten thousand connects. */
void hold_remeasure(struct hold_process *);
/* When all messages in flight are answered, exchange one more message on each
 * open connection, and wait for that.  report->verified is the number of
 * connections that answered.  Kinds that hold back begin again then.  If this
 * takes longer than three times the patience, report->rounds does not
 * change. */
const struct hold_report *hold_verify(struct hold_process *);
/* Order a hold_finish() there, and wait for its end.  The report is final, and
 * counts processes that crashed. */
const struct hold_report *hold_stop(struct hold_process *);
/* End the processes at once, and free all. */
void hold_drop(struct hold_process *);

#endif
