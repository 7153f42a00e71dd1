/* SPDX-License-Identifier: ISC */
#include "common/clock.h"
#include "common/counters.h"
#include "tools/load/hold.h"
#include "tools/load/hold_inner.h"

enum {
	RETRY_MS = 20,		/* pause after a refused connect */
};

void
hold_leave_round(struct hold *hold, struct link *link)
{
	if (!hold->is_in_round || link->state != LINK_OPEN ||
	    link->round == hold->round)
		return;
	if (link->probed == hold->round)
		hold->probing--;
	link->round = hold->round;
	hold->unverified--;
}

void
hold_enqueue(struct hold *hold, struct link *link)
{
	link->state = LINK_DOWN;
	hold->queue[(hold->queue_first + hold->queued++) % hold->nlinks] =
	    link->index;
}

/* Take a link down, and up again where that is wanted. */
static void
take_down(struct hold *hold, struct link *link, bool again)
{
	if (link->state == LINK_CONNECTING)
		hold->connecting--;
	if (link->state == LINK_OPEN) {
		counter_sub(&hold->gear.report->open, 1);
		counter_sub(&hold->gear.report->kind[link->kind].open, 1);
	}
	hold_leave_round(hold, link);
	link_close(link);
	if (again && !hold->finishing)
		hold_enqueue(hold, link);
}

void
hold_finish_link(struct hold *hold, struct link *link)
{
	if (link->state == LINK_OPEN)
		counter_add(&hold->gear.report->finished, 1);
	take_down(hold, link, true);
}

void
hold_lose_link(struct hold *hold, struct link *link, uint64_t *why)
{
	counter_add(why, 1);
	counter_add(&hold->gear.report->lost, link->sent - link->replies.next);
	take_down(hold, link, hold->options.reconnect);
}

void
hold_fail_to_connect(struct hold *hold, struct link *link)
{
	hold->not_before_ms = clock_ms() + RETRY_MS;
	hold_lose_link(hold, link, &hold->gear.report->refused);
}

void
hold_connect_some(struct hold *hold)
{
	struct link *link;

	if (hold->queued == 0 || clock_ms() < hold->not_before_ms)
		return;
	while (hold->queued > 0 &&
	    hold->connecting < hold->options.connecting_max) {
		link = &hold->links[hold->queue[hold->queue_first]];
		hold->queue_first = (hold->queue_first + 1) % hold->nlinks;
		hold->queued--;
		hold->connecting++;
		link->conn = hold->next_conn++;
		counter_add(&hold->gear.report->numbered, 1);
		if (link_connect(link, &hold->gear,
		    &hold->route[link->kind]) == -1)
			hold_fail_to_connect(hold, link);
	}
}
