/* SPDX-License-Identifier: ISC */
/*
 * What all processes below the master have in common: birth, the channel, time
 * to do what is expected of them, signals, and death.
 *
 * A process is in master->processes from its birth until its owner has no more
 * use for it.  What it says and what its death means is the business of its
 * kind.
 *
 * A master that took over from one that died supervises processes that are not
 * its children: foster processes.  The kernel reports their end to another
 * process, so that each is watched by a descriptor (pidfd_open(2)).
 */
#ifndef MASTER_PROCESS_H
#define MASTER_PROCESS_H

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/channel.h"

struct heritage;
struct identity;
struct master;
struct role;

/* The owner is the first argument of each.  What a kind cannot meet is NULL. */
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
	/* It makes a process group of its own: what it starts gets its signals,
	 * and is killed when it has died. */
	bool leads_group;
	/* It writes to the log, and gets the place of it. */
	bool writes_log;
	/* It can clone children of ours, and says so. */
	bool clones;
	/* The previous release does not know such processes: in a downgrade, the
	 * channel ends. */
	bool is_new;
};

struct process {
	TAILQ_ENTRY(process) link;	/* in master->processes */
	struct master *master;
	const struct process_kind *kind;
	void *owner;
	pid_t pid;			/* 0: none, or not yet */
	bool is_listed;			/* in master->processes */
	bool is_alive;			/* not reaped: the pid is its own */
	struct event *end;		/* of a foster process: owned, with its
					   pidfd, or a timer without one */
	uint64_t generation;		/* the number that it was born with */
	struct channel *channel;	/* owned; NULL: none, or it has ended */
	int fd;				/* that of the channel, and the */
	unsigned speaks;		/* CTL_VERSION there: in a state */
	uint64_t born_ms;
	uint64_t patience_ms;		/* when that is over; 0: never */
	const char *patience_for;	/* what has not happened then */
	bool is_suspected;		/* the last tick found it hung */
	bool log_due;			/* LOG could not be sent yet */
};

TAILQ_HEAD(process_list, process);

/* Say whose it is and of which kind, before it is forked or adopted. */
void process_init(struct process *, struct master *,
    const struct process_kind *, void *owner);

/*
 * Fork.  Returns as fork(2) does, with errno set.
 *
 * If channel is not NULL, the child finds its end of a channel there.  If the
 * master cannot listen at the other end, process->channel is NULL with errno
 * set, and the child sees the end of its channel at once.
 */
pid_t process_fork(struct process *, uint64_t generation, int *channel,
    unsigned speaks);

/*
 * A child of ours that another one clones: it comes later.  Until then it has no
 * pid, and its channel keeps what it is told.  Owns fd from then on.  Returns -1
 * with errno set, and the caller still owns fd.
 */
int process_expect(struct process *, uint64_t generation, int fd,
    unsigned speaks);

/* It is there, another process says.  Returns -1 if that is no child of ours, or
 * another one of those that we know. */
int process_arrive(struct process *, pid_t);

/* In a child, just forked: become the role that it was forked for, which has
 * nothing open but what it inherits and the log.  Returns only if that has
 * failed, with errno set. */
void process_become(const struct master *, const struct role *,
    struct heritage *, const struct identity *);

/* Take over a process that another program has forked, as it was read.  Returns
 * -1 with errno set. */
int process_adopt(struct process *, uint64_t generation);

/* Its owner has no more use for it.  One that was not reaped is on its own. */
void process_end(struct process *);

/*
 * Send it a message.  While the process does not read or the kernel is short of
 * something, a few messages are kept and sent later; not reading even those is
 * misconduct.
 */
void process_tell(struct process *, enum ctl_type, const void *payload);

/* Send it a message with copies of one or two descriptors; the second may be
 * -1.  Returns -1 if that cannot be done now: the caller tries again later. */
int process_pass(struct process *, enum ctl_type, const void *payload, int fd,
    int fd2);

/* Send it a message that may get lost: that is left out while the process does
 * not read, and never takes the room of what may not. */
void process_hint(struct process *, enum ctl_type, const void *payload);

/* Let a process, or all that write to the log, write to it as it is now.  A
 * process that has not read its orders gets one LOG later, however many were due
 * meanwhile. */
void process_use_log(struct process *);
void processes_use_log(struct master *);

/* Send what could not be sent before; called with the master's tick. */
void processes_tick(struct master *);

/* Whether a process that reads its orders could be passed a descriptor. */
bool process_has_room(const struct process *);

/* The CTL_VERSION that it understands. */
unsigned process_speaks(const struct process *);

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

/* Send a signal to a process that was not reaped, and to what it has started if
 * it leads a group. */
void process_kill(const struct process *, int number);

/* Whether it is not a child of ours; and whether there is one. */
bool process_is_foster(const struct process *);
bool processes_have_foster(const struct master *);

/* Bury all that have died. */
void processes_reap(struct master *);

#endif
