/* SPDX-License-Identifier: ISC */
#include "executor/call.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The pointers that a module hands back are those of its thread's call, which
 * has request and reply as members. */
#define CALL_OF(pointer, member)					\
	((struct call *)(void *)((uint8_t *)(uintptr_t)(pointer) -	\
	    offsetof(struct call, member)))

static const char *
peer(const struct penstock_request *request)
{
	struct call *call = CALL_OF(request, request);
	char addr[INET6_ADDRSTRLEN];

	if (inet_ntop(request->family, request->address, addr, sizeof(addr)) ==
	    NULL)
		return ("unix");
	snprintf(call->peer, sizeof(call->peer), request->family == AF_INET6 ?
	    "[%s]:%u" : "%s:%u", addr, request->port);
	return (call->peer);
}

static const char *
id(const struct penstock_request *request)
{
	struct call *call = CALL_OF(request, request);

	if (call->id != NULL)
		return (call->id);
	if (call->number == 0)
		return (NULL);
	snprintf(call->printed_id, sizeof(call->printed_id),
	    "%" PRIu64 "-%" PRIu64, request->conn_id, call->number);
	return (call->printed_id);
}

static void
use_draft(struct call *call, struct chunk *draft)
{
	call->draft = draft;
	call->reply.data = draft->bytes + REPLY_HEAD;
	call->reply.capacity = draft->capacity - REPLY_HEAD;
}

/* Make room for more bytes after the first len. */
static int
call_make_room(struct call *call, size_t len, size_t more)
{
	struct chunk *grown = draft_grow(call->draft, len, more);

	if (grown == NULL)
		return (-1);
	use_draft(call, grown);
	return (0);
}

static int
call_grow(struct penstock_reply *reply, size_t more)
{
	if (call_make_room(CALL_OF(reply, reply), reply->length, more) == 0)
		return (0);
	reply->failed = 1;
	return (-1);
}

/* Standard error of a module goes to the log with the name of its handler, up
 * to a limit. */
static void
call_complain(const char *name, const char *why)
{
	fprintf(stderr, "a reply is refused: response field %.64s: %s\n", name,
	    why);
}

static const char *
set_content_type(struct penstock_reply *reply, const char *type)
{
	return (penstock_set_content_type(reply, type) == 0 ? NULL :
	    "not at most 255 printable ASCII characters");
}

static int
add_field(struct penstock_reply *reply, const char *name, const char *value)
{
	struct call *call = CALL_OF(reply, reply);
	const char *why;

	/* A worker of the previous release takes none. */
	if (call->is_http && call->id == NULL)
		return (-1);
	why = strcasecmp(name, "Content-Type") == 0 ?
	    set_content_type(reply, value) : http_fields_add(&call->given,
	    name, strlen(name), value, strlen(value));
	if (why == NULL)
		return (0);
	call_complain(name, why);
	reply->failed = 1;
	return (-1);
}

void
call_init(struct call *call, const struct conf *conf, unsigned thread)
{
	*call = (struct call){
		.request = {
			.size = sizeof(call->request),
			.thread = thread,
			.peer = peer,
			.id = id,
		},
		.reply = {
			.size = sizeof(call->reply),
			.grow = call_grow,
			.add_field = add_field,
		},
		.conf = conf,
	};
}

void
call_free(struct call *call)
{
	free(call->draft);
}

static const char *
describe_trace(struct call *call, const struct exec_request *facts)
{
	struct trace_context context = {
		.sampled = facts->traced == EXEC_SAMPLED,
	};

	if (facts->traced == EXEC_UNTRACED)
		return (NULL);
	memcpy(context.trace, facts->trace, sizeof(context.trace));
	memcpy(context.span, facts->span, sizeof(context.span));
	trace_context_print(&context, call->traceparent);
	return (call->traceparent);
}

/* The next of the strings, the last of which ends where they all do. */
static const char *
next_string(const char **at, const char *end)
{
	const char *string = *at;

	if (string == end)
		return ("");
	*at += strlen(string) + 1;
	return (string);
}

/* The id of an HTTP request follows the other parts of the request. */
static void
describe_id(struct call *call, const struct job *job)
{
	const struct exec_request *facts = &job->facts;

	call->is_http = facts->told_len > 0;
	call->id = NULL;
	call->number = 0;
	if (!call->is_http)
		call->number = (uint64_t)facts->id_high << 32 | facts->id;
	else if (facts->id > 0 && facts->id < facts->told_len &&
	    job->payload[facts->told_len - 1] == '\0')
		call->id = (const char *)job->payload + facts->id;
}

/* Set the members for HTTP.  The strings end with a NUL, because the worker
 * pads with NULs; otherwise they are ignored. */
static void
describe_http(struct call *call, const struct job *job)
{
	struct penstock_request *request = &call->request;
	const char *at = (const char *)job->payload + sizeof(struct exec_http);
	const char *end = (const char *)job->payload + job->facts.told_len;
	const struct exec_http *http = (const void *)job->payload;

	request->method = NULL;
	request->target = request->path = request->query = NULL;
	request->fields = call->fields;
	request->nfields = 0;
	if (job->facts.told_len == 0 || end[-1] != '\0')
		return;
	request->method = next_string(&at, end);
	request->target = next_string(&at, end);
	request->path = next_string(&at, end);
	request->query = next_string(&at, end);
	if (http->has_query == 0)
		request->query = NULL;
	while (request->nfields < http->nfields &&
	    request->nfields < CONF_FIELDS_MAX) {
		struct penstock_field *field;

		field = &call->fields[request->nfields++];
		field->name = next_string(&at, end);
		field->value = next_string(&at, end);
	}
}

static void
call_describe(struct call *call, const struct job *job)
{
	const struct exec_request *facts = &job->facts;
	struct penstock_request *request = &call->request;

	request->payload = job->payload + facts->told_len;
	request->length = job->len - facts->told_len;
	request->conn_id = facts->conn;
	request->request_id = facts->tag;
	request->listener = call->conf->listeners[facts->listener].name;
	request->arrived_us = facts->arrived_us;
	request->deadline_us = facts->deadline_us;
	request->family = facts->family;
	request->address = facts->peer;
	request->port = facts->peer_port;
	request->traceparent = describe_trace(call, facts);
	describe_http(call, job);
	describe_id(call, job);
}

/* A module may have gone by penstock_set_content_type(). */
static bool
is_content_type(const char type[PENSTOCK_CONTENT_TYPE_MAX])
{
	for (size_t i = 0; i < PENSTOCK_CONTENT_TYPE_MAX; i++) {
		if (type[i] == '\0')
			return (true);
		if (type[i] < ' ' || type[i] > '~')
			return (false);
	}
	return (false);
}

static bool
may_be_sent(const struct penstock_reply *reply)
{
	return (reply->failed == 0 && reply->length <= reply->capacity &&
	    (reply->status == 0 ||
	    (reply->status >= 200 && reply->status <= 599)) &&
	    is_content_type(reply->content_type));
}

static enum exec_result
call_judge(int returned, const struct penstock_reply *reply)
{
	switch (returned) {
	case PENSTOCK_REPLY:
		return (may_be_sent(reply) ? EXEC_REPLY : EXEC_FAILED);
	case PENSTOCK_SILENT:
		return (EXEC_SILENT);
	}
	return (EXEC_FAILED);
}

/* Behind what is there.  Returns -1 if there is no memory. */
static int
put_behind(struct call *call, const char *bytes, size_t len)
{
	if (len == 0)
		return (0);
	if (len > call->reply.capacity - call->len &&
	    call_make_room(call, call->len, len) == -1)
		return (-1);
	memcpy(call->reply.data + call->len, bytes, len);
	call->len += len;
	return (0);
}

/* Append content type and response fields to the reply; other protocols have
 * none. */
static int
put_http(struct call *call)
{
	size_t fields_len = call->is_http ? call->given.len : 0, type_len;

	call->head.status = (uint16_t)call->reply.status;
	if (call->reply.content_type[0] == '\0' && fields_len == 0)
		return (0);
	type_len = strlen(call->reply.content_type);
	call->head.type_len = (uint16_t)type_len;
	call->head.result |= (uint32_t)fields_len << EXEC_FIELDS_SHIFT;
	if (put_behind(call, call->reply.content_type, type_len) == -1)
		return (-1);
	return (put_behind(call, call->given.bytes, fields_len));
}

/* What is to be sent of what the module returned. */
static void
conclude(struct call *call, const struct job *job, int returned)
{
	struct penstock_reply *reply = &call->reply;

	call->head = (struct exec_reply){
		.tag = job->facts.tag,
		.result = call_judge(returned, reply),
	};
	call->len = 0;
	if (call->head.result != EXEC_REPLY)
		return;
	call->len = reply->length;
	if (put_http(call) == 0)
		return;
	call->len = 0;
	call->head = (struct exec_reply){
		.tag = job->facts.tag,
		.result = EXEC_FAILED,
	};
}

int
call_run(struct call *call, const struct module *module, const struct job *job)
{
	struct penstock_reply *reply = &call->reply;
	struct chunk *draft = call->draft;

	if (draft == NULL && (draft = draft_new()) == NULL)
		return (-1);
	use_draft(call, draft);
	reply->length = 0;
	reply->failed = 0;
	reply->status = 0;
	reply->content_type[0] = '\0';
	call->given.count = 0;
	call->given.len = 0;
	call_describe(call, job);
	conclude(call, job, module->handler->handle(module->state,
	    &call->request, reply));
	return (0);
}
