/* SPDX-License-Identifier: ISC */
/*
 * What the master and a logger say to each other, over a SOCK_SEQPACKET socket.
 *
 * An order is one byte.  The logger answers each REOPEN, and says the same
 * unasked when its file is open at first: with an empty string, or with what
 * went wrong.  A string is sent with its NUL.
 */
#ifndef COMMON_LOG_ORDERS_H
#define COMMON_LOG_ORDERS_H

enum log_order {
	LOG_ORDER_REOPEN = 'r',	/* open the path again, and go on there */
	LOG_ORDER_END = 'e',	/* write what is in the pipe, and exit */
};

enum { LOG_ANSWER_MAX = 128 };	/* bytes, the NUL included */

#endif
