/* SPDX-License-Identifier: ISC */
#include "worker/conn.h"

#include <sys/ioctl.h>

#include <linux/sockios.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/access_log.h"
#include "worker/conn_record.h"
#include "worker/http_facts.h"
#include "worker/queue.h"
#include "worker/worker.h"

/* What a state function says of what comes next. */
enum conn_next {
	CONN_AGAIN,		/* the state has changed: run it */
	CONN_WAIT,		/* for the event that is set */
	CONN_DONE,		/* it is over, for conn->reason */
};

/* The bytes that one read brought, with those that were there before. */
struct input {
	uint8_t *bytes;
	size_t len;
	struct proto_progress progress;	/* of the protocol, with them */
	bool full;		/* the kernel may have more */
};

static void conn_on_event(evutil_socket_t, short, void *);

static const struct payload no_payload = { .bytes = (const uint8_t *)"" };

static struct worker *
conn_worker(const struct conn *conn)
{
	return (conn->listener->worker);
}

int
conn_fd(const struct conn *conn)
{
	return (event_get_fd(&conn->event));
}

bool
conn_owes(const struct conn *conn)
{
	return (conn->pending != NULL && conn->pending->out != NULL);
}

static bool
in_mid_message(const struct conn *conn)
{
	return (conn->pending != NULL && conn->pending->in != NULL);
}

/* Whether a handler owes us replies. */
static bool
awaits(const struct conn *conn)
{
	return (conn->pending != NULL && conn->pending->nrequests > 0);
}

/* Whether the next message could be handled now.  One that is to change hands
 * has its last replies awaited, and begins nothing new. */
static bool
may_handle(const struct conn *conn)
{
	const struct conn_pending *pending = conn->pending;

	return (!conn->finishing && (pending == NULL || (pending->out == NULL &&
	    pending->feeds == NULL && !pending->starved &&
	    pending->nrequests < conn->listener->conf->pipeline &&
	    (pending->nrequests == 0 ||
	    !giver_wants(&conn_worker(conn)->giver, conn)))));
}

/* Whether the kernel has bytes of the peer's for us. */
static bool
has_unread(const struct conn *conn)
{
	char byte;

	return (recv(conn_fd(conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

/* The bytes that the kernel has of us and the peer has not taken. */
static size_t
conn_unsent(const struct conn *conn)
{
	int n;

	return (ioctl(conn_fd(conn), SIOCOUTQ, &n) == 0 && n > 0 ?
	    (size_t)n : 0);
}

/*
 * Birth and death.
 */

static int
watch(struct conn *conn, short what)
{
	struct event_base *base = conn_worker(conn)->base;
	int fd = conn_fd(conn);

	event_del(&conn->event);
	event_assign(&conn->event, base, fd, what | EV_PERSIST, conn_on_event,
	    conn);
	return (event_add(&conn->event, NULL));
}

struct conn *
conn_place(struct listener *listener, int fd)
{
	struct worker *worker = listener->worker;
	struct conn *conn;

	if ((conn = conn_table_take(&worker->conns)) == NULL)
		return (NULL);
	conn->listener = listener;
	conn->state = CONN_READING;
	event_assign(&conn->event, worker->base, fd, EV_READ | EV_PERSIST,
	    conn_on_event, conn);
	if (event_add(&conn->event, NULL) == 0)
		return (conn);
	conn_table_give(&worker->conns, conn);
	errno = ENOMEM;
	return (NULL);
}

/* A connection in the table with its event set up and its record filled. */
static struct conn *
conn_make(struct listener *listener, int fd, const struct sockaddr *peer)
{
	struct conn *conn;

	if ((conn = conn_place(listener, fd)) == NULL) {
		close(fd);
		return (NULL);
	}
	conn_record_open(conn, peer);
	return (conn);
}

struct conn *
conn_new(struct listener *listener, int fd, const struct sockaddr *peer)
{
	struct conn *conn;

	if ((conn = conn_make(listener, fd, peer)) == NULL)
		return (NULL);
	deadline_set(conn, DEADLINE_IDLE, listener->worker->now_ms);
	conn_count_open(conn);
	conn_log_open(conn);
	return (conn);
}

/* Tell how many requests are in flight. */
static void
record_requests(const struct conn *conn)
{
	__atomic_store_n(&conn_record(conn)->requests,
	    (uint16_t)conn->pending->nrequests, __ATOMIC_RELAXED);
}

static struct request *
take_first(struct conn *conn)
{
	struct request *request = TAILQ_FIRST(&conn->pending->requests);

	TAILQ_REMOVE(&conn->pending->requests, request, of_conn);
	conn->pending->nrequests--;
	record_requests(conn);
	return (request);
}

/* The input has to wait for memory before it grows. */
static void
starve(struct conn *conn)
{
	struct conn_pending *pending = conn->pending;

	pending->starved = true;
	pending->conn = conn;
	TAILQ_INSERT_TAIL(&conn_worker(conn)->starved, pending, held);
}

static void
end_starving(struct conn *conn)
{
	TAILQ_REMOVE(&conn_worker(conn)->starved, conn->pending, held);
	conn->pending->starved = false;
}

/* Nobody waits for the replies any more. */
static void
abandon_requests(struct conn *conn)
{
	while (awaits(conn))
		request_abandon(take_first(conn));
	if (conn->pending != NULL && conn->pending->feeds != NULL)
		queue_forget_feeder(conn->pending->feeds, conn);
	if (conn->pending != NULL && conn->pending->starved)
		end_starving(conn);
}

static void
pending_free(struct conn *conn)
{
	struct buffer_pool *buffers = &conn_worker(conn)->buffers;

	if (conn->pending == NULL)
		return;
	abandon_requests(conn);
	buffer_release(buffers, &conn->pending->in);
	buffer_release(buffers, &conn->pending->out);
	free(conn->pending);
	conn->pending = NULL;
}

void
conn_free(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	if (worker->gathering == conn) {
		worker->gathering = NULL;
		worker->output.len = 0;
	}
	deadline_clear(conn);
	if (!conn->rejected) {
		conn_count_close(conn);
		conn_log_close(conn);
	}
	conn_forget(conn);
}

static void
release(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	pending_free(conn);
	conn_record_clear(conn);
	conn_table_give(&worker->conns, conn);
	acceptors_on_departure(&worker->acceptors);
}

void
conn_forget(struct conn *conn)
{
	/* Before the close: a duplicate elsewhere would keep it in our set. */
	event_del(&conn->event);
	close(conn_fd(conn));
	release(conn);
}

void
conn_withdraw(struct conn *conn)
{
	event_del(&conn->event);
	release(conn);
}

void
conn_cut(struct conn *conn, enum close_reason reason)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	/* What the peer does not take would stay in the kernel for minutes. */
	if (conn_owes(conn) || conn_unsent(conn) > 0)
		setsockopt(conn_fd(conn), SOL_SOCKET, SO_LINGER, &hard,
		    sizeof(hard));
	conn->reason = (uint8_t)reason;
	conn_free(conn);
}

/*
 * Memory.
 */

struct conn_pending *
conn_pending(struct conn *conn)
{
	if (conn->pending == NULL) {
		conn->pending = calloc(1, sizeof(*conn->pending));
		if (conn->pending != NULL)
			TAILQ_INIT(&conn->pending->requests);
	}
	return (conn->pending);
}

/* An idle connection has no pending part. */
static void
pending_trim(struct conn *conn)
{
	const struct conn_pending *pending = conn->pending;

	if (pending != NULL && pending->in == NULL && pending->out == NULL &&
	    pending->nrequests == 0 && pending->feeds == NULL &&
	    !pending->starved && conn->state != CONN_CLOSING)
		pending_free(conn);
}

int
conn_reserve(struct conn *conn, struct buffer **buffer, size_t room)
{
	return (worker_reserve(conn_worker(conn), conn, buffer, room));
}

/*
 * States.
 */

/* A message that waits for its handler is not its client's fault. */
static enum buffer_use
use_of_input(const struct conn *conn)
{
	return (conn->state == CONN_DISPATCHED && !conn->pending->starved ?
	    BUFFER_HELD : BUFFER_PEER);
}

static void
conn_enter(struct conn *conn, enum conn_state state)
{
	conn->state = (uint8_t)state;
	__atomic_store_n(&conn_record(conn)->state, (uint8_t)state,
	    __ATOMIC_RELAXED);
	if (in_mid_message(conn))
		buffer_use(&conn_worker(conn)->buffers, conn->pending->in,
		    use_of_input(conn));
}

/* Something failed on the way to or from the peer: for which reason the
 * connection ends, by errno. */
static enum conn_next
fail(struct conn *conn)
{
	if (errno == ENOBUFS || errno == ENOMEM)
		conn->reason = CLOSE_MEMORY;
	else if (!conn->eof)
		conn->reason = CLOSE_RESET;
	return (CONN_DONE);
}

static void
set_write_deadline(struct conn *conn)
{
	conn->pending->taken = 0;
	conn->pending->unsent = conn_unsent(conn);
	deadline_set(conn, DEADLINE_WRITE, conn_worker(conn)->now_ms);
}

static enum conn_next
begin_writing(struct conn *conn)
{
	if (watch(conn, EV_WRITE) == -1) {
		errno = ENOMEM;
		return (fail(conn));
	}
	conn_enter(conn, CONN_WRITING);
	set_write_deadline(conn);
	return (CONN_WAIT);
}

/* More messages than may be handled now: no more is read.  Mostly no more comes
 * either, so the event stays until it tells of something: to change it twice
 * for each wait would cost more than all else that a wait costs. */
static enum conn_next
begin_waiting(struct conn *conn)
{
	if (conn->state == CONN_DISPATCHED)
		return (CONN_WAIT);
	if (conn->state != CONN_READING)
		event_del(&conn->event);
	conn_enter(conn, CONN_DISPATCHED);
	deadline_set(conn, DEADLINE_REPLY, conn_worker(conn)->now_ms);
	return (CONN_WAIT);
}

/* Whether the word that the peer waits for, before it sends the rest of its
 * message, still waits itself for the replies before it. */
static bool
owes_continue(const struct conn *conn)
{
	const struct http_exchange *exchange;

	if (!in_mid_message(conn) || !awaits(conn))
		return (false);
	exchange = http_exchange_of(TAILQ_LAST(&conn->pending->requests,
	    request_list));
	return (exchange != NULL && exchange->status == HTTP_CONTINUE);
}

/* What the connection waits for, when it is not to be written to. */
static enum deadline_kind
reading_deadline(const struct conn *conn)
{
	if (in_mid_message(conn) && !owes_continue(conn))
		return (DEADLINE_READ);
	return (awaits(conn) ? DEADLINE_REPLY : DEADLINE_IDLE);
}

static void
set_reading_deadline(struct conn *conn)
{
	deadline_set(conn, reading_deadline(conn), conn_worker(conn)->now_ms);
}

/* One whose peer always has more to say would never come to rest: now that it
 * has, as settle() has told the giver, it reads no more before that has had its
 * chance, at the end of this event. */
static bool
leave_to_giver(struct conn *conn)
{
	const struct giver *giver = &conn_worker(conn)->giver;

	if (!giver_wants(giver, conn) || !giver_has_room(giver))
		return (false);
	if (in_mid_message(conn))
		conn->pending->unhandled = true;
	/* If it has to stay, it goes on. */
	event_active(&conn->event, EV_READ, 0);
	return (true);
}

static enum conn_next
go_on_reading(struct conn *conn)
{
	if (conn->state == CONN_READING) {
		/* The last reply has gone, and now the peer has its turn. */
		if (conn->deadline == DEADLINE_REPLY && !awaits(conn))
			set_reading_deadline(conn);
		return (CONN_WAIT);
	}
	if (!event_pending(&conn->event, EV_READ, NULL) &&
	    watch(conn, EV_READ) == -1) {
		errno = ENOMEM;
		return (fail(conn));
	}
	conn_enter(conn, CONN_READING);
	set_reading_deadline(conn);
	return (leave_to_giver(conn) ? CONN_WAIT : CONN_AGAIN);
}

/*
 * All is said.  Say so, and read on until the peer has seen it: a close with
 * unread input sends a reset, which can destroy the replies under way.
 */
static enum conn_next
begin_closing(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	if (conn->eof || shutdown(conn_fd(conn), SHUT_WR) == -1 ||
	    conn_pending(conn) == NULL || watch(conn, EV_READ) == -1)
		return (CONN_DONE);
	conn->pending->closing_ms = worker->now_ms;
	conn_enter(conn, CONN_CLOSING);
	deadline_set(conn, DEADLINE_LINGER, worker->now_ms);
	return (CONN_AGAIN);
}

/* No more is to be read: what is owed goes first, if anything. */
static enum conn_next
finish(struct conn *conn, enum close_reason reason)
{
	conn->finishing = true;
	conn->reason = (uint8_t)reason;
	if (in_mid_message(conn))
		buffer_release(&conn_worker(conn)->buffers, &conn->pending->in);
	return (conn_owes(conn) ? begin_writing(conn) : begin_closing(conn));
}

/*
 * Reading.
 */

static struct http_exchange *
exchange_of(struct http_head *http)
{
	return (http != NULL ? &http->exchange : NULL);
}

/* Tell the access log of a reply that goes out. */
static void
log_access(const struct conn *conn, const struct http_exchange *exchange,
    const struct access_facts *facts, size_t len)
{
	if (exchange->status != HTTP_CONTINUE)
		access_log_add(conn_worker(conn)->access_log, conn, exchange,
		    facts, len);
}

/* The same, of a request as it has just been read. */
static void
log_head(const struct conn *conn, const struct http_head *http, size_t len)
{
	if (conn_worker(conn)->access_log != NULL && http != NULL)
		log_access(conn, &http->exchange, &(struct access_facts){
		    .method = http->method,
		    .target = http->target,
		    .referer = http->referer,
		    .agent = http->agent,
		    .arrived_us = clock_us(),
		}, len);
}

/* Keep what is needed yet of a request that has its reply. */
static int
keep_facts(struct conn *conn, struct request *request,
    const struct http_head *http)
{
	bool is_logged = conn_worker(conn)->access_log != NULL;

	if (conn_reserve(conn, &request->facts,
	    http_facts_size(http, NULL, is_logged)) == -1)
		return (-1);
	request->http = http_facts_fill(request->facts->bytes, http, NULL,
	    is_logged);
	return (0);
}

/* A request of which nothing is left to do but to reply.  NULL with errno
 * set. */
static struct request *
make_done(struct conn *conn, const struct http_head *http)
{
	struct request *request;

	if ((request = calloc(1, sizeof(*request))) == NULL)
		return (NULL);
	request->conn = conn;
	request->state = REQUEST_DONE;
	if (http == NULL)
		return (request);
	request->arrived_us = clock_us();
	if (keep_facts(conn, request, http) == 0)
		return (request);
	free(request);
	return (NULL);
}

/* Send a reply that is there at once, behind those that are still awaited.
 * Returns -1 with errno set. */
static int
reply_in_turn(struct conn *conn, struct http_head *http,
    const struct payload *reply)
{
	struct worker *worker = conn_worker(conn);
	struct request *request;

	if (!awaits(conn)) {
		log_head(conn, http, reply->len);
		return (output_reply(&worker->output, conn, exchange_of(http),
		    reply));
	}
	if ((request = make_done(conn, http)) == NULL)
		return (-1);
	if (conn_reserve(conn, &request->payload, reply->len) == -1) {
		request_free(worker, request);
		return (-1);
	}
	buffer_append(request->payload, reply->bytes, reply->len);
	return (conn_add_request(conn, request));
}

/* A reply about trouble, in turn. */
static int
explain_in_turn(struct conn *conn, enum proto_trouble trouble,
    const char *text, struct http_head *http)
{
	struct payload payload;

	payload = proto_explain(conn->listener->proto, trouble, text,
	    exchange_of(http));
	return (reply_in_turn(conn, http, &payload));
}

/* What a handler's client is told of trouble; an empty text closes instead. */
static int
reply_text(struct conn *conn, const char *text, struct http_head *http)
{
	if (*text != '\0')
		return (explain_in_turn(conn, TROUBLE_BUSY, text, http));
	conn->finishing = true;
	conn->reason = CLOSE_HANDLER;
	return (0);
}

/* Tell the client what is wrong; no more messages of it are handled.  Returns
 * -1 with errno set. */
static int
refuse(struct conn *conn, enum close_reason reason, enum proto_trouble trouble,
    const char *text, struct http_head *http)
{
	conn->finishing = true;
	conn->reason = (uint8_t)reason;
	conn_log_error(conn, reason);
	return (explain_in_turn(conn, trouble, text, http));
}

/* What its client calls the request stands there already; else it is that
 * message of its connection. */
static void
name_request(const struct conn *conn, struct http_head *http)
{
	const struct conn_record *record = conn_record(conn);

	if (*http->exchange.id == '\0')
		trace_print_id(http->exchange.id, record->id,
		    counter_get(&record->messages) + 1);
}

static int
refuse_unparsed(struct conn *conn, enum proto_verdict verdict,
    struct http_head *http)
{
	const struct proto *proto = conn->listener->proto;

	/* Where the header is not one, there is nothing to name. */
	if (http != NULL && http->method.bytes != NULL)
		name_request(conn, http);
	if (verdict == PROTO_TOO_LARGE)
		return (refuse(conn, CLOSE_TOO_LARGE, TROUBLE_REFUSED,
		    proto->too_large, http));
	return (refuse(conn, CLOSE_MALFORMED, TROUBLE_REFUSED,
	    proto->malformed, http));
}

static int
refuse_for_memory(struct conn *conn)
{
	const struct proto *proto = conn->listener->proto;
	struct http_head http = { .exchange = { .close = true } };

	return (refuse(conn, CLOSE_MEMORY, TROUBLE_BUSY, proto->busy,
	    proto->has_exchange ? &http : NULL));
}

/* A request of HTTP has a reply, though its handler has none. */
static int
reply_silence(struct conn *conn, struct http_head *http)
{
	http->exchange.status = HTTP_NO_CONTENT;
	return (reply_in_turn(conn, http, &no_payload));
}

/* The word that a peer waits for before it sends the body of its request. */
static int
say_continue(struct conn *conn)
{
	struct http_head http = { .exchange = { .status = HTTP_CONTINUE } };

	return (reply_in_turn(conn, &http, &no_payload));
}

/* Whether a worker that drains may end a connection with what is said next, as
 * the peer has not said more. */
static bool
is_last_of_drain(const struct conn *conn)
{
	return (conn_worker(conn)->drain.closing && !has_unread(conn));
}

/* Whether a request is the last that its connection may bring; more bytes of
 * the peer's may be there. */
static bool
is_last_request(const struct conn *conn, bool more)
{
	unsigned max = conn->listener->conf->http.max_requests;

	if (max > 0 && counter_get(&conn_record(conn)->messages) + 1 >= max)
		return (true);
	return (!more && is_last_of_drain(conn));
}

enum answered {
	ANSWERED,		/* or will be */
	ANSWER_LATER,		/* the handler has no room for it */
	ANSWER_FAILED,		/* errno tells */
};

static struct handler *
handler_of(const struct conn *conn, const struct proto_message *message)
{
	if (message->http == NULL || message->http->route == NULL)
		return (conn->listener->handler);
	return (&conn_worker(conn)->handlers[
	    message->http->route->handler_index]);
}

/* head is NULL unless the protocol is HTTP, which carries what its client says
 * of it. */
static void
begin_trace(struct conn *conn, const struct handler *handler,
    const struct http_head *head)
{
	struct trace_context parent;
	bool has_parent = false;

	if (head != NULL && head->traceparent.bytes != NULL)
		has_parent = trace_context_parse(&parent,
		    head->traceparent.bytes, head->traceparent.len);
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
		begin_trace(conn, handler, message->http);
	switch (handler->kind->handle(handler, conn, message, &reply)) {
	case HANDLER_REPLY:
		counter_add(&counters->messages_out, 1);
		result = SPAN_REPLIED;
		sent = reply_in_turn(conn, message->http, &reply);
		break;
	case HANDLER_BUSY:
		result = SPAN_BUSY;
		sent = reply_text(conn, handler->conf->busy, message->http);
		break;
	case HANDLER_FULL:
		return (ANSWER_LATER);
	case HANDLER_SILENT:
		if (message->http != NULL)
			sent = reply_silence(conn, message->http);
		break;
	case HANDLER_LATER:
		later = true;
		break;
	}
	counter_add(&counters->messages_in, 1);
	counter_add(&conn_record(conn)->messages, 1);
	if (!later && trace_is_told(conn_worker(conn)))
		trace_end(conn, exchange_of(message->http), result);
	return (sent == -1 ? ANSWER_FAILED : ANSWERED);
}

/* A request that no route fits. */
static enum answered
answer_unhandled(struct conn *conn, struct http_head *http)
{
	if (explain_in_turn(conn, TROUBLE_REFUSED, NULL, http) == -1)
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
	struct http_exchange *exchange;
	enum answered answered;

	if (message->http == NULL)
		return (answer(conn, message));
	exchange = &message->http->exchange;
	exchange->close |= is_last_request(conn, more);
	name_request(conn, message->http);
	answered = verdict == PROTO_MESSAGE ? answer(conn, message) :
	    answer_unhandled(conn, message->http);
	if (answered == ANSWERED && exchange->close && !conn->finishing) {
		conn->finishing = true;
		conn->reason = conn_worker(conn)->drain.closing ?
		    CLOSE_DRAIN : CLOSE_DONE;
	}
	return (answered);
}

/* Skip what belongs to no message, from a place in the input on.  Returns where
 * the next one begins. */
static size_t
skip_from(const struct conn *conn, const struct input *input, size_t at,
    struct proto_progress *progress)
{
	return (at + proto_skip(conn->listener->proto, input->bytes + at,
	    input->len - at, progress));
}

/*
 * Handle the whole messages at the head of the input, up to one that has to
 * wait or ends the connection.  Returns the number of bytes used up, or -1 with
 * errno set.
 */
static ssize_t
handle_messages(struct conn *conn, struct input *input)
{
	const struct listener *listener = conn->listener;
	struct http_head http;
	struct proto_message found = {
		/* For parse() to fill. */
		/* cppcheck-suppress uninitvar */
		.http = listener->proto->has_exchange ? &http : NULL,
	};
	enum proto_verdict verdict;
	struct proto_progress next;
	enum answered answered;
	size_t used = skip_from(conn, input, 0, &input->progress), end;

	while (used < input->len && may_handle(conn)) {
		verdict = listener->proto->parse(input->bytes + used,
		    input->len - used, listener->conf, &input->progress,
		    &found);
		if (verdict == PROTO_MORE)
			break;
		if (verdict == PROTO_INTERIM) {
			if (say_continue(conn) == -1)
				return (-1);
			continue;
		}
		if (verdict != PROTO_MESSAGE && verdict != PROTO_ANSWERED) {
			if (refuse_unparsed(conn, verdict, found.http) == -1)
				return (-1);
			break;
		}
		next = (struct proto_progress){ .scanned = 0 };
		end = skip_from(conn, input, used + found.consumed, &next);
		answered = take_message(conn, &found, verdict,
		    end < input->len);
		if (answered == ANSWER_FAILED)
			return (-1);
		if (answered == ANSWER_LATER)
			break;
		input->progress = next;
		used = end;
	}
	return ((ssize_t)used);
}

/* Keep the rest of the input, which stands in the scratch buffer. */
static int
keep_unfinished(struct conn *conn, const struct input *input, size_t used)
{
	struct conn_pending *pending;
	size_t left = input->len - used;

	if ((pending = conn_pending(conn)) == NULL ||
	    conn_reserve(conn, &pending->in, left) == -1)
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
	conn->past_empty_line = input->progress.past_empty_line;
	is_timed_anew = input->progress.is_timed_anew;
	input->progress.is_timed_anew = false;
	left = input->len - (size_t)used;
	if (conn->finishing)
		return (0);
	if (in_mid_message(conn)) {
		conn->pending->progress = input->progress;
		if (used > 0)
			buffer_consume(buffers, &conn->pending->in,
			    (size_t)used);
	} else if (left > 0 &&
	    keep_unfinished(conn, input, (size_t)used) == -1)
		return (refuse_for_memory(conn));
	if (left == 0 || used > 0 || conn->deadline != DEADLINE_READ ||
	    is_timed_anew)
		set_reading_deadline(conn);
	if (conn->pending != NULL)
		conn->pending->unhandled = left > 0 && !may_handle(conn);
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
	if (!in_mid_message(conn) || fits_scratch(conn))
		return (0);
	return (conn_reserve(conn, &conn->pending->in, BUFFER_MIN));
}

/* Whether no more is to be read of the message that has begun, as memory is
 * short.  Where none has, only so much is read that to keep it costs little. */
static bool
has_to_starve(const struct conn *conn)
{
	return (in_mid_message(conn) && conn->pending->in->len >=
	    CONN_READ_SHORT && worker_is_short(conn_worker(conn)));
}

/* Read behind the unfinished message, if there is one.  Returns as recv(2). */
static ssize_t
read_input(struct conn *conn, struct input *input)
{
	struct worker *worker = conn_worker(conn);
	struct buffer *in = in_mid_message(conn) ? conn->pending->in : NULL;
	size_t had = in != NULL ? in->len : 0, room = WORKER_SCRATCH - had;
	bool in_scratch = in == NULL || fits_scratch(conn);
	ssize_t n;

	*input = (struct input){
		.bytes = worker->scratch,
		.progress = { .past_empty_line = conn->past_empty_line },
	};
	if (in != NULL)
		input->progress = conn->pending->progress;
	if (in != NULL && in_scratch)
		memcpy(worker->scratch, in->bytes, had);
	if (!in_scratch) {
		input->bytes = in->bytes;
		room = in->cap - had;
	}
	if (room > CONN_READ_SHORT && worker_is_short(worker))
		room = CONN_READ_SHORT;
	do {
		n = recv(conn_fd(conn), input->bytes + had, room, MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	if (n <= 0)
		return (n);
	if (in != NULL && in_scratch)
		buffer_release(&worker->buffers, &conn->pending->in);
	else if (in != NULL)
		in->len += (size_t)n;
	input->len = had + (size_t)n;
	input->full = (size_t)n == room;
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

/* Send the replies of this turn; what then is to become of the connection. */
static enum conn_next
settle(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	if (output_flush(&worker->output, conn) == -1)
		return (fail(conn));
	if (giver_wants(&worker->giver, conn) && conn_at_rest(conn))
		giver_on_rest(&worker->giver);
	if (conn->state == CONN_WRITING || conn->state == CONN_CLOSING)
		return (CONN_WAIT);
	if (in_mid_message(conn) && !may_handle(conn))
		conn->pending->unhandled = true;
	if (conn->finishing && !awaits(conn))
		return (finish(conn, conn->reason));
	if (conn_owes(conn))
		return (begin_writing(conn));
	if (!may_handle(conn))
		return (begin_waiting(conn));
	pending_trim(conn);
	/* What had come before the order is answered. */
	if (!in_mid_message(conn) && !awaits(conn) &&
	    drain_is_due(&worker->drain) && !has_unread(conn))
		return (finish(conn, CLOSE_DRAIN));
	return (go_on_reading(conn));
}

static enum conn_next
at_eof(struct conn *conn)
{
	conn->eof = true;
	conn->finishing = true;
	conn->reason = in_mid_message(conn) ? CLOSE_ABORTED : CLOSE_EOF;
	return (settle(conn));
}

static enum conn_next
conn_read_messages(struct conn *conn)
{
	struct input input;
	ssize_t n;

	if (handle_unhandled(conn) == -1)
		return (fail(conn));
	if (!may_handle(conn))
		return (settle(conn));
	for (int i = 0; i < CONN_READS_PER_TURN; i++) {
		if (has_to_starve(conn)) {
			starve(conn);
			break;
		}
		if (make_room(conn) == -1) {
			if (refuse_for_memory(conn) == -1)
				return (fail(conn));
			break;
		}
		n = read_input(conn, &input);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1 || (n > 0 && handle_input(conn, &input) == -1))
			return (fail(conn));
		if (n == 0)
			return (at_eof(conn));
		if (!input.full || !may_handle(conn))
			break;
	}
	return (settle(conn));
}

/*
 * Writing and closing.
 */

static enum conn_next
conn_write_replies(struct conn *conn)
{
	ssize_t n;

	if ((n = output_resume(conn)) == -1)
		return (fail(conn));
	if (conn_owes(conn)) {
		conn->pending->taken += (size_t)n;
		if (conn->pending->taken >= CONN_WRITE_PROGRESS)
			set_write_deadline(conn);
		return (CONN_WAIT);
	}
	/* As after a reply: what follows depends on what else is owed. */
	(void)begin_waiting(conn);
	return (settle(conn));
}

static enum conn_next
conn_linger(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);
	ssize_t n;

	for (int i = 0; i < CONN_READS_PER_TURN; i++) {
		n = recv(conn_fd(conn), worker->scratch, WORKER_SCRATCH,
		    MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return (CONN_WAIT);
		if (n <= 0 || worker->now_ms - conn->pending->closing_ms >
		    CONN_LINGER_MAX_MS)
			return (CONN_DONE);
		/* One that was slow to speak has no more time for that. */
		if (conn->reason != CLOSE_READ_TIMEOUT)
			deadline_set(conn, DEADLINE_LINGER, worker->now_ms);
	}
	return (CONN_WAIT);
}

static enum conn_next
run_state(struct conn *conn)
{
	switch ((enum conn_state)conn->state) {
	case CONN_READING:
		return (conn_read_messages(conn));
	case CONN_DISPATCHED:
		return (settle(conn));
	case CONN_WRITING:
		return (conn_write_replies(conn));
	case CONN_CLOSING:
		return (conn_linger(conn));
	}
	return (CONN_DONE);
}

/* Let a connection go on as far as it can. */
static void
conn_run(struct conn *conn, enum conn_next next)
{
	while (next == CONN_AGAIN)
		next = run_state(conn);
	/* Whatever happened, nothing of this connection goes to the next. */
	conn_worker(conn)->output.len = 0;
	if (next == CONN_DONE)
		conn_free(conn);	/* conn is gone after this line */
}

static void
conn_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	struct worker *worker = conn_worker(conn);

	(void)fd;
	(void)what;
	worker_turn(worker);
	if (conn->state == CONN_DISPATCHED)
		/* It is not its turn yet: begin_waiting(). */
		event_del(&conn->event);
	else
		conn_run(conn, CONN_AGAIN);
	worker_settle(worker);
}

/*
 * Replies that come later.
 */

int
conn_add_request(struct conn *conn, struct request *request)
{
	struct conn_pending *pending;

	if ((pending = conn_pending(conn)) == NULL)
		return (-1);
	TAILQ_INSERT_TAIL(&pending->requests, request, of_conn);
	pending->nrequests++;
	record_requests(conn);
	return (0);
}

/* Send the reply of a request whose turn it is. */
static int
send_now(struct conn *conn, const struct request *request,
    const struct payload *reply)
{
	struct access_facts facts = { .arrived_us = request->arrived_us };

	if (conn_worker(conn)->access_log != NULL && request->http != NULL) {
		http_facts_for_log(request->http, &facts);
		log_access(conn, &request->http->exchange, &facts, reply->len);
	}
	return (output_reply(&conn_worker(conn)->output, conn,
	    http_exchange_of(request), reply));
}

/* As reply_text(), but for one whose turn it is. */
static int
send_text(struct conn *conn, enum proto_trouble trouble, const char *text,
    const struct request *request)
{
	struct payload payload;

	if (*text != '\0') {
		payload = proto_explain(conn->listener->proto, trouble, text,
		    http_exchange_of(request));
		return (send_now(conn, request, &payload));
	}
	conn->finishing = true;
	conn->reason = CLOSE_HANDLER;
	return (0);
}

static int
send_silence(struct conn *conn, const struct request *request)
{
	if (request->http == NULL)
		return (0);
	request->http->exchange.status = HTTP_NO_CONTENT;
	return (send_now(conn, request, &no_payload));
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
		return (send_now(conn, request, reply));
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

/* Before the reply of a request that is no longer in the list: HTTP tells in it
 * that nothing will follow. */
static void
announce_end(struct conn *conn, const struct request *request)
{
	struct http_exchange *exchange = http_exchange_of(request);

	if (exchange == NULL || exchange->status == HTTP_CONTINUE ||
	    exchange->close || conn->finishing || awaits(conn) ||
	    in_mid_message(conn) || !is_last_of_drain(conn))
		return;
	exchange->close = true;
	conn->finishing = true;
	conn->reason = CLOSE_DRAIN;
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

/* The first request is done: send its reply, which stands in its own buffer
 * unless it is given. */
static void
finish_first(struct conn *conn, const struct payload *given)
{
	struct request *request = take_first(conn);
	const struct buffer *kept = request->payload;
	struct payload reply = no_payload;

	if (given != NULL)
		reply = *given;
	else if (kept != NULL)
		reply = (struct payload){ kept->bytes, kept->len };
	announce_end(conn, request);
	if (!conn->broken && send_reply(conn, request, &reply) == -1) {
		(void)fail(conn);
		conn->broken = true;
	}
	if (request->handler != NULL)
		trace_end_later(conn_worker(conn), request,
		    span_result_of(request));
	request_free(conn_worker(conn), request);
}

/* The first request may have been all that others waited for. */
static void
finish_done(struct conn *conn)
{
	struct request *first;

	while ((first = TAILQ_FIRST(&conn->pending->requests)) != NULL &&
	    first->state == REQUEST_DONE)
		finish_first(conn, NULL);
	/* A reply that was "close" ends the others' wait. */
	if (conn->finishing && conn->reason == CLOSE_HANDLER)
		abandon_requests(conn);
}

/* Keep a reply that others have to leave before. */
static void
keep_reply(struct request *request, const struct payload *reply)
{
	if (reply == NULL || reply->len == 0)
		return;
	if (conn_reserve(request->conn, &request->payload, reply->len) == -1) {
		request->result = REQUEST_FAILED;
		return;
	}
	buffer_use(&conn_worker(request->conn)->buffers, request->payload,
	    BUFFER_WORK);
	buffer_append(request->payload, reply->bytes, reply->len);
}

void
conn_on_reply(struct request *request, enum request_result result,
    const struct payload *reply)
{
	struct conn *conn = request->conn;

	request->state = REQUEST_DONE;
	request->result = (uint8_t)result;
	if (request != TAILQ_FIRST(&conn->pending->requests)) {
		keep_reply(request, reply);
		return;
	}
	finish_first(conn, reply);
	finish_done(conn);
}

void
conn_resume(struct conn *conn)
{
	conn_run(conn, conn->broken ? CONN_DONE : settle(conn));
}

void
conn_on_memory(struct conn *conn)
{
	end_starving(conn);
	conn_resume(conn);
}

/*
 * Changing hands.
 */

bool
conn_at_rest(const struct conn *conn)
{
	const struct request *request;

	if (conn->state == CONN_CLOSING || conn->broken)
		return (false);
	if (!awaits(conn))
		return (true);
	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_RUNNING)
			return (false);
	return (true);
}

void
conn_park(struct conn *conn)
{
	struct request *request;

	event_del(&conn->event);
	deadline_clear(conn);
	if (conn->pending == NULL)
		return;
	if (conn->pending->feeds != NULL)
		queue_forget_feeder(conn->pending->feeds, conn);
	if (conn->pending->starved)
		end_starving(conn);
	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_WAITING)
			queue_withdraw(request);
}

bool
conn_is_parked(const struct conn *conn)
{
	return (conn->deadline == DEADLINE_NONE);
}

/* What a request's handler was not asked for yet. */
static void
readmit_requests(struct conn *conn)
{
	struct request *request;

	TAILQ_FOREACH(request, &conn->pending->requests, of_conn)
		if (request->state == REQUEST_PARKED)
			handler_readmit(request);
	finish_done(conn);
}

static enum conn_next
wake(struct conn *conn, enum deadline_kind was, uint64_t since_ms)
{
	enum deadline_kind kind = conn_owes(conn) ? DEADLINE_WRITE :
	    reading_deadline(conn);

	if (watch(conn, conn_owes(conn) ? EV_WRITE : EV_READ) == -1) {
		errno = ENOMEM;
		return (fail(conn));
	}
	conn_enter(conn, conn_owes(conn) ? CONN_WRITING : CONN_READING);
	deadline_restore(conn, kind, kind == was ? since_ms :
	    conn_worker(conn)->now_ms);
	if (conn->pending == NULL)
		return (CONN_WAIT);
	if (awaits(conn))
		readmit_requests(conn);
	if (conn->broken)
		return (CONN_DONE);
	/* What it waited for may be there. */
	return (conn->state == CONN_WRITING ? settle(conn) : CONN_AGAIN);
}

void
conn_wake(struct conn *conn, enum deadline_kind was, uint64_t since_ms)
{
	/* Who was answered in the same event has the output. */
	worker_gather(conn_worker(conn), NULL);
	conn_run(conn, wake(conn, was, since_ms));
}

/*
 * Endings from outside the connection's own course.
 */

static void
end(struct conn *conn, enum close_reason reason)
{
	if (finish(conn, reason) == CONN_DONE)
		conn_free(conn);
}

bool
conn_finish_idle(struct conn *conn, enum close_reason reason)
{
	assert(conn->state == CONN_READING && !in_mid_message(conn));
	if (has_unread(conn)) {
		deadline_set(conn, DEADLINE_IDLE, conn_worker(conn)->now_ms);
		return (false);
	}
	end(conn, reason);
	return (true);
}

void
conn_finish_now(struct conn *conn, enum close_reason reason)
{
	struct worker *worker = conn_worker(conn);

	if (conn->state == CONN_CLOSING)
		return;
	if (worker->gathering == conn) {
		worker->gathering = NULL;
		(void)output_flush(&worker->output, conn);
	}
	abandon_requests(conn);
	if (conn_owes(conn)) {
		conn_cut(conn, reason);
		return;
	}
	end(conn, reason);
}

void
conn_shed(struct conn *conn)
{
	struct worker *worker = conn_worker(conn);

	/* Its own replies come first. */
	if (worker->gathering == conn) {
		worker->gathering = NULL;
		(void)output_flush(&worker->output, conn);
	}
	if (conn_owes(conn) || awaits(conn)) {
		conn_cut(conn, CLOSE_MEMORY);
		return;
	}
	output_tell(conn, TROUBLE_BUSY, conn->listener->proto->busy);
	conn_finish_now(conn, CLOSE_MEMORY);
}

void
conn_reject(struct listener *listener, int fd, const struct sockaddr *peer,
    enum reject_reason reason)
{
	struct conn *conn;
	char text[CONN_PEER_MAX];

	counter_add(&listener->counters->rejected[reason], 1);
	if ((conn = conn_make(listener, fd, peer)) == NULL)
		return;
	conn->rejected = true;
	LOG_CLIENT(WARN, CONN_REJECTED,
	    F_STR("listener", listener->conf->name),
	    F_STR("peer", conn_peer(conn, text)),
	    F_STR("reason", reject_reason_name(reason)));
	output_tell(conn, TROUBLE_BUSY, listener->proto->busy);
	end(conn, CLOSE_EOF);
}

static void
end_idle(struct conn *conn)
{
	if (has_unread(conn))
		deadline_set(conn, DEADLINE_IDLE, conn_worker(conn)->now_ms);
	else if (conn_unsent(conn) > 0)
		/* It is idle because it takes nothing. */
		conn_cut(conn, CLOSE_WRITE_TIMEOUT);
	else
		conn_cut(conn, CLOSE_IDLE);
}

static void
log_late(const struct conn *conn)
{
	struct http_head http = { .exchange = { .close = true } };
	struct payload payload;

	payload = proto_explain(conn->listener->proto, TROUBLE_LATE, NULL,
	    &http.exchange);
	log_head(conn, &http, payload.len);
}

/* A message has taken too long to come: where the protocol has words for that,
 * the peer is told, unless it waits for other replies. */
static void
end_late(struct conn *conn)
{
	if (conn->listener->proto->explain == NULL || awaits(conn) ||
	    conn_owes(conn)) {
		conn_cut(conn, CLOSE_READ_TIMEOUT);
		return;
	}
	log_late(conn);
	output_tell(conn, TROUBLE_LATE, NULL);
	conn_finish_now(conn, CLOSE_READ_TIMEOUT);
}

/* The kernel may have no room for more, and its peer still take what is
 * there. */
static void
end_unless_taking(struct conn *conn)
{
	const struct conn_pending *pending = conn->pending;

	if (pending->unsent + pending->taken <
	    conn_unsent(conn) + CONN_WRITE_PROGRESS)
		conn_cut(conn, CLOSE_WRITE_TIMEOUT);
	else
		set_write_deadline(conn);
}

void
conn_on_deadline(struct conn *conn)
{
	switch ((enum deadline_kind)conn->deadline) {
	case DEADLINE_IDLE:
		end_idle(conn);
		return;
	case DEADLINE_READ:
		end_late(conn);
		return;
	case DEADLINE_WRITE:
		end_unless_taking(conn);
		return;
	case DEADLINE_LINGER:
		conn_free(conn);
		return;
	case DEADLINE_REPLY:
	case DEADLINE_NONE:
	case DEADLINE_KINDS:
		break;
	}
}
