/* SPDX-License-Identifier: ISC */
/*
 * Processes that this master has taken over without being their parent: those of
 * a master that died.  The kernel reports their end to another process, so that
 * each is watched by a descriptor (pidfd_open(2)).
 */
#ifndef MASTER_FOSTER_H
#define MASTER_FOSTER_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>

struct foster;
struct master;

TAILQ_HEAD(foster_list, foster);

/* Watch a process that was taken over, if it is not a child of ours.  Returns -1
 * with errno set. */
int foster_watch(struct master *, pid_t);

/* As kill(2), for a process that may be a foster; and for the group that it
 * leads.  The number of a foster can be another process's when we have not heard
 * of its end yet: the signal goes by the descriptor. */
int foster_kill(const struct master *, pid_t, int number);
int foster_kill_group(const struct master *, pid_t, int number);

/* Whether there was one that is not a child of ours. */
bool foster_any(const struct master *);

void fosters_free(struct master *);

#endif
