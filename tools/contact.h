/* SPDX-License-Identifier: ISC */
/*
 * How to reach a running server: the addresses of its monitor, and its master.
 */
#ifndef TOOLS_CONTACT_H
#define TOOLS_CONTACT_H

#include <sys/types.h>

#include "conf/conf.h"
#include "tools/http_client.h"
#include "tools/json_read.h"

/* Exit statuses, as in penstock(8). */
enum {
	CONTACT_FINE = 0,
	CONTACT_FAILED = 1,
	CONTACT_USAGE = 2,
	CONTACT_CONF = 3,
	CONTACT_NOT_RUNNING = 4,
};

struct contact {
	const char *source;		/* of the addresses, for messages */
	struct conf *conf;		/* owned; NULL if not from one */
	struct conf_address parsed[2];
	const struct conf_address *addresses;
	size_t n;
	bool verbatim;			/* keep control characters in JSON */
};

/* Print what went wrong on standard error.  Returns the exit status. */
int contact_complain(int status, const char *what, const char *why);

/* Find the monitor by an address, or if that is NULL by a configuration.
 * Prints what is wrong, and returns an exit status. */
int contact_open(struct contact *, const char *address, const char *conf_path);
void contact_close(struct contact *);

/* GET a page.  Prints what is wrong unless quiet, and returns an exit
 * status. */
int contact_get(const struct contact *, const char *path, struct http_reply *,
    bool quiet);
/* GET a page of JSON; the caller frees *value.  Strings have no control
 * characters unless contact->verbatim. */
int contact_get_json(const struct contact *, const char *path,
    struct json_value **value, bool quiet);

/* POST an order, through a unix socket. */
int contact_order(const struct contact *, const char *path);

/* The pid of the master in a status; 0 if that process is not a master. */
pid_t contact_master(const struct json_value *status);

#endif
