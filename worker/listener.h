/* SPDX-License-Identifier: ISC */
/*
 * A listener as a worker sees it: what its connections have in common.
 */
#ifndef WORKER_LISTENER_H
#define WORKER_LISTENER_H

#include "common/counters.h"
#include "conf/conf.h"
#include "worker/deadline.h"
#include "worker/handler.h"

struct worker;

struct listener {
	struct worker *worker;
	const struct conf_listener *conf;
	struct handler *handler;
	struct counters_listener *counters;	/* in our block */
	struct deadline_queue deadlines[DEADLINE_KINDS];
	uint16_t number;			/* in every block */
};

/* Its place in the configuration. */
uint16_t listener_index(const struct listener *);

/* Returns -1 with errno set. */
int listeners_init(struct worker *);
void listeners_free(struct worker *);

/*
 * Whether the listener, or the server, has as many connections as it may have;
 * *why says which.  All workers' connections count, each once, also while one is
 * handed over: their mappings are read without a lock, so each worker may exceed
 * the limit by one.
 */
bool listener_is_full(const struct listener *, enum reject_reason *why);

#endif
