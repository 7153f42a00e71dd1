/* SPDX-License-Identifier: ISC */
#include "worker/anchor.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/fd.h"
#include "common/heritage.h"
#include "common/title.h"

enum {
	/* Descriptors of a worker that are no connections. */
	ANCHOR_OTHER_FDS = 1024,
};

/* A process that shares our table of descriptors and has a copy of our memory,
 * and our parent.  Returns as fork(2). */
static pid_t
anchor_clone(void)
{
	return ((pid_t)syscall(SYS_clone, CLONE_FILES | CLONE_PARENT | SIGCHLD,
	    NULL, NULL, NULL, NULL));
}

/* A table that is shared cannot grow without a wait for all CPUs, of up to 16
 * ms: so let it be as large as it will get before it is. */
static void
anchor_grow_table(uint32_t places)
{
	struct rlimit limit;
	rlim_t size = (rlim_t)places + ANCHOR_OTHER_FDS;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < size)
		size = limit.rlim_cur;
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)size - 1);
	if (fd != -1)
		close(fd);
}

/* Wait for an order.  Returns the descriptor that came with it, or -1 at the end
 * of the channel, or after nonsense.  A worker that has as many clients as it can
 * leaves no number free for that descriptor: the spare one is, once.  A rescuer
 * closes more than one. */
static int
anchor_await(int channel, int *spare)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	} control;
	struct ctl msg;
	struct iovec iov = { &msg, sizeof(msg) };
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct pollfd readable = { .fd = channel, .events = POLLIN };
	int fds[CTL_FDS_MAX] = { -1, -1 };
	size_t nfds;
	ssize_t n;

	(void)poll(&readable, 1, -1);
	if (*spare != -1)
		close(*spare);
	*spare = -1;
	n = recvmsg(channel, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	nfds = n == -1 ? 0 : fd_take_rights(&hdr, fds, CTL_FDS_MAX);
	if (n > 0 && nfds == 1 &&
	    ctl_check(&msg, (size_t)n, CTL_FROM_MASTER) == NULL &&
	    msg.header.type == CTL_RESCUE)
		return (fds[0]);
	return (-1);
}

static void
anchor_answer(const struct heritage *heritage, pid_t pid)
{
	struct ctl msg = {
		.header = {
			.version = CTL_VERSION,
			.type = CTL_RESCUER,
			.length = sizeof(msg.cloned),
			.generation = heritage->generation,
		},
		.cloned = {
			.pid = pid == -1 ? 0 : pid,
			.error = pid == -1 ? errno : 0,
		},
	};

	(void)send(heritage->anchor, &msg,
	    sizeof(msg.header) + sizeof(msg.cloned), MSG_NOSIGNAL);
}

/* Returns in a rescuer, and nowhere else.  Both say that there is one, as either
 * can die first. */
static void
anchor_run(struct heritage *heritage)
{
	int spare = fcntl(heritage->anchor, F_DUPFD_CLOEXEC, 0), fd;
	pid_t pid;

	while ((fd = anchor_await(heritage->anchor, &spare)) != -1) {
		FAULT("anchor_asked");
		if ((pid = anchor_clone()) == 0) {
			anchor_answer(heritage, getpid());
			heritage->channel = fd;
			return;
		}
		FAULT("anchor_cloned");
		/* The rescuer closes it: for both of us. */
		if (pid == -1)
			close(fd);
		anchor_answer(heritage, pid);
	}
	_exit(EXIT_SUCCESS);
}

/* It emulates clone(2), but not like this. */
static bool
anchor_is_under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return (preloaded != NULL &&
	    strstr(preloaded, "/vgpreload_") != NULL);
}

bool
anchor_start(struct heritage *heritage, uint32_t places,
    struct ctl_cloned *cloned)
{
	sigset_t all, before;
	pid_t pid = -1;

	anchor_grow_table(places);
	/* The worker changes its own when it has an anchor: nobody who looks
	 * takes an anchor for a worker. */
	title_set("anchor slot=%u gen=%" PRIu64, heritage->slot,
	    heritage->generation);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	errno = ENOSYS;
	if (!anchor_is_under_valgrind() && (pid = anchor_clone()) == 0)
		anchor_run(heritage);
	*cloned = (struct ctl_cloned){
		.pid = pid == -1 ? 0 : pid,
		.error = pid == -1 ? errno : 0,
	};
	sigprocmask(SIG_SETMASK, &before, NULL);
	return (pid == 0);
}
