/* SPDX-License-Identifier: ISC */
/*
 * Standard error of a handler's program: each line goes to the log, with the
 * name of the handler.  Each handler has a limit of its own, so that a flood of
 * one handler does not suppress the lines of another.  The check run of an
 * upgrade has no handler, but is logged in the same way.
 */
#ifndef MASTER_STDERR_LINE_H
#define MASTER_STDERR_LINE_H

#include <event2/event.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/log.h"

enum { STDERR_LINE_MAX = 512 };

struct stderr_line {
	struct event *event;		/* owned, and with it the descriptor: */
	int fd;				/* -1: it is closed */
	const char *handler;		/* borrowed; NULL: see above */
	struct log_limit *limit;	/* borrowed: the handler's */
	pid_t pid;
	char text[STDERR_LINE_MAX];	/* the line that is not at its end */
	size_t len;
	char last[STDERR_LINE_MAX];	/* the last whole one; "" */
};

/* Read from fd, which is owned from here on; on failure it is still the
 * caller's.  Returns -1 with errno set. */
int stderr_line_open(struct stderr_line *, struct event_base *, int fd,
    const char *handler, struct log_limit *, pid_t);

/* Go on from what was read before the program was exchanged. */
int stderr_line_resume(struct stderr_line *, struct event_base *,
    const char *handler, struct log_limit *, pid_t);

/* Take what is there, and close. */
void stderr_line_close(struct stderr_line *);

/* Tell how many lines of a handler were left out in a second that is over. */
void stderr_line_tell_suppressed(const char *handler, struct log_limit *);

#endif
