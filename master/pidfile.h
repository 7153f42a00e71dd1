/* SPDX-License-Identifier: ISC */
/*
 * The pid file: where a running master is found.
 *
 * The master holds a lock on it (flock(2)) as long as it lives, so that a file
 * whose owner is gone is known as stale whoever has its pid now.  It appears,
 * whole and locked, when all workers accept.
 */
#ifndef MASTER_PIDFILE_H
#define MASTER_PIDFILE_H

#include <sys/types.h>

struct pidfile {
	char *path;		/* NULL: there is none */
	int fd;
};

/* Remember the path.  Returns -1 with errno set; EEXIST, and *owner, if a live
 * process has the file. */
int pidfile_init(struct pidfile *, const char *path, pid_t *owner);

/* Write the file.  Returns -1 with errno set. */
int pidfile_write(struct pidfile *);

/* Remove it if it is there and ours. */
void pidfile_remove(struct pidfile *);

/* The live process that has the file at path; 0 if there is none, -1 with errno
 * set if the file cannot be read. */
pid_t pidfile_owner(const char *path);

#endif
