/* SPDX-License-Identifier: ISC */
#include "master/pidfile.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/why.h"

static pid_t
pidfile_read_pid(int fd)
{
	char text[32];
	ssize_t n;
	long pid;

	if ((n = pread(fd, text, sizeof(text) - 1, 0)) <= 0)
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
		pid = pidfile_read_pid(fd);
	close(fd);
	return (pid);
}

/* Whether the file at a path is the one that is open. */
static bool
pidfile_is_at(const char *path, int fd)
{
	struct stat there, ours;

	return (lstat(path, &there) == 0 && fstat(fd, &ours) == 0 &&
	    there.st_ino == ours.st_ino && there.st_dev == ours.st_dev);
}

/* Returns -1 with errno set: EEXIST, and *owner, if another process has it
 * locked. */
static int
pidfile_lock_draft(const char *draft, pid_t *owner)
{
	int fd, saved;

	for (;;) {
		fd = open(draft, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
		    O_NONBLOCK, 0644);
		if (fd == -1)
			return (-1);
		if (flock(fd, LOCK_EX | LOCK_NB) == -1)
			break;
		if (pidfile_is_at(draft, fd))
			return (fd);
		/* Its owner has published or removed it just now. */
		close(fd);
	}
	saved = errno;
	if (saved == EWOULDBLOCK) {
		*owner = pidfile_read_pid(fd);
		saved = EEXIST;
	}
	close(fd);
	errno = saved;
	return (-1);
}

/* It may be read at any moment: its first line is a pid all the time. */
static int
pidfile_write_pid(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	return (pwrite(fd, text, (size_t)len, 0) == len &&
	    ftruncate(fd, len) == 0 ? 0 : -1);
}

static int
pidfile_try(struct pidfile *pidfile, const char *path, pid_t *owner)
{
	if ((pidfile->path = strdup(path)) == NULL)
		return (-1);
	if (*path == '\0')
		return (0);
	if (asprintf(&pidfile->draft, "%s.starting", path) == -1) {
		pidfile->draft = NULL;
		return (-1);
	}
	if ((pidfile->fd = pidfile_lock_draft(pidfile->draft, owner)) == -1)
		return (-1);
	/* With the draft locked, nobody else can get to its place. */
	if ((*owner = pidfile_owner(path)) > 0)
		errno = EEXIST;
	else if (*owner == 0 && pidfile_write_pid(pidfile->fd) == 0)
		return (0);
	return (-1);
}

int
pidfile_claim(struct pidfile *pidfile, const char *path, pid_t *owner)
{
	int saved;

	*pidfile = (struct pidfile){ .fd = -1 };
	*owner = 0;
	if (pidfile_try(pidfile, path, owner) == 0)
		return (0);
	saved = errno;
	pidfile_remove(pidfile);
	errno = saved;
	return (-1);
}

const char *
pidfile_explain(pid_t owner, struct why *why)
{
	if (owner > 0)
		why_set(why, "process %ld has it", (long)owner);
	else
		why_set(why, "%s", errno == EEXIST ?
		    "another process has it" : strerror(errno));
	return (why->text);
}

int
pidfile_publish(struct pidfile *pidfile)
{
	if (pidfile->draft == NULL)
		return (0);
	if (rename(pidfile->draft, pidfile->path) == -1)
		return (-1);
	free(pidfile->draft);
	pidfile->draft = NULL;
	return (0);
}

int
pidfile_renew(const struct pidfile *pidfile)
{
	if (pidfile->fd == -1 || pidfile_read_pid(pidfile->fd) == getpid())
		return (0);
	return (pidfile_write_pid(pidfile->fd));
}

void
pidfile_remove(struct pidfile *pidfile)
{
	const char *path = pidfile->draft != NULL ? pidfile->draft :
	    pidfile->path;

	if (pidfile->fd != -1) {
		if (pidfile_is_at(path, pidfile->fd))
			unlink(path);
		close(pidfile->fd);
	}
	free(pidfile->path);
	free(pidfile->draft);
	*pidfile = (struct pidfile){ .fd = -1 };
}

int
pidfiles_prepare(struct pidfiles *pidfiles, const char *path, pid_t *owner)
{
	if (strcmp(path, pidfiles->now.path) == 0 ||
	    pidfile_claim(&pidfiles->next, path, owner) == 0)
		return (0);
	/* Another name of the file that we have. */
	return (*owner == getpid() ? 0 : -1);
}

void
pidfiles_undo(struct pidfiles *pidfiles)
{
	pidfile_remove(&pidfiles->next);
}

void
pidfiles_commit(struct pidfiles *pidfiles)
{
	if (pidfiles->next.path == NULL)
		return;
	pidfile_remove(&pidfiles->now);
	pidfiles->now = pidfiles->next;
	pidfiles->next = (struct pidfile){ .fd = -1 };
}
