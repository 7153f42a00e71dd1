/* SPDX-License-Identifier: ISC */
#include "worker/http_facts.h"

#include <stdlib.h>

struct http_facts *
http_facts_of(const struct http_exchange *exchange)
{
	struct http_facts *facts;

	if ((facts = malloc(sizeof(*facts))) != NULL)
		facts->exchange = *exchange;
	return (facts);
}

struct http_facts *
http_facts_new(const struct http_head *head)
{
	return (http_facts_of(&head->exchange));
}

struct http_exchange *
http_exchange_of(const struct request *request)
{
	return (request->http != NULL ? &request->http->exchange : NULL);
}
