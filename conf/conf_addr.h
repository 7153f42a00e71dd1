/* SPDX-License-Identifier: ISC */
/*
 * One address of a listener, from the words of the configuration.
 */
#ifndef CONF_CONF_ADDR_H
#define CONF_CONF_ADDR_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

/* What an address may be, for the end of a sentence. */
#define CONF_ADDR_EXAMPLES						\
	"\"127.0.0.1:9000\", \"[::1]:9000\", \"*:9000\" or \"unix:/path\""

/*
 * Parse one address.  It becomes one struct conf_address, or two if it is
 * "*:port".  Returns how many, or 0 with *must telling what an address must
 * have: words that follow "must ".
 */
size_t conf_addr_parse(const char *text, struct conf_address into[2],
    const char **must);

#define CONF_ENDPOINT_EXAMPLE "\"http://127.0.0.1:4318/v1/traces\""

/* Parse the URL of a service: a numeric address with its port, and a path, which
 * points into the text.  Names would have to be looked up, which takes time. */
bool conf_endpoint_parse(const char *url, struct conf_address *,
    const char **path);

/* Whether what is bound to the first address accepts clients of the second one:
 * they are the same, or the first is the wildcard of that port. */
bool conf_addr_covers(const struct sockaddr_storage *,
    const struct sockaddr_storage *);

bool conf_addr_equal(const struct conf_address *, const struct conf_address *);

#endif
