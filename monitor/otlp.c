/* SPDX-License-Identifier: ISC */
#include "conf/conf.h"
#include "config.h"

#include "monitor/otlp.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "monitor/json.h"
#include "monitor/names.h"

/* As the protocol numbers them. */
enum {
	KIND_INTERNAL = 1,
	KIND_SERVER = 2,
	STATUS_CODE_ERROR = 2,
};

enum { NS_PER_S = 1000000000, NS_PER_US = 1000 };

int64_t
otlp_epoch_ns(void)
{
	struct timespec wall, mono;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (((int64_t)wall.tv_sec - (int64_t)mono.tv_sec) * NS_PER_S +
	    wall.tv_nsec - mono.tv_nsec);
}

/*
 * Values.  Whole numbers of 64 bits are strings in JSON, and ids hexadecimal.
 */

static void
otlp_put_id(struct json *json, const char *name, const uint8_t *id, size_t n)
{
	char text[2 * TRACE_ID_LEN + 1];

	trace_hex(text, id, n);
	json_str(json, name, text);
}

static void
otlp_put_time(struct json *json, const char *name,
    const struct otlp_batch *batch, uint64_t us)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64,
	    us * NS_PER_US + (uint64_t)batch->epoch_ns);
	json_str(json, name, text);
}

static void
put_string(struct json *json, const char *key, const char *value)
{
	json_open(json, NULL, '{');
	json_str(json, "key", key);
	json_open(json, "value", '{');
	json_str(json, "stringValue", value);
	json_close(json, '}');
	json_close(json, '}');
}

static void
put_int(struct json *json, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	json_open(json, NULL, '{');
	json_str(json, "key", key);
	json_open(json, "value", '{');
	json_str(json, "intValue", text);
	json_close(json, '}');
	json_close(json, '}');
}

/*
 * Spans.
 */

static void
otlp_put_peer(struct json *json, const struct span *span)
{
	char text[INET6_ADDRSTRLEN];

	if ((span->family != AF_INET && span->family != AF_INET6) ||
	    inet_ntop(span->family, span->peer, text, sizeof(text)) == NULL)
		return;
	put_string(json, "network.peer.address", text);
	put_int(json, "network.peer.port", span->peer_port);
}

static void
put_attributes(struct json *json, const struct heritage *heritage,
    const struct span *span, unsigned slot)
{
	const char *listener = names_listener(heritage, span->listener);
	const char *handler = names_handler(heritage, span->handler);

	json_open(json, "attributes", '[');
	put_string(json, "penstock.request", span->request);
	put_int(json, "penstock.connection", span->conn);
	if (listener != NULL)
		put_string(json, "penstock.listener", listener);
	if (handler != NULL)
		put_string(json, "penstock.handler", handler);
	put_int(json, "penstock.slot", slot);
	put_string(json, "penstock.result", span_result_name(span->result));
	otlp_put_peer(json, span);
	json_close(json, ']');
}

static void
otlp_put_status(struct json *json, const struct span *span)
{
	if (span->result == SPAN_REPLIED || span->result == SPAN_SILENT)
		return;
	json_open(json, "status", '{');
	json_number(json, "code", STATUS_CODE_ERROR);
	json_str(json, "message", span_result_name(span->result));
	json_close(json, '}');
}

/* That its wait was over. */
static void
put_begun(struct json *json, const struct otlp_batch *batch,
    const struct span *span)
{
	if (span->begun_us == 0)
		return;
	json_open(json, "events", '[');
	json_open(json, NULL, '{');
	otlp_put_time(json, "timeUnixNano", batch, span->begun_us);
	json_str(json, "name", "begun");
	json_close(json, '}');
	json_close(json, ']');
}

static bool
otlp_is_zero(const uint8_t id[TRACE_SPAN_LEN])
{
	static const uint8_t zero[TRACE_SPAN_LEN];

	return (memcmp(id, zero, sizeof(zero)) == 0);
}

static const char *
name_of(const struct heritage *heritage, const struct span *span)
{
	const char *listener = names_listener(heritage, span->listener);

	return (listener != NULL ? listener : "request");
}

static void
otlp_put_request(struct json *json, const struct heritage *heritage,
    const struct otlp_batch *batch, size_t i)
{
	const struct span *span = &batch->spans[i];

	json_open(json, NULL, '{');
	otlp_put_id(json, "traceId", span->trace, sizeof(span->trace));
	otlp_put_id(json, "spanId", span->id, sizeof(span->id));
	if (!otlp_is_zero(span->parent))
		otlp_put_id(json, "parentSpanId", span->parent,
		    sizeof(span->parent));
	json_str(json, "name", name_of(heritage, span));
	json_number(json, "kind", KIND_SERVER);
	otlp_put_time(json, "startTimeUnixNano", batch, span->received_us);
	otlp_put_time(json, "endTimeUnixNano", batch, span->ended_us);
	put_attributes(json, heritage, span, batch->slots[i]);
	put_begun(json, batch, span);
	otlp_put_status(json, span);
	json_close(json, '}');
}

/* The part of a request that an executor has, which is what a handler sees as
 * its parent. */
static void
put_handling(struct json *json, const struct heritage *heritage,
    const struct otlp_batch *batch, const struct span *span)
{
	const char *handler = names_handler(heritage, span->handler);

	if (span->begun_us == 0)
		return;
	json_open(json, NULL, '{');
	otlp_put_id(json, "traceId", span->trace, sizeof(span->trace));
	otlp_put_id(json, "spanId", span->handling, sizeof(span->handling));
	otlp_put_id(json, "parentSpanId", span->id, sizeof(span->id));
	json_str(json, "name", handler != NULL ? handler : "handler");
	json_number(json, "kind", KIND_INTERNAL);
	otlp_put_time(json, "startTimeUnixNano", batch, span->begun_us);
	otlp_put_time(json, "endTimeUnixNano", batch, span->handled_us != 0 ?
	    span->handled_us : span->ended_us);
	json_open(json, "attributes", '[');
	put_string(json, "penstock.request", span->request);
	json_close(json, ']');
	otlp_put_status(json, span);
	json_close(json, '}');
}

static void
put_resource(struct json *json, const struct heritage *heritage)
{
	json_open(json, "resource", '{');
	json_open(json, "attributes", '[');
	put_string(json, "service.name",
	    heritage->conf->tracing.service_name);
	put_string(json, "service.version", PACKAGE_VERSION);
	put_int(json, "process.pid", (uint64_t)getppid());
	json_close(json, ']');
	json_close(json, '}');
}

void
otlp_print(FILE *out, const struct heritage *heritage,
    const struct otlp_batch *batch)
{
	struct json json = { .out = out };

	json_open(&json, NULL, '{');
	json_open(&json, "resourceSpans", '[');
	json_open(&json, NULL, '{');
	put_resource(&json, heritage);
	json_open(&json, "scopeSpans", '[');
	json_open(&json, NULL, '{');
	json_open(&json, "scope", '{');
	json_str(&json, "name", "penstock");
	json_str(&json, "version", PACKAGE_VERSION);
	json_close(&json, '}');
	json_open(&json, "spans", '[');
	for (size_t i = 0; i < batch->n; i++) {
		otlp_put_request(&json, heritage, batch, i);
		put_handling(&json, heritage, batch, &batch->spans[i]);
	}
	json_close(&json, ']');
	json_close(&json, '}');
	json_close(&json, ']');
	json_close(&json, '}');
	json_close(&json, ']');
	json_close(&json, '}');
}
