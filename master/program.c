/* SPDX-License-Identifier: ISC */
#include "master/program.h"

#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "master/signals.h"

enum { EXIT_NOT_RUN = 127 };

static void __attribute__((noreturn))
program_give_up(const char *what)
{
	dprintf(STDERR_FILENO, "cannot run: %s: %s\n", what, strerror(errno));
	_exit(EXIT_NOT_RUN);
}

static void
program_limit(int resource, rlim_t value, const char *what)
{
	struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

	if (value > 0 && setrlimit(resource, &limit) == -1)
		program_give_up(what);
}

static void
program_set_environment(const struct conf_handler *conf)
{
	/* Word to the service manager is the master's. */
	unsetenv("NOTIFY_SOCKET");
	for (size_t i = 0; i < conf->nenvironment; i++)
		if (setenv(conf->environment[i].key,
		    conf->environment[i].value, 1) == -1)
			program_give_up(conf->environment[i].key);
}

/* What both kinds have in common, once standard error is theirs. */
static void
program_settle_in(const struct conf_handler *conf,
    const struct identity *identity)
{
	/* A group of its own, so that what it starts can be ended with it. */
	if (setpgid(0, 0) == -1)
		program_give_up("setpgid");
	if (*conf->working_directory != '\0' &&
	    chdir(conf->working_directory) == -1)
		program_give_up(conf->working_directory);
	program_limit(RLIMIT_AS, conf->max_memory, "max_memory");
	program_limit(RLIMIT_NOFILE, conf->max_files, "max_files");
	if (privileges_drop(identity) == -1)
		program_give_up("user or group");
}

/* Only the owner of a pipe can open it by a name such as /dev/stdout.  A program
 * that does not do so runs well without. */
static void
program_give_standard(const struct identity *identity)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fchown(fd, identity->uid, identity->gid) == -1)
			return;
}

void
program_exec(const struct conf_handler *conf, const struct identity *identity,
    const struct program_fds *fds)
{
	signals_default_in_child();
	if (dup2(fds->stderr_pipe, STDERR_FILENO) == -1 ||
	    dup2(fds->requests != -1 ? fds->requests : fds->work,
		STDIN_FILENO) == -1 ||
	    dup2(fds->work, STDOUT_FILENO) == -1)
		program_give_up("dup2");
	fd_close_all_but(NULL, 0);
	if (identity->change)
		program_give_standard(identity);
	/* Programs expect to wait for their input. */
	if (fcntl(STDIN_FILENO, F_SETFL, O_RDWR) == -1)
		program_give_up("fcntl");
	program_set_environment(conf);
	program_settle_in(conf, identity);
	execvp(conf->command[0], conf->command);
	program_give_up(conf->command[0]);
}

void
program_host(const struct role *role, struct heritage *heritage,
    const struct identity *identity, const struct program_fds *fds)
{
	int keep[3], status;

	signals_reset_in_child();
	/* Our own lines go to the log itself, not through the pipe. */
	if (log_fd() == STDERR_FILENO)
		log_use(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC,
		    STDERR_FILENO + 1));
	if (dup2(fds->stderr_pipe, STDERR_FILENO) == -1)
		_exit(EXIT_NOT_RUN);
	keep[0] = log_fd();
	keep[1] = heritage->channel = fds->channel;
	keep[2] = heritage->work = fds->work;
	fd_close_all_but(keep, 3);
	program_set_environment(&heritage->conf->handlers[heritage->handler]);
	program_settle_in(&heritage->conf->handlers[heritage->handler],
	    identity);
	status = role->main(heritage);
	exit(status);
}
