/* SPDX-License-Identifier: ISC */
/*
 * A PROXY header out of anything.
 */
#include <netinet/in.h>

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* In memory of just that length, so that a sanitizer sees who reads beyond. */
static enum proxy_verdict
parse(const uint8_t *bytes, size_t len, struct proxy_header *header)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	enum proxy_verdict verdict;

	assert(copy != NULL);
	memcpy(copy, bytes, len);
	verdict = proxy_header_parse(copy, len, header);
	free(copy);
	return (verdict);
}

/* The client, written as a line, is read as the same. */
static void
try_line(const struct proxy_header *header)
{
	const struct sockaddr_in *in = (const void *)&header->client;
	const struct sockaddr_in6 *in6 = (const void *)&header->client;
	bool is_4 = header->client.ss_family == AF_INET;
	char address[INET6_ADDRSTRLEN], line[2 * PROXY_V1_MAX];
	struct proxy_header again;
	int len;

	assert(inet_ntop(header->client.ss_family, is_4 ?
	    (const void *)&in->sin_addr : &in6->sin6_addr, address,
	    sizeof(address)) != NULL);
	len = snprintf(line, sizeof(line), "PROXY %s %s %s %u 1\r\n",
	    is_4 ? "TCP4" : "TCP6", address, address,
	    ntohs(is_4 ? in->sin_port : in6->sin6_port));
	assert(parse((const uint8_t *)line, (size_t)len, &again) ==
	    PROXY_WHOLE);
	assert(again.has_client && memcmp(&again.client, &header->client,
	    sizeof(again.client)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	enum proxy_verdict verdict = PROXY_MORE, next;
	struct proxy_header header, then;

	/* However it comes, there is one verdict, at one byte. */
	for (size_t n = 0; n <= len && n <= PROXY_HEADER_MAX + 1; n++) {
		next = parse(input, n, &then);
		if (verdict == PROXY_MORE)
			header = then;
		else
			assert(next == verdict && then.len == header.len);
		verdict = next;
		assert(verdict != PROXY_WHOLE || header.len <= n);
		assert(verdict != PROXY_INVALID || then.wrong != NULL);
	}
	assert(verdict != PROXY_MORE || len < PROXY_HEADER_MAX);
	if (verdict == PROXY_WHOLE && header.has_client &&
	    header.client.ss_family != AF_UNIX)
		try_line(&header);
	return (0);
}
