/* SPDX-License-Identifier: ISC */
#include "monitor/connections.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/counters.h"
#include "common/record.h"
#include "monitor/json.h"
#include "monitor/names.h"

struct found {
	struct conn_record record;
	unsigned slot;
	uint64_t key;			/* the higher, the earlier in the list */
};

/* The connections with the highest keys so far, and some that came after. */
struct search {
	const struct connections_query *query;
	struct found *found;
	size_t n, room;
	uint64_t all;			/* that were met */
};

/*
 * Sorting.
 */

enum sort { BY_ID, BY_AGE, BY_IDLE, BY_MESSAGES, BY_IN, BY_OUT, BY_REQUESTS };

int
connections_find_sort(const char *name)
{
	static const char *const names[] = {
		[BY_ID] = "id",
		[BY_AGE] = "age",
		[BY_IDLE] = "idle",
		[BY_MESSAGES] = "messages",
		[BY_IN] = "bytes_in",
		[BY_OUT] = "bytes_out",
		[BY_REQUESTS] = "requests",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], name) == 0)
			return ((int)i);
	return (-1);
}

static uint64_t
key_of(const struct conn_record *record, enum sort sort)
{
	switch (sort) {
	case BY_ID:		return (UINT64_MAX - record->id);
	case BY_AGE:		return (UINT64_MAX - record->opened_ms);
	case BY_IDLE:		return (UINT64_MAX - record->since_ms);
	case BY_MESSAGES:	return (record->messages);
	case BY_IN:		return (record->bytes_in);
	case BY_OUT:		return (record->bytes_out);
	case BY_REQUESTS:	return (record->requests);
	}
	return (0);
}

/* Of equals the one with the lower id is first, so that two requests see the
 * same order. */
static int
compare_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->key != y->key)
		return (x->key < y->key ? 1 : -1);
	return (x->record.id > y->record.id ? 1 : -1);
}

/* Keep no more than the best: those that are to be listed. */
static void
search_trim(struct search *search)
{
	if (search->n == 0)
		return;
	qsort(search->found, search->n, sizeof(*search->found), compare_found);
	if (search->n > search->query->limit)
		search->n = search->query->limit;
}

/* There is room for twice the limit, so that few connections cause a sort. */
static int
search_make_room(struct search *search)
{
	size_t room = search->room == 0 ? 64 : 2 * search->room;
	struct found *found;

	if (search->n < search->room)
		return (0);
	if (search->n >= 2 * search->query->limit) {
		search_trim(search);
		return (0);
	}
	found = reallocarray(search->found, room, sizeof(*found));
	if (found == NULL)
		return (-1);
	search->found = found;
	search->room = room;
	return (0);
}

/*
 * Looking.
 */

/* Called for each connection; a result other than 0 ends the search. */
typedef int (*visit_fn)(const struct conn_record *, unsigned slot, void *arg);

static int
visit_block(const struct counters *counters, unsigned block, unsigned slot,
    visit_fn visit, void *arg)
{
	const struct conn_record *records = counters_records(counters, block);
	struct conn_record record;
	uint32_t first, end = 0;
	int status;

	while (counters_find_records(counters, block, end, &first, &end))
		for (uint32_t i = first; i < end; i++)
			if (conn_record_copy(&record, &records[i]) &&
			    (status = visit(&record, slot, arg)) != 0)
				return (status);
	return (0);
}

static int
visit_all(const struct heritage *heritage, visit_fn visit, void *arg)
{
	const struct counters *counters;
	int status;

	for (unsigned slot = 0; slot < heritage->ncounters; slot++) {
		counters = &heritage->counters[slot];
		for (unsigned i = 0; i < COUNTERS_BLOCKS; i++) {
			status = visit_block(counters, i, slot, visit, arg);
			if (status != 0)
				return (status);
		}
	}
	return (0);
}

static int
consider(const struct conn_record *record, unsigned slot, void *arg)
{
	struct search *search = arg;

	if (search->query->listener != -1 &&
	    record->listener != search->query->listener)
		return (0);
	search->all++;
	if (search_make_room(search) == -1)
		return (-1);
	search->found[search->n++] = (struct found){
		.record = *record, .slot = slot,
		.key = key_of(record, (enum sort)search->query->sort),
	};
	return (0);
}

static int
compare_id(const struct conn_record *record, unsigned slot, void *arg)
{
	const uint64_t *id = arg;

	(void)slot;
	return (record->id == *id);
}

bool
connections_have(const struct heritage *heritage, uint64_t id)
{
	return (visit_all(heritage, compare_id, &id) == 1);
}

/*
 * Telling.
 */

static const char *
state_name(uint8_t state)
{
	switch ((enum conn_state)state) {
	case CONN_READING:	return ("reading");
	case CONN_DISPATCHED:	return ("dispatched");
	case CONN_WRITING:	return ("writing");
	case CONN_CLOSING:	return ("closing");
	case CONN_PROXY_HEADER:	return ("proxy_header");
	case CONN_PARKED:	break;
	}
	return ("unknown");
}

static void
connections_put_peer(struct json *json, const struct conn_record *record)
{
	char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];

	if (record->family == AF_UNIX || inet_ntop(record->family,
	    record->peer, address, sizeof(address)) == NULL) {
		json_str(json, "peer", "unix");
		return;
	}
	snprintf(text, sizeof(text), record->family == AF_INET6 ?
	    "[%s]:%u" : "%s:%u", address, record->peer_port);
	json_str(json, "peer", text);
}

static void
put_conn(struct json *json, const struct heritage *heritage,
    const struct found *found, uint64_t now_ms)
{
	const struct conn_record *record = &found->record;
	const char *listener = names_listener(heritage, record->listener);

	json_open(json, NULL, '{');
	json_number(json, "id", record->id);
	connections_put_peer(json, record);
	json_str(json, "listener",
	    listener != NULL ? listener : "unknown");
	json_number(json, "slot", found->slot);
	json_str(json, "state", state_name(record->state));
	json_seconds(json, "age_seconds",
	    clock_us_between(record->opened_ms, now_ms));
	json_seconds(json, "idle_seconds",
	    clock_us_between(record->since_ms, now_ms));
	json_number(json, "messages", record->messages);
	json_number(json, "bytes_in", record->bytes_in);
	json_number(json, "bytes_out", record->bytes_out);
	json_number(json, "requests", record->requests);
	json_close(json, '}');
	putc('\n', json->out);
}

int
connections_print(FILE *out, const struct heritage *heritage,
    const struct connections_query *query, uint64_t now_ms)
{
	struct search search = { .query = query };
	struct json json = { .out = out };

	if (visit_all(heritage, consider, &search) != 0) {
		free(search.found);
		return (-1);
	}
	search_trim(&search);
	json_open(&json, NULL, '{');
	json_number(&json, "schema", CONNECTIONS_SCHEMA);
	json_number(&json, "total", search.all);
	json_open(&json, "connections", '[');
	for (size_t i = 0; i < search.n; i++)
		put_conn(&json, heritage, &search.found[i], now_ms);
	json_close(&json, ']');
	json_close(&json, '}');
	putc('\n', out);
	free(search.found);
	return (0);
}
