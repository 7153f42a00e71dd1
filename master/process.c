/* SPDX-License-Identifier: ISC */
#include "master/process.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "master/master.h"
#include "master/signals.h"

enum {
	/* How often to look for a foster process without a descriptor. */
	PROCESS_LOOK_MS = 200,
	/* PIDFD_SIGNAL_PROCESS_GROUP, from Linux 6.9. */
	PROCESS_TO_GROUP = 1 << 2,
};

/*
 * The channel.
 */

static void
process_on_message(struct ctl *msg, void *arg)
{
	struct process *process = arg;

	if (msg->header.generation != process->generation)
		process->kind->on_misconduct(process->owner,
		    "it sent another generation's number");
	else
		process->kind->on_message(process->owner, msg);
}

static void
process_on_channel_end(const char *why, void *arg)
{
	struct process *process = arg;

	channel_free(process->channel);
	process->channel = NULL;
	if (why != NULL)
		process->kind->on_misconduct(process->owner, why);
	else if (process->kind->on_hangup != NULL)
		process->kind->on_hangup(process->owner);
}

static int
process_listen(struct process *process, int fd, unsigned speaks)
{
	static const struct channel_callbacks callbacks = {
		.on_message = process_on_message,
		.on_end = process_on_channel_end,
	};

	process->channel = channel_new(process->master->base, fd,
	    CTL_FROM_CHILD, speaks, &callbacks, process);
	return (process->channel == NULL ? -1 : 0);
}

int
process_pass(struct process *process, enum ctl_type type, const void *payload,
    int fd, int fd2)
{
	const int fds[CTL_FDS_MAX] = { fd, fd2 };

	if (process->channel == NULL || channel_send_fds(process->channel,
	    type, process->generation, payload, fds) == 0)
		return (0);
	if (fd != -1 && errno == EAGAIN)
		return (-1);
	/* If it has died, it will be reaped soon. */
	if (errno != EPIPE && errno != ECONNRESET)
		process->kind->on_misconduct(process->owner, errno == EAGAIN ?
		    "it does not read its orders" : strerror(errno));
	return (0);
}

void
process_tell(struct process *process, enum ctl_type type, const void *payload)
{
	(void)process_pass(process, type, payload, -1, -1);
}

void
process_hint(struct process *process, enum ctl_type type, const void *payload)
{
	struct pollfd room = { .events = POLLOUT };

	if (process->channel == NULL)
		return;
	room.fd = channel_fd(process->channel);
	/* So it polls while no more than a quarter of it is full. */
	if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0)
		process_tell(process, type, payload);
}

bool
process_has_room(const struct process *process)
{
	return (process->channel == NULL || channel_has_room(process->channel));
}

unsigned
process_speaks(const struct process *process)
{
	return (process->channel == NULL ? CTL_PREVIOUS :
	    channel_speaks(process->channel));
}

void
process_use_log(struct process *process)
{
	const struct conf_log *conf = &process->master->running->conf->log;
	const struct ctl_log order = {
		.level = conf->level,
		.format = conf->format,
	};

	process->log_due = process_pass(process, CTL_LOG, &order, log_fd(),
	    -1) == -1;
}

void
processes_use_log(struct master *master)
{
	struct process *process;

	TAILQ_FOREACH(process, &master->processes, link)
		if (process->kind->writes_log)
			process_use_log(process);
}

void
processes_tick(struct master *master)
{
	struct process *process;

	TAILQ_FOREACH(process, &master->processes, link) {
		if (process->channel != NULL)
			(void)channel_flush(process->channel);
		if (process->log_due && process_has_room(process))
			process_use_log(process);
	}
}

/*
 * Signals.
 */

/* Send a signal to a process, or to the group that it leads.  The number of a
 * foster process can be another process's when we have not heard of its end yet:
 * the signal goes by the descriptor. */
static int
process_signal(const struct process *process, int number, bool to_group)
{
	int fd = process->end != NULL ? event_get_fd(process->end) : -1;

	if (fd == -1)
		return (kill(to_group ? -process->pid : process->pid, number));
	if (syscall(SYS_pidfd_send_signal, fd, number, NULL,
	    to_group ? PROCESS_TO_GROUP : 0) == 0)
		return (0);
	if (!to_group || errno != EINVAL)
		return (-1);
	/* An older kernel.  While it lives, the group is its own. */
	return (syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 ?
	    kill(-process->pid, number) : -1);
}

void
process_kill(const struct process *process, int number)
{
	if (!process->is_alive)
		return;
	/* Until it has made its own group, there is none. */
	if (!process->kind->leads_group ||
	    process_signal(process, number, true) == -1)
		(void)process_signal(process, number, false);
}

/* While it is not reaped, its number is its own, and that of its group. */
static void
process_end_group(const struct process *process)
{
	if (process->kind->leads_group)
		(void)process_signal(process, SIGKILL, true);
}

/*
 * Death.
 */

static void
process_unwatch(struct process *process)
{
	int fd;

	if (process->end == NULL)
		return;
	fd = event_get_fd(process->end);
	event_free(process->end);
	process->end = NULL;
	if (fd != -1)
		close(fd);
}

static void
process_bury(struct process *process, int status)
{
	process->is_alive = false;
	process_unwatch(process);
	process->kind->on_death(process->owner, status);
}

/* Its descriptor is readable: the foster process has ended.  Or, where there is
 * none, it is time to look. */
static void
process_on_end(evutil_socket_t fd, short what, void *arg)
{
	struct process *process = arg;

	(void)what;
	if (fd == -1 && (kill(process->pid, 0) == 0 || errno != ESRCH))
		return;
	if (fd != -1)
		process_end_group(process);
	process_bury(process, DEATH_UNSEEN);
}

static int
process_watch(struct process *process)
{
	const struct timeval interval = { .tv_usec = PROCESS_LOOK_MS * 1000 };
	int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);

	process->end = event_new(process->master->base, fd, fd == -1 ?
	    EV_PERSIST : EV_READ, process_on_end, process);
	if (process->end != NULL &&
	    event_add(process->end, fd == -1 ? &interval : NULL) == 0)
		return (0);
	if (process->end != NULL)
		process_unwatch(process);
	else if (fd != -1)
		close(fd);
	errno = ENOMEM;
	return (-1);
}

bool
process_is_foster(const struct process *process)
{
	return (process->end != NULL);
}

bool
processes_have_foster(const struct master *master)
{
	const struct process *process;

	TAILQ_FOREACH(process, &master->processes, link)
		if (process_is_foster(process))
			break;
	return (process != NULL);
}

/* A child of ours that lives; NULL if it is none that we know. */
static struct process *
process_find(const struct master *master, pid_t pid)
{
	struct process *process;

	TAILQ_FOREACH(process, &master->processes, link)
		if (process->pid == pid && process->is_alive &&
		    process->end == NULL)
			break;
	return (process);
}

/* The next child that has ended, which is not reaped by that; 0 if there is
 * none. */
static pid_t
process_find_ended(void)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1)
		return (0);
	return (info.si_pid);
}

/* A process that is not known may have been cloned by one that has just said
 * so. */
static struct process *
processes_find_clone(struct master *master, pid_t pid)
{
	struct process *process, *next;

	for (process = TAILQ_FIRST(&master->processes); process != NULL;
	    process = next) {
		next = TAILQ_NEXT(process, link);
		if (process->kind->clones && process->channel != NULL)
			(void)channel_catch_up(process->channel);
	}
	return (process_find(master, pid));
}

void
processes_reap(struct master *master)
{
	struct process *process;
	pid_t pid;
	int status;

	/* One signal can stand for several deaths. */
	while ((pid = process_find_ended()) > 0) {
		if ((process = process_find(master, pid)) == NULL)
			process = processes_find_clone(master, pid);
		if (process != NULL)
			process_end_group(process);
		if (waitpid(pid, &status, WNOHANG) == pid && process != NULL)
			process_bury(process, status);
	}
}

/*
 * Birth.
 */

void
process_init(struct process *process, struct master *master,
    const struct process_kind *kind, void *owner)
{
	process->master = master;
	process->kind = kind;
	process->owner = owner;
}

/* A pid of 0 is not known yet. */
static void
process_list(struct process *process, pid_t pid, uint64_t generation)
{
	process->pid = pid;
	process->is_listed = true;
	process->is_alive = pid != 0;
	process->generation = generation;
	TAILQ_INSERT_TAIL(&process->master->processes, process, link);
}

pid_t
process_fork(struct process *process, uint64_t generation, int *channel,
    unsigned speaks)
{
	int ends[2] = { -1, -1 }, saved;
	pid_t pid;

	if (channel != NULL && channel_pair(ends) == -1)
		return (-1);
	fflush(NULL);		/* or the child writes it once more */
	if ((pid = fork()) == 0) {
		if (channel != NULL)
			*channel = ends[1];
		return (0);
	}
	saved = errno;
	if (channel != NULL)
		close(ends[1]);
	if (pid == -1) {
		if (channel != NULL)
			close(ends[0]);
		errno = saved;
		return (-1);
	}
	process->born_ms = clock_ms();
	process->fd = -1;
	process_list(process, pid, generation);
	if (channel != NULL && process_listen(process, ends[0], speaks) == -1) {
		saved = errno;
		close(ends[0]);
		errno = saved;
	}
	return (pid);
}

static int
process_close_rest(const struct heritage *heritage)
{
	size_t n = 0;
	int *keep;

	keep = calloc(heritage->nsockets + heritage->ncounters + 4,
	    sizeof(*keep));
	if (keep == NULL)
		return (-1);
	for (size_t i = 0; i < heritage->nsockets; i++)
		keep[n++] = heritage->sockets[i].fd;
	for (size_t i = 0; i < heritage->ncounters; i++)
		keep[n++] = heritage->counters[i].fd;
	keep[n++] = heritage->channel;
	keep[n++] = heritage->access_log;
	keep[n++] = heritage->anchor;
	keep[n++] = log_fd();
	fd_close_all_but(keep, n);
	free(keep);
	return (0);
}

void
process_become(const struct master *master, const struct role *role,
    struct heritage *heritage, const struct identity *identity)
{
	int status;

	signals_reset_in_child();
	/* Whoever waits for the end of a daemon's output need not wait for
	 * us. */
	if (master->daemon_fd != -1 && !log_is_stderr())
		fd_redirect_to_null(STDERR_FILENO);
	if (process_close_rest(heritage) == -1 ||
	    privileges_drop(identity) == -1)
		return;
	status = role->main(heritage);
	free(heritage->sockets);
	free(heritage->ancestors);
	exit(status);
}

static bool
process_is_own_child(pid_t pid)
{
	siginfo_t info;

	return (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG |
	    WNOWAIT) == 0);
}

int
process_expect(struct process *process, uint64_t generation, int fd,
    unsigned speaks)
{
	process->born_ms = clock_ms();
	process->fd = -1;
	process_list(process, 0, generation);
	if (process_listen(process, fd, speaks) == 0)
		return (0);
	process_end(process);
	return (-1);
}

int
process_arrive(struct process *process, pid_t pid)
{
	if (pid <= 1 || process_find(process->master, pid) != NULL ||
	    !process_is_own_child(pid))
		return (-1);
	process->pid = pid;
	process->is_alive = true;
	process->born_ms = clock_ms();
	return (0);
}

int
process_adopt(struct process *process, uint64_t generation)
{
	process_list(process, process->pid, generation);
	if (process->fd != -1 &&
	    process_listen(process, process->fd, process->speaks) == -1)
		return (-1);
	process->fd = -1;
	/* If it has ended already, its last words are read first. */
	return (process_is_own_child(process->pid) ? 0 :
	    process_watch(process));
}

void
process_end(struct process *process)
{
	if (!process->is_listed)
		return;
	channel_free(process->channel);
	process->channel = NULL;
	process_unwatch(process);
	TAILQ_REMOVE(&process->master->processes, process, link);
	process->pid = 0;
	process->is_listed = process->is_alive = false;
}

/*
 * Time.
 */

void
process_await(struct process *process, uint64_t ms, const char *what)
{
	process->patience_ms = clock_ms() + ms;
	process->patience_for = what;
}

bool
process_is_late(const struct process *process, uint64_t now_ms)
{
	return (process->patience_ms != 0 && now_ms > process->patience_ms);
}

bool
process_is_hung(struct process *process, bool seems_hung)
{
	bool was_suspected = process->is_suspected;

	process->is_suspected = seems_hung;
	return (was_suspected && seems_hung);
}

void
processes_forgive(struct master *master, uint64_t stall_ms)
{
	struct process *process;

	TAILQ_FOREACH(process, &master->processes, link)
		if (process->patience_ms != 0)
			process->patience_ms += stall_ms;
}
