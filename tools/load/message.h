/* SPDX-License-Identifier: ISC */
/*
 * The messages of a load client: each carries the number of its connection and
 * its own on that connection, and bytes that follow from these two.  So either
 * side of the wire can be put together again at any time, and nothing of what
 * was sent has to be kept to verify what comes back.
 */
#ifndef TOOLS_LOAD_MESSAGE_H
#define TOOLS_LOAD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_wire {
	WIRE_FRAME,
	WIRE_LINE,
	WIRE_HTTP,	/* with all that a client may do to Penstock, whose
			 * replies are known byte for byte: wire_http.h */
	WIRE_POST,	/* HTTP as a client mostly speaks it, with any server:
			 * response.h */
	WIRE_RAW,	/* the same bytes each time, and so many back: for
			 * servers that echo nothing; of them only the number
			 * is known */
};

enum {
	MESSAGE_SIZE_MIN = 18,	/* bytes that its two numbers take */
	MESSAGE_SIZE_MAX = 1 << 24,
	MESSAGE_FRAMING = 256,	/* the wire adds less to it */
	MESSAGE_PERIOD = 251,	/* of the filler; a prime */
	MESSAGE_POST_HEAD = 512, /* the most that goes before that of a POST */
};

/* What messages look like. */
struct message_form {
	enum message_wire wire;
	uint32_t size_min, size_max;	/* of the payload */
	uint8_t filler[2 * MESSAGE_PERIOD];
	/* Of WIRE_POST: a request up to the number of bytes in its body. */
	char head[MESSAGE_POST_HEAD];
	size_t head_len;
	/* Of WIRE_RAW; borrowed. */
	const char *raw;
	size_t raw_len, raw_reply_len;
};

struct message_id {
	uint32_t conn;
	uint32_t number;
};

/* Sizes out of range are brought into it.  The smallest and the largest differ
 * where messages are to differ in size. */
void message_form_init(struct message_form *, enum message_wire,
    uint32_t size_min, uint32_t size_max);

/* What WIRE_POST asks for, and of whom; "/" and "localhost" until this is
 * called.  Returns -1 if that is too long. */
int message_form_set_target(struct message_form *, const char *host,
    const char *path);
/* What WIRE_RAW sends, and how many bytes come back. */
void message_form_set_raw(struct message_form *, const char *bytes, size_t len,
    size_t reply_len);

/* The most that a message takes on the wire, in either direction; but for the
 * head of a response to a POST. */
size_t message_room(const struct message_form *);

/* Put a message together as it is sent: some lines end with CR LF, some with
 * LF alone, and of the bodies of HTTP some come in chunks.  And as an echo of
 * it looks, where that is known.  And its payload alone.  Returns its length
 * there. */
size_t message_build(const struct message_form *, uint8_t *to,
    struct message_id);
size_t message_build_reply(const struct message_form *, uint8_t *to,
    struct message_id);
size_t message_build_payload(const struct message_form *, uint8_t *to,
    struct message_id);
size_t message_length(const struct message_form *, struct message_id);

/* Whether bytes are those that stand in such an echo from there on, but for
 * the date in a reply of HTTP, which is the server's. */
bool message_is_reply(const struct message_form *, const uint8_t *reply,
    size_t from, const uint8_t *bytes, size_t len);

/* What a payload says of itself, which may be anything.  Returns false if it
 * says nothing. */
bool message_read_id(const uint8_t *payload, size_t len, struct message_id *);

#endif
