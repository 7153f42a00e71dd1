/* SPDX-License-Identifier: ISC */
#include "worker/exec_wire.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/escape.h"
#include "common/exec.h"
#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/memory.h"
#include "worker/queue.h"
#include "worker/worker.h"

enum {
	TAG_LEN = 8,
	METADATA_MAX = 512,
	TRACE_METADATA_MAX = 80,
	/* A reply has at most this part of max_buffered: while it comes there
	 * are two of its buffer, and then one more of what its client owes. */
	REPLY_SHARE = 4,
};

/* The payload of a reply.  max_message_size is no more than that, but the
 * request may have been let in when it was larger. */
static size_t
wire_reply_max(const struct exec_link *link)
{
	return (link->worker->buffers.limit / REPLY_SHARE);
}

/*
 * Requests.
 */

static void
wire_put_length(struct buffer *out, size_t len)
{
	uint32_t length = htonl((uint32_t)len);

	buffer_append(out, &length, sizeof(length));
}

/* The description of a request, in the form of common/exec.h. */
static struct payload
wire_told(const struct request *request)
{
	return (request->exchange != NULL ?
	    request->proto->tell(request->exchange) :
	    (struct payload){ .len = 0 });
}

static void
wire_print_trace(const struct trace *trace, char text[TRACE_METADATA_MAX])
{
	struct trace_context context;
	char traceparent[TRACEPARENT_MAX];

	trace_context_of(trace, &context);
	trace_context_print(&context, traceparent);
	snprintf(text, TRACE_METADATA_MAX, ",\"traceparent\":\"%s\"",
	    traceparent);
}

/* Append the metadata in a frame of its own. */
static void
wire_put_metadata(struct exec_link *link, const struct request *request)
{
	const struct conn *conn = request->conn;
	char peer[CONN_PEER_MAX], trace[TRACE_METADATA_MAX] = "";
	char id[SPAN_REQUEST_MAX], text[METADATA_MAX];
	size_t at = link->out->len;
	uint32_t length;

	if (request->trace != NULL)
		wire_print_trace(request->trace, trace);
	/* Ids, names of listeners and peers have nothing that JSON would
	 * escape. */
	snprintf(text, sizeof(text), "{\"conn\":%" PRIu64
	    ",\"request\":%" PRIu64 ",\"id\":\"%s\",\"listener\":\"%s\","
	    "\"peer\":\"%s\",\"waited_us\":%" PRIu64 "%s",
	    conn_record(conn)->id, link->serial,
	    trace_request_id(request, id), conn->listener->conf->name,
	    conn_peer(conn, peer), request->begun_us - request->arrived_us,
	    trace);
	wire_put_length(link->out, 0);
	buffer_append(link->out, text, strlen(text));
	if (request->exchange != NULL)
		request->proto->tell_json(request->exchange, link->out);
	buffer_append(link->out, "}", 1);
	length = htonl((uint32_t)(link->out->len - at - EXEC_LENGTH_LEN));
	memcpy(link->out->bytes + at, &length, sizeof(length));
}

/* Bytes of the id in an exchange, with zeroes after it. */
static size_t
wire_id_len(const struct exchange *exchange)
{
	return ((strlen(exchange->id) + EXEC_TOLD_ALIGN) &
	    ~(size_t)(EXEC_TOLD_ALIGN - 1));
}

static void
wire_put_told(struct buffer *out, const struct exchange *exchange,
    const struct payload *told)
{
	char id[EXEC_ID_MAX] = "";

	_Static_assert(sizeof(exchange->id) == EXEC_ID_MAX, "");
	strcpy(id, exchange->id);
	buffer_append(out, told->bytes, told->len);
	buffer_append(out, id, wire_id_len(exchange));
}

/* When the client gets the reply that its request took too long; 0: never. */
static uint64_t
wire_deadline_us(const struct request *request)
{
	unsigned timeout_ms = request->handler->conf->request_timeout_ms;

	return (timeout_ms == 0 ? 0 :
	    request->begun_us + (uint64_t)timeout_ms * 1000);
}

static void
wire_fill_id(const struct request *request, size_t told_len,
    struct exec_request *head)
{
	if (told_len > 0) {
		head->id = (uint32_t)told_len;
		head->told_len = (uint32_t)(told_len +
		    wire_id_len(request->exchange));
	} else if (request->number >> EXEC_NUMBER_BITS == 0) {
		head->id = (uint32_t)request->number;
		head->id_high = (uint8_t)(request->number >> 32);
	}
}

static void
wire_fill_head(const struct exec_link *link, const struct request *request,
    size_t len, size_t told_len, struct exec_request *head)
{
	const struct conn_record *record = conn_record(request->conn);
	struct trace_context context;

	*head = (struct exec_request){
		.tag = request->tag,
		.conn = record->id,
		.arrived_us = request->arrived_us,
		.deadline_us = wire_deadline_us(request),
		.peer_port = record->peer_port,
		.family = record->family,
		.listener = listener_index(request->conn->listener),
		.may_return = len <= wire_reply_max(link),
	};
	wire_fill_id(request, told_len, head);
	memcpy(head->peer, record->peer, sizeof(head->peer));
	if (request->trace == NULL)
		return;
	trace_context_of(request->trace, &context);
	head->traced = context.sampled ? EXEC_SAMPLED : EXEC_UNSAMPLED;
	memcpy(head->trace, context.trace, sizeof(head->trace));
	memcpy(head->span, context.span, sizeof(head->span));
}

static void
wire_put_module(struct exec_link *link, const struct request *request,
    const struct payload *message)
{
	struct payload told = wire_told(request);
	struct exec_request head;

	wire_fill_head(link, request, message->len, told.len, &head);
	wire_put_length(link->out, sizeof(head) + head.told_len +
	    message->len);
	buffer_append(link->out, &head, sizeof(head));
	if (told.len > 0)
		wire_put_told(link->out, request->exchange, &told);
	buffer_append(link->out, message->bytes, message->len);
}

void
exec_wire_put(struct exec_link *link, const struct request *request,
    const struct payload *message)
{
	size_t tag_len = link->wire == EXEC_WIRE_TAGGED ? TAG_LEN : 0;

	if (link->metadata)
		wire_put_metadata(link, request);
	if (link->wire == EXEC_WIRE_MODULE) {
		wire_put_module(link, request, message);
		return;
	}
	wire_put_length(link->out, tag_len + message->len);
	buffer_append(link->out, &request->tag, tag_len);
	buffer_append(link->out, message->bytes, message->len);
}

size_t
exec_wire_room(const struct exec_link *link, const struct request *request,
    size_t len)
{
	size_t room = EXEC_LENGTH_LEN + sizeof(struct exec_request) + len;

	if (link->wire == EXEC_WIRE_MODULE)
		room += wire_told(request).len + EXEC_ID_MAX;
	if (link->metadata)
		room += EXEC_LENGTH_LEN + METADATA_MAX + PROTO_JSON_MAX +
		    PROTO_JSON_PER_BYTE * wire_told(request).len;
	return (room);
}

/*
 * Replies.
 */

const char *
exec_wire_show(const uint8_t *bytes, size_t len, char shown[EXEC_SHOWN_MAX])
{
	return (escape_bytes(shown, EXEC_SHOWN_MAX, bytes,
	    len < EXEC_SHOWN ? len : EXEC_SHOWN));
}

/* Keep what a handler says of its reply, if the protocol can say it.  Without
 * memory for the fields, the reply fails: it is not sent without them.  Returns
 * -1 if this may not stand in a reply. */
static int
wire_note(struct exec_answer *answer, unsigned status,
    const struct payload *type, const struct payload *fields)
{
	struct request *request = answer->request;

	if (request->exchange == NULL)
		return (0);
	if (request->proto->note(request->exchange, status, type, fields) ==
	    -1)
		return (-1);
	if (fields->len == 0 || request->conn == NULL ||
	    answer->result != REQUEST_REPLIED)
		return (0);
	if (memory_reserve(request->conn, &request->fields, fields->len) == -1) {
		answer->result = REQUEST_FAILED;
		return (0);
	}
	buffer_use(&request->conn->listener->worker->buffers, request->fields,
	    BUFFER_WORK);
	buffer_append(request->fields, fields->bytes, fields->len);
	return (0);
}

static void
wire_log_refused(const struct exec_link *link, const struct request *request)
{
	char id[SPAN_REQUEST_MAX];

	if (request->conn == NULL)
		return;
	LOG_CLIENT(WARN, REPLY_REFUSED,
	    F_STR("request", trace_request_id(request, id)),
	    F_U64("conn", conn_record(request->conn)->id),
	    F_STR("handler", link->queue->conf->name),
	    F_STR("error", link->fault.text));
}

/* What the metadata before a reply has said of it. */
static void
wire_use_facts(struct exec_link *link, struct exec_answer *answer)
{
	const struct reply_facts *facts = &link->noted;
	struct payload type = {
		(const uint8_t *)facts->type, strlen(facts->type),
	};
	struct payload fields = {
		(const uint8_t *)facts->fields.bytes, facts->fields.len,
	};

	answer->result = REQUEST_REPLIED;
	if (facts->verdict == REPLY_TAKEN) {
		(void)wire_note(answer, facts->status, &type, &fields);
		return;
	}
	wire_log_refused(link, answer->request);
	answer->result = REQUEST_FAILED;
}

static struct request *
wire_find(const struct exec_link *link, uint64_t tag)
{
	uint64_t place = tag & ((1U << EXEC_PLACE_BITS) - 1);
	struct request *request;

	if (place >= link->capacity)
		return (NULL);
	request = link->places[place];
	return (request != NULL && request->tag == tag ? request : NULL);
}

static void
wire_read_tagged(const struct exec_link *link, struct exec_answer *answer)
{
	struct payload *frame = &answer->payload;
	uint64_t tag;

	if (frame->len < TAG_LEN)
		return;
	memcpy(&tag, frame->bytes, TAG_LEN);
	frame->bytes += TAG_LEN;
	frame->len -= TAG_LEN;
	answer->request = wire_find(link, tag);
}

/* A content type and response fields stand after the payload. */
static void
wire_read_module(const struct exec_link *link, struct exec_answer *answer)
{
	struct payload *frame = &answer->payload, type, fields;
	struct exec_reply head;
	enum exec_result result;

	if (frame->len < sizeof(head))
		return;
	memcpy(&head, frame->bytes, sizeof(head));
	frame->bytes += sizeof(head);
	frame->len -= sizeof(head);
	if ((answer->request = wire_find(link, head.tag)) == NULL)
		return;
	result = head.result & EXEC_RESULT_MASK;
	answer->is_returned = result == EXEC_RETURNED;
	answer->result = result == EXEC_REPLY ? REQUEST_REPLIED :
	    result == EXEC_SILENT ? REQUEST_SILENT : REQUEST_FAILED;
	type.len = head.type_len;
	fields.len = head.result >> EXEC_FIELDS_SHIFT;
	if (type.len > frame->len || fields.len > frame->len - type.len) {
		answer->request = NULL;
		return;
	}
	frame->len -= type.len + fields.len;
	type.bytes = frame->bytes + frame->len;
	fields.bytes = type.bytes + type.len;
	if (wire_note(answer, head.status, &type, &fields) == -1)
		answer->request = NULL;
}

static size_t
wire_frame_max(const struct exec_link *link)
{
	if (link->reply_metadata && !link->is_noted)
		return (REPLY_METADATA_MAX);
	return (wire_reply_max(link) + sizeof(struct exec_reply) +
	    PROTO_TYPE_MAX + 1 + PROTO_FIELDS_MAX);
}

/* The executor sent what is no reply to a request, as these bytes begin. */
static ssize_t
wire_refuse(struct exec_link *link, const uint8_t *bytes, size_t len)
{
	char shown[EXEC_SHOWN_MAX];

	return (why_set(&link->fault, "it sent a reply that fits no message: "
	    "'%s'", exec_wire_show(bytes, len, shown)));
}

/* A length is too large.  Most often the program has printed a text where a
 * frame should begin. */
static ssize_t
wire_refuse_length(struct exec_link *link, const uint8_t *bytes, size_t len,
    size_t announced)
{
	char shown[EXEC_SHOWN_MAX];

	return (why_set(&link->fault, "it announced a reply of %zu bytes by "
	    "'%s'", announced, exec_wire_show(bytes, len, shown)));
}

ssize_t
exec_wire_read(struct exec_link *link, const uint8_t *bytes, size_t len,
    struct exec_answer *answer)
{
	struct payload *frame = &answer->payload;
	uint32_t length;
	size_t whole;

	answer->request = NULL;
	answer->result = REQUEST_REPLIED;
	answer->is_returned = false;
	if (len < EXEC_LENGTH_LEN)
		return (0);
	memcpy(&length, bytes, sizeof(length));
	frame->len = ntohl(length);
	frame->bytes = bytes + EXEC_LENGTH_LEN;
	whole = EXEC_LENGTH_LEN + frame->len;
	if (frame->len > wire_frame_max(link))
		return (wire_refuse_length(link, bytes, len, frame->len));
	/* An empty frame may be a reply; without a request it is not. */
	if (link->nrunning == 0 && !link->is_retired)
		return (wire_refuse(link, bytes, len));
	if (len < whole)
		return (0);
	if (link->reply_metadata && !link->is_noted) {
		if (reply_facts_read(&link->noted, frame->bytes, frame->len,
		    &link->fault) == REPLY_BROKEN)
			return (-1);
		link->is_noted = true;
		return ((ssize_t)whole);
	}
	if (link->wire == EXEC_WIRE_MODULE)
		wire_read_module(link, answer);
	else if (link->wire == EXEC_WIRE_TAGGED)
		wire_read_tagged(link, answer);
	else
		answer->request = TAILQ_FIRST(&link->running);
	/* It may be the reply of a call that has taken too long. */
	if (answer->request == NULL && !link->is_retired)
		return (wire_refuse(link, bytes, whole));
	if (link->is_noted && answer->request != NULL)
		wire_use_facts(link, answer);
	link->is_noted = false;
	return ((ssize_t)whole);
}
