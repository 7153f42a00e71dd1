/* SPDX-License-Identifier: ISC */
/*
 * Holds common/log.c to common/log.h.
 *
 * The clock is the test's own, so that seconds pass when a test says so.
 */
#include "common/log.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/lib/harness.h"

enum { TEXT_MAX = 1 << 20 };

static uint64_t now_ms = 1000000;
static char got[TEXT_MAX + 1];		/* what was read of the log */
static int reader = -1;			/* of the log's pipe */

uint64_t
clock_coarse_ms(void)
{
	return (now_ms);
}

uint64_t
clock_ms(void)
{
	return (now_ms);
}

uint64_t
clock_us(void)
{
	return (now_ms * 1000);
}

/* Log into a pipe, with everything else as in a new process. */
static void
start(enum log_level level, enum log_format format)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	reader = fds[0];
	log_use(fds[1]);
	log_configure(level, format);
	log_identify("master", -1, -1);
	/* What an earlier test left out is not to be told in this one. */
	now_ms += 1000;
	log_flush_suppressed();
	while (read(reader, got, TEXT_MAX) > 0)
		;
}

static void
finish(void)
{
	log_use(STDERR_FILENO);
	close(reader);
}

/* What was written since the last call. */
static const char *
read_log(void)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(reader, got + len, TEXT_MAX - len)) > 0)
		len += (size_t)n;
	got[len] = '\0';
	return (got);
}

static unsigned
count_lines(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return (n);
}

/* One line with these fields, without its newline. */
static const char *
format_fields(enum log_format format, const struct log_field *fields)
{
	static char line[LOG_LINE_MAX + 1];
	size_t len = log_format_line(line, LOG_LINE_MAX, format,
	    LOG_LEVEL_INFO, EVENT_LISTEN, fields);

	ck_assert_uint_le(len, LOG_LINE_MAX);
	ck_assert_int_eq(line[len - 1], '\n');
	line[len - 1] = '\0';
	return (line);
}

#define FIELDS(...)							\
	(const struct log_field[]){ __VA_ARGS__, { .key = NULL } }

static void
expect_match(const char *text, const char *pattern)
{
	regex_t regex;

	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB),
	    0);
	ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0,
	    "\"%s\" does not match \"%s\"", text, pattern);
	regfree(&regex);
}

static void
expect_end(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	ck_assert_uint_ge(len, end_len);
	ck_assert_str_eq(text + len - end_len, end);
}

#define TIME	"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}" \
	"\\.[0-9]{6}Z"

/*
 * One line.
 */

START_TEST(a_line_of_text_tells_time_level_process_event_and_fields)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_identify("worker", 3, 7);
	LOG(WARN, CONN_CLOSE, F_U64("conn", UINT64_MAX),
	    F_STR("listener", "devices"), F_I64("n", INT64_MIN));
	expect_match(read_log(), "^" TIME " warn pid=[0-9]+ role=worker slot=3 "
	    "gen=7 event=conn_close conn=18446744073709551615 "
	    "listener=devices n=-9223372036854775808\n$");
	finish();
}
END_TEST

START_TEST(a_line_of_json_is_an_object_of_the_same_fields)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_identify("worker", 3, 7);
	LOG(WARN, CONN_CLOSE, F_U64("conn", UINT64_MAX),
	    F_STR("listener", "devices"), F_I64("n", INT64_MIN));
	expect_match(read_log(), "^\\{\"time\":\"" TIME "\",\"level\":\"warn\","
	    "\"pid\":[0-9]+,\"role\":\"worker\",\"slot\":3,\"gen\":7,"
	    "\"event\":\"conn_close\",\"conn\":18446744073709551615,"
	    "\"listener\":\"devices\",\"n\":-9223372036854775808\\}\n$");
	finish();
}
END_TEST

START_TEST(the_pid_is_that_of_the_process_that_writes)
{
	char pid[32];
	pid_t child;
	int status;

	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	ck_assert_int_ne(child = fork(), -1);
	if (child == 0) {
		LOG(INFO, LISTEN);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	snprintf(pid, sizeof(pid), " pid=%d ", (int)child);
	ck_assert_ptr_nonnull(strstr(read_log(), pid));
	finish();
}
END_TEST

START_TEST(slot_and_generation_are_left_out_while_there_are_none)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	LOG(INFO, LISTEN);
	expect_match(read_log(), "role=master event=listen\n$");
	log_identify("master", -1, 0);
	LOG(INFO, LISTEN);
	expect_match(read_log(), "role=master gen=0 event=listen\n$");
	log_identify("worker", 0, -1);
	LOG(INFO, LISTEN);
	expect_match(read_log(), "role=worker slot=0 event=listen\n$");
	finish();
}
END_TEST

/* The whole seconds of a line's time, read as UTC. */
static time_t
time_of(const char *line)
{
	struct tm tm = { .tm_sec = 0 };

	ck_assert_ptr_nonnull(strptime(line, "%Y-%m-%dT%H:%M:%S", &tm));
	return (timegm(&tm));
}

START_TEST(the_time_is_that_of_the_wall_clock_in_utc)
{
	struct timespec before, after;
	time_t then;

	setenv("TZ", "Asia/Kathmandu", 1);
	tzset();
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	/* time(2) reads a coarse clock, which is some milliseconds behind. */
	clock_gettime(CLOCK_REALTIME, &before);
	LOG(INFO, LISTEN);
	then = time_of(read_log());
	clock_gettime(CLOCK_REALTIME, &after);
	ck_assert_int_ge(then, before.tv_sec);
	ck_assert_int_le(then, after.tv_sec);
	finish();
	unsetenv("TZ");
	tzset();
}
END_TEST

START_TEST(what_is_below_the_level_is_not_written)
{
	for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
		start((enum log_level)level, LOG_FORMAT_TEXT);
		LOG(DEBUG, LISTEN);
		LOG(INFO, LISTEN);
		LOG(WARN, LISTEN);
		LOG(ERROR, LISTEN);
		ck_assert_uint_eq(count_lines(read_log()),
		    4 - (unsigned)level);
		ck_assert(log_enabled((enum log_level)level));
		ck_assert(log_enabled(LOG_LEVEL_ERROR));
		ck_assert(level == 0 ||
		    !log_enabled((enum log_level)(level - 1)));
		finish();
	}
}
END_TEST

START_TEST(a_field_without_a_value_is_left_out)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	LOG(INFO, LISTEN, F_U64("a", 1), F_STR("why", NULL), F_U64("b", 2));
	expect_end(read_log(), "event=listen a=1 b=2\n");
	finish();
}
END_TEST

START_TEST(an_error_is_told_in_words)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	LOG(INFO, LISTEN, F_ERRNO(ENOENT));
	expect_end(read_log(), "error=\"No such file or directory\"\n");
	finish();
}
END_TEST

/*
 * Values.
 */

static const struct {
	const char *value, *text, *json;
} values[] = {
	{ "plain", "v=plain", "\"v\":\"plain\"" },
	{ "a:b/c,d[e]", "v=a:b/c,d[e]", "\"v\":\"a:b/c,d[e]\"" },
	{ "", "v=\"\"", "\"v\":\"\"" },
	{ "two words", "v=\"two words\"", "\"v\":\"two words\"" },
	{ "a=b", "v=\"a=b\"", "\"v\":\"a=b\"" },
	{ "say \"hi\"", "v=\"say \\\"hi\\\"\"", "\"v\":\"say \\\"hi\\\"\"" },
	{ "\"", "v=\"\\\"\"", "\"v\":\"\\\"\"" },
	{ "back\\slash", "v=\"back\\\\slash\"", "\"v\":\"back\\\\slash\"" },
	{ "a\nb", "v=\"a\\u000ab\"", "\"v\":\"a\\u000ab\"" },
	{ "\r\t\x01", "v=\"\\u000d\\u0009\\u0001\"",
	  "\"v\":\"\\u000d\\u0009\\u0001\"" },
	{ "\x1b[2J", "v=\"\\u001b[2J\"", "\"v\":\"\\u001b[2J\"" },
	{ "\x7f", "v=\"\\u007f\"", "\"v\":\"\\u007f\"" },
	{ "\xc2\x9b" "2J", "v=\"\\u009b2J\"", "\"v\":\"\\u009b2J\"" },
	{ "caf\xc3\xa9", "v=\"caf\xc3\xa9\"", "\"v\":\"caf\xc3\xa9\"" },
	{ "\xc3\xa9\xff\xc3", "v=\"\xc3\xa9\\ufffd\\ufffd\"",
	  "\"v\":\"\xc3\xa9\\ufffd\\ufffd\"" },
};

START_TEST(a_value_stands_bare_in_text_unless_it_could_be_misread)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
		expect_end(strstr(format_fields(LOG_FORMAT_TEXT,
		    FIELDS(F_STR("v", values[i].value))), "event=listen "),
		    values[i].text);
}
END_TEST

START_TEST(a_value_stands_quoted_and_escaped_in_json)
{
	char end[128];

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		snprintf(end, sizeof(end), ",%s}", values[i].json);
		expect_end(format_fields(LOG_FORMAT_JSON,
		    FIELDS(F_STR("v", values[i].value))), end);
	}
}
END_TEST

START_TEST(no_byte_that_a_client_sends_gets_into_the_log_but_printable_ascii)
{
	char value[2] = "";

	for (int byte = 1; byte < 256; byte++)
		for (int format = 0; format < 2; format++) {
			const char *line;

			value[0] = (char)byte;
			line = format_fields((enum log_format)format,
			    FIELDS(F_STR("v", value)));
			for (; *line != '\0'; line++)
				ck_assert(*line >= ' ' && *line <= '~');
		}
}
END_TEST

START_TEST(a_client_cannot_forge_a_line)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	LOG(INFO, CONN_OPEN, F_STR("peer",
	    "x\n2026-01-01T00:00:00.000000Z error pid=1 event=stopped"));
	LOG(INFO, CONN_OPEN, F_STR("peer", "x\" event=stopped y=\""));
	ck_assert_uint_eq(count_lines(read_log()), 2);
	ck_assert_ptr_null(strstr(got, "\" event=stopped y=\"\n"));
	ck_assert_ptr_nonnull(strstr(got,
	    "peer=\"x\\\" event=stopped y=\\\"\"\n"));
	finish();
}
END_TEST

/*
 * Long lines.
 */

static char *
repeat(char byte, size_t n)
{
	char *text = malloc(n + 1);

	ck_assert_ptr_nonnull(text);
	memset(text, byte, n);
	text[n] = '\0';
	return (text);
}

/* A value that fits is there whole; one that does not is left out, and so
 * said. */
static void
expect_whole_or_cut(enum log_format format, const char *value)
{
	const char *line = format_fields(format,
	    FIELDS(F_U64("a", 1), F_STR("v", value)));
	const bool json = format == LOG_FORMAT_JSON;
	char tail[32], *whole;

	if (strstr(line, "cut") == NULL) {
		ck_assert_int_ne(asprintf(&whole, json ? ",\"v\":\"%s\"}" :
		    " v=%s", value), -1);
		expect_end(line, whole);
		free(whole);
		return;
	}
	snprintf(tail, sizeof(tail), "%s", json ? "\"a\":1,\"cut\":1}" :
	    "a=1 cut=1");
	expect_end(line, tail);
}

START_TEST(a_value_that_does_not_fit_is_left_out_and_so_said)
{
	char *value = repeat('x', LOG_LINE_MAX + 100);
	bool was_whole = false, was_cut = false;

	for (size_t n = LOG_LINE_MAX - 200; n < LOG_LINE_MAX + 100; n++) {
		value[n] = '\0';
		for (int format = 0; format < 2; format++) {
			expect_whole_or_cut((enum log_format)format, value);
			if (strstr(format_fields((enum log_format)format,
			    FIELDS(F_STR("v", value))), "cut") == NULL)
				was_whole = true;
			else
				was_cut = true;
		}
		value[n] = 'x';
	}
	ck_assert(was_whole && was_cut);
	free(value);
}
END_TEST

START_TEST(a_line_is_cut_only_where_it_must_be)
{
	char *value = repeat('x', LOG_LINE_MAX);
	size_t longest = 0, len;

	for (size_t n = 0; n < LOG_LINE_MAX; n++) {
		const char *line;

		value[n] = '\0';
		line = format_fields(LOG_FORMAT_TEXT,
		    FIELDS(F_STR("v", value)));
		len = strlen(line);
		if (strstr(line, "cut=1") == NULL && len > longest)
			longest = len;
		value[n] = 'x';
	}
	ck_assert_uint_gt(longest, LOG_LINE_MAX - 16);
	free(value);
}
END_TEST

START_TEST(a_value_that_grows_by_its_escapes_stays_within_the_limit)
{
	char *value = repeat('\n', LOG_LINE_MAX);

	for (size_t n = LOG_LINE_MAX / 6 - 50; n < LOG_LINE_MAX / 6; n++) {
		value[n] = '\0';
		expect_match(format_fields(LOG_FORMAT_JSON,
		    FIELDS(F_STR("v", value))),
		    "(\"v\":\"(\\\\u000a)+\"|\"cut\":1)\\}$");
		value[n] = '\n';
	}
	free(value);
}
END_TEST

START_TEST(after_a_value_that_does_not_fit_no_other_is_told)
{
	char *value = repeat('x', LOG_LINE_MAX);

	expect_end(format_fields(LOG_FORMAT_TEXT, FIELDS(F_U64("a", 1),
	    F_STR("v", value), F_U64("b", 2))), "event=listen a=1 cut=1");
	free(value);
}
END_TEST

START_TEST(a_line_fits_into_whatever_room_it_is_given)
{
	char line[512];

	for (size_t size = 128; size < sizeof(line); size++)
		for (int format = 0; format < 2; format++) {
			size_t len;

			memset(line, 0x7f, sizeof(line));
			len = log_format_line(line, size,
			    (enum log_format)format, LOG_LEVEL_INFO,
			    EVENT_LISTEN, FIELDS(F_STR("a", "0123456789"),
			    F_STR("b", "\n\n\n"), F_U64("c", UINT64_MAX),
			    F_STR("d", "the last one of these")));
			ck_assert_uint_le(len, size);
			ck_assert_int_eq(line[len - 1], '\n');
			ck_assert_int_eq(line[size], 0x7f);
		}
}
END_TEST

/*
 * Where it goes.
 */

static char dir[64], path[128];

static void
make_dir(void)
{
	strcpy(dir, "/tmp/check_log.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
}

static void
remove_dir(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(a_log_that_is_not_there_is_made)
{
	mode_t before = umask(022);
	struct stat st;
	int fd;

	make_dir();
	ck_assert_int_ge(fd = log_open(path), 0);
	umask(before);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	remove_dir();
}
END_TEST

START_TEST(a_log_that_is_there_is_appended_to)
{
	int fd, other;

	make_dir();
	ck_assert_int_ge(other = log_open(path), 0);
	ck_assert_int_ge(fd = log_open(path), 0);
	ck_assert_int_eq(write(other, "one ", 4), 4);
	ck_assert_int_eq(write(fd, "two ", 4), 4);
	ck_assert_int_eq(write(other, "three", 5), 5);
	close(fd);
	close(other);
	ck_assert_int_ge(fd = open(path, O_RDONLY | O_CLOEXEC), 0);
	ck_assert_int_eq(read(fd, got, TEXT_MAX), 13);
	ck_assert_mem_eq(got, "one two three", 13);
	close(fd);
	remove_dir();
}
END_TEST

START_TEST(a_log_without_a_name_is_stderr)
{
	ck_assert_int_eq(log_open(NULL), STDERR_FILENO);
	ck_assert_int_eq(log_open(""), STDERR_FILENO);
}
END_TEST

START_TEST(a_log_that_cannot_be_opened_is_an_error)
{
	make_dir();
	ck_assert_int_eq(log_open(dir), -1);
	ck_assert_int_eq(errno, EISDIR);
	ck_assert_int_eq(log_open("/nonexistent/log"), -1);
	ck_assert_int_eq(errno, ENOENT);
	/* A FIFO that nobody reads would make us wait. */
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(log_open(path), -1);
	ck_assert_int_eq(errno, ENXIO);
	remove_dir();
}
END_TEST

START_TEST(a_new_log_takes_the_place_of_the_old_one_which_is_closed)
{
	int old;

	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	make_dir();
	old = log_fd();
	log_use(log_open(path));
	ck_assert_int_ne(log_fd(), old);
	ck_assert_int_eq(fcntl(old, F_GETFD), -1);
	LOG(INFO, LISTEN);
	ck_assert_str_eq(read_log(), "");
	close(reader);
	ck_assert_int_ge(reader = open(path, O_RDONLY | O_CLOEXEC), 0);
	expect_match(read_log(), "^" TIME " info .* event=listen\n$");
	finish();
	remove_dir();
}
END_TEST

START_TEST(stderr_and_the_log_in_use_are_not_closed)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_use(log_fd());
	ck_assert_int_ne(fcntl(log_fd(), F_GETFD), -1);
	log_use(STDERR_FILENO);
	ck_assert_int_ne(fcntl(log_fd(), F_GETFD), -1);
	make_dir();
	log_use(log_open(path));
	ck_assert_int_ne(fcntl(STDERR_FILENO, F_GETFD), -1);
	finish();
	remove_dir();
}
END_TEST

/* Let stderr be one end of something; returns the one that it was. */
static int
exchange_stderr(int fd)
{
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	ck_assert_int_ge(saved, 0);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
	return (saved);
}

static void
restore_stderr(int saved)
{
	ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	log_use(STDERR_FILENO);
}

START_TEST(a_pipe_as_stderr_stays_as_others_expect_it_and_never_blocks_us)
{
	char *value = repeat('x', 4000);
	int fds[2], saved;

	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_identify("worker", -1, -1);
	close(reader);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	reader = fds[0];
	ck_assert_int_eq(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
	saved = exchange_stderr(fds[1]);
	log_use(STDERR_FILENO);
	for (int i = 0; i < 100; i++)
		LOG(INFO, READY, F_STR("v", value));
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_uint_lt(count_lines(read_log()), 100);
	LOG(INFO, STOPPED);
	expect_match(read_log(), "event=log_lost lines=[0-9]+\n[^\n]*"
	    "event=stopped\n$");
	restore_stderr(saved);
	finish();
	free(value);
}
END_TEST

START_TEST(a_socket_as_stderr_never_blocks_us)
{
	char *value = repeat('x', 4000);
	int fds[2], saved;

	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	close(reader);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	reader = fds[0];
	ck_assert_int_eq(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
	saved = exchange_stderr(fds[1]);
	log_use(STDERR_FILENO);
	LOG(INFO, READY);
	expect_match(read_log(), "^" TIME " [^\n]*event=ready\n$");
	for (int i = 0; i < 1000; i++)
		LOG(INFO, READY, F_STR("v", value));
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_uint_lt(count_lines(read_log()), 1000);
	LOG(INFO, STOPPED);
	expect_match(read_log(), "event=log_lost lines=[0-9]+\n[^\n]*"
	    "event=stopped\n$");
	restore_stderr(saved);
	finish();
	free(value);
}
END_TEST

/*
 * Links.
 */

START_TEST(a_link_is_followed_where_nobody_else_can_put_one)
{
	char link[160], target[160];
	struct stat st;
	int fd;

	make_dir();
	snprintf(link, sizeof(link), "%s/link", dir);
	snprintf(target, sizeof(target), "%s/target", dir);
	ck_assert_int_eq(symlink(target, link), 0);
	ck_assert_int_ge(fd = log_open(link), 0);
	close(fd);
	ck_assert_int_eq(unlink(target), 0);
	/* Others could exchange it here, */
	ck_assert_int_eq(chmod(dir, 0777), 0);
	ck_assert_int_eq(log_open(link), -1);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_int_eq(chmod(dir, 0700), 0);
	/* or have made it. */
	if (geteuid() == 0) {
		ck_assert_int_eq(lchown(link, 65534, 65534), 0);
		ck_assert_int_eq(log_open(link), -1);
		ck_assert_int_eq(errno, ELOOP);
		ck_assert_int_eq(lchown(link, 0, 0), 0);
		ck_assert_int_eq(chown(dir, 65534, 65534), 0);
		ck_assert_int_eq(log_open(link), -1);
		ck_assert_int_eq(chown(dir, 0, 0), 0);
	}
	ck_assert_int_eq(stat(target, &st), -1);
	unlink(link);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/*
 * What a pipe does not take.
 */

/* Write lines until there is no room for one more. */
static unsigned
fill_pipe(void)
{
	struct pollfd pollfd = { .fd = log_fd(), .events = POLLOUT };
	char *value = repeat('x', 3000);
	unsigned n = 0;

	ck_assert_int_gt(fcntl(log_fd(), F_SETPIPE_SZ, 1 << 16), 0);
	for (; poll(&pollfd, 1, 0) == 1; n++)
		LOG(INFO, LISTEN, F_STR("v", value));
	free(value);
	return (n);
}

/* As a log is when someone else made the pipe. */
static void
make_blocking(void)
{
	ck_assert_int_eq(fcntl(log_fd(), F_SETFL, 0), 0);
	log_use(log_fd());
}

START_TEST(a_line_that_a_full_pipe_does_not_take_is_counted_and_told_later)
{
	unsigned n;

	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_identify("worker", -1, -1);
	make_blocking();
	n = fill_pipe();
	for (int i = 0; i < 5; i++)
		LOG(INFO, READY);	/* would not return */
	ck_assert_uint_eq(count_lines(read_log()), n);
	LOG(INFO, STOP);
	LOG(INFO, STOPPED);
	ck_assert_uint_eq(count_lines(read_log()), 3);
	expect_match(got, "^" TIME " warn [^\n]* event=log_lost lines=5\n"
	    "[^\n]* event=stop\n[^\n]* event=stopped\n$");
	finish();
}
END_TEST

START_TEST(what_was_lost_is_told_first_and_once)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_identify("worker", -1, -1);
	make_blocking();
	fill_pipe();
	LOG(INFO, READY);
	read_log();
	fill_pipe();
	LOG(INFO, READY);
	LOG(INFO, READY);
	read_log();
	expect_match(got, "^" TIME " [^\n]*event=log_lost lines=1\n");
	LOG(INFO, STOP);
	expect_match(read_log(), "^" TIME " [^\n]*event=log_lost lines=2\n"
	    "[^\n]*event=stop\n$");
	finish();
}
END_TEST

/* The lines of clients fill the pipe first. */
START_TEST(lines_of_the_master_wait_for_a_full_pipe)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	make_blocking();
	fill_pipe();
	LOG(INFO, RELOAD);
	LOG(INFO, RELOAD_DONE);
	read_log();
	log_flush_suppressed();
	expect_match(read_log(), "^[^\n]*event=reload\n"
	    "[^\n]*event=reload_done\n$");
	finish();
}
END_TEST

START_TEST(warnings_of_a_worker_wait_for_a_full_pipe)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	make_blocking();
	log_identify("worker", 1, 1);
	fill_pipe();
	LOG(INFO, CONN_OPEN);
	LOG(WARN, CONN_ERROR);
	LOG(INFO, CONN_CLOSE);
	LOG(ERROR, MASTER_GONE);
	read_log();
	LOG(INFO, WORKER_DRAIN);
	expect_match(read_log(), "^[^\n]*event=conn_error\n"
	    "[^\n]*event=master_gone\n[^\n]*event=log_lost lines=2\n"
	    "[^\n]*event=worker_drain\n$");
	finish();
}
END_TEST

START_TEST(only_so_many_lines_wait_for_a_full_pipe)
{
	char *value = repeat('x', 1000), words[64];
	unsigned n = 200, waited;

	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	make_blocking();
	fill_pipe();
	for (unsigned i = 0; i < n; i++)
		LOG(INFO, READY, F_STR("v", value));
	read_log();
	log_flush_suppressed();
	waited = count_lines(read_log());
	/* Half of them, and then the number of lost ones. */
	if (strstr(got, "event=log_lost") == NULL) {
		log_flush_suppressed();
		waited += count_lines(read_log());
	}
	ck_assert_uint_gt(waited, n / 4);
	ck_assert_uint_lt(waited, n / 2);
	snprintf(words, sizeof(words), "event=log_lost lines=%u\n",
	    n - (waited - 1));
	ck_assert_ptr_nonnull(strstr(got, words));
	finish();
	free(value);
}
END_TEST

START_TEST(what_a_process_loses_is_told_by_another_one_after_its_end)
{
	uint64_t untold = 0;

	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	make_blocking();
	log_identify("worker", 1, 1);
	log_share_untold(&untold);
	fill_pipe();
	LOG(INFO, CONN_OPEN);
	LOG(WARN, CONN_ERROR);
	ck_assert_uint_eq(untold, 2);
	read_log();
	log_flush_suppressed();
	ck_assert_uint_eq(untold, 0);
	ck_assert_uint_eq(count_lines(read_log()), 2);
	log_share_untold(NULL);
	log_tell_lost(3);
	log_flush_suppressed();
	expect_match(read_log(), "^[^\n]*event=log_lost lines=3\n$");
	finish();
}
END_TEST

START_TEST(what_waits_is_not_written_by_a_child_too)
{
	pid_t child;
	int status;

	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	make_blocking();
	fill_pipe();
	LOG(INFO, RELOAD);
	if ((child = fork()) == 0) {
		log_identify("worker", 0, 1);
		read_log();
		LOG(INFO, WORKER_DRAIN);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	expect_match(read_log(), "^[^\n]*event=worker_drain\n$");
	log_flush_suppressed();
	expect_match(read_log(), "^[^\n]*event=reload\n$");
	finish();
}
END_TEST

START_TEST(a_log_that_nobody_reads_any_more_does_not_end_us)
{
	int fds[2];

	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_identify("worker", -1, -1);
	close(reader);
	LOG(INFO, READY);
	ck_assert_int_ge(reader = open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	close(reader);
	/* Its line is counted as lost when there is a reader again. */
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	reader = fds[0];
	log_use(fds[1]);
	log_flush_suppressed();
	expect_match(read_log(), "^[^\n]*event=log_lost lines=1\n$");
	finish();
}
END_TEST

/*
 * Several writers.
 */

enum { WRITERS = 4, LINES_EACH = 300 };

static void
write_many(int writer)
{
	char *value = repeat((char)('a' + writer), 3500);

	for (int i = 0; i < LINES_EACH; i++)
		LOG(INFO, LISTEN, F_I64("writer", writer), F_I64("i", i),
		    F_STR("v", value));
	free(value);
}

static void
expect_whole_line(const char *line, int next[WRITERS])
{
	const char *fields = strstr(line, "event=listen writer=");
	int writer, i, value;

	ck_assert_ptr_nonnull(fields);
	ck_assert_int_eq(sscanf(fields, "event=listen writer=%d i=%d v=%n",
	    &writer, &i, &value), 2);
	ck_assert(writer >= 0 && writer < WRITERS);
	ck_assert_int_eq(i, next[writer]++);
	ck_assert_uint_eq(strlen(fields + value), 3501);
	ck_assert_uint_eq(strspn(fields + value,
	    (char[]){ (char)('a' + writer), '\0' }), 3500);
}

START_TEST(lines_of_many_processes_stay_whole_in_a_file)
{
	int next[WRITERS] = { 0 }, status;
	char line[LOG_LINE_MAX + 2];
	FILE *from;

	make_dir();
	log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_use(log_open(path));
	for (int i = 0; i < WRITERS; i++)
		if (fork() == 0) {
			write_many(i);
			_exit(0);
		}
	for (int i = 0; i < WRITERS; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	log_use(STDERR_FILENO);
	ck_assert_ptr_nonnull(from = fopen(path, "re"));
	while (fgets(line, sizeof(line), from) != NULL)
		expect_whole_line(line, next);
	fclose(from);
	for (int i = 0; i < WRITERS; i++)
		ck_assert_int_eq(next[i], LINES_EACH);
	remove_dir();
}
END_TEST

/*
 * What clients cause.
 */

static void
flood(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		LOG_CLIENT(WARN, CONN_ERROR, F_U64("i", i));
}

START_TEST(of_one_event_only_so_many_lines_are_written_in_a_second)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	flood(LOG_BURST);
	ck_assert_uint_eq(count_lines(read_log()), LOG_BURST);
	flood(1);
	now_ms += 999;
	flood(1);
	ck_assert_uint_eq(count_lines(read_log()), 0);
	/* Others go on. */
	LOG_CLIENT(WARN, CONN_REJECTED);
	LOG(INFO, CONN_OPEN);
	ck_assert_uint_eq(count_lines(read_log()), 2);
	finish();
}
END_TEST

START_TEST(the_first_line_after_the_second_says_how_many_were_left_out)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	flood(LOG_BURST + 30);
	read_log();
	now_ms += 1000;
	flood(2);
	expect_match(read_log(), "^" TIME " warn [^\n]*event=conn_error "
	    "suppressed=30\n[^\n]*i=0\n[^\n]*i=1\n$");
	/* And once only. */
	now_ms += 1000;
	flood(1);
	ck_assert_uint_eq(count_lines(read_log()), 1);
	ck_assert_ptr_null(strstr(got, "suppressed"));
	finish();
}
END_TEST

START_TEST(a_flood_that_has_ended_is_told_when_its_second_is_over)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	flood(LOG_BURST + 7);
	read_log();
	now_ms += 999;
	log_flush_suppressed();
	ck_assert_str_eq(read_log(), "");
	now_ms += 1;
	log_flush_suppressed();
	expect_match(read_log(), "^" TIME " warn [^\n]*event=conn_error "
	    "suppressed=7\n$");
	log_flush_suppressed();
	ck_assert_str_eq(read_log(), "");
	finish();
}
END_TEST

START_TEST(each_second_has_its_lines)
{
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	for (int second = 0; second < 3; second++) {
		flood(LOG_BURST);
		ck_assert_uint_eq(count_lines(read_log()), LOG_BURST);
		now_ms += 1000;
	}
	finish();
}
END_TEST

START_TEST(what_is_below_the_level_is_not_counted_as_left_out)
{
	start(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	flood(LOG_BURST + 10);
	now_ms += 1000;
	log_flush_suppressed();
	ck_assert_str_eq(read_log(), "");
	finish();
}
END_TEST

/*
 * Names.
 */

static bool
is_name(const char *name)
{
	return (name != NULL && *name != '\0' &&
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] == '\0');
}

START_TEST(every_event_has_a_name_of_its_own)
{
	for (int i = 0; i < LOG_EVENT_COUNT; i++) {
		ck_assert(is_name(log_event_name((enum log_event)i)));
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(log_event_name((enum log_event)i),
			    log_event_name((enum log_event)k));
	}
	ck_assert_str_eq(log_event_name(EVENT_RELOAD_DONE), "reload_done");
}
END_TEST

START_TEST(every_level_has_its_name)
{
	ck_assert_str_eq(log_level_name(LOG_LEVEL_DEBUG), "debug");
	ck_assert_str_eq(log_level_name(LOG_LEVEL_INFO), "info");
	ck_assert_str_eq(log_level_name(LOG_LEVEL_WARN), "warn");
	ck_assert_str_eq(log_level_name(LOG_LEVEL_ERROR), "error");
}
END_TEST

RUN_TESTS("log",
    a_line_of_text_tells_time_level_process_event_and_fields,
    a_line_of_json_is_an_object_of_the_same_fields,
    the_pid_is_that_of_the_process_that_writes,
    slot_and_generation_are_left_out_while_there_are_none,
    the_time_is_that_of_the_wall_clock_in_utc,
    what_is_below_the_level_is_not_written,
    a_field_without_a_value_is_left_out,
    an_error_is_told_in_words,
    a_value_stands_bare_in_text_unless_it_could_be_misread,
    a_value_stands_quoted_and_escaped_in_json,
    no_byte_that_a_client_sends_gets_into_the_log_but_printable_ascii,
    a_client_cannot_forge_a_line,
    a_value_that_does_not_fit_is_left_out_and_so_said,
    a_line_is_cut_only_where_it_must_be,
    a_value_that_grows_by_its_escapes_stays_within_the_limit,
    after_a_value_that_does_not_fit_no_other_is_told,
    a_line_fits_into_whatever_room_it_is_given,
    a_log_that_is_not_there_is_made,
    a_log_that_is_there_is_appended_to,
    a_log_without_a_name_is_stderr,
    a_log_that_cannot_be_opened_is_an_error,
    a_new_log_takes_the_place_of_the_old_one_which_is_closed,
    stderr_and_the_log_in_use_are_not_closed,
    a_pipe_as_stderr_stays_as_others_expect_it_and_never_blocks_us,
    a_socket_as_stderr_never_blocks_us,
    a_link_is_followed_where_nobody_else_can_put_one,
    a_line_that_a_full_pipe_does_not_take_is_counted_and_told_later,
    what_was_lost_is_told_first_and_once,
    lines_of_the_master_wait_for_a_full_pipe,
    warnings_of_a_worker_wait_for_a_full_pipe,
    only_so_many_lines_wait_for_a_full_pipe,
    what_a_process_loses_is_told_by_another_one_after_its_end,
    what_waits_is_not_written_by_a_child_too,
    a_log_that_nobody_reads_any_more_does_not_end_us,
    lines_of_many_processes_stay_whole_in_a_file,
    of_one_event_only_so_many_lines_are_written_in_a_second,
    the_first_line_after_the_second_says_how_many_were_left_out,
    a_flood_that_has_ended_is_told_when_its_second_is_over,
    each_second_has_its_lines,
    what_is_below_the_level_is_not_counted_as_left_out,
    every_event_has_a_name_of_its_own,
    every_level_has_its_name)
