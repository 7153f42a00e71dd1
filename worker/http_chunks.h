/* SPDX-License-Identifier: ISC */
/*
 * The body of a request that comes in chunks.
 *
 * The data of the chunks is moved together as it comes, so that the body lies
 * in one piece after the header; what was around it is dropped.
 */
#ifndef WORKER_HTTP_CHUNKS_H
#define WORKER_HTTP_CHUNKS_H

#include "worker/proto.h"

/* What comes next in a request. */
enum http_phase {
	HTTP_PHASE_HEADER,
	HTTP_PHASE_LENGTH,	/* a body of body_len bytes */
	HTTP_PHASE_CHUNK,	/* the line before a chunk */
	HTTP_PHASE_DATA,
	HTTP_PHASE_DATA_END,	/* the line end after it */
	HTTP_PHASE_TRAILER,	/* a line after the last chunk */
	HTTP_PHASE_WHOLE,	/* nothing: it has come */
};

/*
 * Go on from progress->scanned as far as the bytes allow.  Returns 0, or the
 * status of the reply if this is no body that could be taken.
 */
unsigned http_chunks_read(uint8_t *bytes, size_t len,
    const struct conf_listener *, struct proto_progress *);

#endif
