/* SPDX-License-Identifier: ISC */
/*
 * A roll-back after the file of a handler was replaced in place: the processes
 * that ran the previous file serve again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define HEAD								\
	"import os, struct, sys, time\n"				\
	"fin, fout = sys.stdin.buffer, sys.stdout.buffer\n"		\
	"def send(b):\n"						\
	"    fout.write(struct.pack('>I', len(b)) + b)\n"		\
	"    fout.flush()\n"						\
	"send(b'')\n"
#define LOOP(deed)							\
	"while head := fin.read(4):\n"					\
	"    m = fin.read(*struct.unpack('>I', head))\n" deed

/* An echo that never answers "hold"; the same that exits at each message; and
 * one that exits without any, as soon as there is a file "go". */
static const char good[] = HEAD LOOP(
    "    if m == b'hold':\n"
    "        open('held', 'w').close()\n"
    "    else:\n"
    "        send(m)\n");
static const char bad[] = HEAD LOOP("    os._exit(3)\n");
static const char dying[] = HEAD
    "while not os.path.exists('go'):\n"
    "    time.sleep(0.01)\n"
    "os._exit(4)\n";

#define HANDLED(processes)						\
	"handlers = ( { name = \"app\"; type = \"command\"; "		\
	"command = [ \"python3\", \"app.py\" ]; ready = true; "		\
	UNHURRIED "processes = " processes "; } );\n"
#define PORTS	LISTENER("one", "9000", "frame", "app", "")

static struct server *
start(const char *globals)
{
	return (handlers_start_with("app.py", good, globals, PORTS));
}

static void
deploy(struct server *srv, const char *program)
{
	server_write(srv, "app.py", program);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done kind=reload");
	ck_assert_ptr_nonnull(strstr(
	    server_expect(srv, "event=handler_changed handler=app since=1"),
	    "file=app.py"));
}

static void
expect_service(int fd)
{
	/* One for each process, and more. */
	for (int i = 0; i < 10; i++)
		client_echo(fd, "as before");
}

static void
roll_back_from(const char *program, const char *message)
{
	struct server *srv = start("workers = 2; probation = 60.0;\n"
	    HANDLED("4"));
	int fd = client_connect(FRAME_PORT);

	expect_service(fd);
	deploy(srv, program);
	await(server_count(srv, "event=executor_kept handler=app") == 4);
	server_write(srv, "go", "");
	for (int i = 0; i < 3 && message != NULL; i++) {
		client_send_text_frame(fd, message);
		client_expect_text_frame(fd, ERR_FAILED);
	}
	server_expect(srv, "event=rollback of=reload to=1");
	server_expect(srv, "event=reload_done kind=rollback");
	server_mark(srv);
	expect_service(fd);
	await(handler_counters(srv).executors == 4);
	ck_assert_ptr_null(server_log(srv, "event=executor_died gen=3"));
	close(fd);
	server_end(srv);
}

START_TEST(a_rollback_restores_a_file_that_crashed_on_messages)
{
	roll_back_from(bad, "anything");
}
END_TEST

START_TEST(a_rollback_restores_a_file_that_did_not_last)
{
	roll_back_from(dying, NULL);
}
END_TEST

START_TEST(kept_processes_leave_when_the_probation_ends)
{
	struct server *srv = start("workers = 1; probation = 2.0;\n"
	    HANDLED("2"));
	int fd = client_connect(FRAME_PORT);

	deploy(srv, good);
	await(server_count(srv, "event=executor_kept handler=app") == 2);
	await(server_count(srv, "event=executor_exit handler=app") == 2);
	await(server_children(srv) == 3);
	expect_service(fd);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(an_order_ends_the_probation_and_kept_processes)
{
	struct server *srv = start("workers = 1; probation = 60.0;\n"
	    HANDLED("2"));

	deploy(srv, good);
	await(server_count(srv, "event=executor_kept handler=app") == 2);
	server_reload(srv);
	/* Those of generation 2 are kept now. */
	await(server_count(srv, "event=executor_exit handler=app") == 2);
	await(server_count(srv, "event=executor_kept handler=app") == 4);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

START_TEST(an_upgrade_ends_kept_processes)
{
	struct server *srv = handlers_new();
	int fd;

	server_write(srv, "app.py", good);
	handlers_configure(srv, "workers = 1; probation = 60.0;\n"
	    HANDLED("2"), PORTS);
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	fd = client_connect(FRAME_PORT);
	expect_service(fd);
	deploy(srv, good);
	await(server_count(srv, "event=executor_kept handler=app") == 2);
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_done kind=upgrade");
	await(server_count(srv, "event=executor_exit handler=app") >= 4);
	await(server_children(srv) == 3);
	expect_service(fd);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_process_that_has_a_request_is_not_kept)
{
	struct server *srv = start("workers = 1; probation = 60.0;\n"
	    HANDLED("1"));
	int fd = client_connect(FRAME_PORT);

	client_send_text_frame(fd, "hold");
	await(server_has_file(srv, "held"));
	/* Its reply would be the reply to somebody else's request. */
	client_reset(fd);
	await(server_counters(srv).active == 0);
	deploy(srv, good);
	server_expect(srv, "event=executor_exit handler=app");
	ck_assert_ptr_null(server_log(srv, "event=executor_kept"));
	server_end(srv);
}
END_TEST

START_TEST(a_kept_process_that_dies_is_replaced_at_the_rollback)
{
	struct server *srv = start("workers = 1; probation = 60.0;\n"
	    HANDLED("2"));
	int fd = client_connect(FRAME_PORT);

	deploy(srv, bad);
	await(server_count(srv, "event=executor_kept handler=app") == 2);
	kill((pid_t)log_number(server_log_last(srv, "event=executor_kept"),
	    "child"), SIGKILL);
	server_expect(srv, "event=executor_exit handler=app");
	for (int i = 0; i < 3; i++) {
		client_send_text_frame(fd, "anything");
		client_expect_text_frame(fd, ERR_FAILED);
	}
	server_expect(srv, "event=reload_done kind=rollback");
	/* One that works is better than a second that does not. */
	expect_service(fd);
	ck_assert_uint_eq(handler_counters(srv).executors, 1);
	close(fd);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_rollback",
    a_rollback_restores_a_file_that_crashed_on_messages,
    a_rollback_restores_a_file_that_did_not_last,
    kept_processes_leave_when_the_probation_ends,
    an_order_ends_the_probation_and_kept_processes,
    an_upgrade_ends_kept_processes,
    a_process_that_has_a_request_is_not_kept,
    a_kept_process_that_dies_is_replaced_at_the_rollback)
