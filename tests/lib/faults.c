/* SPDX-License-Identifier: ISC */
/*
 * A library to preload: tests/lib/faults.h tells what for.
 *
 * Stands between the program and the C library.  Must not allocate, nor call
 * anything that does, once it is set up.
 */
#include "tests/lib/faults.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIPTORS = 65536 };

/* What glibc's malloc() is called by those who stand before it. */
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

void setproctitle(const char *, ...) __attribute__((format(printf, 1, 2)));

static struct faults *faults;		/* NULL: there are to be none */
static bool is_worker, is_ready, is_reader, is_old;
static pid_t master;			/* 0: this is not the master */
static uint32_t drawn;
static bool is_link[DESCRIPTORS];	/* between two workers */

static struct {
	ssize_t (*sendmsg)(int, const struct msghdr *, int);
	int (*socketpair)(int, int, int, int *);
	int (*pipe2)(int *, int);
	pid_t (*fork)(void);
	int (*kill)(pid_t, int);
	int (*execvp)(const char *, char *const *);
	struct passwd *(*getpwnam)(const char *);
	ssize_t (*recvmsg)(int, struct msghdr *, int);
	ssize_t (*pwrite)(int, const void *, size_t, off_t);
	ssize_t (*pread)(int, void *, size_t, off_t);
	int (*memfd_create)(const char *, unsigned);
	int (*accept4)(int, struct sockaddr *, socklen_t *, int);
	int (*fcntl)(int, int, ...);
	int (*close)(int);
	int (*epoll_wait)(int, struct epoll_event *, int, int);
	void (*setproctitle)(const char *, ...);
	int (*getsockopt)(int, int, int, void *, socklen_t *);
	int (*setsockopt)(int, int, int, const void *, socklen_t);
} real;

static void *
find(const char *name)
{
	return (dlsym(RTLD_NEXT, name));
}

static void
find_all(void)
{
	*(void **)&real.sendmsg = find("sendmsg");
	*(void **)&real.socketpair = find("socketpair");
	*(void **)&real.pipe2 = find("pipe2");
	*(void **)&real.fork = find("fork");
	*(void **)&real.kill = find("kill");
	*(void **)&real.execvp = find("execvp");
	*(void **)&real.getpwnam = find("getpwnam");
	*(void **)&real.recvmsg = find("recvmsg");
	*(void **)&real.pwrite = find("pwrite64");
	*(void **)&real.pread = find("pread64");
	*(void **)&real.memfd_create = find("memfd_create");
	*(void **)&real.accept4 = find("accept4");
	*(void **)&real.fcntl = find("fcntl64");
	*(void **)&real.close = find("close");
	*(void **)&real.epoll_wait = find("epoll_wait");
	*(void **)&real.setproctitle = find("setproctitle");
	*(void **)&real.getsockopt = find("getsockopt");
	*(void **)&real.setsockopt = find("setsockopt");
}

static void __attribute__((constructor))
set_up(void)
{
	const char *path = getenv(FAULTS_ENV);
	void *map;
	int fd;

	find_all();
	is_old = getenv(FAULTS_OLD_ENV) != NULL;
	if (path == NULL || (fd = open(path, O_RDWR | O_CLOEXEC)) == -1)
		return;
	map = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	if (map != MAP_FAILED)
		faults = map;
	real.close(fd);
}

static bool
take_one(uint32_t *from)
{
	uint32_t left = __atomic_load_n(from, __ATOMIC_RELAXED);

	while (left > 0)
		if (__atomic_compare_exchange_n(from, &left, left - 1,
		    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return (true);
	return (false);
}

/* Whether calls of this process may fail in this way now.  A child of the
 * master is no master. */
static bool
may_have(enum fault fault)
{
	if (fault >= FAULT_READER_MALLOC)
		return (is_reader);
	return (fault < FAULT_TELL ? is_ready :
	    master != 0 && getpid() == master);
}

/* Whether a call is to fail in this way. */
static bool
strikes(enum fault fault)
{
	if (faults == NULL ||
	    (__atomic_load_n(&faults->on, __ATOMIC_RELAXED) &
	    (1U << fault)) == 0 || !may_have(fault) ||
	    take_one(&faults->spared))
		return (false);
	if (drawn == 0)
		drawn = faults->seed + (uint32_t)getpid();
	drawn = drawn * 1664525 + 1013904223;
	if ((drawn >> 8) % faults->one_in != 0 ||
	    !take_one(&faults->left))
		return (false);
	__atomic_fetch_add(&faults->injected[fault], 1, __ATOMIC_RELAXED);
	return (true);
}

/* The same, with errno set. */
static bool
fails(enum fault fault, int error)
{
	if (!strikes(fault))
		return (false);
	errno = error;
	return (true);
}

/*
 * When and where.
 */

void
setproctitle(const char *fmt, ...)
{
	char title[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(title, sizeof(title), fmt, args);
	va_end(args);
	is_worker = strstr(title, " worker ") != NULL;
	is_reader = strstr(title, " conf reader") != NULL;
	master = strstr(title, " master ") != NULL ? getpid() : 0;
	/* A "-" says that nothing goes before it. */
	real.setproctitle("-%s", title + (*title == '-'));
}

/* A worker that waits for the first time has said that it is READY. */
int
epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
	is_ready = is_worker;
	return (real.epoll_wait(epoll, events, most, timeout));
}

static bool
is_seqpacket(int fd)
{
	socklen_t len = sizeof(int);
	int type = 0;

	return (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_SEQPACKET);
}

static bool
is_a_link(int fd)
{
	return (fd >= 0 && fd < DESCRIPTORS && is_link[fd]);
}

int
close(int fd)
{
	if (is_a_link(fd))
		is_link[fd] = false;
	return (real.close(fd));
}

/*
 * Kernels.
 */

enum { PASSRIGHTS = 83 };

static bool
is_unknown(int level, int option)
{
	if (!is_old || level != SOL_SOCKET || option != PASSRIGHTS)
		return (false);
	errno = ENOPROTOOPT;
	return (true);
}

int
getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	if (is_unknown(level, option))
		return (-1);
	return (real.getsockopt(fd, level, option, value, len));
}

int
setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	if (is_unknown(level, option))
		return (-1);
	return (real.setsockopt(fd, level, option, value, len));
}

/*
 * Signals.
 */

/* When a child has been reaped, its number may be that of another process. */
int
kill(pid_t pid, int number)
{
	pid_t child = pid < 0 ? -pid : pid;
	siginfo_t info;

	if (faults != NULL && number != 0 && child != getpid() &&
	    master == getpid()) {
		__atomic_fetch_add(&faults->signals, 1, __ATOMIC_RELAXED);
		if (child <= 1 || waitid(P_PID, (id_t)child, &info, WEXITED |
		    WNOHANG | WNOWAIT) == -1)
			__atomic_fetch_add(&faults->strays, 1,
			    __ATOMIC_RELAXED);
	}
	return (real.kill(pid, number));
}

/*
 * Links.
 */

static void
die_by(enum fault fault)
{
	if (strikes(fault))
		kill(getpid(), SIGKILL);
}

static bool
cannot_tell(int fd)
{
	static const int why[] = { EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS };
	static unsigned n;

	return (may_have(FAULT_TELL) && is_seqpacket(fd) &&
	    fails(FAULT_TELL, why[n++ % 4]));
}

ssize_t
sendmsg(int fd, const struct msghdr *hdr, int flags)
{
	ssize_t n;

	if (cannot_tell(fd))
		return (-1);
	if (is_a_link(fd) && (fails(FAULT_SEND_AGAIN, EAGAIN) ||
	    fails(FAULT_SEND_NOBUFS, ENOBUFS) ||
	    fails(FAULT_SEND_REFS, ETOOMANYREFS)))
		return (-1);
	n = real.sendmsg(fd, hdr, flags);
	if (n > 0 && is_a_link(fd))
		die_by(FAULT_DIE_SENT);
	return (n);
}

static struct cmsghdr *
find_fds(struct msghdr *hdr, size_t *n)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr);

	if (cmsg == NULL || cmsg->cmsg_level != SOL_SOCKET ||
	    cmsg->cmsg_type != SCM_RIGHTS)
		return (NULL);
	*n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	return (cmsg);
}

/* Let only the first ones of the descriptors have arrived. */
static void
cut(struct msghdr *hdr, struct cmsghdr *cmsg, size_t n)
{
	size_t kept = (drawn >> 16) % n;
	int fd;

	for (size_t i = kept; i < n; i++) {
		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
		real.close(fd);
	}
	cmsg->cmsg_len = CMSG_LEN(kept * sizeof(int));
	hdr->msg_controllen = kept > 0 ? cmsg->cmsg_len : 0;
	hdr->msg_flags |= MSG_CTRUNC;
}

ssize_t
recvmsg(int fd, struct msghdr *hdr, int flags)
{
	struct cmsghdr *cmsg;
	size_t nfds;
	ssize_t n;
	int link;

	if (is_a_link(fd) && (fails(FAULT_RECEIVE_AGAIN, EAGAIN) ||
	    fails(FAULT_RECEIVE_NOMEM, ENOMEM)))
		return (-1);
	n = real.recvmsg(fd, hdr, flags);
	if (n > 0 && is_a_link(fd))
		die_by(FAULT_DIE_RECEIVED);
	if (n <= 0 || (cmsg = find_fds(hdr, &nfds)) == NULL)
		return (n);
	if (is_a_link(fd)) {
		if (nfds > 0 && strikes(FAULT_RECEIVE_CUT))
			cut(hdr, cmsg, nfds);
	} else if (is_ready && nfds == 1) {
		memcpy(&link, CMSG_DATA(cmsg), sizeof(link));
		if (link < DESCRIPTORS)
			is_link[link] = is_seqpacket(link);
	}
	return (n);
}

int
memfd_create(const char *name, unsigned flags)
{
	return (fails(FAULT_MEMFD, EMFILE) ||
	    fails(FAULT_MASTER_FDS, EMFILE) ? -1 :
	    real.memfd_create(name, flags));
}

static size_t
shortened(size_t len)
{
	return (len > 1 && strikes(FAULT_SHORT) ? 1 + len / 3 : len);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
	if (fails(FAULT_NO_SPACE, ENOSPC) || fails(FAULT_SHORT, EINTR))
		return (-1);
	return (real.pwrite(fd, bytes, shortened(len), at));
}

ssize_t
pread64(int fd, void *bytes, size_t len, off_t at)
{
	if (fails(FAULT_SHORT, EINTR))
		return (-1);
	return (real.pread(fd, bytes, shortened(len), at));
}

/*
 * Everything else.
 */

struct passwd *
getpwnam(const char *name)
{
	while (faults != NULL && (__atomic_load_n(&faults->on,
	    __ATOMIC_RELAXED) & (1U << FAULT_NAMES)) != 0)
		pause();
	return (real.getpwnam(name));
}

int
execvp(const char *file, char *const args[])
{
	if (faults != NULL && (__atomic_load_n(&faults->on,
	    __ATOMIC_RELAXED) & (1U << FAULT_EXEC)) != 0)
		usleep(600000);
	return (real.execvp(file, args));
}

int
socketpair(int domain, int type, int protocol, int fds[2])
{
	return (fails(FAULT_MASTER_FDS, EMFILE) ? -1 :
	    real.socketpair(domain, type, protocol, fds));
}

int
pipe2(int fds[2], int flags)
{
	return (fails(FAULT_MASTER_FDS, EMFILE) ? -1 : real.pipe2(fds, flags));
}

pid_t
fork(void)
{
	return (fails(FAULT_FORK, EAGAIN) ? -1 : real.fork());
}

int
accept4(int fd, struct sockaddr *peer, socklen_t *len, int flags)
{
	return (fails(FAULT_ACCEPT, EMFILE) ? -1 :
	    real.accept4(fd, peer, len, flags));
}

int
fcntl64(int fd, int order, ...)
{
	va_list args;
	long arg;

	va_start(args, order);
	arg = va_arg(args, long);
	va_end(args);
	if (order == F_DUPFD_CLOEXEC && fails(FAULT_DUP, EMFILE))
		return (-1);
	return (real.fcntl(fd, order, arg));
}

static bool
lacks_memory(void)
{
	die_by(FAULT_READER_DIES);
	return (fails(FAULT_MALLOC, ENOMEM) ||
	    fails(FAULT_MASTER_MALLOC, ENOMEM) ||
	    fails(FAULT_READER_MALLOC, ENOMEM));
}

void *
malloc(size_t size)
{
	return (lacks_memory() ? NULL : __libc_malloc(size));
}

void *
calloc(size_t n, size_t size)
{
	return (lacks_memory() ? NULL : __libc_calloc(n, size));
}

void *
realloc(void *old, size_t size)
{
	return (lacks_memory() ? NULL : __libc_realloc(old, size));
}
