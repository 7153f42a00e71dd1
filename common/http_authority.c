/* SPDX-License-Identifier: ISC */
#include "common/http_authority.h"

#include <arpa/inet.h>

#include <string.h>

enum {
	PORT_MAX = 65535,
	IPV6_TEXT_MAX = 45,		/* "0000:...:255.255.255.255" */
};

enum { IS_UNRESERVED = 1, IS_SUB_DELIM = 2, IS_HEX = 4 };

static const uint8_t kinds[256] = {
	['0' ... '9'] = IS_UNRESERVED | IS_HEX,
	['A' ... 'F'] = IS_UNRESERVED | IS_HEX,
	['a' ... 'f'] = IS_UNRESERVED | IS_HEX,
	['G' ... 'Z'] = IS_UNRESERVED, ['g' ... 'z'] = IS_UNRESERVED,
	['-'] = IS_UNRESERVED, ['.'] = IS_UNRESERVED,
	['_'] = IS_UNRESERVED, ['~'] = IS_UNRESERVED,
	['!'] = IS_SUB_DELIM, ['$'] = IS_SUB_DELIM, ['&'] = IS_SUB_DELIM,
	['\''] = IS_SUB_DELIM, ['('] = IS_SUB_DELIM, [')'] = IS_SUB_DELIM,
	['*'] = IS_SUB_DELIM, ['+'] = IS_SUB_DELIM, [','] = IS_SUB_DELIM,
	[';'] = IS_SUB_DELIM, ['='] = IS_SUB_DELIM,
};

static bool
is_kind(char c, uint8_t kind)
{
	return ((kinds[(uint8_t)c] & kind) != 0);
}

/* reg-name, of which an IPv4 address is one. */
static size_t
name_len(struct http_slice slice)
{
	size_t n = 0;

	while (n < slice.len) {
		if (is_kind(slice.bytes[n], IS_UNRESERVED | IS_SUB_DELIM))
			n++;
		else if (slice.bytes[n] == '%' && n + 2 < slice.len &&
		    is_kind(slice.bytes[n + 1], IS_HEX) &&
		    is_kind(slice.bytes[n + 2], IS_HEX))
			n += 3;
		else
			break;
	}
	return (n);
}

static bool
is_ipv6(const char *text, size_t len)
{
	char copy[IPV6_TEXT_MAX + 1];
	struct in6_addr address;

	if (len > IPV6_TEXT_MAX)
		return (false);
	memcpy(copy, text, len);
	copy[len] = '\0';
	return (inet_pton(AF_INET6, copy, &address) == 1);
}

/* "v", a version in hexadecimal, ".", and the address. */
static bool
is_ipv_future(const char *text, size_t len)
{
	size_t n = 1;

	if (len == 0 || (*text != 'v' && *text != 'V'))
		return (false);
	while (n < len && is_kind(text[n], IS_HEX))
		n++;
	if (n == 1 || n + 1 >= len || text[n] != '.')
		return (false);
	for (n++; n < len; n++)
		if (text[n] != ':' &&
		    !is_kind(text[n], IS_UNRESERVED | IS_SUB_DELIM))
			return (false);
	return (true);
}

/* Returns the length of an address in brackets, 0 if it is none. */
static size_t
literal_len(struct http_slice slice)
{
	const char *end = memchr(slice.bytes, ']', slice.len);
	size_t len;

	if (end == NULL)
		return (0);
	len = (size_t)(end - slice.bytes) - 1;
	if (!is_ipv6(slice.bytes + 1, len) &&
	    !is_ipv_future(slice.bytes + 1, len))
		return (0);
	return (len + 2);
}

/* A port may be empty: "host:". */
static bool
is_port(const char *text, size_t len)
{
	unsigned port = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return (false);
		port = port * 10 + (unsigned)(text[i] - '0');
		if (port > PORT_MAX)
			return (false);
	}
	return (true);
}

bool
http_is_authority(struct http_slice slice)
{
	size_t n;

	if (slice.len == 0)
		return (false);
	n = *slice.bytes == '[' ? literal_len(slice) : name_len(slice);
	if (n == 0)
		return (false);
	return (n == slice.len || (slice.bytes[n] == ':' &&
	    is_port(slice.bytes + n + 1, slice.len - n - 1)));
}
