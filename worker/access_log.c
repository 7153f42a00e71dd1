/* SPDX-License-Identifier: ISC */
#include "worker/access_log.h"

#include <sys/stat.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/digits.h"
#include "common/escape.h"
#include "common/fd.h"
#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/worker.h"

enum {
	/* A full disk stays full for a while. */
	TELL_EVERY_MS = 10000,
};

struct access_log {
	int fd;			/* owned; -1: there is none */
	bool is_file;		/* else a pipe or the like */
	enum log_format format;
	struct counters_worker *counters;	/* borrowed */
	uint64_t lost;		/* lines, not logged yet */
	uint64_t tell_ms;	/* not before */
	time_t second;		/* of the time that follows */
	char time[40];
	size_t len;
	char lines[ACCESS_LOG_SIZE];
};

/*
 * Writing.
 */

static void
log_lose(struct access_log *log, const char *lines, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += lines[i] == '\n';
	log->lost += n;
	counter_add(&log->counters->access_lost, n);
}

/* How many of the bytes go into one write: other processes write to a pipe too,
 * and up to PIPE_BUF bytes are written whole. */
static size_t
piece(const struct access_log *log, const char *lines, size_t len)
{
	if (log->is_file || len <= PIPE_BUF)
		return (len);
	for (len = PIPE_BUF; lines[len - 1] != '\n'; len--)
		;
	return (len);
}

static ssize_t
write_piece(const struct access_log *log, const char *lines, size_t len)
{
	ssize_t n;

	do {
		n = write(log->fd, lines, piece(log, lines, len));
	} while (n == -1 && errno == EINTR);
	return (n);
}

/* Write what there is, as far as it goes. */
static void
log_flush(struct access_log *log)
{
	size_t done = 0;
	ssize_t n = 1;

	while (done < log->len && n > 0) {
		n = write_piece(log, log->lines + done, log->len - done);
		if (n > 0)
			done += (size_t)n;
	}
	if (n == -1 && errno != EAGAIN) {
		log_lose(log, log->lines + done, log->len - done);
		done = log->len;
	}
	log->len -= done;
	memmove(log->lines, log->lines + done, log->len);
}

static void
tell_lost(struct access_log *log)
{
	if (log->lost == 0)
		return;
	LOG(WARN, ACCESS_LOG_LOST, F_U64("lines", log->lost));
	log->lost = 0;
}

void
access_log_tick(struct access_log *log, uint64_t now_ms)
{
	if (log == NULL)
		return;
	log_flush(log);
	if (log->lost == 0 || now_ms < log->tell_ms)
		return;
	tell_lost(log);
	log->tell_ms = now_ms + TELL_EVERY_MS;
}

/*
 * A line.
 */

/* It is put together where it is to stand, if there is as much room as the
 * longest could need. */
static void
put_bytes(struct access_log *log, const char *bytes, size_t len)
{
	memcpy(log->lines + log->len, bytes, len);
	log->len += len;
}

static void
access_put(struct access_log *log, const char *text)
{
	put_bytes(log, text, strlen(text));
}

static void
log_number(struct access_log *log, uint64_t number)
{
	char digits[DIGITS_MAX], *end = digits + sizeof(digits);
	const char *at = digits_put(end, number);

	put_bytes(log, at, (size_t)(end - at));
}

/* What a client said, with all escaped that could end it or do something to a
 * terminal; what is too long ends with "...". */
static void
put_value(struct access_log *log, struct payload value, size_t max)
{
	size_t end = log->len + max, taken = 1;
	char escape[ESCAPE_JSON_MAX];

	for (size_t i = 0; i < value.len; i += taken) {
		uint8_t c = value.bytes[i];

		if (log->len + sizeof(escape) > end) {
			access_put(log, "...");
			return;
		}
		if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
			log->lines[log->len++] = (char)c;
			taken = 1;
		} else if (log->format == LOG_FORMAT_TEXT) {
			snprintf(escape, sizeof(escape), "\\x%02x", c);
			access_put(log, escape);
		} else
			put_bytes(log, escape, escape_json((const char *)
			    value.bytes + i, value.len - i, escape, &taken));
	}
}

/* By hand: strftime(3) would speak the language of the environment. */
static void
put_time(struct access_log *log)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != log->second) {
		log->second = now.tv_sec;
		gmtime_r(&now.tv_sec, &tm);
		if (log->format == LOG_FORMAT_TEXT)
			snprintf(log->time, sizeof(log->time),
			    "%02d/%.3s/%04d:%02d:%02d:%02d +0000",
			    tm.tm_mday, months + (size_t)tm.tm_mon * 3,
			    tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
			    tm.tm_sec);
		else
			snprintf(log->time, sizeof(log->time),
			    "%04d-%02d-%02dT%02d:%02d:%02dZ",
			    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			    tm.tm_hour, tm.tm_min, tm.tm_sec);
	}
	access_put(log, log->time);
}

static void
put_address(struct access_log *log, const struct conn_record *record)
{
	char text[INET6_ADDRSTRLEN];

	if (record->family == AF_UNIX)
		access_put(log, "unix");
	else
		access_put(log, inet_ntop(record->family, record->peer, text,
		    sizeof(text)) != NULL ? text : "-");
}

/* What one line shows. */
struct entry {
	const struct conn *conn;
	const struct access_facts *facts;
	size_t body_len;
	uint64_t duration_us;
};

/* A value in quotes, "-" if there is none. */
static void
put_quoted(struct access_log *log, struct payload value)
{
	access_put(log, " \"");
	if (value.len == 0)
		access_put(log, "-");
	put_value(log, value, ACCESS_LOG_VALUE_MAX);
	access_put(log, "\"");
}

/* The combined format of old, and three words more. */
static void
log_text(struct access_log *log, const struct entry *entry)
{
	const struct access_facts *facts = entry->facts;

	put_address(log, conn_record(entry->conn));
	access_put(log, " - - [");
	put_time(log);
	access_put(log, "] \"");
	if (facts->method.len == 0) {
		access_put(log, "-");
	} else {
		put_value(log, facts->method, ACCESS_LOG_VALUE_MAX);
		access_put(log, facts->target.len == 0 ? " -" : " ");
		put_value(log, facts->target, ACCESS_LOG_TARGET_MAX);
		access_put(log, facts->is_10 ? " HTTP/1.0" : " HTTP/1.1");
	}
	access_put(log, "\" ");
	log_number(log, facts->status);
	access_put(log, " ");
	log_number(log, entry->body_len);
	put_quoted(log, facts->referer);
	put_quoted(log, facts->agent);
	access_put(log, " ");
	access_put(log, entry->conn->listener->conf->name);
	access_put(log, " ");
	log_number(log, conn_record(entry->conn)->id);
	access_put(log, " ");
	log_number(log, entry->duration_us);
	access_put(log, "\n");
}

/* A member, unless the value has no bytes. */
static void
put_member(struct access_log *log, const char *name, struct payload value,
    size_t max)
{
	if (value.len == 0)
		return;
	access_put(log, name);
	put_value(log, value, max);
	access_put(log, "\"");
}

static void
put_count(struct access_log *log, const char *name, uint64_t number)
{
	access_put(log, name);
	log_number(log, number);
}

static void
log_json(struct access_log *log, const struct entry *entry)
{
	const struct conn_record *record = conn_record(entry->conn);
	const struct access_facts *facts = entry->facts;

	access_put(log, "{\"time\":\"");
	put_time(log);
	access_put(log, "\",\"listener\":\"");
	access_put(log, entry->conn->listener->conf->name);
	put_count(log, "\",\"conn\":", record->id);
	access_put(log, ",\"peer\":\"");
	put_address(log, record);
	put_count(log, "\",\"port\":", record->peer_port);
	/* A word in which nothing is to be escaped or cut. */
	if (*facts->id != '\0') {
		access_put(log, ",\"request\":\"");
		access_put(log, facts->id);
		access_put(log, "\"");
	}
	if (facts->method.len > 0)
		access_put(log, facts->is_10 ? ",\"version\":\"1.0\"" :
		    ",\"version\":\"1.1\"");
	put_member(log, ",\"method\":\"", facts->method, ACCESS_LOG_VALUE_MAX);
	put_member(log, ",\"target\":\"", facts->target, ACCESS_LOG_TARGET_MAX);
	put_count(log, ",\"status\":", facts->status);
	put_count(log, ",\"bytes\":", entry->body_len);
	put_count(log, ",\"duration_us\":", entry->duration_us);
	put_member(log, ",\"referer\":\"", facts->referer,
	    ACCESS_LOG_VALUE_MAX);
	put_member(log, ",\"agent\":\"", facts->agent, ACCESS_LOG_VALUE_MAX);
	access_put(log, "}\n");
}

void
access_log_add(struct access_log *log, const struct conn *conn,
    const struct access_facts *facts, size_t payload_len)
{
	struct entry entry = {
		.conn = conn,
		.facts = facts,
		.body_len = facts->has_body ? payload_len : 0,
		.duration_us = clock_us() - facts->arrived_us,
	};

	if (ACCESS_LOG_SIZE - log->len < ACCESS_LOG_LINE_MAX)
		log_flush(log);
	if (ACCESS_LOG_SIZE - log->len < ACCESS_LOG_LINE_MAX) {
		log->lost++;
		counter_add(&log->counters->access_lost, 1);
		return;
	}
	if (log->format == LOG_FORMAT_TEXT)
		log_text(log, &entry);
	else
		log_json(log, &entry);
}

/*
 * Its life.
 */

static void
use_file(struct access_log *log, int fd)
{
	struct stat st;

	log->fd = fd;
	log->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

void
access_log_use(struct access_log *log, int fd)
{
	if (fd == -1)
		return;
	if (log == NULL) {
		close(fd);
		return;
	}
	log_flush(log);
	/* The anchor knows it by its number. */
	fd = fd_replace(log->fd, fd);
	if (log->fd != -1 && log->fd != fd)
		close(log->fd);
	use_file(log, fd);
}

int
access_log_init(struct worker *worker)
{
	const struct heritage *heritage = worker->heritage;
	struct access_log *log;

	if (*heritage->conf->access_log.file == '\0')
		return (0);
	if ((log = malloc(sizeof(*log))) == NULL)
		return (-1);
	log->format = heritage->conf->access_log.format;
	log->counters = worker->counters;
	log->lost = 0;
	log->tell_ms = 0;
	log->second = -1;
	log->len = 0;
	use_file(log, heritage->access_log);
	worker->access_log = log;
	return (0);
}

void
access_log_free(struct worker *worker)
{
	struct access_log *log = worker->access_log;

	if (log == NULL)
		return;
	log_flush(log);
	tell_lost(log);
	if (log->fd != -1)
		close(log->fd);
	free(log);
}
