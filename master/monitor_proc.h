/* SPDX-License-Identifier: ISC */
/*
 * The monitor as the master sees it: its sockets, birth, death and replacement.
 *
 * The master holds the listening sockets.  While there is no monitor, a client
 * waits in their queue, and the next monitor answers it.  A monitor only knows
 * what it was born with (names, mappings, configuration), so each generation
 * gets a new one.  No other process depends on it.
 */
#ifndef MASTER_MONITOR_PROC_H
#define MASTER_MONITOR_PROC_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "master/pause.h"
#include "master/process.h"
#include "master/socket.h"

struct master;
struct why;

struct monitor_proc {
	struct process process;
	struct sockets sockets;		/* owned */
	bool muted;			/* of the generation that is prepared:
					   the default address is taken */
	bool due;			/* one is to be started */
	bool leaving;			/* told to stop */
	struct pause pause;
	uint64_t beat_ms;		/* when its loop last turned */
};

/* Bind what the configuration wants of it, in the two steps of a reload: as
 * sockets_prepare(), sockets_undo(), sockets_listen(). */
int monitor_proc_prepare(struct master *, const struct conf *, struct why *);
void monitor_proc_undo(struct master *);
int monitor_proc_listen(struct master *, const struct conf *, struct why *);
/* The running generation is another one now. */
void monitor_proc_commit(struct master *);

/* Have it exit at once. */
void monitor_proc_stop(struct master *);

/* Called with the master's tick. */
void monitor_proc_watch(struct master *);

/* Start another one if that is due. */
void monitor_proc_revive(struct master *);

/* The master did not run for that long: the monitor has not used its time. */
void monitor_proc_forgive(struct master *, uint64_t stall_ms);

/* Take over one that another program has forked, as it was read.  Returns -1
 * with errno set. */
int monitor_proc_adopt(struct master *);

void monitor_proc_free(struct master *);

#endif
