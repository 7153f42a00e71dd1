/* SPDX-License-Identifier: ISC */
/*
 * The messages of a load client.  Each has the number of its connection, its
 * own number on that connection, and bytes computed from these two.  So a
 * message and its reply can be computed at any time, and nothing that was sent
 * has to be kept to verify replies.
 */
#ifndef TOOLS_LOAD_MESSAGE_H
#define TOOLS_LOAD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_wire {
	WIRE_FRAME,
	WIRE_LINE,
	WIRE_HTTP,	/* with all that a client may send to Penstock; its
			 * replies are known byte for byte: wire_http.h */
	WIRE_POST,	/* usual HTTP, with any server: response.h */
	WIRE_RAW,	/* the same bytes each time, with a reply of known
			 * length: for servers that do not echo */
};

enum {
	MESSAGE_SIZE_MIN = 18,	/* bytes of its two numbers */
	MESSAGE_SIZE_MAX = 1 << 24,
	MESSAGE_FRAMING = 256,	/* more than the framing of any wire */
	MESSAGE_PERIOD = 251,	/* of the filler; a prime */
	MESSAGE_POST_HEAD = 512, /* maximum header of a POST */
};

/* The form of messages. */
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

/* Sizes out of range are moved into it.  If size_min and size_max differ,
 * messages have different sizes. */
void message_form_init(struct message_form *, enum message_wire,
    uint32_t size_min, uint32_t size_max);

/* Set the path and host of WIRE_POST; "/" and "localhost" before.  Returns -1
 * if they are too long. */
int message_form_set_target(struct message_form *, const char *host,
    const char *path);
/* Set the bytes that WIRE_RAW sends, and the length of a reply. */
void message_form_set_raw(struct message_form *, const char *bytes, size_t len,
    size_t reply_len);

/* The maximum length of a message on the wire, in both directions, without the
 * header of a response to a POST. */
size_t message_room(const struct message_form *);

/* Build a message as it is sent: some lines end with CR LF, some with LF, and
 * some HTTP bodies come in chunks.  Or its echo, if that is known; or only its
 * payload.  Returns the length. */
size_t message_build(const struct message_form *, uint8_t *to,
    struct message_id);
size_t message_build_reply(const struct message_form *, uint8_t *to,
    struct message_id);
size_t message_build_payload(const struct message_form *, uint8_t *to,
    struct message_id);
size_t message_length(const struct message_form *, struct message_id);

/* Whether bytes are those of such an echo at offset from, except for the date
 * in an HTTP reply. */
bool message_is_reply(const struct message_form *, const uint8_t *reply,
    size_t from, const uint8_t *bytes, size_t len);

/* Read the numbers of a payload, which can have any content.  Returns false if
 * it has none. */
bool message_read_id(const uint8_t *payload, size_t len, struct message_id *);

#endif
