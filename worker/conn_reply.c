/* SPDX-License-Identifier: ISC */
/*
 * What goes out: replies in the order of their requests.
 */
#include "worker/conn_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "worker/access_log.h"
#include "worker/memory.h"
#include "worker/transport.h"

const struct payload conn_no_payload = { .bytes = (const uint8_t *)"" };

/*
 * Replies that are there at once.
 */

void
conn_write_access(const struct conn *conn, const struct exchange *exchange,
    uint64_t arrived_us, size_t len)
{
	struct access_facts facts = {
		.arrived_us = arrived_us != 0 ? arrived_us : clock_us(),
	};

	conn_proto(conn)->log(exchange, &facts);
	access_log_add(conn_worker(conn)->access_log, conn, &facts, len);
}

/* Keep what is needed yet of a request that has its reply. */
static int
keep_facts(struct conn *conn, struct request *request,
    const struct exchange *exchange)
{
	const struct proto *proto = request->proto;
	bool is_logged = conn_worker(conn)->access_log != NULL;

	if (memory_reserve(conn, &request->facts,
	    proto->keep_size(exchange, NULL, is_logged)) == -1)
		return (-1);
	request->exchange = proto->keep(request->facts->bytes, exchange, NULL,
	    is_logged);
	return (0);
}

/* A request of which nothing is left to do but to reply.  NULL with errno
 * set. */
static struct request *
make_done(struct conn *conn, const struct exchange *exchange)
{
	struct request *request;

	if ((request = calloc(1, sizeof(*request))) == NULL)
		return (NULL);
	request->conn = conn;
	request->proto = conn_proto(conn);
	request->state = REQUEST_DONE;
	if (exchange == NULL)
		return (request);
	request->arrived_us = clock_us();
	if (keep_facts(conn, request, exchange) == 0)
		return (request);
	free(request);
	return (NULL);
}

int
conn_fail_request(struct conn *conn, const struct handler *handler,
    uint8_t brief)
{
	const struct proto *proto = conn_proto(conn);
	struct exchange *exchange = NULL;
	struct request *request;
	struct proto_room room;

	if (proto->has_exchange) {
		exchange = (struct exchange *)room.bytes;
		proto->recall(brief, exchange);
		if (exchange->close)
			conn_end_after_replies(conn, CLOSE_DONE);
	}
	if ((request = make_done(conn, exchange)) == NULL)
		return (-1);
	request->handler = (struct handler *)(uintptr_t)handler;
	request->result = REQUEST_FAILED;
	return (conn_add_request(conn, request));
}

int
conn_reply(struct conn *conn, struct exchange *exchange,
    const struct payload *reply)
{
	struct worker *worker = conn_worker(conn);
	struct request *request;

	if (!conn_awaits(conn)) {
		conn_log_access(conn, exchange, 0, reply->len);
		return (output_reply(&worker->output, conn, exchange, NULL,
		    reply));
	}
	if ((request = make_done(conn, exchange)) == NULL)
		return (-1);
	if (memory_reserve(conn, &request->payload, reply->len) == -1) {
		request_free(worker, request);
		return (-1);
	}
	buffer_append(request->payload, reply->bytes, reply->len);
	return (conn_add_request(conn, request));
}

int
conn_explain(struct conn *conn, enum proto_trouble trouble,
    const char *text, struct exchange *exchange)
{
	struct payload payload = proto_explain(conn_proto(conn), trouble,
	    text, exchange);

	return (conn_reply(conn, exchange, &payload));
}

int
conn_reply_text(struct conn *conn, const char *text, struct exchange *exchange)
{
	if (*text != '\0')
		return (conn_explain(conn, TROUBLE_BUSY, text, exchange));
	conn_end_after_replies(conn, CLOSE_HANDLER);
	return (0);
}

bool
conn_is_last_of_drain(const struct conn *conn)
{
	return (departure_is_closing(conn) && !transport_has_unread(conn));
}

/*
 * Replies that come later.
 */

/* Send the reply of a request whose turn it is; fields are those of its handler,
 * or NULL. */
static int
send_now(struct conn *conn, const struct request *request,
    const struct buffer *fields, const struct payload *reply)
{
	conn_log_access(conn, request->exchange, request->arrived_us,
	    reply->len);
	return (output_reply(&conn_worker(conn)->output, conn,
	    request->exchange, fields, reply));
}

/* As conn_reply_text(), but for one whose turn it is. */
static int
send_text(struct conn *conn, enum proto_trouble trouble, const char *text,
    const struct request *request)
{
	struct payload payload;

	if (*text != '\0') {
		payload = proto_explain(request->proto, trouble, text,
		    request->exchange);
		return (send_now(conn, request, NULL, &payload));
	}
	conn_end_after_replies(conn, CLOSE_HANDLER);
	return (0);
}

static int
send_silence(struct conn *conn, const struct request *request)
{
	struct payload payload;

	if (request->exchange == NULL)
		return (0);
	payload = request->proto->explain(TROUBLE_SILENT, request->exchange);
	return (send_now(conn, request, NULL, &payload));
}

/* Send the reply of the first request, which is done. */
static int
send_reply(struct conn *conn, const struct request *request,
    const struct payload *reply)
{
	const struct conf_handler *conf = NULL;

	if (request->handler != NULL)
		conf = request->handler->conf;
	switch ((enum request_result)request->result) {
	case REQUEST_REPLIED:
		/* Those that were there at once are counted already. */
		if (request->handler != NULL)
			counter_add(&conn->listener->counters->messages_out,
			    1);
		return (send_now(conn, request, request->fields, reply));
	case REQUEST_SILENT:
		return (send_silence(conn, request));
	case REQUEST_BUSY:
		return (send_text(conn, TROUBLE_BUSY, conf->busy, request));
	case REQUEST_TIMEOUT:
		return (send_text(conn, TROUBLE_TIMEOUT, conf->timeout,
		    request));
	case REQUEST_FAILED:
		return (send_text(conn, TROUBLE_FAILED, conf->failed,
		    request));
	}
	return (0);
}

/* Before the reply of a request that is no longer in the list: it can say that
 * nothing will follow. */
static void
announce_end(struct conn *conn, const struct request *request)
{
	struct exchange *exchange = request->exchange;

	if (exchange == NULL || exchange->is_interim || exchange->close ||
	    conn->finishing || conn_awaits(conn) ||
	    conn_in_mid_message(conn) || !conn_is_last_of_drain(conn))
		return;
	exchange->close = true;
	conn_end_after_replies(conn, CLOSE_DRAIN);
}

static enum span_result
span_result_of(const struct request *request)
{
	switch ((enum request_result)request->result) {
	case REQUEST_REPLIED:
		break;
	case REQUEST_SILENT:
		return (SPAN_SILENT);
	case REQUEST_BUSY:
		return (SPAN_BUSY);
	case REQUEST_TIMEOUT:
		return (SPAN_TIMEOUT);
	case REQUEST_FAILED:
		return (SPAN_FAILED);
	}
	return (SPAN_REPLIED);
}

/* The first request is done: send its reply, unless an earlier one could not be
 * sent. */
static int
finish_first(struct conn *conn, bool is_broken)
{
	struct request *request = conn_take_request(conn);
	const struct buffer *kept = request->payload;
	struct payload reply = conn_no_payload;
	int sent = 0;

	if (kept != NULL)
		reply = (struct payload){ kept->bytes, kept->len };
	else if (request->reply.len > 0)
		reply = request->reply;
	announce_end(conn, request);
	if (!is_broken)
		sent = send_reply(conn, request, &reply);
	if (request->handler != NULL)
		trace_end_later(conn_worker(conn), request,
		    span_result_of(request));
	request_free(conn_worker(conn), request);
	return (sent);
}

int
conn_finish_done(struct conn *conn)
{
	struct request *first;
	int why = 0;

	while ((first = TAILQ_FIRST(&conn->pending->requests)) != NULL &&
	    first->state == REQUEST_DONE)
		if (finish_first(conn, why != 0) == -1)
			why = errno;
	/* A reply that was "close" ends the others' wait. */
	if (conn->finishing && conn->reason == CLOSE_HANDLER)
		conn_abandon_requests(conn);
	errno = why;
	return (why == 0 ? 0 : -1);
}
