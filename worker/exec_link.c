/* SPDX-License-Identifier: ISC */
#include "worker/exec_link.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/escape.h"
#include "common/exec.h"
#include "common/fd.h"
#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/memory.h"
#include "worker/queue.h"
#include "worker/result.h"
#include "worker/worker.h"

enum {
	TAG_LEN = 8,
	/* The low bits of a tag are a place, the rest a serial number. */
	PLACE_BITS = 16,
	/* The most requests that a module has for each of its threads: one that
	 * runs, and one that is there when it is done. */
	PER_THREAD = 2,
	MODULE_CAPACITY_MIN = 64,
	/* What is sent ahead to a module is begun within this time, if calls
	 * take as long as they did on average. */
	AHEAD_US = 5000,
	AVERAGE_OVER = 8,	/* calls */
	/* A long call counts as this long, so that a thread that had to wait
	 * for its CPU does not make a quick module slow for long. */
	CALL_US_MAX = 2 * AHEAD_US,
	/* A reply has at most this part of max_buffered: while it comes there
	 * are two of its buffer, and then one more of what its client owes. */
	REPLY_SHARE = 4,
	METADATA_MAX = 512,
	TRACE_METADATA_MAX = 80,
	/* What is gathered in one turn, but for a single request that is
	 * larger: at most so many bytes, and this part of max_buffered. */
	GATHER_MAX = 65536,
	GATHER_SHARE = 16,
	/* With so many requests the executor begins, while we look at what else
	 * is ready. */
	GATHER_REQUESTS = 16,
	/* The first bytes of a reply that is wrong are shown in the log. */
	SHOWN = 16,
	SHOWN_MAX = 4 * SHOWN + 1,
};

/*
 * Birth and death.
 */

static enum exec_wire
wire_of(const struct conf_handler *conf)
{
	if (conf->type == CONF_HANDLER_MODULE)
		return (EXEC_WIRE_MODULE);
	return (conf->tagged ? EXEC_WIRE_TAGGED : EXEC_WIRE_PLAIN);
}

/* What a program does with several messages at a time is its own matter.  If it
 * answers in their order, the oldest is the one that it has to be done with
 * first. */
static unsigned
threads_of(const struct exec_link *link, const struct conf_handler *conf)
{
	switch (link->wire) {
	case EXEC_WIRE_PLAIN:
		break;
	case EXEC_WIRE_TAGGED:
		return (conf->pipeline);
	case EXEC_WIRE_MODULE:
		return (heritage_share(link->worker->heritage, conf->threads));
	}
	return (1);
}

static unsigned
capacity_of(const struct exec_link *link, const struct conf_handler *conf)
{
	if (link->wire != EXEC_WIRE_MODULE)
		return (conf->pipeline);
	return (link->nthreads * PER_THREAD > MODULE_CAPACITY_MIN ?
	    link->nthreads * PER_THREAD : MODULE_CAPACITY_MIN);
}

/* By how long its calls take. */
void
exec_link_set_limit(struct exec_link *link)
{
	uint64_t call_us = link->calls_us / AVERAGE_OVER, ahead;

	link->limit = link->capacity;
	if (link->is_retired)
		link->limit = 0;
	else if (link->wire == EXEC_WIRE_MODULE) {
		ahead = call_us >= AHEAD_US ? 0 :
		    link->nthreads * AHEAD_US / (call_us + 1);
		if (ahead < link->capacity - link->nthreads)
			link->limit = link->nthreads + (unsigned)ahead;
	}
}

static int
set_up(struct exec_link *link, const int fds[CTL_FDS_MAX],
    event_callback_fn on_readable, event_callback_fn on_writable)
{
	struct event_base *base = link->worker->base;

	link->places = calloc(link->capacity, sizeof(*link->places));
	link->free = calloc(link->capacity, sizeof(*link->free));
	if (link->places == NULL || link->free == NULL)
		return (-1);
	for (unsigned i = 0; i < link->capacity; i++)
		link->free[i] = link->capacity - 1 - i;
	event_assign(&link->readable, base, fds[0], EV_READ | EV_PERSIST,
	    on_readable, link);
	event_assign(&link->writable, base, link->is_socket ? fds[0] : fds[1],
	    EV_WRITE | EV_PERSIST, on_writable, link);
	return (event_add(&link->readable, NULL));
}

struct exec_link *
exec_link_new(struct worker *worker, struct queue *queue, uint64_t id,
    const int fds[CTL_FDS_MAX], const struct conf_handler *conf,
    event_callback_fn on_readable, event_callback_fn on_writable)
{
	struct exec_link *link;

	if ((link = calloc(1, sizeof(*link))) == NULL)
		return (NULL);
	link->worker = worker;
	link->queue = queue;
	link->id = id;
	link->wire = wire_of(conf);
	link->metadata = conf->metadata;
	link->reply_metadata = conf->reply_metadata;
	if (link->reply_metadata)
		reply_facts_init();
	link->nthreads = threads_of(link, conf);
	link->capacity = capacity_of(link, conf);
	/* Slow, until it has shown that it is not. */
	link->calls_us = (uint64_t)CALL_US_MAX * AVERAGE_OVER;
	exec_link_set_limit(link);
	TAILQ_INIT(&link->running);
	link->is_socket = fds[1] == -1;
	link->looks = link->is_socket && !fd_refuses_rights(fds[0]);
	if (set_up(link, fds, on_readable, on_writable) == 0)
		return (link);
	free(link->places);
	free(link->free);
	free(link);
	errno = ENOMEM;
	return (NULL);
}

/* Free threads take up what is ahead. */
static void
begin_calls(struct exec_link *link)
{
	struct request *request;

	while ((request = link->ahead) != NULL &&
	    link->ncalls < link->nthreads) {
		link->ahead = TAILQ_NEXT(request, of_work);
		link->ncalls++;
		request->is_ahead = false;
		request->since_us = worker_now_us(link->worker);
	}
}

struct request *
exec_link_take_out(struct exec_link *link, struct request *request)
{
	unsigned place = request->tag & ((1U << PLACE_BITS) - 1);

	if (request == link->ahead)
		link->ahead = TAILQ_NEXT(request, of_work);
	link->ncalls -= !request->is_ahead;
	request->is_ahead = false;
	TAILQ_REMOVE(&link->running, request, of_work);
	link->places[place] = NULL;
	link->nrunning--;
	link->free[link->capacity - link->nrunning - 1] = place;
	begin_calls(link);
	return (request);
}

static const char *
show(const uint8_t *bytes, size_t len, char shown[SHOWN_MAX])
{
	return (escape_bytes(shown, SHOWN_MAX, bytes,
	    len < SHOWN ? len : SHOWN));
}

/* A text that is shorter than the length that it is taken for is an unfinished
 * reply, until the program is late or ends. */
static const char *
add_partial_reply(struct exec_link *link, const char *why)
{
	char shown[SHOWN_MAX];

	if (why == NULL || why == link->fault || link->in == NULL)
		return (why);
	snprintf(link->fault, sizeof(link->fault),
	    "%.50s%sits reply begins '%.40s'", why, *why != '\0' ? "; " : "",
	    show(link->in->bytes, link->in->len, shown));
	return (link->fault);
}

/* Count that an executor has ended that ever had a message, perhaps with one. */
void
exec_link_count_end(const struct exec_link *link, bool with_message)
{
	struct counters_handler *counters = link->queue->counters;

	if (with_message)
		counter_add(&counters->crashes, 1);
	/* The last: the master looks for it. */
	counter_add(&counters->used, 1);
}

void
exec_link_free(struct exec_link *link, enum request_result result,
    const char *why)
{
	struct worker *worker = link->worker;
	bool ended = why != NULL && *why == '\0';
	struct request *request;

	why = add_partial_reply(link, why);
	event_del(&link->readable);
	event_del(&link->writable);
	if (link->is_socket) {
		fd_close_unread(exec_link_reply_fd(link));
	} else {
		close(exec_link_reply_fd(link));
		close(exec_link_request_fd(link));
	}
	if (link->is_unsent)
		TAILQ_REMOVE(&worker->unsent, link, unsent);
	buffer_release(&worker->buffers, &link->in);
	buffer_release(&worker->buffers, &link->out);
	TAILQ_REMOVE(&link->queue->links, link, of_queue);
	counter_sub(&link->queue->counters->executors, 1);
	if (why != NULL) {
		if (link->serial > 0 && !link->is_retired)
			exec_link_count_end(link, link->nrunning > 0);
		notice_disown(worker, link->id, why, ended);
	}
	while ((request = TAILQ_FIRST(&link->running)) != NULL)
		result_of_executor(exec_link_take_out(link, request), result, NULL);
	free(link->places);
	free(link->free);
	free(link);
}

/*
 * Sending.
 */

bool
exec_link_has_room(const struct exec_link *link)
{
	return (link->nrunning < link->limit && !link->is_blocked);
}

static void
put_length(struct buffer *out, size_t len)
{
	uint32_t length = htonl((uint32_t)len);

	buffer_append(out, &length, sizeof(length));
}

static void
write_place(const struct trace *trace, char text[TRACE_METADATA_MAX])
{
	struct trace_context context;
	char traceparent[TRACEPARENT_MAX];

	trace_context_of(trace, &context);
	trace_context_print(&context, traceparent);
	snprintf(text, TRACE_METADATA_MAX, ",\"traceparent\":\"%s\"",
	    traceparent);
}

/* The facts of a request of any protocol, as a JSON object that is still
 * open. */
static size_t
write_metadata(const struct exec_link *link, const struct request *request,
    char text[METADATA_MAX])
{
	const struct conn *conn = request->conn;
	char peer[CONN_PEER_MAX], place[TRACE_METADATA_MAX] = "";
	char id[SPAN_REQUEST_MAX];
	int n;

	if (request->trace != NULL)
		write_place(request->trace, place);

	/* Ids, names of listeners and peers have nothing that JSON would
	 * escape. */
	n = snprintf(text, METADATA_MAX, "{\"conn\":%" PRIu64
	    ",\"request\":%" PRIu64 ",\"id\":\"%s\",\"listener\":\"%s\","
	    "\"peer\":\"%s\",\"waited_us\":%" PRIu64 "%s",
	    conn_record(conn)->id, link->serial,
	    trace_request_id(request, id), conn->listener->conf->name,
	    conn_peer(conn, peer), request->begun_us - request->arrived_us,
	    place);
	return (n > 0 && n < METADATA_MAX ? (size_t)n : 0);
}

/* What is told of a request beside its payload, in the form of common/exec.h. */
static struct payload
told_of(const struct request *request)
{
	return (request->exchange != NULL ?
	    request->proto->tell(request->exchange) :
	    (struct payload){ .len = 0 });
}

/* Append the metadata in a frame of its own; there is room. */
static void
put_metadata(struct exec_link *link, const struct request *request,
    const char *text, size_t len)
{
	size_t at = link->out->len;
	uint32_t length;

	put_length(link->out, 0);
	buffer_append(link->out, text, len);
	if (request->exchange != NULL)
		request->proto->tell_json(request->exchange, link->out);
	buffer_append(link->out, "}", 1);
	length = htonl((uint32_t)(link->out->len - at - EXEC_LENGTH_LEN));
	memcpy(link->out->bytes + at, &length, sizeof(length));
}

/* Bytes of the id in an exchange, with zeroes after it. */
static size_t
id_len(const struct request *request)
{
	size_t len = strlen(request->exchange->id) + 1;

	return ((len + EXEC_TOLD_ALIGN - 1) &
	    ~(size_t)(EXEC_TOLD_ALIGN - 1));
}

static void
fill_id(const struct request *request, struct exec_request *facts)
{
	size_t len = told_of(request).len;

	if (len > 0) {
		facts->id = (uint32_t)len;
		facts->told_len = (uint32_t)(len + id_len(request));
	} else if (request->number >> EXEC_NUMBER_BITS == 0) {
		facts->id = (uint32_t)request->number;
		facts->id_high = (uint8_t)(request->number >> 32);
	}
}

static void
put_id(struct exec_link *link, const struct request *request)
{
	char id[EXEC_ID_MAX] = "";

	_Static_assert(sizeof(request->exchange->id) == EXEC_ID_MAX, "");
	strcpy(id, request->exchange->id);
	buffer_append(link->out, id, id_len(request));
}

/* The payload of a reply.  max_message_size is no more than that, but the
 * request may have been let in when it was larger. */
static size_t
most_of_reply(const struct exec_link *link)
{
	return (link->worker->buffers.limit / REPLY_SHARE);
}

/* When the client is told that its request took too long; 0: never. */
static uint64_t
deadline_us(const struct request *request)
{
	unsigned timeout_ms = request->handler->conf->request_timeout_ms;

	return (timeout_ms == 0 ? 0 :
	    request->begun_us + (uint64_t)timeout_ms * 1000);
}

static void
fill_facts(const struct exec_link *link, const struct request *request,
    size_t len, struct exec_request *facts)
{
	const struct conn_record *record = conn_record(request->conn);
	struct trace_context context;

	*facts = (struct exec_request){
		.tag = request->tag,
		.conn = record->id,
		.arrived_us = request->arrived_us,
		.deadline_us = deadline_us(request),
		.peer_port = record->peer_port,
		.family = record->family,
		.listener = listener_index(request->conn->listener),
		.may_return = len <= most_of_reply(link),
	};
	fill_id(request, facts);
	memcpy(facts->peer, record->peer, sizeof(facts->peer));
	if (request->trace == NULL)
		return;
	trace_context_of(request->trace, &context);
	facts->traced = context.sampled ? EXEC_SAMPLED : EXEC_UNSAMPLED;
	memcpy(facts->trace, context.trace, sizeof(facts->trace));
	memcpy(facts->span, context.span, sizeof(facts->span));
}

/* The bytes that go before a payload of len bytes. */
static size_t
head_of(const struct exec_link *link, const struct request *request,
    size_t len, struct exec_request *head)
{
	switch (link->wire) {
	case EXEC_WIRE_PLAIN:
		break;
	case EXEC_WIRE_TAGGED:
		head->tag = request->tag;
		return (TAG_LEN);
	case EXEC_WIRE_MODULE:
		fill_facts(link, request, len, head);
		return (sizeof(*head));
	}
	return (0);
}

static void
put_request(struct exec_link *link, const struct request *request,
    const struct payload *message)
{
	char metadata[METADATA_MAX];
	struct exec_request head;
	size_t head_len = head_of(link, request, message->len, &head);
	size_t told_len = link->wire == EXEC_WIRE_MODULE ? head.told_len : 0;
	struct payload told;
	size_t facts_len;

	if (link->metadata) {
		facts_len = write_metadata(link, request, metadata);
		put_metadata(link, request, metadata, facts_len);
	}
	put_length(link->out, head_len + told_len + message->len);
	buffer_append(link->out, &head, head_len);
	if (told_len > 0) {
		told = told_of(request);
		buffer_append(link->out, told.bytes, told.len);
		put_id(link, request);
	}
	buffer_append(link->out, message->bytes, message->len);
}

/* As write(2).  A pipe's end is non-blocking, and SIGPIPE is ignored. */
static ssize_t
transmit(const struct exec_link *link, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	do {
		n = link->is_socket ? send(exec_link_request_fd(link), bytes, len,
		    MSG_DONTWAIT | MSG_NOSIGNAL) :
		    write(exec_link_request_fd(link), bytes, len);
	} while (n == -1 && errno == EINTR);
	return (n);
}

/* Write what waits.  Returns -1 if the executor is gone. */
int
exec_link_flush(struct exec_link *link)
{
	ssize_t n = transmit(link, link->out->bytes, link->out->len);

	if (n == -1 && errno != EAGAIN)
		return (-1);
	if (n > 0)
		buffer_consume(&link->worker->buffers, &link->out, (size_t)n);
	if ((link->out != NULL) == link->is_blocked)
		return (0);
	link->is_blocked = link->out != NULL;
	if (link->is_blocked)
		return (event_add(&link->writable, NULL));
	return (event_del(&link->writable));
}

/* The most that a request with so many bytes takes. */
static size_t
room_for(const struct exec_link *link, const struct request *request,
    size_t len)
{
	size_t room = EXEC_LENGTH_LEN + sizeof(struct exec_request) + len;

	if (link->wire == EXEC_WIRE_MODULE)
		room += told_of(request).len + EXEC_ID_MAX;
	if (link->metadata)
		room += EXEC_LENGTH_LEN + METADATA_MAX + PROTO_JSON_MAX +
		    PROTO_JSON_PER_BYTE * told_of(request).len;
	return (room);
}

static bool
gathers_too_much(const struct exec_link *link, size_t room)
{
	size_t most = link->worker->buffers.limit / GATHER_SHARE;

	if (most > GATHER_MAX)
		most = GATHER_MAX;
	return (link->out != NULL && link->out->len + room > most);
}

int
exec_link_reserve(struct exec_link *link, const struct request *request,
    size_t len)
{
	size_t room = room_for(link, request, len);

	/* One that is gone is found to be so in executors_flush(). */
	if (gathers_too_much(link, room) &&
	    (exec_link_flush(link) == -1 || link->is_blocked)) {
		errno = EAGAIN;
		return (-1);
	}
	if (memory_reserve_work(link->queue, request->conn, &link->out, room) == -1)
		return (-1);
	buffer_use(&link->worker->buffers, link->out, BUFFER_WORK);
	if (!link->is_unsent) {
		link->is_unsent = true;
		link->ngathered = 0;
		TAILQ_INSERT_TAIL(&link->worker->unsent, link, unsent);
		worker_end_later(link->worker);
	}
	return (0);
}

void
exec_link_send(struct exec_link *link, struct request *request,
    const struct payload *message)
{
	unsigned place = link->free[link->capacity - link->nrunning - 1];

	request->tag = (++link->serial << PLACE_BITS) | place;
	request->begun_us = worker_now_us(link->worker);
	put_request(link, request, message);
	request->state = REQUEST_RUNNING;
	link->places[place] = request;
	link->nrunning++;
	request->is_ahead = true;
	TAILQ_INSERT_TAIL(&link->running, request, of_work);
	if (link->ahead == NULL)
		link->ahead = request;
	begin_calls(link);
	if (++link->ngathered == GATHER_REQUESTS ||
	    !exec_link_has_room(link)) {
		/* One that is gone is found to be so in executors_flush(). */
		(void)exec_link_flush(link);
		link->ngathered = 0;
	}
}

/*
 * Receiving.
 */

static struct request *
find_tagged(const struct exec_link *link, uint64_t tag)
{
	uint64_t place = tag & ((1U << PLACE_BITS) - 1);
	struct request *request;

	if (place >= link->capacity)
		return (NULL);
	request = link->places[place];
	return (request != NULL && request->tag == tag ? request : NULL);
}

/* Keep what a handler says of its reply, if the protocol can say it.  Without
 * memory for the fields, the reply fails: it is not sent without them.  Returns -1
 * if this may not stand in a reply. */
static int
note_reply(struct request *request, unsigned status,
    const struct payload *type, const struct payload *fields,
    enum request_result *result)
{
	struct conn *conn = request->conn;

	if (request->exchange == NULL)
		return (0);
	if (request->proto->note(request->exchange, status, type, fields) ==
	    -1)
		return (-1);
	if (fields->len == 0 || conn == NULL || *result != REQUEST_REPLIED)
		return (0);
	if (memory_reserve(conn, &request->fields, fields->len) == -1) {
		*result = REQUEST_FAILED;
		return (0);
	}
	buffer_use(&conn->listener->worker->buffers, request->fields,
	    BUFFER_WORK);
	buffer_append(request->fields, fields->bytes, fields->len);
	return (0);
}

static void
log_refused(const struct exec_link *link, const struct request *request)
{
	char id[SPAN_REQUEST_MAX];

	if (request->conn == NULL)
		return;
	LOG_CLIENT(WARN, REPLY_REFUSED,
	    F_STR("request", trace_request_id(request, id)),
	    F_U64("conn", conn_record(request->conn)->id),
	    F_STR("handler", link->queue->conf->name),
	    F_STR("error", link->fault));
}

/* What the metadata before a reply has said of it. */
static enum request_result
use_facts(struct exec_link *link, struct request *request)
{
	const struct reply_facts *facts = &link->noted;
	struct payload type = {
		(const uint8_t *)facts->type, strlen(facts->type),
	};
	struct payload fields = {
		(const uint8_t *)facts->fields.bytes, facts->fields.len,
	};
	enum request_result result = REQUEST_REPLIED;

	if (facts->is_refused) {
		log_refused(link, request);
		return (REQUEST_FAILED);
	}
	(void)note_reply(request, facts->status, &type, &fields, &result);
	return (result);
}

/* What a module's reply has behind its payload.  Returns -1 if that is
 * nonsense. */
static int
take_behind(struct request *request, const struct exec_reply *head,
    struct payload *frame, enum request_result *result)
{
	struct payload type = { .len = head->type_len };
	struct payload fields = { .len = head->result >> EXEC_FIELDS_SHIFT };

	if (type.len > frame->len || fields.len > frame->len - type.len)
		return (-1);
	frame->len -= type.len + fields.len;
	type.bytes = frame->bytes + frame->len;
	fields.bytes = type.bytes + type.len;
	return (note_reply(request, head->status, &type, &fields, result));
}

static enum request_result
result_of(enum exec_result result)
{
	switch (result) {
	case EXEC_REPLY:
		return (REQUEST_REPLIED);
	case EXEC_SILENT:
		return (REQUEST_SILENT);
	case EXEC_FAILED:
	case EXEC_RETURNED:
		break;
	}
	return (REQUEST_FAILED);
}

/* Whether a frame only tells of the reply that follows: 0 or 1.  Returns -1 with
 * link->fault set. */
static int
take_facts(struct exec_link *link, const struct payload *frame)
{
	if (!link->reply_metadata || link->is_noted)
		return (0);
	if (reply_facts_read(&link->noted, frame->bytes, frame->len,
	    link->fault) == -1)
		return (-1);
	link->is_noted = true;
	return (1);
}

/* The reply that a frame is: strips what goes before its payload.  NULL if it
 * is the reply to nothing. */
static struct request *
parse_reply(const struct exec_link *link, struct payload *frame,
    enum request_result *result, bool *is_returned)
{
	struct exec_reply head;
	struct request *request;
	uint64_t tag;

	*result = REQUEST_REPLIED;
	*is_returned = false;
	if (link->wire == EXEC_WIRE_PLAIN)
		return (TAILQ_FIRST(&link->running));
	if (link->wire == EXEC_WIRE_TAGGED) {
		if (frame->len < TAG_LEN)
			return (NULL);
		memcpy(&tag, frame->bytes, TAG_LEN);
		frame->bytes += TAG_LEN;
		frame->len -= TAG_LEN;
		return (find_tagged(link, tag));
	}
	if (frame->len < sizeof(head))
		return (NULL);
	memcpy(&head, frame->bytes, sizeof(head));
	frame->bytes += sizeof(head);
	frame->len -= sizeof(head);
	if ((request = find_tagged(link, head.tag)) == NULL)
		return (NULL);
	*result = result_of(head.result & EXEC_RESULT_MASK);
	*is_returned = (head.result & EXEC_RESULT_MASK) == EXEC_RETURNED;
	if (take_behind(request, &head, frame, result) == -1)
		return (NULL);
	return (request);
}

static size_t
most_of_frame(const struct exec_link *link)
{
	if (link->reply_metadata && !link->is_noted)
		return (REPLY_METADATA_MAX);
	return (most_of_reply(link) + sizeof(struct exec_reply) +
	    PROTO_TYPE_MAX + 1 + PROTO_FIELDS_MAX);
}

static void
learn(struct exec_link *link, const struct request *request)
{
	uint64_t took_us = worker_now_us(link->worker) - request->since_us;

	if (took_us > CALL_US_MAX)
		took_us = CALL_US_MAX;
	link->calls_us += took_us - link->calls_us / AVERAGE_OVER;
}

/* A request is done with here: it has a reply, or waits again. */
static void
settle_request(struct exec_link *link, struct request *request,
    const struct payload *frame, enum request_result result, bool is_returned)
{
	if (is_returned) {
		link->calls_us = (uint64_t)CALL_US_MAX * AVERAGE_OVER;
		exec_link_set_limit(link);
		result_returned(exec_link_take_out(link, request), frame);
		return;
	}
	if (!request->is_ahead)
		learn(link, request);
	result_of_executor(exec_link_take_out(link, request), result, frame);
}

/* Refuse a reply that no message waits for; it begins with these bytes, the first
 * of which are its length.  Returns -1. */
static ssize_t
refuse(struct exec_link *link, const uint8_t *bytes, size_t len)
{
	char shown[SHOWN_MAX];

	snprintf(link->fault, sizeof(link->fault),
	    "it sent a reply that fits no message: '%s'",
	    show(bytes, len, shown));
	return (-1);
}

/* Refuse a length that is too large.  Most often the program has printed a text
 * where a frame should begin.  Returns -1. */
static ssize_t
refuse_length(struct exec_link *link, const uint8_t *bytes, size_t len,
    uint32_t announced)
{
	char shown[SHOWN_MAX];

	snprintf(link->fault, sizeof(link->fault),
	    "it announced a reply of %u bytes by '%s'", announced,
	    show(bytes, len, shown));
	return (-1);
}

/* Hand on the whole replies.  Returns the number of bytes used up, or -1 with
 * link->fault set. */
ssize_t
exec_link_take(struct exec_link *link, const uint8_t *bytes, size_t len)
{
	enum request_result result;
	struct request *request;
	const uint8_t *begin;
	struct payload frame;
	uint32_t length;
	size_t used = 0;
	bool is_returned;
	int noted;

	while (len - used >= EXEC_LENGTH_LEN) {
		begin = bytes + used;
		memcpy(&length, begin, sizeof(length));
		frame.len = ntohl(length);
		frame.bytes = begin + EXEC_LENGTH_LEN;
		if (frame.len > most_of_frame(link))
			return (refuse_length(link, begin, len - used,
			    ntohl(length)));
		/* An empty frame may be a reply; without a request it is
		 * not. */
		if (link->nrunning == 0 && !link->is_retired)
			return (refuse(link, begin, len - used));
		if (len - used - EXEC_LENGTH_LEN < frame.len)
			break;
		used += EXEC_LENGTH_LEN + frame.len;
		if ((noted = take_facts(link, &frame)) == -1)
			return (-1);
		if (noted == 1)
			continue;
		request = parse_reply(link, &frame, &result, &is_returned);
		/* It may be the reply of a call that has taken too long. */
		if (request == NULL && !link->is_retired)
			return (refuse(link, begin,
			    (size_t)(bytes + used - begin)));
		if (link->is_noted && request != NULL)
			result = use_facts(link, request);
		link->is_noted = false;
		if (request != NULL)
			settle_request(link, request, &frame, result,
			    is_returned);
	}
	exec_link_set_limit(link);
	return ((ssize_t)used);
}

void
exec_link_forgive(struct exec_link *link, uint64_t stall_us)
{
	uint64_t now_us = worker_now_us(link->worker);
	struct request *request;

	TAILQ_FOREACH(request, &link->running, of_work)
		request->since_us = clock_later(request->since_us, stall_us,
		    now_us);
}
