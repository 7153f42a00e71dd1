/* SPDX-License-Identifier: ISC */
#include "master/stderr_line.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READS_PER_TURN = 4 };

static enum log_event
stderr_line_event(const char *handler)
{
	return (handler != NULL ? EVENT_HANDLER_STDERR : EVENT_UPGRADE_STDERR);
}

void
stderr_line_tell_suppressed(const char *handler, struct log_limit *limit)
{
	uint64_t n;

	if ((n = log_limit_suppressed(limit)) > 0)
		LOG_WITH(log_write, LOG_LEVEL_WARN, stderr_line_event(handler),
		    F_STR("handler", handler), F_U64("suppressed", n));
}

static void
stderr_line_tell(struct stderr_line *line)
{
	line->text[line->len] = '\0';
	memcpy(line->last, line->text, line->len + 1);
	line->len = 0;
	if (*line->last == '\0')
		return;
	stderr_line_tell_suppressed(line->handler, line->limit);
	if (log_limit_admit(line->limit))
		LOG_WITH(log_write, LOG_LEVEL_WARN,
		    stderr_line_event(line->handler),
		    F_STR("handler", line->handler), F_I64("child", line->pid),
		    F_STR("line", line->last));
}

/* Whether there is no room for this byte, or for all of the character in UTF-8
 * that it begins. */
static bool
stderr_line_is_full(const struct stderr_line *line, unsigned char byte)
{
	return (line->len + (byte >= 0xc0 ? 4 : 1) > STDERR_LINE_MAX - 1);
}

/* A line that is too long is logged in pieces. */
static void
stderr_line_add(struct stderr_line *line, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n' ||
		    stderr_line_is_full(line, (unsigned char)bytes[i]))
			stderr_line_tell(line);
		if (bytes[i] != '\n')
			line->text[line->len++] = bytes[i] != '\0' ?
			    bytes[i] : ' ';
	}
}

/* Returns whether more may be there. */
static bool
stderr_line_take(struct stderr_line *line)
{
	char bytes[4096];
	ssize_t n;

	n = read(line->fd, bytes, sizeof(bytes));
	if (n > 0)
		stderr_line_add(line, bytes, (size_t)n);
	else if (n == 0)
		event_del(line->event);
	return (n == (ssize_t)sizeof(bytes));
}

static void
stderr_line_on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	for (int i = 0; i < READS_PER_TURN && stderr_line_take(arg); i++)
		;
}

int
stderr_line_resume(struct stderr_line *line, struct event_base *base,
    const char *handler, struct log_limit *limit, pid_t pid)
{
	line->handler = handler;
	line->limit = limit;
	line->pid = pid;
	line->event = event_new(base, line->fd, EV_READ | EV_PERSIST,
	    stderr_line_on_readable, line);
	if (line->event != NULL && event_add(line->event, NULL) == 0)
		return (0);
	if (line->event != NULL)
		event_free(line->event);
	line->event = NULL;
	line->fd = -1;
	errno = ENOMEM;
	return (-1);
}

int
stderr_line_open(struct stderr_line *line, struct event_base *base, int fd,
    const char *handler, struct log_limit *limit, pid_t pid)
{
	*line = (struct stderr_line){ .fd = fd };
	return (stderr_line_resume(line, base, handler, limit, pid));
}

void
stderr_line_close(struct stderr_line *line)
{
	if (line->event == NULL)
		return;
	stderr_line_on_readable(-1, 0, line);
	if (line->len > 0)
		stderr_line_tell(line);
	close(line->fd);
	event_free(line->event);
	line->event = NULL;
	line->fd = -1;
}
