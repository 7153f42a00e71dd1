/* SPDX-License-Identifier: ISC */
/*
 * A protocol turns bytes into messages and replies into bytes.
 *
 * Its functions are pure: they look at the bytes they are given, keep nothing,
 * allocate nothing and know neither connections nor handlers.
 *
 * What a message has beside its payload is its exchange.  All parts of the
 * worker carry it, but only the protocol reads more of it than struct exchange.
 */
#ifndef WORKER_PROTO_H
#define WORKER_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/exchange.h"
#include "conf/conf.h"
#include "worker/access_log.h"
#include "worker/buffer.h"

enum {
	/* The most bytes that a protocol puts before a payload, without the
	 * response fields of a handler, and after it. */
	PROTO_HEAD_MAX = 1024,
	PROTO_TAIL_MAX = 4,
	/* The size of an exchange that is not kept. */
	PROTO_EXCHANGE_MAX = 2048,
	/* The size of an exchange that goes to another worker, without the
	 * facts for handlers. */
	PROTO_PACKED_LEN = 324,
	/* The most bytes of a content type and of response fields. */
	PROTO_TYPE_MAX = 255,
	PROTO_FIELDS_MAX = 8192,
	/* The most bytes of JSON: beside the facts, and for each byte of
	 * them. */
	PROTO_JSON_MAX = 280,
	PROTO_JSON_PER_BYTE = 6,
	/* The message is for the handler of the listener. */
	PROTO_NO_ROUTE = -1,
};

/* Room for an exchange. */
struct proto_room {
	_Alignas(max_align_t) uint8_t bytes[PROTO_EXCHANGE_MAX];
};

enum proto_verdict {
	PROTO_MESSAGE,		/* a whole message stands at the head */
	PROTO_ANSWERED,		/* the same, but no handler gets it: explain()
				   has the reply */
	PROTO_MORE,		/* the message is not whole yet */
	PROTO_INTERIM,		/* the peer sends the rest after a reply, which
				   has no payload; the exchange is for it */
	PROTO_MALFORMED,	/* these bytes are no message */
	PROTO_TOO_LARGE,	/* the message is larger than it may be */
};

struct proto_message {
	const uint8_t *payload;	/* within the bytes that were looked at */
	size_t len;
	size_t consumed;	/* bytes from the head that it took up */
	/* Room for it, set by the caller; NULL if the protocol has none.  Only
	 * a protocol that has exchanges sets what follows. */
	struct exchange *exchange;
	int handler;		/* index of its handler, or PROTO_NO_ROUTE */
	unsigned max_messages;	/* of its connection; 0: any number */
	struct payload traceparent;	/* its place in the client's trace; no
					   bytes: none */
};

/*
 * How far a protocol has come with an unfinished message: all that it knows but
 * the bytes.  Zero before the first.  Plain numbers, so that they can go with
 * the bytes to another worker.
 */
struct proto_progress {
	size_t scanned;		/* how far it has looked */
	/* The rest is used by HTTP only. */
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
	const struct buffer *fields;	/* response fields of the handler;
					   NULL if none */
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
	TROUBLE_SILENT,		/* none: a handler that answers nothing */
};

/* An exchange on its way to another worker. */
struct proto_packed {
	uint8_t bytes[PROTO_PACKED_LEN];
	struct payload told;	/* for handlers */
	struct payload logged;	/* for the access log */
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

	/* How many bytes at the head belong to no message.  They are not shown
	 * to parse(), and do not begin the time for a message.  NULL: none. */
	size_t (*skip)(const uint8_t *bytes, size_t len,
	    struct proto_progress *);

	/* Whether parse() can continue from the progress of another worker,
	 * with len bytes, of which at most all are scanned.  NULL: always. */
	bool (*can_resume)(const struct proto_progress *, size_t len);

	/* Put together what goes around a reply of that many bytes. */
	void (*frame)(struct proto_framing *, size_t payload_len,
	    const struct conf_listener *, const struct exchange *);

	/* Whether a payload can be empty; else such a reply sends nothing. */
	bool empty;

	/* The payloads of replies about trouble, unless there is
	 * explain(). */
	const char *busy;
	const char *malformed;
	const char *too_large;

	/* Whether its messages have an exchange.  Only then the functions below
	 * are there. */
	bool has_exchange;

	/* Make the exchange of a message that will not be whole, from the bytes
	 * that are there: none before its first byte. */
	void (*glimpse)(const uint8_t *bytes, size_t len,
	    const struct conf_listener *, const struct proto_progress *,
	    struct exchange *);

	/* Word a reply about trouble: returns the payload, and notes in the
	 * exchange what goes with it. */
	struct payload (*explain)(enum proto_trouble, struct exchange *);

	/*
	 * What parse() says of an exchange stands in the bytes of its message.
	 * Keep it in memory of its own, which has to be so large: for any
	 * handler, or without a configuration only for the reply; and for the
	 * access log.
	 */
	size_t (*keep_size)(const struct exchange *,
	    const struct conf_listener *, bool is_logged);
	struct exchange *(*keep)(void *room, const struct exchange *,
	    const struct conf_listener *, bool is_logged);

	/* The facts for handlers in an exchange that is kept: in the form of
	 * common/exec.h, and as a member of a JSON object, for which there is
	 * room. */
	struct payload (*tell)(const struct exchange *);
	void (*tell_json)(const struct exchange *, struct buffer *);

	/* Note what a handler says of its reply: a status, 0 for the usual one;
	 * a content type, of no bytes for the usual one; and response fields.
	 * Returns -1 if one of them may not stand in a reply. */
	int (*note)(struct exchange *, unsigned status,
	    const struct payload *type, const struct payload *fields);

	/* What the access log gets; arrived_us is left as it is. */
	void (*log)(const struct exchange *, struct access_facts *);

	/* What somebody who knows nothing else of an exchange needs to answer
	 * it, in a byte; and an exchange made of that, in the room for one. */
	uint8_t (*brief)(const struct exchange *);
	void (*recall)(uint8_t brief, struct exchange *);

	/*
	 * Put an exchange that is kept into the form in which it goes to
	 * another worker; and back, where the strings for handlers and the log
	 * are in the room already, kept_len bytes from its beginning.  NULL if
	 * it is not sound; fields are those of its reply.
	 */
	size_t kept_len;
	void (*pack)(const struct exchange *, struct proto_packed *);
	struct exchange *(*unpack)(void *room, const struct proto_packed *,
	    const struct buffer *fields);
};

extern const struct proto proto_frame;
extern const struct proto proto_http;
extern const struct proto proto_line;

/* By their number, which is enum conf_protocol. */
extern const struct proto *const protos[];

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

/* The payload of a reply about trouble: the text, unless the protocol explains
 * it in the exchange. */
struct payload proto_explain(const struct proto *, enum proto_trouble,
    const char *text, struct exchange *);

#endif
