/* SPDX-License-Identifier: ISC */
#include "master/executor_proc.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/escape.h"
#include "common/exec.h"
#include "common/fd.h"
#include "common/log.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/pause.h"
#include "master/program.h"

enum {
	/* A command that has lived this long has not failed to start. */
	MOMENT_MS = 200,
	/* An executor that has not said by then that it is ready is logged, and
	 * a later order does not wait for it any longer. */
	LATE_MS = 3000,
	/* And again after this time. */
	LATE_AGAIN_MS = 30000,
	/* After the end of its input, and after SIGTERM. */
	LEAVE_MS = 1000,
	/* After the end of its channel. */
	DIE_MS = 500,
	/* What a pipe to or from a command holds. */
	PIPE_BYTES = 262144,
};

static bool
executor_proc_is_module(const struct executor_proc *executor)
{
	return (executor->conf->type == CONF_HANDLER_MODULE);
}

/* Whether it says when it is ready. */
static bool
executor_proc_speaks(const struct executor_proc *executor)
{
	return (executor_proc_is_module(executor) || executor->conf->ready);
}

void
executor_proc_log(enum log_level level, enum log_event event,
    const struct executor_proc *executor, const char *key, const char *value)
{
	LOG_WITH(log_write, level, event,
	    F_STR("handler", executor->conf->name),
	    F_I64("child", executor->process.pid),
	    F_U64("executor", executor->id), F_STR(key, value));
}

/*
 * Reasons.
 */

/* Join two reasons, of which either may be empty. */
static void
executor_proc_join(struct executor_proc *executor, const char *first,
    const char *separator, const char *then)
{
	why_set(&executor->why, "%s%s%s", first,
	    *first != '\0' && *then != '\0' ? separator : "", then);
}

void
executor_proc_blame(struct executor_proc *executor, const char *what)
{
	executor_proc_join(executor, what, "; ", executor->why.text);
}

/* Why it died: what was said about it, and how it died. */
static void
executor_proc_explain(struct executor_proc *executor, int status)
{
	char how[PAUSE_HOW_MAX] = "";
	bool is_disowned = executor->state == EXECUTOR_DISOWNED;

	while (executor->process.channel != NULL &&
	    channel_catch_up(executor->process.channel))
		;
	stderr_line_close(&executor->errors);
	/* Of one that has hung up, its worker may know no more than that. */
	if (*executor->why.text != '\0' && !is_disowned &&
	    executor->state != EXECUTOR_HUNG_UP)
		return;
	/* That it was killed says nothing, if we killed it. */
	if (*executor->why.text == '\0' || !is_disowned ||
	    !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		describe_death(status, how);
	executor_proc_join(executor, executor->why.text, "; ", how);
	executor_proc_join(executor, executor->why.text, ": ",
	    executor->errors.last);
}

/*
 * Leaving.
 */

static void
executor_proc_close_work(struct executor_proc *executor)
{
	if (executor->requests != -1) {
		close(executor->requests);
		close(executor->work);
	} else if (executor->work != -1)
		fd_close_unread(executor->work);
	executor->work = executor->requests = -1;
}

/* Nobody waits for its word any more. */
static void
executor_proc_forget_word(struct executor_proc *executor)
{
	if (executor->word != NULL)
		event_free(executor->word);
	executor->word = NULL;
}

void
executor_proc_free(struct executor_proc *executor)
{
	int saved = errno;

	executor_proc_forget_word(executor);
	executor_proc_close_work(executor);
	stderr_line_close(&executor->errors);
	process_end(&executor->process);
	generation_release(executor->generation);
	free(executor);
	errno = saved;
}

void
executor_proc_see_off(struct executor_proc *executor)
{
	executor_proc_log(LOG_LEVEL_INFO, EVENT_EXECUTOR_EXIT, executor, "how",
	    executor->why.text);
	executor_proc_free(executor);
}

void
executor_proc_disown(struct executor_proc *executor)
{
	executor->state = EXECUTOR_DISOWNED;
	process_kill(&executor->process, SIGKILL);
}

void
executor_proc_expect_death(struct executor_proc *executor)
{
	if (executor->state == EXECUTOR_DISOWNED)
		return;
	executor->state = EXECUTOR_HUNG_UP;
	process_await(&executor->process, DIE_MS, "end");
}

void
executor_proc_leave(struct executor_proc *executor)
{
	executor->state = EXECUTOR_LEAVING;
	executor->worker = NULL;
	executor_proc_forget_word(executor);
	executor_proc_close_work(executor);
	process_await(&executor->process, LEAVE_MS, "exit");
}

void
executor_proc_keep(struct executor_proc *executor)
{
	executor->state = EXECUTOR_KEPT;
	executor->worker = NULL;
	executor_proc_log(LOG_LEVEL_INFO, EVENT_EXECUTOR_KEPT, executor, "",
	    NULL);
}

void
executor_proc_hurry(struct executor_proc *executor, uint64_t ms)
{
	process_kill(&executor->process, SIGTERM);
	executor->asked = true;
	process_await(&executor->process, ms, "exit");
}

bool
executor_proc_is_silent(const struct executor_proc *executor)
{
	struct pollfd ends[2] = {
		{ .fd = executor->work, .events = POLLIN },
		{ .fd = executor->requests },	/* -1 is passed over */
	};

	return (poll(ends, 2, 0) == 0);
}

/*
 * Getting ready.
 */

static void
executor_proc_get_ready(struct executor_proc *executor)
{
	executor_proc_forget_word(executor);
	executor->is_ready = true;
	executor->events->on_ready(executor);
}

/* The length of its first frame.  Returns 0 at the end of its output, or -1 with
 * errno: EAGAIN if the whole is not there yet. */
static ssize_t
executor_proc_read_word(const struct executor_proc *executor,
    uint8_t length[EXEC_LENGTH_LEN])
{
	struct pollfd end = { .fd = executor->work, .events = POLLIN };
	int unread = 0;

	(void)ioctl(executor->work, FIONREAD, &unread);
	if (unread >= EXEC_LENGTH_LEN)
		return (executor->requests == -1 ?
		    fd_receive(executor->work, length, EXEC_LENGTH_LEN) :
		    read(executor->work, length, EXEC_LENGTH_LEN));
	if (poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0)
		return (0);
	errno = EAGAIN;
	return (-1);
}

/* The first frame of a program that says when it is ready is an empty one. */
static void
executor_proc_on_word(evutil_socket_t fd, short what, void *arg)
{
	struct executor_proc *executor = arg;
	static const uint8_t empty[EXEC_LENGTH_LEN];
	uint8_t length[EXEC_LENGTH_LEN] = { 0 };
	char shown[4 * EXEC_LENGTH_LEN + 1];
	ssize_t n;

	(void)fd;
	(void)what;
	n = executor_proc_read_word(executor, length);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n > 0 && memcmp(length, empty, sizeof(length)) == 0) {
		executor_proc_get_ready(executor);
		return;
	}
	event_del(executor->word);
	/* It is about to die, and says why. */
	if (n == 0)
		return;
	if (n == -1)
		why_set(&executor->why, "its first frame came with a "
		    "descriptor");
	else
		why_set(&executor->why, "its first frame is not the empty one "
		    "of \"ready\": it begins '%s'", escape_bytes(shown,
		    sizeof(shown), length, (size_t)n));
	process_kill(&executor->process, SIGKILL);
}

static void
executor_proc_on_message(void *owner, struct ctl *msg)
{
	struct executor_proc *executor = owner;

	if (msg->header.type == CTL_READY &&
	    executor->state == EXECUTOR_STARTING)
		executor_proc_get_ready(executor);
	else if (msg->header.type == CTL_FAILED)
		why_set(&executor->why, "%.*s",
		    (int)sizeof(msg->failed.why) - 1, msg->failed.why);
}

static void
executor_proc_on_misconduct(void *owner, const char *why)
{
	struct executor_proc *executor = owner;

	(void)why;
	process_kill(&executor->process, SIGKILL);
}

static void
executor_proc_on_death(void *owner, int status)
{
	struct executor_proc *executor = owner;
	struct master *master = executor->process.master;

	executor_proc_explain(executor, status);
	executor->events->on_death(executor);
	master_changed(master);
}

/* Wait for the word that it is ready, if it is a program that says so. */
static int
executor_proc_listen_for_word(struct executor_proc *executor)
{
	if (executor_proc_is_module(executor) ||
	    !executor_proc_speaks(executor))
		return (0);
	executor->word = event_new(executor->process.master->base,
	    executor->work, EV_READ | EV_PERSIST, executor_proc_on_word,
	    executor);
	errno = ENOMEM;		/* libevent does not always say */
	return (executor->word == NULL ? -1 : event_add(executor->word, NULL));
}

/*
 * Birth.
 */

/* The pairs of descriptors of a new executor: [0] is ours, [1] the
 * executor's. */
struct pairs {
	int work[2];
	int requests[2];
	int errors[2];
};

static void
executor_proc_close_pairs(const struct pairs *pairs, int side)
{
	const int fds[] = {
		pairs->work[side], pairs->requests[side], pairs->errors[side],
	};

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] != -1)
			close(fds[i]);
}

/* Our end does not block. */
static int
executor_proc_open_pipe(int pair[2], bool we_write, int bytes)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1)
		return (-1);
	pair[0] = fds[we_write ? 1 : 0];
	pair[1] = fds[we_write ? 0 : 1];
	/* Only large messages need that; it fails where the pipes of a user
	 * that is not root have too much together: pipe(7),
	 * pipe-user-pages-soft. */
	if (bytes > 0)
		(void)fcntl(pair[0], F_SETPIPE_SZ, bytes);
	return (fcntl(pair[0], F_SETFL, O_NONBLOCK));
}

static int
executor_proc_open_socket(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    pair) == -1)
		return (-1);
	fd_refuse_rights(pair[0]);
	fd_refuse_rights(pair[1]);
	return (0);
}

/* A command gets pipes, over which no descriptors can be sent, and which it can
 * open by a name such as /dev/stdout.  A worker of the previous program takes
 * only one descriptor. */
static int
executor_proc_open_work(const struct executor_proc *executor,
    struct pairs *pairs)
{
	if (executor_proc_is_module(executor) ||
	    executor->work_speaks == CTL_PREVIOUS)
		return (executor_proc_open_socket(pairs->work));
	if (executor_proc_open_pipe(pairs->work, false, PIPE_BYTES) == -1)
		return (-1);
	return (executor_proc_open_pipe(pairs->requests, true, PIPE_BYTES));
}

static int
executor_proc_open_pairs(const struct executor_proc *executor,
    struct pairs *pairs)
{
	*pairs = (struct pairs){ { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (executor_proc_open_work(executor, pairs) == 0 &&
	    executor_proc_open_pipe(pairs->errors, false, 0) == 0)
		return (0);
	executor_proc_close_pairs(pairs, 0);
	executor_proc_close_pairs(pairs, 1);
	return (-1);
}

static void __attribute__((noreturn))
executor_proc_become(const struct executor_proc *executor,
    const struct pairs *pairs, int channel)
{
	const struct generation *generation = executor->generation;
	struct master *master = executor->process.master;
	const struct program_fds fds = {
		.work = pairs->work[1],
		.requests = pairs->requests[1],
		.stderr_pipe = pairs->errors[1],
		.channel = channel,
	};
	struct heritage heritage = {
		.speaks = master->upgrade.newborn_speaks,
		.work_speaks = executor->work_speaks,
		.slot = executor->worker->slot->number,
		.generation = generation->number,
		.conf = generation->conf,
		.slots = generation->slots,
		.handler = executor->handler,
	};

	if (!executor_proc_is_module(executor))
		program_exec(executor->conf, &generation->identity, &fds);
	/* The user's code must not write to the counters of others. */
	for (size_t i = 0; i < master->nslots; i++)
		counters_free(&master->counters[i]);
	status_free(&master->status);
	spans_free(&master->spans);
	heritage.threads = heritage_share(&heritage, executor->conf->threads);
	program_host(master->roles->executor, &heritage,
	    &generation->identity, &fds);
}

static void
executor_proc_start_patience(struct executor_proc *executor)
{
	executor->process.patience_ms = executor->process.born_ms +
	    (executor_proc_speaks(executor) ?
	    executor->conf->ready_timeout_ms : MOMENT_MS);
}

/* Of all processes of the handler, in whatever generation. */
static struct log_limit *
executor_proc_stderr_limit(const struct executor_proc *executor)
{
	const unsigned *numbers = executor->generation->handler_number;

	return (&executor->process.master->stderr_limits[
	    numbers[executor->handler]]);
}

static int
executor_proc_spawn(struct executor_proc *executor)
{
	struct process *process = &executor->process;
	struct pairs pairs;
	int channel = -1, saved;
	pid_t pid;

	if (executor_proc_open_pairs(executor, &pairs) == -1)
		return (-1);
	pid = process_fork(process, executor->generation->number,
	    executor_proc_is_module(executor) ? &channel : NULL,
	    process->master->upgrade.newborn_speaks);
	if (pid == 0)
		executor_proc_become(executor, &pairs, channel);
	saved = errno;
	executor_proc_close_pairs(&pairs, 1);
	if (pid == -1) {
		executor_proc_close_pairs(&pairs, 0);
		errno = saved;
		return (-1);
	}
	executor->work = pairs.work[0];
	executor->requests = pairs.requests[0];
	executor_proc_start_patience(executor);
	errno = saved;
	if ((process->channel != NULL || !executor_proc_is_module(executor)) &&
	    stderr_line_open(&executor->errors, process->master->base,
	    pairs.errors[0], executor->conf->name,
	    executor_proc_stderr_limit(executor), process->pid) == 0 &&
	    executor_proc_listen_for_word(executor) == 0)
		return (0);
	/* It is reaped as an executor that failed. */
	why_set(&executor->why, "the master cannot listen to it: %s",
	    strerror(errno));
	process_kill(process, SIGKILL);
	if (executor->errors.event == NULL)
		close(pairs.errors[0]);
	return (0);
}

static void
executor_proc_describe(struct executor_proc *executor, struct master *master,
    const struct executor_events *events)
{
	static const struct process_kind kind = {
		.on_message = executor_proc_on_message,
		.on_misconduct = executor_proc_on_misconduct,
		.on_death = executor_proc_on_death,
		.leads_group = true,
	};

	process_init(&executor->process, master, &kind, executor);
	executor->events = events;
	executor->conf = &executor->generation->conf->
	    handlers[executor->handler];
}

struct executor_proc *
executor_proc_new(struct worker_proc *worker, unsigned handler,
    const struct executor_events *events)
{
	struct master *master = worker->process.master;
	struct executor_proc *executor;

	if ((executor = calloc(1, sizeof(*executor))) == NULL)
		return (NULL);
	executor->worker = worker;
	executor->generation = generation_hold(worker->generation);
	executor->handler = handler;
	executor_proc_describe(executor, master, events);
	executor->id = ++master->executors;
	/* What the worker understands. */
	executor->work_speaks = process_speaks(&worker->process);
	executor->work = executor->requests = -1;
	if (executor_proc_spawn(executor) == -1) {
		executor_proc_free(executor);
		return (NULL);
	}
	executor_proc_log(LOG_LEVEL_INFO, EVENT_EXECUTOR_START, executor, "",
	    NULL);
	return (executor);
}

int
executor_proc_adopt(struct master *master, struct executor_proc *executor,
    const struct executor_events *events)
{
	struct process *process = &executor->process;

	executor_proc_describe(executor, master, events);
	if (process_adopt(process, executor->generation->number) == -1)
		return (-1);
	if (executor->errors.fd != -1 && stderr_line_resume(&executor->errors,
	    master->base, executor->conf->name,
	    executor_proc_stderr_limit(executor), process->pid) == -1)
		return (-1);
	if (executor->state != EXECUTOR_STARTING)
		return (0);
	executor_proc_start_patience(executor);
	return (executor_proc_listen_for_word(executor));
}

/*
 * Watching.
 */

bool
executor_proc_is_late(const struct executor_proc *executor, uint64_t now_ms)
{
	return (executor->state == EXECUTOR_STARTING &&
	    executor_proc_speaks(executor) &&
	    !executor->is_ready && *executor->why.text == '\0' &&
	    now_ms >= executor->process.born_ms + LATE_MS);
}

/* Once for all processes of the handler. */
static void
executor_proc_say_late(const struct executor_proc *executor, uint64_t now_ms)
{
	uint64_t *again_ms =
	    &executor->generation->late_again_ms[executor->handler];

	if (now_ms < *again_ms)
		return;
	*again_ms = now_ms + LATE_AGAIN_MS;
	LOG(WARN, EXECUTOR_WAITS, F_STR("handler", executor->conf->name),
	    F_I64("child", executor->process.pid),
	    F_U64("executor", executor->id),
	    F_STR("for", executor_proc_is_module(executor) ?
	    "the end of open()" : "READY"),
	    F_U64("alive_ms", now_ms - executor->process.born_ms),
	    F_U64("left_ms", executor->process.patience_ms - now_ms));
	notify_status("waits for handler %s to be ready", executor->conf->name);
}

/* Whether a process still runs our program, and not yet its own.  If /proc does
 * not say, it runs its own. */
static bool
executor_proc_is_to_begin(const struct executor_proc *executor)
{
	char path[32], ours[PATH_MAX], its[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe",
	    (int)executor->process.pid);
	n = readlink("/proc/self/exe", ours, sizeof(ours));
	return (n > 0 && readlink(path, its, sizeof(its)) == n &&
	    memcmp(ours, its, (size_t)n) == 0);
}

static void
executor_proc_watch_starting(struct executor_proc *executor, uint64_t now_ms)
{
	struct process *process = &executor->process;

	/* On a busy machine it may not have had its turn yet. */
	if (!executor_proc_speaks(executor) &&
	    executor_proc_is_to_begin(executor) && now_ms <
	    process->born_ms + executor->conf->ready_timeout_ms)
		process->patience_ms = now_ms + MOMENT_MS;
	if (now_ms < process->patience_ms) {
		if (executor_proc_is_late(executor, now_ms))
			executor_proc_say_late(executor, now_ms);
	} else if (!executor_proc_speaks(executor)) {
		executor_proc_get_ready(executor);
	} else {
		why_set(&executor->why, "it was not ready within %g s, its "
		    "ready_timeout",
		    executor->conf->ready_timeout_ms / 1000.0);
		process->patience_ms = now_ms + LEAVE_MS;
		process_kill(process, SIGKILL);
	}
}

void
executor_proc_watch(struct executor_proc *executor, uint64_t now_ms)
{
	struct process *process = &executor->process;

	switch (executor->state) {
	case EXECUTOR_STARTING:
		if (executor->is_ready)
			executor->events->on_ready(executor);
		else
			executor_proc_watch_starting(executor, now_ms);
		return;
	case EXECUTOR_HUNG_UP:
		if (now_ms < process->patience_ms)
			return;
		executor_proc_blame(executor, "it closed its channel");
		executor_proc_disown(executor);
		return;
	case EXECUTOR_LEAVING:
		if (now_ms < process->patience_ms)
			return;
		process_kill(process, executor->asked ? SIGKILL : SIGTERM);
		executor->asked = true;
		process_await(process, LEAVE_MS, "exit");
		return;
	case EXECUTOR_SERVING:
	case EXECUTOR_DISOWNED:
	case EXECUTOR_KEPT:
	case EXECUTOR_DEAD:
		return;
	}
}
