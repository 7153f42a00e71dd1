/* SPDX-License-Identifier: ISC */
#include "worker/handler.h"

#include <stdlib.h>

#include "worker/conn.h"
#include "worker/proto.h"
#include "worker/queue.h"
#include "worker/worker.h"

/* The reply is the message. */
static enum handler_verdict
handler_echo(struct handler *handler, struct conn *conn,
    const struct proto_message *message, struct payload *reply)
{
	(void)handler;
	(void)conn;
	*reply = (struct payload){ message->payload, message->len };
	return (HANDLER_REPLY);
}

/* The message is taken, and nothing is answered. */
static enum handler_verdict
handler_discard(struct handler *handler, struct conn *conn,
    const struct proto_message *message, struct payload *reply)
{
	(void)handler;
	(void)conn;
	(void)message;
	(void)reply;
	return (HANDLER_SILENT);
}

/* The message goes to a process that runs the user's code. */
static enum handler_verdict
handler_executor(struct handler *handler, struct conn *conn,
    const struct proto_message *message, struct payload *reply)
{
	(void)reply;
	return (queue_submit(handler->queue, conn, message));
}

static handler_function *
handler_function_of(enum conf_handler_type type)
{
	switch (type) {
	case CONF_HANDLER_ECHO:
		return (handler_echo);
	case CONF_HANDLER_DISCARD:
		return (handler_discard);
	case CONF_HANDLER_COMMAND:
	case CONF_HANDLER_MODULE:
		break;
	}
	return (handler_executor);
}

int
handlers_init(struct worker *worker)
{
	const struct conf *conf = worker->heritage->conf;
	struct handler *handler;

	worker->handlers = calloc(conf->nhandlers, sizeof(*worker->handlers));
	if (worker->handlers == NULL)
		return (-1);
	worker->nhandlers = conf->nhandlers;
	for (size_t i = 0; i < conf->nhandlers; i++) {
		handler = &worker->handlers[i];
		handler->conf = &conf->handlers[i];
		handler->handle = handler_function_of(handler->conf->type);
		if (handler->handle == handler_executor &&
		    (handler->queue = queue_new(worker, handler, i)) == NULL)
			return (-1);
	}
	return (0);
}

void
handlers_free(struct worker *worker)
{
	for (size_t i = 0; i < worker->nhandlers; i++)
		queue_free(worker->handlers[i].queue);
	free(worker->handlers);
}

/* As if it had just come, to a handler that answers at once. */
static void
handle_now(struct request *request)
{
	struct handler *handler = request->handler;
	struct buffer_pool *buffers = &request->conn->listener->worker->buffers;
	struct buffer *message = request->payload, *kept = NULL;
	struct payload reply;
	struct proto_message whole = {
		.payload = message != NULL ? message->bytes : NULL,
		.len = message != NULL ? message->len : 0,
	};

	request->state = REQUEST_DONE;
	request->result = REQUEST_SILENT;
	if (handler->handle(handler, request->conn, &whole, &reply) ==
	    HANDLER_REPLY) {
		request->result = REQUEST_REPLIED;
		if (buffer_reserve(buffers, &kept, reply.len) == 0)
			buffer_append(kept, reply.bytes, reply.len);
		else
			request->result = REQUEST_FAILED;
	}
	buffer_release(buffers, &message);
	request->payload = kept;
}

void
handler_readmit(struct request *request)
{
	if (request->handler->queue != NULL)
		lane_readmit(request->handler->queue, request);
	else
		handle_now(request);
}

unsigned
handler_number(const struct worker *worker, const struct handler *handler)
{
	return (worker->heritage->handler_number[handler - worker->handlers]);
}

struct handler *
handler_by_number(const struct worker *worker, unsigned number)
{
	for (size_t i = 0; i < worker->nhandlers; i++)
		if (worker->heritage->handler_number[i] == number)
			return (&worker->handlers[i]);
	return (NULL);
}

_Static_assert(CONF_HANDLERS_MAX <= 64, "a bit for each");

uint64_t
handlers_at_rest(const struct worker *worker)
{
	uint64_t at_rest = 0;

	for (size_t i = 0; i < worker->nhandlers; i++)
		if (worker->handlers[i].queue != NULL &&
		    queue_is_at_rest(worker->handlers[i].queue))
			at_rest |= UINT64_C(1) << i;
	return (at_rest);
}

void
handlers_pump(struct worker *worker)
{
	for (size_t i = 0; i < worker->nhandlers; i++)
		if (worker->handlers[i].queue != NULL)
			lanes_make_roomy(worker->handlers[i].queue);
}
