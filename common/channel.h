/* SPDX-License-Identifier: ISC */
/*
 * One end of the socket pair between the master and a child.
 *
 * Runs in both.  Owns its descriptor and its event.  Checks what comes in and
 * hands on whole, valid messages; what they mean is the business of the one
 * switch on each side.
 */
#ifndef COMMON_CHANNEL_H
#define COMMON_CHANNEL_H

#include <event2/event.h>

#include "common/ctl.h"

struct channel;

struct channel_callbacks {
	/* A valid message: what its version lacks of the payload is 0.  May
	 * free the channel. */
	void (*on_message)(struct ctl *, void *arg);
	/* The other end is gone (why is NULL), or talks nonsense.  No callback
	 * follows; the channel is still to be freed, which may happen here. */
	void (*on_end)(const char *why, void *arg);
};

/* A new pair of ends, close-on-exec and non-blocking.  Returns -1 with
 * errno. */
int channel_pair(int fds[2]);

/*
 * Listen on fd, which the channel owns from here on; on failure it is still the
 * caller's.  peer says who is at the other end, and speaks in which version that
 * one is understood and written to.  Returns NULL with errno set.
 */
struct channel *channel_new(struct event_base *, int fd, enum ctl_sender peer,
    unsigned speaks, const struct channel_callbacks *, void *arg);
void channel_free(struct channel *);

/* Its descriptor, which stays its own. */
int channel_fd(const struct channel *);

/* The version in which both ends send. */
unsigned channel_speaks(const struct channel *);

/*
 * Have both ends send in that version.  The other end goes on in its own until
 * it has read this, so that channel_speaks() says when it holds.  Called again
 * if that takes long.
 */
void channel_speak(struct channel *, unsigned version, uint64_t generation);

/* Hand on what has come already, without waiting for the loop's next turn.
 * Returns whether there may be more. */
bool channel_catch_up(struct channel *);

/*
 * Send one message with its payload (NULL where the type has none) and a copy
 * of pass_fd (-1: none).  What the other end's version does not have is left out.
 * Never blocks.
 *
 * While the other end has not read for long, or the kernel is short of memory or
 * descriptors, a message without a descriptor is kept, in its order, and sent
 * by channel_flush().  A message with a descriptor is not kept: the sender tries
 * again later.
 *
 * Returns -1 with errno set: EAGAIN for a descriptor that cannot be sent now, or
 * for a message when no more are kept.
 */
int channel_send(struct channel *, enum ctl_type, uint64_t generation,
    const void *payload, int pass_fd);

/* The same, with copies of several descriptors; an entry that is -1 is left
 * out. */
int channel_send_fds(struct channel *, enum ctl_type, uint64_t generation,
    const void *payload, const int pass_fds[CTL_FDS_MAX]);

/* Send what was kept.  Called with the tick of each process.  Returns -1 with
 * errno set: EAGAIN if a part is still kept. */
int channel_flush(struct channel *);
bool channel_has_unsent(const struct channel *);

/* Whether a descriptor would be sent now, as far as the other end is
 * concerned. */
bool channel_has_room(const struct channel *);

/* Send what was kept, and wait for at most that many milliseconds until this is
 * possible: for a process that serves nobody. */
void channel_linger(struct channel *, unsigned ms);

#endif
