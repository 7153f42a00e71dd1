/* SPDX-License-Identifier: ISC */
/*
 * What a child is born with: filled by the master, read by the role's entry.  A
 * child that looks elsewhere for its start in life is a bug.
 *
 * Every descriptor in it is the child's own; the master has seen to it that no
 * other is open above 2, but for the log's.
 */
#ifndef COMMON_HERITAGE_H
#define COMMON_HERITAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"
#include "common/spans.h"
#include "common/status.h"
#include "conf/conf.h"

/* A listening socket to accept from. */
struct heritage_socket {
	int fd;
	unsigned listener;		/* index in conf->listeners */
};

/* A generation that has workers when this one is born, which may hand over to
 * it. */
struct heritage_ancestor {
	uint64_t generation;
	const struct conf *conf;
	const unsigned *listener_number;	/* as in struct heritage */
};

struct heritage {
	unsigned slot;
	uint64_t generation;
	const struct conf *conf;
	int channel;			/* our end; the master has the other */
	unsigned speaks;		/* CTL_VERSION on it, to begin with */
	struct heritage_socket *sockets;
	size_t nsockets;
	/* The number that each listener of conf has in struct
	 * counters_block. */
	unsigned listener_number[CONF_LISTENERS_MAX];
	unsigned handler_number[CONF_HANDLERS_MAX];
	struct heritage_ancestor *ancestors;
	size_t nancestors;
	unsigned slots;			/* workers that share what is "over all
					   workers" */
	/* The mappings of all slots; ours alone can be written to. */
	struct counters *counters;
	size_t ncounters;
	unsigned block;			/* ours, in counters[slot] */
	int access_log;			/* the pipe to its logger; -1: none */
	/* Of a logger alone: */
	const char *log_name;		/* what it writes: "log" */
	const char *log_path;		/* "": standard error */
	int log_pipe;			/* lines come from here */
	int log_file;			/* the file; -1: to be opened */
	/* Of executors alone: */
	unsigned handler;		/* index in conf->handlers */
	unsigned threads;
	int work;			/* the work channel: common/exec.h */
	unsigned work_speaks;		/* CTL_VERSION of the worker there */
	/* Of the monitor alone: */
	struct status status;		/* to be read */
	struct spans_taken spans;	/* a worker can only read it */
	char *const *listener_names;	/* by number; see monitor/names.h */
	const uint64_t *listener_lives;
	size_t nlistener_names;
	char *const *handler_names;
	const uint64_t *handler_lives;
	size_t nhandler_names;
};

/* One worker's share of what the configuration gives to all: at least 1. */
static inline unsigned
heritage_share(const struct heritage *heritage, unsigned all)
{
	unsigned share = (all + heritage->slots - 1) / heritage->slots;

	return (share > 0 ? share : 1);
}

/* A kind of child.  Its entry returns the exit status of the process. */
struct role {
	const char *name;
	int (*main)(struct heritage *);
};

#endif
