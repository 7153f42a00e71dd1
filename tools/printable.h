/* SPDX-License-Identifier: ISC */
/*
 * Text of others, for a terminal.
 */
#ifndef TOOLS_PRINTABLE_H
#define TOOLS_PRINTABLE_H

/* Put a question mark for all that could be an order to a terminal: control
 * characters (C0, DEL, C1), and bytes that are no UTF-8.  Returns text. */
char *printable(char *text);

#endif
