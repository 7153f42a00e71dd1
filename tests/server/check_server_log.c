/* SPDX-License-Identifier: ISC */
/*
 * The log: one whole line per event, whatever clients and configurations
 * contain, and whoever reads it or does not.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

/* A line as penstock(8) describes it. */
#define VALUE	"([^ \"=\\\\]+|\"([^\"\\\\]|\\\\.)*\")"
#define LINE								\
	"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"	\
	"\\.[0-9]{6}Z (debug|info|warn|error) pid=[0-9]+ "		\
	"role=(master|worker)( slot=[0-9]+)?( gen=[0-9]+)? "		\
	"event=[a-z_]+( [a-z_]+=" VALUE ")*$"

static void
check_line(const char *line, void *arg)
{
	ck_assert_msg(regexec(arg, line, 0, NULL, 0) == 0,
	    "not a line of the log: %s", line);
}

static void
check_lines(struct server *srv)
{
	regex_t regex;

	ck_assert_int_eq(regcomp(&regex, LINE, REG_EXTENDED | REG_NOSUB), 0);
	server_each(srv, "", check_line, &regex);
	regfree(&regex);
}

START_TEST(log_lines_of_concurrent_processes_stay_whole)
{
	struct server *srv = server_start("workers = 4;", FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = 40;
	options.churn = 1;
	options.rate = HOLD_FULL_SPEED;
	load = hold_start(&options);
	await(hold_peek(load)->finished > 3000);
	server_reload(srv);
	await(hold_peek(load)->finished > 6000);
	expect_unharmed(hold_stop(load));
	await(server_counters(srv).active == 0);
	/* A close is counted before it is logged. */
	await(server_count(srv, "event=conn_close reason=eof") ==
	    server_closed(srv, CLOSE_EOF));
	ck_assert_uint_eq(server_count(srv, "event=conn_open"),
	    server_counters(srv).accepted);
	check_lines(srv);
	hold_drop(load);
	server_end(srv);
}
END_TEST

START_TEST(a_value_cannot_begin_a_log_line)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));

	server_write(srv, "conf", "workers = 1;\n"
	    "user = \"x\\n2026-11-21T00:00:00.000000Z info pid=1 role=master "
	    "event=stopped \\\" \\\\ \\x1b[31m\";\n"
	    "listeners = ( { name = \"a\\nb event=ready\"; "
	    "address = \"\\r\\n\\t event=stopped\"; handler = \"\\n\"; } );\n");
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_refused");
	server_expect(srv, "event=conf_error");
	check_lines(srv);
	ck_assert_uint_eq(server_count(srv, "pid=1"), 0);
	ck_assert_uint_eq(server_count(srv, "event=ready"), 1);
	server_end(srv);
}
END_TEST

/* As logrotate(8) does it. */
static void
rotate(struct server *srv, unsigned number)
{
	char name[16], to[256];

	snprintf(name, sizeof(name), "log.%u", number);
	snprintf(to, sizeof(to), "%s", server_path(srv, name));
	server_mark(srv);
	ck_assert_int_eq(rename(server_path(srv, "log"), to), 0);
	server_signal(srv, SIGUSR1);
	server_expect(srv, "event=reopen");
}

/* How many lines of a file tell of an event; all have to be lines. */
static unsigned
count_in_file(const struct server *srv, const char *file, const char *event)
{
	char *line = NULL;
	size_t size = 0;
	regex_t regex;
	unsigned n = 0;
	ssize_t len;
	FILE *from;

	ck_assert_ptr_nonnull(from = fopen(server_path(srv, file), "re"));
	ck_assert_int_eq(regcomp(&regex, LINE, REG_EXTENDED | REG_NOSUB), 0);
	/* The last one may be seen before it is written to its end. */
	while ((len = getline(&line, &size, from)) > 0 &&
	    line[len - 1] == '\n') {
		line[len - 1] = '\0';
		check_line(line, &regex);
		n += strstr(line, event) != NULL;
	}
	regfree(&regex);
	fclose(from);
	free(line);
	return (n);
}

static off_t
size_of(const struct server *srv, const char *file)
{
	struct stat st;

	ck_assert_int_eq(stat(server_path(srv, file), &st), 0);
	return (st.st_size);
}

START_TEST(after_rename_and_usr1_all_processes_write_to_the_new_file)
{
	enum { N = 20 };
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	int held = client_connect(FRAME_PORT), fd;
	off_t moved;

	client_echo(held, "by a worker that will drain");
	server_reload(srv);
	rotate(srv, 1);
	ck_assert(server_has_file(srv, "log"));
	ck_assert_uint_eq(size_of(srv, "log") > 0, 1);
	/* Workers have heard of it by their next line. */
	for (int i = 0; i < N; i++) {
		fd = client_connect(FRAME_PORT);
		client_echo(fd, "hello");
		close(fd);
	}
	close(held);
	await(server_count(srv, "event=conn_close") == N + 1);
	moved = size_of(srv, "log.1");
	server_reload(srv);
	ck_assert_int_eq(size_of(srv, "log.1"), moved);
	ck_assert_ptr_null(strstr(server_file(srv, "log.1"), "conn_close"));
	check_lines(srv);
	server_end(srv);
}
END_TEST

/* In the log and in so many that were moved away. */
static unsigned
closes_told(const struct server *srv, unsigned moved)
{
	unsigned told = count_in_file(srv, "log", " event=conn_close ");
	char name[16];

	for (unsigned i = 1; i <= moved; i++) {
		snprintf(name, sizeof(name), "log.%u", i);
		told += count_in_file(srv, name, " event=conn_close ");
	}
	return (told);
}

START_TEST(no_line_is_lost_when_the_log_is_reopened_under_load)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;
	uint64_t enough;

	options.connections = 20;
	options.churn = 1;
	options.rate = HOLD_FULL_SPEED;
	load = hold_start(&options);
	for (unsigned i = 1; i <= 5; i++) {
		enough = hold_peek(load)->finished + 200;
		await(hold_peek(load)->finished > enough);
		rotate(srv, i);
	}
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	await(server_counters(srv).active == 0);
	/* A close is counted before it is logged. */
	await(closes_told(srv, 5) == server_counters(srv).accepted);
	server_end(srv);
}
END_TEST

START_TEST(a_log_that_cannot_be_reopened_stays_in_use)
{
	struct server *srv = server_new();
	char dir[128], away[128];
	int fd;

	snprintf(dir, sizeof(dir), "%s", server_path(srv, "logs"));
	snprintf(away, sizeof(away), "%s", server_path(srv, "away"));
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	server_write(srv, "conf", "workers = 1; pid_file = \"penstock.pid\";\n"
	    "log = { file = \"logs/log\"; };\n"
	    "listeners = (" FRAMES("") ");\n");
	server_launch(srv);
	await(server_has_file(srv, "penstock.pid"));
	ck_assert_int_eq(rename(dir, away), 0);
	server_signal(srv, SIGUSR1);
	await(strstr(server_file(srv, "away/log"), "event=reopen_failed") !=
	    NULL);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "hello");
	close(fd);
	await(strstr(server_file(srv, "away/log"), "event=conn_close") !=
	    NULL);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_can_change_level_format_and_file)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	int fd;

	server_write(srv, "conf", "workers = 1; pid_file = \"penstock.pid\";\n"
	    "log = { file = \"other\"; level = \"warn\"; format = \"json\"; "
	    "};\n" "listeners = (" FRAMES("") ");\n");
	server_signal(srv, SIGHUP);
	await(server_has_file(srv, "other"));
	server_expect(srv, "event=worker_ready child_gen=2");
	/* Until the master has changed, the old worker can take a client. */
	await(proc_title_is(srv->master, "penstock: master gen=2"));
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "not told");
	client_send(fd, "\0\0\0\0", 4);
	client_expect_text_frame(fd, ERR_MALFORMED);
	close(fd);
	await(strstr(server_file(srv, "other"), "\"event\":\"conn_error\"") !=
	    NULL);
	ck_assert_ptr_null(strstr(server_file(srv, "other"), "conn_open"));
	server_counters(srv);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

struct rate {
	uint64_t second;
	unsigned lines;
};

static void
check_rate(const char *line, void *arg)
{
	struct rate *now = arg;

	if (log_time_us(line) / 1000000 != now->second) {
		now->second = log_time_us(line) / 1000000;
		now->lines = 0;
	}
	/* The limit's second may begin in the middle of one. */
	ck_assert_uint_le(++now->lines, 2 * (LOG_BURST + 1));
}

START_TEST(events_that_clients_cause_are_logged_up_to_a_rate_then_counted)
{
	enum { N = 300 };
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	struct rate now = { .second = 0 };
	int fd;

	for (int i = 0; i < N; i++) {
		fd = client_connect(FRAME_PORT);
		client_send(fd, "\0\0\0\0", 4);
		client_expect_text_frame(fd, ERR_MALFORMED);
		close(fd);
	}
	await(server_count_told(srv, "event=conn_error") == N);
	ck_assert_uint_lt(server_count(srv, "event=conn_error"), N);
	server_each(srv, "event=conn_error", check_rate, &now);
	await(server_count(srv, "event=conn_close reason=malformed") == N);
	server_end(srv);
}
END_TEST

/*
 * A pipe that nobody reads.
 */

static int unread[2];

static void
log_to_unread(void)
{
	dup2(unread[1], 2);
}

/* Full, and blocking for who writes to it. */
static void
make_full_pipe(void)
{
	static const char filler[4096];

	ck_assert_int_eq(pipe2(unread, O_CLOEXEC | O_NONBLOCK), 0);
	fcntl(unread[1], F_SETPIPE_SZ, 4096);
	while (write(unread[1], filler, sizeof(filler)) > 0)
		continue;
	while (write(unread[1], filler, 1) > 0)
		continue;
	fcntl(unread[1], F_SETFL, 0);
}

static bool
pipe_says(const char *text)
{
	static char said[1 << 16];
	static size_t len;
	ssize_t n;

	while (len < sizeof(said) - 1 && (n = read(unread[0], said + len,
	    sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	/* What filled it are NULs. */
	for (size_t i = 0; i < len; i++)
		if (said[i] == '\0')
			said[i] = '.';
	return (strstr(said, text) != NULL);
}

static bool
is_of_generation_2(pid_t master)
{
	char title[256];

	proc_title(master, title, sizeof(title));
	return (strcmp(title, "penstock: master gen=2") == 0);
}

static bool
served(void)
{
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "hello");
	close(fd);
	return (true);
}

START_TEST(a_log_that_is_not_read_blocks_no_process)
{
	enum { N = 200 };
	struct server *srv = server_new();

	make_full_pipe();
	srv->prepare = log_to_unread;
	server_write(srv, "conf", "workers = 2; pid_file = \"penstock.pid\";\n"
	    "listeners = (" FRAMES("") ");\n");
	server_launch(srv);
	await(server_has_file(srv, "penstock.pid"));
	for (int i = 0; i < N; i++)
		ck_assert(served());
	await(server_counters(srv).accepted == N);
	server_signal(srv, SIGHUP);
	await(is_of_generation_2(srv->master));
	/* Once it is read, the log says how many lines were lost. */
	fcntl(unread[0], F_SETFL, O_NONBLOCK);
	await(served() && pipe_says("event=log_lost lines="));
	server_end(srv);
	close(unread[0]);
	close(unread[1]);
}
END_TEST

RUN_TESTS("log",
    log_lines_of_concurrent_processes_stay_whole,
    a_value_cannot_begin_a_log_line,
    after_rename_and_usr1_all_processes_write_to_the_new_file,
    no_line_is_lost_when_the_log_is_reopened_under_load,
    a_log_that_cannot_be_reopened_stays_in_use,
    a_reload_can_change_level_format_and_file,
    events_that_clients_cause_are_logged_up_to_a_rate_then_counted,
    a_log_that_is_not_read_blocks_no_process)
