/* SPDX-License-Identifier: ISC */
/*
 * HTTP/1.1: a request's body is the message, and a reply's body the reply.  See
 * penstock-http(7).
 *
 * The header is read when it is whole, and once more when the body is: until
 * then nothing of it is kept but where it ends.
 */
#include <string.h>

#include "common/digits.h"
#include "common/escape.h"
#include "common/http_date.h"
#include "common/http_head.h"
#include "common/http_fields.h"
#include "worker/http_chunks.h"
#include "worker/http_facts.h"
#include "worker/http_route.h"

/*
 * Requests.
 */

_Static_assert(sizeof(struct http_head) <= PROTO_EXCHANGE_MAX &&
    (int)HTTP_NOTE_MAX - 1 <= PROTO_TYPE_MAX &&
    (int)HTTP_FIELDS_LEN_MAX <= PROTO_FIELDS_MAX &&
    (int)ESCAPE_JSON_PER_BYTE <= PROTO_JSON_PER_BYTE, "there is room");

/* An exchange that is not kept. */
static struct http_head *
head_of(struct exchange *exchange)
{
	return ((struct http_head *)exchange);
}

static enum proto_verdict
http_refuse(struct http_head *head, unsigned status)
{
	head->exchange.status = (uint16_t)status;
	head->exchange.base.close = true;
	switch (status) {
	case HTTP_413:
	case HTTP_414:
	case HTTP_431:
		return (PROTO_TOO_LARGE);
	}
	return (PROTO_MALFORMED);
}

/* The header is malformed or too large, but the request gets a reply. */
static enum proto_verdict
http_refuse_unread(const uint8_t *bytes, size_t len, struct http_head *head,
    unsigned status)
{
	http_head_glimpse(head, bytes, len);
	return (http_refuse(head, status));
}

/* Read the header, and what it says of the body.  Returns 0 or a status. */
static unsigned
begin_body(const uint8_t *bytes, const struct conf_listener *conf,
    struct proto_progress *progress, struct http_head *head)
{
	unsigned status;

	status = http_head_parse(head, bytes, progress->head_len, &conf->http);
	if (status != 0)
		return (status);
	http_route(head, &conf->http);
	progress->scanned = progress->head_len;
	/* The body has a time of its own. */
	progress->is_timed_anew = true;
	progress->timed_len = progress->head_len;
	switch (head->body) {
	case HTTP_BODY_NONE:
		progress->phase = HTTP_PHASE_WHOLE;
		break;
	case HTTP_BODY_LENGTH:
		if (head->body_len > conf->max_message_size)
			return (HTTP_413);
		progress->body_len = head->body_len;
		progress->phase = HTTP_PHASE_LENGTH;
		break;
	case HTTP_BODY_CHUNKED:
		progress->phase = HTTP_PHASE_CHUNK;
		break;
	}
	/* The client asks whether to send the body, and the answer is no.  It
	 * may send it nevertheless, so nothing after the header is read. */
	if (head->expects && head->exchange.status != 0 &&
	    head->body != HTTP_BODY_NONE) {
		progress->phase = HTTP_PHASE_WHOLE;
		progress->body_len = 0;
		head->exchange.base.close = true;
	}
	return (0);
}

/* Returns 0, or a status. */
static unsigned
read_body(uint8_t *bytes, size_t len, const struct conf_listener *conf,
    struct proto_progress *progress)
{
	if (progress->phase == HTTP_PHASE_LENGTH) {
		progress->scanned = len;
		if (len - progress->head_len >= progress->body_len) {
			progress->scanned = progress->head_len +
			    progress->body_len;
			progress->phase = HTTP_PHASE_WHOLE;
		}
		return (0);
	}
	return (http_chunks_read(bytes, len, conf, progress));
}

/* Whether enough of the body has come for its rest to have as long again. */
static void
take_time(size_t len, const struct conf_listener *conf,
    struct proto_progress *progress)
{
	uint64_t due = (uint64_t)conf->http.min_body_rate *
	    conf->read_timeout_ms / 1000;

	if (len - progress->timed_len < due || len == progress->timed_len)
		return;
	progress->timed_len = len;
	progress->is_timed_anew = true;
}

static enum proto_verdict
wait_for_body(size_t len, const struct conf_listener *conf,
    struct proto_progress *progress, bool expects, struct http_head *head)
{
	if (expects && !progress->told_continue && len == progress->head_len) {
		progress->told_continue = true;
		*head = (struct http_head){ .exchange = {
			.base.is_interim = true, .status = HTTP_CONTINUE,
		} };
		return (PROTO_INTERIM);
	}
	take_time(len, conf, progress);
	return (PROTO_MORE);
}

/* Read a header that was good when its body began; after a reload it may not be
 * any more.  Returns 0 or a status. */
static unsigned
read_again(const uint8_t *bytes, const struct conf_listener *conf,
    const struct proto_progress *progress, struct http_head *head)
{
	unsigned status;

	status = http_head_parse(head, bytes, progress->head_len, &conf->http);
	if (status == 0)
		http_route(head, &conf->http);
	if (status == 0 && progress->body_len > conf->max_message_size)
		status = HTTP_413;
	return (status);
}

static enum proto_verdict
http_give(const uint8_t *bytes, const struct conf_listener *conf,
    const struct proto_progress *progress, struct proto_message *message)
{
	const struct http_head *head = head_of(message->exchange);

	message->handler = head->route != NULL ?
	    (int)head->route->handler_index : PROTO_NO_ROUTE;
	message->max_messages = conf->http.max_requests;
	message->traceparent = (struct payload){
		(const uint8_t *)head->traceparent.bytes,
		head->traceparent.len,
	};
	message->payload = bytes + progress->head_len;
	message->len = progress->body_len;
	message->consumed = progress->scanned;
	return (head->exchange.status == 0 ? PROTO_MESSAGE :
	    PROTO_ANSWERED);
}

/* Empty lines before a request, which some clients send after a body, are not
 * part of it: RFC 9112, 2.2. */
static size_t
http_skip(const uint8_t *bytes, size_t len, struct proto_progress *progress)
{
	size_t n = 0;

	if (progress->phase != HTTP_PHASE_HEADER || progress->scanned > 1)
		return (0);
	while (len - n >= 2 && memcmp(bytes + n, "\r\n", 2) == 0)
		n += 2;
	if (n > 0)
		*progress = (struct proto_progress){ .scanned = 0 };
	return (n);
}

static enum proto_verdict
http_parse(uint8_t *bytes, size_t len, const struct conf_listener *conf,
    struct proto_progress *progress, struct proto_message *message)
{
	struct http_head *head = head_of(message->exchange);
	bool is_read = false;
	unsigned status = 0;

	if (progress->phase == HTTP_PHASE_HEADER) {
		progress->head_len = http_head_find(bytes, len, &conf->http,
		    &progress->scanned, &status);
		if (status != 0)
			return (http_refuse_unread(bytes, len, head, status));
		if (progress->head_len == 0)
			return (PROTO_MORE);
		status = begin_body(bytes, conf, progress, head);
		if (status != 0)
			return (http_refuse(head, status));
		is_read = true;
	}
	if (progress->phase != HTTP_PHASE_WHOLE)
		status = read_body(bytes, len, conf, progress);
	if (status == 0 && progress->phase != HTTP_PHASE_WHOLE)
		return (wait_for_body(len, conf, progress, is_read &&
		    head->expects, head));
	if (!is_read) {
		unsigned again = read_again(bytes, conf, progress, head);

		if (status == 0)
			status = again;
	}
	if (status != 0)
		return (http_refuse(head, status));
	return (http_give(bytes, conf, progress, message));
}

static void
http_glimpse(const uint8_t *bytes, size_t len, const struct conf_listener *conf,
    const struct proto_progress *progress, struct exchange *exchange)
{
	if (progress->phase == HTTP_PHASE_HEADER)
		http_head_glimpse(head_of(exchange), bytes, len);
	else
		(void)http_head_parse(head_of(exchange), bytes,
		    progress->head_len, &conf->http);
	exchange->close = true;
}

static bool
http_can_resume(const struct proto_progress *progress, size_t len)
{
	size_t data_len = progress->body_len;

	if (progress->phase == HTTP_PHASE_HEADER)
		return (progress->head_len == 0 && data_len == 0 &&
		    progress->framing_len == 0 && progress->timed_len == 0);
	if (progress->phase > HTTP_PHASE_WHOLE || progress->timed_len > len ||
	    progress->head_len == 0 || progress->head_len > progress->scanned)
		return (false);
	/* Else it is what has been moved together, or the whole. */
	if (progress->phase == HTTP_PHASE_LENGTH)
		data_len = 0;
	return (data_len <= progress->scanned - progress->head_len);
}

/*
 * Replies.
 */

/* One status: its line, and its two bodies. */
struct status {
	unsigned code;
	const char *reason;
	const char *text;
	const char *json;
};

static const struct status statuses[] = {
#define HTTP_STATUS_ROW(code, reason)					\
	{ code, reason, #code " " reason "\n",				\
	  "{\"status\":" #code ",\"error\":\"" reason "\"}\n" },
	HTTP_STATUSES(HTTP_STATUS_ROW)
#undef HTTP_STATUS_ROW
};

/* The reasons of statuses that only handlers give; other statuses have none. */
static const struct {
	unsigned code;
	const char *reason;
} more_reasons[] = {
	{ 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
	{ 206, "Partial Content" }, { 301, "Moved Permanently" },
	{ 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" },
	{ 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
	{ 401, "Unauthorized" }, { 403, "Forbidden" },
	{ 406, "Not Acceptable" }, { 409, "Conflict" }, { 410, "Gone" },
	{ 412, "Precondition Failed" }, { 415, "Unsupported Media Type" },
	{ 422, "Unprocessable Content" }, { 429, "Too Many Requests" },
	{ 502, "Bad Gateway" },
};

static const struct status *
find_status(unsigned code)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		if (statuses[i].code == code)
			return (&statuses[i]);
	return (NULL);
}

static const char *
reason_of(unsigned code)
{
	const struct status *status;

	if (code == HTTP_OK)
		return ("OK");
	if ((status = find_status(code)) != NULL)
		return (status->reason);
	for (size_t i = 0; i < sizeof(more_reasons) / sizeof(*more_reasons);
	    i++)
		if (more_reasons[i].code == code)
			return (more_reasons[i].reason);
	return ("");
}

static struct payload
http_explain(enum proto_trouble trouble, struct exchange *base)
{
	struct http_exchange *exchange = (struct http_exchange *)base;
	static const uint16_t codes[] = {
		[TROUBLE_BUSY] = HTTP_503,
		[TROUBLE_LATE] = HTTP_408,
		[TROUBLE_TIMEOUT] = HTTP_504,
		[TROUBLE_FAILED] = HTTP_500,
		[TROUBLE_SILENT] = HTTP_NO_CONTENT,
	};
	const struct status *status;
	const char *body;

	if (trouble != TROUBLE_REFUSED) {
		exchange->status = codes[trouble];
		exchange->note[0] = '\0';
	}
	exchange->is_trouble = true;
	/* What is no trouble has nothing to explain. */
	if ((status = find_status(exchange->status)) == NULL)
		return ((struct payload){ (const uint8_t *)"", 0 });
	body = exchange->wants_json ? status->json : status->text;
	return ((struct payload){ (const uint8_t *)body, strlen(body) });
}

static void
http_put(struct proto_framing *framing, const void *text, size_t len)
{
	memcpy(framing->head + framing->head_len, text, len);
	framing->head_len += len;
}

#define PUT(framing, literal) http_put(framing, literal, sizeof(literal) - 1)

static void
http_text(struct proto_framing *framing, const char *text)
{
	http_put(framing, text, strlen(text));
}

static void
http_number(struct proto_framing *framing, size_t number)
{
	char digits[DIGITS_MAX], *end = digits + sizeof(digits);
	const char *at = digits_put(end, number);

	http_put(framing, at, (size_t)(end - at));
}

static void
put_type(struct proto_framing *framing, const struct http_exchange *exchange)
{
	PUT(framing, "\r\nContent-Type: ");
	if (exchange->is_trouble)
		http_text(framing, exchange->wants_json ? "application/json" :
		    "text/plain; charset=utf-8");
	else if (exchange->note[0] != '\0')
		http_text(framing, exchange->note);
	else
		PUT(framing, "application/octet-stream");
}

static void
put_body_fields(struct proto_framing *framing, size_t payload_len,
    const struct http_exchange *exchange)
{
	if (exchange->status == HTTP_NO_CONTENT ||
	    exchange->status == HTTP_NOT_MODIFIED) {
		framing->is_bare = true;
		return;
	}
	if (exchange->status == HTTP_RESET_CONTENT) {
		framing->is_bare = true;
		PUT(framing, "\r\nContent-Length: 0");
		return;
	}
	framing->is_bare = exchange->is_head;
	put_type(framing, exchange);
	PUT(framing, "\r\nContent-Length: ");
	http_number(framing, payload_len);
}

/* Fields that are only in replies about trouble. */
static void
put_advice(struct proto_framing *framing, const struct http_exchange *exchange)
{
	if (exchange->status == HTTP_503)
		PUT(framing, "\r\nRetry-After: 1");
	if (exchange->status == HTTP_405 ||
	    (exchange->status == HTTP_NO_CONTENT &&
	    exchange->note[0] != '\0')) {
		PUT(framing, "\r\nAllow: ");
		http_text(framing, exchange->note);
	}
}

static void
put_status(struct proto_framing *framing, unsigned status)
{
	PUT(framing, "HTTP/1.1 ");
	http_number(framing, status);
	PUT(framing, " ");
	http_text(framing, reason_of(status));
}

static void
http_frame(struct proto_framing *framing, size_t payload_len,
    const struct conf_listener *conf, const struct exchange *base)
{
	const struct http_exchange *exchange =
	    (const struct http_exchange *)base;

	framing->head_len = framing->tail_len = 0;
	if (exchange->status == HTTP_CONTINUE) {
		PUT(framing, "HTTP/1.1 100 Continue\r\n\r\n");
		return;
	}
	put_status(framing, exchange->status != 0 ? exchange->status : HTTP_OK);
	PUT(framing, "\r\nDate: ");
	http_put(framing, http_date(), HTTP_DATE_LEN);
	if (*conf->http.server != '\0') {
		PUT(framing, "\r\nServer: ");
		http_text(framing, conf->http.server);
	}
	if (conf->http.request_id && *base->id != '\0') {
		PUT(framing, "\r\nX-Request-Id: ");
		http_text(framing, base->id);
	}
	put_body_fields(framing, payload_len, exchange);
	if (exchange->is_trouble)
		put_advice(framing, exchange);
	if (framing->fields != NULL)
		http_put(framing, framing->fields->bytes, framing->fields->len);
	if (base->close)
		PUT(framing, "\r\nConnection: close");
	else if (exchange->is_10)
		PUT(framing, "\r\nConnection: keep-alive");
	PUT(framing, "\r\n\r\n");
}

/* What a reply depends on. */
enum {
	BRIEF_CLOSE = 1 << 0,
	BRIEF_10 = 1 << 1,
	BRIEF_HEAD = 1 << 2,
	BRIEF_JSON = 1 << 3,
};

static uint8_t
http_brief(const struct exchange *base)
{
	const struct http_exchange *exchange =
	    (const struct http_exchange *)base;

	return ((uint8_t)((base->close ? BRIEF_CLOSE : 0) |
	    (exchange->is_10 ? BRIEF_10 : 0) |
	    (exchange->is_head ? BRIEF_HEAD : 0) |
	    (exchange->wants_json ? BRIEF_JSON : 0)));
}

static void
http_recall(uint8_t brief, struct exchange *base)
{
	struct http_exchange *exchange = (struct http_exchange *)base;

	http_head_glimpse(head_of(base), (const uint8_t *)"", 0);
	base->close = (brief & BRIEF_CLOSE) != 0;
	exchange->is_10 = (brief & BRIEF_10) != 0;
	exchange->is_head = (brief & BRIEF_HEAD) != 0;
	exchange->wants_json = (brief & BRIEF_JSON) != 0;
}

const struct proto proto_http = {
	.name = "http",
	.parse = http_parse,
	.skip = http_skip,
	.can_resume = http_can_resume,
	.frame = http_frame,
	.empty = true,
	.has_exchange = true,
	.glimpse = http_glimpse,
	.explain = http_explain,
	.keep_size = http_facts_keep_size,
	.keep = http_facts_keep,
	.tell = http_facts_tell,
	.tell_json = http_facts_tell_json,
	.note = http_facts_note,
	.log = http_facts_log,
	.kept_len = offsetof(struct http_facts, told),
	.brief = http_brief,
	.recall = http_recall,
	.pack = http_facts_pack,
	.unpack = http_facts_unpack,
};
