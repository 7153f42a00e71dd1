/* SPDX-License-Identifier: ISC */
/*
 * The keys of the configuration: one row each.
 *
 * A new key is a field in conf.h, a row here and an item in penstock.conf(5); a new
 * list of groups is a table and a row.
 */
#include "conf/conf_keys.h"

#include <limits.h>

#include "conf/conf.h"

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
/* The count follows its pointer: conf_key_count(). */
#define COUNTED(type, member, count)					\
	.offset = offsetof(struct type, member) + 0 * sizeof(char[	\
	    offsetof(struct type, count) ==				\
	    offsetof(struct type, member) + sizeof(void *) ? 1 : -1])

/* clang-format off */
const char *const conf_protocol_names[] = {
	[CONF_PROTOCOL_FRAME] = "frame", [CONF_PROTOCOL_LINE] = "line",
	[CONF_PROTOCOL_HTTP] = "http", NULL
};

static const char *const handler_type_names[] = {
	[CONF_HANDLER_ECHO] = "echo", [CONF_HANDLER_DISCARD] = "discard",
	[CONF_HANDLER_COMMAND] = "command", [CONF_HANDLER_MODULE] = "module",
	NULL
};

/* Kinds of handlers and of listeners, for the keys that not all have. */
enum {
	COMMAND = 1 << CONF_HANDLER_COMMAND,
	MODULE = 1 << CONF_HANDLER_MODULE,
	CODE = COMMAND | MODULE,
	HTTP = 1 << CONF_PROTOCOL_HTTP,
};

static const char *const match_names[] = {
	[CONF_MATCH_EXACT] = "exact", [CONF_MATCH_PREFIX] = "prefix", NULL
};

static const char *const overload_names[] = {
	[CONF_OVERLOAD_WAIT] = "wait", [CONF_OVERLOAD_SHED] = "shed", NULL
};

static const char *const priority_names[] = {
	[CONF_PRIORITY_NORMAL] = "normal", [CONF_PRIORITY_HIGH] = "high", NULL
};

static const char *const on_limit_names[] = {
	[CONF_ON_LIMIT_REJECT] = "reject", [CONF_ON_LIMIT_WAIT] = "wait", NULL
};

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn", [LOG_LEVEL_ERROR] = "error", NULL
};

static const char *const format_names[] = {
	[LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json", NULL
};

static const struct conf_key log_keys[] = {
	{ "file", &conf_string, AT(conf_log, file), .max = PATH_MAX - 1 },
	{ "level", &conf_choice, AT(conf_log, level), .choices = level_names,
	  .initial = LOG_LEVEL_INFO },
	{ "format", &conf_choice, AT(conf_log, format), .choices = format_names,
	  .initial = LOG_FORMAT_TEXT },
	{ .name = NULL }
};

static const struct conf_key access_log_keys[] = {
	{ "file", &conf_string, AT(conf_access_log, file),
	  .max = PATH_MAX - 1 },
	{ "format", &conf_choice, AT(conf_access_log, format),
	  .choices = format_names, .initial = LOG_FORMAT_TEXT },
	{ .name = NULL }
};

/* The limits are those of the kernel. */
static const struct conf_key keepalive_keys[] = {
	{ "idle", &conf_uint, AT(conf_keepalive, idle_s), .max = 32767,
	  .unit = "seconds" },
	{ "interval", &conf_uint, AT(conf_keepalive, interval_s), .min = 1,
	  .max = 32767, .initial = 10, .unit = "seconds" },
	{ "count", &conf_uint, AT(conf_keepalive, count), .min = 1, .max = 127,
	  .initial = 3 },
	{ .name = NULL }
};

static const struct conf_key route_keys[] = {
	{ "path", &conf_path, AT(conf_route, path), .min = 1, .max = 1024,
	  .required = true },
	{ "match", &conf_choice, AT(conf_route, match), .choices = match_names,
	  .initial = CONF_MATCH_EXACT },
	{ "methods", &conf_methods, AT(conf_route, methods), .max = 32 },
	{ "handler", &conf_handler, AT(conf_route, handler), .required = true },
	{ .name = NULL }
};

static const struct conf_key listener_keys[] = {
	{ "name", &conf_name, AT(conf_listener, name), .min = 1,
	  .max = CONF_NAME_MAX, .required = true },
	{ "address", &conf_addresses,
	  COUNTED(conf_listener, addresses, naddresses), .min = 1,
	  .max = ADDRESSES_MAX, .required = true },
	{ "protocol", &conf_choice, AT(conf_listener, protocol),
	  .choices = conf_protocol_names, .initial = CONF_PROTOCOL_FRAME,
	  .is_kind = true },
	{ "handler", &conf_handler, AT(conf_listener, handler),
	  .required = true, .unless = "routes" },
	{ "priority", &conf_choice, AT(conf_listener, priority),
	  .choices = priority_names, .initial = CONF_PRIORITY_NORMAL },
	{ "pipeline", &conf_uint, AT(conf_listener, pipeline), .min = 1,
	  .max = 1024, .initial = 16 },
	{ "backlog", &conf_uint, AT(conf_listener, backlog), .min = 1,
	  .max = 65535, .initial = 1024 },
	{ "max_connections", &conf_uint, AT(conf_listener, max_connections),
	  .min = 1, .max = 10000000, .initial = 10000 },
	{ "max_message_size", &conf_size, AT(conf_listener, max_message_size),
	  .min = 1, .max = CONF_MESSAGE_SIZE_MAX, .initial = MIB },
	{ "idle_timeout", &conf_time, AT(conf_listener, idle_timeout_ms),
	  .max = DAY, .initial = 60 * SECOND },
	{ "read_timeout", &conf_time, AT(conf_listener, read_timeout_ms),
	  .max = DAY, .initial = 10 * SECOND },
	{ "write_timeout", &conf_time, AT(conf_listener, write_timeout_ms),
	  .max = DAY, .initial = 10 * SECOND },
	{ "on_limit", &conf_choice, AT(conf_listener, on_limit),
	  .choices = on_limit_names, .initial = CONF_ON_LIMIT_REJECT },
	{ "nodelay", &conf_bool, AT(conf_listener, nodelay), .initial = true },
	{ "keepalive", &conf_group, AT(conf_listener, keepalive),
	  .keys = keepalive_keys },
	{ "defer_accept", &conf_uint, AT(conf_listener, defer_accept_s),
	  .max = 3600, .unit = "seconds" },
	{ "proxy_protocol", &conf_bool, AT(conf_listener, proxy_protocol),
	  .is_new = true },
	{ "proxy_from", &conf_networks,
	  COUNTED(conf_listener, proxy_from, nproxy_from), .max = 256,
	  .is_new = true },
	{ "max_header_size", &conf_size,
	  AT(conf_listener, http.max_header_size), .kinds = HTTP, .min = 256,
	  .max = CONF_HEADER_SIZE_MAX, .initial = 16 * KIB },
	{ "max_headers", &conf_uint, AT(conf_listener, http.max_headers),
	  .kinds = HTTP, .min = 1, .max = 10000, .initial = 100 },
	{ "max_target_size", &conf_size,
	  AT(conf_listener, http.max_target_size), .kinds = HTTP, .min = 1,
	  .max = 64 * KIB, .initial = 8 * KIB },
	{ "max_requests", &conf_uint, AT(conf_listener, http.max_requests),
	  .kinds = HTTP, .max = 1000000000 },
	{ "min_body_rate", &conf_uint, AT(conf_listener, http.min_body_rate),
	  .kinds = HTTP, .max = 1000000000, .initial = 500,
	  .unit = "bytes a second" },
	{ "server", &conf_field, AT(conf_listener, http.server), .kinds = HTTP,
	  .max = 128 },
	{ "request_id", &conf_bool, AT(conf_listener, http.request_id),
	  .kinds = HTTP, .initial = 1 },
	{ "fields", &conf_tokens, AT(conf_listener, http.fields), .kinds = HTTP,
	  .max = CONF_FIELDS_MAX },
	{ "routes", &conf_groups,
	  COUNTED(conf_listener, http.routes, http.nroutes), .kinds = HTTP,
	  .max = 256, .keys = route_keys,
	  .group_size = sizeof(struct conf_route) },
	{ .name = NULL }
};

const struct conf_key conf_handler_keys[] = {
	{ "name", &conf_name, AT(conf_handler, name), .min = 1,
	  .max = CONF_NAME_MAX, .required = true },
	{ "type", &conf_choice, AT(conf_handler, type),
	  .choices = handler_type_names, .required = true, .is_kind = true },
	{ "command", &conf_command, AT(conf_handler, command), .kinds = COMMAND,
	  .min = 1, .max = ARGUMENTS_MAX, .required = true },
	{ "processes", &conf_uint, AT(conf_handler, processes),
	  .kinds = COMMAND, .min = 1, .max = 4096, .initial = 4 },
	{ "pipeline", &conf_uint, AT(conf_handler, pipeline), .kinds = COMMAND,
	  .min = 1, .max = 1024, .initial = 1 },
	{ "metadata", &conf_bool, AT(conf_handler, metadata),
	  .kinds = COMMAND },
	{ "reply_metadata", &conf_bool, AT(conf_handler, reply_metadata),
	  .kinds = COMMAND },
	{ "tagged", &conf_bool, AT(conf_handler, tagged), .kinds = COMMAND },
	{ "ready", &conf_bool, AT(conf_handler, ready), .kinds = COMMAND },
	{ "ready_timeout", &conf_time, AT(conf_handler, ready_timeout_ms),
	  .kinds = CODE, .min = SECOND, .max = 3600 * SECOND,
	  .initial = 60 * SECOND, .is_new = true },
	{ "module", &conf_string, AT(conf_handler, module), .kinds = MODULE,
	  .min = 1, .max = PATH_MAX - 1, .required = true },
	{ "settings", &conf_settings,
	  COUNTED(conf_handler, settings, nsettings), .kinds = MODULE },
	{ "threads", &conf_uint, AT(conf_handler, threads), .kinds = MODULE,
	  .min = 1, .max = 1024, .initial = 64 },
	{ "environment", &conf_environment,
	  COUNTED(conf_handler, environment, nenvironment), .kinds = CODE },
	{ "working_directory", &conf_string,
	  AT(conf_handler, working_directory), .kinds = CODE,
	  .max = PATH_MAX - 1 },
	{ "max_memory", &conf_size, AT(conf_handler, max_memory), .kinds = CODE,
	  .zero_is_off = true, .min = MIB, .max = TIB },
	/* The most is what the kernel grants by default (fs.nr_open). */
	{ "max_files", &conf_uint, AT(conf_handler, max_files), .kinds = CODE,
	  .zero_is_off = true, .min = 16, .max = 1 << 20 },
	{ "queue", &conf_uint, AT(conf_handler, queue), .kinds = CODE, .min = 1,
	  .max = 1000000, .initial = 1024 },
	{ "overload", &conf_choice, AT(conf_handler, overload), .kinds = CODE,
	  .choices = overload_names, .initial = CONF_OVERLOAD_WAIT },
	{ "queue_timeout", &conf_time, AT(conf_handler, queue_timeout_ms),
	  .kinds = CODE, .max = DAY, .initial = 10 * SECOND },
	{ "request_timeout", &conf_time, AT(conf_handler, request_timeout_ms),
	  .kinds = CODE, .max = DAY, .initial = 10 * SECOND },
	{ "busy", &conf_reply, AT(conf_handler, busy), .kinds = CODE, .min = 1,
	  .max = REPLY_MAX, .initial_text = "ERR busy" },
	{ "timeout", &conf_reply, AT(conf_handler, timeout), .kinds = CODE,
	  .min = 1, .max = REPLY_MAX, .initial_text = "ERR timeout" },
	{ "failed", &conf_reply, AT(conf_handler, failed), .kinds = CODE,
	  .min = 1, .max = REPLY_MAX, .initial_text = "ERR failed" },
	{ .name = NULL }
};

static const struct conf_key monitor_keys[] = {
	{ "enabled", &conf_bool, AT(conf_monitor, enabled), .initial = true },
	{ "address", &conf_addresses,
	  COUNTED(conf_monitor, addresses, naddresses), .min = 1,
	  .max = MONITOR_ADDRESSES_MAX, .initial_text = "127.0.0.1:9180" },
	{ "hosts", &conf_tokens, AT(conf_monitor, hosts), .max = 32,
	  .is_new = true },
	{ .name = NULL }
};

static const struct conf_key tracing_keys[] = {
	{ "endpoint", &conf_endpoint, AT(conf_tracing, endpoint), .max = 1023 },
	{ "sample_ratio", &conf_ratio, AT(conf_tracing, sample_ratio),
	  .initial = CONF_RATIO_ONE / 100 },
	{ "service_name", &conf_string, AT(conf_tracing, service_name),
	  .min = 1, .max = 255, .initial_text = "penstock" },
	{ .name = NULL }
};

const struct conf_key conf_keys[] = {
	{ "workers", &conf_uint, AT(conf, workers), .max = CONF_WORKERS_MAX },
	{ "user", &conf_string, AT(conf, user), .max = 255 },
	{ "group", &conf_string, AT(conf, group), .max = 255 },
	{ "pid_file", &conf_string, AT(conf, pid_file), .max = PATH_MAX - 1 },
	{ "drain_timeout", &conf_time, AT(conf, drain_timeout_ms), .max = DAY,
	  .initial = 30 * SECOND },
	{ "drain_spread", &conf_time, AT(conf, drain_spread_ms),
	  .max = 3600 * SECOND, .initial = SECOND },
	{ "watchdog_timeout", &conf_time, AT(conf, watchdog_timeout_ms),
	  .zero_is_off = true, .min = SECOND, .max = 3600 * SECOND,
	  .initial = 10 * SECOND },
	{ "rebalance", &conf_uint, AT(conf, rebalance), .zero_is_off = true,
	  .min = 10, .max = 1000000, .initial = 1000 },
	{ "probation", &conf_time, AT(conf, probation_ms), .max = 3600 * SECOND,
	  .initial = 10 * SECOND },
	{ "cpu_affinity", &conf_bool, AT(conf, cpu_affinity) },
	{ "custody", &conf_bool, AT(conf, custody), .initial = true,
	  .is_new = true },
	{ "max_connections", &conf_uint, AT(conf, max_connections), .min = 1,
	  .max = 10000000, .initial = 10000 },
	{ "max_buffered", &conf_size, AT(conf, max_buffered), .min = 64 * KIB,
	  .max = TIB, .initial = 64 * MIB },
	{ "log", &conf_group, AT(conf, log), .keys = log_keys },
	{ "access_log", &conf_group, AT(conf, access_log),
	  .keys = access_log_keys },
	{ "listeners", &conf_groups, COUNTED(conf, listeners, nlisteners),
	  .min = 1, .max = CONF_LISTENERS_MAX, .required = true,
	  .keys = listener_keys, .group_size = sizeof(struct conf_listener) },
	{ "handlers", &conf_groups, COUNTED(conf, handlers, nhandlers),
	  .max = CONF_HANDLERS_MAX, .keys = conf_handler_keys,
	  .group_size = sizeof(struct conf_handler) },
	{ "monitor", &conf_group, AT(conf, monitor), .keys = monitor_keys },
	{ "tracing", &conf_group, AT(conf, tracing), .keys = tracing_keys },
	{ .name = NULL }
};
/* clang-format on */
