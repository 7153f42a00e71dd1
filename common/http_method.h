/* SPDX-License-Identifier: ISC */
/*
 * The methods of HTTP that a request may have.
 */
#ifndef COMMON_HTTP_METHOD_H
#define COMMON_HTTP_METHOD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a server of HTTP can be asked for that: the methods that IANA lists
 * for HTTP, and a few that are in use without that.  Not CONNECT and TRACE, which
 * are for proxies, nor PRI, which begins HTTP/2.
 */
bool http_method_is_known(const char *name, size_t len);

#endif
