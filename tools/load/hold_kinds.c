/* SPDX-License-Identifier: ISC */
#include "common/clock.h"
#include "common/counters.h"
#include "tools/load/hold.h"
#include "tools/load/hold_inner.h"

enum {
	STREAM_CHUNK = 200,	/* bytes worth a system call */
};

static bool
at_full_speed(const struct hold *hold)
{
	return (hold->options.rate < 0);
}

/*
 * What links do, by kind.
 */

void
hold_issue(struct hold *hold, struct link *link, uint32_t n, uint64_t may_send)
{
	link->issued += n;
	link->may_send = may_send;
	if (n > 0)
		link->since_ms = clock_ms();
	link_send(link, &hold->gear);
}

/* Let a link that takes turns send its burst.  Returns how many messages that
 * are. */
static uint32_t
issue_burst(struct hold *hold, struct link *link)
{
	unsigned n = hold->burst[link->kind], churn = hold->options.churn;

	if (hold->finishing || hold->is_in_round || link->state != LINK_OPEN ||
	    link_in_flight(link) > 0)
		return (0);
	if (churn > 0 && link->issued + n > churn)
		n = churn > link->issued ? churn - link->issued : 0;
	hold_issue(hold, link, n, LINK_NO_LIMIT);
	return (n);
}

/* Send a part of a message, one byte more than the last time; different links
 * begin at different places. */
static void
begin_split(struct hold *hold, struct link *link)
{
	struct message_id id = { link->conn, link->issued };
	size_t len = message_length(&hold->gear.form[HOLD_SPLIT], id);

	if (link->cut == 0)
		link->cut = link->index;
	link->cut = link->cut % (len - 1) + 1;
	hold_issue(hold, link, 1, link->cut);
}

static void
begin_deaf(struct hold *hold, struct link *link)
{
	link_set_deaf(link, &hold->gear, true);
	hold_issue(hold, link, hold->burst[HOLD_DEAF], LINK_NO_LIMIT);
}

/* Let a link that is free send the first burst that it owes. */
static void
issue_owed(struct hold *hold, struct link *link)
{
	const struct hold_options *options = &hold->options;
	uint64_t due_us = link->due_us;

	if (link->owed == 0)
		return;
	link->intended_us = due_us;
	if (issue_burst(hold, link) == 0)
		return;
	link->owed--;
	link->due_us = due_us + (uint64_t)(1e6 * hold->nturns *
	    hold->burst[link->kind] / options->rate);
}

/* A link stands and has nothing to wait for. */
void
hold_begin(struct hold *hold, struct link *link)
{
	if (hold->finishing || hold->is_in_round)
		return;
	switch (link->kind) {
	case HOLD_ECHO:
	case HOLD_PIPELINE:
	case HOLD_SLOW:
		if (at_full_speed(hold))
			issue_burst(hold, link);
		else if (hold->options.is_scheduled)
			issue_owed(hold, link);
		return;
	case HOLD_SPLIT:
		begin_split(hold, link);
		return;
	case HOLD_DEAF:
		begin_deaf(hold, link);
		return;
	case HOLD_STREAM:
		link->may_send = 0;
		return;
	case HOLD_KINDS:
		return;
	}
}

/* Let a link send and read whatever it holds back. */
void
hold_flush_link(struct hold *hold, struct link *link)
{
	if (link->state != LINK_OPEN)
		return;
	link_set_deaf(link, &hold->gear, false);
	hold_issue(hold, link, 0, LINK_NO_LIMIT);
}

void
hold_flush(struct hold *hold)
{
	for (unsigned i = hold->nturns; i < hold->first_stream; i++)
		hold_flush_link(hold, &hold->links[i]);
}

bool
hold_is_held_back(const struct link *link)
{
	return (link->state == LINK_OPEN && (link->is_deaf ||
	    (link->kind == HOLD_SPLIT && link->may_send == 0)));
}

/*
 * Pace.
 */

/* Let as many links send as the rate demands by now. */
static void
issue_at_rate(struct hold *hold)
{
	double elapsed_s = (double)(clock_us() - hold->rate_since_us) / 1e6;
	double due = elapsed_s * hold->options.rate -
	    (double)hold->rate_issued;
	uint32_t n;

	for (unsigned asked = 0; due >= 1 && asked < hold->nturns; asked++) {
		n = issue_burst(hold, &hold->links[hold->turn]);
		hold->turn = (hold->turn + hold->stride) % hold->nturns;
		hold->rate_issued += n;
		due -= n;
	}
	/* Messages that no connection was free to send are not sent later. */
	if (due >= 1)
		hold->rate_issued += (uint64_t)due;
}

/* When the next burst is due. */
static uint64_t
next_due_us(const struct hold *hold)
{
	return (hold->rate_since_us + (uint64_t)(1e6 *
	    (double)hold->rate_issued / hold->options.rate));
}

/* Let all links send that are due, or owe a burst. */
static void
issue_on_schedule(struct hold *hold)
{
	uint64_t now_us = clock_us(), due_us;
	struct link *link;

	while (hold->nturns > 0 && (due_us = next_due_us(hold)) <= now_us) {
		link = &hold->links[hold->turn];
		hold->turn = (hold->turn + hold->stride) % hold->nturns;
		hold->rate_issued += hold->burst[link->kind];
		if (link->owed++ == 0)
			link->due_us = due_us;
		issue_owed(hold, link);
	}
}

int
hold_pause_ms(const struct hold *hold, int timeout_ms)
{
	uint64_t now_us, due_us;

	if (hold->options.rate <= 0)
		return (timeout_ms);
	if (!hold->options.is_scheduled)
		return (1);
	now_us = clock_us();
	due_us = next_due_us(hold);
	if (due_us <= now_us)
		return (0);
	/* The last millisecond is not slept through: to be woken takes its
	 * time. */
	due_us = (due_us - now_us) / 1000;
	return (due_us < (uint64_t)timeout_ms ? (int)due_us : timeout_ms);
}

void
hold_change_rate(struct hold *hold, double rate)
{
	hold->options.rate = rate;
	hold->rate_since_us = clock_us();
	hold->rate_issued = 0;
	for (unsigned i = 0; i < hold->nturns; i++)
		hold->links[i].owed = 0;
	for (unsigned i = 0; rate < 0 && i < hold->nturns; i++)
		issue_burst(hold, &hold->links[i]);
}

/* Let a stream send that many bytes, of as many messages as needed. */
static void
grant(struct hold *hold, struct link *link, uint64_t bytes)
{
	uint32_t room = STREAM_WINDOW - (link->sent - link->replies.next);
	uint64_t n = (link->may_send + bytes) / MESSAGE_SIZE_MIN + 1;

	/* Held up by the server, it does not make up for it later. */
	if (link->state != LINK_OPEN || link->may_send > LINK_SCRATCH)
		return;
	if (n > room)
		n = room;
	if (link->issued < link->sent + n)
		link->issued = link->sent + (uint32_t)n;
	hold_issue(hold, link, 0, link->may_send + bytes);
}

static void
feed_streams(struct hold *hold)
{
	uint64_t elapsed_us, bytes;

	if (hold->first_stream == hold->nlinks)
		return;
	elapsed_us = clock_us() - hold->streamed_us;
	bytes = elapsed_us * hold->options.stream_bytes_s / 1000000;
	if (bytes < STREAM_CHUNK)
		return;
	hold->streamed_us += elapsed_us;
	if (hold->is_in_round || hold->finishing)
		return;
	for (unsigned i = hold->first_stream; i < hold->nlinks; i++)
		grant(hold, &hold->links[i], bytes);
}

void
hold_keep_pace(struct hold *hold)
{
	if (hold->options.rate > 0 && hold->options.is_scheduled)
		issue_on_schedule(hold);
	else if (hold->options.rate > 0)
		issue_at_rate(hold);
	feed_streams(hold);
}
