/* SPDX-License-Identifier: ISC */
/*
 * The table of handlers.
 */
#include "worker/handler.h"

#include <stdlib.h>

#include "worker/queue.h"
#include "worker/worker.h"

static const struct handler_kind *
find_kind(enum conf_handler_type type)
{
	switch (type) {
	case CONF_HANDLER_ECHO:
		return (&handler_echo);
	case CONF_HANDLER_DISCARD:
		return (&handler_discard);
	case CONF_HANDLER_COMMAND:
	case CONF_HANDLER_MODULE:
		break;
	}
	return (&handler_executor);
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
		handler->kind = find_kind(handler->conf->type);
		if (handler->kind == &handler_executor &&
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
