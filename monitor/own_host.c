/* SPDX-License-Identifier: ISC */
#include "monitor/own_host.h"

#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/http_head.h"

enum {
	HOST_MAX = 255,			/* longer names are none of ours */
};

/* The host without its port and brackets, as a string.  Returns false if it is too
 * long. */
static bool
copy_host(char host[HOST_MAX + 1], struct http_slice slice)
{
	const char *end;

	if (slice.len > 0 && *slice.bytes == '[') {
		slice.bytes++;
		end = memchr(slice.bytes, ']', slice.len - 1);
	} else
		end = memchr(slice.bytes, ':', slice.len);
	if (end != NULL)
		slice.len = (size_t)(end - slice.bytes);
	if (slice.len > HOST_MAX)
		return (false);
	memcpy(host, slice.bytes, slice.len);
	host[slice.len] = '\0';
	return (true);
}

/* An address of either family as one of IPv6. */
static bool
read_address(const char *host, struct in6_addr *address)
{
	char mapped[sizeof("::ffff:") + INET_ADDRSTRLEN] = "::ffff:";
	struct in_addr four;

	if (inet_pton(AF_INET6, host, address) == 1)
		return (true);
	if (inet_pton(AF_INET, host, &four) != 1)
		return (false);
	strcat(mapped, host);
	return (inet_pton(AF_INET6, mapped, address) == 1);
}

static bool
is_loopback(const struct in6_addr *address)
{
	return (IN6_IS_ADDR_LOOPBACK(address) ||
	    (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127));
}

static bool
is_local_address(const struct in6_addr *address, int fd)
{
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	char text[INET6_ADDRSTRLEN];
	struct in6_addr own;

	if (getsockname(fd, (struct sockaddr *)&local, &len) == -1)
		return (false);
	if (local.ss_family == AF_INET6)
		own = ((const struct sockaddr_in6 *)&local)->sin6_addr;
	else if (local.ss_family != AF_INET || inet_ntop(AF_INET,
	    &((const struct sockaddr_in *)&local)->sin_addr, text,
	    sizeof(text)) == NULL || !read_address(text, &own))
		return (false);
	return (memcmp(&own, address, sizeof(own)) == 0);
}

static bool
is_own_name(const char *name, const struct conf_monitor *conf)
{
	char own[HOST_MAX + 1] = "";

	if (strcasecmp(name, "localhost") == 0)
		return (true);
	for (size_t i = 0; conf->hosts != NULL && conf->hosts[i] != NULL; i++)
		if (strcasecmp(name, conf->hosts[i]) == 0)
			return (true);
	return (gethostname(own, sizeof(own) - 1) == 0 && *own != '\0' &&
	    strcasecmp(name, own) == 0);
}

bool
is_own_host(struct http_slice slice, int fd, const struct conf_monitor *conf)
{
	struct in6_addr address;
	char host[HOST_MAX + 1];

	if (!copy_host(host, slice))
		return (false);
	if (is_own_name(host, conf))
		return (true);
	return (read_address(host, &address) &&
	    (is_loopback(&address) || is_local_address(&address, fd)));
}
