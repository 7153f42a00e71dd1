/* SPDX-License-Identifier: ISC */
/*
 * A stream of bytes that comes in pieces, and what a protocol finds in it.
 *
 * Runs in unit tests and fuzz targets.  Does with a parser what worker/conn_read.c
 * does: looks again from the head of what is unfinished, with what scanned was
 * left at, and goes no further once a verdict has ended the stream.  Aborts
 * when the parser breaks a promise of worker/proto.h.
 */
#ifndef TESTS_LIB_STREAM_H
#define TESTS_LIB_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/proto.h"

/* What was found: the messages, and how it ended. */
struct found {
	size_t *lens;			/* of each message */
	size_t n;
	uint8_t *payloads;		/* one behind the other */
	size_t len;
	size_t consumed;		/* bytes of the stream in messages */
	enum proto_verdict verdict;	/* PROTO_MORE: no error so far */
	/* Of HTTP: the status of the last message or error, 0 for one that is
	 * a handler's matter; and whether the connection ends with it. */
	unsigned status;
	bool close;
};

struct stream {
	const struct proto *proto;
	struct conf_listener conf;
	uint8_t *kept;			/* the unfinished message */
	size_t kept_len;
	struct proto_progress progress;
	size_t skipped;			/* before it */
	struct found found;
};

void found_add(struct found *, const uint8_t *payload, size_t len);
bool found_equal(const struct found *, const struct found *);
void found_free(struct found *);

void stream_init(struct stream *, const struct proto *, size_t max_payload);
void stream_free(struct stream *);

/* The next piece has come. */
void stream_feed(struct stream *, const uint8_t *bytes, size_t len);

/* A whole stream in pieces of a fixed length; the last may be shorter. */
void stream_feed_pieces(struct stream *, const uint8_t *bytes, size_t len,
    size_t piece);

#endif
