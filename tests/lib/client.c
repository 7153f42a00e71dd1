/* SPDX-License-Identifier: ISC */
#include "tests/lib/client.h"

#include <sys/un.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/lib/harness.h"

enum { CHUNK = 65536 };

static void
await_socket(int fd, short what, const char *why)
{
	struct pollfd wait = { .fd = fd, .events = what };
	uint64_t until = clock_ms() + patience_ms();

	while (poll(&wait, 1, 100) <= 0)
		ck_assert_msg(clock_ms() < until, "waited in vain to %s", why);
}

/*
 * Connect.
 */

static socklen_t
parse_ip(const char *text, struct sockaddr_storage *address)
{
	struct sockaddr_in *in = (void *)address;
	struct sockaddr_in6 *in6 = (void *)address;
	const char *colon = strrchr(text, ':');
	char host[64];
	size_t len;

	ck_assert_msg(colon != NULL, "no port: %s", text);
	len = (size_t)(colon - text);
	if (text[0] == '[') {
		snprintf(host, sizeof(host), "%.*s", (int)len - 2, text + 1);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)atoi(colon + 1));
		ck_assert_int_eq(inet_pton(AF_INET6, host, &in6->sin6_addr),
		    1);
		return (sizeof(*in6));
	}
	snprintf(host, sizeof(host), "%.*s", (int)len, text);
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)atoi(colon + 1));
	ck_assert_int_eq(inet_pton(AF_INET, host, &in->sin_addr), 1);
	return (sizeof(*in));
}

static socklen_t
parse(const char *text, struct sockaddr_storage *address)
{
	struct sockaddr_un *un = (void *)address;

	memset(address, 0, sizeof(*address));
	if (strncmp(text, "unix:", 5) != 0)
		return (parse_ip(text, address));
	un->sun_family = AF_UNIX;
	ck_assert_uint_lt(strlen(text + 5), sizeof(un->sun_path));
	strcpy(un->sun_path, text + 5);
	return (sizeof(*un));
}

/* IPv4 clients come from the test's own address: then /proc/net/tcp tells them
 * from those of other tests, and so do the ports that are in use. */
static void
set_up(int fd, int family)
{
	struct sockaddr_in source = {
		.sin_family = AF_INET,
		.sin_addr = { .s_addr = htonl(own_address_number()) },
	};
	int on = 1;

	if (family == AF_UNIX)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (family != AF_INET)
		return;
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	ck_assert_int_eq(bind(fd, (void *)&source, sizeof(source)), 0);
}

static int
await_connected(int fd)
{
	socklen_t len = sizeof(int);
	int error = 0;

	await_socket(fd, POLLOUT, "be connected");
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error == 0)
		return (fd);
	close(fd);
	errno = error;
	return (-1);
}

static int
try_connect(const char *text, int receive_buffer)
{
	struct sockaddr_storage address;
	socklen_t len = parse(text, &address);
	int fd, saved;

	fd = socket(address.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ne(fd, -1);
	set_up(fd, address.ss_family);
	if (receive_buffer > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer,
		    sizeof(receive_buffer));
	if (connect(fd, (void *)&address, len) == 0)
		return (fd);
	if (errno == EINPROGRESS)
		return (await_connected(fd));
	saved = errno;
	close(fd);
	errno = saved;
	return (-1);
}

static const char *
at_own_address(unsigned port)
{
	static char text[32];

	snprintf(text, sizeof(text), "%s:%u", own_address(), port);
	return (text);
}

static int
must_connect(const char *text, int receive_buffer)
{
	int fd = try_connect(text, receive_buffer);

	ck_assert_msg(fd != -1, "can't connect to %s: %s", text,
	    strerror(errno));
	return (fd);
}

int
client_connect(unsigned port)
{
	return (must_connect(at_own_address(port), 0));
}

int
client_connect_small(unsigned port, int receive_buffer)
{
	return (must_connect(at_own_address(port), receive_buffer));
}

int
client_connect_text(const char *address)
{
	return (must_connect(address, 0));
}

int
client_try(unsigned port)
{
	return (try_connect(at_own_address(port), 0));
}

int
client_try_text(const char *address)
{
	return (try_connect(address, 0));
}

bool
client_is_refused(unsigned port)
{
	int fd = client_try(port);

	if (fd == -1)
		return (errno == ECONNREFUSED);
	close(fd);
	return (false);
}

void
client_reset(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

/*
 * Send.
 */

/* Send some, without waiting.  Returns the number of bytes that went. */
static size_t
send_some(int fd, const uint8_t *bytes, size_t len)
{
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return ((size_t)n);
	ck_assert_msg(errno == EAGAIN || errno == EWOULDBLOCK, "send: %s",
	    strerror(errno));
	return (0);
}

void
client_send(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	size_t n;

	while (len > 0) {
		await_socket(fd, POLLOUT, "send");
		n = send_some(fd, at, len);
		at += n;
		len -= n;
	}
}

void
client_send_text(int fd, const char *text)
{
	client_send(fd, text, strlen(text));
}

size_t
frame_put(uint8_t *to, const void *payload, size_t len)
{
	uint32_t header = htonl((uint32_t)len);

	memcpy(to, &header, 4);
	if (len > 0)
		memcpy(to + 4, payload, len);
	return (4 + len);
}

void
client_send_frame(int fd, const void *payload, size_t len)
{
	uint8_t *frame = malloc(4 + len);

	ck_assert_ptr_nonnull(frame);
	client_send(fd, frame, frame_put(frame, payload, len));
	free(frame);
}

void
client_send_text_frame(int fd, const char *payload)
{
	client_send_frame(fd, payload, strlen(payload));
}

void
client_half_close(int fd)
{
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
}

size_t
client_stuff(int fd, const void *bytes, size_t len, size_t limit)
{
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	size_t sent = 0, at, n;
	ssize_t went;

	/* What the kernel takes no more of for a while has come to a stop. */
	while (sent < limit && poll(&wait, 1, 300) == 1) {
		at = sent % len;
		n = len - at < limit - sent ? len - at : limit - sent;
		went = send(fd, (const uint8_t *)bytes + at, n,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (went == -1 && errno != EAGAIN)
			break;
		sent += went > 0 ? (size_t)went : 0;
	}
	return (sent);
}

/*
 * Receive.
 */

/* Read some and hold it against what is to come.  Returns how much came. */
static size_t
expect_some(int fd, const uint8_t *bytes, size_t len)
{
	uint8_t got[CHUNK];
	ssize_t n = recv(fd, got, len < CHUNK ? len : CHUNK, MSG_DONTWAIT);

	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return (0);
	ck_assert_msg(n != -1, "recv: %s", strerror(errno));
	ck_assert_msg(n != 0, "the connection ended, with %zu bytes to come",
	    len);
	ck_assert_msg(memcmp(got, bytes, (size_t)n) == 0,
	    "got \"%.*s\", not \"%.*s\"", (int)(n < 60 ? n : 60),
	    (const char *)got, (int)(len < 60 ? len : 60), (const char *)bytes);
	return ((size_t)n);
}

void
client_expect(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	size_t n;

	while (len > 0) {
		await_socket(fd, POLLIN, "get a reply");
		n = expect_some(fd, at, len);
		at += n;
		len -= n;
	}
}

void
client_expect_text(int fd, const char *text)
{
	client_expect(fd, text, strlen(text));
}

void
client_expect_frame(int fd, const void *payload, size_t len)
{
	uint8_t *frame = malloc(4 + len);

	ck_assert_ptr_nonnull(frame);
	client_expect(fd, frame, frame_put(frame, payload, len));
	free(frame);
}

void
client_expect_text_frame(int fd, const char *payload)
{
	client_expect_frame(fd, payload, strlen(payload));
}

void
client_expect_eof(int fd)
{
	char byte;
	ssize_t n;

	await_socket(fd, POLLIN, "get to the end");
	n = recv(fd, &byte, 1, MSG_DONTWAIT);
	ck_assert_msg(n != -1, "no orderly end: %s", strerror(errno));
	ck_assert_msg(n == 0, "more bytes instead of the end");
}

enum client_end
client_read_to_end(int fd)
{
	uint8_t got[CHUNK];
	ssize_t n;

	for (;;) {
		await_socket(fd, POLLIN, "get to the end");
		n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
		if (n == 0)
			return (CLIENT_EOF);
		if (n == -1 && errno != EAGAIN)
			return (CLIENT_RESET);
	}
}

bool
client_has_input(int fd)
{
	struct pollfd now = { .fd = fd, .events = POLLIN };

	return (poll(&now, 1, 0) == 1);
}

void
client_exchange(int fd, const void *out, size_t out_len, const void *in,
    size_t in_len)
{
	const uint8_t *out_at = out, *in_at = in;
	size_t n;

	while (out_len > 0 || in_len > 0) {
		await_socket(fd, (short)((in_len > 0 ? POLLIN : 0) |
		    (out_len > 0 ? POLLOUT : 0)), "exchange");
		if (out_len > 0) {
			n = send_some(fd, out_at, out_len);
			out_at += n;
			out_len -= n;
		}
		if (in_len > 0) {
			n = expect_some(fd, in_at, in_len);
			in_at += n;
			in_len -= n;
		}
	}
}

void
client_echo(int fd, const char *text)
{
	client_send_text_frame(fd, text);
	client_expect_text_frame(fd, text);
}

void
client_echo_line(int fd, const char *text)
{
	client_send_text(fd, text);
	client_send_text(fd, "\n");
	client_expect_text(fd, text);
	client_expect_text(fd, "\n");
}
