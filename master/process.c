/* SPDX-License-Identifier: ISC */
#include "master/process.h"

#include <sys/wait.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "master/master.h"

/*
 * The channel.
 */

static void
on_message(struct ctl *msg, void *arg)
{
	struct process *process = arg;

	if (msg->header.generation != process->generation)
		process->kind->on_misconduct(process->owner,
		    "it sent another generation's number");
	else
		process->kind->on_message(process->owner, msg);
}

static void
on_channel_end(const char *why, void *arg)
{
	struct process *process = arg;

	channel_free(process->channel);
	process->channel = NULL;
	if (why != NULL)
		process->kind->on_misconduct(process->owner, why);
	else
		process->kind->on_hangup(process->owner);
}

static int
listen_to(struct process *process, int fd, unsigned speaks)
{
	static const struct channel_callbacks callbacks = {
		.on_message = on_message,
		.on_end = on_channel_end,
	};

	process->channel = channel_new(process->master->base, fd,
	    CTL_FROM_CHILD, speaks, &callbacks, process);
	return (process->channel == NULL ? -1 : 0);
}

int
process_tell(struct process *process, enum ctl_type type, const void *payload,
    const int fds[CTL_FDS_MAX])
{
	static const int none[CTL_FDS_MAX] = { -1, -1 };

	if (fds == NULL)
		fds = none;
	if (process->channel == NULL || channel_send_fds(process->channel,
	    type, process->generation, payload, fds) == 0)
		return (0);
	if (fds[0] != -1 && errno == EAGAIN)
		return (-1);
	/* If it has died, it will be reaped soon. */
	if (errno != EPIPE && errno != ECONNRESET)
		process->kind->on_misconduct(process->owner, errno == EAGAIN ?
		    "it does not read its orders" : strerror(errno));
	return (0);
}

/*
 * Birth.
 */

static void
list(struct process *process, pid_t pid, uint64_t generation)
{
	process->pid = pid;
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
	list(process, pid, generation);
	if (channel != NULL && listen_to(process, ends[0], speaks) == -1) {
		saved = errno;
		close(ends[0]);
		errno = saved;
	}
	return (pid);
}

int
process_adopt(struct process *process, uint64_t generation)
{
	list(process, process->pid, generation);
	if (process->fd != -1 &&
	    listen_to(process, process->fd, process->speaks) == -1)
		return (-1);
	process->fd = -1;
	return (0);
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

/*
 * Death.
 */

static bool
reap(struct master *master, pid_t pid, int status)
{
	struct process *process;

	TAILQ_FOREACH(process, &master->processes, link)
		if (process->pid == pid)
			break;
	if (process == NULL)
		return (false);
	TAILQ_REMOVE(&master->processes, process, link);
	process->kind->on_death(process->owner, status);
	return (true);
}

void
process_reap(struct master *master, pid_t pid, int status)
{
	if (!reap(master, pid, status) && !crew_reap(master, pid, status) &&
	    !keeper_reap(&master->keeper, pid))
		upgrade_reap(master, pid, status);
}

/* The next child that has ended, which is not reaped by that; 0 if there is
 * none. */
static pid_t
find_ended(void)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1)
		return (0);
	return (info.si_pid);
}

void
processes_reap(struct master *master)
{
	pid_t pid;
	int status;

	/* One signal can stand for several deaths. */
	while ((pid = find_ended()) > 0) {
		/* When it is reaped, the number of its group may be that of
		 * another one. */
		crew_on_end(master, pid);
		if (waitpid(pid, &status, WNOHANG) == pid)
			process_reap(master, pid, status);
	}
}
