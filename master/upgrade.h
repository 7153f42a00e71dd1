/* SPDX-License-Identifier: ISC */
/*
 * Upgrade in place: from one program to the next, with the same pid, sockets,
 * processes, counters and log.
 *
 * The new program is first run with -t and the state of this master (state.h).
 * It has to read all of the state, find the configuration good, and say so.
 * Then the master executes the file that was checked.  All descriptors stay
 * open, so that the other processes do not notice.  The new master takes over
 * (adopt.h) and reloads.
 *
 * Until the exec, any failure changes nothing.  A new program that cannot take
 * over executes the previous program.  If the new program dies or hangs before
 * its first reload is done, the keeper (keeper.h) executes the previous one: with
 * another pid, and with processes that are not its children (process.h), which
 * it replaces at once.
 *
 * The previous release does not know our version of the state.  Its check run
 * fails, and succeeds with the previous version.  Then all processes first have
 * to speak the previous version of the control protocol too.
 */
#ifndef MASTER_UPGRADE_H
#define MASTER_UPGRADE_H

#include <sys/types.h>

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/why.h"
#include "master/process.h"
#include "master/state.h"
#include "master/stderr_line.h"

struct generation;
struct master;

struct upgrade {
	char **argv;			/* owned; as we were started */
	char *path;			/* owned; where the program is found */
	bool passed;			/* the check run; the exec is next */
	enum state_task task;
	unsigned format;		/* STATE_VERSION that the program knows */
	bool refused;			/* by a canary: to the previous program
					   it is an upgrade that was refused */
	struct generation *back;	/* a reference; of a roll-back */
	struct why reason;		/* likewise */
	int program;			/* that is checked; -1: none */
	unsigned newborn_speaks;	/* CTL_VERSION of new processes: that
					   of the master that will have them */
	struct process check;		/* the check run */
	uint64_t check_until_ms;
	bool overdue;
	int answer;			/* what the check run has to say; -1 */
	int before;			/* the previous program, for a keeper;
					   -1 */
	struct stderr_line errors;
	struct log_limit errors_limit;
	/* Only in a state: */
	unsigned speaks;		/* CTL_VERSION, on all channels, in the
					   previous version */
	int log;			/* -1: standard error */
	int previous;			/* the program that wrote it; -1 */
	char version[64];		/* of that program */
};

/* What a program finds that was executed by another one. */
struct upgrade_legacy {
	int state;			/* -1: it is not an upgrade */
	int previous;			/* the program before this one; -1 */
	const char *refused;		/* by the next program; NULL: not */
};

/* Note how this program was started; path is NULL without /proc.  Called before
 * the title is changed.  Returns -1 with errno set. */
int upgrade_init(struct upgrade *, int argc, char *argv[]);
void upgrade_free(struct upgrade *);

/* Read what is left in the environment, and remove it from there. */
void upgrade_inherit(struct upgrade_legacy *);

/* Be the check run: returns the exit status. */
int upgrade_check(struct master *, const struct upgrade_legacy *);

/* Take over; the loop is there already.  Returns -1 if that has failed, and
 * the previous program could not be executed either. */
int upgrade_take_over(struct master *, const struct upgrade_legacy *);

/* Begin to check the program that is found now. */
void upgrade_begin(struct master *);

/* Go back to the program and generation that the probation compares with. */
void upgrade_back(struct master *);

/* Whether one could begin: no check run is left. */
bool upgrade_may_begin(const struct upgrade *);

/* Whether a new program is being checked, or about to be executed. */
bool upgrade_is_under_way(const struct upgrade *);

/* Give up what is checked. */
void upgrade_forget(struct upgrade *);

/* The same, and what was ordered, and report why. */
void upgrade_abort(struct master *, const char *why);

/* Look, and take the next step if it is time. */
void upgrade_run(struct master *);

/* The master did not run for that long: it does not count for a check. */
void upgrade_forgive(struct upgrade *, uint64_t stall_ms);

/* The workers of the first reload after an upgrade accept, or have taken over:
 * if this program dies now, the previous one has to know them. */
void upgrade_advance(struct master *);

/* The first reload after an upgrade is done or refused: from now on, this is the
 * program. */
void upgrade_done(struct master *);

#endif
