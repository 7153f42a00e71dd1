/* SPDX-License-Identifier: ISC */
/*
 * Tracing: which requests are traced, what they are called, and their spans on
 * the way to the monitor.
 *
 * Each request has an id, which is in the log.  With tracing on it also has a
 * place in a trace, and if it is sampled, a span is put into the ring of this
 * worker when it is over.  A protocol may carry ids and contexts; else they are
 * made here.
 */
#ifndef WORKER_TRACE_H
#define WORKER_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/spans.h"
#include "common/trace_context.h"

struct conn;
struct handler;
struct handover_trace;
struct exchange;
struct request;
struct worker;

/* A request's place in a trace. */
struct trace {
	struct span span;		/* as far as it is known */
	bool sampled;
	bool placed;			/* it has its ids: one that is not
					   sampled needs them only if a handler
					   gets them */
	bool has_parent;
};

struct tracing {
	bool on;
	uint64_t threshold;		/* random numbers below it are sampled */
	uint64_t random;
	struct spans *ring;		/* borrowed: our block's */
	const uint64_t *taken;		/* borrowed: how far it was read */
	struct trace current;		/* of the message that is handled now */
};

void tracing_init(struct worker *);

/* The id of a request that has no other: it is that message of its
 * connection. */
void trace_print_id(char id[SPAN_REQUEST_MAX], uint64_t conn,
    uint64_t number);

/* The id of a request; its connection is there.  That of its exchange, or else
 * printed to id. */
const char *trace_request_id(const struct request *,
    char id[SPAN_REQUEST_MAX]);

/*
 * A message has come, for a handler.  parent is its place in the client's
 * trace, or NULL.  Called only if tracing is on.
 */
void trace_begin(struct conn *, const struct handler *,
    const struct trace_context *parent);

/* What is handled now is answered later: keep its place.  NULL if tracing is
 * off. */
struct trace *trace_keep(struct worker *);

/* The context for whoever handles the request. */
void trace_context_of(const struct trace *, struct trace_context *);

/* For a request that goes to another worker, and for one that has come from
 * there, with its handler: -1 if that is no place in a trace. */
void trace_pack(const struct trace *, struct handover_trace *);
int trace_unpack(struct request *, const struct handover_trace *);

/* Whether a request that was answered at once is logged or traced. */
bool trace_is_told(const struct worker *);
/* The request is over, at once or later: log it, and leave its span.  The
 * exchange is NULL if there is none. */
void trace_end(struct conn *, const struct exchange *, enum span_result);
void trace_end_later(struct worker *, struct request *, enum span_result);

#endif
