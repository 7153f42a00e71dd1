/* SPDX-License-Identifier: ISC */
/*
 * The keys of the configuration: one row each, and what follows from the rows.
 *
 * Runs in the reader, and where a configuration is printed.  A new key is a field in conf.h, a row here and an item
 * in penstock.conf(5); a new list of groups is a table and a row.
 */
#include "conf/conf_keys.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_method.h"
#include "conf/conf.h"
#include "conf/conf_addr.h"
#include "conf/conf_alloc.h"

/* ---- the rows ---- */

enum {
	SECOND = 1000,
	DAY = 86400 * SECOND,
	KIB = 1024,
	MIB = 1024 * KIB,
	ADDRESSES_MAX = 64,
	MONITOR_ADDRESSES_MAX = 8,
	ARGUMENTS_MAX = 256,
	REPLY_MAX = 1024,
};

#define TIB ((uint64_t)MIB * MIB)

#define AT(type, member)						\
	.offset = offsetof(struct type, member)
#define COUNTED(type, member, count)					\
	.offset = offsetof(struct type, member),			\
	.count_offset = offsetof(struct type, count)

const char *const conf_protocol_names[] = {
	[CONF_PROTOCOL_FRAME] = "frame",
	[CONF_PROTOCOL_LINE] = "line",
	[CONF_PROTOCOL_HTTP] = "http",
	NULL
};

static const char *const handler_type_names[] = {
	[CONF_HANDLER_ECHO] = "echo",
	[CONF_HANDLER_DISCARD] = "discard",
	[CONF_HANDLER_COMMAND] = "command",
	[CONF_HANDLER_MODULE] = "module",
	NULL
};

/* Kinds of handlers, for the keys that not all have. */
enum {
	COMMAND = 1 << CONF_HANDLER_COMMAND,
	MODULE = 1 << CONF_HANDLER_MODULE,
};

/* And of listeners. */
enum {
	HTTP = 1 << CONF_PROTOCOL_HTTP,
};

static const char *const match_names[] = {
	[CONF_MATCH_EXACT] = "exact",
	[CONF_MATCH_PREFIX] = "prefix",
	NULL
};

static const char *const overload_names[] = {
	[CONF_OVERLOAD_WAIT] = "wait",
	[CONF_OVERLOAD_SHED] = "shed",
	NULL
};

static const char *const priority_names[] = {
	[CONF_PRIORITY_NORMAL] = "normal",
	[CONF_PRIORITY_HIGH] = "high",
	NULL
};

static const char *const on_limit_names[] = {
	[CONF_ON_LIMIT_REJECT] = "reject",
	[CONF_ON_LIMIT_WAIT] = "wait",
	NULL
};

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
	NULL
};

static const char *const format_names[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_JSON] = "json",
	NULL
};

/* clang-format off */
static const struct conf_key log_keys[] = {
	{ .name = "file", .type = CONF_STRING, AT(conf_log, file),
	  .max = PATH_MAX - 1 },
	{ .name = "level", .type = CONF_CHOICE, AT(conf_log, level),
	  .choices = level_names, .initial = LOG_LEVEL_INFO },
	{ .name = "format", .type = CONF_CHOICE, AT(conf_log, format),
	  .choices = format_names, .initial = LOG_FORMAT_TEXT },
	{ .name = NULL }
};

static const struct conf_key access_log_keys[] = {
	{ .name = "file", .type = CONF_STRING, AT(conf_access_log, file),
	  .max = PATH_MAX - 1 },
	{ .name = "format", .type = CONF_CHOICE, AT(conf_access_log, format),
	  .choices = format_names, .initial = LOG_FORMAT_TEXT },
	{ .name = NULL }
};

/* The limits are those of the kernel. */
static const struct conf_key keepalive_keys[] = {
	{ .name = "idle", .type = CONF_UINT, AT(conf_keepalive, idle_s),
	  .max = 32767, .unit = "seconds" },
	{ .name = "interval", .type = CONF_UINT,
	  AT(conf_keepalive, interval_s),
	  .min = 1, .max = 32767, .initial = 10, .unit = "seconds" },
	{ .name = "count", .type = CONF_UINT, AT(conf_keepalive, count),
	  .min = 1, .max = 127, .initial = 3 },
	{ .name = NULL }
};

static const struct conf_key route_keys[] = {
	{ .name = "path", .type = CONF_PATH, AT(conf_route, path),
	  .min = 1, .max = 1024, .required = true },
	{ .name = "match", .type = CONF_CHOICE, AT(conf_route, match),
	  .choices = match_names, .initial = CONF_MATCH_EXACT },
	{ .name = "methods", .type = CONF_TOKENS, AT(conf_route, methods),
	  .is_known = http_method_is_known, .max = 32 },
	{ .name = "handler", .type = CONF_HANDLER, AT(conf_route, handler),
	  .required = true },
	{ .name = NULL }
};

static const struct conf_key listener_keys[] = {
	{ .name = "name", .type = CONF_NAME, AT(conf_listener, name),
	  .min = 1, .max = CONF_NAME_MAX, .required = true },
	{ .name = "address", .type = CONF_ADDRESSES,
	  COUNTED(conf_listener, addresses, naddresses),
	  .min = 1, .max = ADDRESSES_MAX, .required = true },
	{ .name = "protocol", .type = CONF_KIND,
	  AT(conf_listener, protocol),
	  .choices = conf_protocol_names, .initial = CONF_PROTOCOL_FRAME },
	{ .name = "handler", .type = CONF_HANDLER, AT(conf_listener, handler),
	  .required = true, .unless = "routes" },
	{ .name = "priority", .type = CONF_CHOICE,
	  AT(conf_listener, priority),
	  .choices = priority_names, .initial = CONF_PRIORITY_NORMAL },
	{ .name = "pipeline", .type = CONF_UINT, AT(conf_listener, pipeline),
	  .min = 1, .max = 1024, .initial = 16 },
	{ .name = "backlog", .type = CONF_UINT, AT(conf_listener, backlog),
	  .min = 1, .max = 65535, .initial = 1024 },
	{ .name = "max_connections", .type = CONF_UINT,
	  AT(conf_listener, max_connections),
	  .min = 1, .max = 10000000, .initial = 10000 },
	{ .name = "max_message_size", .type = CONF_SIZE,
	  AT(conf_listener, max_message_size),
	  .min = 1, .max = CONF_MESSAGE_SIZE_MAX, .initial = MIB },
	{ .name = "idle_timeout", .type = CONF_TIME,
	  AT(conf_listener, idle_timeout_ms),
	  .max = DAY, .initial = 60 * SECOND },
	{ .name = "read_timeout", .type = CONF_TIME,
	  AT(conf_listener, read_timeout_ms),
	  .max = DAY, .initial = 10 * SECOND },
	{ .name = "write_timeout", .type = CONF_TIME,
	  AT(conf_listener, write_timeout_ms),
	  .max = DAY, .initial = 10 * SECOND },
	{ .name = "on_limit", .type = CONF_CHOICE,
	  AT(conf_listener, on_limit),
	  .choices = on_limit_names, .initial = CONF_ON_LIMIT_REJECT },
	{ .name = "nodelay", .type = CONF_BOOL, AT(conf_listener, nodelay),
	  .initial = true },
	{ .name = "keepalive", .type = CONF_GROUP,
	  AT(conf_listener, keepalive), .keys = keepalive_keys },
	{ .name = "defer_accept", .type = CONF_UINT,
	  AT(conf_listener, defer_accept_s),
	  .max = 3600, .unit = "seconds" },
	{ .name = "max_header_size", .type = CONF_SIZE,
	  AT(conf_listener, http.max_header_size), .kinds = HTTP,
	  .min = 256, .max = CONF_HEADER_SIZE_MAX, .initial = 16 * KIB },
	{ .name = "max_headers", .type = CONF_UINT,
	  AT(conf_listener, http.max_headers), .kinds = HTTP,
	  .min = 1, .max = 10000, .initial = 100 },
	{ .name = "max_target_size", .type = CONF_SIZE,
	  AT(conf_listener, http.max_target_size), .kinds = HTTP,
	  .min = 1, .max = 64 * KIB, .initial = 8 * KIB },
	{ .name = "max_requests", .type = CONF_UINT,
	  AT(conf_listener, http.max_requests), .kinds = HTTP,
	  .max = 1000000000 },
	{ .name = "min_body_rate", .type = CONF_UINT,
	  AT(conf_listener, http.min_body_rate), .kinds = HTTP,
	  .max = 1000000000, .initial = 500, .unit = "bytes a second" },
	{ .name = "server", .type = CONF_FIELD,
	  AT(conf_listener, http.server), .kinds = HTTP, .max = 128 },
	{ .name = "request_id", .type = CONF_BOOL,
	  AT(conf_listener, http.request_id), .kinds = HTTP, .initial = 1 },
	{ .name = "fields", .type = CONF_TOKENS,
	  AT(conf_listener, http.fields), .kinds = HTTP,
	  .max = CONF_FIELDS_MAX },
	{ .name = "routes", .type = CONF_GROUPS,
	  COUNTED(conf_listener, http.routes, http.nroutes), .kinds = HTTP,
	  .max = 256,
	  .keys = route_keys, .group_size = sizeof(struct conf_route) },
	{ .name = NULL }
};

static const struct conf_key handler_keys[] = {
	{ .name = "name", .type = CONF_NAME, AT(conf_handler, name),
	  .min = 1, .max = CONF_NAME_MAX, .required = true },
	{ .name = "type", .type = CONF_KIND, AT(conf_handler, type),
	  .choices = handler_type_names, .required = true },
	{ .name = "command", .type = CONF_COMMAND, AT(conf_handler, command),
	  .kinds = COMMAND,
	  .min = 1, .max = ARGUMENTS_MAX, .required = true },
	{ .name = "processes", .type = CONF_UINT, AT(conf_handler, processes),
	  .kinds = COMMAND, .min = 1, .max = 4096, .initial = 4 },
	{ .name = "pipeline", .type = CONF_UINT, AT(conf_handler, pipeline),
	  .kinds = COMMAND, .min = 1, .max = 1024, .initial = 1 },
	{ .name = "metadata", .type = CONF_BOOL, AT(conf_handler, metadata),
	  .kinds = COMMAND },
	{ .name = "reply_metadata", .type = CONF_BOOL,
	  AT(conf_handler, reply_metadata), .kinds = COMMAND },
	{ .name = "tagged", .type = CONF_BOOL, AT(conf_handler, tagged),
	  .kinds = COMMAND },
	{ .name = "ready", .type = CONF_BOOL, AT(conf_handler, ready),
	  .kinds = COMMAND },
	{ .name = "ready_timeout", .type = CONF_TIME,
	  AT(conf_handler, ready_timeout_ms), .kinds = COMMAND | MODULE,
	  .min = SECOND, .max = 3600 * SECOND, .initial = 60 * SECOND,
	  .is_new = true },
	{ .name = "module", .type = CONF_STRING, AT(conf_handler, module),
	  .kinds = MODULE,
	  .min = 1, .max = PATH_MAX - 1, .required = true },
	{ .name = "settings", .type = CONF_SETTINGS,
	  COUNTED(conf_handler, settings, nsettings), .kinds = MODULE },
	{ .name = "threads", .type = CONF_UINT, AT(conf_handler, threads),
	  .kinds = MODULE, .min = 1, .max = 1024, .initial = 64 },
	{ .name = "environment", .type = CONF_ENVIRONMENT,
	  COUNTED(conf_handler, environment, nenvironment),
	  .kinds = COMMAND | MODULE },
	{ .name = "working_directory", .type = CONF_STRING,
	  AT(conf_handler, working_directory), .kinds = COMMAND | MODULE,
	  .max = PATH_MAX - 1 },
	{ .name = "max_memory", .type = CONF_SIZE,
	  AT(conf_handler, max_memory), .kinds = COMMAND | MODULE,
	  .zero_is_off = true, .min = MIB, .max = TIB },
	/* The most is what the kernel grants by default (fs.nr_open). */
	{ .name = "max_files", .type = CONF_UINT, AT(conf_handler, max_files),
	  .kinds = COMMAND | MODULE, .zero_is_off = true,
	  .min = 16, .max = 1 << 20 },
	{ .name = "queue", .type = CONF_UINT, AT(conf_handler, queue),
	  .kinds = COMMAND | MODULE,
	  .min = 1, .max = 1000000, .initial = 1024 },
	{ .name = "overload", .type = CONF_CHOICE, AT(conf_handler, overload),
	  .kinds = COMMAND | MODULE,
	  .choices = overload_names, .initial = CONF_OVERLOAD_WAIT },
	{ .name = "queue_timeout", .type = CONF_TIME,
	  AT(conf_handler, queue_timeout_ms), .kinds = COMMAND | MODULE,
	  .max = DAY, .initial = 10 * SECOND },
	{ .name = "request_timeout", .type = CONF_TIME,
	  AT(conf_handler, request_timeout_ms), .kinds = COMMAND | MODULE,
	  .max = DAY, .initial = 10 * SECOND },
	{ .name = "busy", .type = CONF_REPLY, AT(conf_handler, busy),
	  .kinds = COMMAND | MODULE,
	  .min = 1, .max = REPLY_MAX, .initial_text = "ERR busy" },
	{ .name = "timeout", .type = CONF_REPLY, AT(conf_handler, timeout),
	  .kinds = COMMAND | MODULE,
	  .min = 1, .max = REPLY_MAX, .initial_text = "ERR timeout" },
	{ .name = "failed", .type = CONF_REPLY, AT(conf_handler, failed),
	  .kinds = COMMAND | MODULE,
	  .min = 1, .max = REPLY_MAX, .initial_text = "ERR failed" },
	{ .name = NULL }
};

static const struct conf_key monitor_keys[] = {
	{ .name = "enabled", .type = CONF_BOOL, AT(conf_monitor, enabled),
	  .initial = true },
	{ .name = "address", .type = CONF_ADDRESSES,
	  COUNTED(conf_monitor, addresses, naddresses),
	  .min = 1, .max = MONITOR_ADDRESSES_MAX,
	  .initial_text = "127.0.0.1:9180" },
	{ .name = "hosts", .type = CONF_TOKENS, AT(conf_monitor, hosts),
	  .max = 32, .is_new = true },
	{ .name = NULL }
};

static const struct conf_key tracing_keys[] = {
	{ .name = "endpoint", .type = CONF_ENDPOINT,
	  AT(conf_tracing, endpoint), .max = 1023 },
	{ .name = "sample_ratio", .type = CONF_RATIO,
	  AT(conf_tracing, sample_ratio), .initial = CONF_RATIO_ONE / 100 },
	{ .name = "service_name", .type = CONF_STRING,
	  AT(conf_tracing, service_name), .min = 1, .max = 255,
	  .initial_text = "penstock" },
	{ .name = NULL }
};

const struct conf_key conf_keys[] = {
	{ .name = "workers", .type = CONF_UINT, AT(conf, workers),
	  .max = CONF_WORKERS_MAX },
	{ .name = "user", .type = CONF_STRING, AT(conf, user), .max = 255 },
	{ .name = "group", .type = CONF_STRING, AT(conf, group), .max = 255 },
	{ .name = "pid_file", .type = CONF_STRING, AT(conf, pid_file),
	  .max = PATH_MAX - 1 },
	{ .name = "drain_timeout", .type = CONF_TIME,
	  AT(conf, drain_timeout_ms),
	  .max = DAY, .initial = 30 * SECOND },
	{ .name = "drain_spread", .type = CONF_TIME,
	  AT(conf, drain_spread_ms),
	  .max = 3600 * SECOND, .initial = SECOND },
	{ .name = "watchdog_timeout", .type = CONF_TIME,
	  AT(conf, watchdog_timeout_ms), .zero_is_off = true,
	  .min = SECOND, .max = 3600 * SECOND, .initial = 10 * SECOND },
	{ .name = "rebalance", .type = CONF_UINT, AT(conf, rebalance),
	  .zero_is_off = true, .min = 10, .max = 1000000, .initial = 1000 },
	{ .name = "probation", .type = CONF_TIME, AT(conf, probation_ms),
	  .max = 3600 * SECOND, .initial = 10 * SECOND },
	{ .name = "cpu_affinity", .type = CONF_BOOL, AT(conf, cpu_affinity) },
	{ .name = "max_connections", .type = CONF_UINT,
	  AT(conf, max_connections),
	  .min = 1, .max = 10000000, .initial = 10000 },
	{ .name = "max_buffered", .type = CONF_SIZE, AT(conf, max_buffered),
	  .min = 64 * KIB, .max = TIB, .initial = 64 * MIB },
	{ .name = "log", .type = CONF_GROUP, AT(conf, log),
	  .keys = log_keys },
	{ .name = "access_log", .type = CONF_GROUP, AT(conf, access_log),
	  .keys = access_log_keys },
	{ .name = "listeners", .type = CONF_GROUPS,
	  COUNTED(conf, listeners, nlisteners),
	  .min = 1, .max = CONF_LISTENERS_MAX, .required = true,
	  .keys = listener_keys, .group_size = sizeof(struct conf_listener) },
	{ .name = "handlers", .type = CONF_GROUPS,
	  COUNTED(conf, handlers, nhandlers), .max = CONF_HANDLERS_MAX,
	  .keys = handler_keys, .group_size = sizeof(struct conf_handler) },
	{ .name = "monitor", .type = CONF_GROUP, AT(conf, monitor),
	  .keys = monitor_keys },
	{ .name = "tracing", .type = CONF_GROUP, AT(conf, tracing),
	  .keys = tracing_keys },
	{ .name = NULL }
};

/* clang-format on */

/* A choice is written through a pointer to unsigned. */
_Static_assert(sizeof(enum conf_protocol) == sizeof(unsigned),
    "an enum is as wide as an unsigned");

/* ---- fields ---- */

const struct conf_key *
conf_key_find(const struct conf_key *keys, const char *name)
{
	for (; keys->name != NULL; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

/* const goes in and does not come out, as with strchr(3). */
void *
conf_key_field(const struct conf_key *key, const void *base)
{
	return (char *)(uintptr_t)base + key->offset;
}

size_t *
conf_key_count(const struct conf_key *key, const void *base)
{
	return (void *)((char *)(uintptr_t)base + key->count_offset);
}

const struct conf_key *
conf_keys_kind(const struct conf_key *keys)
{
	for (; keys->name != NULL; keys++)
		if (keys->type == CONF_KIND)
			return keys;
	return NULL;
}

unsigned
conf_keys_kind_of(const struct conf_key *keys, const void *base)
{
	const struct conf_key *kind = conf_keys_kind(keys);

	if (kind == NULL)
		return 0;
	return 1u << *(const unsigned *)conf_key_field(kind, base);
}

static void
init_string(const struct conf_key *key, char **field)
{
	const char *text = key->initial_text;

	*field = conf_copy(text != NULL ? text : "");
}

static void
init_addresses(const struct conf_key *key, void *base)
{
	struct conf_address *addresses, parsed[2];
	const char *must;
	size_t count;

	if (key->initial_text == NULL)
		return;
	count = conf_addr_parse(key->initial_text, parsed, &must);
	assert(count > 0);
	addresses = conf_alloc(count, sizeof(*addresses));
	for (size_t i = 0; i < count; i++) {
		addresses[i] = parsed[i];
		addresses[i].from_default = true;
	}
	*(struct conf_address **)conf_key_field(key, base) = addresses;
	*conf_key_count(key, base) = count;
}

static void
init_field(const struct conf_key *key, void *base)
{
	void *field = conf_key_field(key, base);

	switch (key->type) {
	case CONF_BOOL:
		*(bool *)field = key->initial != 0;
		return;
	case CONF_UINT:
	case CONF_TIME:
	case CONF_RATIO:
	case CONF_CHOICE:
	case CONF_KIND:
		*(unsigned *)field = (unsigned)key->initial;
		return;
	case CONF_SIZE:
		*(size_t *)field = key->initial;
		return;
	case CONF_STRING:
	case CONF_REPLY:
	case CONF_ENDPOINT:
	case CONF_NAME:
	case CONF_HANDLER:
	case CONF_PATH:
	case CONF_FIELD:
		init_string(key, field);
		return;
	case CONF_GROUP:
		conf_keys_init(key->keys, field);
		return;
	case CONF_ADDRESSES:
		init_addresses(key, base);
		return;
	case CONF_COMMAND:
	case CONF_TOKENS:
	case CONF_SETTINGS:
	case CONF_ENVIRONMENT:
	case CONF_GROUPS:
		return;		/* none, as zeroed */
	}
}

void
conf_keys_init(const struct conf_key *keys, void *base)
{
	for (; keys->name != NULL; keys++)
		init_field(keys, base);
}

/* ---- what is allowed ---- */

static void
print_choices(FILE *out, const char *const *choices)
{
	for (size_t i = 0; choices[i] != NULL; i++) {
		if (i > 0)
			fputs(choices[i + 1] == NULL ? " or " : ", ", out);
		fprintf(out, "\"%s\"", choices[i]);
	}
}

void
conf_key_print_kinds(FILE *out, const struct conf_key *key,
    const struct conf_key *kind)
{
	const char *before = "";

	for (unsigned i = 0; kind->choices[i] != NULL; i++) {
		if ((key->kinds & 1u << i) == 0)
			continue;
		fprintf(out, "%s\"%s\"", before, kind->choices[i]);
		before = " or ";
	}
}

static void
print_number_range(FILE *out, const struct conf_key *key)
{
	const char *unit = key->type == CONF_SIZE ? "bytes" : key->unit;

	fprintf(out, "%sa whole number", key->zero_is_off ? "0 (off) or " : "");
	if (unit != NULL)
		fprintf(out, " of %s", unit);
	fprintf(out, " from %" PRIu64 " to %" PRIu64, key->min, key->max);
}

static void
print_time_range(FILE *out, const struct conf_key *key)
{
	assert(key->min % SECOND == 0 && key->max % SECOND == 0);
	if (key->zero_is_off)
		fputs("0 (off) or ", out);
	fprintf(out, "a number of seconds from %" PRIu64 " to %" PRIu64,
	    key->min / SECOND, key->max / SECOND);
}

static void
print_length(FILE *out, const struct conf_key *key)
{
	if (key->min > 0)
		fprintf(out, "a string of %" PRIu64 " to %" PRIu64 " bytes",
		    key->min, key->max);
	else
		fprintf(out, "a string of at most %" PRIu64 " bytes", key->max);
}

static void
print_number_of_groups(FILE *out, const struct conf_key *key)
{
	if (key->min > 0)
		fprintf(out, "a list of %" PRIu64 " to %" PRIu64, key->min,
		    key->max);
	else
		fprintf(out, "a list of at most %" PRIu64, key->max);
	fputs(" groups: ( { ... }, ... )", out);
}

void
conf_key_print_allowed(FILE *out, const struct conf_key *key)
{
	switch (key->type) {
	case CONF_BOOL:
		fputs("true or false", out);
		return;
	case CONF_UINT:
	case CONF_SIZE:
		print_number_range(out, key);
		return;
	case CONF_TIME:
		print_time_range(out, key);
		return;
	case CONF_RATIO:
		fputs("a number from 0 to 1", out);
		return;
	case CONF_CHOICE:
	case CONF_KIND:
		print_choices(out, key->choices);
		return;
	case CONF_STRING:
		print_length(out, key);
		return;
	case CONF_REPLY:
		print_length(out, key);
		fputs(", or \"close\" to close the connection instead", out);
		return;
	case CONF_ENDPOINT:
		fputs("empty (off) or as " CONF_ENDPOINT_EXAMPLE, out);
		return;
	case CONF_NAME:
		fprintf(out, "a string of %" PRIu64 " to %" PRIu64 " letters, "
		    "digits, \"_\", \".\" or \"-\"", key->min, key->max);
		return;
	case CONF_HANDLER:
		fputs("the name of a handler", out);
		return;
	case CONF_PATH:
		print_length(out, key);
		fputs(" that begins with \"/\" and has no blanks, \"?\" or "
		    "\"#\"", out);
		return;
	case CONF_FIELD:
		print_length(out, key);
		fputs(", in ASCII, without control characters", out);
		return;
	case CONF_TOKENS:
		fprintf(out, "a list of at most %" PRIu64 " words of HTTP: "
		    "[ \"GET\", ... ]", key->max);
		return;
	case CONF_COMMAND:
		fprintf(out, "a list of %" PRIu64 " to %" PRIu64 " strings",
		    key->min, key->max);
		return;
	case CONF_SETTINGS:
		fputs("a group of strings, numbers, true or false: "
		    "{ key = value; }", out);
		return;
	case CONF_ENVIRONMENT:
		fputs("a group of strings: { NAME = \"value\"; }", out);
		return;
	case CONF_ADDRESSES:
		fprintf(out, "an address or a list of %" PRIu64 " to %" PRIu64
		    " addresses, as " CONF_ADDR_EXAMPLES, key->min, key->max);
		return;
	case CONF_GROUP:
		fputs("a group: { ... }", out);
		return;
	case CONF_GROUPS:
		print_number_of_groups(out, key);
		return;
	}
}

/* ---- names ---- */

static size_t
min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

enum { NAME_MAX_LEN = 47 };

/*
 * How many slips of the finger lie between two names: a letter too many, too
 * few, wrong, or swapped with its neighbour.  Case does not count.
 */
static size_t
distance(const char *a, const char *b)
{
	size_t rows[3][NAME_MAX_LEN + 1];
	size_t *row = rows[0], *above = rows[1], *above2 = rows[2], *swap;
	size_t la = strlen(a), lb = strlen(b);

	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		swap = above2, above2 = above, above = row, row = swap;
		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			bool same = tolower((unsigned char)a[i - 1]) ==
			    tolower((unsigned char)b[j - 1]);

			row[j] = min3(above[j] + 1, row[j - 1] + 1,
			    above[j - 1] + !same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && above2[j - 2] + 1 < row[j])
				row[j] = above2[j - 2] + 1;
		}
	}
	return row[lb];
}

/* The key whose name is nearest, if at most a third of the letters differ. */
static const struct conf_key *
nearest(const struct conf_key *keys, const char *name)
{
	const struct conf_key *best = NULL;
	size_t least = strlen(name) / 3 + 1;

	if (strlen(name) > NAME_MAX_LEN)
		return NULL;
	for (; keys->name != NULL; keys++) {
		size_t d = distance(name, keys->name);

		if (d < least) {
			least = d;
			best = keys;
		}
	}
	return best;
}

/* What to do with one key; prefix is that of its name: "", "log.". */
typedef bool (*visit_fn)(void *ctx, const char *prefix,
    const struct conf_key *);

/* Visit all keys in the order of the manual, until a visit returns true. */
static bool
visit(const struct conf_key *keys, const char *prefix, visit_fn fn, void *ctx)
{
	for (; keys->name != NULL; keys++) {
		char *deeper;
		bool done;

		if (fn(ctx, prefix, keys))
			return true;
		if (keys->keys == NULL)
			continue;
		if (asprintf(&deeper, "%s%s.", prefix, keys->name) == -1)
			conf_lacks_memory();
		done = visit(keys->keys, deeper, fn, ctx);
		free(deeper);
		if (done)
			return true;
	}
	return false;
}

struct search {
	FILE *out;
	const char *name;
};

static bool
hint_if_named(void *ctx, const char *prefix, const struct conf_key *key)
{
	const struct search *search = ctx;

	if (strcmp(key->name, search->name) != 0)
		return false;
	if (prefix[0] == '\0')
		fputs("; that is a global key", search->out);
	else
		fprintf(search->out, "; that is a key of %.*s",
		    (int)strlen(prefix) - 1, prefix);
	return true;
}

static void
list_names(FILE *out, const struct conf_key *keys)
{
	fputs("; known here: ", out);
	for (; keys->name != NULL; keys++)
		fprintf(out, "%s%s", keys->name,
		    keys[1].name == NULL ? "" : ", ");
}

void
conf_keys_print_hint(FILE *out, const struct conf_key *keys, const char *name)
{
	struct search search = { .out = out, .name = name };
	const struct conf_key *near;

	if (visit(conf_keys, "", hint_if_named, &search))
		return;
	near = nearest(keys, name);
	if (near != NULL)
		fprintf(out, "; did you mean \"%s\"?", near->name);
	else
		list_names(out, keys);
}

static bool
print_name(void *ctx, const char *prefix, const struct conf_key *key)
{
	FILE *out = ctx;

	if (key->keys == NULL)
		fprintf(out, "%s%s\n", prefix, key->name);
	return false;
}

void
conf_print_keys(FILE *out)
{
	visit(conf_keys, "", print_name, out);
}
