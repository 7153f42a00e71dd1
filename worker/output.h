/* SPDX-License-Identifier: ISC */
/*
 * The way out: the replies of one turn are gathered and leave in one write;
 * what the kernel will not take is kept with the connection.
 *
 * A worker has one such gatherer.  It belongs to the connection that is being
 * run, and holds no bytes at other times.
 */
#ifndef WORKER_OUTPUT_H
#define WORKER_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "worker/handler.h"
#include "worker/proto.h"

struct conn;

enum {
	/* Bytes gathered before they are written: as many as one read brings.
	 * A reply that would not fit is not copied, but written from where it
	 * is. */
	OUTPUT_SIZE = 65536,
};

/* What has come of the owner's besides what its pending part has. */
enum output_input {
	OUTPUT_INPUT_NONE,
	OUTPUT_INPUT_LAST,	/* what is being answered, which then is used up */
	OUTPUT_INPUT_MORE,	/* and what follows it */
};

struct output {
	const struct conn *owner;	/* whose replies they are; or NULL */
	const struct proto *proto;	/* of the owner, while it is run */
	enum output_input input;
	size_t len;
	uint8_t *bytes;		/* OUTPUT_SIZE */
};

/* Returns -1 with errno set. */
int output_init(struct output *);
void output_free(struct output *);

/* A connection is run, and has been: what it has not flushed is forgotten. */
void output_begin(struct output *, const struct conn *);
void output_end(struct output *);

/*
 * Send a reply of the owner's; the exchange is NULL if there is none, and so are
 * the response fields of a handler.  After this the payload is no longer needed.
 * Returns -1 with errno set when the connection cannot go on: ENOBUFS or ENOMEM
 * when there is no room to keep what its peer does not take, else the error of
 * its socket.
 */
int output_reply(struct output *, struct conn *,
    const struct exchange *, const struct buffer *fields,
    const struct payload *);

/* Write what is gathered.  Returns as output_reply(). */
int output_flush(struct output *, struct conn *);

/* Write on what the connection owes.  Returns the number of bytes that the
 * kernel took, 0 if none, or -1 with errno set. */
ssize_t output_resume(struct conn *);

/*
 * Tell a client of trouble, at once and without keeping anything: for
 * connections that are not being run and owe nothing.  The exchange is NULL where
 * there is none.  What the kernel will not take is lost.
 */
void output_tell(struct conn *, struct exchange *, enum proto_trouble,
    const char *text);

#endif
