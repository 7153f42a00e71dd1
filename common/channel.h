/* SPDX-License-Identifier: ISC */
/*
 * One end of the socket pair between the master and a child.
 *
 * Runs in both.  Owns its descriptor and its event.  Checks what comes in, and
 * passes complete, valid messages to the one dispatch function of each side.
 */
#ifndef COMMON_CHANNEL_H
#define COMMON_CHANNEL_H

#include <event2/event.h>

#include "common/ctl.h"

struct channel;

struct channel_callbacks {
	/* A valid message: fields that its version lacks are 0.  May free the
	 * channel. */
	void (*on_message)(struct ctl *, void *arg);
	/* The other end is gone (why is NULL), or sent an invalid message.  No
	 * callback follows.  The channel has to be freed; here, or later. */
	void (*on_end)(const char *why, void *arg);
};

/* A new pair of ends, close-on-exec and non-blocking.  Returns -1 with
 * errno. */
int channel_pair(int fds[2]);

/*
 * Listen on fd, which the channel owns from now on; on failure the caller still
 * owns it.  peer is the side at the other end, and speaks the version of both
 * directions.  Returns NULL with errno set.
 */
struct channel *channel_new(struct event_base *, int fd, enum ctl_sender peer,
    unsigned speaks, const struct channel_callbacks *, void *arg);
void channel_free(struct channel *);

/* Its descriptor, which it still owns. */
int channel_fd(const struct channel *);

/* The version of both directions. */
unsigned channel_speaks(const struct channel *);

/*
 * Change the version of both directions.  The other end sends the old one until
 * it has read this, and channel_speaks() returns the new one after that.
 * Called again until then: it asks again if there is no answer for some time.
 */
void channel_speak(struct channel *, unsigned version, uint64_t generation);

/* Pass on the messages that have come, without waiting for the loop's next
 * turn.  Returns whether there may be more. */
bool channel_catch_up(struct channel *);

/*
 * Send one message with its payload (NULL if the type has none) and a copy of
 * pass_fd (-1: none).  Fields that the other end's version lacks are left out.
 * Never blocks.
 *
 * If the other end has not read for long, or the kernel is short of memory or
 * descriptors, a message without a descriptor is kept in its order, and sent by
 * channel_flush().  A message with a descriptor is not kept: the sender has to
 * try again later.
 *
 * Returns -1 with errno set: EAGAIN for a descriptor that cannot be sent now,
 * or if too many messages are kept.
 */
int channel_send(struct channel *, enum ctl_type, uint64_t generation,
    const void *payload, int pass_fd);

/* channel_send() with copies of several descriptors; entries of -1 are left
 * out. */
int channel_send_fds(struct channel *, enum ctl_type, uint64_t generation,
    const void *payload, const int pass_fds[CTL_FDS_MAX]);

/* Send the messages that are kept.  Called with the tick of each process.
 * Returns -1 with errno set: EAGAIN if some are still kept. */
int channel_flush(struct channel *);
bool channel_has_unsent(const struct channel *);

/* Whether the other end has room for a message with a descriptor. */
bool channel_has_room(const struct channel *);

/* Send the messages that are kept, and wait for that at most ms milliseconds:
 * for a process that serves no client. */
void channel_linger(struct channel *, unsigned ms);

#endif
