/* SPDX-License-Identifier: ISC */
/*
 * The way to a running server: the addresses of its monitor, and its process.
 */
#ifndef TOOLS_LINK_H
#define TOOLS_LINK_H

#include <sys/types.h>

#include "common/conf.h"
#include "tools/http_client.h"
#include "tools/json_read.h"

/* As those of penstock(8). */
enum {
	LINK_FINE = 0,
	LINK_FAILED = 1,
	LINK_USAGE = 2,
	LINK_CONF = 3,
	LINK_NOT_RUNNING = 4,
};

struct link {
	const char *source;		/* what the addresses are from */
	struct conf *conf;		/* owned; NULL if they are not from it */
	struct conf_address parsed[2];
	const struct conf_address *addresses;
	size_t n;
};

/* Find the monitor by an address, or else by a configuration.  Returns an exit
 * status, having told what is wrong. */
int link_open(struct link *, const char *address, const char *conf_path);
void link_close(struct link *);

/* GET a page.  Returns an exit status; what is wrong is told, unless quiet. */
int link_get(const struct link *, const char *path, struct http_reply *,
    bool quiet);
/* The same of JSON; *value is to be freed. */
int link_get_json(const struct link *, const char *path,
    struct json_value **value, bool quiet);

/* POST an order, through a unix socket. */
int link_order(const struct link *, const char *path);

/* The pid of the master; 0 if the process is none. */
pid_t link_master(const struct json_value *status);

#endif
