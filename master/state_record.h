/* SPDX-License-Identifier: ISC */
/*
 * The records of a state (state.h), and how one of them is written and read.
 *
 * A record is a line: its name, and a field for each row that state_record.c
 * has of it.  A row says where in a struct of the master the field is written
 * from and read to.  What has no such struct is put into one of those below.
 */
#ifndef MASTER_STATE_RECORD_H
#define MASTER_STATE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "master/anchor_proc.h"
#include "master/master.h"

/* The first line, with the version behind it, and the last one. */
#define STATE_HEAD "penstock-state "
#define STATE_TAIL "end\n"

enum state_record {
	STATE_SERVER, STATE_LISTENER, STATE_HANDLER, STATE_GENERATION,
	STATE_SLOT, STATE_GROUP, STATE_SOCKET, STATE_WORKER, STATE_SHORTAGE,
	STATE_EXECUTOR, STATE_REPORT, STATE_DEPARTURE, STATE_AWAITED,
	STATE_MONITOR, STATE_ANCHOR, STATE_RECORDS
};

struct saved_slot {
	int counters;
	struct pause pause;
};

struct saved_socket {
	unsigned group;		/* the n-th of these */
	int fd;
};

struct saved_shortage {
	struct worker_proc *worker;
	unsigned handler;
	struct shortage shortage;
};

/* A worker that has gone. */
struct saved_departure {
	unsigned report;	/* the n-th of these */
	unsigned slot;
	unsigned ms;		/* until then */
};

/* A worker whose end a report awaits. */
struct saved_awaited {
	struct worker_proc *worker;
	unsigned report;
	struct counters_fates fates;
	uint64_t longest_us;
};

/* A line that was read.  Its strings are its own, and it has a reference to its
 * generation. */
union state_item {
	char *name;		/* of a listener or handler */
	struct generation generation;
	struct saved_slot slot;
	struct socket_group group;
	struct saved_socket socket;
	struct worker_proc worker;
	struct saved_shortage shortage;
	struct executor_proc executor;
	struct succession_report report;
	struct saved_departure departure;
	struct saved_awaited awaited;
	struct monitor_proc monitor;
	struct anchor_proc anchor;
};

struct state_writer {
	unsigned version;
	FILE *out;		/* NULL: see to descriptors instead */
	int fd_flags;		/* that these are to have */
	int wrong;		/* errno; 0 */
};

struct state_reader {
	struct master *master;
	const char *at;
	const char *end;
	unsigned line;
	unsigned version;
	int *owned;		/* descriptors; and processes, as -pid */
	size_t nowned;
	struct why *why;
};

void state_record_write(struct state_writer *, enum state_record,
    const void *item);

/* Read the first line.  Returns -1 and says why it is wrong. */
int state_record_read_head(struct state_reader *);

/* Read the next record; the first one is that of the server, which is read into
 * the master.  Returns 0 at the end; or -1, and says what is wrong: then the item
 * may have a part of it. */
int state_record_read(struct state_reader *, enum state_record *,
    union state_item *);

/* Free what an item still has. */
void state_record_drop(enum state_record, union state_item *);

/* Say why the text cannot be taken.  Returns -1. */
int state_reject(struct state_reader *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
