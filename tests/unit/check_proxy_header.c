/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/proxy_header.c to the specification of the PROXY protocol.
 *
 * Each header is also given byte by byte, in memory of just its length, and with
 * bytes of a protocol after it.
 */
#include "worker/proxy_header.h"

#include <netinet/in.h>

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/harness.h"

enum {
	LOCAL = 0x20, PROXY = 0x21,
	TCP4 = 0x11, TCP6 = 0x21, UNIX = 0x31,
	ADDRESSES_MAX = 216,
};

/* A header that is being made. */
static uint8_t bytes[1024];
static size_t len;

static const uint8_t padding[PROXY_HEADER_MAX];

static enum proxy_verdict
parse_copy(size_t n, struct proxy_header *header)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	enum proxy_verdict verdict;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, n);
	verdict = proxy_header_parse(copy, n, header);
	free(copy);
	return (verdict);
}

/* There is no verdict before the last byte, and none that changes after it. */
static struct proxy_header
expect_whole(void)
{
	struct proxy_header header;

	for (size_t n = 0; n < len; n++)
		ck_assert_msg(parse_copy(n, &header) == PROXY_MORE,
		    "%zu of %zu: %s", n, len, header.wrong);
	for (size_t n = len; n < len + 20; n++) {
		ck_assert_msg(parse_copy(n, &header) == PROXY_WHOLE, "%zu: %s",
		    n, header.wrong);
		ck_assert_uint_eq(header.len, len);
		bytes[n] = "GET / HTTP/1.1\r\n\r\nPROXY"[n - len];
	}
	return (header);
}

static void
expect_invalid(const char *what)
{
	struct proxy_header header;
	bool is_over = false;

	for (size_t n = 0; n <= len; n++) {
		enum proxy_verdict verdict = parse_copy(n, &header);

		ck_assert_msg(verdict != PROXY_WHOLE, "%s", what);
		ck_assert_msg(!is_over || verdict == PROXY_INVALID, "%s", what);
		is_over = verdict == PROXY_INVALID;
	}
	ck_assert_msg(is_over && header.wrong != NULL, "%s", what);
}

static void
expect_nobody(void)
{
	ck_assert(!expect_whole().has_client);
}

static void
expect_client(int family, const char *address, unsigned port)
{
	struct proxy_header header = expect_whole();
	const struct sockaddr_in *in = (void *)&header.client;
	const struct sockaddr_in6 *in6 = (void *)&header.client;
	char text[INET6_ADDRSTRLEN];

	ck_assert(header.has_client);
	ck_assert_int_eq(header.client.ss_family, family);
	if (family == AF_UNIX)
		return;
	inet_ntop(family, family == AF_INET ? (const void *)&in->sin_addr :
	    &in6->sin6_addr, text, sizeof(text));
	ck_assert_str_eq(text, address);
	ck_assert_uint_eq(ntohs(family == AF_INET ? in->sin_port :
	    in6->sin6_port), port);
}

/*
 * Version 1.
 */

static void
make_line(const char *line)
{
	len = strlen(line);
	memcpy(bytes, line, len);
}

START_TEST(the_lines_of_the_specification_are_read)
{
	make_line("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
	expect_client(AF_INET, "192.168.0.1", 56324);
	make_line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n");
	ck_assert_uint_eq(len, 56);
	expect_client(AF_INET, "255.255.255.255", 65535);
	make_line("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n");
	ck_assert_uint_eq(len, 104);
	expect_client(AF_INET6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	    65535);
	make_line("PROXY TCP6 2001:DB8::1 ::1 0 1\r\n");
	expect_client(AF_INET6, "2001:db8::1", 0);
	make_line("PROXY UNKNOWN\r\n");
	expect_nobody();
	make_line("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n");
	ck_assert_uint_eq(len, PROXY_V1_MAX);
	expect_nobody();
	make_line("PROXY UNKNOWN \n what\rever\r\n");
	expect_nobody();
}
END_TEST

START_TEST(a_line_that_is_not_exactly_right_is_refused)
{
	static const char *const lines[] = {
		"GET / HTTP/1.1\r\n",
		"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY\r\n",
		"PROXY \r\n",
		"PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4\r\n",
		"PROXY TCP4 \r\n",
		"PROXY TCP4 1.2.3.4\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
		"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4  1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1  2\r\n",
		"PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
		"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.04 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4.5 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
		"PROXY TCP6 ::1::2 ::1 1 2\r\n",
		"PROXY TCP6 :::1 ::1 1 2\r\n",
		"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n",
		"PROXY TCP6 ::12345 ::1 1 2\r\n",
		"PROXY TCP6 [::1] ::1 1 2\r\n",
		"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 100000 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 00 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\nGET / HTTP/1.1\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rGET / HTTP/1.1\r\n",
		"PROXY UNKNOWNS\r\n",
		"PROXY UNKNOW\r\n",
		"PROXY unknown\r\n",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		make_line(lines[i]);
		expect_invalid(lines[i]);
	}
	/* No string. */
	make_line("PROXY TCP4 1.2.3.4 1.2.3.4 1 2_\r\n");
	bytes[len - 3] = '\0';
	expect_invalid("NUL");
}
END_TEST

START_TEST(a_line_that_does_not_end_within_107_bytes_is_refused)
{
	struct proxy_header header;

	memset(bytes, ' ', sizeof(bytes));
	memcpy(bytes, "PROXY UNKNOWN", 13);
	memcpy(bytes + PROXY_V1_MAX - 1, "\r\n", 2);
	ck_assert_int_eq(parse_copy(PROXY_V1_MAX - 1, &header), PROXY_MORE);
	for (size_t n = PROXY_V1_MAX; n < PROXY_V1_MAX + 3; n++)
		ck_assert_int_eq(parse_copy(n, &header), PROXY_INVALID);
	len = PROXY_V1_MAX;
	memcpy(bytes + len - 2, "\r\n", 2);
	expect_nobody();
}
END_TEST

/*
 * Version 2.
 */

static void
put(const void *from, size_t n)
{
	memcpy(bytes + len, from, n);
	len += n;
}

static void
set_length(size_t n)
{
	bytes[14] = (uint8_t)(n >> 8);
	bytes[15] = (uint8_t)n;
}

static void
begin(uint8_t command, uint8_t family)
{
	len = 0;
	put("\r\n\r\n\0\r\nQUIT\n", 12);
	put(&command, 1);
	put(&family, 1);
	put("\0\0", 2);
}

/* The addresses of a family, as many bytes as it has. */
static void
put_addresses(uint8_t family)
{
	static const uint8_t unix_paths[ADDRESSES_MAX] = "/run/client";

	switch (family >> 4) {
	case 1:
		put("\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb", 12);
		break;
	case 2:
		put("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
		put("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
		put("\xdc\x04\x01\xbb", 4);
		break;
	case 3:
		put(unix_paths, sizeof(unix_paths));
		break;
	}
	set_length(len - 16);
}

static void
put_value(uint8_t type, const void *value, size_t n)
{
	uint8_t head[3] = { type, (uint8_t)(n >> 8), (uint8_t)n };

	put(head, 3);
	put(value, n);
	set_length(len - 16);
}

/* By the definition, bit by bit. */
static uint32_t
crc32c(const uint8_t *from, size_t n)
{
	uint32_t crc = 0xffffffff;

	while (n-- > 0) {
		crc ^= *from++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
	}
	return (~crc);
}

/* A checksum whose value is at that place. */
static void
set_sum(size_t at)
{
	uint32_t sum;

	memset(bytes + at, 0, 4);
	sum = htonl(crc32c(bytes, len));
	memcpy(bytes + at, &sum, 4);
}

START_TEST(the_addresses_of_each_family_are_read)
{
	/* The value that RFC 3720, B.4, gives for 32 bytes of zeros. */
	static const uint8_t zeros[32];

	ck_assert_uint_eq(crc32c(zeros, 32), 0x8a9136aa);
	begin(PROXY, TCP4);
	put_addresses(TCP4);
	ck_assert_uint_eq(len, 28);
	expect_client(AF_INET, "192.168.0.1", 56324);
	begin(PROXY, TCP6);
	put_addresses(TCP6);
	ck_assert_uint_eq(len, 52);
	expect_client(AF_INET6, "2001:db8::1", 56324);
	begin(PROXY, UNIX);
	put_addresses(UNIX);
	ck_assert_uint_eq(len, 232);
	expect_client(AF_UNIX, NULL, 0);
}
END_TEST

START_TEST(a_local_connection_has_no_client_whatever_else_it_says)
{
	begin(LOCAL, 0);
	expect_nobody();
	/* All families, even such as there are none. */
	for (unsigned family = 0; family < 256; family++) {
		begin(LOCAL, (uint8_t)family);
		put_addresses((uint8_t)family);
		expect_nobody();
	}
	/* The bytes are skipped, and may be no values. */
	for (size_t n = 0; n <= PROXY_HEADER_MAX - 16; n++) {
		begin(LOCAL, TCP4);
		memset(bytes + len, 0xff, n);
		len += n;
		set_length(n);
		expect_nobody();
	}
}
END_TEST

START_TEST(other_transports_are_as_good_as_unspecified)
{
	for (unsigned family = 0; family < 4; family++)
		for (unsigned transport = 0; transport < 3; transport++) {
			uint8_t both = (uint8_t)(family << 4 | transport);

			if (family != 0 && transport == 1)
				continue;
			begin(PROXY, both);
			put_addresses(both);
			expect_nobody();
		}
	begin(PROXY, 0);
	put("\xff\xff\xff\xff", 4);
	set_length(4);
	expect_nobody();
}
END_TEST

START_TEST(unknown_versions_commands_and_families_are_refused_early)
{
	struct proxy_header header;

	for (unsigned byte = 0; byte < 256; byte++) {
		begin((uint8_t)byte, TCP4);
		if (byte == LOCAL || byte == PROXY)
			continue;
		ck_assert_int_eq(parse_copy(13, &header), PROXY_INVALID);
		expect_invalid("command");
	}
	for (unsigned byte = 0; byte < 256; byte++) {
		begin(PROXY, (uint8_t)byte);
		if (byte >> 4 <= 3 && (byte & 0xf) <= 2)
			continue;
		ck_assert_int_eq(parse_copy(14, &header), PROXY_INVALID);
		expect_invalid("family");
	}
	for (size_t i = 0; i < 12; i++) {
		begin(PROXY, TCP4);
		bytes[i] ^= 0x40;
		ck_assert_int_eq(parse_copy(i + 1, &header), PROXY_INVALID);
	}
}
END_TEST

START_TEST(every_wrong_length_is_refused)
{
	static const uint8_t families[] = { TCP4, TCP6, UNIX };
	struct proxy_header header;

	for (size_t i = 0; i < sizeof(families); i++) {
		begin(PROXY, families[i]);
		put_addresses(families[i]);
		/* Too few bytes for the addresses, and too few or too many for
		 * all. */
		for (size_t n = 0; n < len - 16; n++) {
			set_length(n);
			ck_assert_int_eq(parse_copy(16, &header),
			    PROXY_INVALID);
		}
		for (size_t n = PROXY_HEADER_MAX - 15; n <= 0xffff; n++) {
			set_length(n);
			ck_assert_int_eq(parse_copy(16, &header),
			    PROXY_INVALID);
		}
	}
	/* The longest of all. */
	begin(PROXY, TCP4);
	put_addresses(TCP4);
	put_value(0xe0, padding, PROXY_HEADER_MAX - len - 3);
	ck_assert_uint_eq(len, PROXY_HEADER_MAX);
	expect_client(AF_INET, "192.168.0.1", 56324);
}
END_TEST

START_TEST(values_are_walked_and_their_lengths_checked)
{
	static const uint8_t ssl[] = "\1\0\0\0\0\x21\0\7TLSv1.3\x23\0\0";
	enum { SSL_LEN = sizeof(ssl) - 1 };
	struct proxy_header header;
	size_t before;

	begin(PROXY, TCP4);
	put_addresses(TCP4);
	put_value(0x01, "http/1.1", 8);
	put_value(0x02, "example.com", 11);
	put_value(0x04, "", 0);
	put_value(0x05, padding, 128);
	put_value(0x20, ssl, SSL_LEN);
	put_value(0x30, "blue", 4);
	put_value(0xea, "\1vpce", 5);
	expect_client(AF_INET, "192.168.0.1", 56324);
	/* One that is cut off anywhere else than where a value ends. */
	begin(PROXY, TCP4);
	put_addresses(TCP4);
	before = len;
	put_value(0x02, "example.com", 11);
	for (size_t n = before + 1; n < len; n++) {
		set_length(n - 16);
		ck_assert_int_eq(parse_copy(n, &header), PROXY_INVALID);
	}
	for (size_t n = 12; n < 0x10000; n++) {
		bytes[before + 1] = (uint8_t)(n >> 8);
		bytes[before + 2] = (uint8_t)n;
		set_length(len - 16);
		ck_assert_int_eq(parse_copy(len, &header), PROXY_INVALID);
	}
	/* Known ones. */
	begin(PROXY, TCP4);
	put_addresses(TCP4);
	put_value(0x05, padding, 129);
	expect_invalid("unique id");
	for (size_t n = 0; n < 10; n++) {
		begin(PROXY, TCP4);
		put_addresses(TCP4);
		put_value(0x03, "\0\0\0\0\0\0\0\0\0\0", n);
		expect_invalid("checksum");
	}
	/* Those within: only whole ones. */
	for (size_t n = 0; n <= SSL_LEN; n++) {
		begin(PROXY, TCP4);
		put_addresses(TCP4);
		put_value(0x20, ssl, n);
		if (n == 5 || n == 15 || n == SSL_LEN)
			(void)expect_whole();
		else
			expect_invalid("ssl");
	}
}
END_TEST

/* The two that may have a checksum which names nobody, too. */
START_TEST(a_checksum_is_verified)
{
	static const uint8_t kinds[][2] = {
		{ PROXY, TCP4 }, { PROXY, TCP6 }, { PROXY, UNIX },
		{ PROXY, 0 }, { LOCAL, 0 }, { LOCAL, TCP4 },
	};
	struct proxy_header header;
	size_t at;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		begin(kinds[i][0], kinds[i][1]);
		put_addresses(kinds[i][1]);
		put_value(0x04, "padding", 7);
		put_value(0x03, "\0\0\0\0", 4);
		at = len - 4;
		put_value(0x02, "example.com", 11);
		set_sum(at);
		(void)expect_whole();
		/* Each bit of it, and each one that it is about and that means
		 * nothing else. */
		for (size_t bit = 0; bit < 32; bit++) {
			bytes[at + bit / 8] ^= (uint8_t)(1 << bit % 8);
			ck_assert_int_eq(parse_copy(len, &header),
			    PROXY_INVALID);
			bytes[at + bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		bytes[len - 1] ^= 1;
		expect_invalid("text");
		bytes[len - 1] ^= 1;
		bytes[at - 4] ^= 1;
		expect_invalid("padding");
	}
	/* Which of two would be right cannot be told. */
	begin(PROXY, TCP4);
	put_addresses(TCP4);
	put_value(0x03, "\0\0\0\0", 4);
	at = len - 4;
	put_value(0x03, "\0\0\0\0", 4);
	set_sum(at);
	expect_invalid("two");
	set_sum(len - 4);
	expect_invalid("two");
}
END_TEST

RUN_TESTS("PROXY header",
    the_lines_of_the_specification_are_read,
    a_line_that_is_not_exactly_right_is_refused,
    a_line_that_does_not_end_within_107_bytes_is_refused,
    the_addresses_of_each_family_are_read,
    a_local_connection_has_no_client_whatever_else_it_says,
    other_transports_are_as_good_as_unspecified,
    unknown_versions_commands_and_families_are_refused_early,
    every_wrong_length_is_refused,
    values_are_walked_and_their_lengths_checked,
    a_checksum_is_verified)
