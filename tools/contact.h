/* SPDX-License-Identifier: ISC */
/*
 * The way to a running server: the addresses of its monitor, and its process.
 */
#ifndef TOOLS_CONTACT_H
#define TOOLS_CONTACT_H

#include <sys/types.h>

#include "conf/conf.h"
#include "tools/http_client.h"
#include "tools/json_read.h"

/* As those of penstock(8). */
enum {
	CONTACT_FINE = 0,
	CONTACT_FAILED = 1,
	CONTACT_USAGE = 2,
	CONTACT_CONF = 3,
	CONTACT_NOT_RUNNING = 4,
};

struct contact {
	const char *source;		/* what the addresses are from */
	struct conf *conf;		/* owned; NULL if not from one */
	struct conf_address parsed[2];
	const struct conf_address *addresses;
	size_t n;
	bool verbatim;			/* JSON is not for a terminal */
};

/* Say on standard error what went wrong.  Returns the exit status. */
int contact_complain(int status, const char *what, const char *why);

/* Find the monitor by an address, or else by a configuration.  Returns an exit
 * status, having told what is wrong. */
int contact_open(struct contact *, const char *address, const char *conf_path);
void contact_close(struct contact *);

/* GET a page.  Returns an exit status; what is wrong is told, unless quiet. */
int contact_get(const struct contact *, const char *path, struct http_reply *,
    bool quiet);
/* The same of JSON; *value is to be freed.  Its strings are printable(), unless
 * they are wanted verbatim. */
int contact_get_json(const struct contact *, const char *path,
    struct json_value **value, bool quiet);

/* POST an order, through a unix socket. */
int contact_order(const struct contact *, const char *path);

/* The pid of the master; 0 if the process is none. */
pid_t contact_master(const struct json_value *status);

#endif
