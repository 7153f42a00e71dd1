/* SPDX-License-Identifier: ISC */
/*
 * Warnings of a configuration without mistakes.
 *
 * Runs in the reader.  Each check is of one pair of keys, and warns of it where
 * the file sets one of the two: defaults do not contradict each other.
 */
#include "conf/conf_advice.h"

#include <sys/socket.h>

#include <inttypes.h>
#include <stdarg.h>

#include "conf/conf.h"
#include "conf/conf_complain.h"

/* One look at a configuration. */
struct advice {
	struct conf_complaints complaints;
	const config_setting_t *root;
	const struct conf *conf;
};

static const config_setting_t *
member(const config_setting_t *group, const char *name)
{
	return (group != NULL && config_setting_is_group(group) ?
	    config_setting_get_member(group, name) : NULL);
}

/* The group of one listener or handler. */
static const config_setting_t *
element(const struct advice *advice, const char *list, size_t i)
{
	return (config_setting_get_elem(member(advice->root, list),
	    (unsigned)i));
}

static void __attribute__((format(printf, 3, 4)))
warn(struct advice *advice, const config_setting_t *about, const char *fmt, ...)
{
	va_list ap;
	FILE *out = conf_refuse(&advice->complaints, about);

	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	conf_complaint_end(&advice->complaints);
}

static double
seconds(unsigned ms)
{
	return ((double)ms / 1000);
}

/* ---- global keys ---- */

static void
check_drain_spread(struct advice *advice)
{
	const struct conf *conf = advice->conf;
	const config_setting_t *spread = member(advice->root, "drain_spread");
	const config_setting_t *timeout = member(advice->root, "drain_timeout");

	if (conf->drain_spread_ms == 0 ||
	    conf->drain_spread_ms < conf->drain_timeout_ms)
		return;
	if (spread != NULL)
		warn(advice, spread, "no connection is closed later than after "
		    "drain_timeout (%g), so this should be less",
		    seconds(conf->drain_timeout_ms));
	else if (timeout != NULL && conf->drain_timeout_ms > 0)
		warn(advice, timeout, "should be more than drain_spread (%g, "
		    "its default)", seconds(conf->drain_spread_ms));
}

static void
check_tracing(struct advice *advice)
{
	const config_setting_t *endpoint;

	endpoint = member(member(advice->root, "tracing"), "endpoint");
	if (*advice->conf->tracing.endpoint != '\0' && endpoint != NULL &&
	    !advice->conf->monitor.enabled)
		warn(advice, endpoint, "no spans are sent, as monitor.enabled "
		    "is false");
}

static void
check_access_log(struct advice *advice)
{
	const struct conf *conf = advice->conf;
	const config_setting_t *file;

	file = member(member(advice->root, "access_log"), "file");
	if (*conf->access_log.file == '\0' || file == NULL)
		return;
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i].protocol == CONF_PROTOCOL_HTTP)
			return;
	warn(advice, file, "it stays empty, as no listener has the protocol "
	    "\"http\"");
}

/* ---- listeners ---- */

static void
check_max_connections(struct advice *advice, const config_setting_t *group,
    const struct conf_listener *listener)
{
	const config_setting_t *own = member(group, "max_connections");

	if (own != NULL &&
	    listener->max_connections > advice->conf->max_connections)
		warn(advice, own, "is never reached, as the global "
		    "max_connections is %u", advice->conf->max_connections);
}

static bool
has_tcp(const struct conf_listener *listener)
{
	for (size_t i = 0; i < listener->naddresses; i++)
		if (listener->addresses[i].addr.ss_family != AF_UNIX)
			return (true);
	return (false);
}

static void
check_keepalive(struct advice *advice, const config_setting_t *group,
    const struct conf_listener *listener)
{
	const config_setting_t *idle;

	idle = member(member(group, "keepalive"), "idle");
	if (idle == NULL || listener->keepalive.idle_s == 0)
		return;
	if (!has_tcp(listener))
		warn(advice, idle, "has no effect on unix sockets");
	else if (listener->idle_timeout_ms > 0 &&
	    listener->keepalive.idle_s * UINT64_C(1000) >=
	    listener->idle_timeout_ms)
		warn(advice, idle, "idle connections are closed before they "
		    "are probed, as idle_timeout is %g",
		    seconds(listener->idle_timeout_ms));
}

static void
check_http(struct advice *advice, const config_setting_t *group,
    const struct conf_listener *listener)
{
	const config_setting_t *target = member(group, "max_target_size");
	const config_setting_t *rate = member(group, "min_body_rate");
	const config_setting_t *handler = member(group, "handler");

	if (listener->protocol != CONF_PROTOCOL_HTTP)
		return;
	if (target != NULL &&
	    listener->http.max_target_size >= listener->http.max_header_size)
		warn(advice, target, "is never reached, as max_header_size is "
		    "%zu", listener->http.max_header_size);
	if (rate != NULL && listener->http.min_body_rate > 0 &&
	    listener->read_timeout_ms == 0)
		warn(advice, rate, "has no effect, as read_timeout is 0");
	if (handler != NULL && listener->http.nroutes > 0)
		warn(advice, handler, "has no effect, as there are routes");
}

/* ---- handlers ---- */

/* Only the first one that exceeds a drain_timeout is told of. */
static bool
check_request_timeout(struct advice *advice, size_t i)
{
	const struct conf *conf = advice->conf;
	const config_setting_t *own, *drain;

	if (conf->handlers[i].request_timeout_ms <= conf->drain_timeout_ms)
		return (false);
	own = member(element(advice, "handlers", i), "request_timeout");
	drain = member(advice->root, "drain_timeout");
	if (own == NULL && (drain == NULL || conf->drain_timeout_ms == 0))
		return (false);
	if (own != NULL)
		warn(advice, own, "a request that takes longer than "
		    "drain_timeout (%g) has no reply when the server stops",
		    seconds(conf->drain_timeout_ms));
	else
		warn(advice, drain, "a request that takes longer has no reply "
		    "when the server stops, and the request_timeout of handler "
		    "\"%s\" is %g", conf->handlers[i].name,
		    seconds(conf->handlers[i].request_timeout_ms));
	return (true);
}

/* ---- all ---- */

void
conf_advise(const struct conf_source *source, const config_setting_t *root,
    const struct conf *conf, struct conf_report *report)
{
	struct advice advice = {
		.complaints = { .source = source, .are_warnings = true },
		.root = root,
		.conf = conf,
	};

	check_drain_spread(&advice);
	check_tracing(&advice);
	check_access_log(&advice);
	for (size_t i = 0; i < conf->nlisteners; i++) {
		const struct conf_listener *listener = &conf->listeners[i];
		const config_setting_t *group = element(&advice, "listeners",
		    i);

		check_max_connections(&advice, group, listener);
		check_keepalive(&advice, group, listener);
		check_http(&advice, group, listener);
	}
	for (size_t i = 0; i < conf->nhandlers; i++)
		if (check_request_timeout(&advice, i))
			break;
	conf_complaints_report(&advice.complaints, report);
}
