/* SPDX-License-Identifier: ISC */
#include "worker/trace.h"

#include <sys/random.h>

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/digits.h"
#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/handover.h"
#include "worker/worker.h"

/* Two workers never begin alike; to guess the ids is of no use. */
static uint64_t
trace_seed(const struct heritage *heritage)
{
	uint64_t bytes;

	if (getrandom(&bytes, sizeof(bytes), GRND_NONBLOCK) ==
	    (ssize_t)sizeof(bytes))
		return (bytes);
	return (clock_us() << 16 ^ heritage->generation << 8 ^ heritage->slot);
}

void
tracing_init(struct worker *worker)
{
	const struct heritage *heritage = worker->heritage;
	const struct conf *conf = heritage->conf;
	struct tracing *tracing = &worker->tracing;

	/* Without a monitor no process would fetch them. */
	tracing->on = *conf->tracing.endpoint != '\0' && conf->monitor.enabled;
	if (!tracing->on)
		return;
	tracing->threshold = UINT64_MAX / CONF_RATIO_ONE *
	    conf->tracing.sample_ratio;
	tracing->random = trace_seed(heritage);
	tracing->ring = counters_spans(&heritage->counters[heritage->slot],
	    heritage->block);
	tracing->taken = &heritage->spans.map
	    ->taken[heritage->slot][heritage->block];
}

/* SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", 2014. */
static uint64_t
next_random(struct tracing *tracing)
{
	uint64_t z = (tracing->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31));
}

/* No id is all zero. */
static void
make_id(struct tracing *tracing, uint8_t *id, size_t n)
{
	uint64_t random;

	for (size_t i = 0; i < n; i += sizeof(random)) {
		random = next_random(tracing) | 1;
		memcpy(id + i, &random, sizeof(random));
	}
}

/* Called for each message that has an exchange: printf(3) is too slow. */
void
trace_print_id(char id[SPAN_REQUEST_MAX], uint64_t conn, uint64_t number)
{
	char text[48], *end = text + sizeof(text), *at = end;

	*--at = '\0';
	at = digits_put(at, number);
	*--at = '-';
	at = digits_put(at, conn);
	memcpy(id, at, (size_t)(end - at));
}

const char *
trace_request_id(const struct request *request, char id[SPAN_REQUEST_MAX])
{
	if (request->exchange != NULL)
		return (request->exchange->id);
	trace_print_id(id, conn_record(request->conn)->id, request->number);
	return (id);
}

static void
trace_fill(struct span *span, const struct conn *conn,
    const struct handler *handler)
{
	const struct conn_record *record = conn_record(conn);
	const struct listener *listener = conn->listener;
	const struct heritage *heritage = listener->worker->heritage;

	span->conn = record->id;
	span->family = record->family;
	span->peer_port = record->peer_port;
	memcpy(span->peer, record->peer, sizeof(span->peer));
	span->listener = (uint16_t)listener->number;
	span->handler = (uint16_t)heritage->handler_number[
	    handler - listener->worker->handlers];
	/* By the clock of begun_us, which must not be before it. */
	span->received_us = worker_now_us(listener->worker);
	span->begun_us = span->handled_us = 0;
}

static void
trace_place(struct tracing *tracing, struct trace *trace)
{
	struct span *span = &trace->span;

	if (!trace->has_parent) {
		make_id(tracing, span->trace, sizeof(span->trace));
		memset(span->parent, 0, sizeof(span->parent));
	}
	make_id(tracing, span->id, sizeof(span->id));
	make_id(tracing, span->handling, sizeof(span->handling));
	trace->placed = true;
}

/* Most are not sampled, and leave here again with as little as can be. */
void
trace_begin(struct conn *conn, const struct handler *handler,
    const struct trace_context *parent)
{
	struct tracing *tracing = &conn->listener->worker->tracing;
	struct trace *trace = &tracing->current;
	struct span *span = &trace->span;

	trace->placed = false;
	trace->has_parent = parent != NULL;
	if (parent != NULL) {
		memcpy(span->trace, parent->trace, sizeof(span->trace));
		memcpy(span->parent, parent->span, sizeof(span->parent));
	}
	trace->sampled = parent != NULL ? parent->sampled :
	    next_random(tracing) < tracing->threshold;
	if (!trace->sampled)
		return;
	trace_place(tracing, trace);
	trace_fill(span, conn, handler);
}

struct trace *
trace_keep(struct worker *worker)
{
	struct trace *trace;

	/* Without memory for it, it has none. */
	if (!worker->tracing.on || (trace = malloc(sizeof(*trace))) == NULL)
		return (NULL);
	*trace = worker->tracing.current;
	if (!trace->placed)
		trace_place(&worker->tracing, trace);
	return (trace);
}

void
trace_context_of(const struct trace *trace, struct trace_context *context)
{
	memcpy(context->trace, trace->span.trace, sizeof(context->trace));
	memcpy(context->span, trace->span.handling, sizeof(context->span));
	context->sampled = trace->sampled;
}

/*
 * From one worker to another.
 */

void
trace_pack(const struct trace *trace, struct handover_trace *to)
{
	const struct span *span = &trace->span;

	*to = (struct handover_trace){
		.received_us = span->received_us,
		.handled_us = span->handled_us,
		.sampled = trace->sampled,
	};
	memcpy(to->trace, span->trace, sizeof(to->trace));
	memcpy(to->id, span->id, sizeof(to->id));
	memcpy(to->parent, span->parent, sizeof(to->parent));
	memcpy(to->handling, span->handling, sizeof(to->handling));
}

static bool
is_zero(const uint8_t *id, size_t n)
{
	while (n > 0 && id[n - 1] == 0)
		n--;
	return (n == 0);
}

static bool
trace_is_sound(const struct handover_trace *from)
{
	uint64_t now_us = clock_us();

	return (from->sampled <= 1 && from->received_us <= now_us &&
	    from->handled_us <= now_us &&
	    !is_zero(from->trace, sizeof(from->trace)) &&
	    !is_zero(from->id, sizeof(from->id)) &&
	    !is_zero(from->handling, sizeof(from->handling)));
}

int
trace_unpack(struct request *request, const struct handover_trace *from)
{
	struct trace *trace;
	struct span *span;

	if (!trace_is_sound(from))
		return (-1);
	/* As in trace_keep(). */
	if (!request->conn->listener->worker->tracing.on ||
	    (trace = malloc(sizeof(*trace))) == NULL)
		return (0);
	span = &trace->span;
	trace_fill(span, request->conn, request->handler);
	memcpy(span->trace, from->trace, sizeof(span->trace));
	memcpy(span->id, from->id, sizeof(span->id));
	memcpy(span->parent, from->parent, sizeof(span->parent));
	memcpy(span->handling, from->handling, sizeof(span->handling));
	span->received_us = from->received_us;
	span->handled_us = from->handled_us;
	trace->sampled = from->sampled != 0;
	trace->placed = true;
	trace->has_parent = !is_zero(from->parent, sizeof(from->parent));
	request->trace = trace;
	return (0);
}

/*
 * The end.
 */

static void
name_request(char id[SPAN_REQUEST_MAX], const struct exchange *exchange,
    uint64_t conn, uint64_t number)
{
	_Static_assert(sizeof(exchange->id) == SPAN_REQUEST_MAX, "");

	if (exchange != NULL)
		memcpy(id, exchange->id, SPAN_REQUEST_MAX);
	else
		trace_print_id(id, conn, number);
}

static void
leave_span(struct worker *worker, struct trace *trace,
    const struct exchange *exchange, uint64_t number,
    enum span_result result)
{
	struct tracing *tracing = &worker->tracing;
	struct span *span = &trace->span;

	if (!trace->sampled)
		return;
	name_request(span->request, exchange, span->conn, number);
	span->ended_us = clock_us();
	span->result = (uint8_t)result;
	if (spans_put(tracing->ring, tracing->taken, span))
		counter_add(&worker->counters->spans, 1);
	else
		counter_add(&worker->counters->spans_dropped, 1);
}

/* trace may be NULL. */
static void
log_request(const struct trace *trace, const struct exchange *exchange,
    const struct conn *conn, uint64_t number, enum span_result result,
    uint64_t waited_us)
{
	char id[SPAN_REQUEST_MAX], hex[2 * TRACE_ID_LEN + 1];
	bool went_wrong = result == SPAN_TIMEOUT || result == SPAN_FAILED;
	const char *of = NULL;

	if (!log_enabled(went_wrong ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG))
		return;
	if (trace != NULL && trace->placed) {
		trace_hex(hex, trace->span.trace, TRACE_ID_LEN);
		of = hex;
	}
	name_request(id, exchange, conn_record(conn)->id, number);
	/* What an executor does wrong may come by the thousand. */
	LOG_WITH((went_wrong ? log_write_limited : log_write),
	    went_wrong ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, EVENT_REQUEST,
	    F_STR("request", id), F_U64("conn", conn_record(conn)->id),
	    F_STR("listener", conn->listener->conf->name),
	    F_STR("result", span_result_name((uint8_t)result)),
	    F_U64("waited_us", waited_us), F_STR("trace", of));
}

bool
trace_is_told(const struct worker *worker)
{
	return (worker->tracing.on || log_enabled(LOG_LEVEL_DEBUG));
}

void
trace_end(struct conn *conn, const struct exchange *exchange,
    enum span_result result)
{
	struct worker *worker = conn->listener->worker;
	struct trace *trace = worker->tracing.on ? &worker->tracing.current :
	    NULL;
	uint64_t number = conn_record(conn)->messages;

	log_request(trace, exchange, conn, number, result, 0);
	if (trace != NULL)
		leave_span(worker, trace, exchange, number, result);
}

void
trace_end_later(struct worker *worker, struct request *request,
    enum span_result result)
{
	const struct exchange *exchange = request->exchange;
	struct trace *trace = request->trace;

	if (request->conn != NULL)
		log_request(trace, exchange, request->conn, request->number,
		    result, request->begun_us == 0 ? 0 :
		    request->begun_us - request->arrived_us);
	if (trace == NULL)
		return;
	trace->span.begun_us = request->begun_us;
	leave_span(worker, trace, exchange, request->number, result);
}
