/* SPDX-License-Identifier: ISC */
/*
 * Reply metadata: what a command says of its reply, in a frame of its own before
 * it.  It is empty, or a JSON object (RFC 8259).
 */
#ifndef WORKER_REPLY_FACTS_H
#define WORKER_REPLY_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/http.h"
#include "common/http_fields.h"

struct why;

enum {
	/* Parsed, JSON takes up to 50 times the bytes of its text. */
	REPLY_METADATA_MAX = 65536,
};

enum reply_verdict {
	REPLY_TAKEN,
	REPLY_REFUSED,		/* this reply may not be sent */
	REPLY_BROKEN,		/* the program breaks the rules */
};

/* Zeroed, they are those of no metadata. */
struct reply_facts {
	enum reply_verdict verdict;
	unsigned status;		/* 0: not given */
	char type[HTTP_NOTE_MAX];	/* "": not given */
	struct http_fields fields;	/* response fields; mostly none */
	/* What they were read from; 0 if that is empty or longer. */
	size_t text_len;
	uint8_t text[512];
};

/* Call this before the first metadata is read: a worker opens no file. */
void reply_facts_init(void);

/*
 * Read the metadata; no bytes mean that no fact is given.  The facts are zeroed,
 * or those of the previous reply.  The program breaks the rules if the metadata is
 * not a JSON object, or the status is not one.
 *
 * Response fields and the content type often hold what a client has sent.  So if
 * one of them may not be sent, or has text that JSON cannot carry, only the reply
 * is refused.  Unless the facts are taken, they are of no use, and why says what
 * was found where, and what was expected.
 */
enum reply_verdict reply_facts_read(struct reply_facts *, const uint8_t *bytes,
    size_t len, struct why *);

#endif
