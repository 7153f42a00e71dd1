/* SPDX-License-Identifier: ISC */
#include "master/crew.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
	/* A command that has lived for so long has not failed to start. */
	MOMENT_MS = 200,
	/* An executor that has not said by then that it is ready is logged, and
	 * a later order does not wait for it any longer. */
	LATE_MS = 3000,
	/* And again after so long. */
	LATE_AGAIN_MS = 30000,
	/* After the end of its input, and after SIGTERM. */
	LEAVE_MS = 1000,
	/* When an executor has died, its worker has so long to say whether it
	 * had a message; and when its channel has ended, it has so long to
	 * die. */
	WORD_MS = 500,
	/* What a pipe to or from a command holds. */
	PIPE_BYTES = 262144,
};

static void executor_free(struct executor *);
static void pass_on(struct executor *);
static void see_off(struct executor *);
static void hire_again(struct worker_proc *, unsigned, uint64_t);

static bool
is_module(const struct executor *executor)
{
	return (executor->conf->type == CONF_HANDLER_MODULE);
}

static void
log_executor(enum log_level level, enum log_event event,
    const struct executor *executor, const char *key, const char *value)
{
	LOG_WITH(log_write, level, event,
	    F_STR("handler", executor->conf->name),
	    F_I64("child", executor->pid), F_U64("executor", executor->id),
	    F_STR(key, value));
}

/*
 * Leaving.
 */

/* Nothing more is expected of it: end it, and what it started. */
static void
end_group(const struct executor *executor, int number)
{
	if (executor->is_dead)
		return;
	/* Until it has made its own group, there is none. */
	if (foster_kill_group(executor->master, executor->pid, number) == -1)
		(void)foster_kill(executor->master, executor->pid, number);
}

/* Its worker is gone, or has nothing to do with it any more. */
static void
part(struct executor *executor, enum executor_state state,
    struct executor_list *list)
{
	executor->state = state;
	if (executor->word != NULL)
		event_free(executor->word);
	executor->word = NULL;
	TAILQ_REMOVE(&executor->worker->crew.members, executor, link);
	executor->worker = NULL;
	TAILQ_INSERT_TAIL(list, executor, link);
}

static void
close_work(struct executor *executor)
{
	if (executor->requests != -1) {
		close(executor->requests);
		close(executor->work);
	} else if (executor->work != -1)
		fd_close_unread(executor->work);
	executor->work = executor->requests = -1;
}

/* It sees the end of its input. */
static void
hang_up(struct executor *executor)
{
	executor->patience_ms = clock_ms() + LEAVE_MS;
	close_work(executor);
}

static void
leave(struct executor *executor)
{
	if (executor->state == EXECUTOR_LEAVING)
		return;
	hang_up(executor);
	part(executor, EXECUTOR_LEAVING, &executor->master->leaving);
}

/*
 * Keeping them for a roll-back.
 *
 * The file of a handler may have been replaced, so that to start it again would
 * start what is to be gone back from.  So the executors of the generation
 * before are kept until the probation ends.  We have a copy of the descriptor
 * that their worker had.  They must have nothing to answer: a reply to a request
 * of that worker's would become the reply to another one.
 */

/* Whether the worker was replaced in good order, and has left an executor with
 * nothing to do. */
static bool
may_be_kept(const struct executor *executor)
{
	const struct worker_proc *worker = executor->worker;
	const struct master *master = executor->master;
	const struct probation *probation = &master->probation;
	const struct counters_map *map =
	    master->counters[worker->slot->number].map;
	uint64_t at_rest =
	    counter_get(&map->block[worker->block].worker.at_rest);

	return (executor->state == EXECUTOR_SERVING && !executor->retired &&
	    !crew_has_hung_up(executor) && executor->work != -1 &&
	    probation->before == executor->generation &&
	    probation->of == STATUS_RELOAD && probation->until_ms != 0 &&
	    (at_rest >> executor->handler & 1) != 0);
}

static void
keep(struct executor *executor)
{
	log_executor(LOG_LEVEL_INFO, EVENT_EXECUTOR_KEPT, executor, "", NULL);
	part(executor, EXECUTOR_KEPT, &executor->master->kept);
}

static void
let_go(struct executor *executor)
{
	struct master *master = executor->master;

	TAILQ_REMOVE(&master->kept, executor, link);
	hang_up(executor);
	executor->state = EXECUTOR_LEAVING;
	TAILQ_INSERT_TAIL(&master->leaving, executor, link);
}

bool
crew_has_hung_up(const struct executor *executor)
{
	/* One that serves has all the time in the world. */
	return (executor->state == EXECUTOR_SERVING &&
	    executor->patience_ms != 0);
}

void
crews_release(struct master *master)
{
	struct executor *executor;

	while ((executor = TAILQ_FIRST(&master->kept)) != NULL)
		let_go(executor);
}

/* One that writes unasked, or is about to die, is of no use. */
static bool
is_silent(const struct executor *executor)
{
	struct pollfd ends[2] = {
		{ .fd = executor->work, .events = POLLIN },
		{ .fd = executor->requests },	/* -1 is passed over */
	};

	return (poll(ends, 2, 0) == 0);
}

/* One that runs the same handler of the same configuration; NULL if there is
 * none. */
static struct executor *
find_kept(const struct worker_proc *worker, unsigned handler)
{
	const struct generation *generation = worker->generation;
	struct executor *executor;

	TAILQ_FOREACH(executor, &worker->master->kept, link)
		if (executor->generation->conf == generation->conf &&
		    executor->handler == handler && is_silent(executor))
			break;
	return (executor);
}

/* The share of a worker, as those of the slots behind its own come later. */
static unsigned
share_of_kept(const struct worker_proc *worker, unsigned handler)
{
	unsigned slots = worker->generation->slots - worker->slot->number;
	const struct executor *executor;
	unsigned n = 0;

	TAILQ_FOREACH(executor, &worker->master->kept, link)
		n += executor->generation->conf == worker->generation->conf &&
		    executor->handler == handler;
	return ((n + slots - 1) / slots);
}

static void
take_kept(struct worker_proc *worker, struct executor *executor)
{
	TAILQ_REMOVE(&worker->master->kept, executor, link);
	generation_release(executor->generation);
	executor->generation = generation_hold(worker->generation);
	executor->worker = worker;
	executor->state = EXECUTOR_STARTING;
	TAILQ_INSERT_TAIL(&worker->crew.members, executor, link);
	worker->crew.awaited++;
	pass_on(executor);
}

/* Give a worker that a roll-back starts up to n executors that were kept.
 * Returns how many. */
static unsigned
take_share(struct worker_proc *worker, unsigned handler, unsigned n)
{
	unsigned share = share_of_kept(worker, handler), taken = 0;
	struct executor *executor;

	if (share < n)
		n = share;
	for (; taken < n && (executor = find_kept(worker, handler)) != NULL;
	    taken++)
		take_kept(worker, executor);
	return (taken);
}

void
crew_dismiss(struct worker_proc *worker)
{
	struct executor *executor;

	while ((executor = TAILQ_FIRST(&worker->crew.members)) != NULL)
		if (may_be_kept(executor))
			keep(executor);
		else
			leave(executor);
	while ((executor = TAILQ_FIRST(&worker->crew.dead)) != NULL) {
		TAILQ_REMOVE(&worker->crew.dead, executor, link);
		see_off(executor);
	}
}

/*
 * Getting ready.
 */

static void
pass_on(struct executor *executor)
{
	struct worker_proc *worker = executor->worker;
	struct ctl_executor order = {
		.id = executor->id,
		.handler = executor->handler,
		.speaks = executor->work_speaks,
	};
	const int fds[CTL_FDS_MAX] = { executor->work, executor->requests };

	if (executor->word != NULL)
		event_free(executor->word);
	executor->word = NULL;
	executor->is_ready = true;
	/* If its worker cannot get it now, watch_starting() tries again. */
	if (worker_proc_pass_fds(worker, CTL_EXECUTOR, &order, fds) == -1)
		return;
	executor->state = EXECUTOR_SERVING;
	executor->patience_ms = 0;
	log_executor(LOG_LEVEL_INFO, EVENT_EXECUTOR_READY, executor, "", NULL);
	if (worker->crew.awaited > 0 && --worker->crew.awaited == 0)
		master_changed(worker->master);
}

/* The length of its first frame.  Returns 0 at the end of its output, or -1 with
 * errno: EAGAIN if the whole is not there yet. */
static ssize_t
read_word(const struct executor *executor, uint8_t length[EXEC_LENGTH_LEN])
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
on_word(evutil_socket_t fd, short what, void *arg)
{
	struct executor *executor = arg;
	uint8_t length[EXEC_LENGTH_LEN];
	char shown[4 * EXEC_LENGTH_LEN + 1];
	ssize_t n;

	(void)fd;
	(void)what;
	n = read_word(executor, length);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n == 0) {
		/* It is about to die, and will tell why. */
		event_del(executor->word);
		return;
	}
	if (n == -1) {
		snprintf(executor->why, sizeof(executor->why),
		    "its first frame came with a descriptor");
		end_group(executor, SIGKILL);
		event_del(executor->word);
		return;
	}
	if (length[0] | length[1] | length[2] | length[3]) {
		snprintf(executor->why, sizeof(executor->why),
		    "its first frame is not the empty one of \"ready\": "
		    "it begins '%s'", escape_bytes(shown, sizeof(shown),
		    length, (size_t)n));
		end_group(executor, SIGKILL);
		event_del(executor->word);
		return;
	}
	pass_on(executor);
}

static void
on_message(struct ctl *msg, void *arg)
{
	struct executor *executor = arg;

	if (msg->header.type == CTL_READY &&
	    executor->state == EXECUTOR_STARTING)
		pass_on(executor);
	else if (msg->header.type == CTL_FAILED)
		snprintf(executor->why, sizeof(executor->why), "%.*s",
		    (int)sizeof(msg->failed.why) - 1, msg->failed.why);
}

static void
on_channel_end(const char *why, void *arg)
{
	struct executor *executor = arg;

	channel_free(executor->channel);
	executor->channel = NULL;
	if (why != NULL)
		end_group(executor, SIGKILL);
}

static int
listen_to(struct executor *executor, int fd, unsigned speaks)
{
	static const struct channel_callbacks callbacks = {
		.on_message = on_message,
		.on_end = on_channel_end,
	};

	executor->channel = channel_new(executor->master->base, fd,
	    CTL_FROM_CHILD, speaks, &callbacks, executor);
	return (executor->channel == NULL ? -1 : 0);
}

/* Whether it says when it is ready. */
static bool
speaks(const struct executor *executor)
{
	return (is_module(executor) || executor->conf->ready);
}

/* Wait for the word that it is ready, as its kind gives it. */
static int
await(struct executor *executor, int channel, unsigned speaks_in)
{
	executor->patience_ms = executor->born_ms +
	    (speaks(executor) ? executor->conf->ready_timeout_ms : MOMENT_MS);
	if (is_module(executor))
		return (channel == -1 ? 0 :
		    listen_to(executor, channel, speaks_in));
	if (!speaks(executor))
		return (0);
	executor->word = event_new(executor->master->base, executor->work,
	    EV_READ | EV_PERSIST, on_word, executor);
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
	int channel[2];
};

static void
close_pairs(const struct pairs *pairs, int side)
{
	if (pairs->work[side] != -1)
		close(pairs->work[side]);
	if (pairs->requests[side] != -1)
		close(pairs->requests[side]);
	if (pairs->errors[side] != -1)
		close(pairs->errors[side]);
	if (pairs->channel[side] != -1)
		close(pairs->channel[side]);
}

/* Our end does not block. */
static int
open_pipe(int *ours, int *theirs, bool we_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1)
		return (-1);
	*ours = fds[we_write ? 1 : 0];
	*theirs = fds[we_write ? 0 : 1];
	return (fcntl(*ours, F_SETFL, O_NONBLOCK));
}

/* Only large messages need that; it fails where the pipes of a user that is not
 * root have too much together: pipe(7), pipe-user-pages-soft. */
static void
enlarge(int fd)
{
	(void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
}

static int
open_socket(struct pairs *pairs)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    pairs->work) == -1)
		return (-1);
	fd_refuse_rights(pairs->work[0]);
	fd_refuse_rights(pairs->work[1]);
	return (0);
}

/* A command gets pipes, over which no descriptors can be sent, and which it can
 * open by a name such as /dev/stdout.  A worker of the previous program takes
 * only one descriptor. */
static int
open_work(const struct executor *executor, struct pairs *pairs)
{
	if (is_module(executor) || executor->work_speaks == CTL_PREVIOUS)
		return (open_socket(pairs));
	if (open_pipe(&pairs->work[0], &pairs->work[1], false) == -1)
		return (-1);
	if (open_pipe(&pairs->requests[0], &pairs->requests[1], true) == -1)
		return (-1);
	enlarge(pairs->work[0]);
	enlarge(pairs->requests[0]);
	return (0);
}

static int
open_pairs(const struct executor *executor, struct pairs *pairs)
{
	*pairs = (struct pairs){
	    { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 }
	};
	if (open_work(executor, pairs) == 0 &&
	    open_pipe(&pairs->errors[0], &pairs->errors[1], false) == 0 &&
	    (!is_module(executor) || channel_pair(pairs->channel) == 0))
		return (0);
	close_pairs(pairs, 0);
	close_pairs(pairs, 1);
	return (-1);
}

static void __attribute__((noreturn))
become(const struct executor *executor, const struct pairs *pairs)
{
	const struct generation *generation = executor->generation;
	const struct program_fds fds = {
		.work = pairs->work[1],
		.requests = pairs->requests[1],
		.stderr_pipe = pairs->errors[1],
		.channel = pairs->channel[1],
	};
	struct heritage heritage = {
		.speaks = upgrade_speaks(&executor->master->upgrade),
		.work_speaks = executor->work_speaks,
		.slot = executor->worker->slot->number,
		.generation = generation->number,
		.conf = generation->conf,
		.slots = generation->slots,
		.handler = executor->handler,
	};

	if (!is_module(executor))
		program_exec(executor->conf, &generation->identity, &fds);
	/* What the user's code could write to is not what others count. */
	for (size_t i = 0; i < executor->master->nslots; i++)
		counters_free(&executor->master->counters[i]);
	status_free(&executor->master->status);
	spans_free(&executor->master->spans);
	heritage.threads = heritage_share(&heritage, executor->conf->threads);
	program_host(executor->master->roles->executor, &heritage,
	    &generation->identity, &fds);
}

/* Of all processes of the handler, in whatever generation. */
static struct log_limit *
stderr_limit(const struct executor *executor)
{
	const struct generation *generation = executor->generation;

	return (&executor->master->
	    stderr_limits[generation->handler_number[executor->handler]]);
}

static int
spawn(struct executor *executor)
{
	struct pairs pairs;

	if (open_pairs(executor, &pairs) == -1)
		return (-1);
	fflush(NULL);
	if ((executor->pid = fork()) == 0)
		become(executor, &pairs);
	close_pairs(&pairs, 1);
	if (executor->pid == -1) {
		close_pairs(&pairs, 0);
		return (-1);
	}
	executor->work = pairs.work[0];
	executor->requests = pairs.requests[0];
	if (stderr_line_open(&executor->errors, executor->master->base,
	    pairs.errors[0], executor->conf->name, stderr_limit(executor),
	    executor->pid) == 0 && await(executor, pairs.channel[0],
	    upgrade_speaks(&executor->master->upgrade)) == 0)
		return (0);
	/* It is there, and is reaped as one that failed. */
	snprintf(executor->why, sizeof(executor->why),
	    "the master cannot listen to it: %s", strerror(errno));
	end_group(executor, SIGKILL);
	if (executor->errors.event == NULL)
		close(pairs.errors[0]);
	if (executor->channel == NULL && pairs.channel[0] != -1)
		close(pairs.channel[0]);
	return (0);
}

static int
hire(struct worker_proc *worker, unsigned handler)
{
	struct generation *generation = worker->generation;
	struct executor *executor;
	int saved;

	if ((executor = calloc(1, sizeof(*executor))) == NULL)
		return (-1);
	executor->master = worker->master;
	executor->worker = worker;
	executor->generation = generation_hold(generation);
	executor->conf = &generation->conf->handlers[handler];
	executor->handler = handler;
	executor->id = ++worker->master->executors;
	/* What the worker understands. */
	executor->work_speaks = worker_proc_speaks(worker);
	executor->work = executor->requests = executor->channel_fd = -1;
	executor->born_ms = clock_ms();
	TAILQ_INSERT_TAIL(&worker->crew.members, executor, link);
	if (spawn(executor) == -1) {
		saved = errno;
		TAILQ_REMOVE(&worker->crew.members, executor, link);
		executor_free(executor);
		errno = saved;
		return (-1);
	}
	log_executor(LOG_LEVEL_INFO, EVENT_EXECUTOR_START, executor, "", NULL);
	return (0);
}

/* How many processes a worker has for a handler. */
static unsigned
size_for(const struct generation *generation, const struct conf_handler *conf)
{
	const struct heritage shares = { .slots = generation->slots };

	switch (conf->type) {
	case CONF_HANDLER_COMMAND:
		return (heritage_share(&shares, conf->processes));
	case CONF_HANDLER_MODULE:
		return (1);
	case CONF_HANDLER_ECHO:
	case CONF_HANDLER_DISCARD:
		break;
	}
	return (0);
}

/* Somebody may count on the configured number; but one that is below that of
 * the workers is perhaps meant to forbid two at a time. */
static void
check_share(const struct generation *generation,
    const struct conf_handler *conf, const char *key, unsigned configured)
{
	const struct heritage shares = { .slots = generation->slots };
	unsigned share = heritage_share(&shares, configured);
	unsigned all = share * generation->slots;

	if (all != configured)
		LOG_WITH(log_write, configured < generation->slots ?
		    LOG_LEVEL_WARN : LOG_LEVEL_INFO, EVENT_HANDLER_ROUNDED,
		    F_STR("handler", conf->name), F_STR("key", key),
		    F_U64("configured", configured), F_U64("all", all),
		    F_U64("workers", generation->slots),
		    F_U64("each", share));
}

void
crews_check(const struct generation *generation)
{
	const struct conf_handler *conf;

	for (size_t i = 0; i < generation->conf->nhandlers; i++) {
		conf = &generation->conf->handlers[i];
		if (conf->type == CONF_HANDLER_COMMAND)
			check_share(generation, conf, "processes",
			    conf->processes);
		else if (conf->type == CONF_HANDLER_MODULE)
			check_share(generation, conf, "threads",
			    conf->threads);
	}
}

static const struct counters_handler *
counters_of(const struct worker_proc *worker, unsigned handler)
{
	const struct counters *counters =
	    &worker->master->counters[worker->slot->number];

	return (&counters->map->block[worker->block].handler[
	    worker->generation->handler_number[handler]]);
}

void
crew_note(struct worker_proc *worker)
{
	struct shortage *shortage;

	for (unsigned i = 0; i < worker->generation->conf->nhandlers; i++) {
		shortage = &worker->crew.shortage[i];
		shortage->used = counter_get(&counters_of(worker, i)->used);
		shortage->crashes =
		    counter_get(&counters_of(worker, i)->crashes);
		evidence_note(worker, i, &shortage->noted);
	}
}

int
crew_start(struct worker_proc *worker)
{
	const struct generation *generation = worker->generation;
	const struct conf *conf = generation->conf;
	unsigned n, taken;

	for (unsigned i = 0; i < conf->nhandlers; i++) {
		n = size_for(generation, &conf->handlers[i]);
		taken = take_share(worker, i, n);
		/* Fewer that are known to work are better than those of another
		 * file. */
		if (taken > 0 && fingerprint_changed(&generation->files[i],
		    &conf->handlers[i]) != NULL)
			continue;
		for (; taken < n; taken++) {
			if (hire(worker, i) == -1)
				return (-1);
			worker->crew.awaited++;
		}
	}
	return (0);
}

/*
 * Adoption.
 */

int
crew_adopt(struct master *master, struct executor *executor)
{
	executor->master = master;
	executor->conf = &executor->generation->conf->
	    handlers[executor->handler];
	if (executor->errors.fd != -1 && stderr_line_resume(&executor->errors,
	    master->base, executor->conf->name, stderr_limit(executor),
	    executor->pid) == -1)
		return (-1);
	if (executor->state == EXECUTOR_STARTING &&
	    await(executor, executor->channel_fd, executor->speaks) == -1)
		return (-1);
	if (executor->channel_fd != -1 && executor->channel == NULL &&
	    listen_to(executor, executor->channel_fd, executor->speaks) == -1)
		return (-1);
	executor->channel_fd = -1;
	return (0);
}

void
crews_suit_previous(struct master *master)
{
	struct executor *executor, *next;
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		for (executor = TAILQ_FIRST(&worker->crew.members);
		    executor != NULL; executor = next) {
			next = TAILQ_NEXT(executor, link);
			if (!crew_has_hung_up(executor) &&
			    (executor->requests == -1 ||
			    executor->state != EXECUTOR_STARTING))
				continue;
			worker->crew.shortage[executor->handler].missing++;
			leave(executor);
		}
}

unsigned
crew_missing(const struct worker_proc *worker, unsigned handler)
{
	unsigned missing = worker->crew.shortage[handler].missing;
	const struct executor *executor;

	TAILQ_FOREACH(executor, &worker->crew.dead, link)
		missing += executor->handler == handler;
	return (missing);
}

/*
 * Death.
 */

static void
executor_free(struct executor *executor)
{
	if (executor->word != NULL)
		event_free(executor->word);
	close_work(executor);
	stderr_line_close(&executor->errors);
	channel_free(executor->channel);
	generation_release(executor->generation);
	free(executor);
}

/* As we do it. */
static bool
was_killed(int status)
{
	return (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* What there is to say of a death: by the dead, or else by how it died. */
static void
explain(struct executor *executor, int status)
{
	const char *last = executor->errors.last;
	char how[PAUSE_HOW_MAX];
	size_t len;

	while (executor->channel != NULL && channel_catch_up(executor->channel))
		;
	stderr_line_close(&executor->errors);
	/* Its worker may have seen no more than that it is gone. */
	len = strlen(executor->why);
	if (len > 0 && !executor->disowned && !crew_has_hung_up(executor))
		return;
	/* One that was killed for that did not get to its own end. */
	*how = '\0';
	if (len == 0 || !executor->disowned || !was_killed(status))
		describe_death(status, how);
	snprintf(executor->why + len, sizeof(executor->why) - len,
	    "%s%s%s%.140s", len > 0 && *how != '\0' ? "; " : "", how,
	    *last != '\0' ? ": " : "", last);
}

/* Whether the worker has counted one more than we know of. */
static bool
is_counted(const uint64_t *counter, uint64_t *known)
{
	if (counter_get(counter) <= *known)
		return (false);
	++*known;
	return (true);
}

/* How long the worker has to do with one less: a program that was given a
 * message can start. */
static uint64_t
pause_for(struct shortage *shortage, const struct executor *executor,
    bool was_used)
{
	if (!was_used)
		return (pause_after(&shortage->young_deaths,
		    executor->lived_ms));
	shortage->young_deaths = 0;
	return (pause_at_rate(&shortage->rate, clock_ms()));
}

/* One of a crew has died, or is retired, and all that can be known of that is
 * known. */
static void
note_shortage(const struct executor *executor, enum log_event event)
{
	struct worker_proc *worker = executor->worker;
	struct master *master = executor->master;
	struct shortage *shortage = &worker->crew.shortage[executor->handler];
	const struct counters_handler *counters =
	    counters_of(worker, executor->handler);
	bool was_used = is_counted(&counters->used, &shortage->used);
	bool crashed = is_counted(&counters->crashes, &shortage->crashes);
	uint64_t pause = pause_for(shortage, executor, was_used);

	shortage->missing++;
	counter_add(&master->status.map->counts.executor_deaths[
	    executor->generation->handler_number[executor->handler]], 1);
	shortage->again_ms = clock_ms() + pause;
	LOG_WITH(log_write, LOG_LEVEL_ERROR, event,
	    F_STR("handler", executor->conf->name), F_I64("child",
	    executor->pid), F_U64("executor", executor->id),
	    F_STR("how", executor->why), F_U64("with_message", crashed),
	    F_U64("alive_ms", executor->lived_ms), F_U64("retry_ms", pause));
	if (worker != worker->slot->serving)
		return;
	if (crashed)
		probation_on_crash(master, executor->generation,
		    executor->handler, executor->why);
	else if (!was_used)
		probation_on_death(master, executor->generation,
		    shortage->young_deaths, executor->conf->name,
		    executor->why);
}

/* It has gone as it was to. */
static void
see_off(struct executor *executor)
{
	log_executor(LOG_LEVEL_INFO, EVENT_EXECUTOR_EXIT, executor, "how",
	    executor->why);
	executor_free(executor);
}

static bool
can_hire(const struct worker_proc *worker)
{
	/* A worker without a channel cannot be told of an executor. */
	return (worker->state < WORKER_ENDING &&
	    worker->process.channel != NULL);
}

/* The first reason stands. */
static void
fail(struct crew *crew, const char *why)
{
	if (*crew->why == '\0')
		snprintf(crew->why, sizeof(crew->why), "%s", why);
}

/* The worker of a dead one has said what there is to say, or will not. */
static void
settle(struct executor *executor)
{
	struct worker_proc *worker = executor->worker;
	unsigned handler = executor->handler;
	char why[CREW_WHY_MAX];

	TAILQ_REMOVE(&worker->crew.dead, executor, link);
	if (worker->state >= WORKER_ENDING || executor->retired) {
		see_off(executor);
		return;
	}
	note_shortage(executor, EVENT_EXECUTOR_DIED);
	snprintf(why, sizeof(why), "handler %s: %s", executor->conf->name,
	    executor->why);
	executor_free(executor);
	/* A generation whose handlers cannot be started never begins. */
	if (worker == worker->slot->next && worker->state < WORKER_SERVING)
		fail(&worker->crew, why);
	else if (can_hire(worker))
		hire_again(worker, handler, clock_ms());
}

static struct executor *
find_id(const struct executor_list *list, uint64_t id)
{
	struct executor *executor;

	TAILQ_FOREACH(executor, list, link)
		if (executor->id == id)
			break;
	return (executor);
}

/* Its worker may not see that it died: what it has started can hold the channel
 * open. */
static void
tell_of_death(struct executor *executor)
{
	const struct ctl_died order = { .id = executor->id };

	if (!worker_proc_has_room(executor->worker))
		return;
	worker_proc_tell(executor->worker, CTL_DIED, &order);
	executor->is_told = true;
	executor->patience_ms = clock_ms() + WORD_MS;
}

/* One of a crew has died.  Its worker says how it was at work, if it has not
 * done so: its counters are up to date then. */
static void
await_word(struct executor *executor)
{
	struct worker_proc *worker = executor->worker;
	bool said = executor->state != EXECUTOR_SERVING ||
	    executor->disowned || crew_has_hung_up(executor);
	uint64_t id = executor->id;

	TAILQ_REMOVE(&worker->crew.members, executor, link);
	executor->state = EXECUTOR_DEAD;
	executor->lived_ms = clock_ms() - executor->born_ms;
	TAILQ_INSERT_TAIL(&worker->crew.dead, executor, link);
	/* Perhaps the worker has just said so, or that it is done. */
	if (worker->process.channel != NULL)
		(void)channel_catch_up(worker->process.channel);
	if ((executor = find_id(&worker->crew.dead, id)) == NULL)
		return;
	if (said || !can_hire(worker))
		settle(executor);
	else
		tell_of_death(executor);
}

static void
bury(struct executor *executor, int status)
{
	struct master *master = executor->master;

	executor->is_dead = true;
	explain(executor, status);
	if (executor->worker != NULL) {
		await_word(executor);
	} else {
		TAILQ_REMOVE(executor->state == EXECUTOR_KEPT ? &master->kept :
		    &master->leaving, executor, link);
		see_off(executor);
	}
	master_changed(master);
}

static struct executor *
find_in(const struct executor_list *list, pid_t pid)
{
	struct executor *executor;

	TAILQ_FOREACH(executor, list, link)
		if (executor->pid == pid)
			break;
	return (executor);
}

static struct executor *
find_pid(const struct master *master, pid_t pid)
{
	struct executor *executor = find_in(&master->leaving, pid);
	struct worker_proc *worker;

	if (executor == NULL)
		executor = find_in(&master->kept, pid);
	TAILQ_FOREACH(worker, &master->workers, link) {
		if (executor != NULL)
			break;
		executor = find_in(&worker->crew.members, pid);
	}
	return (executor);
}

void
crew_on_end(struct master *master, pid_t pid)
{
	struct executor *executor = find_pid(master, pid);

	/* Whatever it started goes with it. */
	if (executor != NULL)
		(void)foster_kill_group(master, pid, SIGKILL);
}

bool
crew_reap(struct master *master, pid_t pid, int status)
{
	struct executor *executor = find_pid(master, pid);

	if (executor == NULL)
		return (false);
	bury(executor, status);
	return (true);
}

bool
crew_is_waiting(const struct worker_proc *worker)
{
	const struct executor *executor;

	TAILQ_FOREACH(executor, &worker->crew.members, link)
		if (executor->state == EXECUTOR_STARTING && executor->is_ready)
			return (true);
	TAILQ_FOREACH(executor, &worker->crew.dead, link)
		if (!executor->is_told)
			return (true);
	return (false);
}

/* What the worker found wrong with it goes before how it died. */
static void
add_word(struct executor *executor, const struct ctl_disown *order)
{
	char how[sizeof(executor->why)];

	if (*order->why == '\0')
		return;
	memcpy(how, executor->why, sizeof(how));
	snprintf(executor->why, sizeof(executor->why), "%.*s; %.110s",
	    (int)sizeof(order->why) - 1, order->why, how);
}

void
crew_disown(struct worker_proc *worker, const struct ctl_disown *order)
{
	struct executor *executor = find_id(&worker->crew.members, order->id);

	if (executor == NULL) {
		/* It has died, which is why it was disowned. */
		executor = find_id(&worker->crew.dead, order->id);
		if (executor == NULL)
			return;
		add_word(executor, order);
		settle(executor);
		return;
	}
	snprintf(executor->why, sizeof(executor->why), "%.*s",
	    (int)sizeof(order->why) - 1, order->why);
	if (order->ended != 0) {
		executor->patience_ms = clock_ms() + WORD_MS;
		return;
	}
	executor->disowned = true;
	end_group(executor, SIGKILL);
}

void
crew_retire(struct worker_proc *worker, const struct ctl_disown *order)
{
	struct executor *executor = find_id(&worker->crew.members, order->id);

	if (executor == NULL || executor->retired || !can_hire(worker) ||
	    executor->state != EXECUTOR_SERVING)
		return;
	executor->retired = true;
	executor->lived_ms = clock_ms() - executor->born_ms;
	snprintf(executor->why, sizeof(executor->why), "%.*s",
	    (int)sizeof(order->why) - 1, order->why);
	note_shortage(executor, EVENT_EXECUTOR_RETIRED);
	hire_again(worker, executor->handler, clock_ms());
}

/*
 * Watching.
 */

static bool
is_late(const struct executor *executor, uint64_t now_ms)
{
	return (executor->state == EXECUTOR_STARTING && speaks(executor) &&
	    !executor->is_ready && *executor->why == '\0' &&
	    now_ms >= executor->born_ms + LATE_MS);
}

bool
crew_is_late(const struct worker_proc *worker)
{
	const struct executor *executor;

	TAILQ_FOREACH(executor, &worker->crew.members, link)
		if (is_late(executor, clock_ms()))
			return (true);
	return (false);
}

/* Once for all processes of the handler. */
static void
say_late(const struct executor *executor, uint64_t now_ms)
{
	uint64_t *again_ms =
	    &executor->generation->late_again_ms[executor->handler];

	if (now_ms < *again_ms)
		return;
	*again_ms = now_ms + LATE_AGAIN_MS;
	LOG(WARN, EXECUTOR_WAITS, F_STR("handler", executor->conf->name),
	    F_I64("child", executor->pid), F_U64("executor", executor->id),
	    F_STR("for", is_module(executor) ? "the end of open()" : "READY"),
	    F_U64("alive_ms", now_ms - executor->born_ms),
	    F_U64("left_ms", executor->patience_ms - now_ms));
	notify_status("waits for handler %s to be ready", executor->conf->name);
}

/* Whether a process still runs our own program, as it has not got to its own.
 * Where /proc does not tell, it has. */
static bool
is_to_begin(const struct executor *executor)
{
	char path[32], ours[PATH_MAX], its[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)executor->pid);
	n = readlink("/proc/self/exe", ours, sizeof(ours));
	return (n > 0 && readlink(path, its, sizeof(its)) == n &&
	    memcmp(ours, its, (size_t)n) == 0);
}

static void
watch_starting(struct executor *executor, uint64_t now_ms)
{
	if (executor->state != EXECUTOR_STARTING)
		return;
	if (executor->is_ready) {
		pass_on(executor);
		return;
	}
	/* On a busy machine it may not have had its turn yet. */
	if (!speaks(executor) && is_to_begin(executor) && now_ms <
	    executor->born_ms + executor->conf->ready_timeout_ms)
		executor->patience_ms = now_ms + MOMENT_MS;
	if (now_ms < executor->patience_ms) {
		if (is_late(executor, now_ms))
			say_late(executor, now_ms);
		return;
	}
	if (!speaks(executor)) {
		pass_on(executor);
		return;
	}
	snprintf(executor->why, sizeof(executor->why),
	    "it was not ready within %g s, its ready_timeout",
	    executor->conf->ready_timeout_ms / 1000.0);
	executor->patience_ms = now_ms + LEAVE_MS;
	end_group(executor, SIGKILL);
}

static void
watch_serving(struct executor *executor, uint64_t now_ms)
{
	const char *closed = "it closed its channel";
	char said[sizeof(executor->why)];

	if (!crew_has_hung_up(executor) || now_ms < executor->patience_ms ||
	    executor->disowned)
		return;
	memcpy(said, executor->why, sizeof(said));
	snprintf(executor->why, sizeof(executor->why), "%s%s%.120s", closed,
	    *said != '\0' ? "; " : "", said);
	executor->disowned = true;
	executor->patience_ms = now_ms + LEAVE_MS;
	end_group(executor, SIGKILL);
}

static void
watch_leaving(struct executor *executor, uint64_t now_ms)
{
	if (now_ms < executor->patience_ms)
		return;
	end_group(executor, executor->asked ? SIGKILL : SIGTERM);
	executor->asked = true;
	executor->patience_ms = now_ms + LEAVE_MS;
}

void
crews_hurry(struct master *master, uint64_t ms)
{
	struct executor *executor;

	TAILQ_FOREACH(executor, &master->leaving, link) {
		end_group(executor, SIGTERM);
		executor->asked = true;
		executor->patience_ms = clock_ms() + ms;
	}
}

static void
hire_again(struct worker_proc *worker, unsigned handler, uint64_t now_ms)
{
	struct shortage *shortage = &worker->crew.shortage[handler];

	while (shortage->missing > 0 && now_ms >= shortage->again_ms) {
		if (hire(worker, handler) == -1) {
			LOG(ERROR, EXECUTOR_FAILED, F_STR("handler",
			    worker->generation->conf->handlers[handler].name),
			    F_ERRNO(errno));
			shortage->again_ms = now_ms + PAUSE_YOUNG_MS / 10;
			return;
		}
		shortage->missing--;
	}
}

/* A dead executor about which its worker has said nothing in time. */
static struct executor *
find_due(const struct worker_proc *worker, uint64_t now_ms)
{
	struct executor *executor;

	TAILQ_FOREACH(executor, &worker->crew.dead, link) {
		if (!executor->is_told)
			tell_of_death(executor);
		if (executor->is_told && now_ms >= executor->patience_ms)
			break;
	}
	return (executor);
}

static void
watch_crew(struct worker_proc *worker, uint64_t now_ms)
{
	struct executor *executor, *next;

	for (executor = TAILQ_FIRST(&worker->crew.members); executor != NULL;
	    executor = next) {
		next = TAILQ_NEXT(executor, link);
		watch_starting(executor, now_ms);
		watch_serving(executor, now_ms);
	}
	/* One that is settled may take the others with it. */
	while ((executor = find_due(worker, now_ms)) != NULL)
		settle(executor);
	if (!can_hire(worker))
		return;
	for (unsigned i = 0; i < worker->generation->conf->nhandlers; i++)
		hire_again(worker, i, now_ms);
}

static void
forgive(struct executor_list *list, uint64_t stall_ms)
{
	struct executor *executor;

	TAILQ_FOREACH(executor, list, link)
		if (executor->patience_ms != 0)
			executor->patience_ms += stall_ms;
}

void
crews_forgive(struct master *master, uint64_t stall_ms)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link) {
		forgive(&worker->crew.members, stall_ms);
		forgive(&worker->crew.dead, stall_ms);
	}
	forgive(&master->leaving, stall_ms);
}

void
crews_watch(struct master *master)
{
	uint64_t now_ms = clock_ms();
	struct executor *executor;
	struct worker_proc *worker, *next;

	for (worker = TAILQ_FIRST(&master->workers); worker != NULL;
	    worker = next) {
		next = TAILQ_NEXT(worker, link);
		watch_crew(worker, now_ms);
	}
	TAILQ_FOREACH(executor, &master->leaving, link)
		watch_leaving(executor, now_ms);
	for (unsigned i = 0; i < master->handler_names.n; i++)
		stderr_line_tell_suppressed(master->handler_names.names[i],
		    &master->stderr_limits[i]);
}
