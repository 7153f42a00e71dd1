/* SPDX-License-Identifier: ISC */
#include "common/counters.h"
#include "tools/load/hold.h"
#include "tools/load/hold_inner.h"

enum {
	PROBING_MAX = 256,	/* at a time */
};

static void
probe(struct hold *hold, struct link *link)
{
	link->probed = hold->round;
	hold->probing++;
	hold_issue(hold, link, 1, LINK_NO_LIMIT);
}

/* Probe those that are at rest already, a few at a time. */
void
hold_begin_probes(struct hold *hold)
{
	struct link *link;

	while (hold->is_in_round && hold->probe_next < hold->nlinks &&
	    hold->probing < PROBING_MAX) {
		link = &hold->links[hold->probe_next++];
		if (link->state == LINK_OPEN && link->round != hold->round &&
		    link_in_flight(link) == 0)
			probe(hold, link);
	}
}

/* A link has come to rest in a round. */
static void
prove(struct hold *hold, struct link *link)
{
	if (link->probed == hold->round) {
		counter_add(&hold->gear.report->verified, 1);
		hold_leave_round(hold, link);
	} else if (link->index < hold->probe_next)
		probe(hold, link);
}

/* A link has all its answers. */
void
hold_rest(struct hold *hold, struct link *link)
{
	unsigned churn = hold->options.churn;

	if (hold->is_in_round)
		prove(hold, link);
	else if (hold->finishing ||
	    (churn > 0 && link->replies.next >= churn))
		hold_finish_link(hold, link);
	else
		hold_begin(hold, link);
}

void
hold_begin_round(struct hold *hold)
{
	counter_set(&hold->gear.report->verified, 0);
	hold->round++;
	hold->is_in_round = true;
	hold->unverified = hold->probing = hold->probe_next = 0;
	for (unsigned i = 0; i < hold->nlinks; i++)
		if (hold->links[i].state == LINK_OPEN)
			hold->unverified++;
	for (unsigned i = 0; i < hold->nlinks; i++)
		hold_flush_link(hold, &hold->links[i]);
}

static void
end_round(struct hold *hold)
{
	hold->is_in_round = false;
	counter_add(&hold->gear.report->rounds, 1);
	for (unsigned i = 0; i < hold->nlinks; i++)
		if (hold->links[i].state == LINK_OPEN &&
		    link_in_flight(&hold->links[i]) == 0)
			hold_rest(hold, &hold->links[i]);
}

void
hold_end_round_if_done(struct hold *hold)
{
	if (hold->is_in_round && hold->unverified == 0)
		end_round(hold);
}
