/* SPDX-License-Identifier: ISC */
#include "master/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

/* The address in NOTIFY_SOCKET: a path, or "@" and an abstract name.  Returns
 * its length, or 0 if there is none that could be used. */
static socklen_t
notify_find_manager(struct sockaddr_un *addr)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len;

	if (path == NULL || (*path != '/' && *path != '@'))
		return (0);
	if ((len = strlen(path)) >= sizeof(addr->sun_path))
		return (0);
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(addr->sun_path, path, len);
	if (*path == '@')
		addr->sun_path[0] = '\0';
	return ((socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static void
notify_send(const char *message)
{
	struct sockaddr_un addr;
	socklen_t len;
	int fd;

	if ((len = notify_find_manager(&addr)) == 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 || sendto(fd, message, strlen(message), MSG_NOSIGNAL,
	    (struct sockaddr *)&addr, len) == -1)
		LOG(WARN, NOTIFY_FAILED, F_ERRNO(errno));
	if (fd != -1)
		close(fd);
}

void
notify_ready(uint64_t generation, unsigned workers)
{
	char message[128];

	snprintf(message, sizeof(message),
	    "READY=1\nMAINPID=%ld\nSTATUS=generation %" PRIu64 ", %u worker%s",
	    (long)getpid(), generation, workers, workers == 1 ? "" : "s");
	notify_send(message);
}

void
notify_reloading(void)
{
	char message[128];

	/* The manager takes a READY=1 for ours only if it is younger than
	 * this. */
	snprintf(message, sizeof(message),
	    "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading",
	    clock_us());
	notify_send(message);
}

void
notify_stopping(void)
{
	notify_send("STOPPING=1\nSTATUS=draining");
}

void
notify_status(const char *fmt, ...)
{
	char message[256] = "STATUS=";
	size_t used = strlen(message);
	va_list args;

	va_start(args, fmt);
	vsnprintf(message + used, sizeof(message) - used, fmt, args);
	va_end(args);
	notify_send(message);
}
