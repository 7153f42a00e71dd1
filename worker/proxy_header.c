/* SPDX-License-Identifier: ISC */
#include "worker/proxy_header.h"

#include <netinet/in.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v1_signature[] = { 'P', 'R', 'O', 'X', 'Y', ' ' };
static const uint8_t v2_signature[] = {
	0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a
};

enum {
	/* Places in a header of version 2. */
	V2_COMMAND = 12,
	V2_FAMILY = 13,
	V2_LENGTH = 14,
	V2_FIXED = 16,
	/* Commands. */
	V2_LOCAL = 0,
	V2_PROXY = 1,
	/* Families, and transports. */
	V2_UNSPEC = 0,
	V2_INET = 1,
	V2_INET6 = 2,
	V2_UNIX = 3,
	V2_STREAM = 1,
	V2_DGRAM = 2,
	/* What is after the addresses: a type, a length, and so many bytes. */
	TLV_FIXED = 3,
	TLV_CRC32C = 0x03,
	TLV_UNIQUE_ID = 0x05,
	TLV_SSL = 0x20,
	CRC_LEN = 4,
	UNIQUE_ID_MAX = 128,
	SSL_FIXED = 5,		/* before the values within */
};

static enum proxy_verdict
proxy_refuse(struct proxy_header *header, const char *why)
{
	header->wrong = why;
	return (PROXY_INVALID);
}

static unsigned
proxy_read_16(const uint8_t *bytes)
{
	return ((unsigned)bytes[0] << 8 | bytes[1]);
}

/*
 * Version 1: a line.
 */

/* Decimal, without zeros before it.  Returns -1 if it is no port. */
static int
proxy_read_port(const char *text)
{
	size_t len = strspn(text, "0123456789");
	int port;

	if (len == 0 || len > 5 || text[len] != '\0' ||
	    (len > 1 && *text == '0'))
		return (-1);
	port = atoi(text);
	return (port <= 65535 ? port : -1);
}

static bool
proxy_read_client(struct proxy_header *header, int family, const char *host,
    int port)
{
	struct sockaddr_in *in = (void *)&header->client;
	struct sockaddr_in6 *in6 = (void *)&header->client;

	header->client.ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_port = htons((uint16_t)port);
		return (inet_pton(family, host, &in->sin_addr) == 1);
	}
	in6->sin6_port = htons((uint16_t)port);
	return (inet_pton(family, host, &in6->sin6_addr) == 1);
}

/* "SOURCE DESTINATION PORT PORT", each after exactly one space. */
static bool
proxy_read_v1_addresses(struct proxy_header *header, int family, char *words)
{
	char *word[4];
	struct in6_addr there;
	int port;

	for (int i = 0; i < 4; i++)
		if ((word[i] = strsep(&words, " ")) == NULL)
			return (false);
	port = proxy_read_port(word[2]);
	return (words == NULL && port != -1 && proxy_read_port(word[3]) != -1 &&
	    inet_pton(family, word[1], &there) == 1 &&
	    proxy_read_client(header, family, word[0], port));
}

/* The line without its end. */
static enum proxy_verdict
proxy_parse_line(char *line, size_t len, struct proxy_header *header)
{
	char *words = line + sizeof(v1_signature);
	int family;

	/* Whatever else there is, it means nothing. */
	if (strncmp(words, "UNKNOWN", 7) == 0 &&
	    (words + 7 == line + len || words[7] == ' '))
		return (PROXY_WHOLE);
	if (strncmp(words, "TCP4 ", 5) == 0)
		family = AF_INET;
	else if (strncmp(words, "TCP6 ", 5) == 0)
		family = AF_INET6;
	else
		return (proxy_refuse(header,
		    "it is not for TCP4, TCP6 or UNKNOWN"));
	if (strlen(line) != len ||
	    !proxy_read_v1_addresses(header, family, words + 5))
		return (proxy_refuse(header, "its addresses are not valid"));
	header->has_client = true;
	return (PROXY_WHOLE);
}

static enum proxy_verdict
proxy_parse_v1(const uint8_t *bytes, size_t len, struct proxy_header *header)
{
	size_t most = len < PROXY_V1_MAX ? len : PROXY_V1_MAX, n;
	const uint8_t *end = memmem(bytes, most, "\r\n", 2);
	char line[PROXY_V1_MAX];

	if (end == NULL && len < PROXY_V1_MAX)
		return (PROXY_MORE);
	if (end == NULL)
		return (proxy_refuse(header,
		    "its line does not end within 107 bytes"));
	n = (size_t)(end - bytes);
	memcpy(line, bytes, n);
	line[n] = '\0';
	header->len = n + 2;
	return (proxy_parse_line(line, n, header));
}

/*
 * Version 2: numbers.
 */

/* The addresses of each family, and their ports. */
static size_t
proxy_addresses_len(unsigned family)
{
	switch (family) {
	case V2_INET:
		return ((size_t)2 * (4 + 2));
	case V2_INET6:
		return ((size_t)2 * (16 + 2));
	case V2_UNIX:
		return ((size_t)2 * 108);
	}
	return (0);
}

static bool
proxy_is_stream(uint8_t family)
{
	return ((family & 0xf) == V2_STREAM && family >> 4 != V2_UNSPEC);
}

static void
proxy_take_client(struct proxy_header *header, unsigned family,
    const uint8_t *addresses)
{
	struct sockaddr_in *in = (void *)&header->client;
	struct sockaddr_in6 *in6 = (void *)&header->client;

	header->has_client = true;
	switch (family) {
	case V2_INET:
		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, addresses, 4);
		memcpy(&in->sin_port, addresses + 8, 2);
		break;
	case V2_INET6:
		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, addresses, 16);
		memcpy(&in6->sin6_port, addresses + 32, 2);
		break;
	case V2_UNIX:
		header->client.ss_family = AF_UNIX;
		break;
	}
}

/* RFC 4960, appendix B, four bits at a time. */
static uint32_t
proxy_crc32c(uint32_t crc, const uint8_t *bytes, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	while (len-- > 0) {
		crc ^= *bytes++;
		crc = crc >> 4 ^ table[crc & 0xf];
		crc = crc >> 4 ^ table[crc & 0xf];
	}
	return (crc);
}

/* Whether the checksum of a header is right, whose own place counts as 0. */
static bool
proxy_has_sum(const uint8_t *bytes, size_t len, const uint8_t *sum)
{
	static const uint8_t zeros[CRC_LEN];
	size_t before = (size_t)(sum - bytes);
	uint32_t crc = 0xffffffff;

	crc = proxy_crc32c(crc, bytes, before);
	crc = proxy_crc32c(crc, zeros, CRC_LEN);
	crc = ~proxy_crc32c(crc, sum + CRC_LEN, len - before - CRC_LEN);
	return (crc == ((uint32_t)proxy_read_16(sum) << 16 |
	    proxy_read_16(sum + 2)));
}

/* What a walk over the values finds. */
struct proxy_walk {
	const uint8_t *sum;	/* the checksum; NULL: there is none */
	bool has_two;
};

/* Whether a known value has a length that it can have. */
static bool
proxy_fits(uint8_t type, size_t len)
{
	switch (type) {
	case TLV_CRC32C:
		return (len == CRC_LEN);
	case TLV_UNIQUE_ID:
		return (len <= UNIQUE_ID_MAX);
	case TLV_SSL:
		return (len >= SSL_FIXED);
	}
	return (true);
}

/* Returns whether there are whole values, and nothing else. */
static bool
proxy_walk(const uint8_t *at, const uint8_t *end, struct proxy_walk *walk)
{
	uint8_t type;
	size_t len;

	for (; at < end; at += len) {
		if (end - at < TLV_FIXED)
			return (false);
		type = at[0];
		len = proxy_read_16(at + 1);
		at += TLV_FIXED;
		if (len > (size_t)(end - at))
			return (false);
		/* Of those within another one, only the lengths are known. */
		if (walk == NULL)
			continue;
		if (!proxy_fits(type, len) || (type == TLV_SSL &&
		    !proxy_walk(at + SSL_FIXED, at + len, NULL)))
			return (false);
		if (type != TLV_CRC32C)
			continue;
		walk->has_two = walk->sum != NULL;
		walk->sum = at;
	}
	return (true);
}

static enum proxy_verdict
proxy_check_values(const uint8_t *bytes, size_t addresses, bool is_strict,
    struct proxy_header *header)
{
	struct proxy_walk walk = { .sum = NULL };
	const uint8_t *end = bytes + header->len;

	/* A sender may put anything there if it names no client. */
	if (V2_FIXED + addresses > header->len ||
	    !proxy_walk(bytes + V2_FIXED + addresses, end, &walk))
		return (is_strict ? proxy_refuse(header,
		    "the lengths of its values are not valid") : PROXY_WHOLE);
	if (walk.sum != NULL &&
	    (walk.has_two || !proxy_has_sum(bytes, header->len, walk.sum)))
		return (proxy_refuse(header, "its checksum is wrong"));
	return (PROXY_WHOLE);
}

static enum proxy_verdict
proxy_parse_whole(const uint8_t *bytes, struct proxy_header *header)
{
	bool is_named = (bytes[V2_COMMAND] & 0xf) == V2_PROXY &&
	    proxy_is_stream(bytes[V2_FAMILY]);
	unsigned family = bytes[V2_FAMILY] >> 4;
	size_t addresses = proxy_addresses_len(family);
	enum proxy_verdict verdict;

	verdict = proxy_check_values(bytes, addresses, is_named, header);
	if (verdict == PROXY_WHOLE && is_named)
		proxy_take_client(header, family, bytes + V2_FIXED);
	return (verdict);
}

static enum proxy_verdict
proxy_parse_v2(const uint8_t *bytes, size_t len, struct proxy_header *header)
{
	bool is_local;
	uint8_t family;
	size_t size;

	if (len <= V2_COMMAND)
		return (PROXY_MORE);
	is_local = (bytes[V2_COMMAND] & 0xf) == V2_LOCAL;
	if (bytes[V2_COMMAND] >> 4 != 2)
		return (proxy_refuse(header, "its version is not 1 or 2"));
	if ((bytes[V2_COMMAND] & 0xf) > V2_PROXY)
		return (proxy_refuse(header, "its command is not known"));
	if (len <= V2_FAMILY)
		return (PROXY_MORE);
	family = bytes[V2_FAMILY];
	if (!is_local && (family >> 4 > V2_UNIX || (family & 0xf) > V2_DGRAM))
		return (proxy_refuse(header,
		    "its family or its protocol is not known"));
	if (len < V2_FIXED)
		return (PROXY_MORE);
	size = proxy_read_16(bytes + V2_LENGTH);
	if (size > PROXY_HEADER_MAX - V2_FIXED)
		return (proxy_refuse(header, "it is longer than 536 bytes"));
	if (!is_local && size < proxy_addresses_len(family >> 4))
		return (proxy_refuse(header,
		    "it is too short for its addresses"));
	header->len = V2_FIXED + size;
	return (len < header->len ? PROXY_MORE :
	    proxy_parse_whole(bytes, header));
}

enum proxy_verdict
proxy_header_parse(const uint8_t *bytes, size_t len,
    struct proxy_header *header)
{
	size_t n;

	*header = (struct proxy_header){ .len = 0 };
	if (len == 0)
		return (PROXY_MORE);
	n = len < sizeof(v2_signature) ? len : sizeof(v2_signature);
	if (memcmp(bytes, v2_signature, n) == 0)
		return (proxy_parse_v2(bytes, len, header));
	n = len < sizeof(v1_signature) ? len : sizeof(v1_signature);
	if (memcmp(bytes, v1_signature, n) == 0)
		return (proxy_parse_v1(bytes, len, header));
	return (proxy_refuse(header, "it does not begin as one"));
}
