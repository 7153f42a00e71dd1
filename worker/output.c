/* SPDX-License-Identifier: ISC */
#include "worker/output.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "worker/conn_record.h"
#include "worker/custody.h"
#include "worker/memory.h"
#include "worker/transport.h"
#include "worker/worker.h"

enum {
	/* What is gathered, then head, payload and tail of one more reply. */
	PARTS_MAX = 4,
	/* Of a reply that is gathered. */
	OUTPUT_PAYLOAD_MAX = OUTPUT_SIZE - PROTO_HEAD_MAX - PROTO_TAIL_MAX,
};

int
output_init(struct output *output)
{
	output->owner = NULL;
	output->len = 0;
	output->bytes = malloc(OUTPUT_SIZE);
	return (output->bytes == NULL ? -1 : 0);
}

void
output_free(struct output *output)
{
	free(output->bytes);
}

void
output_begin(struct output *output, const struct conn *conn)
{
	/* Nobody is run from within another one. */
	assert(output->owner == NULL);
	output->owner = conn;
	output->proto = conn_proto(conn);
	output->input = OUTPUT_INPUT_NONE;
	output->len = 0;
}

void
output_end(struct output *output)
{
	output->owner = NULL;
	output->len = 0;
}

/* Returns the number of bytes that the kernel took, or -1 with errno set. */
static ssize_t
output_send_parts(struct conn *conn, struct iovec *parts, size_t nparts)
{
	ssize_t n = transport_send(conn, parts, nparts);

	if (n > 0)
		conn_count_out(conn, (size_t)n);
	return (n);
}

/* Keep what is left of the parts after the first taken bytes. */
static int
output_keep_rest(struct conn *conn, const struct iovec *parts, size_t nparts,
    size_t taken)
{
	struct conn_pending *pending;
	size_t rest = 0;

	for (size_t i = 0; i < nparts; i++)
		rest += parts[i].iov_len;
	if ((rest -= taken) == 0)
		return (0);
	if ((pending = conn_pending(conn)) == NULL ||
	    memory_reserve(conn, &pending->out, rest) == -1)
		return (-1);
	for (size_t i = 0; i < nparts; i++) {
		const uint8_t *bytes = parts[i].iov_base;
		size_t len = parts[i].iov_len;
		size_t skip = taken < len ? taken : len;

		taken -= skip;
		buffer_append(pending->out, bytes + skip, len - skip);
	}
	return (0);
}

/* Write the parts, or put them behind what is owed already. */
static int
output_write_parts(struct conn *conn, struct iovec *parts, size_t nparts)
{
	ssize_t n = 0;

	if (!conn_owes(conn) &&
	    (n = output_send_parts(conn, parts, nparts)) == -1)
		return (-1);
	return (output_keep_rest(conn, parts, nparts, (size_t)n));
}

static void
output_gather(struct output *output, const void *bytes, size_t len)
{
	memcpy(output->bytes + output->len, bytes, len);
	output->len += len;
}

int
output_flush(struct output *output, struct conn *conn)
{
	struct iovec part = { output->bytes, output->len };

	assert(output->owner == conn);
	if (output->len == 0)
		return (0);
	output->len = 0;
	return (output_write_parts(conn, &part, 1));
}

/* The client may go on as soon as it has this reply, before the turn ends: if that
 * leaves nothing to do, say so now. */
static void
output_settle(const struct output *output, const struct conn *conn,
    const struct exchange *exchange, const struct iovec *parts, size_t nparts)
{
	size_t leaving = 0;

	if (output->input == OUTPUT_INPUT_MORE ||
	    (exchange != NULL && exchange->close))
		return;
	for (size_t i = 0; i < nparts; i++)
		leaving += parts[i].iov_len;
	custody_settle(conn, leaving, output->input == OUTPUT_INPUT_LAST);
}

/* Send a reply that is not copied, behind what is gathered. */
static int
output_write_reply(struct output *output, struct conn *conn,
    const struct exchange *exchange, const struct buffer *fields,
    const struct payload *payload)
{
	const struct conf_listener *conf = conn->listener->conf;
	const struct proto *proto = output->proto;
	uint8_t head[PROTO_HEAD_MAX + PROTO_FIELDS_MAX];
	struct proto_framing framing = { .head = head, .fields = fields };
	struct iovec parts[PARTS_MAX];
	size_t nparts = 0;

	proto->frame(&framing, payload->len, conf, exchange);
	parts[nparts++] = (struct iovec){ output->bytes, output->len };
	parts[nparts++] = (struct iovec){ framing.head, framing.head_len };
	if (!framing.is_bare)
		parts[nparts++] = (struct iovec){
		    (void *)(uintptr_t)payload->bytes, payload->len };
	parts[nparts++] = (struct iovec){ framing.tail, framing.tail_len };
	output->len = 0;
	output_settle(output, conn, exchange, parts, nparts);
	if (output_write_parts(conn, parts, nparts) == -1)
		return (-1);
	FAULT("large_sent");
	return (0);
}

int
output_reply(struct output *output, struct conn *conn,
    const struct exchange *exchange, const struct buffer *fields,
    const struct payload *payload)
{
	const struct conf_listener *conf = conn->listener->conf;
	const struct proto *proto = output->proto;
	struct proto_framing framing;
	size_t len = payload->len;

	assert(output->owner == conn);
	if (len == 0 && !proto->empty)
		return (0);
	if (fields != NULL)
		len += fields->len;
	if (len > OUTPUT_PAYLOAD_MAX)
		return (output_write_reply(output, conn, exchange, fields,
		    payload));
	if (OUTPUT_PAYLOAD_MAX - len < output->len &&
	    output_flush(output, conn) == -1)
		return (-1);
	framing.head = output->bytes + output->len;
	framing.fields = fields;
	framing.is_bare = false;
	proto->frame(&framing, payload->len, conf, exchange);
	output->len += framing.head_len;
	if (!framing.is_bare)
		output_gather(output, payload->bytes, payload->len);
	if (framing.tail_len > 0)
		output_gather(output, framing.tail, framing.tail_len);
	return (0);
}

ssize_t
output_resume(struct conn *conn)
{
	struct buffer **out = &conn->pending->out;
	struct iovec part = { (*out)->bytes, (*out)->len };
	ssize_t n;

	n = output_send_parts(conn, &part, 1);
	if (n > 0)
		buffer_consume(&conn->listener->worker->buffers, out,
		    (size_t)n);
	return (n);
}

void
output_tell(struct conn *conn, struct exchange *exchange,
    enum proto_trouble trouble, const char *text)
{
	const struct conf_listener *conf = conn->listener->conf;
	const struct proto *proto = conn_proto(conn);
	const struct proto_progress none = { .scanned = 0 };
	struct proto_room room;
	uint8_t head[PROTO_HEAD_MAX];
	struct proto_framing framing = { .head = head };
	struct payload payload;
	struct iovec parts[3];

	if (exchange == NULL && proto->has_exchange) {
		exchange = (struct exchange *)room.bytes;
		proto->glimpse((const uint8_t *)"", 0, conf, &none,
		    exchange);
	}
	payload = proto_explain(proto, trouble, text, exchange);
	proto->frame(&framing, payload.len, conf, exchange);
	parts[0] = (struct iovec){ framing.head, framing.head_len };
	parts[1] = (struct iovec){
	    (void *)(uintptr_t)payload.bytes,
	    framing.is_bare ? 0 : payload.len };
	parts[2] = (struct iovec){ framing.tail, framing.tail_len };
	(void)output_send_parts(conn, parts, 3);
}
