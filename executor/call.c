/* SPDX-License-Identifier: ISC */
#include "executor/call.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <stdio.h>

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

static void
use_draft(struct call *call, struct chunk *draft)
{
	call->draft = draft;
	call->reply.data = draft->bytes + REPLY_HEAD;
	call->reply.capacity = draft->capacity - REPLY_HEAD;
}

static int
grow(struct penstock_reply *reply, size_t more)
{
	struct call *call = CALL_OF(reply, reply);
	struct chunk *grown = draft_grow(call->draft, reply->length, more);

	if (grown == NULL) {
		reply->failed = 1;
		return (-1);
	}
	use_draft(call, grown);
	return (0);
}

void
call_init(struct call *call, const struct conf *conf, unsigned thread)
{
	*call = (struct call){
		.request = {
			.size = sizeof(call->request),
			.thread = thread,
			.peer = peer,
		},
		.reply = {
			.size = sizeof(call->reply),
			.grow = grow,
		},
		.conf = conf,
	};
}

void
call_free(struct call *call)
{
	free(call->draft);
}

static void
describe(struct penstock_request *request, const struct conf *conf,
    const struct job *job)
{
	const struct exec_request *facts = &job->facts;

	request->payload = job->payload;
	request->length = job->len;
	request->conn_id = facts->conn;
	request->request_id = facts->tag;
	request->listener = conf->listeners[facts->listener].name;
	request->arrived_us = facts->arrived_us;
	request->deadline_us = facts->deadline_us;
	request->family = facts->family;
	request->address = facts->peer;
	request->port = facts->peer_port;
}

static enum exec_result
judge(int returned, const struct penstock_reply *reply)
{
	switch (returned) {
	case PENSTOCK_REPLY:
		if (reply->failed != 0 || reply->length > reply->capacity)
			break;
		return (EXEC_REPLY);
	case PENSTOCK_SILENT:
		return (EXEC_SILENT);
	}
	return (EXEC_FAILED);
}

int
call_run(struct call *call, const struct module *module, const struct job *job,
    enum exec_result *result)
{
	struct penstock_reply *reply = &call->reply;
	struct chunk *draft = call->draft;

	if (draft == NULL && (draft = draft_new()) == NULL)
		return (-1);
	use_draft(call, draft);
	reply->length = 0;
	reply->failed = 0;
	describe(&call->request, call->conf, job);
	*result = judge(module->handler->handle(module->state, &call->request,
	    reply), reply);
	if (*result != EXEC_REPLY)
		reply->length = 0;
	return (0);
}
