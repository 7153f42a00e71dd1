/* SPDX-License-Identifier: ISC */
#include "master/address_lock.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	/* How often to look at a lock that is bound and does not listen: its
	 * owner is between the two, or gone. */
	LOOKS = 100,
	LOOK_NS = 1000000,
};

/* A path by its directory and name, as it can be written in many ways. */
static void
address_lock_name(const char *path, char *name, size_t size)
{
	char dir[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
	const char *slash = strrchr(path, '/'), *base = path;
	struct stat st = { .st_ino = 0 };
	size_t len, head, room;

	snprintf(dir, sizeof(dir), ".");
	if (slash != NULL) {
		base = slash + 1;
		snprintf(dir, sizeof(dir), "%.*s", (int)(base - path), path);
	}
	/* Where there is no directory nothing can be bound. */
	(void)stat(dir, &st);
	snprintf(name, size, "penstock %" PRIxMAX " %" PRIxMAX " ",
	    (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	/* Of a long one the end. */
	len = strlen(base);
	head = strlen(name);
	room = size - head - 1;
	if (len > room) {
		base += len - room;
		len = room;
	}
	memcpy(name + head, base, len + 1);
}

static void
name_address(const struct sockaddr_storage *addr, char *name, size_t size)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;
	char text[INET6_ADDRSTRLEN] = "";

	switch (addr->ss_family) {
	case AF_UNIX:
		address_lock_name(((const struct sockaddr_un *)addr)->sun_path,
		    name,
		    size);
		return;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(name, size, "penstock %s %u %u", text,
		    in6->sin6_scope_id, ntohs(in6->sin6_port));
		return;
	default:
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(name, size, "penstock %s %u", text,
		    ntohs(in->sin_port));
	}
}

static int
address_lock_socket(void)
{
	return (socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

enum look { FREE, OURS, FOREIGN };

/* Who has the lock. */
static enum look
address_look(const struct sockaddr_un *sun, socklen_t len, pid_t *rival)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(peer);
	enum look found = FREE;
	int fd;

	if ((fd = address_lock_socket()) == -1)
		return (FREE);
	if (connect(fd, (const void *)sun, len) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
		found = peer.uid == geteuid() || peer.uid == 0 ? OURS : FOREIGN;
		*rival = peer.pid;
	} else if (errno == EAGAIN)
		/* Somebody wants us to wait. */
		found = FOREIGN;
	close(fd);
	return (found);
}

int
address_lock(const struct sockaddr_storage *addr, pid_t *rival)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	enum look found = FREE;
	socklen_t len;
	int fd, saved;

	*rival = 0;
	if ((fd = address_lock_socket()) == -1)
		return (-1);
	/* The byte of 0 at the beginning makes it abstract. */
	name_address(addr, sun.sun_path + 1, sizeof(sun.sun_path) - 1);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
	    strlen(sun.sun_path + 1));
	for (int i = 0; i < LOOKS && found == FREE; i++) {
		if (bind(fd, (const void *)&sun, len) == 0) {
			if (listen(fd, SOMAXCONN) == 0)
				return (fd);
			goto fail;
		}
		if (errno != EADDRINUSE)
			goto fail;
		if ((found = address_look(&sun, len, rival)) == FREE)
			nanosleep(&pause, NULL);
	}
	/* The name is kept from us, but not by a server like this one: go on
	 * with a socket that locks nothing. */
	if (found != OURS)
		return (fd);
	errno = EADDRINUSE;
fail:
	saved = errno;
	close(fd);
	errno = saved;
	return (-1);
}
