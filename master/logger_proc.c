/* SPDX-License-Identifier: ISC */
#include "master/logger_proc.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/log_orders.h"
#include "master/daemon.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/signals.h"

enum {
	/* Bytes of lines that wait for the disk; the kernel may allow less. */
	PIPE_SIZE = 1 << 20,
	/* A file that has not opened by then does not open. */
	OPEN_MS = 3000,
	/* How long the last lines may take. */
	END_MS = 3000,
};

static const char *const names[] = {
	[LOGGER_LOG] = "log",
	[LOGGER_ACCESS_LOG] = "access_log",
};

static bool
logger_proc_is_leaving(const struct logger_proc *logger)
{
	return (logger->pipe[1] == -1);
}

static struct logger_proc *
logger_proc_find(const struct master *master, enum logger_kind kind,
    const char *path)
{
	struct logger_proc *logger;

	TAILQ_FOREACH(logger, &master->loggers, link)
		if (!logger_proc_is_leaving(logger) && logger->kind == kind &&
		    strcmp(logger->path, path) == 0)
			break;
	return (logger);
}

static bool
logger_proc_is_needed(enum logger_kind kind, const char *path)
{
	struct stat st;

	if (*path != '\0' || kind != LOGGER_LOG)
		return (*path != '\0');
	return (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode));
}

static const char *
logger_proc_path_in(const struct conf *conf, enum logger_kind kind)
{
	return (kind == LOGGER_LOG ? conf->log.file : conf->access_log.file);
}

static void
logger_proc_forget(struct logger_proc *logger)
{
	TAILQ_REMOVE(&logger->process.master->loggers, logger, link);
	process_end(&logger->process);
	if (logger->word != NULL) {
		close(event_get_fd(logger->word));
		event_free(logger->word);
	}
	for (int i = 0; i < 2; i++)
		if (logger->pipe[i] != -1)
			close(logger->pipe[i]);
	free(logger->path);
	free(logger);
}

/* Nobody shall begin to write to it: it ends with those that can. */
static void
logger_proc_retire(struct logger_proc *logger)
{
	if (!logger_proc_is_leaving(logger))
		close(logger->pipe[1]);
	logger->pipe[1] = -1;
	logger->is_fresh = logger->is_reopening = false;
	if (logger->process.pid == 0)
		logger_proc_forget(logger);
}

/*
 * The log.
 */

/* Write our own lines to its pipe. */
static void
logger_proc_use_log(struct logger_proc *logger)
{
	int fd;

	if (logger->process.master->logging == logger ||
	    (fd = fcntl(logger->pipe[1], F_DUPFD_CLOEXEC,
	    STDERR_FILENO + 1)) == -1)
		return;
	log_use_pipe(fd, *logger->path == '\0');
	logger->process.master->logging = logger;
}

/* What another program has left is written to no longer. */
static void
logger_proc_announce(struct logger_proc *logger)
{
	struct master *master = logger->process.master;
	struct worker_proc *worker;

	logger->is_announced = true;
	if (strcmp(logger_proc_path_in(master->running->conf, logger->kind),
	    logger->path) != 0)
		return;
	if (logger->kind == LOGGER_LOG) {
		logger_proc_use_log(logger);
		processes_use_log(master);
	} else
		TAILQ_FOREACH(worker, &master->workers, link)
			worker->access_log_due = true;
}

/*
 * Its word.
 */

static bool
logger_proc_is_any_reopening(const struct master *master)
{
	const struct logger_proc *logger;

	TAILQ_FOREACH(logger, &master->loggers, link)
		if (logger->is_reopening)
			return (true);
	return (false);
}

static void
logger_proc_on_reopened(struct logger_proc *logger, const char *why)
{
	struct master *master = logger->process.master;

	logger->is_reopening = false;
	if (why != NULL && logger->kind == LOGGER_LOG)
		LOG(ERROR, REOPEN_FAILED, F_STR("file", logger->path),
		    F_STR("error", why));
	else if (why != NULL)
		LOG(WARN, ACCESS_LOG_FAILED, F_STR("file", logger->path),
		    F_STR("error", why));
	if (logger->kind == LOGGER_LOG && why != NULL)
		master->is_reopened = false;
	if (!logger_proc_is_any_reopening(master) && master->is_reopened)
		LOG(INFO, REOPEN,
		    F_STR("file", master->running->conf->log.file));
}

static void
logger_proc_on_opened(struct logger_proc *logger, const char *why)
{
	if (logger_proc_is_leaving(logger))
		return;
	master_changed(logger->process.master);
	if (why == NULL) {
		logger->is_open = true;
		logger->is_fresh = false;
		/* It may have been late, in this turn. */
		*logger->why.text = '\0';
		if (!logger->is_announced)
			logger_proc_announce(logger);
	} else if (!logger->is_fresh)
		LOG(ERROR, LOGGER_FAILED, F_STR("log", names[logger->kind]),
		    F_STR("file", logger->path), F_STR("error", why));
	/* Its word says more than its end, which may come in the same turn. */
	else if (*logger->why.text == '\0')
		why_set(&logger->why, "%s %.150s: %s",
		    logger->kind == LOGGER_LOG ? "log" : "access log",
		    logger->path, why);
}

enum step
loggers_look(const struct master *master, struct why *why)
{
	const struct logger_proc *logger;
	enum step answer = STEP_DONE;

	TAILQ_FOREACH(logger, &master->loggers, link) {
		if (logger->is_fresh && answer == STEP_DONE)
			answer = STEP_WAITS;
		if (logger->is_fresh && *logger->why.text != '\0') {
			*why = logger->why;
			answer = STEP_FAILED;
		}
	}
	return (answer);
}

static ssize_t
logger_proc_hear(const struct logger_proc *logger, char text[LOG_ANSWER_MAX])
{
	ssize_t n = recv(event_get_fd(logger->word), text, LOG_ANSWER_MAX - 1,
	    MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return (n);
}

static void
logger_proc_on_word(evutil_socket_t fd, short what, void *arg)
{
	struct logger_proc *logger = arg;
	char text[LOG_ANSWER_MAX];
	const char *why;
	ssize_t n;

	(void)fd;
	(void)what;
	n = logger_proc_hear(logger, text);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		/* It has died, or is about to, and will be reaped. */
		event_del(logger->word);
		return;
	}
	why = *text != '\0' ? text : NULL;
	if (!logger->is_open)
		logger_proc_on_opened(logger, why);
	else if (logger->is_reopening)
		logger_proc_on_reopened(logger, why);
}

/*
 * Death.
 */

static void
logger_proc_on_death(void *owner, int status)
{
	struct logger_proc *logger = owner;
	struct master *master = logger->process.master;
	pid_t pid = logger->process.pid;
	char why[LOG_ANSWER_MAX];
	uint64_t pause;
	bool is_done;

	/* Its last word may tell why. */
	(void)logger_proc_hear(logger, why);
	if (*why == '\0')
		describe_death(status, why);
	close(event_get_fd(logger->word));
	event_free(logger->word);
	logger->word = NULL;
	process_end(&logger->process);
	is_done = logger->is_expected ||
	    (WIFEXITED(status) && WEXITSTATUS(status) == 0);
	if (logger_proc_is_leaving(logger) && is_done) {
		logger_proc_forget(logger);
		return;
	}
	if (logger->is_fresh) {
		logger_proc_on_opened(logger, why);
		return;
	}
	pause = pause_after(&logger->pause,
	    clock_ms() - logger->process.born_ms);
	LOG(ERROR, LOGGER_DIED, F_I64("child", pid),
	    F_STR("log", names[logger->kind]), F_STR("file", logger->path),
	    F_STR("how", why), F_U64("retry_ms", pause));
	if (logger->is_reopening)
		logger_proc_on_reopened(logger, "the logger died");
	loggers_watch(master);
}

/*
 * Birth.
 */

static void __attribute__((noreturn))
logger_proc_become(struct logger_proc *logger, int orders, int file)
{
	struct master *master = logger->process.master;
	struct heritage heritage = {
		.channel = orders,
		.log_name = names[logger->kind],
		.log_path = logger->path,
		.log_pipe = logger->pipe[0],
		.log_file = file,
	};
	int keep[] = { orders, logger->pipe[0], file };

	signals_reset_in_child();
	for (size_t i = 0; i < master->nslots; i++)
		counters_free(&master->counters[i]);
	status_free(&master->status);
	spans_free(&master->spans);
	/* Whoever waits for the end of a daemon's output need not wait for
	 * us. */
	if (master->daemon_fd != -1 && *logger->path != '\0')
		fd_redirect_to_null(STDERR_FILENO);
	fd_close_all_but(keep, sizeof(keep) / sizeof(*keep));
	exit(master->roles->logger->main(&heritage));
}

/* With its file, or -1: then it opens that itself.  Returns -1 with errno
 * set. */
static int
logger_proc_spawn(struct logger_proc *logger, int file)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0, fds) == -1)
		return (-1);
	logger->word = event_new(logger->process.master->base, fds[0],
	    EV_READ | EV_PERSIST, logger_proc_on_word, logger);
	if (logger->word == NULL || event_add(logger->word, NULL) == -1) {
		errno = ENOMEM;
		goto fail;
	}
	switch (process_fork(&logger->process, 0, NULL, 0)) {
	case 0:
		logger_proc_become(logger, fds[1], file);
	case -1:
		goto fail;
	}
	close(fds[1]);
	logger->is_open = logger->is_expected = false;
	process_await(&logger->process, OPEN_MS, "open");
	return (0);
fail:
	if (logger->word != NULL)
		event_free(logger->word);
	logger->word = NULL;
	close(fds[0]);
	close(fds[1]);
	return (-1);
}

/* Returns NULL with errno set. */
static struct logger_proc *
logger_proc_start(struct master *master, enum logger_kind kind,
    const char *path, int file)
{
	static const struct process_kind process = {
		.on_death = logger_proc_on_death,
	};
	struct logger_proc *logger;
	int saved;

	if ((logger = calloc(1, sizeof(*logger))) == NULL)
		return (NULL);
	process_init(&logger->process, master, &process, logger);
	logger->kind = kind;
	logger->is_announced = true;
	logger->pipe[0] = logger->pipe[1] = -1;
	TAILQ_INSERT_TAIL(&master->loggers, logger, link);
	if ((logger->path = strdup(path)) == NULL ||
	    pipe2(logger->pipe, O_CLOEXEC | O_NONBLOCK) == -1)
		goto fail;
	(void)fcntl(logger->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
	if (logger_proc_spawn(logger, file) == 0)
		return (logger);
fail:
	saved = errno;
	logger_proc_forget(logger);
	errno = saved;
	return (NULL);
}

int
loggers_start(struct master *master, const struct conf *conf)
{
	const char *path = conf->log.file;
	struct logger_proc *logger;
	int file, saved;

	if (!logger_proc_is_needed(LOGGER_LOG, path))
		return (0);
	if ((file = log_open(path)) == -1)
		return (-1);
	logger = logger_proc_start(master, LOGGER_LOG, path, file);
	saved = errno;
	if (file != STDERR_FILENO)
		close(file);
	errno = saved;
	if (logger == NULL)
		return (-1);
	logger_proc_use_log(logger);
	return (0);
}

/*
 * From one generation to the next.
 */

int
loggers_prepare(struct master *master, const struct conf *conf,
    struct why *why)
{
	struct logger_proc *logger;
	const char *path;

	/* As after -D. */
	if (*conf->log.file == '\0' && master->running != NULL &&
	    *master->running->conf->log.file != '\0' &&
	    daemon_is_null(STDERR_FILENO))
		return (why_set(why, "log.file is not set, and standard error "
		    "is /dev/null"));
	for (int kind = LOGGER_LOG; kind <= LOGGER_ACCESS_LOG; kind++) {
		path = logger_proc_path_in(conf, kind);
		if (!logger_proc_is_needed(kind, path) ||
		    logger_proc_find(master, kind, path) != NULL)
			continue;
		if ((logger = logger_proc_start(master, kind, path,
		    -1)) == NULL)
			return (why_set(why, "a logger: %s", strerror(errno)));
		logger->is_fresh = true;
	}
	return (0);
}

void
loggers_trim(struct master *master)
{
	struct logger_proc *logger, *next;

	for (logger = TAILQ_FIRST(&master->loggers); logger != NULL;
	    logger = next) {
		next = TAILQ_NEXT(logger, link);
		if (logger_proc_is_leaving(logger) ||
		    logger == master->logging ||
		    (master->running != NULL && strcmp(logger_proc_path_in(
		    master->running->conf, logger->kind), logger->path) == 0))
			continue;
		/* Whatever it waits for, it has nothing to write. */
		if (!logger->is_open) {
			process_kill(&logger->process, SIGKILL);
			logger->is_expected = true;
		}
		logger_proc_retire(logger);
	}
}

void
loggers_commit(struct master *master)
{
	const char *path = master->running->conf->log.file;
	struct logger_proc *logger = logger_proc_find(master, LOGGER_LOG, path);

	if (logger != NULL)
		logger_proc_use_log(logger);
	else if (!log_is_stderr()) {
		log_use(STDERR_FILENO);
		master->logging = NULL;
	}
	loggers_trim(master);
}

void
loggers_adopt(struct master *master)
{
	struct logger_proc *logger;
	const char *path;

	for (int kind = LOGGER_LOG; kind <= LOGGER_ACCESS_LOG; kind++) {
		path = logger_proc_path_in(master->running->conf, kind);
		if (!logger_proc_is_needed(kind, path))
			continue;
		if ((logger = logger_proc_start(master, kind, path,
		    -1)) != NULL)
			logger->is_announced = false;
		else
			LOG(ERROR, LOGGER_FAILED, F_STR("log", names[kind]),
			    F_STR("file", path), F_ERRNO(errno));
	}
}

int
loggers_access_log(const struct master *master, const struct conf *conf)
{
	const struct logger_proc *logger;

	if (*conf->access_log.file == '\0')
		return (-1);
	logger = logger_proc_find(master, LOGGER_ACCESS_LOG,
	    conf->access_log.file);
	return (logger != NULL ? logger->pipe[1] : -1);
}

/*
 * Orders.
 */

void
loggers_reopen(struct master *master)
{
	const char order = LOG_ORDER_REOPEN;
	struct logger_proc *logger;

	master->is_reopened = true;
	TAILQ_FOREACH(logger, &master->loggers, link) {
		/* One that is about to open its file does so anyway. */
		if (!logger->is_open || logger->word == NULL ||
		    send(event_get_fd(logger->word), &order, 1,
		    MSG_DONTWAIT | MSG_NOSIGNAL) != 1 ||
		    logger_proc_is_leaving(logger))
			continue;
		logger->is_reopening = true;
		process_await(&logger->process, OPEN_MS, "answer");
	}
	if (!logger_proc_is_any_reopening(master))
		LOG(INFO, REOPEN,
		    F_STR("file", master->running->conf->log.file));
}

/*
 * Watching, and the end.
 */

void
loggers_watch(struct master *master)
{
	static const char late[] = "the disk does not answer";
	struct logger_proc *logger, *next;
	uint64_t now_ms = clock_ms();

	for (logger = TAILQ_FIRST(&master->loggers); logger != NULL;
	    logger = next) {
		next = TAILQ_NEXT(logger, link);
		/* The reload that it belongs to is about to be refused. */
		if (*logger->why.text != '\0')
			continue;
		if (logger->process.pid == 0 &&
		    now_ms >= logger->pause.again_ms &&
		    logger_proc_spawn(logger, -1) == -1) {
			LOG(ERROR, LOGGER_FAILED,
			    F_STR("log", names[logger->kind]),
			    F_STR("file", logger->path), F_ERRNO(errno));
			pause_shortly(&logger->pause);
		}
		if (logger->process.pid == 0 ||
		    !process_is_late(&logger->process, now_ms))
			continue;
		if (logger->is_reopening)
			logger_proc_on_reopened(logger, late);
		else if (logger->is_fresh && !logger->is_open)
			logger_proc_on_opened(logger, late);
	}
}

void
loggers_end(struct master *master)
{
	const char order = LOG_ORDER_END;
	uint64_t until_ms = clock_ms() + END_MS;
	struct logger_proc *logger, *next;

	/* Our own last lines, if its pipe is full. */
	while (master->logging != NULL && !log_catch_up() &&
	    clock_ms() < until_ms)
		(void)poll(NULL, 0, 1);
	log_use(STDERR_FILENO);
	master->logging = NULL;
	for (logger = TAILQ_FIRST(&master->loggers); logger != NULL;
	    logger = next) {
		next = TAILQ_NEXT(logger, link);
		if (logger->word != NULL)
			(void)send(event_get_fd(logger->word), &order, 1,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		logger->is_expected = true;
		logger_proc_retire(logger);
	}
	while (processes_reap(master), !TAILQ_EMPTY(&master->loggers) &&
	    clock_ms() < until_ms)
		(void)poll(NULL, 0, 1);
	/* The kernel ends it, unless it waits for a disk. */
	while ((logger = TAILQ_FIRST(&master->loggers)) != NULL) {
		process_kill(&logger->process, SIGKILL);
		logger_proc_forget(logger);
	}
}
