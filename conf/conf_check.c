/* SPDX-License-Identifier: ISC */
/*
 * What holds between keys.
 *
 * Runs in the reader.  A listener may name a handler that stands below it, so
 * names are collected before any setting is read.  Until the end, the handlers
 * of the configuration are those of the file, in its order.
 */
#include "conf/conf_check.h"

#include <sys/socket.h>

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_complain.h"
#include "conf/conf_keys.h"

/* ---- handlers ---- */

/* Those that are always there, unless the file has its own. */
static const struct {
	const char *name;
	enum conf_handler_type type;
} builtin[] = {
	{ "echo", CONF_HANDLER_ECHO },
	{ "discard", CONF_HANDLER_DISCARD },
};

enum { BUILTIN_COUNT = sizeof(builtin) / sizeof(builtin[0]) };

static bool
handlers_name(const config_setting_t *list, unsigned length, const char *name)
{
	for (unsigned i = 0; i < length; i++) {
		const char *own;

		own = conf_own_name(config_setting_get_elem(list, i));
		if (own != NULL && strcmp(own, name) == 0)
			return true;
	}
	return false;
}

void
conf_handlers_collect(struct conf_reader *reader, const config_setting_t *root)
{
	const config_setting_t *list;
	unsigned length = 0;
	const char **names, *own;
	size_t n = 0;

	list = config_setting_get_member(root, "handlers");
	if (list != NULL && config_setting_is_list(list))
		length = (unsigned)config_setting_length(list);
	names = conf_alloc_scratch(BUILTIN_COUNT + length, sizeof(*names));
	for (size_t i = 0; i < BUILTIN_COUNT; i++)
		if (!handlers_name(list, length, builtin[i].name))
			names[n++] = builtin[i].name;
	for (unsigned i = 0; i < length; i++)
		if ((own = conf_own_name(config_setting_get_elem(list, i))))
			names[n++] = own;
	reader->handlers = names;
	reader->nhandlers = n;
}

/* The index of a handler, or the number of all. */
static size_t
handlers_find(const struct conf *conf, const char *name)
{
	size_t i = 0;

	while (i < conf->nhandlers && strcmp(conf->handlers[i].name, name) != 0)
		i++;
	return i;
}

static void
handlers_add_builtin(struct conf *conf)
{
	size_t n = 0;
	struct conf_handler *all;

	all = conf_alloc(BUILTIN_COUNT + conf->nhandlers, sizeof(*all));
	for (size_t i = 0; i < BUILTIN_COUNT; i++) {
		if (handlers_find(conf, builtin[i].name) < conf->nhandlers)
			continue;
		conf_group_init(conf_handler_keys, &all[n]);
		all[n].name = conf_copy(builtin[i].name);
		all[n++].type = builtin[i].type;
	}
	if (conf->nhandlers > 0)
		memcpy(&all[n], conf->handlers, conf->nhandlers * sizeof(*all));
	conf->handlers = all;
	conf->nhandlers += n;
}

static void
handlers_settle(const struct conf *conf, const char *name, size_t *index)
{
	*index = handlers_find(conf, name);
	/* The name was collected, and no handler was refused. */
	assert(*index < conf->nhandlers);
}

void
conf_handlers_settle(struct conf *conf)
{
	handlers_add_builtin(conf);
	for (size_t i = 0; i < conf->nlisteners; i++) {
		struct conf_listener *listener = &conf->listeners[i];
		struct conf_route *routes = listener->http.routes;

		/* With routes there may be none, and any will do. */
		if (*listener->handler != '\0')
			handlers_settle(conf, listener->handler,
			    &listener->handler_index);
		for (size_t j = 0; j < listener->http.nroutes; j++)
			handlers_settle(conf, routes[j].handler,
			    &routes[j].handler_index);
	}
}

/* ---- mistakes ---- */

/* A message has to fit while its buffer moves, and beside it others. */
enum { MESSAGES_BUFFERED_MIN = 4 };

static const config_setting_t *
check_find(const config_setting_t *group, const char *path)
{
	/* libconfig does not change the group. */
	return config_setting_lookup((config_setting_t *)(uintptr_t)group, path);
}

/* The group of one listener or handler. */
static const config_setting_t *
check_element(const config_setting_t *root, const char *list, size_t i)
{
	return config_setting_get_elem(check_find(root, list), (unsigned)i);
}

static void
check_message_size(struct conf_reader *reader, const config_setting_t *group,
    const config_setting_t *buffered, const struct conf *conf,
    const struct conf_listener *listener)
{
	const config_setting_t *own = check_find(group, "max_message_size");
	size_t most = conf->max_buffered / MESSAGES_BUFFERED_MIN;
	FILE *out;

	if (listener->max_message_size <= most ||
	    conf_is_refused(reader, own != NULL ? own : buffered))
		return;
	if (own != NULL) {
		conf_refusef(reader, own, "must be at most %zu, a quarter of "
		    "max_buffered (%zu)", most, conf->max_buffered);
		return;
	}
	out = conf_refuse(reader, buffered);
	fprintf(out, "must be at least %zu, four times the max_message_size "
	    "of ", listener->max_message_size * MESSAGES_BUFFERED_MIN);
	conf_print_path(out, group);
	fprintf(out, " (%zu, its default)", listener->max_message_size);
	conf_complaint_end(reader);
}

static void
check_message_sizes(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf)
{
	const config_setting_t *buffered = check_find(root, "max_buffered");
	const config_setting_t *group;

	if (buffered != NULL && conf_is_refused(reader, buffered))
		return;
	for (size_t i = 0; i < conf->nlisteners; i++) {
		group = check_element(root, "listeners", i);
		if (config_setting_is_group(group))
			check_message_size(reader, group, buffered, conf,
			    &conf->listeners[i]);
	}
}

/* With the built-in ones there may be one or two handlers too many. */
static void
check_handler_count(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf)
{
	const config_setting_t *list = check_find(root, "handlers");
	size_t room = CONF_HANDLERS_MAX;

	for (size_t i = 0; i < BUILTIN_COUNT; i++)
		room -= handlers_find(conf, builtin[i].name) == conf->nhandlers;
	if (conf->nhandlers > room && !conf_is_refused(reader, list))
		conf_refusef(reader, list, "must be a list of at most %zu "
		    "groups beside the built-in handlers", room);
}

/* Either key makes no sense by itself: nobody could connect, or everybody could
 * without a header. */
static void
check_proxies(struct conf_reader *reader, const config_setting_t *group,
    const struct conf_listener *listener)
{
	const config_setting_t *on = check_find(group, "proxy_protocol");
	const config_setting_t *from = check_find(group, "proxy_from");

	if (listener->proxy_protocol == (listener->nproxy_from > 0) ||
	    (on != NULL && conf_is_refused(reader, on)) ||
	    (from != NULL && conf_is_refused(reader, from)))
		return;
	if (listener->proxy_protocol)
		conf_refusef(reader, on, "must have the addresses of the "
		    "proxies beside it, in proxy_from");
	else
		conf_refusef(reader, from, "must have proxy_protocol = true "
		    "beside it");
}

static void
check_all_proxies(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf)
{
	const config_setting_t *group;

	for (size_t i = 0; i < conf->nlisteners; i++) {
		group = check_element(root, "listeners", i);
		if (config_setting_is_group(group))
			check_proxies(reader, group, &conf->listeners[i]);
	}
}

/* ---- warnings ---- */

/* A warning is about a key that the file sets: defaults do not contradict each
 * other. */
static bool
advise(struct conf_reader *reader, const config_setting_t *about,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static bool
advise(struct conf_reader *reader, const config_setting_t *about,
    const char *fmt, ...)
{
	va_list ap;

	if (about == NULL)
		return false;
	va_start(ap, fmt);
	vfprintf(conf_refuse(reader, about), fmt, ap);
	va_end(ap);
	conf_complaint_end(reader);
	return true;
}

static double
advise_seconds(unsigned ms)
{
	return (double)ms / 1000;
}

static void
advise_global(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf)
{
	bool has_http = false;

	if (conf->drain_spread_ms > 0 &&
	    conf->drain_spread_ms >= conf->drain_timeout_ms &&
	    !advise(reader, check_find(root, "drain_spread"), "no connection "
	    "is closed later than after drain_timeout (%g), so this should be "
	    "less", advise_seconds(conf->drain_timeout_ms)) &&
	    conf->drain_timeout_ms > 0)
		advise(reader, check_find(root, "drain_timeout"), "should be "
		    "more than drain_spread (%g, its default)",
		    advise_seconds(conf->drain_spread_ms));
	if (*conf->tracing.endpoint != '\0' && !conf->monitor.enabled)
		advise(reader, check_find(root, "tracing.endpoint"), "no spans "
		    "are sent, as monitor.enabled is false");
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i].protocol == CONF_PROTOCOL_HTTP)
			has_http = true;
	if (*conf->access_log.file != '\0' && !has_http)
		advise(reader, check_find(root, "access_log.file"), "it stays "
		    "empty, as no listener has the protocol \"http\"");
}

static void
advise_keepalive(struct conf_reader *reader, const config_setting_t *group,
    const struct conf_listener *listener)
{
	const config_setting_t *idle = check_find(group, "keepalive.idle");
	bool has_tcp = false;

	for (size_t i = 0; i < listener->naddresses; i++)
		if (listener->addresses[i].addr.ss_family != AF_UNIX)
			has_tcp = true;
	if (listener->keepalive.idle_s == 0)
		return;
	if (!has_tcp)
		advise(reader, idle, "has no effect on unix sockets");
	else if (listener->idle_timeout_ms > 0 &&
	    listener->keepalive.idle_s * UINT64_C(1000) >=
	    listener->idle_timeout_ms)
		advise(reader, idle, "idle connections are closed before they "
		    "are probed, as idle_timeout is %g",
		    advise_seconds(listener->idle_timeout_ms));
}

/* An address from which all connections would be rejected. */
static void
advise_proxies(struct conf_reader *reader, const config_setting_t *group,
    const struct conf_listener *listener)
{
	const struct conf_address *address;
	size_t k;

	for (size_t i = 0; listener->proxy_protocol &&
	    i < listener->naddresses; i++) {
		address = &listener->addresses[i];
		for (k = 0; k < listener->nproxy_from &&
		    listener->proxy_from[k].family != address->addr.ss_family;
		    k++)
			;
		if (k == listener->nproxy_from && !address->from_wildcard &&
		    advise(reader, check_find(group, "proxy_from"), "no proxy "
		    "can connect to %s, as no address of its kind is here",
		    address->text))
			return;
	}
}

static void
advise_listener(struct conf_reader *reader, const config_setting_t *group,
    const struct conf *conf, const struct conf_listener *listener)
{
	const struct conf_http *http = &listener->http;

	if (listener->max_connections > conf->max_connections)
		advise(reader, check_find(group, "max_connections"), "is never "
		    "reached, as the global max_connections is %u",
		    conf->max_connections);
	advise_keepalive(reader, group, listener);
	advise_proxies(reader, group, listener);
	if (listener->protocol != CONF_PROTOCOL_HTTP)
		return;
	if (http->max_target_size >= http->max_header_size)
		advise(reader, check_find(group, "max_target_size"), "is never "
		    "reached, as max_header_size is %zu",
		    http->max_header_size);
	if (http->min_body_rate > 0 && listener->read_timeout_ms == 0)
		advise(reader, check_find(group, "min_body_rate"), "has no "
		    "effect, as read_timeout is 0");
	if (http->nroutes > 0)
		advise(reader, check_find(group, "handler"), "has no effect, "
		    "as there are routes");
}

/* Returns whether there was something to say: once is enough. */
static bool
advise_handler(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf, size_t i)
{
	const struct conf_handler *handler = &conf->handlers[i];

	if (handler->request_timeout_ms <= conf->drain_timeout_ms)
		return false;
	return advise(reader, check_find(check_element(root, "handlers", i),
	    "request_timeout"), "a request that takes longer than "
	    "drain_timeout (%g) has no reply when the server stops",
	    advise_seconds(conf->drain_timeout_ms)) ||
	    (conf->drain_timeout_ms > 0 &&
	    advise(reader, check_find(root, "drain_timeout"), "a request that "
	    "takes longer has no reply when the server stops, and the "
	    "request_timeout of handler \"%s\" is %g", handler->name,
	    advise_seconds(handler->request_timeout_ms)));
}

void
conf_check(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf)
{
	check_message_sizes(reader, root, conf);
	check_all_proxies(reader, root, conf);
	check_handler_count(reader, root, conf);
	if (reader->findings.count > 0)
		return;
	reader->findings.are_warnings = true;
	advise_global(reader, root, conf);
	for (size_t i = 0; i < conf->nlisteners; i++)
		advise_listener(reader, check_element(root, "listeners", i),
		    conf, &conf->listeners[i]);
	for (size_t i = 0; i < conf->nhandlers; i++)
		if (advise_handler(reader, root, conf, i))
			break;
}
