/* SPDX-License-Identifier: ISC */
/*
 * The log: one line per event, written at once by the process that saw it.
 *
 * Runs in every process.  Owns the descriptor of the log, which in a running
 * server is a pipe to the logger, or standard error if that is a pipe or a
 * terminal.  A line never blocks its writer: what is not taken is dropped and
 * counted.  Lines of the master and warnings, which a full pipe does not take,
 * wait in memory first.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/events.h"

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERROR,
};

enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,
};

enum {
	/* A line is never longer, its newline included: what PIPE_BUF promises
	 * to write whole. */
	LOG_LINE_MAX = 4096,
	/* Lines a second of one event that clients cause; the rest is
	 * counted. */
	LOG_BURST = 20,
	/* Bytes of lines that wait for a full pipe. */
	LOG_KEPT_MAX = 65536,
};

/* One key and its value.  Keys are constants of ours, values may be a
 * client's. */
struct log_field {
	const char *key;
	enum log_field_kind {
		LOG_FIELD_STR,
		LOG_FIELD_U64,
		LOG_FIELD_I64,
	} kind;
	union {
		const char *str;	/* NULL leaves the field out */
		uint64_t u64;
		int64_t i64;
	};
};

/* How many lines were written, and left out, in the second that began at
 * since_ms; zeroed to begin with. */
struct log_limit {
	uint64_t since_ms;
	unsigned written;
	uint64_t suppressed;
};

#define F_STR(k, v) { .key = (k), .kind = LOG_FIELD_STR, .str = (v) }
#define F_U64(k, v) { .key = (k), .kind = LOG_FIELD_U64, .u64 = (v) }
#define F_I64(k, v) { .key = (k), .kind = LOG_FIELD_I64, .i64 = (v) }
/* The meaning of an errno value, as error="...". */
#define F_ERRNO(e) F_STR("error", strerror(e))

/* LOG(WARN, WORKER_DIED, F_U64("child", pid), ...) */
#define LOG(level, event, ...)						\
	LOG_WITH(log_write, LOG_LEVEL_##level, EVENT_##event, ##__VA_ARGS__)
/* The same for what clients cause: at most LOG_BURST lines a second. */
#define LOG_CLIENT(level, event, ...)					\
	LOG_WITH(log_write_limited, LOG_LEVEL_##level, EVENT_##event,	\
	    ##__VA_ARGS__)
#define LOG_WITH(fn, level, event, ...)					\
	do {								\
		if (log_enabled(level))					\
			fn((level), (event), (const struct log_field[]){ \
			    { .key = NULL }, ##__VA_ARGS__,		\
			    { .key = NULL } } + 1);			\
	} while (0)

/* Who writes; stands in every line.  slot and generation are left out while
 * negative.  role must stay valid. */
void log_identify(const char *role, int slot, int64_t generation);

/* Send lines to fd from now on.  The log owns fd unless it is 2 (stderr); the
 * descriptor that it had before is closed. */
void log_use(int fd);

/* The same with a pipe to a process that writes the lines; for_stderr says that
 * it writes them to standard error. */
void log_use_pipe(int fd, bool for_stderr);
void log_configure(enum log_level, enum log_format);

/* The descriptor in use, for a child to inherit. */
int log_fd(void);

/* Whether lines go to where standard error goes; perhaps through a descriptor
 * of our own. */
bool log_is_stderr(void);

/*
 * Open a file as a log: created if missing (0640), appended to.  NULL or an
 * empty path is stderr.  A symbolic link is followed only if neither the link
 * nor its directory can be changed by anybody but root and our own user.
 * Returns a descriptor, or -1 with errno set: ELOOP for such a link.
 */
int log_open(const char *path);

bool log_enabled(enum log_level);

/* Write one line; the fields end with one whose key is NULL. */
void log_write(enum log_level, enum log_event, const struct log_field *fields);

/* As log_write(), but at most LOG_BURST lines of one event a second; the first
 * line after that says with suppressed=N how many were left out. */
void log_write_limited(enum log_level, enum log_event,
    const struct log_field *fields);

/* Tell of what log_write_limited() left out in seconds that are over, and of
 * lines that were lost.  Called from a process's timer, so that a flood or stall
 * that has ended is told too. */
void log_flush_suppressed(void);

/* Write what comes before the next line: the lines that wait for a full pipe, and
 * how many were lost.  Returns whether nothing of it is left. */
bool log_catch_up(void);

/* Show in shared memory how many lines of this process are lost or wait, so that
 * another one can tell of them when it ends; and tell of them. */
void log_share_untold(uint64_t *);
void log_tell_lost(uint64_t lines);

/*
 * For those who have a limit of their own.  Whether one more line of this
 * second may be written; if not, it is counted.  And how many were left out in a
 * second that is over: told once.
 */
bool log_limit_admit(struct log_limit *);
uint64_t log_limit_suppressed(struct log_limit *);

/* Put one line together without writing it.  Returns its length, which includes
 * the newline and is at most size. */
size_t log_format_line(char *line, size_t size, enum log_format,
    enum log_level, enum log_event, const struct log_field *fields);

const char *log_level_name(enum log_level);

#endif
