/* SPDX-License-Identifier: ISC */
/*
 * The host and optional port of a request: RFC 3986, 3.2.2 and 3.2.3.
 */
#ifndef COMMON_HTTP_AUTHORITY_H
#define COMMON_HTTP_AUTHORITY_H

#include "common/http.h"

/* Whether this is a host, not empty, with or without a port, and without a
 * user: RFC 9110, 4.2.1 and 4.2.4. */
bool http_is_authority(struct http_slice);

#endif
