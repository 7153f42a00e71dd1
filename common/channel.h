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
	/* A valid message.  May free the channel. */
	void (*on_message)(struct ctl *, void *arg);
	/* The other end is gone (why is NULL), or talks nonsense.  No callback
	 * follows; the channel is still to be freed, which may happen here. */
	void (*on_end)(const char *why, void *arg);
};

/* A new pair of ends, close-on-exec and non-blocking.  Returns -1 with
 * errno. */
int channel_pair(int fds[2]);

/*
 * Listen on fd, which the channel owns from here on, also on failure.  peer
 * says who is at the other end.  Returns NULL with errno set.
 */
struct channel *channel_new(struct event_base *, int fd, enum ctl_sender peer,
    const struct channel_callbacks *, void *arg);
void channel_free(struct channel *);

/* Its descriptor, which stays its own. */
int channel_fd(const struct channel *);

/* Hand on what has come already, without waiting for the loop's next turn. */
void channel_catch_up(struct channel *);

/*
 * Send one message with its payload (NULL where the type has none) and a copy
 * of pass_fd (-1: none).  Never blocks.  Returns -1 with errno set: EAGAIN when
 * the other end has not read for long.
 */
int channel_send(struct channel *, enum ctl_type, uint64_t generation,
    const void *payload, int pass_fd);

#endif
