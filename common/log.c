/* SPDX-License-Identifier: ISC */
#include "common/log.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/escape.h"
#include "common/fd.h"

/* A line being put together; what does not fit is left out, and so said. */
struct line {
	char *text;
	size_t size;
	size_t len;
	bool full;
};

/* Of the lines of one event. */
struct limiter {
	struct log_limit limit;
	enum log_level level;
};

static struct {
	int fd;
	bool may_block;			/* until its reader reads */
	bool is_socket;
	bool is_pipe;
	bool is_stderr;
	enum log_level level;
	enum log_format format;
	const char *role;
	int slot;
	int64_t generation;
	uint64_t lost;			/* lines that fd would not take */
	uint64_t *untold;		/* shared, or NULL: these, and those that
					   wait */
	struct limiter limiters[LOG_EVENT_COUNT];
} out = {
	.fd = STDERR_FILENO,
	.may_block = true,
	.is_stderr = true,
	.level = LOG_LEVEL_INFO,
	.role = "master",
	.slot = -1,
	.generation = -1,
};

/* Whole lines that wait until the pipe takes them. */
static struct {
	uint64_t lines;
	size_t len;
	char text[LOG_KEPT_MAX];
} kept;

static const char *const event_names[] = {
#define LOG_EVENT_NAME(id, name) [EVENT_##id] = name,
	LOG_EVENTS(LOG_EVENT_NAME)
#undef LOG_EVENT_NAME
};

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
};

const char *
log_event_name(enum log_event event)
{
	return (event_names[event]);
}

const char *
log_level_name(enum log_level level)
{
	return (level_names[level]);
}

void
log_identify(const char *role, int slot, int64_t generation)
{
	/* A child does not report lines of its parent. */
	if (strcmp(role, out.role) != 0) {
		out.lost = 0;
		kept.lines = 0;
		kept.len = 0;
	}
	out.role = role;
	out.slot = slot;
	out.generation = generation;
}

void
log_configure(enum log_level level, enum log_format format)
{
	out.level = level;
	out.format = format;
}

/*
 * Open the same pipe or terminal again, non-blocking.  The descriptor that we
 * have is shared with other processes, which expect it to block.
 */
static int
reopen_nonblocking(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return (open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY |
	    O_CLOEXEC));
}

void
log_use(int fd)
{
	struct stat st = { .st_mode = 0 };
	int own;

	if (out.fd != STDERR_FILENO && out.fd != fd)
		close(out.fd);
	out.fd = fd;
	out.is_stderr = fd == STDERR_FILENO;
	out.may_block = fstat(fd, &st) == -1 || !S_ISREG(st.st_mode);
	out.is_socket = S_ISSOCK(st.st_mode);
	out.is_pipe = S_ISFIFO(st.st_mode);
	/* Our own non-blocking descriptor: no other process changes it. */
	if (fd != STDERR_FILENO && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0)
		out.may_block = false;
	if (fd != STDERR_FILENO || !out.may_block || out.is_socket ||
	    (own = reopen_nonblocking(fd)) == -1)
		return;
	out.fd = own;
	out.may_block = false;
}

void
log_replace(int fd)
{
	log_use(fd_replace(out.fd, fd));
}

void
log_use_pipe(int fd, bool for_stderr)
{
	log_use(fd);
	out.is_stderr = for_stderr;
}

int
log_fd(void)
{
	return (out.fd);
}

bool
log_is_stderr(void)
{
	return (out.is_stderr);
}

static bool
is_trusted(uid_t uid)
{
	return (uid == 0 || uid == geteuid());
}

/* Whether no other user can have made the link. */
static bool
is_safe_link(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";
	struct stat st;

	if (slash != NULL)
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path + 1),
		    path);
	if (lstat(path, &st) == -1 || !is_trusted(st.st_uid) ||
	    stat(dir, &st) == -1 || !is_trusted(st.st_uid))
		return (false);
	return ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0);
}

int
log_open(const char *path)
{
	/* O_NONBLOCK, so that a FIFO without a reader is an error, not a
	 * wait. */
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC |
	    O_NOCTTY | O_NONBLOCK;
	int fd;

	if (path == NULL || *path == '\0')
		return (STDERR_FILENO);
	fd = open(path, flags | O_NOFOLLOW, 0640);
	if (fd == -1 && errno == ELOOP) {
		if (is_safe_link(path))
			return (open(path, flags, 0640));
		errno = ELOOP;
	}
	return (fd);
}

bool
log_enabled(enum log_level level)
{
	return (level >= out.level);
}

/*
 * Putting a line together.
 */

static void
log_put_bytes(struct line *line, const char *bytes, size_t len)
{
	/* One byte stays free for the newline. */
	if (line->full || len >= line->size - line->len) {
		line->full = true;
		return;
	}
	memcpy(line->text + line->len, bytes, len);
	line->len += len;
}

static void
log_put(struct line *line, const char *text)
{
	log_put_bytes(line, text, strlen(text));
}

/* At most 31 characters. */
static void __attribute__((format(printf, 2, 3)))
put_short(struct line *line, const char *format, ...)
{
	char text[32];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_put(line, text);
}

/*
 * Append a value in quotes, as a JSON string in both formats: its content
 * cannot end it, or begin another line or an escape sequence, and the line is
 * always UTF-8.
 */
static void
log_put_quoted(struct line *line, const char *value)
{
	size_t len = strlen(value), taken;

	log_put(line, "\"");
	if (line->full)
		return;
	/* One byte stays free for the newline. */
	line->len += escape_json_text(line->text + line->len,
	    line->size - line->len - 1, value, len, &taken);
	line->full = taken < len;
	log_put(line, "\"");
}

/* Whether a value needs no quotes in text. */
static bool
is_plain(const char *value)
{
	if (*value == '\0')
		return (false);
	for (const unsigned char *c = (const unsigned char *)value; *c != '\0';
	    c++)
		if (*c <= 0x20 || *c >= 0x7f || strchr("\"\\=", *c) != NULL)
			return (false);
	return (true);
}

static void
put_key(struct line *line, enum log_format format, const char *key)
{
	bool is_json = format == LOG_FORMAT_JSON;

	log_put(line, is_json ? ",\"" : " ");
	log_put(line, key);
	log_put(line, is_json ? "\":" : "=");
}

static void
put_str_field(struct line *line, enum log_format format, const char *key,
    const char *value)
{
	put_key(line, format, key);
	if (format == LOG_FORMAT_TEXT && is_plain(value))
		log_put(line, value);
	else
		log_put_quoted(line, value);
}

static void
log_put_field(struct line *line, enum log_format format,
    const struct log_field *field)
{
	size_t before = line->len;

	switch (field->kind) {
	case LOG_FIELD_STR:
		if (field->str != NULL)
			put_str_field(line, format, field->key, field->str);
		break;
	case LOG_FIELD_U64:
		put_key(line, format, field->key);
		put_short(line, "%" PRIu64, field->u64);
		break;
	case LOG_FIELD_I64:
		put_key(line, format, field->key);
		put_short(line, "%" PRId64, field->i64);
		break;
	}
	/* A field is written whole or not at all. */
	if (line->full)
		line->len = before;
}

static void
log_put_time(struct line *line)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	log_put(line, text);
	put_short(line, ".%06ldZ", now.tv_nsec / 1000);
}

static void
log_put_head(struct line *line, enum log_format format, enum log_level level,
    enum log_event event)
{
	if (format == LOG_FORMAT_JSON) {
		log_put(line, "{\"time\":\"");
		log_put_time(line);
		log_put(line, "\"");
		put_str_field(line, format, "level", level_names[level]);
	} else {
		log_put_time(line);
		log_put(line, " ");
		log_put(line, level_names[level]);
	}
	put_key(line, format, "pid");
	put_short(line, "%d", (int)getpid());
	put_str_field(line, format, "role", out.role);
	if (out.slot >= 0) {
		put_key(line, format, "slot");
		put_short(line, "%d", out.slot);
	}
	if (out.generation >= 0) {
		put_key(line, format, "gen");
		put_short(line, "%" PRId64, out.generation);
	}
	put_str_field(line, format, "event", event_names[event]);
}

size_t
log_format_line(char *text, size_t size, enum log_format format,
    enum log_level level, enum log_event event, const struct log_field *fields)
{
	static const char cut[] = { ',', '"', 'c', 'u', 't', '"', ':', '1' };
	/* Room for what closes the line, and for saying that it was cut. */
	struct line line = { .text = text, .size = size - sizeof(cut) - 1 };

	log_put_head(&line, format, level, event);
	for (; fields->key != NULL; fields++)
		log_put_field(&line, format, fields);
	line.size = size;
	if (line.full) {
		line.full = false;
		if (format == LOG_FORMAT_JSON)
			log_put_bytes(&line, cut, sizeof(cut));
		else
			log_put(&line, " cut=1");
	}
	if (format == LOG_FORMAT_JSON)
		log_put(&line, "}");
	text[line.len++] = '\n';
	return (line.len);
}

/*
 * Writing it.
 */

/* Whether the write of a line could block until the log is read. */
static bool
would_block(void)
{
	struct pollfd pollfd = { .fd = out.fd, .events = POLLOUT };

	if (!out.may_block)
		return (false);
	return (poll(&pollfd, 1, 0) != 1 || (pollfd.revents & POLLOUT) == 0);
}

static bool
write_text(const char *text, size_t len)
{
	if (would_block())
		return (false);
	if (out.is_socket)
		return (send(out.fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
		    (ssize_t)len);
	return (write(out.fd, text, len) == (ssize_t)len);
}

/* Whether a line may wait for a full pipe.  Lines about clients fill the pipe;
 * lines of the master and warnings are few, and wait.  Only a pipe takes a line
 * whole or not at all. */
static bool
is_worth_keeping(enum log_level level, size_t len)
{
	return (out.is_pipe && len <= sizeof(kept.text) - kept.len &&
	    (level >= LOG_LEVEL_WARN || strcmp(out.role, "master") == 0));
}

static void
show_untold(void)
{
	if (out.untold != NULL)
		__atomic_store_n(out.untold, out.lost + kept.lines,
		    __ATOMIC_RELAXED);
}

static void
keep_or_lose(enum log_level level, const char *text, size_t len)
{
	if (is_worth_keeping(level, len)) {
		memcpy(kept.text + kept.len, text, len);
		kept.len += len;
		kept.lines++;
	} else
		out.lost++;
	show_untold();
}

/* Write the lines that wait.  Returns whether none is left. */
static bool
write_kept(void)
{
	size_t done = 0, len;

	while (done < kept.len) {
		len = (size_t)((char *)memchr(kept.text + done, '\n',
		    kept.len - done) - (kept.text + done)) + 1;
		if (!write_text(kept.text + done, len))
			break;
		done += len;
		kept.lines--;
	}
	kept.len -= done;
	memmove(kept.text, kept.text + done, kept.len);
	show_untold();
	return (kept.len == 0);
}

bool
log_catch_up(void)
{
	const struct log_field lost[] = {
		F_U64("lines", out.lost), { .key = NULL }
	};
	char text[LOG_LINE_MAX];
	size_t len;

	if (kept.len > 0 && !write_kept())
		return (false);
	if (out.lost == 0)
		return (true);
	len = log_format_line(text, sizeof(text), out.format, LOG_LEVEL_WARN,
	    EVENT_LOG_LOST, lost);
	if (!write_text(text, len))
		return (false);
	out.lost = 0;
	show_untold();
	return (true);
}

void
log_share_untold(uint64_t *untold)
{
	out.untold = untold;
}

void
log_tell_lost(uint64_t lines)
{
	out.lost += lines;
}

void
log_write(enum log_level level, enum log_event event,
    const struct log_field *fields)
{
	char text[LOG_LINE_MAX];
	size_t len;

	len = log_format_line(text, sizeof(text), out.format, level, event,
	    fields);
	if (!log_catch_up() || !write_text(text, len))
		keep_or_lose(level, text, len);
}

/* The second in which the limit has counted. */
static bool
log_is_over(const struct log_limit *limit, uint64_t now_ms)
{
	return (now_ms - limit->since_ms >= 1000);
}

bool
log_limit_admit(struct log_limit *limit)
{
	uint64_t now_ms = clock_coarse_ms();

	if (log_is_over(limit, now_ms)) {
		limit->since_ms = now_ms;
		limit->written = 0;
	}
	if (limit->written >= LOG_BURST) {
		limit->suppressed++;
		return (false);
	}
	limit->written++;
	return (true);
}

uint64_t
log_limit_suppressed(struct log_limit *limit)
{
	uint64_t n = limit->suppressed;

	if (n == 0 || !log_is_over(limit, clock_coarse_ms()))
		return (0);
	limit->suppressed = 0;
	return (n);
}

static void
say_suppressed(enum log_event event)
{
	struct limiter *limiter = &out.limiters[event];
	const struct log_field fields[] = {
		F_U64("suppressed", log_limit_suppressed(&limiter->limit)),
		{ .key = NULL }
	};

	if (fields[0].u64 > 0)
		log_write(limiter->level, event, fields);
}

void
log_write_limited(enum log_level level, enum log_event event,
    const struct log_field *fields)
{
	out.limiters[event].level = level;
	say_suppressed(event);
	if (log_limit_admit(&out.limiters[event].limit))
		log_write(level, event, fields);
}

void
log_flush_suppressed(void)
{
	(void)log_catch_up();
	for (int event = 0; event < LOG_EVENT_COUNT; event++)
		say_suppressed((enum log_event)event);
}
