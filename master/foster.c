/* SPDX-License-Identifier: ISC */
#include "master/foster.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "master/master.h"

enum {
	LOOK_MS = 200,
	/* PIDFD_SIGNAL_PROCESS_GROUP, from Linux 6.9. */
	TO_GROUP = 1 << 2,
};

struct foster {
	TAILQ_ENTRY(foster) link;
	struct master *master;
	struct event *event;		/* owned, and with it the descriptor */
	pid_t pid;
};

static bool
is_own(pid_t pid)
{
	siginfo_t info;

	return (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG |
	    WNOWAIT) == 0);
}

static void
foster_free(struct foster *foster)
{
	int fd = event_get_fd(foster->event);

	TAILQ_REMOVE(&foster->master->fosters, foster, link);
	event_free(foster->event);
	if (fd != -1)
		close(fd);
	free(foster);
}

/* Its descriptor is readable: it has ended.  Or, where there is none, it is time
 * to look. */
static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct foster *foster = arg;
	struct master *master = foster->master;
	pid_t pid = foster->pid;

	(void)what;
	if (fd == -1 && (kill(pid, 0) == 0 || errno != ESRCH))
		return;
	if (fd != -1)
		crew_on_end(master, pid);
	foster_free(foster);
	process_reap(master, pid, DEATH_UNSEEN);
}

int
foster_watch(struct master *master, pid_t pid)
{
	const struct timeval interval = { .tv_usec = LOOK_MS * 1000 };
	struct foster *foster;
	int fd;

	if (is_own(pid))
		return (0);
	if ((foster = calloc(1, sizeof(*foster))) == NULL)
		return (-1);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	foster->master = master;
	foster->pid = pid;
	foster->event = event_new(master->base, fd, fd == -1 ? EV_PERSIST :
	    EV_READ, on_event, foster);
	if (foster->event == NULL || event_add(foster->event,
	    fd == -1 ? &interval : NULL) == -1) {
		if (foster->event != NULL)
			event_free(foster->event);
		if (fd != -1)
			close(fd);
		free(foster);
		errno = ENOMEM;
		return (-1);
	}
	TAILQ_INSERT_TAIL(&master->fosters, foster, link);
	return (0);
}

/* The descriptor of a foster; -1 if it has none, or is none. */
static int
find_fd(const struct master *master, pid_t pid)
{
	const struct foster *foster;

	TAILQ_FOREACH(foster, &master->fosters, link)
		if (foster->pid == pid)
			return (event_get_fd(foster->event));
	return (-1);
}

static int
send_by(int fd, int number, unsigned flags)
{
	return ((int)syscall(SYS_pidfd_send_signal, fd, number, NULL, flags));
}

int
foster_kill(const struct master *master, pid_t pid, int number)
{
	int fd = find_fd(master, pid);

	return (fd == -1 ? kill(pid, number) : send_by(fd, number, 0));
}

int
foster_kill_group(const struct master *master, pid_t pid, int number)
{
	int fd = find_fd(master, pid);

	if (fd == -1)
		return (kill(-pid, number));
	if (send_by(fd, number, TO_GROUP) == 0)
		return (0);
	if (errno != EINVAL)
		return (-1);
	/* An older kernel.  While it lives, the group is its own. */
	return (send_by(fd, 0, 0) == 0 ? kill(-pid, number) : -1);
}

bool
foster_any(const struct master *master)
{
	return (!TAILQ_EMPTY(&master->fosters));
}

void
fosters_free(struct master *master)
{
	struct foster *foster;

	while ((foster = TAILQ_FIRST(&master->fosters)) != NULL)
		foster_free(foster);
}
