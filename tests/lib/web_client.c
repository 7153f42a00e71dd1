/* SPDX-License-Identifier: ISC */
#include "tests/lib/web_client.h"

#include <sys/socket.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"

/* Read byte by byte, so that nothing of the next reply is taken. */
static void
read_head(int fd, struct reply *reply)
{
	size_t len = 0;

	do {
		ck_assert_uint_lt(len, sizeof(reply->head) - 1);
		await(client_has_input(fd));
		ck_assert_int_eq(recv(fd, reply->head + len, 1, 0), 1);
		reply->head[++len] = '\0';
	} while (len < 4 || strcmp(reply->head + len - 4, N N) != 0);
	ck_assert_int_eq(sscanf(reply->head, "HTTP/1.1 %u ", &reply->status),
	    1);
	reply->close = strstr(reply->head, N "Connection: close" N) != NULL;
}

static void
read_body(int fd, struct reply *reply)
{
	size_t got = 0;
	ssize_t n;

	while (got < reply->len) {
		await(client_has_input(fd));
		n = recv(fd, reply->body + got, reply->len - got, 0);
		ck_assert_int_gt(n, 0);
		got += (size_t)n;
	}
	reply->body[got] = '\0';
}

void
read_reply(int fd, struct reply *reply, bool is_head)
{
	static const char field[] = N "Content-Length: ";
	const char *length;

	read_head(fd, reply);
	length = strstr(reply->head, field);
	reply->len = length != NULL ?
	    strtoul(length + strlen(field), NULL, 10) : 0;
	reply->body[0] = '\0';
	if (is_head)
		return;
	ck_assert_uint_lt(reply->len, sizeof(reply->body));
	read_body(fd, reply);
}

void
expect_reply(int fd, unsigned status, const char *body, bool close)
{
	struct reply reply;

	read_reply(fd, &reply, false);
	ck_assert_uint_eq(reply.status, status);
	ck_assert_int_eq(reply.close, close);
	if (body != NULL)
		ck_assert_str_eq(reply.body, body);
}

void
ask(int fd, const char *request, unsigned status, const char *body, bool close)
{
	client_send_text(fd, request);
	expect_reply(fd, status, body, close);
}
