/* SPDX-License-Identifier: ISC */
/*
 * What is kept of a request of HTTP while a handler works on it.
 */
#ifndef WORKER_HTTP_FACTS_H
#define WORKER_HTTP_FACTS_H

#include "worker/http.h"
#include "worker/request.h"

/* In one piece of memory, for free(3). */
struct http_facts {
	struct http_exchange exchange;
};

/* NULL with errno set. */
struct http_facts *http_facts_new(const struct http_head *);
/* The same for a reply that only waits for its turn. */
struct http_facts *http_facts_of(const struct http_exchange *);

/* NULL if the request is of another protocol. */
struct http_exchange *http_exchange_of(const struct request *);

#endif
