/* SPDX-License-Identifier: ISC */
/*
 * Who the children are: a master that was started as root keeps that to itself.
 */
#ifndef MASTER_PRIVILEGES_H
#define MASTER_PRIVILEGES_H

#include <sys/types.h>

#include <stdbool.h>

#include "conf/conf.h"

struct why;

struct identity {
	bool change;		/* false: the children are who the master is */
	uid_t uid;
	gid_t gid;
};

/* Look up the configured user and group.  Returns -1 and says why. */
int privileges_find(const struct conf *, struct identity *, struct why *);

/* The same in a process of its own, which is given up if the name service does
 * not answer. */
int privileges_ask(const struct conf *, struct identity *, struct why *);

/* In a child: become that identity, for good.  Returns -1 with errno set. */
int privileges_drop(const struct identity *);

#endif
