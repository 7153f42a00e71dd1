/* SPDX-License-Identifier: ISC */
/*
 * What a child inherits: filled by the master, read by the entry of the role.
 * A child gets its start conditions from nowhere else.
 *
 * The child owns every descriptor in it.  No other descriptor above 2 is open,
 * except that of the log.
 */
#ifndef COMMON_HERITAGE_H
#define COMMON_HERITAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/counters.h"
#include "common/spans.h"
#include "common/status.h"

struct conf;

/* A listening socket to accept from. */
struct heritage_socket {
	int fd;
	unsigned listener;		/* index in conf->listeners */
};

/* A generation that has workers when this child is forked, which may hand over
 * to it. */
struct heritage_ancestor {
	uint64_t generation;
	const struct conf *conf;
	const unsigned *listener_number;	/* as in struct heritage */
};

struct heritage {
	unsigned slot;
	uint64_t generation;
	const struct conf *conf;
	int channel;			/* to the master */
	unsigned speaks;		/* its first CTL_VERSION */
	struct heritage_socket *sockets;
	size_t nsockets;
	/* The number of each listener of conf in struct counters_block. */
	unsigned listener_number[CONF_LISTENERS_MAX];
	unsigned handler_number[CONF_HANDLERS_MAX];
	struct heritage_ancestor *ancestors;
	size_t nancestors;
	unsigned slots;			/* workers that share what the
					   configuration gives to all */
	/* The mappings of all slots; only our slot's is writable. */
	struct counters *counters;
	size_t ncounters;
	unsigned block;			/* ours, in counters[slot] */
	int access_log;			/* the pipe to its logger; -1: none */
	int anchor;			/* only for a worker: the channel that
					   its anchor has to the master; -1:
					   it gets none */
	/* Only for a logger: */
	const char *log_name;		/* what it writes: "log" */
	const char *log_path;		/* "": standard error */
	int log_pipe;			/* source of the lines */
	int log_file;			/* -1: not open yet */
	/* Only for executors: */
	unsigned handler;		/* index in conf->handlers */
	unsigned threads;
	int work;			/* the work channel: common/exec.h */
	unsigned work_speaks;		/* CTL_VERSION of the worker there */
	/* Only for the monitor: */
	struct status status;		/* read-only */
	struct spans_taken spans;	/* also in a worker, read-only */
	char *const *listener_names;	/* by number; see monitor/names.h */
	const uint64_t *listener_lives;
	size_t nlistener_names;
	char *const *handler_names;
	const uint64_t *handler_lives;
	size_t nhandler_names;
};

/* One worker's share of a number for all workers: at least 1. */
static inline unsigned
heritage_share(const struct heritage *heritage, unsigned all)
{
	unsigned share = (all + heritage->slots - 1) / heritage->slots;

	return (share > 0 ? share : 1);
}

/* A kind of child.  main() returns the exit status of the process. */
struct role {
	const char *name;
	int (*main)(struct heritage *);
};

#endif
