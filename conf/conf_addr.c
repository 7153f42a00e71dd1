/* SPDX-License-Identifier: ISC */
/*
 * One address of a listener, from the words of the configuration.
 *
 * Runs in every process.  Never asks a name server: a host name could mean
 * another address at every reload, and waiting for the answer would stop the
 * master.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

enum { HOST_MAX = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE };

static const char need_port[] = "have a port, as in \"127.0.0.1:9000\"";
static const char need_ip[] =
    "have an IP address; host names are not looked up";
static const char need_brackets[] =
    "have its IPv6 address in brackets, as in \"[::1]:9000\"";
static const char need_no_scope[] =
    "have no % and interface, as it is no link-local address";

/* ---- unix ---- */

static const char *
addr_parse_path(const char *path, struct conf_address *into)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	_Static_assert(sizeof(sun.sun_path) == 108, "see below");
	if (len == 0)
		return "have a path after \"unix:\"";
	if (path[0] == '@')
		return "have a path in the file system: abstract names are "
		    "not supported";
	if (len >= sizeof(sun.sun_path))
		return "have a path of at most 107 bytes";
	memcpy(sun.sun_path, path, len);
	memcpy(&into->addr, &sun, sizeof(sun));
	into->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    len + 1);
	snprintf(into->text, sizeof(into->text), "unix:%s", path);
	return NULL;
}

/* ---- IP ---- */

/* Find the end of the host, and the colon before the port. */
static const char *
addr_find_colon(const char *text, const char **end_of_host, const char **colon)
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
	return text[strspn(text, "0123456789abcdefABCDEF:.")] == '\0' ?
	    need_brackets : need_ip;
}

/* Copy the host, without brackets, and find the port. */
static const char *
addr_split(const char *text, char host[HOST_MAX], const char **port)
{
	const char *end, *colon, *must;
	size_t len;

	if ((must = addr_find_colon(text, &end, &colon)) != NULL)
		return must;
	text += *text == '[';
	len = (size_t)(end - text);
	if (len == 0)
		return "have an IP address before the port, or * for every "
		    "address";
	if (len >= HOST_MAX)
		return need_ip;
	memcpy(host, text, len);
	host[len] = '\0';
	*port = colon + 1;
	len = strspn(*port, "0123456789");
	if (len == 0 || len > 5 || (*port)[len] != '\0' ||
	    atoi(*port) < 1 || atoi(*port) > 65535)
		return "have a port from 1 to 65535";
	return NULL;
}

/* Returns false if it is no numeric address of that family. */
static bool
addr_set(struct conf_address *into, int family, const char *host,
    const char *port)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *info;
	char name[HOST_MAX], number[8];
	int error = getaddrinfo(host, port, &hints, &info);

	if (error != 0) {
		errno = error == EAI_MEMORY ? ENOMEM : EINVAL;
		return false;
	}
	memcpy(&into->addr, info->ai_addr, info->ai_addrlen);
	into->len = info->ai_addrlen;
	freeaddrinfo(info);
	(void)getnameinfo((struct sockaddr *)&into->addr, into->len, name,
	    sizeof(name), number, sizeof(number),
	    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(into->text, sizeof(into->text),
	    family == AF_INET6 ? "[%s]:%s" : "%s:%s", name, number);
	return true;
}

/* Why a host that stood in brackets is no address. */
static const char *
addr_diagnose_ipv6(char *host)
{
	struct in6_addr addr;

	host[strcspn(host, "%")] = '\0';
	if (inet_pton(AF_INET6, host, &addr) != 1)
		return "have an IPv6 address in its brackets";
	return IN6_IS_ADDR_LINKLOCAL(&addr) ?
	    "name an interface of this host after the %" : need_no_scope;
}

static const char *
addr_parse_ipv6(char *host, const char *port, struct conf_address *into)
{
	struct sockaddr_in6 sin6;

	/* A "*" is every address to getaddrinfo() too. */
	if (*host == '*' || !addr_set(into, AF_INET6, host, port))
		return addr_diagnose_ipv6(host);
	memcpy(&sin6, &into->addr, sizeof(sin6));
	if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr))
		return "have an IPv4 address written as such, as in "
		    "\"127.0.0.1:9000\"";
	if (!IN6_IS_ADDR_LINKLOCAL(&sin6.sin6_addr))
		return sin6.sin6_scope_id == 0 ? NULL : need_no_scope;
	return sin6.sin6_scope_id != 0 ? NULL : "name the interface of a "
	    "link-local address, as in \"[fe80::1%eth0]:9000\"";
}

static const char *
addr_parse_ip(const char *text, struct conf_address into[2])
{
	struct in_addr ipv4;
	char host[HOST_MAX];
	const char *port, *must;

	if (text[0] == '/' || text[0] == '.')
		return "begin with \"unix:\" if it is a path";
	if ((must = addr_split(text, host, &port)) != NULL)
		return must;
	if (text[0] == '[')
		return addr_parse_ipv6(host, port, into);
	if (strcmp(host, "*") == 0) {
		into[0].from_wildcard = addr_set(&into[0], AF_INET, "0.0.0.0",
		    port);
		into[1].from_wildcard = addr_set(&into[1], AF_INET6, "::",
		    port);
		return NULL;
	}
	/* getaddrinfo() also takes "127.1" and octal numbers. */
	return inet_pton(AF_INET, host, &ipv4) == 1 &&
	    addr_set(into, AF_INET, host, port) ? NULL : need_ip;
}

/* ---- any ---- */

size_t
conf_addr_parse(const char *text, struct conf_address into[2],
    const char **must)
{
	static const char scheme[] = "unix:";

	errno = 0;
	/* Zeroed whole, padding too: addresses are compared as bytes. */
	memset(into, 0, 2 * sizeof(*into));
	if (strncmp(text, scheme, strlen(scheme)) == 0)
		*must = addr_parse_path(text + strlen(scheme), into);
	else
		*must = addr_parse_ip(text, into);
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

	errno = 0;
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

bool
conf_addr_covers(const struct sockaddr_storage *a,
    const struct sockaddr_storage *b)
{
	const struct sockaddr_un *una = (const void *)a, *unb = (const void *)b;
	const struct sockaddr_in *ina = (const void *)a, *inb = (const void *)b;
	const struct sockaddr_in6 *in6a = (const void *)a;
	const struct sockaddr_in6 *in6b = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	switch (a->ss_family) {
	case AF_UNIX:
		return strncmp(una->sun_path, unb->sun_path,
		    sizeof(una->sun_path)) == 0;
	case AF_INET:
		return ina->sin_port == inb->sin_port &&
		    (ina->sin_addr.s_addr == htonl(INADDR_ANY) ||
		    ina->sin_addr.s_addr == inb->sin_addr.s_addr);
	case AF_INET6:
		return in6a->sin6_port == in6b->sin6_port &&
		    (IN6_IS_ADDR_UNSPECIFIED(&in6a->sin6_addr) ||
		    IN6_ARE_ADDR_EQUAL(&in6a->sin6_addr, &in6b->sin6_addr));
	}
	return false;
}
