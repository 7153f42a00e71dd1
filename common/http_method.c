/* SPDX-License-Identifier: ISC */
#include "common/http_method.h"

#include <string.h>

/* Those that nearly all requests have come first. */
static const char *const methods[] = {
	"GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS",
	/* IANA's Hypertext Transfer Protocol (HTTP) Method Registry. */
	"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY",
	"LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL",
	"MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PROPFIND",
	"PROPPATCH", "QUERY", "REBIND", "REPORT", "SEARCH", "UNBIND",
	"UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF",
	"VERSION-CONTROL",
	/* Caches, and devices of UPnP. */
	"PURGE", "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE",
};

bool
http_method_is_known(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (methods[i][0] == *name && strlen(methods[i]) == len &&
		    memcmp(methods[i], name, len) == 0)
			return (true);
	return (false);
}
