/* SPDX-License-Identifier: ISC */
/*
 * What comes before the messages where clients come through proxies: a header
 * that names the client.
 *
 * Nothing is handled before the header is there.  Until then the connection
 * stays with its worker: it is no older than the deadline of its header.
 */
#include "worker/conn_internal.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/custody.h"
#include "worker/memory.h"
#include "worker/proxy_header.h"
#include "worker/transport.h"

/* Keep bytes, in the buffer for what is not complete. */
static int
proxy_keep(struct conn *conn, const uint8_t *bytes, size_t len)
{
	struct conn_pending *pending = conn_pending(conn);

	if (pending == NULL || memory_reserve(conn, &pending->in, len) == -1)
		return (-1);
	buffer_append(pending->in, bytes, len);
	return (0);
}

/* Read after the bytes that are there.  Returns as recv(2). */
static ssize_t
proxy_read(struct conn *conn, size_t *len)
{
	uint8_t *scratch = conn_worker(conn)->scratch;
	ssize_t n;

	*len = 0;
	if (conn_in_mid_message(conn)) {
		*len = conn->pending->in->len;
		memcpy(scratch, conn->pending->in->bytes, *len);
	}
	if (conn->is_local)
		custody_begin_read(conn);
	n = transport_receive(conn, scratch + *len, PROXY_HEADER_MAX - *len);
	if (n > 0)
		conn_count_in(conn, (size_t)n);
	return (n);
}

static enum conn_next
proxy_wait(const struct conn *conn)
{
	custody_settle(conn, 0, false);
	return (CONN_WAIT);
}

/* The client is who the header says. */
static void
proxy_name_client(struct conn *conn, const struct proxy_header *header)
{
	char text[CONN_PEER_MAX];
	const char *via = conn_peer(conn, text);

	if (!header->has_client) {
		conn_log_open(conn, NULL);
		return;
	}
	conn->proxied = true;
	custody_note_proxied(conn);
	conn_record_rename(conn, (const struct sockaddr *)&header->client);
	conn_log_open(conn, via);
}

/* The header is there: what came with it is the protocol's. */
static enum conn_next
proxy_take(struct conn *conn, const struct proxy_header *header, size_t len)
{
	const uint8_t *rest = conn_worker(conn)->scratch + header->len;

	if (conn_in_mid_message(conn))
		buffer_release(&conn_worker(conn)->buffers, &conn->pending->in);
	proxy_name_client(conn, header);
	if (len > header->len) {
		if (proxy_keep(conn, rest, len - header->len) == -1)
			return (conn_fail(conn));
		conn->pending->unhandled = true;
	}
	if (conn_enter(conn, CONN_READING) == -1)
		return (conn_fail(conn));
	custody_enter(conn);
	return (CONN_AGAIN);
}

enum conn_next
conn_read_header(struct conn *conn)
{
	const uint8_t *bytes = conn_worker(conn)->scratch;
	struct proxy_header header;
	size_t len;
	ssize_t n;

	if ((n = proxy_read(conn, &len)) == -1)
		return (errno == EAGAIN ? proxy_wait(conn) : conn_fail(conn));
	if (n == 0) {
		conn->eof = true;
		conn->reason = len > 0 ? CLOSE_ABORTED : CLOSE_EOF;
		return (CONN_DONE);
	}
	switch (proxy_header_parse(bytes, len + (size_t)n, &header)) {
	case PROXY_MORE:
		if (proxy_keep(conn, bytes + len, (size_t)n) == -1)
			return (conn_fail(conn));
		return (proxy_wait(conn));
	case PROXY_WHOLE:
		return (proxy_take(conn, &header, len + (size_t)n));
	case PROXY_INVALID:
		break;
	}
	conn_log_header(conn, CLOSE_MALFORMED, header.wrong);
	conn->reason = CLOSE_MALFORMED;
	return (CONN_DONE);
}
