/* SPDX-License-Identifier: ISC */
/*
 * An executor as the master sees it: a process that runs the user's code for one
 * handler of one worker.  Which ones there are is decided in crew.c.
 */
#ifndef MASTER_EXECUTOR_PROC_H
#define MASTER_EXECUTOR_PROC_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/why.h"
#include "conf/conf.h"
#include "master/process.h"
#include "master/stderr_line.h"

struct executor_proc;
struct generation;
struct worker_proc;

/* The first three have the same numbers in the previous version of the state. */
enum executor_state {
	EXECUTOR_STARTING,
	EXECUTOR_SERVING,	/* its worker has the channel */
	EXECUTOR_LEAVING,	/* its worker is gone: it sees the end of its
				   input, and is to exit */
	EXECUTOR_HUNG_UP,	/* its channel has ended: it is to die soon */
	EXECUTOR_DISOWNED,	/* it was killed, and its worker knows why */
	EXECUTOR_KEPT,		/* its worker is gone: a roll-back may use it */
	EXECUTOR_DEAD		/* reaped; its worker is to say more */
};

/* What its crew does about it. */
struct executor_events {
	/* Its worker is to get it.  Called again until that has been done. */
	void (*on_ready)(struct executor_proc *);
	void (*on_death)(struct executor_proc *);
};

struct executor_proc {
	TAILQ_ENTRY(executor_proc) link;	/* in a crew, or master->leaving or
					   master->kept */
	struct process process;
	const struct executor_events *events;
	struct worker_proc *worker;	/* NULL when leaving or kept */
	const struct conf_handler *conf;	/* of generation */
	struct generation *generation;	/* a reference */
	unsigned handler;
	uint64_t id;			/* never used again */
	enum executor_state state;
	int work;			/* the worker's end, of which it gets
					   a copy; -1 when leaving */
	int requests;			/* the same, where work is a pipe that
					   brings replies: where its requests
					   go; or -1 */
	unsigned work_speaks;		/* CTL_VERSION there */
	struct event *word;		/* waits to hear that it is ready */
	struct stderr_line errors;
	bool is_ready;			/* its worker gets it when it can */
	bool asked;			/* SIGTERM has been sent */
	bool is_told;			/* to its worker, of its death */
	bool retired;			/* another one has its place */
	uint64_t lived_ms;		/* of a dead or retired one */
	struct why why;			/* what went wrong with it */
};

TAILQ_HEAD(executor_list, executor_proc);

/* Fork an executor for a worker.  The caller puts it into a list.  Returns NULL
 * with errno set. */
struct executor_proc *executor_proc_new(struct worker_proc *, unsigned handler,
    const struct executor_events *);

/* Take over an executor that another program has started, as it was read.
 * Returns -1 with errno set. */
int executor_proc_adopt(struct master *, struct executor_proc *,
    const struct executor_events *);

/* It has gone as it was to: log that, and free it. */
void executor_proc_see_off(struct executor_proc *);
void executor_proc_free(struct executor_proc *);

/* What is wrong with it, before what is known already. */
void executor_proc_blame(struct executor_proc *, const char *what);

/* It is of no more use: kill it. */
void executor_proc_disown(struct executor_proc *);

/* Its channel has ended: it has some time to die. */
void executor_proc_expect_death(struct executor_proc *);

/* Its worker has nothing to do with it any more.  The caller moves it into
 * another list. */
void executor_proc_leave(struct executor_proc *);
void executor_proc_keep(struct executor_proc *);

/* Ask one that leaves to do so at once, and give it that many milliseconds. */
void executor_proc_hurry(struct executor_proc *, uint64_t ms);

/* Whether nothing of it waits to be read: one that writes unasked, or is about
 * to die, is of no use. */
bool executor_proc_is_silent(const struct executor_proc *);

/* Whether it has not said for seconds that it is ready. */
bool executor_proc_is_late(const struct executor_proc *, uint64_t now_ms);

/* Called with the master's tick. */
void executor_proc_watch(struct executor_proc *, uint64_t now_ms);

/* A line of the log, with one more field if value is not NULL. */
void executor_proc_log(enum log_level, enum log_event,
    const struct executor_proc *,
    const char *key, const char *value);

#endif
