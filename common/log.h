/* SPDX-License-Identifier: ISC */
/*
 * The log: one line per event, written at once by the process in which it
 * occurs.
 *
 * Runs in every process.  Owns the descriptor of the log, which in a running
 * server is a pipe to the logger, or standard error if that is a pipe or a
 * terminal.  Writing a line never blocks: if the pipe is full, the line is
 * dropped and counted; lines of the master and warnings wait in memory first.
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
	/* The maximum length of a line with its newline: PIPE_BUF, which is
	 * written whole. */
	LOG_LINE_MAX = 4096,
	/* Lines per second of an event that clients cause; further ones are
	 * counted. */
	LOG_BURST = 20,
	/* Bytes of lines that wait for a full pipe. */
	LOG_KEPT_MAX = 65536,
};

/* One key and its value.  Keys are constants; values may come from a client. */
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

/* How many lines were written and left out in the second that began at
 * since_ms; all zero at first. */
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
/* LOG() for what clients cause: at most LOG_BURST lines per second. */
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

/* Set the role, slot and generation that every line has.  A negative slot or
 * generation is left out.  role must stay valid. */
void log_identify(const char *role, int slot, int64_t generation);

/* Write lines to fd from now on.  The log owns fd unless it is 2 (stderr); the
 * previous descriptor is closed. */
void log_use(int fd);

/* The same, and the log keeps the number of its descriptor, if that is above 2:
 * another process that has the same table knows it by that. */
void log_replace(int fd);

/* log_use() with a pipe to a logger; for_stderr: it writes to standard
 * error. */
void log_use_pipe(int fd, bool for_stderr);
void log_configure(enum log_level, enum log_format);

/* The descriptor in use, for a child to inherit. */
int log_fd(void);

/* Whether lines are written to the same file as standard error, perhaps through
 * another descriptor. */
bool log_is_stderr(void);

/*
 * Open a log file to append to it; create it if missing (0640).  NULL or an
 * empty path is stderr.  A symbolic link is followed only if no other user than
 * root and our own can change the link or its directory.  Returns a descriptor,
 * or -1 with errno set: ELOOP for another link.
 */
int log_open(const char *path);

bool log_enabled(enum log_level);

/* Write one line; the key of the last field is NULL. */
void log_write(enum log_level, enum log_event, const struct log_field *fields);

/* log_write() with at most LOG_BURST lines of one event per second; the next
 * line has suppressed=N, the number of lines that were left out. */
void log_write_limited(enum log_level, enum log_event,
    const struct log_field *fields);

/* Log how many lines log_write_limited() left out in past seconds, and how many
 * were lost.  Called with the tick of each process, so that this is also logged
 * when no other line follows. */
void log_flush_suppressed(void);

/* Write the lines that wait for a full pipe, and how many were lost.  Returns
 * whether all of this is written. */
bool log_catch_up(void);

/* Keep the number of lost and waiting lines of this process in shared memory,
 * so that another process can log it after its end; and log it there. */
void log_share_untold(uint64_t *);
void log_tell_lost(uint64_t lines);

/*
 * Limits for other writers.  log_limit_admit() returns whether one more line
 * may be written in this second; if not, it is counted.  log_limit_suppressed()
 * returns, once, how many lines were left out in a past second.
 */
bool log_limit_admit(struct log_limit *);
uint64_t log_limit_suppressed(struct log_limit *);

/* Format one line without writing it.  Returns its length with the newline, at
 * most size. */
size_t log_format_line(char *line, size_t size, enum log_format,
    enum log_level, enum log_event, const struct log_field *fields);

const char *log_level_name(enum log_level);

#endif
