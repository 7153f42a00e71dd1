/* SPDX-License-Identifier: ISC */
#include "common/fd.h"

#include <sys/time.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
fd_open_standard(void)
{
	int fd;

	/* open() returns the lowest number that is free. */
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

void
fd_redirect_to_null(int fd)
{
	int null;

	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		return;
	dup2(null, fd);
	close(null);
}

int
fd_replace(int number, int fd)
{
	if (number <= STDERR_FILENO || dup3(fd, number, O_CLOEXEC) == -1)
		return (fd);
	close(fd);
	return (number);
}

static int
fd_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return ((*x > *y) - (*x < *y));
}

void
fd_close_all_but(int *keep, size_t nkeep)
{
	unsigned next = STDERR_FILENO + 1;	/* the lowest not yet seen to */

	if (nkeep > 0)
		qsort(keep, nkeep, sizeof(*keep), fd_compare);
	for (size_t i = 0; i < nkeep; i++) {
		if (keep[i] < (int)next)
			continue;
		if (keep[i] > (int)next)
			close_range(next, (unsigned)keep[i] - 1, 0);
		next = (unsigned)keep[i] + 1;
	}
	close_range(next, UINT_MAX, 0);
}

void
fd_close_on_exec_but(int keep)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	int fd, flags;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		fd = atoi(entry->d_name);
		if (fd <= STDERR_FILENO || fd == keep || fd == dirfd(dir))
			continue;
		flags = fcntl(fd, F_GETFD);
		if (flags != -1 && (flags & FD_CLOEXEC) != 0)
			close(fd);
	}
	closedir(dir);
}

size_t
fd_take_rights(struct msghdr *hdr, int *fds, size_t max)
{
	struct cmsghdr *cmsg;
	size_t taken = 0, n;

	for (cmsg = CMSG_FIRSTHDR(hdr); cmsg != NULL;
	    cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > max - taken)
			n = max - taken;
		memcpy(fds + taken, CMSG_DATA(cmsg), n * sizeof(int));
		taken += n;
	}
	return (taken);
}

/*
 * Unwanted descriptors.
 */

/* From Linux 6.16 on; headers may be older.  Other architectures have another
 * number; there the kernel counts as an old one. */
#if !defined(SO_PASSRIGHTS) && (defined(__x86_64__) || defined(__i386__) || \
    defined(__aarch64__) || defined(__arm__) || defined(__riscv) ||	\
    defined(__powerpc__) || defined(__s390x__) || defined(__loongarch__))
#define SO_PASSRIGHTS 83
#endif

enum {
	/* A close that blocks is interrupted after this time, repeatedly. */
	BREAK_US = 1000,
	/* The interval of fd_break_waits(). */
	BREAK_ALWAYS_US = 100000,
};

bool
fd_is_local(int fd)
{
	int domain;
	socklen_t len = sizeof(domain);

	return (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	    domain == AF_UNIX);
}

void
fd_refuse_rights(int fd)
{
#ifdef SO_PASSRIGHTS
	const int off = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
#else
	(void)fd;
#endif
}

bool
fd_refuses_rights(int fd)
{
#ifdef SO_PASSRIGHTS
	int passes = 1;
	socklen_t len = sizeof(passes);

	return (getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &passes,
	    &len) == 0 && passes == 0);
#else
	(void)fd;
	return (false);
#endif
}

/* Peek: descriptors stay in the queue and are not closed.  Returns as recv(2)
 * does. */
static ssize_t
fd_look(int fd, void *bytes, size_t len, bool *rights)
{
	struct iovec iov = { .iov_base = bytes, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	do {
		n = recvmsg(fd, &hdr, MSG_PEEK | MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	*rights = n >= 0 && (hdr.msg_flags & MSG_CTRUNC) != 0;
	return (n);
}

ssize_t
fd_receive(int fd, void *bytes, size_t len)
{
	bool rights;
	ssize_t n;

	if ((n = fd_look(fd, bytes, len, &rights)) <= 0)
		return (n);
	if (rights) {
		errno = EBADMSG;
		return (-1);
	}
	/* Only these bytes: what follows was not checked. */
	do {
		n = recv(fd, bytes, (size_t)n, MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	return (n);
}

bool
fd_brings_rights(int fd)
{
	bool rights;

	(void)fd_look(fd, NULL, 0, &rights);
	return (rights);
}

static void
on_alarm(int number)
{
	(void)number;
}

/* The handler stays, because under valgrind the last signal comes late. */
static void
start_alarm(suseconds_t every_us)
{
	const struct sigaction action = {
		.sa_handler = on_alarm,
		.sa_flags = SA_RESTART,
	};
	const struct itimerval interval = {
		.it_interval.tv_usec = every_us,
		.it_value.tv_usec = every_us,
	};

	(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &interval, NULL);
}

void
fd_close_unread(int fd)
{
	static const struct itimerval never = { .it_value.tv_usec = 0 };

	/* A signal interrupts the close of each descriptor in the queue. */
	start_alarm(BREAK_US);
	close(fd);
	(void)setitimer(ITIMER_REAL, &never, NULL);
}

void
fd_break_waits(void)
{
	start_alarm(BREAK_ALWAYS_US);
}
