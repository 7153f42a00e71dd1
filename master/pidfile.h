/* SPDX-License-Identifier: ISC */
/*
 * The pid file: where a running master is found.
 *
 * The master holds a lock on the file (flock(2)) as long as it lives.  So a file
 * without an owner is known as stale, even if its pid is in use again.  The file
 * appears, whole and locked, when all workers accept.  Until then it is a draft,
 * "<path>.starting", written and locked before anything else is done: of two
 * masters that start with one path, the second one finds the lock of the first
 * one, and a directory that cannot be written to is known at once.
 */
#ifndef MASTER_PIDFILE_H
#define MASTER_PIDFILE_H

#include <sys/types.h>

struct why;

struct pidfile {
	char *path;		/* "": there is none; NULL: not claimed */
	char *draft;		/* NULL: it is in its place */
	int fd;			/* locked; -1 */
};

/* Those of a master. */
struct pidfiles {
	struct pidfile now;
	struct pidfile next;	/* of a reload that changes it, until that is
				   in effect */
};

/* Write and lock the draft.  Returns -1 with errno set; EEXIST, and *owner (0:
 * not known), if a live process has the file or its draft. */
int pidfile_claim(struct pidfile *, const char *path, pid_t *owner);

/* Say why it could not be claimed, as errno and the owner tell; returns why. */
const char *pidfile_explain(pid_t owner, struct why *);

/* Move the draft to its place.  Returns -1 with errno set; it can be tried
 * again. */
int pidfile_publish(struct pidfile *);

/* Claim the file of a reload, if it is another one. */
int pidfiles_prepare(struct pidfiles *, const char *path, pid_t *owner);
void pidfiles_undo(struct pidfiles *);

/* If another one was prepared, it takes the place of that which was there. */
void pidfiles_commit(struct pidfiles *);

/* See that a file which was taken over has our pid, not that of a master that
 * died.  Returns -1 with errno set. */
int pidfile_renew(const struct pidfile *);

/* Remove the file, or its draft, if it is there and ours. */
void pidfile_remove(struct pidfile *);

/* The live process that has the file at path; 0 if there is none, -1 with errno
 * set if the file cannot be read. */
pid_t pidfile_owner(const char *path);

#endif
