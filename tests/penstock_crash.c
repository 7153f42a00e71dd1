/* SPDX-License-Identifier: ISC */
/*
 * For a penstock whose workers begin to serve, and crash soon after.
 */
#include <sys/time.h>

#include "worker/worker.h"

void __real_worker_dispatch(struct worker *, struct ctl *);
void __wrap_worker_dispatch(struct worker *, struct ctl *);

void
__wrap_worker_dispatch(struct worker *worker, struct ctl *msg)
{
	static const struct itimerval soon = { .it_value.tv_usec = 100000 };

	/* Nobody handles SIGALRM. */
	if (msg->header.type == CTL_START)
		setitimer(ITIMER_REAL, &soon, NULL);
	__real_worker_dispatch(worker, msg);
}
