/* SPDX-License-Identifier: ISC */
/*
 * Holds in processes of their own, that end with the one that started them.
 *
 * options.processes of them share the connections and the rate; each has the
 * source address after that of the one before it, if there is one at all, so
 * that neither descriptors nor ports run out.
 */
#ifndef TOOLS_LOAD_HOLD_PROCESS_H
#define TOOLS_LOAD_HOLD_PROCESS_H

#include "tools/load/hold.h"

struct hold_process;

/* NULL with errno set. */
struct hold_process *hold_start(const struct hold_options *);
/* What it has counted so far, as of this call; valid until hold_drop(). */
const struct hold_report *hold_peek(struct hold_process *);
/* Change options.rate.  A pause is a rate of 0. */
void hold_set_rate(struct hold_process *, double rate);
/* hold_flush() there, soon. */
void hold_order_flush(struct hold_process *);
/* hold_measure_anew() there, and wait for it.  What comes after, as to how long
 * it takes, does not suffer from the rush of ten thousand connects. */
void hold_remeasure(struct hold_process *);
/* Have each connection that stands exchange one message more, when what is
 * under way has been answered, and wait for that.  report->verified tells how
 * many did.  What was held back is begun anew then.  If
 * that takes longer than three times the patience, report->rounds stays as it
 * was. */
const struct hold_report *hold_verify(struct hold_process *);
/* hold_finish() there, and wait for its end.  The report is final, and tells if
 * a process did not end as it should. */
const struct hold_report *hold_stop(struct hold_process *);
/* End it as it is, and forget it. */
void hold_drop(struct hold_process *);

#endif
