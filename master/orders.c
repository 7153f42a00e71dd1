/* SPDX-License-Identifier: ISC */
/*
 * What the children say, and what the master then does: the one switch.
 */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

static void
on_ready(struct worker_proc *worker)
{
	if (worker->state != WORKER_STARTING) {
		worker_proc_disown(worker, "it was READY before");
		return;
	}
	worker->state = WORKER_READY;
	worker->process.patience_ms = 0;
	LOG(INFO, WORKER_READY, F_I64("child", worker->process.pid),
	    F_U64("child_slot", worker->slot->number),
	    F_U64("child_gen", worker->generation->number));
	master_changed(worker->master);
}

static void
on_failed(struct worker_proc *worker, const struct ctl_failed *failed)
{
	memcpy(worker->why, failed->why, sizeof(worker->why));
	worker->why[sizeof(worker->why) - 1] = '\0';
	LOG(ERROR, WORKER_FAILED, F_I64("child", worker->process.pid),
	    F_U64("child_slot", worker->slot->number),
	    F_U64("child_gen", worker->generation->number),
	    F_STR("error", worker->why));
}

static void
on_drained(struct worker_proc *worker, const struct ctl_drained *drained)
{
	if (worker->state < WORKER_DRAINING) {
		worker_proc_disown(worker, "it was not to drain");
		return;
	}
	/* Also of one that is dead by now, or that we have killed. */
	worker->drained = *drained;
	if (worker->state >= WORKER_ENDING)
		return;
	worker->state = WORKER_ENDING;
	process_await(&worker->process, MASTER_EXIT_MS, "exit after DRAINED");
}

static void
on_given(struct worker_proc *worker, const struct ctl_given *given)
{
	uint64_t longest_us = worker->given.longest_us;

	worker->given.left = given->left;
	worker->given.longest_us = given->longest_us > longest_us ?
	    given->longest_us : longest_us;
	if (worker->passing > 0)
		worker->passing--;
	/* A shortage has ended it, perhaps. */
	if (given->ended && given->left > 0 && worker->passing == 0)
		worker->again_ms = clock_ms() + WORKER_RETRY_MS;
	if (worker->is_marked)
		worker->shared_us = given->longest_us;
	else if (worker->state == WORKER_SERVING)
		worker->master->shared += given->carried;
	master_changed(worker->master);
}

void
master_dispatch(struct worker_proc *worker, const struct ctl *msg)
{
	switch ((enum ctl_type)msg->header.type) {
	case CTL_READY:
		on_ready(worker);
		return;
	case CTL_FAILED:
		on_failed(worker, &msg->failed);
		return;
	case CTL_DRAINED:
		on_drained(worker, &msg->drained);
		return;
	case CTL_DISOWN:
		crew_disown(worker, &msg->disown);
		return;
	case CTL_RETIRE:
		crew_retire(worker, &msg->disown);
		return;
	case CTL_GIVEN:
		on_given(worker, &msg->given);
		return;
	case CTL_EXECUTOR:
	case CTL_DIED:
	case CTL_GIVE:
	case CTL_TAKE:
	case CTL_ACCESS_LOG:
	case CTL_START:
	case CTL_DRAIN:
	case CTL_STOP:
	case CTL_LOG:
	case CTL_CLOSE:
	case CTL_ASK_CLOSE:	/* the monitor's alone */
	case CTL_ASK_REBALANCE:
	case CTL_BEAT:
	case CTL_SPEAK:		/* the channel obeys */
	case CTL_SPEAKING:
	case CTL_NONE:
	case CTL_TYPE_COUNT:
		break;		/* ours to send, or nobody's */
	}
	/* A child that talks nonsense is replaced; it must never be able to
	 * take the master, and with it every other child, down. */
	worker_proc_disown(worker, ctl_name(msg->header.type));
}
