/* SPDX-License-Identifier: ISC */
/*
 * The HTTP methods that a request may have.
 */
#ifndef COMMON_HTTP_METHOD_H
#define COMMON_HTTP_METHOD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a method is accepted: those that IANA lists for HTTP, and a few
 * others in use.  CONNECT and TRACE, which are for proxies, and PRI, which
 * begins HTTP/2, are not.
 */
bool http_method_is_known(const char *name, size_t len);

#endif
