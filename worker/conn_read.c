/* SPDX-License-Identifier: ISC */
/*
 * What comes in: bytes, the messages in them, and their way to a handler.
 */
#include "worker/conn_internal.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "worker/conn_record.h"
#include "worker/custody.h"
#include "worker/memory.h"
#include "worker/transport.h"

/* The bytes that one read brought, with those that were there before. */
struct input {
	uint8_t *bytes;
	size_t len;
	struct proto_progress progress;	/* of the protocol, with them */
	bool full;		/* the kernel may have more */
};

/*
 * Messages.
 */

/* Tell the client what is wrong; no more messages of it are handled.  Returns
 * -1 with errno set. */
static int
refuse(struct conn *conn, enum close_reason reason, enum proto_trouble trouble,
    const char *text, struct exchange *exchange)
{
	conn_end_after_replies(conn, reason);
	conn_log_error(conn, reason);
	return (conn_explain(conn, trouble, text, exchange));
}

/* What its client calls the request stands there already; else it is that
 * message of its connection. */
void
conn_name_request(const struct conn *conn, struct exchange *exchange)
{
	const struct conn_record *record = conn_record(conn);

	if (*exchange->id == '\0' && !exchange->is_unread)
		trace_print_id(exchange->id, record->id,
		    counter_get(&record->messages) + 1);
}

static int
refuse_unparsed(struct conn *conn, enum proto_verdict verdict,
    struct exchange *exchange)
{
	const struct proto *proto = conn_proto(conn);

	if (exchange != NULL)
		conn_name_request(conn, exchange);
	if (verdict == PROTO_TOO_LARGE)
		return (refuse(conn, CLOSE_TOO_LARGE, TROUBLE_REFUSED,
		    proto->too_large, exchange));
	return (refuse(conn, CLOSE_MALFORMED, TROUBLE_REFUSED,
	    proto->malformed, exchange));
}

/* There is no room for a message that begins in the input, of which so much has
 * come. */
static int
refuse_for_memory(struct conn *conn, const uint8_t *bytes, size_t len,
    const struct proto_progress *progress)
{
	const struct proto *proto = conn_proto(conn);
	struct exchange *exchange = NULL;
	struct proto_room room;

	if (proto->has_exchange) {
		exchange = (struct exchange *)room.bytes;
		proto->glimpse(bytes, len, conn->listener->conf, progress,
		    exchange);
		conn_name_request(conn, exchange);
	}
	return (refuse(conn, CLOSE_MEMORY, TROUBLE_BUSY, proto->busy,
	    exchange));
}

/* Whether a request is the last that its connection may bring; more bytes of
 * the peer's may be there. */
static bool
is_last_request(const struct conn *conn, unsigned max, bool more)
{

	if (max > 0 && counter_get(&conn_record(conn)->messages) + 1 >= max)
		return (true);
	return (!more && conn_is_last_of_drain(conn));
}

enum answered {
	ANSWERED,		/* or will be */
	ANSWER_LATER,		/* the handler has no room for it */
	ANSWER_FAILED,		/* errno tells */
};

static struct handler *
handler_of(const struct conn *conn, const struct proto_message *message)
{
	if (message->exchange == NULL || message->handler == PROTO_NO_ROUTE)
		return (conn->listener->handler);
	return (&conn_worker(conn)->handlers[message->handler]);
}

static void
begin_trace(struct conn *conn, const struct handler *handler,
    const struct proto_message *message)
{
	struct trace_context parent;
	bool has_parent = message->exchange != NULL &&
	    trace_context_parse(&parent,
	    (const char *)message->traceparent.bytes,
	    message->traceparent.len);

	trace_begin(conn, handler, has_parent ? &parent : NULL);
}

static enum answered
answer(struct conn *conn, const struct proto_message *message)
{
	struct handler *handler = handler_of(conn, message);
	struct counters_listener *counters = conn->listener->counters;
	enum span_result result = SPAN_SILENT;
	struct payload reply = { .len = 0 };
	bool later = false;
	int sent = 0;

	if (conn_worker(conn)->tracing.on)
		begin_trace(conn, handler, message);
	switch (handler->handle(handler, conn, message, &reply)) {
	case HANDLER_REPLY:
		counter_add(&counters->messages_out, 1);
		result = SPAN_REPLIED;
		sent = conn_reply(conn, message->exchange, &reply);
		break;
	case HANDLER_BUSY:
		result = SPAN_BUSY;
		sent = conn_reply_text(conn, handler->conf->busy,
		    message->exchange);
		break;
	case HANDLER_FULL:
		return (ANSWER_LATER);
	case HANDLER_SILENT:
		if (message->exchange != NULL)
			sent = conn_explain(conn, TROUBLE_SILENT, NULL,
			    message->exchange);
		break;
	case HANDLER_LATER:
		later = true;
		break;
	}
	counter_add(&counters->messages_in, 1);
	counter_add(&conn_record(conn)->messages, 1);
	if (!later && trace_is_told(conn_worker(conn)))
		trace_end(conn, message->exchange, result);
	return (sent == -1 ? ANSWER_FAILED : ANSWERED);
}

/* A message that no handler gets. */
static enum answered
answer_unhandled(struct conn *conn, struct exchange *exchange)
{
	if (conn_explain(conn, TROUBLE_REFUSED, NULL, exchange) == -1)
		return (ANSWER_FAILED);
	/* The next one has another number. */
	counter_add(&conn_record(conn)->messages, 1);
	return (ANSWERED);
}

/* Do with a message, which may be no handler's matter, what is to be done. */
static enum answered
take_message(struct conn *conn, const struct proto_message *message,
    enum proto_verdict verdict, bool more)
{
	struct exchange *exchange = message->exchange;
	enum answered answered;

	FAULT_WITH("message", message->payload, message->len);
	if (exchange == NULL)
		return (answer(conn, message));
	exchange->close |= is_last_request(conn, message->max_messages, more);
	conn_name_request(conn, exchange);
	answered = verdict == PROTO_MESSAGE ? answer(conn, message) :
	    answer_unhandled(conn, exchange);
	if (answered == ANSWERED && exchange->close && !conn->finishing)
		conn_end_after_replies(conn, conn_worker(conn)->drain.closing ?
		    CLOSE_DRAIN : CLOSE_DONE);
	return (answered);
}

/* Skip what belongs to no message, from a place in the input on.  Returns where
 * the next one begins. */
static size_t
skip_from(const struct proto *proto, const struct input *input, size_t at,
    struct proto_progress *progress)
{
	return (at + proto_skip(proto, input->bytes + at, input->len - at,
	    progress));
}

/*
 * Handle the whole messages at the head of the input, up to one that has to
 * wait or ends the connection.  Returns the number of bytes used up, or -1 with
 * errno set.
 */
static ssize_t
handle_messages(struct conn *conn, struct input *input)
{
	const struct conf_listener *conf = conn->listener->conf;
	const struct proto *proto = conn_proto(conn);
	struct output *output = &conn_worker(conn)->output;
	struct proto_room room;
	struct proto_message found = {
		/* For parse() to fill. */
		/* cppcheck-suppress uninitvar */
		.exchange = proto->has_exchange ?
		    (struct exchange *)room.bytes : NULL,
	};
	enum proto_verdict verdict;
	struct proto_progress next;
	enum answered answered;
	size_t used = skip_from(proto, input, 0, &input->progress), end;

	while (used < input->len && conn_may_handle(conn)) {
		verdict = proto->parse(input->bytes + used,
		    input->len - used, conf, &input->progress, &found);
		if (verdict == PROTO_MORE)
			break;
		if (verdict == PROTO_INTERIM) {
			if (conn_reply(conn, found.exchange,
			    &conn_no_payload) == -1)
				return (-1);
			continue;
		}
		if (verdict != PROTO_MESSAGE && verdict != PROTO_ANSWERED) {
			if (refuse_unparsed(conn, verdict,
			    found.exchange) == -1)
				return (-1);
			break;
		}
		next = (struct proto_progress){ .scanned = 0 };
		end = skip_from(proto, input, used + found.consumed, &next);
		output->input = end < input->len ? OUTPUT_INPUT_MORE :
		    OUTPUT_INPUT_LAST;
		answered = take_message(conn, &found, verdict,
		    end < input->len);
		output->input = OUTPUT_INPUT_NONE;
		if (answered == ANSWER_FAILED)
			return (-1);
		if (answered == ANSWER_LATER)
			break;
		input->progress = next;
		used = end;
	}
	return ((ssize_t)used);
}

/*
 * Reading.
 */

/* Keep the rest of the input, which stands in the scratch buffer. */
static int
keep_unfinished(struct conn *conn, const struct input *input, size_t used)
{
	struct conn_pending *pending;
	size_t left = input->len - used;

	if ((pending = conn_pending(conn)) == NULL ||
	    memory_reserve(conn, &pending->in, left) == -1)
		return (-1);
	buffer_append(pending->in, input->bytes + used, left);
	pending->progress = input->progress;
	return (0);
}

/* Handle what has come, and keep what is left.  Returns -1 with errno set. */
static int
handle_input(struct conn *conn, struct input *input)
{
	struct buffer_pool *buffers = &conn_worker(conn)->buffers;
	bool is_timed_anew;
	ssize_t used;
	size_t left;

	if ((used = handle_messages(conn, input)) == -1)
		return (-1);
	is_timed_anew = input->progress.is_timed_anew;
	input->progress.is_timed_anew = false;
	left = input->len - (size_t)used;
	if (conn->finishing)
		return (0);
	if (conn_in_mid_message(conn)) {
		conn->pending->progress = input->progress;
		if (used > 0)
			buffer_consume(buffers, &conn->pending->in,
			    (size_t)used);
	} else if (left > 0 &&
	    keep_unfinished(conn, input, (size_t)used) == -1)
		return (refuse_for_memory(conn, input->bytes + used, left,
		    &input->progress));
	if (left == 0 || used > 0 || conn->deadline != DEADLINE_READ ||
	    is_timed_anew)
		conn_set_deadline(conn);
	if (conn->pending != NULL)
		conn->pending->unhandled = left > 0 && !conn_may_handle(conn);
	return (0);
}

/* A short rest of what came before is read on in the scratch buffer, so that a
 * stream whose messages lie across the reads is read in large pieces too. */
static bool
fits_scratch(const struct conn *conn)
{
	return (conn->pending->in->len <= WORKER_SCRATCH / 4);
}

/* Room behind an unfinished message: its buffer grows with the bytes that came,
 * never with what a header claims.  Returns -1 with errno set. */
static int
make_room(struct conn *conn)
{
	if (!conn_in_mid_message(conn) || fits_scratch(conn))
		return (0);
	return (memory_reserve(conn, &conn->pending->in, BUFFER_MIN));
}

/* Whether no more is to be read of the message that has begun, as memory is
 * short.  Where none has, only so much is read that to keep it costs little. */
static bool
has_to_starve(const struct conn *conn)
{
	return (conn_in_mid_message(conn) && conn->pending->in->len >=
	    CONN_READ_SHORT && memory_is_short(conn_worker(conn)));
}

/* Read behind the unfinished message, if there is one.  Returns as recv(2). */
static ssize_t
read_input(struct conn *conn, struct input *input)
{
	struct worker *worker = conn_worker(conn);
	struct buffer *in = conn_in_mid_message(conn) ? conn->pending->in : NULL;
	size_t had = in != NULL ? in->len : 0, room = WORKER_SCRATCH - had;
	bool in_scratch = in == NULL || fits_scratch(conn);
	ssize_t n;

	*input = (struct input){ .bytes = worker->scratch };
	if (in != NULL)
		input->progress = conn->pending->progress;
	if (in != NULL && in_scratch)
		memcpy(worker->scratch, in->bytes, had);
	if (!in_scratch) {
		input->bytes = in->bytes;
		room = in->cap - had;
	}
	if (room > CONN_READ_SHORT && memory_is_short(worker))
		room = CONN_READ_SHORT;
	if (conn->is_local)
		custody_begin_read(conn);
	if ((n = transport_receive(conn, input->bytes + had, room)) <= 0)
		return (n);
	if (in != NULL && in_scratch)
		buffer_release(&worker->buffers, &conn->pending->in);
	else if (in != NULL)
		in->len += (size_t)n;
	input->len = had + (size_t)n;
	input->full = (size_t)n == room;
	FAULT("received");
	conn_count_in(conn, (size_t)n);
	return (n);
}

/* The messages that were left when the peer did not take their replies. */
static int
handle_unhandled(struct conn *conn)
{
	struct input input;

	if (conn->pending == NULL || !conn->pending->unhandled)
		return (0);
	input = (struct input){
		.bytes = conn->pending->in->bytes,
		.len = conn->pending->in->len,
		.progress = conn->pending->progress,
	};
	return (handle_input(conn, &input));
}

static enum conn_next
at_eof(struct conn *conn)
{
	conn->eof = true;
	conn_end_after_replies(conn, conn_in_mid_message(conn) ?
	    CLOSE_ABORTED : CLOSE_EOF);
	return (CONN_SETTLE);
}

enum conn_next
conn_read_messages(struct conn *conn)
{
	struct input input;
	ssize_t n;

	if (handle_unhandled(conn) == -1)
		return (conn_fail(conn));
	if (!conn_may_handle(conn))
		return (CONN_SETTLE);
	for (int i = 0; i < CONN_READS_PER_TURN; i++) {
		if (has_to_starve(conn)) {
			conn_starve(conn);
			break;
		}
		if (make_room(conn) == -1) {
			if (refuse_for_memory(conn, conn->pending->in->bytes,
			    conn->pending->in->len,
			    &conn->pending->progress) == -1)
				return (conn_fail(conn));
			break;
		}
		n = read_input(conn, &input);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1 || (n > 0 && handle_input(conn, &input) == -1))
			return (conn_fail(conn));
		if (n == 0)
			return (at_eof(conn));
		if (!input.full || !conn_may_handle(conn))
			break;
	}
	return (CONN_SETTLE);
}
