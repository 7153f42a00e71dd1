/* SPDX-License-Identifier: ISC */
/*
 * What a message and its reply have in addition to their payloads, in some
 * protocols.  All code may use these members; only the protocol knows the
 * members that follow them.
 */
#ifndef COMMON_EXCHANGE_H
#define COMMON_EXCHANGE_H

#include <stdbool.h>

enum {
	/* The id of a request; a longer id of a client is ignored. */
	EXCHANGE_ID_MAX = 63,
};

struct exchange {
	bool close;		/* the connection ends with the reply */
	bool is_interim;	/* the reply asks for the rest of the message */
	bool is_unread;		/* not a valid message: it gets no id */
	/* A word without blanks, which the client may have chosen; "" until the
	 * request has an id. */
	char id[EXCHANGE_ID_MAX + 1];
};

#endif
