/* SPDX-License-Identifier: ISC */
#include "tools/load/hold.h"

#include <sys/epoll.h>

#include "common/clock.h"
#include "common/counters.h"
#include "tools/load/hold_inner.h"

enum {
	EVENTS_MAX = 256,
	PATROL_MS = 100,	/* how often to look at all */
};

/*
 * Events.
 */

static void
on_connected(struct hold *hold, struct link *link)
{
	struct hold_report *report = hold->gear.report;
	uint64_t took_ms = clock_ms() - link->since_ms;

	if (link_connected(link, &hold->gear) == -1) {
		hold_fail_to_connect(hold, link);
		return;
	}
	if (took_ms > report->slowest_connect_ms)
		counter_set(&report->slowest_connect_ms, took_ms);
	hold->connecting--;
	counter_add(&report->connected, 1);
	counter_add(&report->open, 1);
	counter_add(&report->kind[link->kind].open, 1);
	/* It came too late for the round. */
	link->round = hold->round;
	hold_begin(hold, link);
}

static void
hold_on_readable(struct hold *hold, struct link *link)
{
	uint32_t next = link->replies.next;
	uint64_t *end;

	if ((end = link_receive(link, &hold->gear)) != NULL)
		hold_lose_link(hold, link, end);
	else if (link->replies.next != next && link_in_flight(link) == 0)
		hold_rest(hold, link);
}

static void
hold_on_event(struct hold *hold, const struct epoll_event *event)
{
	struct link *link = &hold->links[event->data.u32];

	if (link->state == LINK_CONNECTING) {
		on_connected(hold, link);
		return;
	}
	if (link->state == LINK_OPEN && (event->events & EPOLLOUT) != 0)
		link_send(link, &hold->gear);
	if (link->state == LINK_OPEN &&
	    (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		hold_on_readable(hold, link);
}

/*
 * The whole.
 */

/* Give up on what has waited for too long; flush what has been held back for
 * long enough. */
static void
patrol(struct hold *hold)
{
	const struct hold_options *options = &hold->options;
	uint64_t now_ms = clock_ms(), waited_ms;
	struct link *link;

	if (now_ms < hold->patrol_ms)
		return;
	hold->patrol_ms = now_ms + PATROL_MS;
	for (unsigned i = 0; i < hold->nlinks; i++) {
		link = &hold->links[i];
		waited_ms = now_ms - link->since_ms;
		if (link_waits(link) && waited_ms > options->patience_ms)
			hold_lose_link(hold, link, &hold->gear.report->hung);
		else if (hold_is_held_back(link) && options->flush_ms > 0 &&
		    waited_ms > options->flush_ms)
			hold_flush_link(hold, link);
	}
}

static void
note_whether_done(struct hold *hold)
{
	counter_set(&hold->gear.report->is_done,
	    hold->gear.report->open == 0 && hold->connecting == 0 &&
	    hold->queued == 0);
}

void
hold_turn(struct hold *hold, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	hold_connect_some(hold);
	hold_keep_pace(hold);
	hold_begin_probes(hold);
	n = epoll_wait(hold->gear.epoll, events, EVENTS_MAX,
	    hold_pause_ms(hold, timeout_ms));
	for (int i = 0; i < n; i++)
		hold_on_event(hold, &events[i]);
	patrol(hold);
	hold_end_round_if_done(hold);
	note_whether_done(hold);
}

void
hold_measure_anew(struct hold *hold)
{
	struct hold_report *report = hold->gear.report;

	for (int kind = 0; kind < HOLD_KINDS; kind++)
		latency_clear(&report->kind[kind].latency);
	counter_set(&report->slowest_us, 0);
	counter_set(&report->slowest_connect_ms, 0);
	counter_add(&report->resets, 1);
}

void
hold_finish(struct hold *hold)
{
	struct link *link;

	hold->finishing = true;
	hold->is_in_round = false;
	hold->queued = 0;
	for (unsigned i = 0; i < hold->nlinks; i++) {
		link = &hold->links[i];
		if (link->state == LINK_CONNECTING)
			hold_finish_link(hold, link);
		hold_flush_link(hold, link);
		if (link->state == LINK_OPEN && link_in_flight(link) == 0)
			hold_finish_link(hold, link);
	}
	note_whether_done(hold);
}

bool
hold_is_finishing(const struct hold *hold)
{
	return (hold->finishing);
}
