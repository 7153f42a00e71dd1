/* SPDX-License-Identifier: ISC */
/*
 * The access log: a line for each reply of a protocol that has exchanges.
 *
 * Lines are gathered in memory, and written as many at a time as there are:
 * when there is much, else with the worker's tick.  Nothing here waits: what
 * the file does not take is tried again, and when memory is full too, lines are
 * dropped and counted.
 */
#ifndef WORKER_ACCESS_LOG_H
#define WORKER_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/buffer.h"

struct access_log;
struct conn;
struct worker;

enum {
	ACCESS_LOG_SIZE = 65536,	/* bytes of lines in memory */
	/* A line is never longer: what PIPE_BUF promises to write whole. */
	ACCESS_LOG_LINE_MAX = 4096,
	/* Bytes of it that what a client says may take, escapes included; of
	 * the target, and of anything else. */
	ACCESS_LOG_TARGET_MAX = 2048,
	ACCESS_LOG_VALUE_MAX = 512,
};

/* What a line shows of a request and its reply. */
struct access_facts {
	const char *id;			/* "": it has none */
	struct payload method;		/* of no bytes: it could not be read */
	struct payload target;
	struct payload referer;
	struct payload agent;
	unsigned status;
	bool is_10;			/* version 1.0, else 1.1 */
	bool has_body;			/* the payload of the reply is sent */
	uint64_t arrived_us;		/* clock_us() when it was whole */
};

/* worker->access_log, unless the configuration has none.  Returns -1 with errno
 * set. */
int access_log_init(struct worker *);
/* Write what can be written. */
void access_log_free(struct worker *);

/* A reply with a payload of that many bytes is sent. */
void access_log_add(struct access_log *, const struct conn *,
    const struct access_facts *, size_t payload_len);

/* Write, and log what was lost: called once per tick. */
void access_log_tick(struct access_log *, uint64_t now_ms);

/* Write to another file from now on, which is owned; -1: it did not arrive, and
 * the previous file stays. */
void access_log_use(struct access_log *, int fd);

#endif
