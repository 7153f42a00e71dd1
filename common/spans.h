/* SPDX-License-Identifier: ISC */
/*
 * Spans of requests on their way from the workers to the monitor.
 *
 * Each block of a slot's mapping (common/counters.h) has a ring, which its
 * worker alone writes.  How far the rings have been read stands in a mapping of
 * its own, which the monitor alone writes; it outlives monitors and upgrades, so
 * that the next one goes on where the last one was.  A worker that finds its
 * ring full drops the span and counts it, whatever the reason: it waits for
 * nobody.
 */
#ifndef COMMON_SPANS_H
#define COMMON_SPANS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/trace_context.h"
#include "conf/conf.h"

enum {
	SPANS_VERSION = 1,
	SPANS_MAX = 1024,		/* of one ring */
	SPANS_BLOCKS = 4,		/* as COUNTERS_BLOCKS */
	SPAN_REQUEST_MAX = 64,
};

/* How a request ended; the name stands in the log and in the span. */
#define SPAN_RESULTS(R)							\
	R(REPLIED,	"replied")					\
	R(SILENT,	"silent")	/* nothing was to be answered */ \
	R(BUSY,		"busy")						\
	R(TIMEOUT,	"timeout")					\
	R(FAILED,	"failed")					\
	R(ABANDONED,	"abandoned")	/* its client had gone */

enum span_result {
#define SPAN_RESULT_ENUM(id, name) SPAN_##id,
	SPAN_RESULTS(SPAN_RESULT_ENUM)
#undef SPAN_RESULT_ENUM
	SPAN_RESULT_COUNT
};

/* A request that is over.  Times are clock_us(). */
struct span {
	uint8_t trace[TRACE_ID_LEN];
	uint8_t id[TRACE_SPAN_LEN];
	uint8_t parent[TRACE_SPAN_LEN];	/* zero: it begins the trace */
	uint8_t handling[TRACE_SPAN_LEN];	/* of the part with an executor,
						   which is a span too */
	char request[SPAN_REQUEST_MAX];	/* its id */
	uint64_t conn;
	uint64_t received_us;		/* when the message was complete */
	uint64_t begun_us;		/* an executor got it; 0: none did */
	uint64_t handled_us;		/* and was done with it; 0: it was not */
	uint64_t ended_us;		/* its reply was made */
	uint8_t peer[16];		/* as in struct conn_record */
	uint16_t peer_port;
	uint8_t family;
	uint8_t result;			/* enum span_result */
	uint16_t listener;		/* their numbers in the counters */
	uint16_t handler;
};

struct spans {
	uint64_t head;			/* spans that were ever put in; number n
					   stands at n % SPANS_MAX */
	uint64_t pad[7];
	struct span span[SPANS_MAX];
};

struct spans_map {
	uint32_t version;
	uint32_t pad;
	uint64_t taken[CONF_WORKERS_MAX][SPANS_BLOCKS];	/* of each ring */
	uint64_t exported;		/* the collector has them */
	uint64_t lost;			/* it did not take them */
};

/* How far the rings were read, as a process sees it. */
struct spans_taken {
	int fd;				/* -1 in children */
	struct spans_map *map;
};

/* Returns -1 with errno set. */
int spans_new(struct spans_taken *);
/* Map a memfd that is there already; EINVAL if it is not what spans_new()
 * makes. */
int spans_open(struct spans_taken *, int fd);
void spans_free(struct spans_taken *);
/* Forbid this process to write to it. */
int spans_seal(struct spans_taken *);

/* Put a span into a ring of which *taken spans have been read.  Returns false if
 * it is full. */
bool spans_put(struct spans *, const uint64_t *taken, const struct span *);

/* Copy number n out of a ring, if it is there.  What is copied has been written
 * by somebody who is not trusted: text ends, numbers may be any. */
bool spans_get(const struct spans *, uint64_t n, struct span *);

const char *span_result_name(uint8_t result);

#endif
