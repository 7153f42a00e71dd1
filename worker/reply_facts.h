/* SPDX-License-Identifier: ISC */
/*
 * Reply metadata: what a command says of its reply, in a frame of its own before
 * it.  It is empty, or a JSON object (RFC 8259).
 */
#ifndef WORKER_REPLY_FACTS_H
#define WORKER_REPLY_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/http.h"
#include "common/http_fields.h"

enum {
	/* Parsed, JSON takes up to 50 times the bytes of its text. */
	REPLY_METADATA_MAX = 65536,
	REPLY_WHY_MAX = 120,
};

/* Zeroed, they are those of no metadata. */
struct reply_facts {
	unsigned status;		/* 0: not given */
	char type[HTTP_NOTE_MAX];	/* "": not given */
	struct http_fields fields;	/* response fields; mostly none */
	bool is_refused;		/* there is what may not be sent */
	/* What they were read from; 0 if that is empty or longer. */
	size_t text_len;
	uint8_t text[512];
};

/* Call this before the first metadata is read: a worker opens no file. */
void reply_facts_init(void);

/*
 * Read the metadata; no bytes mean that no fact is given.  The facts are zeroed,
 * or those of the reply before.  Returns -1 if the metadata is not a JSON object,
 * or the status is not one; then why says what was found where, and what was
 * expected, and the facts are of no use.
 *
 * Response fields and the content type often hold what a client has sent.  So if
 * one of them may not be sent, or has text that JSON cannot carry, the program
 * does not break the rules: the reply alone is refused, and why says what is wrong
 * with it.
 */
int reply_facts_read(struct reply_facts *, const uint8_t *bytes, size_t len,
    char why[REPLY_WHY_MAX]);

#endif
