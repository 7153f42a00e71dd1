/* SPDX-License-Identifier: ISC */
#include "worker/http_facts.h"

#include <string.h>
#include <strings.h>

#include "common/escape.h"
#include "common/http_fields.h"
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

/* Append bytes and a NUL. */
static size_t
tell(char *to, size_t at, struct http_slice slice)
{
	if (slice.len > 0)
		memcpy(to + at, slice.bytes, slice.len);
	to[at + slice.len] = '\0';
	return (at + slice.len + 1);
}

static struct http_slice
slice_of(const char *text)
{
	return ((struct http_slice){ text, strlen(text) });
}

/* The values of one field, joined as they would be in one line: by commas, but
 * those of Cookie by semicolons, RFC 6265, 5.4.  Returns where they end, and 0
 * if the request does not have it. */
static size_t
tell_field(char *to, size_t at, const struct http_head *head,
    const struct conf_http *conf, unsigned number)
{
	bool is_cookie = strcasecmp(conf->fields[number], "cookie") == 0;
	size_t end = 0;

	for (unsigned i = 0; i < head->nfields; i++) {
		if (head->fields[i].number != number)
			continue;
		if (end == 0) {
			end = tell(to, at, slice_of(conf->fields[number]));
		} else {
			/* Over the NUL of the one before. */
			end = tell(to, end - 1, slice_of(is_cookie ? "; " :
			    ", ")) - 1;
		}
		end = tell(to, end, head->fields[i].value);
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

/* The part that the access log writes. */
static size_t
tell_brief(char *to, const struct http_head *head)
{
	size_t at;

	at = tell(to, 0, cut(head->method, ACCESS_LOG_VALUE_MAX));
	at = tell(to, at, cut(head->target, ACCESS_LOG_TARGET_MAX));
	at = tell(to, at, slice_of(""));		/* path */
	return (tell(to, at, slice_of("")));	/* query */
}

/* Returns the number of bytes. */
static size_t
tell_all(char *to, const struct http_head *head, const struct conf_http *conf,
    unsigned *nfields)
{
	size_t at = 0, end;

	at = tell(to, at, head->method);
	at = tell(to, at, head->target);
	at = tell(to, at, head->path);
	at = tell(to, at, head->query);
	for (unsigned i = 0; conf->fields != NULL && conf->fields[i] != NULL;
	    i++) {
		if ((end = tell_field(to, at, head, conf, i)) == 0)
			continue;
		at = end;
		(*nfields)++;
	}
	return (at);
}

static size_t
tell_logged(char *to, const struct http_head *head)
{
	return (tell(to, tell(to, 0, cut(head->referer, ACCESS_LOG_VALUE_MAX)),
	    cut(head->agent, ACCESS_LOG_VALUE_MAX)));
}

static size_t
align(size_t len)
{
	return ((len + EXEC_TOLD_ALIGN - 1) & ~(size_t)(EXEC_TOLD_ALIGN - 1));
}

size_t
http_facts_keep_size(const struct exchange *exchange,
    const struct conf_listener *conf, bool is_logged)
{
	const struct http_head *head = (const struct http_head *)exchange;
	size_t len = sizeof(struct exec_http) + 4, logged_len = 0;

	if (conf == NULL && !is_logged)
		return (sizeof(struct http_facts));
	if (conf == NULL)
		len += cut(head->method, ACCESS_LOG_VALUE_MAX).len +
		    cut(head->target, ACCESS_LOG_TARGET_MAX).len;
	else
		len += head->method.len + head->target.len + head->path.len +
		    head->query.len;
	/* Fields that are joined take no more than this. */
	for (unsigned i = 0; conf != NULL && i < head->nfields; i++)
		len += strlen(conf->http.fields[head->fields[i].number]) + 1 +
		    head->fields[i].value.len + 1;
	if (is_logged)
		logged_len = cut(head->referer, ACCESS_LOG_VALUE_MAX).len + 1 +
		    cut(head->agent, ACCESS_LOG_VALUE_MAX).len + 1;
	return (sizeof(struct http_facts) + align(len) + logged_len);
}

struct exchange *
http_facts_keep(void *room, const struct exchange *exchange,
    const struct conf_listener *conf, bool is_logged)
{
	const struct http_head *head = (const struct http_head *)exchange;
	struct http_facts *facts = room;
	char *strings = (char *)(&facts->told + 1);
	unsigned nfields = 0;
	size_t len;

	facts->exchange = head->exchange;
	facts->exchange.is_kept = true;
	facts->len = facts->logged_len = 0;
	if (conf == NULL && !is_logged)
		return (&facts->exchange.base);
	len = conf != NULL ? tell_all(strings, head, &conf->http, &nfields) :
	    tell_brief(strings, head);
	facts->len = align(sizeof(facts->told) + len);
	memset(strings + len, 0, facts->len - sizeof(facts->told) - len);
	facts->told = (struct exec_http){
		.nfields = (uint16_t)nfields,
		.has_query = conf != NULL && head->query.bytes != NULL,
		.is_10 = head->exchange.is_10,
	};
	if (is_logged)
		facts->logged_len = tell_logged((char *)&facts->told +
		    facts->len, head);
	return (&facts->exchange.base);
}

static bool
is_sound_id(const char id[EXCHANGE_ID_MAX + 1])
{
	const char *end = memchr(id, '\0', EXCHANGE_ID_MAX + 1);

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
	return (len < EXEC_TOLD_ALIGN);
}

bool
http_facts_are_sound(const struct http_facts *facts)
{
	const struct http_exchange *exchange = &facts->exchange;

	if (exchange->status > HTTP_STATUS_MAX ||
	    memchr(exchange->note, '\0', sizeof(exchange->note)) == NULL ||
	    !is_printable(exchange->note, strlen(exchange->note)) ||
	    !is_sound_id(exchange->base.id))
		return (false);
	if (facts->logged_len > 0 && !are_strings((const char *)&facts->told +
	    facts->len, facts->logged_len, 2))
		return (false);
	if (facts->len == 0)
		return (true);
	return (facts->len > sizeof(facts->told) &&
	    facts->len % EXEC_TOLD_ALIGN == 0 &&
	    facts->told.nfields <= CONF_FIELDS_MAX &&
	    are_strings((const char *)(&facts->told + 1),
	    facts->len - sizeof(facts->told), 4 + 2U * facts->told.nfields));
}

/*
 * Descriptions.
 */

static const struct http_exchange *
exchange_of(const struct exchange *exchange)
{
	return ((const struct http_exchange *)exchange);
}

static const struct http_facts *
facts_of(const struct exchange *exchange)
{
	return ((const struct http_facts *)exchange);
}

static struct payload
payload_of(struct http_slice slice)
{
	return ((struct payload){ (const uint8_t *)slice.bytes, slice.len });
}

struct payload
http_facts_tell(const struct exchange *exchange)
{
	const struct http_facts *facts = facts_of(exchange);

	return ((struct payload){ (const uint8_t *)&facts->told, facts->len });
}

/* The string at a place, which is moved to the next one. */
static struct payload
http_facts_next_string(const char **at)
{
	struct payload string = payload_of(slice_of(*at));

	*at += string.len + 1;
	return (string);
}

static void
log_kept(const struct http_facts *facts, struct access_facts *to)
{
	const char *at = (const char *)(&facts->told + 1);

	if (facts->len > 0) {
		to->method = http_facts_next_string(&at);
		to->target = http_facts_next_string(&at);
	}
	at = (const char *)&facts->told + facts->len;
	if (facts->logged_len > 0) {
		to->referer = http_facts_next_string(&at);
		to->agent = http_facts_next_string(&at);
	}
}

static void
log_head(const struct http_head *head, struct access_facts *to)
{
	to->method = payload_of(head->method);
	to->target = payload_of(head->target);
	to->referer = payload_of(head->referer);
	to->agent = payload_of(head->agent);
}

void
http_facts_log(const struct exchange *from, struct access_facts *to)
{
	const struct http_exchange *exchange = exchange_of(from);

	*to = (struct access_facts){
		.id = from->id,
		.status = exchange->status != 0 ? exchange->status : HTTP_OK,
		.is_10 = exchange->is_10,
		.has_body = !exchange->is_head &&
		    exchange->status != HTTP_NO_CONTENT &&
		    exchange->status != HTTP_NOT_MODIFIED,
		.arrived_us = to->arrived_us,
	};
	if (exchange->is_kept)
		log_kept(facts_of(from), to);
	else
		log_head((const struct http_head *)from, to);
}

/*
 * JSON.
 */

static void
json_add(struct buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

/* One member, and to the next string. */
static const char *
json_member(struct buffer *out, const char *name, const char *value)
{
	size_t len = strlen(value), taken;

	json_add(out, name);
	json_add(out, "\"");
	out->len += escape_json_text((char *)out->bytes + out->len,
	    out->cap - out->len, value, len, &taken);
	json_add(out, "\"");
	return (value + len + 1);
}

void
http_facts_tell_json(const struct exchange *exchange, struct buffer *out)
{
	const struct http_facts *facts = facts_of(exchange);
	const char *at = (const char *)(&facts->told + 1);

	if (facts->len == 0)
		return;
	json_add(out, facts->told.is_10 ? ",\"http\":{\"version\":\"1.0\"" :
	    ",\"http\":{\"version\":\"1.1\"");
	at = json_member(out, ",\"method\":", at);
	at = json_member(out, ",\"target\":", at);
	at = json_member(out, ",\"path\":", at);
	if (facts->told.has_query)
		json_member(out, ",\"query\":", at);
	at += strlen(at) + 1;
	json_add(out, ",\"fields\":{");
	for (unsigned i = 0; i < facts->told.nfields; i++) {
		at = json_member(out, i > 0 ? "," : "", at);
		at = json_member(out, ":", at);
	}
	json_add(out, "}}");
}

/*
 * What comes back.
 */

int
http_facts_note(struct exchange *to, unsigned status,
    const struct payload *type, const struct payload *fields)
{
	struct http_exchange *exchange = (struct http_exchange *)to;

	if (status != 0 && (status < HTTP_OK || status > HTTP_STATUS_MAX))
		return (-1);
	if (type->len >= sizeof(exchange->note) ||
	    !is_printable((const char *)type->bytes, type->len) ||
	    (fields->len > 0 && !http_fields_are_sound(
	    (const char *)fields->bytes, fields->len)))
		return (-1);
	exchange->status = (uint16_t)status;
	if (type->len > 0)
		memcpy(exchange->note, type->bytes, type->len);
	exchange->note[type->len] = '\0';
	return (0);
}

/*
 * To another worker, and from there.
 */

/* An exchange on its way. */
struct packed {
	uint16_t status;
	uint8_t flags;		/* PACKED_* */
	char id[EXCHANGE_ID_MAX + 1];
	char note[HTTP_NOTE_MAX];
	uint8_t pad;
};

enum {
	PACKED_10 = 1 << 0,
	PACKED_HEAD = 1 << 1,
	PACKED_JSON = 1 << 2,
	PACKED_TROUBLE = 1 << 3,
	PACKED_CLOSE = 1 << 4,
};

_Static_assert(sizeof(struct packed) == PROTO_PACKED_LEN,
    "as the previous release has it");

void
http_facts_pack(const struct exchange *from, struct proto_packed *to)
{
	const struct http_facts *facts = facts_of(from);
	const struct http_exchange *exchange = &facts->exchange;
	struct packed packed = {
		.status = exchange->status,
		.flags = (exchange->is_10 ? PACKED_10 : 0) |
		    (exchange->is_head ? PACKED_HEAD : 0) |
		    (exchange->wants_json ? PACKED_JSON : 0) |
		    (exchange->is_trouble ? PACKED_TROUBLE : 0) |
		    (from->close ? PACKED_CLOSE : 0),
	};

	memcpy(packed.id, from->id, sizeof(packed.id));
	memcpy(packed.note, exchange->note, sizeof(packed.note));
	memcpy(to->bytes, &packed, sizeof(packed));
	to->told = http_facts_tell(from);
	to->logged = (struct payload){
		to->told.bytes + facts->len, facts->logged_len,
	};
}

struct exchange *
http_facts_unpack(void *room, const struct proto_packed *from,
    const struct buffer *fields)
{
	struct http_facts *facts = room;
	struct packed packed;

	memcpy(&packed, from->bytes, sizeof(packed));
	facts->exchange = (struct http_exchange){
		.base.close = (packed.flags & PACKED_CLOSE) != 0,
		.base.is_interim = packed.status == HTTP_CONTINUE,
		.status = packed.status,
		.is_10 = (packed.flags & PACKED_10) != 0,
		.is_head = (packed.flags & PACKED_HEAD) != 0,
		.wants_json = (packed.flags & PACKED_JSON) != 0,
		.is_trouble = (packed.flags & PACKED_TROUBLE) != 0,
		.is_kept = true,
	};
	memcpy(facts->exchange.base.id, packed.id, sizeof(packed.id));
	memcpy(facts->exchange.note, packed.note, sizeof(packed.note));
	facts->len = from->told.len;
	facts->logged_len = from->logged.len;
	if (!http_facts_are_sound(facts) ||
	    (fields != NULL && !http_fields_are_sound(
	    (const char *)fields->bytes, fields->len)))
		return (NULL);
	return (&facts->exchange.base);
}
