/* SPDX-License-Identifier: ISC */
/*
 * From one generation to the next: the steps, which phase.c takes.
 *
 * Whatever goes wrong changes nothing.  First everything that the new generation
 * needs is made beside the old one: its sockets, bound but not listening, its
 * log, a worker for each slot.  When all of these are READY, they have to prove
 * themselves, see canary.h.  Then the new generation holds: the old workers stop
 * accepting and give it their connections.  When these have given what they can,
 * the reload is done.  The first start is the same, from nothing.
 */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "master/canary.h"
#include "master/probation.h"

struct conf;
struct generation;
struct master;

struct reload {
	struct generation *fresh;	/* owned; NULL: none is prepared */
	enum status_kind kind;		/* of that one, or the last */
	struct generation *back;	/* a reference; where a roll-back goes */
	struct why back_why;		/* and why */
	bool said_waiting;
	struct canary canary;
	uint64_t begun_ms;
	uint64_t retry_until_ms;	/* see reload_may_retry(); 0: not yet */
};

/* Whether the next generation could be begun now. */
bool reload_may_begin(struct master *);

/* Read the configuration, and log what is wrong with it.  Returns NULL then, and
 * says the first of it. */
struct conf *reload_load(const struct master *, struct why *);
/* The same for a command line: all of it goes to standard error. */
struct conf *reload_load_or_tell(const char *path, bool with_warnings);

/* Prepare a generation with a configuration, which is owned from here on; or the
 * one to go back to, if that is NULL. */
enum step reload_prepare(struct master *, struct conf *, struct why *);
/* Whether its workers and loggers are ready. */
enum step reload_look(const struct master *, struct why *);
/* Whether these wait for a handler that may never be ready. */
bool reload_waits_for_handlers(const struct master *);
/* All are: listen.  Returns -1 and says why. */
int reload_listen(struct master *, struct why *);
/* The new generation holds. */
void reload_commit(struct master *);

/* Release what was prepared, and report why. */
void reload_discard(struct master *);
void reload_report_refusal(struct master *, enum status_kind,
    uint64_t begun_ms, const char *why);

/* Order to go back to an earlier generation; or forget that. */
void reload_back(struct master *, struct generation *, const char *why);
void reload_forget_back(struct reload *);

/* The master did not run for that long. */
void reload_forgive(struct reload *, uint64_t stall_ms);

#endif
