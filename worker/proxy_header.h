/* SPDX-License-Identifier: ISC */
/*
 * The header of the PROXY protocol, versions 1 and 2: bytes in, a struct out.
 *
 * Knows no connection and keeps nothing.  The header may come in any number of
 * pieces: the caller keeps the bytes, and asks again with all of them.
 */
#ifndef WORKER_PROXY_HEADER_H
#define WORKER_PROXY_HEADER_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROXY_V1_MAX = 107,	/* a line, with CR LF */
	/* What fits into the smallest segment of TCP.  With so many bytes there
	 * is always a verdict. */
	PROXY_HEADER_MAX = 536,
};

enum proxy_verdict {
	PROXY_MORE,		/* it has not come as a whole */
	PROXY_WHOLE,
	PROXY_INVALID,		/* "wrong" says why */
};

struct proxy_header {
	size_t len;			/* of the header; what is after it is
					   the protocol's */
	/* Whether it names the client.  If not, the client is the proxy itself,
	 * or is not known. */
	bool has_client;
	struct sockaddr_storage client;	/* AF_UNIX: without a path */
	const char *wrong;
};

enum proxy_verdict proxy_header_parse(const uint8_t *bytes, size_t len,
    struct proxy_header *);

#endif
