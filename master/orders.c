/* SPDX-License-Identifier: ISC */
/*
 * What the children say, and what the master then does: the one switch.
 */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

static void
on_ready(struct child *child)
{
	if (child->state != CHILD_STARTING) {
		child_disown(child, "it was READY before");
		return;
	}
	child->state = CHILD_READY;
	child->process.patience_ms = 0;
	LOG(INFO, WORKER_READY, F_I64("child", child->process.pid),
	    F_U64("child_slot", child->slot->number),
	    F_U64("child_gen", child->generation->number));
	child_on_complete(child);
}

static void
on_failed(struct child *child, const struct ctl_failed *failed)
{
	memcpy(child->why, failed->why, sizeof(child->why));
	child->why[sizeof(child->why) - 1] = '\0';
	LOG(ERROR, WORKER_FAILED, F_I64("child", child->process.pid),
	    F_U64("child_slot", child->slot->number),
	    F_U64("child_gen", child->generation->number),
	    F_STR("error", child->why));
}

static void
on_drained(struct child *child, const struct ctl_drained *drained)
{
	if (child->state < CHILD_DRAINING) {
		child_disown(child, "it was not to drain");
		return;
	}
	/* Also of one that is dead by now, or that we have killed. */
	child->drained = *drained;
	if (child->state == CHILD_ENDING)
		return;
	child->state = CHILD_ENDING;
	process_await(&child->process, MASTER_EXIT_MS, "exit after DRAINED");
}

void
master_dispatch(struct child *child, const struct ctl *msg)
{
	switch ((enum ctl_type)msg->header.type) {
	case CTL_READY:
		on_ready(child);
		return;
	case CTL_FAILED:
		on_failed(child, &msg->failed);
		return;
	case CTL_DRAINED:
		on_drained(child, &msg->drained);
		return;
	case CTL_DISOWN:
		crew_disown(child, &msg->disown);
		return;
	case CTL_RETIRE:
		crew_retire(child, &msg->disown);
		return;
	case CTL_GIVEN:
		succession_on_given(child, &msg->given);
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
	child_disown(child, ctl_name(msg->header.type));
}
