/* SPDX-License-Identifier: ISC */
/*
 * One address of a listener, from the words of the configuration.
 *
 * Runs in the master.  Never asks a name server: a host name could mean another
 * address at every reload, and waiting for the answer would stop the master.
 */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_MAX = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE };

/* "host:port" or "[host]:port", taken apart. */
struct parts {
	char host[HOST_MAX];
	bool bracketed;
	const char *port_text;
	in_port_t port;			/* in network order */
};

static const char need_port[] = "have a port, as in \"127.0.0.1:9000\"";
static const char need_port_range[] = "have a port from 1 to 65535";
static const char need_host[] =
    "have an IP address before the port, or * for every address";
static const char need_ip[] =
    "have an IP address; host names are not looked up";
static const char need_ipv6[] = "have an IPv6 address in its brackets";
static const char need_brackets[] =
    "have its IPv6 address in brackets, as in \"[::1]:9000\"";
static const char need_no_mapping[] =
    "have an IPv4 address written as such, as in \"127.0.0.1:9000\"";
static const char need_interface[] =
    "name an interface of this host after the %";
static const char need_scope[] =
    "name the interface of a link-local address, as in \"[fe80::1%eth0]:9000\"";
static const char need_no_scope[] =
    "have no % and interface, as it is no link-local address";
static const char need_scheme[] = "begin with \"unix:\" if it is a path";
static const char need_path[] = "have a path after \"unix:\"";
static const char need_short_path[] = "have a path of at most 107 bytes";
static const char need_real_path[] =
    "have a path in the file system: abstract names are not supported";

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == 108,
    "need_short_path tells the size of sun_path");

/* ---- unix ---- */

static const char *
parse_path(const char *path, struct conf_address *into)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	if (len == 0)
		return need_path;
	if (path[0] == '@')
		return need_real_path;
	if (len >= sizeof(sun.sun_path))
		return need_short_path;
	memcpy(sun.sun_path, path, len);
	memcpy(&into->addr, &sun, sizeof(sun));
	into->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    len + 1);
	snprintf(into->text, sizeof(into->text), "unix:%s", path);
	return NULL;
}

/* ---- IP ---- */

static bool
looks_like_ipv6(const char *text)
{
	return text[strspn(text, "0123456789abcdefABCDEF:.")] == '\0';
}

/* Find the end of the host, and the colon before the port. */
static const char *
find_colon(const char *text, const char **end_of_host, const char **colon)
{
	if (text[0] == '[') {
		*end_of_host = strchr(text, ']');
		if (*end_of_host == NULL)
			return need_brackets;
		*colon = *end_of_host + 1;
		return **colon == ':' ? NULL : need_port;
	}
	*end_of_host = *colon = strrchr(text, ':');
	if (*colon == NULL)
		return need_port;
	if (strchr(text, ':') == *colon)
		return NULL;
	return looks_like_ipv6(text) ? need_brackets : need_ip;
}

static const char *
split(const char *text, struct parts *parts)
{
	const char *host, *end, *colon, *must;
	size_t len;

	if ((must = find_colon(text, &end, &colon)) != NULL)
		return must;
	parts->bracketed = text[0] == '[';
	parts->port_text = colon + 1;
	host = text + parts->bracketed;
	len = (size_t)(end - host);
	if (len == 0)
		return need_host;
	if (len >= sizeof(parts->host))
		return need_ip;
	memcpy(parts->host, host, len);
	parts->host[len] = '\0';
	return NULL;
}

static const char *
parse_port(struct parts *parts)
{
	size_t digits = strspn(parts->port_text, "0123456789");
	unsigned long port;

	if (digits == 0 || digits > 5 || parts->port_text[digits] != '\0')
		return need_port_range;
	port = strtoul(parts->port_text, NULL, 10);
	if (port < 1 || port > 65535)
		return need_port_range;
	parts->port = htons((in_port_t)port);
	return NULL;
}

static void
set_ipv4(struct conf_address *into, struct in_addr host, in_port_t port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_addr = host, .sin_port = port,
	};
	char name[INET_ADDRSTRLEN];

	memcpy(&into->addr, &sin, sizeof(sin));
	into->len = sizeof(sin);
	inet_ntop(AF_INET, &host, name, sizeof(name));
	snprintf(into->text, sizeof(into->text), "%s:%u", name, ntohs(port));
}

static void
set_ipv6(struct conf_address *into, struct in6_addr host, uint32_t scope,
    in_port_t port)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_addr = host,
		.sin6_scope_id = scope, .sin6_port = port,
	};
	char name[INET6_ADDRSTRLEN], link[IF_NAMESIZE] = "";

	memcpy(&into->addr, &sin6, sizeof(sin6));
	into->len = sizeof(sin6);
	inet_ntop(AF_INET6, &host, name, sizeof(name));
	if (scope != 0 && if_indextoname(scope, link) == NULL)
		snprintf(link, sizeof(link), "%u", scope);
	snprintf(into->text, sizeof(into->text), "[%s%s%s]:%u", name,
	    scope != 0 ? "%" : "", link, ntohs(port));
}

static const char *
parse_ipv4(const struct parts *parts, struct conf_address *into)
{
	struct in_addr host;

	if (inet_pton(AF_INET, parts->host, &host) != 1)
		return need_ip;
	set_ipv4(into, host, parts->port);
	return NULL;
}

/* Why getaddrinfo() will not have a host that stood in brackets. */
static const char *
diagnose_ipv6(const char *host)
{
	struct in6_addr addr;
	char plain[HOST_MAX];

	snprintf(plain, sizeof(plain), "%s", host);
	plain[strcspn(plain, "%")] = '\0';
	if (inet_pton(AF_INET6, plain, &addr) != 1)
		return need_ipv6;
	return IN6_IS_ADDR_LINKLOCAL(&addr) ? need_interface : need_no_scope;
}

static const char *
parse_ipv6(const struct parts *parts, struct conf_address *into)
{
	static const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST,
		.ai_family = AF_INET6,
		.ai_socktype = SOCK_STREAM,
	};
	struct sockaddr_in6 sin6;
	struct addrinfo *info;

	/* It knows of scopes, which inet_pton() does not. */
	if (getaddrinfo(parts->host, NULL, &hints, &info) != 0)
		return diagnose_ipv6(parts->host);
	memcpy(&sin6, info->ai_addr, sizeof(sin6));
	freeaddrinfo(info);
	if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr))
		return need_no_mapping;
	if (IN6_IS_ADDR_LINKLOCAL(&sin6.sin6_addr)) {
		if (sin6.sin6_scope_id == 0)
			return need_scope;
	} else if (sin6.sin6_scope_id != 0) {
		return need_no_scope;
	}
	set_ipv6(into, sin6.sin6_addr, sin6.sin6_scope_id, parts->port);
	return NULL;
}

static void
set_wildcard(struct conf_address into[2], in_port_t port)
{
	set_ipv4(&into[0], (struct in_addr){ htonl(INADDR_ANY) }, port);
	set_ipv6(&into[1], in6addr_any, 0, port);
	into[0].from_wildcard = into[1].from_wildcard = true;
}

/* ---- any ---- */

static const char *
parse_host_and_port(const char *text, struct conf_address into[2])
{
	struct parts parts;
	const char *must;

	if (text[0] == '/' || text[0] == '.')
		return need_scheme;
	if ((must = split(text, &parts)) != NULL ||
	    (must = parse_port(&parts)) != NULL)
		return must;
	if (parts.bracketed)
		return parse_ipv6(&parts, into);
	if (strcmp(parts.host, "*") != 0)
		return parse_ipv4(&parts, into);
	set_wildcard(into, parts.port);
	return NULL;
}

size_t
conf_addr_parse(const char *text, struct conf_address into[2],
    const char **must)
{
	static const char scheme[] = "unix:";

	/* Zeroed whole, padding too: addresses are compared as bytes. */
	memset(into, 0, 2 * sizeof(*into));
	if (strncmp(text, scheme, strlen(scheme)) == 0)
		*must = parse_path(text + strlen(scheme), into);
	else
		*must = parse_host_and_port(text, into);
	if (*must != NULL)
		return 0;
	return into[1].len == 0 ? 1 : 2;
}

bool
conf_endpoint_parse(const char *url, struct conf_address *address,
    const char **path)
{
	static const char scheme[] = "http://";
	struct conf_address parsed[2];
	const char *must;
	char host[64];
	size_t len;

	if (strncmp(url, scheme, strlen(scheme)) != 0)
		return false;
	url += strlen(scheme);
	len = strcspn(url, "/");
	if (url[len] != '/' || len >= sizeof(host))
		return false;
	*path = url + len;
	/* As it stands in a request. */
	for (const char *c = *path; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '#')
			return false;
	memcpy(host, url, len);
	host[len] = '\0';
	if (conf_addr_parse(host, parsed, &must) != 1 ||
	    parsed[0].addr.ss_family == AF_UNIX)
		return false;
	*address = parsed[0];
	return true;
}

bool
conf_addr_equal(const struct conf_address *a, const struct conf_address *b)
{
	return a->len == b->len && memcmp(&a->addr, &b->addr, a->len) == 0;
}

static bool
covers_path(const struct sockaddr_un *a, const struct sockaddr_un *b)
{
	return (strncmp(a->sun_path, b->sun_path, sizeof(a->sun_path)) == 0);
}

static bool
covers_in(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return (a->sin_port == b->sin_port &&
	    (a->sin_addr.s_addr == htonl(INADDR_ANY) ||
	    a->sin_addr.s_addr == b->sin_addr.s_addr));
}

static bool
covers_in6(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
	return (a->sin6_port == b->sin6_port &&
	    (IN6_IS_ADDR_UNSPECIFIED(&a->sin6_addr) ||
	    IN6_ARE_ADDR_EQUAL(&a->sin6_addr, &b->sin6_addr)));
}

bool
conf_addr_covers(const struct sockaddr_storage *a,
    const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return (false);
	switch (a->ss_family) {
	case AF_UNIX:
		return (covers_path((const void *)a, (const void *)b));
	case AF_INET:
		return (covers_in((const void *)a, (const void *)b));
	case AF_INET6:
		return (covers_in6((const void *)a, (const void *)b));
	}
	return (false);
}
