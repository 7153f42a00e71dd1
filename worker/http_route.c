/* SPDX-License-Identifier: ISC */
/*
 * Which handler a request is for.
 *
 * Paths are compared as they are on the wire, byte by byte: nothing is decoded
 * or tidied up, so a route leads where its text says and nowhere else.  The
 * first that fits is taken.
 */
#include "worker/http_route.h"

#include <string.h>

#include "conf/conf.h"

static bool
fits_path(const struct conf_route *route, struct http_slice path)
{
	size_t len = strlen(route->path);

	if (path.len < len || memcmp(path.bytes, route->path, len) != 0)
		return (false);
	if (path.len == len)
		return (true);
	/* A prefix is of whole segments: /api leads to /api/x, not /apix. */
	return (route->match == CONF_MATCH_PREFIX &&
	    (route->path[len - 1] == '/' || path.bytes[len] == '/'));
}

static bool
is_method(struct http_slice method, const char *name)
{
	return (strlen(name) == method.len &&
	    memcmp(name, method.bytes, method.len) == 0);
}

static bool
has_all_methods(const struct conf_route *route)
{
	return (route->methods == NULL || route->methods[0] == NULL);
}

/* What serves GET serves HEAD: RFC 9110, 9.1. */
static bool
fits_method(const struct conf_route *route, const struct http_head *head)
{
	if (has_all_methods(route))
		return (true);
	for (size_t i = 0; route->methods[i] != NULL; i++)
		if (is_method(head->method, route->methods[i]) ||
		    (head->exchange.is_head &&
		    strcmp(route->methods[i], "GET") == 0))
			return (true);
	return (false);
}

/* Whether a word is in a list that has commas and blanks. */
static bool
is_listed(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at++)
		if ((at == list || at[-1] == ' ') &&
		    (at[len] == ',' || at[len] == '\0'))
			return (true);
	return (false);
}

/* One that there is no room for is left out. */
static void
allow_method(struct http_exchange *exchange, const char *method)
{
	size_t len = strlen(exchange->note), more;

	more = strlen(method) + (len > 0 ? 2 : 0);
	if (is_listed(exchange->note, method) ||
	    len + more >= sizeof(exchange->note))
		return;
	if (len > 0)
		memcpy(exchange->note + len, ", ", 2);
	memcpy(exchange->note + len + (len > 0 ? 2 : 0), method,
	    strlen(method) + 1);
}

static void
allow(struct http_exchange *exchange, const struct conf_route *route)
{
	for (size_t i = 0; route->methods[i] != NULL; i++) {
		allow_method(exchange, route->methods[i]);
		if (strcmp(route->methods[i], "GET") == 0)
			allow_method(exchange, "HEAD");
	}
}

/* The methods of all routes; those of one that has all are not listed. */
static void
allow_all(struct http_exchange *exchange, const struct conf_http *conf)
{
	exchange->status = HTTP_NO_CONTENT;
	for (size_t i = 0; i < conf->nroutes; i++) {
		if (has_all_methods(&conf->routes[i])) {
			exchange->note[0] = '\0';
			return;
		}
		allow(exchange, &conf->routes[i]);
	}
}

void
http_route(struct http_head *head, const struct conf_http *conf)
{
	struct http_exchange *exchange = &head->exchange;

	if (head->path.len == 1 && *head->path.bytes == '*') {
		allow_all(exchange, conf);
		return;
	}
	for (size_t i = 0; i < conf->nroutes; i++) {
		const struct conf_route *route = &conf->routes[i];

		if (!fits_path(route, head->path))
			continue;
		if (fits_method(route, head)) {
			head->route = route;
			exchange->status = 0;
			exchange->note[0] = '\0';
			return;
		}
		exchange->status = HTTP_405;
		allow(exchange, route);
	}
	if (conf->nroutes > 0 && exchange->status == 0)
		exchange->status = HTTP_404;
}
