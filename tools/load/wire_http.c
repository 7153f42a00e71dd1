/* SPDX-License-Identifier: ISC */
#include "tools/load/wire_http.h"

#include <stdio.h>
#include <string.h>

/* The id comes back, so that a reply is known to the byte. */
#define ID	"X-Request-Id: load\r\n"
#define REQUEST	"POST /load HTTP/1.1\r\nHost: load\r\n" ID

void
wire_http_request(struct wire_http *http, size_t len, bool is_chunked)
{
	http->first_len = is_chunked ? len / 2 : len;
	http->tail = is_chunked ? "\r\n0\r\n\r\n" : "";
	http->tail_len = strlen(http->tail);
	http->between_len = 0;
	if (!is_chunked) {
		http->head_len = (size_t)snprintf(http->head,
		    sizeof(http->head), REQUEST "Content-Length: %zu\r\n\r\n",
		    len);
		return;
	}
	http->head_len = (size_t)snprintf(http->head, sizeof(http->head),
	    REQUEST "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
	    http->first_len);
	http->between_len = (size_t)snprintf(http->between,
	    sizeof(http->between), "\r\n%zx\r\n", len - http->first_len);
}

size_t
wire_http_reply(uint8_t *to, size_t room, size_t len)
{
	return ((size_t)snprintf((char *)to, room, "HTTP/1.1 200 OK\r\n"
	    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n" ID
	    "Content-Type: application/octet-stream\r\n"
	    "Content-Length: %zu\r\n\r\n", len));
}

size_t
wire_http_head(const uint8_t *wire, size_t len)
{
	const uint8_t *end;

	end = len > 0 ? memmem(wire, len, "\r\n\r\n", 4) : NULL;
	return (end == NULL ? 0 : (size_t)(end - wire) + 4);
}

/* Read a number that has only digits, and not too many. */
static bool
wire_http_read_length(const uint8_t *text, const uint8_t *end, size_t *length)
{
	const uint8_t *at = text;

	*length = 0;
	while (at < end && *at >= '0' && *at <= '9' && at - text < 9)
		*length = *length * 10 + (size_t)(*at++ - '0');
	return (at > text && at < end && *at == '\r');
}

size_t
wire_http_length(const uint8_t *wire, size_t len)
{
	static const char name[] = "\r\nContent-Length: ";
	size_t head = wire_http_head(wire, len), body = 0;
	const uint8_t *field;

	if (head == 0)
		return (0);
	field = memmem(wire, head, name, strlen(name));
	if (field != NULL &&
	    !wire_http_read_length(field + strlen(name), wire + head, &body))
		return (SIZE_MAX);
	return (head + body);
}

bool
wire_http_is_ok(const uint8_t *wire, size_t len)
{
	static const char ok[] = "HTTP/1.1 200 ";

	return (len >= strlen(ok) && memcmp(wire, ok, strlen(ok)) == 0);
}
