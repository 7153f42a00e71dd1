/* SPDX-License-Identifier: ISC */
/*
 * What all processes below the master have in common: birth, the channel, time
 * to do what is expected of them, and death.
 *
 * A process is in master->processes from its birth until it is reaped.  What it
 * says and what its death means is the business of its kind.
 */
#ifndef MASTER_PROCESS_H
#define MASTER_PROCESS_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/channel.h"

struct master;
struct process;

/* The owner is the first argument of each. */
struct process_kind {
	/* A message whose sender, length and generation already hold. */
	void (*on_message)(void *, struct ctl *);
	/* It sent nonsense, or does not read its orders. */
	void (*on_misconduct)(void *, const char *why);
	/* It has closed its channel: it has died, or is about to. */
	void (*on_hangup)(void *);
	/* It was reaped, with that status of waitpid(2) or DEATH_UNSEEN.  The
	 * channel is left, for its last words. */
	void (*on_death)(void *, int status);
};

struct process {
	TAILQ_ENTRY(process) link;	/* in master->processes, if pid != 0 */
	struct master *master;
	const struct process_kind *kind;
	void *owner;
	pid_t pid;			/* 0: none */
	uint64_t generation;		/* its number */
	struct channel *channel;	/* owned; NULL: none, or it has ended */
	int fd;				/* of the channel, and the version that
					   it speaks, until a process is
					   adopted; -1 */
	unsigned speaks;
	uint64_t born_ms;
	uint64_t patience_ms;		/* when it is killed; 0: never */
	const char *patience_for;	/* what has not happened then */
	bool is_suspected;		/* the last tick found it hung */
};

TAILQ_HEAD(process_list, process);

/*
 * Fork.  Returns as fork(2) does, with errno set.
 *
 * If channel is not NULL, the child finds its end of a channel there.  If the
 * master cannot listen at the other end, process->channel is NULL with errno
 * set, and the child sees the end of its channel at once.
 */
pid_t process_fork(struct process *, uint64_t generation, int *channel,
    unsigned speaks);

/* Take over a process that another program has forked, with its pid and
 * channel.  Returns -1 with errno set. */
int process_adopt(struct process *, uint64_t generation);

/*
 * Send it a message with copies of descriptors; fds may be NULL.  While the
 * process does not read or the kernel is short of something, a few messages are
 * kept and sent later; not reading even those is misconduct.  Returns -1 if a
 * descriptor cannot be sent now: the caller tries again later.
 */
int process_tell(struct process *, enum ctl_type, const void *payload,
    const int fds[CTL_FDS_MAX]);

/* Give it that many milliseconds to do what is expected. */
void process_await(struct process *, uint64_t ms, const char *what);

/* Whether that time is over. */
bool process_is_late(const struct process *, uint64_t now_ms);

/*
 * Whether two ticks in a row have found that it is hung: one look can be at a
 * machine that has just come back, where the process has not had its turn yet.
 */
bool process_is_hung(struct process *, bool seems_hung);

/* The master did not run for that long: no process has used its time. */
void processes_forgive(struct master *, uint64_t stall_ms);

/* Bury all that have died, or the one with that pid. */
void processes_reap(struct master *);
void process_reap(struct master *, pid_t, int status);

#endif
