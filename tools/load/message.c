/* SPDX-License-Identifier: ISC */
#include "tools/load/message.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "tools/load/wire_http.h"

enum {
	LENGTH_DIGITS = 10,
	HEAD_END = 4,		/* CR, LF, CR, LF */
};

/* Bytes of all kinds, but for those that end a line. */
static void
message_fill(uint8_t *filler, enum message_wire wire)
{
	for (size_t i = 0; i < 2 * (size_t)MESSAGE_PERIOD; i++) {
		filler[i] = (uint8_t)(i % MESSAGE_PERIOD * 101 + 7);
		if (wire == WIRE_LINE &&
		    (filler[i] == '\n' || filler[i] == '\r'))
			filler[i] = '.';
	}
}

static uint32_t
within(uint32_t value, uint32_t least, uint32_t most)
{
	return (value < least ? least : value > most ? most : value);
}

void
message_form_init(struct message_form *form, enum message_wire wire,
    uint32_t size_min, uint32_t size_max)
{
	form->wire = wire;
	form->size_min = within(size_min, MESSAGE_SIZE_MIN, MESSAGE_SIZE_MAX);
	form->size_max = within(size_max, form->size_min, MESSAGE_SIZE_MAX);
	message_fill(form->filler, wire);
	(void)message_form_set_target(form, "localhost", "/");
}

int
message_form_set_target(struct message_form *form, const char *host,
    const char *path)
{
	int n = snprintf(form->head, sizeof(form->head),
	    "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: ", path, host);

	if (n < 0 || (size_t)n >= sizeof(form->head))
		return (-1);
	form->head_len = (size_t)n;
	return (0);
}

void
message_form_set_raw(struct message_form *form, const char *bytes, size_t len,
    size_t reply_len)
{
	form->raw = bytes;
	form->raw_len = len;
	form->raw_reply_len = reply_len;
}

size_t
message_room(const struct message_form *form)
{
	switch (form->wire) {
	case WIRE_FRAME:
	case WIRE_LINE:
	case WIRE_HTTP:
		break;
	case WIRE_POST:
		return (form->head_len + MESSAGE_FRAMING + form->size_max);
	case WIRE_RAW:
		return (form->raw_len);
	}
	return (form->size_max + (size_t)MESSAGE_FRAMING);
}

/* A number that is unlike that of any message near by. */
static uint32_t
hash(struct message_id id)
{
	uint32_t h = id.conn * 2654435761U ^ id.number * 2246822519U;

	h ^= h >> 15;
	h *= 2654435761U;
	return (h ^ h >> 13);
}

static uint32_t
payload_size(const struct message_form *form, uint32_t h)
{
	return (form->size_min + h % (form->size_max - form->size_min + 1));
}

static bool
ends_with_cr(const struct message_form *form, struct message_id id)
{
	return (form->wire == WIRE_LINE && (id.conn + id.number) % 2 != 0);
}

static void
put_hex(uint8_t *to, uint32_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 4)
		to[i] = (uint8_t)"0123456789abcdef"[value & 15];
}

static void
build_payload(const struct message_form *form, uint8_t *to, size_t len,
    struct message_id id, uint32_t h)
{
	size_t n;

	put_hex(to, id.conn);
	to[8] = '-';
	put_hex(to + 9, id.number);
	to[17] = ' ';
	for (size_t at = MESSAGE_SIZE_MIN; at < len; at += n) {
		n = len - at < MESSAGE_PERIOD ? len - at : MESSAGE_PERIOD;
		memcpy(to + at, form->filler + h % MESSAGE_PERIOD, n);
	}
}

size_t
message_build_payload(const struct message_form *form, uint8_t *to,
    struct message_id id)
{
	uint32_t h = hash(id), len = payload_size(form, h);

	build_payload(form, to, len, id, h);
	return (len);
}

/* Returns how many digits that took. */
static size_t
put_decimal(uint8_t *to, uint32_t value)
{
	uint8_t digits[LENGTH_DIGITS];
	size_t n = 0;

	do {
		digits[n++] = (uint8_t)('0' + value % 10);
	} while ((value /= 10) != 0);
	for (size_t i = 0; i < n; i++)
		to[i] = digits[n - 1 - i];
	return (n);
}

static size_t
build_post(const struct message_form *form, uint8_t *to, struct message_id id)
{
	uint32_t h = hash(id), size = payload_size(form, h);
	size_t len = form->head_len;

	memcpy(to, form->head, len);
	len += put_decimal(to + len, size);
	memcpy(to + len, "\r\n\r\n", HEAD_END);
	len += HEAD_END;
	build_payload(form, to + len, size, id, h);
	return (len + size);
}

static bool
is_chunked(struct message_id id)
{
	return ((id.conn + id.number) % 2 != 0);
}

static size_t
build_request(const struct message_form *form, uint8_t *to,
    struct message_id id)
{
	uint32_t h = hash(id), len = payload_size(form, h);
	struct wire_http http;
	uint8_t *at = to, *rest;

	wire_http_request(&http, len, is_chunked(id));
	memcpy(at, http.head, http.head_len);
	at += http.head_len;
	build_payload(form, at, len, id, h);
	rest = at + http.first_len;
	memmove(rest + http.between_len, rest, len - http.first_len);
	memcpy(rest, http.between, http.between_len);
	at += len + http.between_len;
	memcpy(at, http.tail, http.tail_len);
	return ((size_t)(at - to) + http.tail_len);
}

static size_t
build_http_reply(const struct message_form *form, uint8_t *to,
    struct message_id id)
{
	uint32_t h = hash(id), len = payload_size(form, h);
	size_t head_len = wire_http_reply(to, MESSAGE_FRAMING, len);

	build_payload(form, to + head_len, len, id, h);
	return (head_len + len);
}

static size_t
build(const struct message_form *form, uint8_t *to, struct message_id id,
    bool with_cr)
{
	uint32_t h = hash(id), len = payload_size(form, h), header = htonl(len);

	if (form->wire == WIRE_FRAME) {
		memcpy(to, &header, sizeof(header));
		build_payload(form, to + sizeof(header), len, id, h);
		return (sizeof(header) + len);
	}
	build_payload(form, to, len, id, h);
	if (with_cr)
		to[len++] = '\r';
	to[len++] = '\n';
	return (len);
}

size_t
message_build(const struct message_form *form, uint8_t *to,
    struct message_id id)
{
	switch (form->wire) {
	case WIRE_FRAME:
	case WIRE_LINE:
		return (build(form, to, id, ends_with_cr(form, id)));
	case WIRE_HTTP:
		return (build_request(form, to, id));
	case WIRE_POST:
		return (build_post(form, to, id));
	case WIRE_RAW:
		break;
	}
	memcpy(to, form->raw, form->raw_len);
	return (form->raw_len);
}

size_t
message_build_reply(const struct message_form *form, uint8_t *to,
    struct message_id id)
{
	if (form->wire == WIRE_HTTP)
		return (build_http_reply(form, to, id));
	return (build(form, to, id, false));
}

size_t
message_length(const struct message_form *form, struct message_id id)
{
	size_t len = payload_size(form, hash(id));
	uint8_t digits[LENGTH_DIGITS];
	struct wire_http http;

	switch (form->wire) {
	case WIRE_FRAME:
		return (len + sizeof(uint32_t));
	case WIRE_LINE:
		return (len + (ends_with_cr(form, id) ? 2 : 1));
	case WIRE_POST:
		return (form->head_len + put_decimal(digits, (uint32_t)len) +
		    HEAD_END + len);
	case WIRE_RAW:
		return (form->raw_len);
	case WIRE_HTTP:
		break;
	}
	wire_http_request(&http, len, is_chunked(id));
	return (http.head_len + len + http.between_len + http.tail_len);
}

bool
message_is_reply(const struct message_form *form, const uint8_t *reply,
    size_t from, const uint8_t *bytes, size_t len)
{
	size_t end = from + len, n;

	if (form->wire == WIRE_HTTP && from < WIRE_HTTP_DATE_END &&
	    end > WIRE_HTTP_DATE_AT) {
		n = from < WIRE_HTTP_DATE_AT ? WIRE_HTTP_DATE_AT - from : 0;
		if (memcmp(reply + from, bytes, n) != 0)
			return (false);
		if (end <= WIRE_HTTP_DATE_END)
			return (true);
		bytes += WIRE_HTTP_DATE_END - from;
		from = WIRE_HTTP_DATE_END;
	}
	return (memcmp(reply + from, bytes, end - from) == 0);
}

static bool
read_hex(const uint8_t *text, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		if (text[i] >= '0' && text[i] <= '9')
			*value = *value << 4 | (uint32_t)(text[i] - '0');
		else if (text[i] >= 'a' && text[i] <= 'f')
			*value = *value << 4 | (uint32_t)(text[i] - 'a' + 10);
		else
			return (false);
	}
	return (true);
}

bool
message_read_id(const uint8_t *payload, size_t len, struct message_id *id)
{
	return (len >= MESSAGE_SIZE_MIN && payload[8] == '-' &&
	    payload[17] == ' ' && read_hex(payload, &id->conn) &&
	    read_hex(payload + 9, &id->number));
}
