/* SPDX-License-Identifier: ISC */
/*
 * What holds between keys.
 *
 * Runs in the reader.  The handlers of the configuration are those of the file.
 * A warning is about a pair of keys, and appears where the file sets one of the
 * two: defaults do not contradict each other.
 */
#include "conf/conf_check.h"

#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "conf/conf_complain.h"
#include "conf/conf_handlers.h"

/* One look at a configuration. */
struct check {
	struct conf_reader *reader;
	const config_setting_t *root;
	const struct conf *conf;
};

static const config_setting_t *
check_member(const config_setting_t *group, const char *name)
{
	return group != NULL && config_setting_is_group(group) ?
	    config_setting_get_member(group, name) : NULL;
}

/* The group of one listener or handler. */
static const config_setting_t *
check_element(const struct check *check, const char *list, size_t i)
{
	return config_setting_get_elem(check_member(check->root, list),
	    (unsigned)i);
}

/* ---- mistakes ---- */

/* A message has to fit while its buffer moves, and beside it others. */
enum { MESSAGES_BUFFERED_MIN = 4 };

static void
check_message_size(const struct check *check, const config_setting_t *group,
    const config_setting_t *buffered, const struct conf_listener *listener)
{
	const config_setting_t *own = check_member(group, "max_message_size");
	size_t most = check->conf->max_buffered / MESSAGES_BUFFERED_MIN;
	FILE *out;

	if (listener->max_message_size <= most ||
	    conf_is_refused(check->reader, own != NULL ? own : buffered))
		return;
	if (own != NULL) {
		conf_refusef(check->reader, own, "must be at most %zu, a "
		    "quarter of max_buffered (%zu)", most,
		    check->conf->max_buffered);
		return;
	}
	out = conf_refuse(check->reader, buffered);
	fprintf(out, "must be at least %zu, four times the max_message_size "
	    "of ", listener->max_message_size * MESSAGES_BUFFERED_MIN);
	conf_print_path(out, group);
	fprintf(out, " (%zu, its default)", listener->max_message_size);
	conf_complaint_end(check->reader);
}

static void
check_message_sizes(const struct check *check)
{
	const config_setting_t *buffered, *group;

	buffered = check_member(check->root, "max_buffered");
	if (buffered != NULL && conf_is_refused(check->reader, buffered))
		return;
	for (size_t i = 0; i < check->conf->nlisteners; i++) {
		group = check_element(check, "listeners", i);
		if (config_setting_is_group(group))
			check_message_size(check, group, buffered,
			    &check->conf->listeners[i]);
	}
}

/* With the built-in ones there may be one or two handlers too many. */
static void
check_handlers(const struct check *check)
{
	const config_setting_t *list = check_member(check->root, "handlers");
	size_t room = CONF_HANDLERS_MAX -
	    conf_handlers_count_builtin(check->conf);

	if (check->conf->nhandlers > room &&
	    !conf_is_refused(check->reader, list))
		conf_refusef(check->reader, list, "must be a list of at most "
		    "%zu groups beside the built-in handlers", room);
}

void
conf_check(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf)
{
	const struct check check = {
		.reader = reader, .root = root, .conf = conf,
	};

	check_message_sizes(&check);
	check_handlers(&check);
}

/* ---- warnings ---- */

static double
advise_seconds(unsigned ms)
{
	return (double)ms / 1000;
}

static void
advise_drain_spread(const struct check *check)
{
	const struct conf *conf = check->conf;
	const config_setting_t *spread, *timeout;

	spread = check_member(check->root, "drain_spread");
	timeout = check_member(check->root, "drain_timeout");
	if (conf->drain_spread_ms == 0 ||
	    conf->drain_spread_ms < conf->drain_timeout_ms)
		return;
	if (spread != NULL)
		conf_refusef(check->reader, spread, "no connection is closed "
		    "later than after drain_timeout (%g), so this should be "
		    "less", advise_seconds(conf->drain_timeout_ms));
	else if (timeout != NULL && conf->drain_timeout_ms > 0)
		conf_refusef(check->reader, timeout, "should be more than "
		    "drain_spread (%g, its default)",
		    advise_seconds(conf->drain_spread_ms));
}

static void
advise_tracing(const struct check *check)
{
	const config_setting_t *endpoint;

	endpoint = check_member(check_member(check->root, "tracing"),
	    "endpoint");
	if (*check->conf->tracing.endpoint != '\0' && endpoint != NULL &&
	    !check->conf->monitor.enabled)
		conf_refusef(check->reader, endpoint, "no spans are sent, as "
		    "monitor.enabled is false");
}

static void
advise_access_log(const struct check *check)
{
	const struct conf *conf = check->conf;
	const config_setting_t *file;

	file = check_member(check_member(check->root, "access_log"), "file");
	if (*conf->access_log.file == '\0' || file == NULL)
		return;
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i].protocol == CONF_PROTOCOL_HTTP)
			return;
	conf_refusef(check->reader, file, "it stays empty, as no listener has "
	    "the protocol \"http\"");
}

static void
advise_max_connections(const struct check *check,
    const config_setting_t *group, const struct conf_listener *listener)
{
	const config_setting_t *own = check_member(group, "max_connections");

	if (own != NULL &&
	    listener->max_connections > check->conf->max_connections)
		conf_refusef(check->reader, own, "is never reached, as the "
		    "global max_connections is %u",
		    check->conf->max_connections);
}

static bool
advise_has_tcp(const struct conf_listener *listener)
{
	for (size_t i = 0; i < listener->naddresses; i++)
		if (listener->addresses[i].addr.ss_family != AF_UNIX)
			return true;
	return false;
}

static void
advise_keepalive(const struct check *check, const config_setting_t *group,
    const struct conf_listener *listener)
{
	const config_setting_t *idle;

	idle = check_member(check_member(group, "keepalive"), "idle");
	if (idle == NULL || listener->keepalive.idle_s == 0)
		return;
	if (!advise_has_tcp(listener))
		conf_refusef(check->reader, idle,
		    "has no effect on unix sockets");
	else if (listener->idle_timeout_ms > 0 &&
	    listener->keepalive.idle_s * UINT64_C(1000) >=
	    listener->idle_timeout_ms)
		conf_refusef(check->reader, idle, "idle connections are closed "
		    "before they are probed, as idle_timeout is %g",
		    advise_seconds(listener->idle_timeout_ms));
}

static void
advise_http(const struct check *check, const config_setting_t *group,
    const struct conf_listener *listener)
{
	const config_setting_t *target, *rate, *handler;

	if (listener->protocol != CONF_PROTOCOL_HTTP)
		return;
	target = check_member(group, "max_target_size");
	if (target != NULL &&
	    listener->http.max_target_size >= listener->http.max_header_size)
		conf_refusef(check->reader, target, "is never reached, as "
		    "max_header_size is %zu", listener->http.max_header_size);
	rate = check_member(group, "min_body_rate");
	if (rate != NULL && listener->http.min_body_rate > 0 &&
	    listener->read_timeout_ms == 0)
		conf_refusef(check->reader, rate, "has no effect, as "
		    "read_timeout is 0");
	handler = check_member(group, "handler");
	if (handler != NULL && listener->http.nroutes > 0)
		conf_refusef(check->reader, handler, "has no effect, as there "
		    "are routes");
}

/* Returns true if there was something to say: once is enough. */
static bool
advise_request_timeout(const struct check *check, size_t i)
{
	const struct conf *conf = check->conf;
	const config_setting_t *own, *drain;

	if (conf->handlers[i].request_timeout_ms <= conf->drain_timeout_ms)
		return false;
	own = check_member(check_element(check, "handlers", i),
	    "request_timeout");
	drain = check_member(check->root, "drain_timeout");
	if (own == NULL && (drain == NULL || conf->drain_timeout_ms == 0))
		return false;
	if (own != NULL)
		conf_refusef(check->reader, own, "a request that takes longer "
		    "than drain_timeout (%g) has no reply when the server "
		    "stops", advise_seconds(conf->drain_timeout_ms));
	else
		conf_refusef(check->reader, drain, "a request that takes "
		    "longer has no reply when the server stops, and the "
		    "request_timeout of handler \"%s\" is %g",
		    conf->handlers[i].name,
		    advise_seconds(conf->handlers[i].request_timeout_ms));
	return true;
}

void
conf_advise(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf)
{
	const struct check check = {
		.reader = reader, .root = root, .conf = conf,
	};
	size_t i = 0;

	advise_drain_spread(&check);
	advise_tracing(&check);
	advise_access_log(&check);
	for (size_t j = 0; j < conf->nlisteners; j++) {
		const struct conf_listener *listener = &conf->listeners[j];
		const config_setting_t *group;

		group = check_element(&check, "listeners", j);
		advise_max_connections(&check, group, listener);
		advise_keepalive(&check, group, listener);
		advise_http(&check, group, listener);
	}
	while (i < conf->nhandlers && !advise_request_timeout(&check, i))
		i++;
}
