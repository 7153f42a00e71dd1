/* SPDX-License-Identifier: ISC */
/*
 * The configuration: read from a file, checked whole, never written again.
 *
 * Used by the master, which loads it, and by its children, which inherit it.
 * A struct conf and all that it points to is one mapping, which cannot be written
 * to.  Each key is one row of a table (conf_keys.c): its name, type, range and
 * default.  The reader, the printer and the test of penstock.conf(5) follow it.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/bounds.h"
#include "common/log.h"
#include "common/why.h"

enum {
	CONF_FIELDS_MAX = 16,
	CONF_RATIO_ONE = 1000000,	/* a ratio that is all */
	CONF_ADDRESS_MAX = 128,		/* the text of an address, with NUL */
	/* The most that a listener can allow. */
	CONF_MESSAGE_SIZE_MAX = 1 << 30,
	CONF_HEADER_SIZE_MAX = 1 << 20,
};

enum conf_protocol {
	CONF_PROTOCOL_FRAME,
	CONF_PROTOCOL_LINE,
	CONF_PROTOCOL_HTTP,
};

/* What becomes of a client that comes when max_connections are there. */
enum conf_on_limit {
	CONF_ON_LIMIT_REJECT,	/* it gets an error, then a close */
	CONF_ON_LIMIT_WAIT,	/* it stays in the kernel's queue */
};

/* The kinds of work.  Handlers named "echo" and "discard" are always there. */
enum conf_handler_type {
	CONF_HANDLER_ECHO,
	CONF_HANDLER_DISCARD,
	CONF_HANDLER_COMMAND,	/* the user's program */
	CONF_HANDLER_MODULE,	/* the user's shared object */
};

/* What becomes of a message whose handler's queue is full. */
enum conf_overload {
	CONF_OVERLOAD_WAIT,	/* its client is not read until there is room */
	CONF_OVERLOAD_SHED,	/* it is answered busy */
};

enum conf_priority {
	CONF_PRIORITY_NORMAL,
	CONF_PRIORITY_HIGH,
};

/* One "key = value" of a handler's settings, the value as text. */
struct conf_setting {
	char *key;
	char *value;
};

struct conf_handler {
	char *name;
	enum conf_handler_type type;
	char **command;			/* argv, ends with NULL; else NULL */
	char *module;			/* file or name; "" unless a module */
	struct conf_setting *settings;	/* of a module */
	size_t nsettings;
	unsigned processes;		/* of a command, over all workers */
	unsigned threads;		/* of a module, over all workers */
	unsigned pipeline;		/* requests at once, of one process of a
					   command */
	bool metadata;			/* a frame of facts before each one */
	bool reply_metadata;		/* the same before each reply */
	bool tagged;			/* replies may come in any order */
	bool ready;			/* the program says when it is */
	unsigned ready_timeout_ms;	/* it, or a module, has so long for
					   that */
	struct conf_setting *environment;	/* added to the master's */
	size_t nenvironment;
	char *working_directory;	/* "": where the master was started */
	size_t max_memory;		/* RLIMIT_AS, bytes; 0: the master's */
	unsigned max_files;		/* RLIMIT_NOFILE; 0: the master's */
	unsigned queue;			/* requests waiting, over all workers */
	enum conf_overload overload;
	unsigned queue_timeout_ms;	/* 0: none, as for the next */
	unsigned request_timeout_ms;
	char *busy;			/* payloads of replies that say so; */
	char *timeout;			/* "": the connection is closed */
	char *failed;
};

struct conf_address {
	char text[CONF_ADDRESS_MAX];	/* normal form: "127.0.0.1:9000",
					   "[::1]:9000", "unix:/path" */
	struct sockaddr_storage addr;
	socklen_t len;
	bool from_wildcard;		/* one half of "*:port": the host may
					   lack its address family */
	bool from_default;		/* the file has none instead of it */
};

/* Clients that have the same first bits in their addresses. */
struct conf_network {
	uint8_t family;			/* AF_UNIX: all clients that have it */
	uint8_t bits;			/* how many: all those of one address */
	uint8_t address[16];		/* in network order; the others are 0 */
};

struct conf_keepalive {
	unsigned idle_s;		/* 0: no keepalive probes */
	unsigned interval_s;
	unsigned count;
};

/* How the path of a route is held against that of a request. */
enum conf_match {
	CONF_MATCH_EXACT,
	CONF_MATCH_PREFIX,
};

struct conf_route {
	char *path;
	enum conf_match match;
	char **methods;			/* end with NULL; NULL: all */
	char *handler;			/* its name */
	size_t handler_index;		/* in conf->handlers */
};

/* What a listener that speaks HTTP has beyond the others. */
struct conf_http {
	size_t max_header_size;		/* bytes, with the request line */
	unsigned max_headers;		/* fields of one header */
	size_t max_target_size;
	unsigned max_requests;		/* of one connection; 0: no limit */
	unsigned min_body_rate;		/* bytes a second; 0: none */
	char *server;			/* of each reply; "": no such field */
	bool request_id;		/* stands in each reply */
	char **fields;			/* that handlers see; as methods */
	struct conf_route *routes;
	size_t nroutes;			/* 0: the listener's handler has all */
};

struct conf_listener {
	char *name;
	struct conf_address *addresses;
	size_t naddresses;
	enum conf_protocol protocol;
	char *handler;			/* its name; "": routes tell */
	size_t handler_index;		/* in conf->handlers */
	enum conf_priority priority;
	unsigned pipeline;		/* requests in flight per connection */
	unsigned backlog;
	unsigned max_connections;	/* over all workers */
	size_t max_message_size;	/* bytes of payload */
	unsigned idle_timeout_ms;	/* 0: none, as for the next two */
	unsigned read_timeout_ms;
	unsigned write_timeout_ms;
	enum conf_on_limit on_limit;
	bool nodelay;
	struct conf_keepalive keepalive;
	unsigned defer_accept_s;	/* 0: off */
	bool proxy_protocol;		/* clients come through proxies, each
					   of which says so in a header */
	struct conf_network *proxy_from;
	size_t nproxy_from;
	struct conf_http http;
};

struct conf_log {
	char *file;			/* "": stderr */
	enum log_level level;
	enum log_format format;
};

struct conf_access_log {
	char *file;			/* "": there is none */
	enum log_format format;
};

struct conf_monitor {
	bool enabled;
	struct conf_address *addresses;
	size_t naddresses;
	char **hosts;			/* names that it has; NULL: none */
};

struct conf_tracing {
	char *endpoint;			/* ""; there is none, and no spans */
	unsigned sample_ratio;		/* of CONF_RATIO_ONE requests */
	char *service_name;
};

struct conf {
	char *path;			/* the file, as it was named */
	unsigned workers;		/* 0: see conf_worker_count() */
	char *user;			/* "": do not change */
	char *group;			/* "": the user's own */
	char *pid_file;			/* "": none */
	unsigned drain_timeout_ms;
	unsigned drain_spread_ms;
	unsigned watchdog_timeout_ms;	/* 0: no watchdog */
	unsigned rebalance;		/* connections a second; 0: off */
	unsigned probation_ms;		/* 0: nothing is rolled back */
	bool cpu_affinity;
	bool custody;			/* each worker has an anchor */
	struct conf_log log;
	struct conf_access_log access_log;
	unsigned max_connections;	/* over all workers and listeners */
	size_t max_buffered;		/* bytes per worker */
	struct conf_listener *listeners;
	size_t nlisteners;
	struct conf_handler *handlers;	/* the two built-in ones are the first,
					   unless the file has its own */
	size_t nhandlers;
	struct conf_monitor monitor;
	struct conf_tracing tracing;
	uint64_t hash;			/* the same for all that print the same */
};

/* What is wrong with a file: one entry per mistake, in the order of the
 * file. */
struct conf_error {
	const char *file;		/* an included one, if it is there */
	unsigned line;			/* 0: the file as a whole */
	const char *text;		/* key, what was found, what may be */
};

struct conf_report {
	struct conf_error *errors;
	size_t nerrors;
	struct conf_error *warnings;	/* of a file that is good: what has no
					   effect, or not the likely one; valid
					   as long as its conf */
	size_t nwarnings;
	bool is_unread;			/* no mistake is known: the one error
					   tells why it could not be read */
	struct conf_error unread;
	struct why why;
	void *region;			/* owned: the errors are in it */
};

/*
 * Configurations are read in a process of their own, the reader: libconfig does
 * not check its allocations, and reading a file may take for ever.  Whatever
 * becomes of the reader, the process that asks goes on.
 */
struct conf_request {
	const char *path;
	const char *text;		/* NULL: what the file has */
	unsigned timeout_ms;		/* 0: none */
	size_t room;			/* bytes at most, of the result and of
					   what the reader needs; 0: more than
					   a file can fill */
};

/*
 * Read and check a file.  Returns NULL if anything is wrong with it; the
 * report, which the caller has zeroed, does not copy and always frees, then
 * names every mistake.  Otherwise it has the warnings.
 */
struct conf *conf_read(const struct conf_request *, struct conf_report *);
/* The same, however long it takes. */
struct conf *conf_load(const char *path, struct conf_report *);
void conf_report_free(struct conf_report *);

/* Where a mistake is, for people: "file:line", or the file.  Returns place. */
enum { CONF_PLACE_MAX = 160 };
const char *conf_error_place(const struct conf_error *,
    char place[CONF_PLACE_MAX]);
void conf_free(struct conf *);

/* Print the configuration with every default, as a file that conf_load() reads
 * back to the same.  Returns -1 if the stream has failed. */
int conf_print(FILE *, const struct conf *);

/* The same without the keys that the previous release does not know. */
int conf_print_previous(FILE *, const struct conf *);

/* The number of workers that the configuration asks for: its own, or one for
 * each CPU that this process may use.  Never 0 nor above CONF_WORKERS_MAX. */
unsigned conf_worker_count(const struct conf *);

const char *conf_protocol_name(enum conf_protocol);

/* ---- addresses ---- */

/*
 * Parse one address.  It becomes one struct conf_address, or two if it is
 * "*:port".  Returns how many, or 0 with words that follow "must " in *must, and
 * errno ENOMEM if there is no memory.
 */
size_t conf_addr_parse(const char *text, struct conf_address into[2],
    const char **must);

/* Parse the URL of a service: a numeric address with its port, and a path, which
 * points into the text.  Names would have to be looked up, which takes time. */
bool conf_endpoint_parse(const char *url, struct conf_address *,
    const char **path);

/* Whether what is bound to the first address accepts clients of the second one:
 * they are the same, or the first is the wildcard of that port. */
bool conf_addr_covers(const struct sockaddr_storage *,
    const struct sockaddr_storage *);

/* Whether a client is in one of n networks. */
bool conf_networks_have(const struct conf_network *, size_t n,
    const struct sockaddr *client);

bool conf_addr_equal(const struct conf_address *, const struct conf_address *);

#endif
