/* SPDX-License-Identifier: ISC */
/*
 * The Date of replies: put together once a second.
 */
#ifndef COMMON_HTTP_DATE_H
#define COMMON_HTTP_DATE_H

enum { HTTP_DATE_LEN = 29 };	/* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* So many bytes; a NUL follows.  Good until the next call. */
const char *http_date(void);

#endif
