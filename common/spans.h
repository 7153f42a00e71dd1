/* SPDX-License-Identifier: ISC */
/*
 * Spans of requests on their way from the workers to the monitor.
 *
 * Each block of a slot's mapping (common/counters.h) has a ring, which only its
 * worker writes.  Another mapping, which only the monitor writes, has the
 * position up to which each ring was read; it outlives monitors and upgrades,
 * so that the next monitor continues there.  If the ring is full, a worker
 * drops the span and counts it; it never waits.
 */
#ifndef COMMON_SPANS_H
#define COMMON_SPANS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/trace_context.h"

enum {
	SPANS_VERSION = 1,
	SPANS_MAX = 1024,		/* of one ring */
	SPANS_BLOCKS = 4,		/* as COUNTERS_BLOCKS */
	SPAN_REQUEST_MAX = 64,
};

/* How a request ended; the name is used in the log and in the span. */
#define SPAN_RESULTS(R)							\
	R(REPLIED,	"replied")					\
	R(SILENT,	"silent")	/* without a reply */		\
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
	uint8_t parent[TRACE_SPAN_LEN];	/* zero: the span begins the trace */
	uint8_t handling[TRACE_SPAN_LEN];	/* id of the child span of the
						   time with an executor */
	char request[SPAN_REQUEST_MAX];	/* its id */
	uint64_t conn;
	uint64_t received_us;		/* when the message was complete */
	uint64_t begun_us;		/* an executor got it; 0: none */
	uint64_t handled_us;		/* the executor was done; 0: never */
	uint64_t ended_us;		/* the reply was made */
	uint8_t peer[16];		/* as in struct conn_record */
	uint16_t peer_port;
	uint8_t family;
	uint8_t result;			/* enum span_result */
	uint16_t listener;		/* number in the counters */
	uint16_t handler;
};

struct spans {
	uint64_t head;			/* spans so far; number n is at
					   n % SPANS_MAX */
	uint64_t pad[7];
	struct span span[SPANS_MAX];
};

struct spans_map {
	uint32_t version;
	uint32_t pad;
	uint64_t taken[CONF_WORKERS_MAX][SPANS_BLOCKS];	/* of each ring */
	uint64_t exported;		/* accepted by the collector */
	uint64_t lost;			/* not accepted */
};

/* A process's mapping of struct spans_map. */
struct spans_taken {
	int fd;				/* -1 in children */
	struct spans_map *map;
};

/* Returns -1 with errno set. */
int spans_new(struct spans_taken *);
/* Map an existing memfd; EINVAL if it was not made by spans_new(). */
int spans_open(struct spans_taken *, int fd);
void spans_free(struct spans_taken *);
/* Forbid this process to write to it. */
int spans_seal(struct spans_taken *);

/* Put a span into a ring of which *taken spans have been read.  Returns false
 * if it is full. */
bool spans_put(struct spans *, const uint64_t *taken, const struct span *);

/* Copy span number n of a ring, if it is there.  The writer is not trusted:
 * strings are terminated in the copy, but numbers may have any value. */
bool spans_get(const struct spans *, uint64_t n, struct span *);

const char *span_result_name(uint8_t result);

#endif
