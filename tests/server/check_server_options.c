/* SPDX-License-Identifier: ISC */
/*
 * The command line: what each option prints and does, and the exit codes.
 */
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

enum {			/* as penstock(8) tells them */
	FINE = 0,
	FAILED = 1,
	WRONG_COMMAND_LINE = 2,
	WRONG_CONFIGURATION = 3,
	NOT_RUNNING = 4,
};

enum { SAID_MAX = 16384 };
static char said[SAID_MAX];

#define RUN(srv, ...)	server_run((srv), said, SAID_MAX, __VA_ARGS__, NULL)

static void
expect_said(const char *text)
{
	ck_assert_msg(strstr(said, text) != NULL, "not said: %s\n%s", text,
	    said);
}

/* A directory with a configuration, and no server. */
static struct server *
with_configuration(void)
{
	struct server *srv = server_new();

	server_configure(srv, "workers = 2;", FRAMES("") ",\n" LINES(""));
	return (srv);
}

START_TEST(t_reports_a_good_configuration)
{
	struct server *srv = with_configuration();

	ck_assert_int_eq(RUN(srv, "-t", "-c", "conf"), FINE);
	/* It has started nothing and opened no log. */
	ck_assert(!server_has_file(srv, "log"));
	ck_assert(!server_has_file(srv, "penstock.pid"));
	server_end(srv);
}
END_TEST

START_TEST(t_names_every_mistake_with_file_and_line)
{
	struct server *srv = server_new();

	server_write(srv, "conf", "workers = -1;\n"
	    "pid_fiel = \"x\";\n"
	    "@include \"more\"\n");
	server_write(srv, "more", "\n"
	    "listeners = ( { name = \"a\"; address = \"nowhere\";\n"
	    "  handler = \"echo\"; protocol = 5; } );\n");
	ck_assert_int_eq(RUN(srv, "-t", "-c", "conf"), WRONG_CONFIGURATION);
	expect_said("conf:1: ");
	expect_said("conf:2: ");
	expect_said("pid_file");	/* the nearest known key */
	expect_said("more:2: ");
	expect_said("more:3: ");
	/* And so does a start. */
	ck_assert_int_eq(RUN(srv, "-c", "conf"), WRONG_CONFIGURATION);
	expect_said("conf:1: ");
	expect_said("more:3: ");
	server_end(srv);
}
END_TEST

START_TEST(t_warns_of_keys_that_have_no_effect)
{
	struct server *srv = server_new();

	server_configure(srv, "drain_timeout = 2.0; drain_spread = 2.0;",
	    FRAMES(""));
	ck_assert_int_eq(RUN(srv, "-t", "-c", "conf"), FINE);
	expect_said("conf:3: warning: drain_spread");
	expect_said("conf: the configuration is good");
	ck_assert_int_eq(RUN(srv, "-T", "-c", "conf"), FINE);
	ck_assert_ptr_null(strstr(said, "warning"));
	/* And so does a reload. */
	server_launch(srv);
	server_await_ready(srv);
	server_reload(srv);
	server_expect(srv, "warn event=conf_warning file=conf line=3");
	server_end(srv);
}
END_TEST

START_TEST(t_reports_a_missing_or_invalid_file)
{
	struct server *srv = server_new();

	ck_assert_int_eq(RUN(srv, "-t", "-c", "none"), WRONG_CONFIGURATION);
	ck_assert_msg(strncmp(said, "none: ", 6) == 0, "%s", said);
	server_write(srv, "conf", "listeners = (;\n");
	ck_assert_int_eq(RUN(srv, "-t", "-c", "conf"), WRONG_CONFIGURATION);
	expect_said("conf:1: ");
	server_end(srv);
}
END_TEST

START_TEST(what_T_prints_reads_back_to_the_same)
{
	struct server *srv = with_configuration();
	char *first;

	ck_assert_int_eq(RUN(srv, "-T", "-c", "conf"), FINE);
	expect_said("drain_timeout");
	expect_said("max_message_size");
	expect_said("keepalive");
	first = strdup(said);
	server_write(srv, "conf", said);
	ck_assert_int_eq(RUN(srv, "-t", "-c", "conf"), FINE);
	ck_assert_int_eq(RUN(srv, "-T", "-c", "conf"), FINE);
	ck_assert_str_eq(said, first);
	free(first);
	server_end(srv);
}
END_TEST

START_TEST(a_server_runs_on_what_T_printed)
{
	struct server *srv = with_configuration();
	int fd;

	ck_assert_int_eq(RUN(srv, "-T", "-c", "conf"), FINE);
	server_write(srv, "conf", said);
	server_launch(srv);
	server_await_ready(srv);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "hello");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(v_V_and_h_inform_and_do_nothing_else)
{
	struct server *srv = server_new();

	ck_assert_int_eq(RUN(srv, "-v"), FINE);
	expect_said("penstock ");
	ck_assert_int_eq(RUN(srv, "-V"), FINE);
	expect_said("penstock ");
	expect_said("libevent");
	expect_said("libconfig");
	ck_assert_int_eq(RUN(srv, "-h"), FINE);
	expect_said("usage: ");
	server_end(srv);
}
END_TEST

START_TEST(a_wrong_command_line_is_refused_with_2)
{
	struct server *srv = with_configuration();

	ck_assert_int_eq(RUN(srv, "-x"), WRONG_COMMAND_LINE);
	expect_said("usage: ");
	ck_assert_int_eq(RUN(srv, "-c"), WRONG_COMMAND_LINE);
	ck_assert_int_eq(RUN(srv, "-c", "conf", "more"), WRONG_COMMAND_LINE);
	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "dance"),
	    WRONG_COMMAND_LINE);
	expect_said("dance");
	expect_said("reload");
	server_end(srv);
}
END_TEST

START_TEST(s_exits_with_4_if_no_master_runs)
{
	struct server *srv = with_configuration();

	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "stop"), NOT_RUNNING);
	expect_said("penstock.pid");
	/* A pid file that nobody holds any more names nobody, even if there
	 * is a process with that number. */
	server_write(srv, "penstock.pid", "1\n");
	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "reload"), NOT_RUNNING);
	server_write(srv, "penstock.pid", "nonsense");
	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "reload"), NOT_RUNNING);
	server_end(srv);
}
END_TEST

START_TEST(s_sends_orders_to_the_running_master)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));

	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "reload"), FINE);
	server_expect(srv, "event=reload_done");
	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "reopen"), FINE);
	server_expect(srv, "event=reopen");
	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "upgrade"), FINE);
	server_expect(srv, "event=reload_done kind=upgrade");
	server_counters(srv);
	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "quit"), FINE);
	server_await_exit(srv, FINE);
	server_mark(srv);
	server_launch(srv);
	server_await_ready(srv);
	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "stop"), FINE);
	server_await_exit(srv, FINE);
	server_expect(srv, "event=stop mode=drain");
	server_end(srv);
}
END_TEST

/* The master that -D has left behind. */
static void
adopt_daemon(struct server *srv)
{
	srv->master = (pid_t)atoi(server_file(srv, "penstock.pid"));
	srv->is_daemon = true;
	ck_assert_int_gt(srv->master, 1);
}

START_TEST(D_returns_when_all_workers_accept)
{
	struct server *srv = with_configuration();
	struct proc_fd fds[2];
	int fd;

	ck_assert_int_eq(RUN(srv, "-D", "-c", "conf"), FINE);
	/* Nothing here is waited for: all is there. */
	adopt_daemon(srv);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "hello");
	close(fd);
	ck_assert_int_ne(getsid(srv->master), getsid(0));
	ck_assert_uint_ge(proc_fds(srv->master, fds, 2), 2);
	ck_assert_str_eq(fds[0].target, "/dev/null");
	ck_assert_str_eq(fds[1].target, "/dev/null");
	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "reload"), FINE);
	server_expect(srv, "event=reload_done");
	server_counters(srv);
	ck_assert_int_eq(RUN(srv, "-c", "conf", "-s", "stop"), FINE);
	server_await_exit(srv, FINE);
	ck_assert(!server_has_file(srv, "penstock.pid"));
	server_end(srv);
}
END_TEST

/*
 * What the caller of a server has open.
 */

static int caller[2];

/* A lock, and a pipe for all that it writes. */
static void
be_a_caller(void)
{
	int lock = open("lock", O_RDWR | O_CREAT, 0644);

	if (lock <= STDERR_FILENO || flock(lock, LOCK_EX) == -1 ||
	    dup2(caller[1], STDOUT_FILENO) == -1 ||
	    dup2(caller[1], STDERR_FILENO) == -1 ||
	    fcntl(lock, F_DUPFD, 100) == -1)
		_exit(126);
}

/* What the pipe has brought; all that could write to it are to be gone. */
static void
read_caller_s_pipe(void)
{
	size_t len = 0;
	ssize_t n = -1;

	close(caller[1]);
	ck_assert_int_eq(fcntl(caller[0], F_SETFL, O_NONBLOCK), 0);
	await((n = read(caller[0], said + len, SAID_MAX - 1 - len)) <= 0 ?
	    n == 0 : (len += (size_t)n, false));
	said[len] = '\0';
	close(caller[0]);
}

static void
expect_lock_is_free(const struct server *srv)
{
	int lock = open(server_path(srv, "lock"), O_RDWR | O_CLOEXEC);

	ck_assert_int_ne(lock, -1);
	ck_assert_int_eq(flock(lock, LOCK_EX | LOCK_NB), 0);
	close(lock);
}

#define WITHOUT_LOG							\
	"workers = 1; pid_file = \"penstock.pid\";\n"			\
	"monitor = { enabled = false; };\n"				\
	"listeners = (" FRAMES("") ");\n"

START_TEST(D_keeps_nothing_open_of_the_caller_s)
{
	struct server *srv = with_configuration();
	struct proc_fd fds[3];

	ck_assert_int_eq(pipe2(caller, O_CLOEXEC), 0);
	srv->prepare = be_a_caller;
	ck_assert_int_eq(RUN(srv, "-D", "-c", "conf"), FINE);
	read_caller_s_pipe();
	ck_assert_str_eq(said, "");
	adopt_daemon(srv);
	expect_lock_is_free(srv);
	ck_assert_uint_ge(proc_fds(srv->master, fds, 3), 3);
	for (int i = 0; i < 3; i++)
		ck_assert_str_eq(fds[i].target, "/dev/null");
	server_end(srv);
}
END_TEST

START_TEST(a_lock_of_the_caller_s_is_not_kept_in_the_foreground)
{
	struct server *srv = with_configuration();

	ck_assert_int_eq(pipe2(caller, O_CLOEXEC), 0);
	srv->prepare = be_a_caller;
	server_launch(srv);
	server_await_ready(srv);
	expect_lock_is_free(srv);
	server_end(srv);
	read_caller_s_pipe();
}
END_TEST

START_TEST(D_is_refused_where_nobody_would_see_the_log)
{
	struct server *srv = server_new();

	server_write(srv, "conf", WITHOUT_LOG);
	ck_assert_int_eq(pipe2(caller, O_CLOEXEC), 0);
	srv->prepare = be_a_caller;
	ck_assert_int_eq(RUN(srv, "-D", "-c", "conf"), WRONG_CONFIGURATION);
	read_caller_s_pipe();
	expect_said("-D: conf sets no log.file");
	ck_assert_uint_eq(proc_in_directory(srv->dir, NULL, 0), 0);
	server_end(srv);
}
END_TEST

START_TEST(D_can_log_to_a_file_that_is_its_standard_error)
{
	struct server *srv = server_new();

	server_write(srv, "conf", WITHOUT_LOG);
	ck_assert_int_eq(RUN(srv, "-D", "-c", "conf"), FINE);
	adopt_daemon(srv);
	await(strstr(server_file(srv, "stdout"), "event=ready") != NULL);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, FINE);
	await(strstr(server_file(srv, "stdout"), "event=stopped") != NULL);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_does_not_take_the_log_from_a_daemon)
{
	struct server *srv = with_configuration();

	ck_assert_int_eq(RUN(srv, "-D", "-c", "conf"), FINE);
	adopt_daemon(srv);
	server_write(srv, "conf", WITHOUT_LOG);
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "error event=reload_refused"), "log.file is not set"));
	server_configure(srv, "workers = 1;", FRAMES(""));
	server_reload(srv);
	server_end(srv);
}
END_TEST

/* As in a container or chroot that lacks it. */
START_TEST(a_start_without_proc_is_refused_with_the_reason)
{
	static const char cover[] = "mount -t tmpfs none /proc && ";
	struct server *srv = with_configuration();
	char command[512];
	FILE *from;
	size_t len;
	int status;

	server_install(srv, "penstock");
	snprintf(command, sizeof(command), "unshare -rm sh -c '%s"
	    "test ! -e /proc/self' 2>/dev/null", cover);
	if (server_is_sanitized() || system(command) != 0) {
		printf("/proc cannot be hidden: not tested\n");
		server_end(srv);
		return;
	}
	snprintf(command, sizeof(command), "cd %s && unshare -rm sh -c '%s"
	    "%s -t -c conf && exec %s -c conf' 2>&1", srv->dir, cover,
	    srv->program, srv->program);
	ck_assert_ptr_nonnull(from = popen(command, "re"));
	len = fread(said, 1, SAID_MAX - 1, from);
	said[len] = '\0';
	status = pclose(from);
	expect_said("the configuration is good");
	expect_said("cannot start without /proc: mount it");
	ck_assert_int_eq(WEXITSTATUS(status), FAILED);
	server_end(srv);
}
END_TEST

START_TEST(a_start_that_fails_says_why_with_and_without_D)
{
	struct server *srv = with_configuration();
	int fd = take_port(LINE_PORT);

	ck_assert_int_eq(RUN(srv, "-D", "-c", "conf"), FAILED);
	expect_said("9001");
	ck_assert_int_eq(RUN(srv, "-c", "conf"), FAILED);
	expect_said("9001");
	server_expect(srv, "error event=start_failed");
	ck_assert(!server_has_file(srv, "penstock.pid"));
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	server_configure(srv, "workers = 1; user = \"nobody there\";",
	    FRAMES(""));
	if (geteuid() == 0) {
		ck_assert_int_eq(RUN(srv, "-c", "conf"), FAILED);
		expect_said("nobody there");
	}
	server_write(srv, "conf", "log = { file = \"none/such\"; };\n"
	    "listeners = (" FRAMES("") ");\n");
	ck_assert_int_eq(RUN(srv, "-D", "-c", "conf"), FAILED);
	expect_said("none/such");
	close(fd);
	server_end(srv);
}
END_TEST

RUN_TESTS("options",
    t_reports_a_good_configuration,
    t_names_every_mistake_with_file_and_line,
    t_warns_of_keys_that_have_no_effect,
    t_reports_a_missing_or_invalid_file,
    what_T_prints_reads_back_to_the_same,
    a_server_runs_on_what_T_printed,
    v_V_and_h_inform_and_do_nothing_else,
    a_wrong_command_line_is_refused_with_2,
    s_exits_with_4_if_no_master_runs,
    s_sends_orders_to_the_running_master,
    D_returns_when_all_workers_accept,
    D_keeps_nothing_open_of_the_caller_s,
    a_lock_of_the_caller_s_is_not_kept_in_the_foreground,
    D_is_refused_where_nobody_would_see_the_log,
    D_can_log_to_a_file_that_is_its_standard_error,
    a_reload_does_not_take_the_log_from_a_daemon,
    a_start_without_proc_is_refused_with_the_reason,
    a_start_that_fails_says_why_with_and_without_D)
