/* SPDX-License-Identifier: ISC */
/*
 * What a message and its reply have beside their payloads, if their protocol
 * has such a thing.  These members are for everyone; only the protocol knows
 * the rest, which stands behind them.
 */
#ifndef COMMON_EXCHANGE_H
#define COMMON_EXCHANGE_H

#include <stdbool.h>

enum {
	/* The id of a request; a longer one of a client's is not used. */
	EXCHANGE_ID_MAX = 63,
};

struct exchange {
	bool close;		/* the connection ends with the reply */
	bool is_interim;	/* the reply asks for the rest of the message */
	bool is_unread;		/* the message is not one: it gets no id */
	/* A string: a word without blanks, which the client may have chosen; ""
	 * until the request has an id. */
	char id[EXCHANGE_ID_MAX + 1];
};

#endif
