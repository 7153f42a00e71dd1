/* SPDX-License-Identifier: ISC */
/*
 * What came back on one connection, held against what has to: message after
 * message, byte by byte, and told apart where it is something else.
 *
 * As long as all is right, nothing is kept but the place in the order.
 */
#ifndef TOOLS_LOAD_VERIFIER_H
#define TOOLS_LOAD_VERIFIER_H

#include "tools/load/hold_report.h"
#include "tools/load/message.h"
#include "tools/load/response.h"

struct oddity;

struct verifier {
	uint32_t next;		/* the number of the reply that is due */
	uint32_t at;		/* so many bytes of it were right so far */
	struct oddity *oddity;	/* owned; NULL until something was wrong */
};

/* What replies are held against, shared by many connections. */
struct verifier_rule {
	const struct message_form *form;
	struct hold_report *report;
	uint8_t *scratch;	/* message_room() bytes */
	struct response_head *head;	/* the last one, of WIRE_POST */
};

/*
 * Take bytes that came on connection conn, on which the messages below sent
 * have gone out.  Returns false if there is no way to tell where the next
 * message begins; then take no more.  The replies below verifier->next are
 * settled: right, or counted as what they are.
 */
bool verifier_take(struct verifier *, const struct verifier_rule *,
    uint32_t conn, uint32_t sent, const uint8_t *bytes, size_t len);

/* Free what it owns. */
void verifier_clear(struct verifier *);

#endif
