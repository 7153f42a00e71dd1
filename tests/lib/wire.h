/* SPDX-License-Identifier: ISC */
/*
 * Requests and replies of any number and length, as they stand on the wire.
 *
 * Runs in the test.  A reply that does not come in time, or an end of the
 * connection, fails it.
 */
#ifndef TESTS_LIB_WIRE_H
#define TESTS_LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *bytes;
	size_t len;
};

/* Bytes on the wire, and what is known of them. */
struct wire {
	bool lines;
	char *bytes;
	size_t len, size;
	size_t at;		/* the next reply begins there */
};

void wire_put(struct wire *, const struct text *);

/* The next whole message, which stays the wire's. */
bool wire_take(struct wire *, struct text *);

/* Read what there is; false if there was nothing. */
bool wire_read(struct wire *, int fd);

/* How many whole messages have come so far. */
size_t wire_count(struct wire *, int fd);

/* The next reply, which is good until the one after it. */
struct text wire_expect(int fd, struct wire *in);

/* Send all while replies come, until there are n of them. */
void wire_exchange(int fd, const struct wire *out, struct wire *in, size_t n);

bool text_is(const struct text *, const char *string);
bool text_equal(const struct text *, const struct text *);

/* Frames "0", "1", ... "n-1". */
void send_numbers(int fd, int n);
void expect_numbers(int fd, int n);

#endif
