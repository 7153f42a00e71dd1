/* SPDX-License-Identifier: ISC */
#include "master/daemon.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "master/options.h"

bool
daemon_is_null(int fd)
{
	struct stat st;

	return (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	    st.st_rdev == makedev(1, 3));	/* null(4) */
}

bool
daemon_may_keep(int fd)
{
	struct stat st;

	return (daemon_is_null(fd) ||
	    (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)));
}

/* Wait for the daemon's word, or its end; then go as it went. */
static void
daemon_wait_and_exit(int fd, pid_t child)
{
	char byte;
	ssize_t n;
	int status;

	do {
		n = read(fd, &byte, 1);
	} while (n == -1 && errno == EINTR);
	if (n == 1)
		_exit(EXIT_FINE);
	if (waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	    WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status));
	_exit(EXIT_FAILED);
}

int
daemon_start(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return (-1);
	if ((pid = fork()) == -1) {
		close(fds[0]);
		close(fds[1]);
		return (-1);
	}
	if (pid > 0) {
		close(fds[1]);
		daemon_wait_and_exit(fds[0], pid);
	}
	close(fds[0]);
	/* A session of its own: no terminal can signal it. */
	(void)setsid();
	/* Whoever waits for the end of our output need not wait for ours. */
	fd_redirect_to_null(STDIN_FILENO);
	fd_redirect_to_null(STDOUT_FILENO);
	return (fds[1]);
}

void
daemon_ready(int *fd)
{
	if (*fd == -1)
		return;
	/* From here on only the log reports errors. */
	if (!log_is_stderr())
		fd_redirect_to_null(STDERR_FILENO);
	(void)!write(*fd, "", 1);
	close(*fd);
	*fd = -1;
}
