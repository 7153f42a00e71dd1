/* SPDX-License-Identifier: ISC */
/*
 * Compares the replies of one connection with what they have to be, message by
 * message and byte by byte, and classifies wrong ones.
 *
 * As long as all is right, only the position is kept.
 */
#ifndef TOOLS_LOAD_VERIFIER_H
#define TOOLS_LOAD_VERIFIER_H

#include "tools/load/hold_report.h"
#include "tools/load/message.h"
#include "tools/load/response.h"

struct oddity;

struct verifier {
	uint32_t next;		/* the number of the reply that is due */
	uint32_t at;		/* right bytes of it so far */
	struct oddity *oddity;	/* owned; NULL until something is wrong */
};

/* What replies are compared with, shared by many connections. */
struct verifier_rule {
	const struct message_form *form;
	struct hold_report *report;
	uint8_t *scratch;	/* message_room() bytes */
	struct response_head *head;	/* the last one, of WIRE_POST */
};

/*
 * Check bytes that came on connection conn, on which the messages below sent
 * were sent.  Returns false if the beginning of the next message cannot be
 * found; then no more bytes may follow.  The replies below verifier->next are
 * right, or counted as wrong.
 */
bool verifier_take(struct verifier *, const struct verifier_rule *,
    uint32_t conn, uint32_t sent, const uint8_t *bytes, size_t len);

/* Free what it owns. */
void verifier_clear(struct verifier *);

#endif
