/* SPDX-License-Identifier: ISC */
/*
 * The loggers as the master sees them: one for each log file.
 *
 * A logger has one file and one pipe; a logger that replaces it takes over both.
 * Another file is another logger: the reload that needs it starts it, and the
 * previous logger exits when no process can write to its pipe any more.  After
 * an upgrade, the new program starts its own loggers, and the previous ones exit
 * in the same way.
 *
 * Standard error needs a logger only if it is a file: a write to a pipe or a
 * terminal need not wait (common/log.h).
 */
#ifndef MASTER_LOGGER_PROC_H
#define MASTER_LOGGER_PROC_H

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/why.h"
#include "conf/conf.h"
#include "master/pause.h"
#include "master/phase.h"
#include "master/process.h"

struct master;

enum logger_kind {
	LOGGER_LOG,
	LOGGER_ACCESS_LOG,
};

struct logger_proc {
	TAILQ_ENTRY(logger_proc) link;
	enum logger_kind kind;
	char *path;			/* owned; "": standard error */
	struct process process;
	int pipe[2];			/* owned; [1] is -1 when it is to end */
	struct event *word;		/* owned, with its descriptor; NULL */
	bool is_fresh;			/* a reload waits for it */
	struct why why;			/* a fresh one cannot be opened */
	bool is_open;			/* it has said so */
	bool is_announced;		/* it takes the place of what another
					   program has left, once it is open */
	bool is_expected;		/* to exit, with any status */
	bool is_reopening;		/* it has not answered */
	struct pause pause;
};

TAILQ_HEAD(logger_list, logger_proc);

/* Begin the log of the first configuration; its file is opened at once.  Returns
 * -1 with errno set. */
int loggers_start(struct master *, const struct conf *);

/* Start those that a configuration needs and that are not there.  Returns -1 and
 * says why. */
int loggers_prepare(struct master *, const struct conf *, struct why *);
/* Whether these are open. */
enum step loggers_look(const struct master *, struct why *);
/* End those that the running generation does not need. */
void loggers_trim(struct master *);
/* The running generation is another one now. */
void loggers_commit(struct master *);

/* Start what the running generation needs, after an upgrade. */
void loggers_adopt(struct master *);

/* The end of the pipe for the access log, which stays owned here; -1. */
int loggers_access_log(const struct master *, const struct conf *);

/* Have all of them open their files again, and log how that went. */
void loggers_reopen(struct master *);

/* Called with the master's tick. */
void loggers_watch(struct master *);

/* Let them write what there is, wait a short time for that, and end them.  From
 * then on, the log is standard error. */
void loggers_end(struct master *);

#endif
