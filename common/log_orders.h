/* SPDX-License-Identifier: ISC */
/*
 * The messages between the master and a logger, over a SOCK_SEQPACKET socket.
 *
 * An order is one byte.  The logger answers each REOPEN, and its first open,
 * with an empty string or with the error.  A string is sent with its NUL.
 */
#ifndef COMMON_LOG_ORDERS_H
#define COMMON_LOG_ORDERS_H

enum log_order {
	LOG_ORDER_REOPEN = 'r',	/* open the path again, and write there */
	LOG_ORDER_END = 'e',	/* write the lines in the pipe, and exit */
};

enum { LOG_ANSWER_MAX = 128 };	/* bytes, the NUL included */

#endif
