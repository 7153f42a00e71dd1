/* SPDX-License-Identifier: ISC */
/*
 * penstockctl at a running server: what it says, and what it exits with.
 */
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tools/json_read.h"

#define MONITOR "monitor = { address = [ \"$A:9180\", \"unix:$D/m\" ]; };\n"

static char said[262144];

/* Run it with a line of arguments.  Returns its exit status; said is what it
 * wrote. */
static int
ctl(const struct server *srv, const char *arguments)
{
	const char *top = getenv("TOP_BUILDDIR");
	char command[2048];
	size_t len;
	FILE *out;
	int status;

	snprintf(command, sizeof(command), "'%s/penstockctl' -c %s %s 2>&1",
	    top != NULL ? top : ".", server_path(srv, "conf"), arguments);
	ck_assert_ptr_nonnull(out = popen(command, "re"));
	len = fread(said, 1, sizeof(said) - 1, out);
	said[len] = '\0';
	status = pclose(out);
	ck_assert_msg(WIFEXITED(status), "%s: %s", command, said);
	return (WEXITSTATUS(status));
}

static void
expect(const struct server *srv, const char *arguments, int status,
    const char *words)
{
	int found = ctl(srv, arguments);

	ck_assert_msg(found == status, "%s exits with %d, not %d:\n%s",
	    arguments, found, status, said);
	ck_assert_msg(strstr(said, words) != NULL, "%s does not say \"%s\" "
	    "but:\n%s", arguments, words, said);
}

static void
expect_json(void)
{
	struct json_value *value = json_read(said, strlen(said));

	ck_assert_msg(value != NULL, "no JSON: %s", said);
	json_free(value);
}

START_TEST(status_shows_what_the_monitor_knows)
{
	struct server *srv = server_start("workers = 2;\n" MONITOR,
	    FRAMES("") "," LINES(""));
	int fd = client_connect(LINE_PORT);

	client_echo_line(fd, "hello");
	expect(srv, "status", 0, "\nready\n");
	expect(srv, "status", 0, "\nlines ");
	expect(srv, "--json status", 0, "\"schema\":1");
	expect_json();
	expect(srv, "connections --listener lines", 0, "1 of 1 connections");
	expect(srv, "connections --sort=bytes_in --limit=1 -j", 0,
	    "\"total\":1");
	expect_json();
	expect(srv, "connections --listener frames", 0, "0 of 0 connections");
	expect(srv, "connections --listener 'no such'", 1,
	    "there is no listener of that name");
	expect(srv, "connections --limit 0", 1, "limit is a number");
	expect(srv, "-n 2 -d 0.1 top", 0, "messages/s");
	close(fd);
	server_end(srv);
}
END_TEST

/* Run it with a terminal of 80 columns and 24 rows; said is what it wrote. */
static void
ctl_on_terminal(const struct server *srv, const char *arguments)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	const char *top = getenv("TOP_BUILDDIR");
	char command[2048];
	size_t len = 0;
	int fd, status;
	ssize_t n;
	pid_t pid;

	snprintf(command, sizeof(command), "exec '%s/penstockctl' -c %s %s",
	    top != NULL ? top : ".", server_path(srv, "conf"), arguments);
	ck_assert_int_ne(pid = forkpty(&fd, NULL, NULL, &size), -1);
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	/* At the end, a terminal gives EIO. */
	while ((n = read(fd, said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "%s: %s", command, said);
}

/* The columns of a line with control sequences. */
static unsigned
columns_of(const char *line)
{
	unsigned columns = 0;

	for (const char *at = line; *at != '\0'; at++)
		if (*at == '\033')
			at += 1 + strcspn(at + 1, "ABCDHJKhlm");
		else if ((*at & 0xc0) != 0x80)	/* not within UTF-8 */
			columns++;
	return (columns);
}

#define LONG_NAME "a-name-that-does-not-fit-into-the-column-for-names"
#define MANY_HANDLERS							\
	"handlers = ( { name = \"" LONG_NAME "\"; type = \"command\"; "	\
	"command = [ \"/bin/cat\" ]; } );\n"

START_TEST(top_fits_on_a_terminal_of_80_columns_and_24_rows)
{
	struct server *srv = server_start("workers = 20;\n" MONITOR
	    MANY_HANDLERS, FRAMES("") ",\n"
	    LISTENER(LONG_NAME, "9001", "line", LONG_NAME, ""));
	char *view, *line;
	unsigned rows = 0;

	ctl_on_terminal(srv, "-n 2 -d 0.1 top");
	/* Each view begins at the top left. */
	view = strstr(said, "\033[H");
	ck_assert_ptr_nonnull(view);
	view = strstr(view + 1, "\033[H");
	ck_assert_ptr_nonnull(view);
	for (const char *const *words = (const char *const []){
	    "MSGS/S LATELY", "   0 ", " more\r", "B/S OUT", "TIME P99",
	    NULL }; *words != NULL; words++)
		ck_assert_msg(strstr(view, *words) != NULL, "no \"%s\": %s",
		    *words, view);
	while ((line = strsep(&view, "\r\n")) != NULL) {
		ck_assert_msg(columns_of(line) <= 80, "%u columns: %s",
		    columns_of(line), line);
		rows += *line != '\0';
	}
	ck_assert_uint_le(rows, 24);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_is_awaited_and_reported)
{
	struct server *srv = server_start("workers = 2; probation = 0.3;\n"
	    MONITOR, FRAMES(""));
	pid_t old = server_worker(srv, 0);

	expect(srv, "reload --wait", 0, "reload: done, generation 2");
	ck_assert_int_ne(server_worker(srv, 0), old);
	expect(srv, "reload --wait --json", 0, "\"result\":\"done\"");
	expect_json();
	expect(srv, "reload", 0, "reload ordered");
	server_expect(srv, "gen=4 event=reload_done");
	expect(srv, "upgrade --wait", 0, "upgrade: done, generation 5");
	expect(srv, "reopen", 0, "reopen ordered");
	server_expect(srv, "event=reopen");
	server_end(srv);
}
END_TEST

START_TEST(an_upgrade_that_its_canary_refuses_says_why)
{
	struct server *srv = server_new();

	server_write(srv, "crash", "start");
	srv->expects_deaths = true;
	server_configure(srv, "workers = 2;\n" MONITOR, FRAMES(""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	server_install(srv, "tests/programs/penstock-next");
	expect(srv, "upgrade --wait", 1, "upgrade: refused, generation 1");
	ck_assert_ptr_nonnull(strstr(said, "died during the canary"));
	server_expect(srv, "event=upgrade_refused");
	await(server_children(srv) == 3);
	expect(srv, "status", 0, "died during the canary");
	server_end(srv);
}
END_TEST

START_TEST(a_reload_that_is_refused_says_why)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	char order[128];

	snprintf(order, sizeof(order), "-a unix:%s reload --wait",
	    server_path(srv, "m"));
	server_configure(srv, "workers = -1;\n" MONITOR, FRAMES(""));
	/* It reads the file too, and would not even ask. */
	expect(srv, "reload --wait", 3, "workers: found -1");
	ck_assert_ptr_null(server_log(srv, "event=reload"));
	expect(srv, order, 1, "workers: found -1");
	server_expect(srv, "event=reload_refused");
	server_end(srv);
}
END_TEST

/* A handler that dies soon after it was ready. */
#define DYING								\
	"handlers = ( { name = \"cat\"; type = \"command\"; processes = 1; " \
	"ready = true; "						\
	"command = [ \"/bin/sh\", \"-c\", \"printf '\\\\0\\\\0\\\\0\\\\0'; " \
	"sleep 0.3; exit 3\" ]; } );\n"
#define CATS	LISTENER("cats", "9003", "frame", "cat", "")

START_TEST(a_reload_whose_workers_do_not_get_ready_is_refused)
{
	struct server *srv = server_start("workers = 2;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "before");
	server_configure(srv, "workers = 2;\n" MONITOR
	    "handlers = ( { name = \"cat\"; type = \"command\"; ready = true; "
	    "command = [ \"/bin/false\" ]; } );\n", FRAMES("") "," CATS);
	expect(srv, "reload --wait", 1, "reload: refused, generation 1");
	client_echo(fd, "after");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_that_is_rolled_back_says_so)
{
	struct server *srv = server_start("workers = 2;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "before");
	server_configure(srv, "workers = 2;\n" MONITOR DYING,
	    FRAMES("") "," CATS);
	expect(srv, "reload --wait", 1, "reload: done, generation 2");
	ck_assert_msg(strstr(said, "rollback: done, generation 3") != NULL,
	    "%s", said);
	ck_assert_msg(strstr(said, "cat of generation 2 crash in a loop: ") !=
	    NULL, "%s", said);
	expect(srv, "status", 0, "cat of generation 2 crash in a loop: ");
	client_echo(fd, "after");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(an_upgrade_that_is_rolled_back_says_so)
{
	struct server *srv = server_new();

	server_configure(srv, "workers = 2;\n" MONITOR, FRAMES(""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	srv->expects_deaths = true;
	server_install(srv, "/bin/false");
	expect(srv, "upgrade --wait", 1, "upgrade: refused");
	server_write(srv, "crash", "late");
	server_install(srv, "tests/programs/penstock-next");
	expect(srv, "upgrade --wait", 1, "rollback: done");
	server_end(srv);
}
END_TEST

/* The report of a reload that was under way is not that of the next. */
START_TEST(the_report_is_of_the_reload_that_was_ordered)
{
	struct server *srv = server_start("workers = 1; probation = 0.0;\n"
	    MONITOR, FRAMES(""));
	char text[32];

	for (int i = 0; i < 5; i++) {
		server_mark(srv);
		server_signal(srv, SIGHUP);
		server_expect(srv, "event=reload");
		expect(srv, "reload --wait", 0, "reload: done");
		snprintf(text, sizeof(text), "generation %d", 3 + 2 * i);
		ck_assert_msg(strstr(said, text) != NULL, "no %s: %s", text,
		    said);
	}
	server_end(srv);
}
END_TEST

START_TEST(a_stop_is_awaited)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));

	expect(srv, "stop", 0, "stop ordered");
	server_await_exit(srv, 0);
	expect(srv, "status", 4, "no server answers");
	server_end(srv);
}
END_TEST

START_TEST(connections_are_closed_by_their_id)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect(FRAME_PORT);
	struct json_value *whole;
	char order[64];

	client_echo(fd, "hello");
	expect(srv, "-j connections", 0, "");
	ck_assert_ptr_nonnull(whole = json_read(said, strlen(said)));
	snprintf(order, sizeof(order), "close %s", json_text(json_get(
	    json_get(whole, "connections")->first, "id")));
	json_free(whole);
	expect(srv, order, 0, "ordered");
	client_expect_eof(fd);
	close(fd);
	await(server_counters(srv).active == 0 &&
	    observe_records(&srv->counters) == 0);
	expect(srv, order, 1, "there is no such connection");
	expect(srv, "close 1x", 2, "the id is a number");
	expect(srv, "rebalance", 0, "rebalance ordered");
	server_expect(srv, "event=rebalance");
	server_configure(srv, "workers = 1;\n"
	    "monitor = { address = \"$A:9180\"; };", FRAMES(""));
	expect(srv, "rebalance", 1, "needs a unix socket");
	server_end(srv);
}
END_TEST

START_TEST(a_reload_brings_back_the_monitor_s_socket)
{
	struct server *srv = server_start("workers = 1;\n"
	    "monitor = { address = \"unix:$D/m\"; };\n", FRAMES(""));

	expect(srv, "status", 0, "ready");
	ck_assert_int_eq(unlink(server_path(srv, "m")), 0);
	expect(srv, "status", 4, "no server answers");
	server_expect(srv, "error event=listen");
	server_reload(srv);
	/* The monitor is replaced after the workers. */
	server_expect(srv, "event=monitor_start gen=2");
	expect(srv, "status", 0, "ready");
	server_end(srv);
}
END_TEST

START_TEST(usage_errors_are_reported)
{
	struct server *srv = server_new();

	server_configure(srv, MONITOR, FRAMES(""));
	expect(srv, "status", 4, "no server answers");
	expect(srv, "reload --wait", 4, "no server answers");
	expect(srv, "", 2, "usage");
	expect(srv, "dance", 2, "no such command");
	expect(srv, "close", 2, "usage: penstockctl close ID");
	expect(srv, "status more", 2, "usage: penstockctl status");
	expect(srv, "--colour status", 2, "usage");
	expect(srv, "-d never top", 2, "-d is a number");
	expect(srv, "-n 0 top", 2, "-n is a number");
	expect(srv, "-a nowhere status", 2, "must");
	expect(srv, "-h", 0, "commands:");
	server_configure(srv, "", FRAMES(""));
	expect(srv, "status", 3, "monitor.enabled is false");
	server_write(srv, "conf", "nonsense");
	expect(srv, "status", 3, "conf:1: ");
	ck_assert_int_eq(unlink(server_path(srv, "conf")), 0);
	expect(srv, "status", 3, "conf: ");
	server_end(srv);
}
END_TEST

/* Returns the pid. */
static pid_t
run(const char *program, const char *argument)
{
	pid_t pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid > 0)
		return (pid);
	execlp(program, program, argument, (char *)NULL);
	_exit(127);
}

/* A monitor that lies: it answers with what the file "answer" has, and from the
 * second time on with what "later" has, if that is there. */
static pid_t
start_liar(struct server *srv, const char *answer, const char *later)
{
	char script[1024];
	pid_t liar;

	snprintf(script, sizeof(script), "import os, socket\n"
	    "d = '%s/'\n"
	    "s = socket.socket(socket.AF_UNIX)\n"
	    "s.bind(d + 'binding')\n"
	    "s.listen()\n"
	    "os.rename(d + 'binding', d + 'liar')\n"
	    "name = 'answer'\n"
	    "while True:\n"
	    "  c = s.accept()[0]\n"
	    "  c.recv(9999)\n"
	    "  c.sendall(open(d + name, 'rb').read())\n"
	    "  c.close()\n"
	    "  if os.path.exists(d + 'later'): name = 'later'\n", srv->dir);
	server_write(srv, "answer", answer);
	if (later != NULL)
		server_write(srv, "later", later);
	server_write(srv, "liar.py", script);
	liar = run("python3", server_path(srv, "liar.py"));
	await(server_has_file(srv, "liar"));
	return (liar);
}

static void
end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
expect_of_liar(const struct server *srv, const char *arguments, int status,
    const char *words)
{
	char line[256];

	snprintf(line, sizeof(line), "-a unix:%s/liar %s", srv->dir,
	    arguments);
	expect(srv, line, status, words);
}

#define OK "HTTP/1.1 200 OK\r\n"

/* "penstockctl stop" is not to end whatever it names. */
START_TEST(no_process_but_a_master_is_signalled)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	pid_t victim = run("sleep", "1000"), liar;
	char answer[256];

	snprintf(answer, sizeof(answer), OK "\r\n{\"server\":{\"pid\":%d}}",
	    (int)victim);
	liar = start_liar(srv, answer, NULL);
	expect_of_liar(srv, "stop", 4, "names no master");
	ck_assert_int_eq(waitpid(victim, NULL, WNOHANG), 0);
	end_process(liar);
	end_process(victim);
	server_end(srv);
}
END_TEST

static void
expect_no_controls(void)
{
	for (const char *at = said; *at != '\0'; at++) {
		ck_assert_msg((unsigned char)*at >= ' ' || *at == '\n',
		    "%s", said);
		ck_assert_msg(*at != 0x7f, "%s", said);
	}
	ck_assert_msg(strstr(said, "\xc2\x9b") == NULL, "%s", said);
	ck_assert_msg(strstr(said, "\x9b!") == NULL, "%s", said);
}

START_TEST(no_text_from_the_server_controls_the_terminal)
{
#define ODD "\\u001b[2J\\u009b2J\x7f\xc2\x9b\x9b!\\u00e9\xc3\xa9"
	static const char page[] = OK "\r\n"
	    "{\"server\":{\"version\":\"" ODD "\","
	    "\"state\":\"" ODD "\",\"not_ready_for\":\"" ODD "\","
	    "\"pid\":\"" ODD "\"},\"configuration\":{\"file\":\"" ODD "\","
	    "\"hash\":\"" ODD "\"},\"slots\":[{\"slot\":\"" ODD "\","
	    "\"wanted\":true}],\"listeners\":[{\"name\":\"" ODD "\","
	    "\"configured\":true}],\"handlers\":[{\"name\":\"" ODD "\"}],"
	    "\"reports\":[{\"order\":\"" ODD "\",\"why\":\"" ODD "\"}],"
	    "\"connections\":[{\"peer\":\"" ODD "\"}]}";
	struct server *srv = server_new();
	pid_t liar;

	server_configure(srv, MONITOR, FRAMES(""));
	liar = start_liar(srv, page, NULL);
	expect_of_liar(srv, "status", 0, "penstock ?[2J?");
	ck_assert_ptr_nonnull(strstr(said, "!\xc3\xa9\xc3\xa9"));
	expect_no_controls();
	expect_of_liar(srv, "connections", 0, "?[2J?");
	expect_no_controls();
	expect_of_liar(srv, "-n 1 top", 0, "?[2J?");
	expect_no_controls();
	server_write(srv, "answer", "HTTP/1.1 500 No\r\n\r\n"
	    "\033[2J\x7f\xc2\x9b!\n");
	expect_of_liar(srv, "status", 1, "/status: ?[2J");
	expect_no_controls();
	end_process(liar);
	server_end(srv);
}
END_TEST

/* The second server has the first one's pid, as in a container, or its own. */
static void
expect_another(const char *order, int started, int pid)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	char answer[256], later[256];
	pid_t liar;

	snprintf(answer, sizeof(answer), OK "\r\n{\"server\":{\"pid\":%d,"
	    "\"started\":1000}}", (int)srv->master);
	snprintf(later, sizeof(later), OK "\r\n{\"server\":{\"pid\":%d,"
	    "\"started\":%d}}", pid == 0 ? (int)srv->master : pid, started);
	liar = start_liar(srv, answer, later);
	expect_of_liar(srv, order, 1, "another server");
	end_process(liar);
	server_end(srv);
}

START_TEST(wait_fails_if_another_server_takes_the_place)
{
	expect_another("reload --wait", 1001, 0);
	expect_another("reload --wait", 1000, 1);
	expect_another("upgrade --wait", 1001, 1);
}
END_TEST

START_TEST(a_truncated_answer_is_an_error)
{
	struct server *srv = server_new();
	pid_t liar;

	server_configure(srv, MONITOR, FRAMES(""));
	liar = start_liar(srv, OK "content-length: 3\r\n\r\n{}", NULL);
	expect_of_liar(srv, "-j status", 4, "no server answers");
	server_write(srv, "answer", OK "Content-Length: -2\r\n\r\n{}");
	expect_of_liar(srv, "-j status", 4, "no server answers");
	server_write(srv, "answer", OK "Content-Length: 2\r\n\r\n{}");
	expect_of_liar(srv, "-j status", 0, "{}");
	end_process(liar);
	server_end(srv);
}
END_TEST

START_TEST(too_large_numbers_do_no_harm)
{
#define PAGE(clock, messages) OK "\r\n{\"clock_seconds\":" clock ","	\
	"\"slots\":[{\"slot\":0,\"pid\":1,\"wanted\":true,"		\
	"\"age_seconds\":1e999,\"listeners\":{\"messages_in\":"	\
	messages "}}],\"reports\":[{\"begun\":99999999999999999999}]}"
	struct server *srv = server_new();
	pid_t liar;

	server_configure(srv, MONITOR, FRAMES(""));
	liar = start_liar(srv, PAGE("1", "1"), PAGE("2", "1e999"));
	expect_of_liar(srv, "-d 0.1 -n 3 top", 0, "SLOT");
	expect_of_liar(srv, "status", 0, "SLOT");
	end_process(liar);
	server_end(srv);
}
END_TEST

RUN_TESTS("server: penstockctl",
    status_shows_what_the_monitor_knows,
    top_fits_on_a_terminal_of_80_columns_and_24_rows,
    a_reload_is_awaited_and_reported,
    an_upgrade_that_its_canary_refuses_says_why,
    a_reload_that_is_refused_says_why,
    a_reload_whose_workers_do_not_get_ready_is_refused,
    a_reload_that_is_rolled_back_says_so,
    an_upgrade_that_is_rolled_back_says_so,
    the_report_is_of_the_reload_that_was_ordered,
    a_stop_is_awaited,
    connections_are_closed_by_their_id,
    a_reload_brings_back_the_monitor_s_socket,
    usage_errors_are_reported,
    no_process_but_a_master_is_signalled,
    no_text_from_the_server_controls_the_terminal,
    wait_fails_if_another_server_takes_the_place,
    a_truncated_answer_is_an_error,
    too_large_numbers_do_no_harm)
