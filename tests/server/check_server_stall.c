/* SPDX-License-Identifier: ISC */
/*
 * All processes stand still for longer than any timeout, as those of a suspended
 * virtual machine or a paused container, while the clients go on.
 *
 * What came meanwhile waited in the kernel, and the timeouts were judged before
 * it was read: with read_timeout = 1 and a pause of 3 seconds, one of 200
 * complete messages was answered.
 */
#include <sys/types.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tests/lib/web_client.h"

enum {
	/* Longer than the timeouts here, which are 2 s at most. */
	STALL_MS = 2500,
	CLIENTS = 40,
};

struct stopped {
	pid_t pids[SERVER_PROCESSES_MAX];
	size_t n;
};

/* The master comes first, so that it starts no others. */
static void
stop_all(struct server *srv, struct stopped *stopped)
{
	server_signal(srv, SIGSTOP);
	stopped->n = proc_in_directory(srv->dir, stopped->pids,
	    SERVER_PROCESSES_MAX);
	for (size_t i = 0; i < stopped->n; i++)
		ck_assert_int_eq(kill(stopped->pids[i], SIGSTOP), 0);
}

/* The longer all others stand still, the more one of them can do wrong. */
static void
go_on(const struct server *srv, const struct stopped *stopped, pid_t first)
{
	ck_assert_int_eq(kill(first, SIGCONT), 0);
	pause_us(200000);
	if (first != srv->master) {
		ck_assert_int_eq(kill(srv->master, SIGCONT), 0);
		pause_us(200000);
	}
	for (size_t i = 0; i < stopped->n; i++)
		(void)kill(stopped->pids[i], SIGCONT);
}

static void
connect_all(int *fds, unsigned port)
{
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = client_connect(port);
}

static void
send_all(const int *fds, const void *bytes, size_t len)
{
	for (int i = 0; i < CLIENTS; i++)
		client_send(fds[i], bytes, len);
}

static void
close_all(const int *fds)
{
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
}

#define WEB_HEAD POST "Content-Length: 5" N N

START_TEST(messages_that_came_during_a_pause_are_answered)
{
	enum { PORTS = 3 };
	static const struct {
		unsigned port;
		const char *message;
		size_t len, begun;	/* bytes that come before */
	} wires[PORTS] = {
		{ FRAME_PORT, "\0\0\0\5hello", 9, 6 },
		{ LINE_PORT, "hello\n", 6, 2 },
		{ WEB_PORT, WEB_HEAD "hello", sizeof(WEB_HEAD) + 4, 10 },
	};
	struct server *srv = server_start("workers = 1;\n"
	    "watchdog_timeout = 1.0;",
	    FRAMES("read_timeout = 2.0; idle_timeout = 2.0;") ",\n"
	    LINES("read_timeout = 2.0; idle_timeout = 2.0;") ",\n"
	    WEB("echo", "read_timeout = 2.0; idle_timeout = 2.0;"));
	int idle[PORTS][CLIENTS], begun[PORTS][CLIENTS];
	struct stopped stopped;
	struct reply reply;

	for (int i = 0; i < PORTS; i++) {
		connect_all(idle[i], wires[i].port);
		connect_all(begun[i], wires[i].port);
		send_all(begun[i], wires[i].message, wires[i].begun);
	}
	await(server_counters(srv).bytes_in == CLIENTS * (6 + 2 + 10));
	stop_all(srv, &stopped);
	for (int i = 0; i < PORTS; i++) {
		send_all(idle[i], wires[i].message, wires[i].len);
		send_all(begun[i], wires[i].message + wires[i].begun,
		    wires[i].len - wires[i].begun);
	}
	holds_for(STALL_MS, !client_has_input(idle[0][0]));
	go_on(srv, &stopped, srv->master);
	for (int i = 0; i < CLIENTS; i++) {
		client_expect_text_frame(idle[0][i], "hello");
		client_expect_text_frame(begun[0][i], "hello");
		client_expect_text(idle[1][i], "hello\n");
		client_expect_text(begun[1][i], "hello\n");
		read_reply(idle[2][i], &reply, false);
		ck_assert_str_eq(reply.body, "hello");
		read_reply(begun[2][i], &reply, false);
		ck_assert_str_eq(reply.body, "hello");
	}
	ck_assert_ptr_null(server_log(srv, "event=worker_hung"));
	ck_assert_ptr_null(server_log(srv, "event=worker_killed"));
	ck_assert_uint_eq(server_count(srv, "event=worker_start"), 1);
	ck_assert_uint_eq(server_closed(srv, CLOSE_READ_TIMEOUT), 0);
	for (int i = 0; i < PORTS; i++) {
		close_all(idle[i]);
		close_all(begun[i]);
	}
	server_end(srv);
}
END_TEST

/* Their clients still have the rest of their time after the pause. */
START_TEST(a_suspended_machine_causes_no_timeout)
{
	struct server *srv = server_start("workers = 1;",
	    FRAMES("read_timeout = 2.0; idle_timeout = 2.0;"));
	int idle = client_connect(FRAME_PORT), fd = client_connect(FRAME_PORT);
	pid_t worker = server_worker(srv, 0);
	struct stopped stopped;

	client_send(fd, "\0\0\0\5he", 6);
	await(server_counters(srv).bytes_in == 6);
	stop_all(srv, &stopped);
	holds_for(STALL_MS, !client_has_input(idle));
	go_on(srv, &stopped, worker);
	client_send(fd, "llo", 3);
	client_echo(idle, "hello");
	client_expect_text_frame(fd, "hello");
	/* And they are as long as ever. */
	client_expect_eof(idle);
	client_expect_eof(fd);
	close(idle);
	close(fd);
	server_end(srv);
}
END_TEST

static void
expect_calls_to_survive(struct server *srv, const char *call, const char *next)
{
	int busy = client_connect(FRAME_PORT), fd = client_connect(FRAME_PORT);
	pid_t worker = server_worker(srv, 0);
	struct stopped stopped;

	client_send_text_frame(busy, call);
	await(server_counters(srv).messages_in == 1);
	client_send_text_frame(fd, next);
	await(server_counters(srv).messages_in == 2);
	stop_all(srv, &stopped);
	holds_for(STALL_MS, !client_has_input(fd));
	go_on(srv, &stopped, worker);
	client_expect_text_frame(busy, call);
	client_expect_text_frame(fd, next);
	ck_assert_uint_eq(handler_counters(srv).timeouts, 0);
	ck_assert_uint_eq(handler_counters(srv).expired, 0);
	ck_assert_uint_eq(server_count(srv, "event=executor_start"), 1);
	close(busy);
	close(fd);
	server_end(srv);
}

/* One is with the handler, the other waits for it. */
START_TEST(a_suspended_machine_times_out_no_module_request)
{
	expect_calls_to_survive(START_MODULE("mod", "",
	    "threads = 1; request_timeout = 2.0; queue_timeout = 2.0;"), "sleep 600 x", "hello");
}
END_TEST

START_TEST(a_suspended_machine_times_out_no_command_request)
{
	expect_calls_to_survive(handlers_start(HANDLERS(TIMED_COMMAND("sleepy",
	    "\"--ready\", \"sleep\", \"600\"",
	    "ready = true; request_timeout = 2.0; queue_timeout = 2.0;")),
	    ONE("sleepy", "")), "hello", "again");
}
END_TEST

START_TEST(a_suspended_machine_shortens_no_drain)
{
	struct server *srv = server_start("workers = 1;\n"
	    "drain_timeout = 1.5; drain_spread = 0;", FRAMES(""));
	int fd = client_connect(FRAME_PORT);
	pid_t worker = server_worker(srv, 0);
	struct stopped stopped;

	client_send(fd, "\0\0\0\5he", 6);
	await(server_counters(srv).bytes_in == 6);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=worker_drain");
	stop_all(srv, &stopped);
	client_send(fd, "llo", 3);
	holds_for(3000, !client_has_input(fd));
	go_on(srv, &stopped, worker);
	client_expect_text_frame(fd, "hello");
	client_expect_eof(fd);
	close(fd);
	server_await_exit(srv, 0);
	ck_assert_ptr_null(server_log(srv, "event=worker_killed"));
	ck_assert_ptr_null(server_log(srv, "event=conn_close reason=cut"));
	server_end(srv);
}
END_TEST

RUN_TESTS("a pause of the whole machine",
    messages_that_came_during_a_pause_are_answered,
    a_suspended_machine_causes_no_timeout,
    a_suspended_machine_times_out_no_module_request,
    a_suspended_machine_times_out_no_command_request,
    a_suspended_machine_shortens_no_drain)
