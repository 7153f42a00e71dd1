/* SPDX-License-Identifier: ISC */
#include "worker/http_facts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/escape.h"
#include "common/http_head.h"

static bool
is_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return (false);
	return (true);
}

/*
 * Strings.
 */

/* Append bytes and a NUL, or only count them where to is NULL. */
static size_t
put(char *to, size_t at, struct http_slice slice)
{
	if (to != NULL && slice.len > 0)
		memcpy(to + at, slice.bytes, slice.len);
	if (to != NULL)
		to[at + slice.len] = '\0';
	return (at + slice.len + 1);
}

static struct http_slice
slice_of(const char *text)
{
	return ((struct http_slice){ text, strlen(text) });
}

/* The values of one field, joined as they would be in one line: by commas, but
 * those of Cookie by semicolons, RFC 6265, 5.4.  Returns where they end, and 0 if
 * the request does not have it. */
static size_t
put_field(char *to, size_t at, const struct http_head *head,
    const struct conf_http *conf, unsigned number)
{
	bool is_cookie = strcasecmp(conf->fields[number], "cookie") == 0;
	size_t end = 0;

	for (unsigned i = 0; i < head->nfields; i++) {
		if (head->fields[i].number != number)
			continue;
		if (end == 0) {
			end = put(to, at, slice_of(conf->fields[number]));
		} else {
			/* Over the NUL of the one before. */
			end = put(to, end - 1, slice_of(is_cookie ? "; " :
			    ", ")) - 1;
		}
		end = put(to, end, head->fields[i].value);
	}
	return (end);
}

/* Of a value, as much as the access log can write. */
static struct http_slice
cut(struct http_slice slice, size_t max)
{
	if (slice.len > max)
		slice.len = max;
	return (slice);
}

/* What the access log writes of that which handlers are told. */
static size_t
put_brief(char *to, const struct http_head *head)
{
	size_t at;

	at = put(to, 0, cut(head->method, ACCESS_LOG_VALUE_MAX));
	at = put(to, at, cut(head->target, ACCESS_LOG_TARGET_MAX));
	at = put(to, at, slice_of(""));		/* path */
	return (put(to, at, slice_of("")));	/* query */
}

/* Returns the number of bytes. */
static size_t
put_all(char *to, const struct http_head *head, const struct conf_http *conf,
    unsigned *nfields)
{
	size_t at = 0, end;

	*nfields = 0;
	if (conf == NULL)
		return (put_brief(to, head));
	at = put(to, at, head->method);
	at = put(to, at, head->target);
	at = put(to, at, head->path);
	at = put(to, at, head->query);
	for (unsigned i = 0; conf->fields != NULL && conf->fields[i] != NULL;
	    i++) {
		if ((end = put_field(to, at, head, conf, i)) == 0)
			continue;
		at = end;
		(*nfields)++;
	}
	return (at);
}

static size_t
put_logged(char *to, const struct http_head *head)
{
	return (put(to, put(to, 0, cut(head->referer, ACCESS_LOG_VALUE_MAX)),
	    cut(head->agent, ACCESS_LOG_VALUE_MAX)));
}

static size_t
align(size_t len)
{
	return ((len + EXEC_HTTP_ALIGN - 1) & ~(size_t)(EXEC_HTTP_ALIGN - 1));
}

/* The bytes of what is told, and logged. */
static void
measure(const struct http_head *head, const struct conf_http *conf,
    bool is_logged, size_t *len, size_t *logged_len)
{
	unsigned nfields;

	*len = *logged_len = 0;
	if (conf != NULL || is_logged)
		*len = align(sizeof(struct exec_http) +
		    put_all(NULL, head, conf, &nfields));
	if (is_logged)
		*logged_len = put_logged(NULL, head);
}

size_t
http_facts_size_of(size_t len, size_t logged_len)
{
	return (sizeof(struct http_facts) + len + logged_len);
}

size_t
http_facts_size(const struct http_head *head, const struct conf_http *conf,
    bool is_logged)
{
	size_t len, logged_len;

	measure(head, conf, is_logged, &len, &logged_len);
	return (http_facts_size_of(len, logged_len));
}

struct http_facts *
http_facts_lay(void *room, const struct http_exchange *exchange, size_t len,
    size_t logged_len)
{
	struct http_facts *facts = room;

	facts->exchange = *exchange;
	facts->len = len;
	facts->logged_len = logged_len;
	return (facts);
}

struct http_facts *
http_facts_fill(void *room, const struct http_head *head,
    const struct conf_http *conf, bool is_logged)
{
	struct http_facts *facts;
	unsigned nfields;
	size_t len, logged_len;
	char *strings;

	measure(head, conf, is_logged, &len, &logged_len);
	facts = http_facts_lay(room, &head->exchange, len, logged_len);
	if (len == 0)
		return (facts);
	strings = (char *)(&facts->told + 1);
	memset(strings, 0, len - sizeof(facts->told));
	put_all(strings, head, conf, &nfields);
	facts->told = (struct exec_http){
		.nfields = (uint16_t)nfields,
		.has_query = conf != NULL && head->query.bytes != NULL,
		.is_10 = head->exchange.is_10,
	};
	if (is_logged)
		put_logged((char *)&facts->told + len, head);
	return (facts);
}

static bool
is_sound_id(const char id[HTTP_REQUEST_ID_MAX + 1])
{
	const char *end = memchr(id, '\0', HTTP_REQUEST_ID_MAX + 1);

	return (end != NULL && (end == id ||
	    http_is_token(id, (size_t)(end - id))));
}

/* The strings are as many as there have to be, and end within the bytes, of
 * which few are left. */
static bool
are_strings(const char *strings, size_t len, unsigned count)
{
	const char *nul;

	for (; count > 0; count--) {
		if ((nul = memchr(strings, '\0', len)) == NULL)
			return (false);
		len -= (size_t)(nul + 1 - strings);
		strings = nul + 1;
	}
	return (len < EXEC_HTTP_ALIGN);
}

bool
http_facts_are_sound(const struct http_facts *facts)
{
	const struct http_exchange *exchange = &facts->exchange;

	if (exchange->status > HTTP_STATUS_MAX ||
	    memchr(exchange->note, '\0', sizeof(exchange->note)) == NULL ||
	    !is_printable(exchange->note, strlen(exchange->note)) ||
	    !is_sound_id(exchange->id))
		return (false);
	if (facts->logged_len > 0 && !are_strings((const char *)&facts->told +
	    facts->len, facts->logged_len, 2))
		return (false);
	if (facts->len == 0)
		return (true);
	return (facts->len > sizeof(facts->told) &&
	    facts->len % EXEC_HTTP_ALIGN == 0 &&
	    facts->told.nfields <= CONF_FIELDS_MAX &&
	    are_strings((const char *)(&facts->told + 1),
	    facts->len - sizeof(facts->told), 4 + 2U * facts->told.nfields));
}

void
http_facts_for_log(const struct http_facts *facts, struct access_facts *to)
{
	const char *at = (const char *)(&facts->told + 1);

	to->method = to->target = slice_of("");
	to->referer = to->agent = slice_of("");
	if (facts->len > 0) {
		to->method = slice_of(at);
		to->target = slice_of(at + to->method.len + 1);
	}
	if (facts->logged_len > 0) {
		at = (const char *)&facts->told + facts->len;
		to->referer = slice_of(at);
		to->agent = slice_of(at + to->referer.len + 1);
	}
}

struct http_exchange *
http_exchange_of(const struct request *request)
{
	return (request->http != NULL ? &request->http->exchange : NULL);
}

/*
 * JSON.
 */

static void
add(struct buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

/* One member, and to the next string. */
static const char *
add_member(struct buffer *out, const char *name, const char *value)
{
	const char *end = value + strlen(value);
	char escaped[ESCAPE_JSON_MAX];
	size_t n, taken;

	add(out, name);
	add(out, "\"");
	for (; value < end; value += taken) {
		n = escape_json(value, (size_t)(end - value), escaped, &taken);
		buffer_append(out, escaped, n);
	}
	add(out, "\"");
	return (end + 1);
}

void
http_facts_json(const struct http_facts *facts, struct buffer *out)
{
	const char *at = (const char *)(&facts->told + 1);

	add(out, facts->told.is_10 ? "{\"version\":\"1.0\"" :
	    "{\"version\":\"1.1\"");
	at = add_member(out, ",\"method\":", at);
	at = add_member(out, ",\"target\":", at);
	at = add_member(out, ",\"path\":", at);
	if (facts->told.has_query)
		add_member(out, ",\"query\":", at);
	at += strlen(at) + 1;
	add(out, ",\"fields\":{");
	for (unsigned i = 0; i < facts->told.nfields; i++) {
		at = add_member(out, i > 0 ? "," : "", at);
		at = add_member(out, ":", at);
	}
	add(out, "}}");
}

/*
 * What comes back.
 */

int
http_note_reply(struct http_exchange *exchange, unsigned status,
    const char *type, size_t type_len)
{
	if (status != 0 && (status < HTTP_OK || status > HTTP_STATUS_MAX))
		return (-1);
	if (type_len >= sizeof(exchange->note) ||
	    !is_printable(type, type_len))
		return (-1);
	exchange->status = (uint16_t)status;
	if (type_len > 0)
		memcpy(exchange->note, type, type_len);
	exchange->note[type_len] = '\0';
	return (0);
}
