/* SPDX-License-Identifier: ISC */
#include "logger/logger.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/log_orders.h"
#include "common/title.h"

enum {
	BATCH = 65536,
	/* Interval between tries when the file takes no more. */
	RETRY_MS = 200,
	/* Number of tries after all other processes have ended. */
	LAST_TRIES = 5,
};

struct logger {
	const char *path;	/* "": standard error */
	int pipe;
	int orders;		/* -1: the master is gone */
	int file;
	bool is_regular;
	bool is_torn;		/* the last line in the file has no end */
	bool is_over;		/* nothing more will come */
	unsigned last_tries;	/* failed tries after the end of all others */
	size_t done;		/* bytes of lines[] that are written */
	size_t whole;		/* the end of its last whole line */
	size_t len;
	char lines[BATCH];
};

/*
 * The file.
 */

/* Whether the file ends within a line: its disk was full, or its writer was
 * killed.  The next line has to begin on a line of its own. */
static bool
ends_within_line(const struct logger *logger, off_t size)
{
	struct stat ours, read_one;
	char last = '\n';
	int fd;

	if (size == 0 || *logger->path == '\0' ||
	    (fd = open(logger->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1)
		return (false);
	if (fstat(logger->file, &ours) == -1 || fstat(fd, &read_one) == -1 ||
	    ours.st_ino != read_one.st_ino || ours.st_dev != read_one.st_dev ||
	    pread(fd, &last, 1, size - 1) != 1)
		last = '\n';
	close(fd);
	return (last != '\n');
}

static void
logger_use(struct logger *logger, int file)
{
	struct stat st = { .st_size = 0 };

	if (logger->file != -1 && logger->file != STDERR_FILENO)
		close(logger->file);
	logger->file = file;
	logger->is_regular = fstat(file, &st) == 0 && S_ISREG(st.st_mode);
	logger->is_torn = logger->is_regular &&
	    ends_within_line(logger, st.st_size);
	/* If the old file has only a part of a line, write the line again. */
	while (logger->done > 0 && logger->lines[logger->done - 1] != '\n')
		logger->done--;
}

/*
 * Lines.
 */

static bool
logger_is_stuck(const struct logger *logger)
{
	return (logger->done < logger->whole);
}

/* Write all complete lines.  Lines that the file does not take stay. */
static void
write_lines(struct logger *logger)
{
	ssize_t n;

	if (logger_is_stuck(logger) && logger->is_torn) {
		if (write(logger->file, "\n", 1) != 1)
			return;
		logger->is_torn = false;
	}
	while (logger_is_stuck(logger)) {
		n = write(logger->file, logger->lines + logger->done,
		    logger->whole - logger->done);
		if (n <= 0)
			return;
		logger->done += (size_t)n;
	}
	logger->len -= logger->whole;
	memmove(logger->lines, logger->lines + logger->whole, logger->len);
	logger->done = logger->whole = 0;
}

/* Read at most that many bytes of lines, and write them.  Returns whether there
 * may be more. */
static bool
pass(struct logger *logger, size_t most)
{
	size_t room = BATCH - logger->len;
	const char *last;
	ssize_t n;

	if (logger_is_stuck(logger))
		return (false);
	n = read(logger->pipe, logger->lines + logger->len,
	    most < room ? most : room);
	logger->is_over = n == 0;
	if (n == -1)
		return (false);
	logger->len += (size_t)n;
	last = memrchr(logger->lines, '\n', logger->len);
	logger->whole = last != NULL ? (size_t)(last - logger->lines) + 1 : 0;
	/* No process of ours writes such a line. */
	if (logger->is_over || (last == NULL && logger->len == BATCH))
		logger->whole = logger->len;
	write_lines(logger);
	return (n > 0 && !logger_is_stuck(logger));
}

/*
 * Orders.
 */

/* After the end of the master, there is no reader. */
static void
logger_answer(const struct logger *logger, const char *text)
{
	char packet[LOG_ANSWER_MAX];

	snprintf(packet, sizeof(packet), "%s", text);
	(void)send(logger->orders, packet, strlen(packet) + 1,
	    MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Lines from before the order go to the old file, if that takes them. */
static void
reopen(struct logger *logger)
{
	int before = 0, file;

	if (ioctl(logger->pipe, FIONREAD, &before) == -1)
		before = 0;
	for (int left = before; left > 0; left -= BATCH)
		if (!pass(logger, (size_t)left))
			break;
	if (*logger->path == '\0') {
		logger_answer(logger, "");
	} else if ((file = log_open(logger->path)) == -1) {
		logger_answer(logger, strerror(errno));
	} else {
		logger_use(logger, file);
		logger_answer(logger, "");
	}
}

/* All writers are gone, or the master will not wait any longer. */
static void
logger_finish(struct logger *logger)
{
	while (pass(logger, BATCH))
		;
	logger->is_over = true;
}

static void
logger_take_order(struct logger *logger)
{
	char order;
	ssize_t n;

	n = recv(logger->orders, &order, 1, MSG_DONTWAIT);
	if (n == 1 && order == LOG_ORDER_REOPEN)
		reopen(logger);
	else if (n == 1 && order == LOG_ORDER_END)
		logger_finish(logger);
	else if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR)) {
		close(logger->orders);
		logger->orders = -1;
	}
}

/*
 * Life.
 */

/* Whether all writers are gone, and the master too, or it is another
 * program. */
static bool
nobody_is_left(const struct logger *logger)
{
	struct pollfd fd = { .fd = logger->pipe };

	return (logger->orders == -1 && poll(&fd, 1, 0) == 1 &&
	    (fd.revents & POLLHUP) != 0);
}

static void
turn(struct logger *logger)
{
	bool stuck = logger_is_stuck(logger);
	size_t before = logger->done;
	struct pollfd fds[] = {
		{ .fd = logger->orders, .events = POLLIN },
		{ .fd = stuck ? -1 : logger->pipe, .events = POLLIN },
		/* A file can always be written to, if poll(2) is asked. */
		{ .fd = stuck && !logger->is_regular ? logger->file : -1,
		  .events = POLLOUT },
	};

	if (poll(fds, 3, stuck ? RETRY_MS : -1) == -1)
		return;
	if (stuck)
		write_lines(logger);
	if (stuck && logger_is_stuck(logger) && logger->done == before) {
		/* A pipe without a reader and a full device can be written to,
		 * according to poll(2): do not try without a pause. */
		if (fds[2].revents != 0)
			(void)poll(fds, 1, RETRY_MS);
		if (nobody_is_left(logger) &&
		    ++logger->last_tries == LAST_TRIES)
			logger->is_over = true;
	} else
		logger->last_tries = 0;
	if (fds[0].revents != 0)
		logger_take_order(logger);
	if (fds[1].revents != 0)
		(void)pass(logger, BATCH);
}

int
logger_main(struct heritage *heritage)
{
	struct logger *logger;
	int status;

	title_set("logger %s", heritage->log_name);
	if ((logger = calloc(1, sizeof(*logger))) == NULL)
		return (EXIT_FAILURE);
	logger->path = heritage->log_path;
	logger->pipe = heritage->log_pipe;
	logger->orders = heritage->channel;
	logger->file = -1;
	if (heritage->log_file == -1 &&
	    (heritage->log_file = log_open(logger->path)) == -1) {
		logger_answer(logger, strerror(errno));
		free(logger);
		return (EXIT_FAILURE);
	}
	logger_use(logger, heritage->log_file);
	logger_answer(logger, "");
	while (!logger->is_over)
		turn(logger);
	status = logger_is_stuck(logger) ? EXIT_FAILURE : EXIT_SUCCESS;
	free(logger);
	return (status);
}
