/* SPDX-License-Identifier: ISC */
/*
 * A client, one step at a time: what it sends and what it has to get.
 *
 * Runs in the test.  Every step that does not come about in time, or comes
 * about otherwise, fails the test.  Sockets are close-on-exec and
 * non-blocking, bound to the test's own address, and the caller's to close.
 */
#ifndef TESTS_LIB_CLIENT_H
#define TESTS_LIB_CLIENT_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERR_BUSY	"ERR busy"
#define ERR_MALFORMED	"ERR malformed"
#define ERR_TOO_LARGE	"ERR too large"

/* How a connection ends for its client. */
enum client_end {
	CLIENT_EOF,
	CLIENT_RESET,
};

/*
 * Connect.
 */

/* To a port of the test's own address. */
int client_connect(unsigned port);
/* The same with a receive buffer of so many bytes, for who does not read. */
int client_connect_small(unsigned port, int receive_buffer);
/* To "1.2.3.4:80", "[::1]:80" or "unix:/path". */
int client_connect_text(const char *address);
/* As those two, but -1 with errno set if it is refused. */
int client_try(unsigned port);
int client_try_text(const char *address);

/* Whether nobody listens there. */
bool client_is_refused(unsigned port);

/* Close with a reset. */
void client_reset(int fd);

/*
 * Send.  client_send() waits until the kernel has taken all.
 */

void client_send(int fd, const void *bytes, size_t len);
void client_send_text(int fd, const char *text);
void client_send_frame(int fd, const void *payload, size_t len);
void client_send_text_frame(int fd, const char *payload);
void client_half_close(int fd);

/* Send these bytes again and again, until the other side takes no more or
 * limit bytes are gone. */
size_t client_stuff(int fd, const void *bytes, size_t len, size_t limit);

/*
 * Receive: exactly these bytes next.
 */

void client_expect(int fd, const void *bytes, size_t len);
void client_expect_text(int fd, const char *text);
void client_expect_frame(int fd, const void *payload, size_t len);
void client_expect_text_frame(int fd, const char *payload);

/* Nothing more comes but an orderly end. */
void client_expect_eof(int fd);
/* Read on to the end, whatever comes. */
enum client_end client_read_to_end(int fd);
/* Whether the end, or any bytes, are there to be read. */
bool client_has_input(int fd);

/* Send and receive at the same time, so that neither waits for the other. */
void client_exchange(int fd, const void *out, size_t out_len, const void *in,
    size_t in_len);

/* A text goes there and comes back, as a frame or as a line. */
void client_echo(int fd, const char *text);
void client_echo_line(int fd, const char *text);

/* Put a frame together.  Returns the number of bytes: 4 + len. */
size_t frame_put(uint8_t *to, const void *payload, size_t len);

#endif
