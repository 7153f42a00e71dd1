/* SPDX-License-Identifier: ISC */
/*
 * A protocol turns bytes into messages and replies into bytes.
 *
 * Its functions are pure: they look at the bytes they are given, keep nothing,
 * allocate nothing and know neither connections nor handlers.
 */
#ifndef WORKER_PROTO_H
#define WORKER_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/http.h"
#include "conf/conf.h"
#include "worker/buffer.h"
#include "worker/handler.h"

enum {
	/* The most bytes that a protocol puts before a payload, and behind
	 * it. */
	PROTO_HEAD_MAX = 1024,
	PROTO_TAIL_MAX = 4,
};

enum proto_verdict {
	PROTO_MESSAGE,		/* a whole message stands at the head */
	PROTO_ANSWERED,		/* likewise, but it is no handler's matter */
	PROTO_MORE,		/* not yet */
	PROTO_INTERIM,		/* not before the peer has had a word */
	PROTO_MALFORMED,	/* and never will */
	PROTO_TOO_LARGE,	/* it would be larger than it may be */
};

struct proto_message {
	const uint8_t *payload;	/* within the bytes that were looked at */
	size_t len;
	size_t consumed;	/* bytes from the head that it took up */
	/* What HTTP tells beside, and its replies have to know: room for it,
	 * set by who asks; NULL for other protocols, which leave it alone. */
	struct http_head *http;
};

/*
 * How far a protocol has come with an unfinished message: all that it knows but
 * the bytes.  Zero before the first.  Plain numbers, so that they can go with
 * the bytes to another worker.
 */
struct proto_progress {
	size_t scanned;		/* how far it has looked */
	/* The rest is of HTTP alone. */
	size_t head_len;	/* of the header, when that is good */
	size_t body_len;	/* of the body, when that is whole, and of its
				   chunks, as far as they have come */
	size_t chunk_left;	/* of the data of the chunk that comes */
	size_t framing_len;	/* of all about the data of the chunks */
	size_t timed_len;	/* bytes that were there when the deadline for
				   the rest was set */
	uint8_t phase;		/* enum http_phase */
	bool told_continue : 1;	/* the peer has had a word */
	bool : 1;		/* was of use in an earlier version of this */
	bool is_timed_anew : 1;	/* the rest may take read_timeout from now on;
				   who reads this sets it false */
};

/* What a protocol puts around a payload. */
struct proto_framing {
	uint8_t *head;		/* the caller's, with room for PROTO_HEAD_MAX
				   and the fields */
	const struct buffer *fields;	/* HTTP: of the handler's, as in
					   common/http_fields.h; NULL if
					   none */
	uint8_t tail[PROTO_TAIL_MAX];
	size_t head_len;
	size_t tail_len;
	bool is_bare;		/* the payload itself is not sent; false where
				   the protocol does not say */
};

/* Why a client gets a reply that no handler has made. */
enum proto_trouble {
	TROUBLE_REFUSED,	/* what parse() has refused, or answered */
	TROUBLE_BUSY,
	TROUBLE_LATE,		/* a message that took too long to come */
	TROUBLE_TIMEOUT,	/* a handler that took too long */
	TROUBLE_FAILED,
};

struct proto {
	const char *name;

	/*
	 * Look for one message at the head of bytes.  The progress is zero at
	 * its beginning, then what the last call for the same message left
	 * there.  Bytes that were looked at may be changed, for later calls to
	 * find.
	 */
	enum proto_verdict (*parse)(uint8_t *bytes, size_t len,
	    const struct conf_listener *, struct proto_progress *,
	    struct proto_message *);

	/* How many bytes at the head belong to no message, and are not to be
	 * shown to parse().  They are no beginning of one, so nobody waits for
	 * its rest.  NULL: none ever. */
	size_t (*skip)(const uint8_t *bytes, size_t len,
	    struct proto_progress *);

	/* What can be told of a message that will not be whole; the head is of
	 * HTTP alone.  NULL where there is no exchange. */
	void (*glimpse)(const uint8_t *bytes, size_t len,
	    const struct conf_listener *, const struct proto_progress *,
	    struct http_head *);

	/* Whether parse() can go on from a progress that another worker had
	 * come to with so many bytes, all of which it had scanned at most.
	 * NULL: from any. */
	bool (*can_resume)(const struct proto_progress *, size_t len);

	/* Put together what goes around a reply of so many bytes.  The exchange
	 * is of HTTP alone, else NULL. */
	void (*frame)(struct proto_framing *, size_t payload_len,
	    const struct conf_listener *, const struct http_exchange *);

	/*
	 * Word a reply about trouble: returns the payload, and notes in the
	 * exchange what goes with it.  NULL: the texts below and those of the
	 * handler's configuration will do.
	 */
	struct payload (*explain)(enum proto_trouble, struct http_exchange *);

	/* Whether a payload can be empty; else such a reply sends nothing. */
	bool empty;

	/* Whether its messages have an exchange. */
	bool has_exchange;

	/* The payloads of the replies that tell a client of trouble; NULL where
	 * explain() is there. */
	const char *busy;
	const char *malformed;
	const char *too_large;
};

extern const struct proto proto_frame;
extern const struct proto proto_http;
extern const struct proto proto_line;

const struct proto *proto_find(enum conf_protocol);

/* What is to be skipped before the next call of parse(). */
static inline size_t
proto_skip(const struct proto *proto, const uint8_t *bytes, size_t len,
    struct proto_progress *progress)
{
	return (proto->skip != NULL ? proto->skip(bytes, len, progress) : 0);
}

/* Whether what another worker says of an unfinished message can be so. */
bool proto_can_resume(const struct proto *, const struct proto_progress *,
    size_t len);

/* The payload of a reply about trouble: the text, unless the protocol has its
 * own words, and something to note in the exchange. */
struct payload proto_explain(const struct proto *, enum proto_trouble,
    const char *text, struct http_exchange *);

#endif
