/* SPDX-License-Identifier: ISC */
#include "master/pidfile.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pid_t
read_pid(int fd)
{
	char text[32];
	ssize_t n;
	long pid;

	if ((n = read(fd, text, sizeof(text) - 1)) <= 0)
		return (0);
	text[n] = '\0';
	pid = strtol(text, NULL, 10);
	return (pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0);
}

pid_t
pidfile_owner(const char *path)
{
	pid_t pid = 0;
	int fd;

	/* O_NONBLOCK: somebody may have put a FIFO there. */
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1)
		return (errno == ENOENT ? 0 : -1);
	if (flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK)
		pid = read_pid(fd);
	close(fd);
	return (pid);
}

int
pidfile_init(struct pidfile *pidfile, const char *path, pid_t *owner)
{
	*pidfile = (struct pidfile){ .fd = -1 };
	if (*path == '\0')
		return (0);
	if ((*owner = pidfile_owner(path)) == -1)
		return (-1);
	if (*owner > 0) {
		errno = EEXIST;
		return (-1);
	}
	pidfile->path = strdup(path);
	return (pidfile->path == NULL ? -1 : 0);
}

static int
write_pid(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (write(fd, text, (size_t)len) == len)
		return (0);
	return (-1);
}

int
pidfile_write(struct pidfile *pidfile)
{
	char *draft;
	int saved;

	if (pidfile->path == NULL || pidfile->fd != -1)
		return (0);
	/* Made under another name, so that nobody meets it half-done. */
	if (asprintf(&draft, "%s.%ld", pidfile->path, (long)getpid()) == -1)
		return (-1);
	pidfile->fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
	    O_NOFOLLOW, 0644);
	if (pidfile->fd == -1)
		goto fail;
	if (flock(pidfile->fd, LOCK_EX | LOCK_NB) == -1 ||
	    write_pid(pidfile->fd) == -1 ||
	    rename(draft, pidfile->path) == -1)
		goto fail;
	free(draft);
	return (0);
fail:
	saved = errno;
	if (pidfile->fd != -1) {
		unlink(draft);
		close(pidfile->fd);
		pidfile->fd = -1;
	}
	free(draft);
	errno = saved;
	return (-1);
}

/* Whether the file at the path is the one that we wrote. */
static int
is_ours(const struct pidfile *pidfile)
{
	struct stat there, ours;

	return (stat(pidfile->path, &there) == 0 &&
	    fstat(pidfile->fd, &ours) == 0 &&
	    there.st_ino == ours.st_ino && there.st_dev == ours.st_dev);
}

void
pidfile_remove(struct pidfile *pidfile)
{
	if (pidfile->fd != -1) {
		if (is_ours(pidfile))
			unlink(pidfile->path);
		close(pidfile->fd);
	}
	free(pidfile->path);
	*pidfile = (struct pidfile){ .fd = -1 };
}
