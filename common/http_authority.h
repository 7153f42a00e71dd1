/* SPDX-License-Identifier: ISC */
/*
 * The host, and perhaps the port, that a request is for: RFC 3986, 3.2.2 and
 * 3.2.3.
 */
#ifndef COMMON_HTTP_AUTHORITY_H
#define COMMON_HTTP_AUTHORITY_H

#include "common/http.h"

/* Whether it is a host that is not empty, with a port or without, and without a
 * user: RFC 9110, 4.2.1 and 4.2.4. */
bool http_is_authority(struct http_slice);

#endif
