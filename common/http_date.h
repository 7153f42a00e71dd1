/* SPDX-License-Identifier: ISC */
/*
 * The Date field of replies, formatted once a second.
 */
#ifndef COMMON_HTTP_DATE_H
#define COMMON_HTTP_DATE_H

enum { HTTP_DATE_LEN = 29 };	/* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* HTTP_DATE_LEN bytes and a NUL, valid until the next call. */
const char *http_date(void);

#endif
