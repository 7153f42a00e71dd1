/* SPDX-License-Identifier: ISC */
/*
 * The files of a hold share this.  Calls go down this list: hold_make.c creates
 * and frees a hold, hold.c has the loop and the events of links, hold_round.c
 * the rounds of verification, hold_kinds.c what each kind does and when,
 * hold_links.c how links connect and end.
 */
#ifndef TOOLS_LOAD_HOLD_INNER_H
#define TOOLS_LOAD_HOLD_INNER_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/load/hold.h"
#include "tools/load/link.h"

enum {
	STREAM_WINDOW = 256,	/* most messages in flight */
};

struct hold {
	struct hold_options options;
	struct link_gear gear;		/* owned, except the report */
	struct link_route route[HOLD_KINDS];
	unsigned burst[HOLD_KINDS];	/* messages issued at a time */
	struct link *links;		/* one kind after the other */
	unsigned nlinks;
	unsigned nturns;		/* the first links, which take turns */
	unsigned first_stream;
	uint64_t *left_us;		/* of all links */

	/* Links to connect, as a ring; one is in it at most once. */
	unsigned *queue;
	unsigned queue_first, queued;
	unsigned connecting;
	uint64_t not_before_ms;		/* no connects until then */
	uint32_t next_conn;

	unsigned turn, stride;		/* the link that sends next */
	uint64_t rate_since_us;
	uint64_t rate_issued;
	uint64_t streamed_us;		/* until when streams got bytes */

	/* A round of verification, see hold_round.c; idle links are probed in
	 * their order, busy ones when they become idle. */
	uint32_t round;
	bool is_in_round;
	unsigned unverified;
	unsigned probe_next, probing;

	uint64_t patrol_ms;
	bool finishing;
};

/* hold_kinds.c: let an open link that waits for nothing do what its kind
 * does. */
void hold_begin(struct hold *, struct link *);
/* Let a link send n more messages, but at most may_send bytes. */
void hold_issue(struct hold *, struct link *, uint32_t n, uint64_t may_send);
/* Let a link send and read all that it holds back. */
void hold_flush_link(struct hold *, struct link *);
/* Whether a link waits for hold_flush_link(). */
bool hold_is_held_back(const struct link *);
/* Send what is due by now. */
void hold_keep_pace(struct hold *);
/* The longest wait for events with which all is sent in time. */
int hold_pause_ms(const struct hold *, int timeout_ms);

/* hold_round.c: a link has all its answers; a turn of the loop. */
void hold_rest(struct hold *, struct link *);
void hold_begin_probes(struct hold *);
void hold_end_round_if_done(struct hold *);

/* hold_links.c: put a link into the queue to connect, and connect those that
 * are first in it. */
void hold_enqueue(struct hold *, struct link *);
void hold_connect_some(struct hold *);
void hold_fail_to_connect(struct hold *, struct link *);
/* Close a link as planned, whether it is connected already or not. */
void hold_finish_link(struct hold *, struct link *);
/* A link ended in another way; why is the counter of that way. */
void hold_lose_link(struct hold *, struct link *, uint64_t *why);
/* The round does not wait for this link any more: it has answered, or ends. */
void hold_leave_round(struct hold *, struct link *);

#endif
