/* SPDX-License-Identifier: ISC */
#include "worker/conn_record.h"

#include <netinet/in.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/shared.h"
#include "worker/worker.h"

struct conn_record *
conn_record(const struct conn *conn)
{
	return (&conn->listener->worker->conns.records[conn->index]);
}

static void
record_peer(struct conn_record *record, const struct sockaddr *peer)
{
	const struct sockaddr_in *in = (const void *)peer;
	const struct sockaddr_in6 *in6 = (const void *)peer;

	record->family = (uint8_t)peer->sa_family;
	switch (peer->sa_family) {
	case AF_INET:
		memcpy(record->peer, &in->sin_addr, sizeof(in->sin_addr));
		record->peer_port = ntohs(in->sin_port);
		break;
	case AF_INET6:
		memcpy(record->peer, &in6->sin6_addr, sizeof(in6->sin6_addr));
		record->peer_port = ntohs(in6->sin6_port);
		break;
	}
}

/* Ids are never used again: they count up over all workers of the slot, and
 * their remainder is the slot. */
static uint64_t
next_id(const struct heritage *heritage)
{
	struct counters_map *map = heritage->counters[heritage->slot].map;

	return ((__atomic_fetch_add(&map->conns_begun, 1, __ATOMIC_RELAXED) + 1)
	    * CONF_WORKERS_MAX + heritage->slot);
}

void
conn_record_open(struct conn *conn, const struct sockaddr *peer)
{
	struct worker *worker = conn->listener->worker;
	struct conn_record *record = conn_record(conn);

	seqlock_write_begin(&record->seq);
	record->listener = conn->listener->number;
	record->state = CONN_READING;
	record->id = next_id(worker->heritage);
	record->opened_ms = worker->now_ms;
	record->since_ms = worker->now_ms;
	record->messages = 0;
	record->bytes_in = 0;
	record->bytes_out = 0;
	memset(record->peer, 0, sizeof(record->peer));
	record->peer_port = 0;
	record->requests = 0;
	record_peer(record, peer);
	seqlock_write_end(&record->seq);
}

void
conn_record_rename(struct conn *conn, const struct sockaddr *peer)
{
	struct conn_record *record = conn_record(conn);

	seqlock_write_begin(&record->seq);
	memset(record->peer, 0, sizeof(record->peer));
	record->peer_port = 0;
	record_peer(record, peer);
	seqlock_write_end(&record->seq);
}

void
conn_record_adopt(struct conn *conn, const struct handover_conn *from)
{
	struct conn_record *record = conn_record(conn);

	seqlock_write_begin(&record->seq);
	record->listener = conn->listener->number;
	record->state = CONN_READING;
	record->id = from->id;
	record->opened_ms = from->opened_ms;
	record->since_ms = from->since_ms;
	record->messages = from->messages;
	record->bytes_in = from->bytes_in;
	record->bytes_out = from->bytes_out;
	memcpy(record->peer, from->peer, sizeof(record->peer));
	record->peer_port = from->peer_port;
	record->family = from->family;
	seqlock_write_end(&record->seq);
}

void
conn_record_clear(struct conn_record *record)
{
	seqlock_write_begin(&record->seq);
	record->family = 0;
	record->id = 0;
	seqlock_write_end(&record->seq);
}

static const char *
record_print_peer(const struct conn_record *record, char text[CONN_PEER_MAX])
{
	char addr[INET6_ADDRSTRLEN];

	if (record->family == AF_UNIX)
		return ("unix");
	inet_ntop(record->family, record->peer, addr, sizeof(addr));
	snprintf(text, CONN_PEER_MAX,
	    record->family == AF_INET6 ? "[%s]:%u" : "%s:%u", addr,
	    record->peer_port);
	return (text);
}

const char *
conn_peer(const struct conn *conn, char text[CONN_PEER_MAX])
{
	return (record_print_peer(conn_record(conn), text));
}

const char *
conn_print_peer(const struct sockaddr *peer, char text[CONN_PEER_MAX])
{
	struct conn_record record = { .seq = 0 };

	record_peer(&record, peer);
	return (record_print_peer(&record, text));
}

/*
 * Counting and logging.
 */

void
conn_count_hold(struct conn *conn)
{
	struct counters_listener *counters = conn->listener->counters;

	counter_add(&counters->active, 1);
	counter_add(&conn->listener->worker->counters->active, 1);
	if (counter_get(&counters->active) > counter_get(&counters->peak))
		counter_set(&counters->peak, counter_get(&counters->active));
}

void
conn_count_open(struct conn *conn)
{
	counter_add(&conn->listener->counters->accepted, 1);
	conn_count_hold(conn);
}

void
conn_count_offer(struct conn *conn)
{
	counter_add(&conn->listener->counters->carried_out, 1);
}

void
conn_count_return(struct conn *conn)
{
	counter_add(&conn->listener->counters->carried_in, 1);
}

void
conn_count_gone(struct conn *conn)
{
	counter_sub(&conn->listener->counters->active, 1);
	counter_sub(&conn->listener->worker->counters->active, 1);
}

/* It is another listener's from now on. */
static void
count_move(const struct conn *conn, unsigned from)
{
	const struct heritage *heritage = conn->listener->worker->heritage;
	struct counters_map *map = heritage->counters[heritage->slot].map;
	uint64_t *left = &map->block[heritage->block].listener[from].moved;

	counter_add(&conn->listener->counters->moved, 1);
	counter_set(left, counter_get(left) - 1);
}

void
conn_count_enter(const struct conn *conn, unsigned from)
{
	counter_add(&conn->listener->counters->carried_in, 1);
	if (from != conn->listener->number)
		count_move(conn, from);
}

void
conn_count_close(struct conn *conn)
{
	counter_add(&conn->listener->counters->closed[conn->reason], 1);
	conn_count_gone(conn);
}

void
conn_count_in(struct conn *conn, size_t bytes)
{
	counter_add(&conn->listener->counters->bytes_in, bytes);
	counter_add(&conn_record(conn)->bytes_in, bytes);
}

void
conn_count_out(struct conn *conn, size_t bytes)
{
	counter_add(&conn->listener->counters->bytes_out, bytes);
	counter_add(&conn_record(conn)->bytes_out, bytes);
}

void
conn_log_open(const struct conn *conn, const char *via)
{
	char peer[CONN_PEER_MAX];

	if (via == NULL)
		LOG(INFO, CONN_OPEN,
		    F_U64("conn", conn_record(conn)->id),
		    F_STR("listener", conn->listener->conf->name),
		    F_STR("peer", conn_peer(conn, peer)));
	else
		LOG(INFO, CONN_OPEN,
		    F_U64("conn", conn_record(conn)->id),
		    F_STR("listener", conn->listener->conf->name),
		    F_STR("peer", conn_peer(conn, peer)),
		    F_STR("via", via));
}

void
conn_log_close(const struct conn *conn)
{
	const struct conn_record *record = conn_record(conn);
	char peer[CONN_PEER_MAX];

	LOG(INFO, CONN_CLOSE,
	    F_U64("conn", record->id),
	    F_STR("listener", conn->listener->conf->name),
	    F_STR("peer", conn_peer(conn, peer)),
	    F_STR("reason", close_reason_name(conn->reason)),
	    F_U64("duration_ms",
		conn->listener->worker->now_ms - record->opened_ms),
	    F_U64("messages", record->messages),
	    F_U64("bytes_in", record->bytes_in),
	    F_U64("bytes_out", record->bytes_out));
}

void
conn_log_error(const struct conn *conn, enum close_reason reason)
{
	char peer[CONN_PEER_MAX];

	LOG_CLIENT(WARN, CONN_ERROR,
	    F_U64("conn", conn_record(conn)->id),
	    F_STR("listener", conn->listener->conf->name),
	    F_STR("peer", conn_peer(conn, peer)),
	    F_STR("reason", close_reason_name(reason)));
}

void
conn_log_header(const struct conn *conn, enum close_reason reason,
    const char *wrong)
{
	char peer[CONN_PEER_MAX];

	LOG_CLIENT(WARN, CONN_ERROR,
	    F_U64("conn", conn_record(conn)->id),
	    F_STR("listener", conn->listener->conf->name),
	    F_STR("peer", conn_peer(conn, peer)),
	    F_STR("reason", close_reason_name(reason)),
	    F_STR("proxy_header", wrong));
}
