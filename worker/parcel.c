/* SPDX-License-Identifier: ISC */
#include "worker/parcel.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/conn.h"
#include "worker/conn_record.h"
#include "worker/lineage.h"
#include "worker/memory.h"
#include "worker/queue.h"
#include "worker/transport.h"
#include "worker/worker.h"

enum {
	/* The most bytes of the description of a request. */
	TOLD_MAX = 4 * 1048576,
};

/*
 * Wrapping up.
 */

static uint64_t
length_of(const struct buffer *buffer)
{
	return (buffer != NULL ? buffer->len : 0);
}

static int
append(struct parcel_bytes *store, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;
	ssize_t n;

	if (store->fd == -1) {
		store->fd = memfd_create("penstock-handover", MFD_CLOEXEC);
		if (store->fd == -1)
			return (-1);
	}
	while (len > 0) {
		n = pwrite(store->fd, from, len, (off_t)store->len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (-1);
		from += n;
		len -= (size_t)n;
		store->len += (uint64_t)n;
	}
	return (0);
}

static int
append_buffer(struct parcel_bytes *store, const struct buffer *buffer)
{
	return (buffer == NULL ? 0 :
	    append(store, buffer->bytes, buffer->len));
}

static int
append_exchange(struct parcel_bytes *store, const struct request *request,
    const struct proto_packed *packed)
{
	if (request->exchange == NULL)
		return (0);
	if (append(store, packed->bytes, sizeof(packed->bytes)) == -1 ||
	    append(store, packed->told.bytes, packed->told.len) == -1)
		return (-1);
	return (append(store, packed->logged.bytes, packed->logged.len));
}

static int
append_trace(struct parcel_bytes *store, const struct request *request)
{
	struct handover_trace trace;

	if (request->trace == NULL)
		return (0);
	trace_pack(request->trace, &trace);
	return (append(store, &trace, sizeof(trace)));
}

static int
append_request(struct parcel_bytes *store, const struct worker *worker,
    const struct request *request)
{
	struct handover_request head = {
		.arrived_us = request->arrived_us,
		.number = request->number,
		.begun_us = request->begun_us,
		.len = length_of(request->payload),
		.state = request->state,
		.result = request->result,
		.fields_len = (uint16_t)length_of(request->fields),
	};
	struct proto_packed packed;

	/* The previous version has no place for them. */
	if (head.fields_len > 0 && store->version == HANDOVER_PREVIOUS) {
		errno = EPROTONOSUPPORT;
		return (-1);
	}
	if (request->handler == NULL)
		head.flags |= HANDOVER_AT_ONCE;
	if (request->exchange != NULL) {
		request->proto->pack(request->exchange, &packed);
		head.flags |= HANDOVER_EXCHANGE;
		head.told_len = (uint32_t)packed.told.len;
		head.logged_len = (uint32_t)packed.logged.len;
	}
	if (request->trace != NULL)
		head.flags |= HANDOVER_TRACED;
	if (request->is_routed)
		head.route = (uint16_t)(handler_number(worker,
		    request->handler) + 1);
	return (append(store, &head, sizeof(head)) == -1 ||
	    append_trace(store, request) == -1 ||
	    append_exchange(store, request, &packed) == -1 ||
	    append_buffer(store, request->fields) == -1 ? -1 :
	    append_buffer(store, request->payload));
}

static int
pack_pending(const struct conn *conn, struct handover_conn *to,
    struct parcel_bytes *store)
{
	const struct conn_pending *pending = conn->pending;
	const struct request *request;

	to->blame = blame_pack(&pending->blame,
	    conn->listener->worker->now_ms);
	to->in_len = length_of(pending->in);
	if (pending->in != NULL)
		to->progress = pending->progress;
	to->out_len = length_of(pending->out);
	to->taken = pending->taken;
	to->unsent = pending->unsent;
	to->nrequests = pending->nrequests;
	if (pending->unhandled)
		to->flags |= HANDOVER_UNHANDLED;
	if (append_buffer(store, pending->in) == -1 ||
	    append_buffer(store, pending->out) == -1)
		return (-1);
	TAILQ_FOREACH(request, &pending->requests, of_conn)
		if (append_request(store, conn->listener->worker,
		    request) == -1)
			return (-1);
	return (0);
}

int
parcel_pack(const struct conn *conn, struct handover_conn *to,
    struct parcel_bytes *store)
{
	const struct conn_record *record = conn_record(conn);

	*to = (struct handover_conn){
		.id = record->id,
		.opened_ms = record->opened_ms,
		.since_ms = record->since_ms,
		.messages = record->messages,
		.bytes_in = record->bytes_in,
		.bytes_out = record->bytes_out,
		.offset = store->len,
		.listener = record->listener,
		.peer_port = record->peer_port,
		.family = record->family,
		.deadline = conn->deadline,
		.reason = conn->reason,
	};
	memcpy(to->peer, record->peer, sizeof(to->peer));
	if (conn->finishing)
		to->flags |= HANDOVER_FINISHING;
	if (conn->eof)
		to->flags |= HANDOVER_EOF;
	/* The previous version knows only the client. */
	if (conn->proxied && store->version != HANDOVER_PREVIOUS)
		to->flags |= HANDOVER_PROXIED;
	if (conn->pending != NULL && pack_pending(conn, to, store) == -1)
		return (-1);
	to->size = store->len - to->offset;
	return (0);
}

/*
 * Unwrapping.
 */

/* A reader of one connection's part of the memfd. */
struct reader {
	const struct parcel_bytes *store;
	uint64_t at;
	uint64_t end;
};

static int
read_bytes(struct reader *reader, void *bytes, uint64_t len)
{
	uint8_t *to = bytes;
	ssize_t n;

	if (len > reader->end - reader->at) {
		errno = EPROTO;
		return (-1);
	}
	while (len > 0) {
		n = pread(reader->store->fd, to, len, (off_t)reader->at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = EPROTO;		/* shorter than was said */
			return (-1);
		}
		to += n;
		len -= (uint64_t)n;
		reader->at += (uint64_t)n;
	}
	return (0);
}

/* No connection is closed to make room for one that another worker serves. */
static int
read_buffer(struct reader *reader, struct buffer_pool *buffers,
    struct buffer **buffer, uint64_t len)
{
	if (len == 0)
		return (0);
	if (len > reader->end - reader->at) {
		errno = EPROTO;
		return (-1);
	}
	if (buffer_reserve(buffers, buffer, len) == -1 ||
	    read_bytes(reader, (*buffer)->bytes, len) == -1)
		return (-1);
	(*buffer)->len = len;
	return (0);
}

/* The place in its trace of a request that has its handler. */
static int
read_trace(struct reader *reader, struct request *request,
    const struct handover_request *head)
{
	struct handover_trace trace;

	if ((head->flags & HANDOVER_TRACED) == 0)
		return (0);
	if (read_bytes(reader, &trace, sizeof(trace)) == -1)
		return (-1);
	if (trace_unpack(request, &trace) == 0)
		return (0);
	errno = EPROTO;
	return (-1);
}

/* The exchange of a request, and the response fields of its reply. */
static int
read_exchange(struct reader *reader, struct buffer_pool *buffers,
    struct request *request, const struct handover_request *head)
{
	const struct proto *proto = request->proto;
	struct proto_packed packed = {
		.told.len = head->told_len, .logged.len = head->logged_len,
	};
	size_t len = packed.told.len + packed.logged.len;

	if ((head->flags & HANDOVER_EXCHANGE) == 0)
		return (0);
	if (read_bytes(reader, packed.bytes, sizeof(packed.bytes)) == -1 ||
	    buffer_reserve(buffers, &request->facts,
	    proto->kept_len + len) == -1 ||
	    read_bytes(reader, request->facts->bytes + proto->kept_len,
	    len) == -1 ||
	    read_buffer(reader, buffers, &request->fields,
	    head->fields_len) == -1)
		return (-1);
	request->exchange = proto->unpack(request->facts->bytes, &packed,
	    request->fields);
	if (request->exchange != NULL)
		return (0);
	errno = EPROTO;
	return (-1);
}

static bool
is_sound_request(const struct handover_request *head, const struct conn *conn)
{
	bool has_exchange = conn_proto(conn)->has_exchange;

	if (head->flags > HANDOVER_REQUEST_FLAGS ||
	    has_exchange != ((head->flags & HANDOVER_EXCHANGE) != 0) ||
	    (!has_exchange && (head->told_len > 0 || head->logged_len > 0 ||
	    head->route > 0 || head->fields_len > 0)) ||
	    (head->fields_len > 0 && head->state != REQUEST_DONE) ||
	    head->told_len > TOLD_MAX || head->logged_len > TOLD_MAX)
		return (false);
	if ((head->flags & HANDOVER_AT_ONCE) != 0)
		return (head->state == REQUEST_DONE &&
		    head->result == REQUEST_REPLIED &&
		    (head->flags & HANDOVER_TRACED) == 0);
	if (head->state == REQUEST_PARKED)
		return (!has_exchange || head->told_len > 0);
	return (head->state == REQUEST_DONE && head->result <= REQUEST_FAILED);
}

/* The handler that a route has chosen may not be in this configuration. */
static void
find_handler(struct request *request, const struct handover_request *head)
{
	const struct listener *listener = request->conn->listener;

	if ((head->flags & HANDOVER_AT_ONCE) != 0)
		return;
	request->handler = listener->handler;
	if (head->route == 0)
		return;
	request->handler = handler_by_number(listener->worker,
	    head->route - 1U);
	request->is_routed = request->handler != NULL;
	if (request->handler != NULL)
		return;
	request->handler = listener->handler;
	if (request->state == REQUEST_PARKED) {
		request->state = REQUEST_DONE;
		request->result = REQUEST_BUSY;
	}
}

static int
read_request(struct reader *reader, struct conn *conn)
{
	struct worker *worker = conn->listener->worker;
	struct handover_request head;
	struct request *request;

	if (read_bytes(reader, &head, sizeof(head)) == -1)
		return (-1);
	if (!is_sound_request(&head, conn)) {
		errno = EPROTO;
		return (-1);
	}
	if ((request = calloc(1, sizeof(*request))) == NULL)
		return (-1);
	request->conn = conn;
	request->proto = conn_proto(conn);
	request->arrived_us = head.arrived_us;
	request->number = head.number;
	request->begun_us = head.begun_us;
	request->state = head.state;
	request->result = head.result;
	find_handler(request, &head);
	if (read_trace(reader, request, &head) == -1 ||
	    read_exchange(reader, &worker->buffers, request, &head) == -1 ||
	    read_buffer(reader, &worker->buffers, &request->payload,
	    head.len) == -1 ||
	    conn_add_request(conn, request) == -1) {
		request_free(worker, request);
		return (-1);
	}
	return (0);
}

/* A reader of the part that is the next one's. */
static int
claim_part(struct reader *reader, const struct handover_conn *from,
    struct parcel_bytes *store)
{
	if (from->offset != store->at || from->size > store->len - store->at) {
		errno = EPROTO;
		return (-1);
	}
	store->at += from->size;
	*reader = (struct reader){
		.store = store, .at = from->offset, .end = store->at,
	};
	return (0);
}

static int
unpack_pending(struct conn *conn, const struct handover_conn *from,
    struct reader *reader)
{
	struct buffer_pool *buffers = &conn->listener->worker->buffers;
	struct conn_pending *pending;

	if (from->in_len == 0 && from->out_len == 0 && from->nrequests == 0)
		return (0);
	if ((pending = conn_pending(conn)) == NULL ||
	    read_buffer(reader, buffers, &pending->in, from->in_len) == -1 ||
	    read_buffer(reader, buffers, &pending->out, from->out_len) == -1)
		return (-1);
	for (uint32_t i = 0; i < from->nrequests; i++)
		if (read_request(reader, conn) == -1)
			return (-1);
	if (pending->in != NULL)
		pending->progress = from->progress;
	pending->taken = from->taken;
	pending->unsent = from->unsent;
	pending->unhandled = pending->in != NULL &&
	    (from->flags & HANDOVER_UNHANDLED) != 0;
	return (0);
}

static int
unpack_blame(struct conn *conn, uint32_t packed)
{
	if (packed == 0)
		return (0);
	if (conn_pending(conn) == NULL)
		return (-1);
	blame_unpack(&conn->pending->blame, packed,
	    conn->listener->worker->now_ms);
	return (0);
}

static bool
parcel_is_sound(const struct handover_conn *from)
{
	return (from->flags <= HANDOVER_FLAGS &&
	    from->deadline < DEADLINE_KINDS &&
	    from->reason < CLOSE_REASON_COUNT &&
	    (from->family == AF_INET || from->family == AF_INET6 ||
	    from->family == AF_UNIX));
}

struct conn *
parcel_unpack(struct worker *worker, const struct handover_conn *from,
    struct parcel_bytes *store, int fd)
{
	struct listener *listener = lineage_find(store->lineage,
	    from->listener, fd);
	struct reader reader;
	struct conn *conn;
	int saved;

	if (listener == NULL || !parcel_is_sound(from) ||
	    !proto_can_resume(protos[listener->conf->protocol], &from->progress,
	    from->in_len)) {
		errno = EPROTO;
		return (NULL);
	}
	if (claim_part(&reader, from, store) == -1)
		return (NULL);
	/* The memory that is left is for connections that are served here. */
	if (from->size > 0 && memory_is_short(worker)) {
		errno = ENOBUFS;
		return (NULL);
	}
	if ((conn = conn_place(listener, fd)) == NULL)
		return (NULL);
	/* It is served when it is ours for certain. */
	conn_park(conn);
	conn_record_adopt(conn, from);
	transport_open(conn, fd_is_local(fd));
	conn->deadline = from->deadline;
	conn->reason = from->reason;
	conn->finishing = (from->flags & HANDOVER_FINISHING) != 0;
	conn->eof = (from->flags & HANDOVER_EOF) != 0;
	conn->proxied = (from->flags & HANDOVER_PROXIED) != 0;
	if (unpack_blame(conn, from->blame) == 0 &&
	    unpack_pending(conn, from, &reader) == 0) {
		if (reader.at == reader.end)
			return (conn);
		errno = EPROTO;
	}
	saved = errno;
	conn_withdraw(conn);
	errno = saved;
	return (NULL);
}
