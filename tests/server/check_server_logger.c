/* SPDX-License-Identifier: ISC */
/*
 * The loggers: nobody but them waits for a disk, and what they write is whole.
 * A disk that freezes or is full comes from tests/lib/disk.so; where that cannot
 * be preloaded, the tests that need it pass without doing anything.
 */
#include "tests/lib/disk.h"

#include <sys/mman.h>

#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define GLOBALS	"workers = 2; watchdog_timeout = 3.0; probation = 0.0;\n" \
		"access_log = { file = \"access\"; };\n"
#define GET	"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static char library[PATH_MAX], control[PATH_MAX];

static void
preload(void)
{
	setenv("LD_PRELOAD", library, 1);
	setenv(DISK_ENV, control, 1);
}

/* NULL where nothing can be preloaded. */
static struct server *
start_on_disk(struct disk **disk)
{
	const char *build = getenv("TOP_BUILDDIR");
	struct server *srv;
	int fd;

	snprintf(library, sizeof(library), "%s/tests/lib/disk.so",
	    build != NULL ? build : ".");
	if (server_is_sanitized())
		return (NULL);
	if (access(library, R_OK) == -1)
		err(1, "%s", library);
	srv = server_new();
	snprintf(control, sizeof(control), "%s", server_path(srv, "disk"));
	ck_assert_int_ne(fd = open(control, O_RDWR | O_CREAT | O_CLOEXEC,
	    0600), -1);
	ck_assert_int_eq(ftruncate(fd, sizeof(**disk)), 0);
	*disk = mmap(NULL, sizeof(**disk), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	ck_assert(*disk != MAP_FAILED);
	close(fd);
	srv->prepare = preload;
	server_configure(srv, GLOBALS, FRAMES("") "," WEB("echo", ""));
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

/* A test of a server on such a disk, which passes where nothing can be
 * preloaded. */
#define TEST_ON_DISK(name)						\
	static void name##_on(struct server *srv, struct disk *disk);	\
	START_TEST(name)						\
	{								\
		struct disk *disk;					\
		struct server *srv = start_on_disk(&disk);		\
									\
		if (srv == NULL)					\
			return;						\
		name##_on(srv, disk);					\
		server_end(srv);					\
		munmap(disk, sizeof(*disk));				\
	}								\
	END_TEST							\
	static void name##_on(struct server *srv, struct disk *disk)

static void
set(uint32_t *what, uint32_t value)
{
	__atomic_store_n(what, value, __ATOMIC_SEQ_CST);
}

static uint32_t
get(const uint32_t *what)
{
	return (__atomic_load_n(what, __ATOMIC_SEQ_CST));
}

/* That many clients come, are served and go: each is logged twice. */
static void
serve(unsigned clients)
{
	int fd;

	for (unsigned i = 0; i < clients; i++) {
		fd = client_connect(FRAME_PORT);
		client_echo(fd, "hello");
		close(fd);
	}
}

static pid_t
logger_of(const struct server *srv, const char *title)
{
	char found[64];
	pid_t pids[8];
	size_t n = proc_loggers(srv->master, pids, 8);

	for (size_t i = 0; i < n; i++) {
		proc_title(pids[i], found, sizeof(found));
		if (strcmp(found, title) == 0)
			return (pids[i]);
	}
	return (0);
}

TEST_ON_DISK(a_frozen_disk_delays_no_client_and_lost_lines_are_logged)
{
	int held, web;

	held = client_connect(FRAME_PORT);
	web = client_connect(WEB_PORT);
	set(&disk->frozen, 1);
	/* More lines than are kept. */
	serve(rounds(6000, 60000));
	await(get(&disk->waiting) > 0);
	/* Orders are carried out; what needs the disk is refused. */
	server_signal(srv, SIGHUP);
	await(proc_title_is(srv->master, "penstock: master gen=2"));
	server_signal(srv, SIGUSR1);
	server_write(srv, "conf", GLOBALS "log = { file = \"other\"; };\n"
	    "monitor = { enabled = false; }; pid_file = \"penstock.pid\";\n"
	    "listeners = (" FRAMES("") "," WEB("echo", "") ");\n");
	server_signal(srv, SIGHUP);
	await(proc_title_is(srv->master, "penstock: master gen=2 reloading"));
	await(proc_title_is(srv->master, "penstock: master gen=2"));
	client_echo(held, "I was here before");
	client_send(web, GET, sizeof(GET) - 1);
	client_expect(web, "HTTP/1.1 200", 12);
	ck_assert_uint_gt(get(&disk->waiting), 0);
	set(&disk->frozen, 0);
	server_expect(srv, "event=log_lost");
	/* No line of the master's is among them. */
	server_expect(srv, "event=reload_done");
	server_expect(srv, "event=reload_refused");
	ck_assert(!server_has_file(srv, "other"));
	ck_assert_ptr_null(server_log(srv, "event=worker_hung"));
	ck_assert_ptr_null(server_log(srv, "event=worker_killed"));
	ck_assert_ptr_null(server_log(srv, "event=worker_died"));
	client_echo(held, "and I am still here");
	await(strstr(server_file(srv, "access"), "GET / HTTP/1.1") != NULL);
	close(held);
	close(web);
}

TEST_ON_DISK(a_server_stops_while_the_disk_is_frozen)
{
	set(&disk->frozen, 1);
	serve(10);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	set(&disk->frozen, 0);
}

/* A machine that is busy when it stops its services loses no line for that. */
TEST_ON_DISK(the_last_lines_wait_for_a_disk_that_is_slow)
{
	serve(5);
	set(&disk->frozen, 1);
	server_signal(srv, SIGTERM);
	await(server_children(srv) == 0);
	pause_us(1500000);
	set(&disk->frozen, 0);
	server_await_exit(srv, 0);
	ck_assert_uint_eq(server_count(srv, "event=conn_close"), 5);
	ck_assert_uint_eq(server_count(srv, "event=stopped"), 1);
}

/* Lines of clients had filled its pipe, and the last ones of the master were
 * still waiting for that when it ended. */
TEST_ON_DISK(the_stop_is_logged_after_more_lines_than_a_pipe_holds)
{
	set(&disk->frozen, 1);
	serve(rounds(6000, 60000));
	server_signal(srv, SIGTERM);
	await(server_children(srv) == 0);
	set(&disk->frozen, 0);
	server_await_exit(srv, 0);
	ck_assert_uint_eq(server_count(srv, "event=stopped"), 1);
	ck_assert_uint_gt(server_count(srv, "event=log_lost"), 0);
}

/* Every line of the log is one line: it begins with a time, and holds no second
 * one.  Returns how many have no end that we know of. */
static unsigned
check_lines(const struct server *srv, const char *file)
{
	char *line = NULL;
	size_t size = 0;
	unsigned torn = 0;
	ssize_t len;
	FILE *from;

	ck_assert_ptr_nonnull(from = fopen(server_path(srv, file), "re"));
	while ((len = getline(&line, &size, from)) > 0) {
		const char *first = strstr(line, " pid=");

		ck_assert_msg(strncmp(line, "20", 2) == 0, "%s", line);
		ck_assert_msg(first == NULL || strstr(first + 1, " pid=") ==
		    NULL, "two lines in one: %s", line);
		torn += first == NULL || strstr(first, " event=") == NULL;
	}
	free(line);
	fclose(from);
	return (torn);
}

TEST_ON_DISK(a_full_disk_loses_no_line_that_is_kept_and_tears_none)
{
	serve(5);
	set(&disk->full, 1);
	serve(20);
	await(get(&disk->refused) > 1);
	set(&disk->full, 0);
	await(server_count(srv, "event=conn_close") == 25);
	ck_assert_uint_eq(server_count(srv, "event=conn_open"), 25);
	ck_assert_uint_eq(server_count(srv, "event=log_lost"), 0);
	ck_assert_uint_eq(check_lines(srv, "log"), 0);
}

TEST_ON_DISK(a_log_moved_away_from_a_full_disk_goes_on_with_a_whole_line)
{
	char moved[256];

	set(&disk->full, 1);
	serve(20);
	await(get(&disk->refused) > 1);
	snprintf(moved, sizeof(moved), "%s", server_path(srv, "moved"));
	ck_assert_int_eq(rename(server_path(srv, "log"), moved), 0);
	server_signal(srv, SIGUSR1);
	await(server_has_file(srv, "log"));
	set(&disk->full, 0);
	await(strstr(server_file(srv, "log"), " event=reopen ") != NULL);
	ck_assert_uint_eq(check_lines(srv, "log"), 0);
	ck_assert_uint_le(check_lines(srv, "moved"), 1);
}

TEST_ON_DISK(a_logger_killed_within_a_line_glues_nothing_to_it)
{
	pid_t logger;

	set(&disk->full, 1);
	serve(20);
	await(get(&disk->refused) > 1);
	ck_assert_int_ne(logger = logger_of(srv, "penstock: logger log"), 0);
	ck_assert_int_eq(kill(logger, SIGKILL), 0);
	await(proc_is_dead(logger));
	set(&disk->full, 0);
	server_expect(srv, "event=logger_died log=log");
	serve(5);
	server_expect(srv, "event=conn_close");
	ck_assert_uint_le(check_lines(srv, "log"), 1);
}

START_TEST(a_killed_logger_loses_no_line_in_its_pipe)
{
	static const char *const titles[] = {
		"penstock: logger log", "penstock: logger access_log",
	};
	struct server *srv = server_start(GLOBALS, FRAMES("") ","
	    WEB("echo", ""));
	pid_t old[2];
	int web;

	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 2; i++) {
			await((old[i] = logger_of(srv, titles[i])) != 0);
			ck_assert_int_eq(kill(old[i], SIGSTOP), 0);
		}
		web = client_connect(WEB_PORT);
		client_send(web, GET, sizeof(GET) - 1);
		client_expect(web, "HTTP/1.1 200", 12);
		close(web);
		serve(50);
		await(server_counters(srv).active == 0);
		for (int i = 0; i < 2; i++)
			ck_assert_int_eq(kill(old[i], SIGKILL), 0);
		await(server_count(srv, "event=conn_close") ==
		    (unsigned)round * 51);
		await(server_count(srv, "event=logger_died") ==
		    (unsigned)round * 2);
	}
	ck_assert_uint_eq(server_count(srv, "event=log_lost"), 0);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	for (const char *at = server_file(srv, "access"); *at != '\0';
	    at = strchr(at, '\n') + 1)
		ck_assert_int_eq(strncmp(at, "127.", 4), 0);
	server_end(srv);
}
END_TEST

START_TEST(unneeded_loggers_exit)
{
	struct server *srv = server_start(GLOBALS, FRAMES("") ","
	    WEB("echo", ""));

	await(proc_loggers(srv->master, NULL, 0) == 2);
	server_configure(srv, "workers = 1;\n"
	    "access_log = { file = \"second\"; };\n", FRAMES("") ","
	    WEB("echo", ""));
	server_reload(srv);
	await(proc_loggers(srv->master, NULL, 0) == 2);
	server_configure(srv, "workers = 1;\n", FRAMES(""));
	server_reload(srv);
	await(proc_loggers(srv->master, NULL, 0) == 1);
	server_mark(srv);
	for (int i = 0; i < 3; i++) {
		server_signal(srv, SIGUSR2);
		server_expect(srv, "event=reload_done");
		server_mark(srv);
		await(proc_loggers(srv->master, NULL, 0) == 1);
	}
	server_signal(srv, SIGUSR1);
	server_expect(srv, "event=reopen");
	server_end(srv);
}
END_TEST

/* A device takes nothing and can be written to, if poll(2) is asked. */
START_TEST(a_full_device_costs_no_cpu_and_keeps_no_old_logger)
{
	struct server *srv = server_start("workers = 1; probation = 0.0;\n"
	    "access_log = { file = \"/dev/full\"; };\n", FRAMES("") ","
	    WEB("echo", ""));
	int web = client_connect(WEB_PORT);
	uint64_t before;
	pid_t logger;

	await((logger = logger_of(srv, "penstock: logger access_log")) != 0);
	client_send_text(web, GET);
	await(client_has_input(web));
	before = proc_cpu_ms(logger);
	holds_for(1000, proc_cpu_ms(logger) < before + 300);
	for (int i = 0; i < 2; i++) {
		server_mark(srv);
		server_signal(srv, SIGUSR2);
		server_expect(srv, "event=reload_done");
		await(proc_loggers(srv->master, NULL, 0) == 2);
	}
	await(proc_is_dead(logger));
	close(web);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_logger",
    a_frozen_disk_delays_no_client_and_lost_lines_are_logged,
    a_server_stops_while_the_disk_is_frozen,
    the_last_lines_wait_for_a_disk_that_is_slow,
    the_stop_is_logged_after_more_lines_than_a_pipe_holds,
    a_full_disk_loses_no_line_that_is_kept_and_tears_none,
    a_log_moved_away_from_a_full_disk_goes_on_with_a_whole_line,
    a_logger_killed_within_a_line_glues_nothing_to_it,
    a_killed_logger_loses_no_line_in_its_pipe,
    unneeded_loggers_exit,
    a_full_device_costs_no_cpu_and_keeps_no_old_logger)
