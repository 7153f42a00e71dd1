/* SPDX-License-Identifier: ISC */
#include "tools/http_client.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

enum { PIECE = 65536 };

static int
http_client_await(int fd, short what, uint64_t until_ms)
{
	struct pollfd wait = { .fd = fd, .events = what };
	uint64_t now_ms = clock_ms();
	int n = 0;

	if (now_ms < until_ms)
		n = poll(&wait, 1, (int)(until_ms - now_ms));
	if (n == 0)
		errno = ETIMEDOUT;
	return (n > 0 ? 0 : -1);
}

static int
finish_connect(int fd, uint64_t until_ms)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (errno != EINPROGRESS ||
	    http_client_await(fd, POLLOUT, until_ms) == -1)
		return (-1);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		return (-1);
	errno = error;
	return (error == 0 ? 0 : -1);
}

static int
http_client_open_conn(const struct conf_address *address, uint64_t until_ms)
{
	int fd, saved;

	fd = socket(address->addr.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return (-1);
	if (connect(fd, (const struct sockaddr *)&address->addr,
	    address->len) == 0 || finish_connect(fd, until_ms) == 0)
		return (fd);
	saved = errno;
	close(fd);
	errno = saved;
	return (-1);
}

/* The request is short, so the kernel takes it whole. */
static int
send_request(int fd, const char *method, const char *path)
{
	char text[1024];
	int len;

	len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: localhost"
	    "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", method,
	    path);
	if (len >= (int)sizeof(text)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	return (send(fd, text, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -1);
}

static int
http_client_grow(struct http_reply *reply, size_t *size)
{
	size_t wanted = 2 * *size + 2 * PIECE;
	char *text;

	if (wanted > HTTP_CLIENT_REPLY_MAX) {
		errno = EMSGSIZE;
		return (-1);
	}
	if ((text = realloc(reply->text, wanted)) == NULL)
		return (-1);
	reply->text = text;
	*size = wanted;
	return (0);
}

/* Read until the end of the connection. */
static int
read_reply(int fd, struct http_reply *reply, uint64_t until_ms)
{
	size_t size = 0, len = 0;
	ssize_t n;

	do {
		if (size - len < PIECE && http_client_grow(reply, &size) == -1)
			return (-1);
		if (http_client_await(fd, POLLIN, until_ms) == -1)
			return (-1);
		n = recv(fd, reply->text + len, size - 1 - len, 0);
		if (n == -1)
			return (-1);
		len += (size_t)n;
	} while (n > 0);
	reply->text[len] = '\0';
	reply->len = len;
	return (0);
}

/* Whether the body is as long as Content-Length, if there is one: the
 * connection may have ended early. */
static bool
is_whole(const struct http_reply *reply)
{
	static const char name[] = "\r\nContent-Length:";
	const char *length = strcasestr(reply->text, name);
	unsigned long long len;
	char *end;

	if (length == NULL || length >= reply->body)
		return (true);
	length += sizeof(name) - 1;
	length += strspn(length, " \t");
	errno = 0;
	len = strtoull(length, &end, 10);
	return (*length >= '0' && *length <= '9' && errno == 0 &&
	    *end == '\r' && len == reply->len);
}

static int
http_client_parse(struct http_reply *reply)
{
	char *body = strstr(reply->text, "\r\n\r\n");

	errno = EPROTO;
	if (body == NULL || sscanf(reply->text, "HTTP/1.%*1[01] %3d ",
	    &reply->code) != 1)
		return (-1);
	reply->body = body + 4;
	reply->len -= (size_t)(reply->body - reply->text);
	if (is_whole(reply))
		return (0);
	errno = EPROTO;
	return (-1);
}

int
http_client_ask(const struct conf_address *address, const char *method,
    const char *path, struct http_reply *reply, char why[HTTP_CLIENT_WHY_MAX])
{
	uint64_t until_ms = clock_ms() + HTTP_CLIENT_PATIENCE_MS;
	int fd, saved;

	*reply = (struct http_reply){ .code = 0 };
	if ((fd = http_client_open_conn(address, until_ms)) != -1 &&
	    send_request(fd, method, path) == 0 &&
	    read_reply(fd, reply, until_ms) == 0 &&
	    http_client_parse(reply) == 0) {
		close(fd);
		return (0);
	}
	saved = errno;
	if (fd != -1)
		close(fd);
	http_reply_free(reply);
	snprintf(why, HTTP_CLIENT_WHY_MAX, "%.100s: %s", address->text,
	    strerror(saved));
	errno = saved;
	return (-1);
}

void
http_reply_free(struct http_reply *reply)
{
	free(reply->text);
	*reply = (struct http_reply){ .code = 0 };
}
