/* SPDX-License-Identifier: ISC */
/*
 * However the process of a handler ends, the log tells how, nobody waits for a
 * reply that cannot come, and another one takes its place.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

/* The process that was the n-th to be started. */
static pid_t
nth(struct server *srv, unsigned n)
{
	char words[64];

	snprintf(words, sizeof(words), "event=executor_ready executor=%u", n);
	return ((pid_t)log_number(server_expect(srv, words), "child"));
}

/* What the log tells of the death of a process. */
static const char *
how_it_died(struct server *srv, pid_t pid)
{
	char words[64];

	snprintf(words, sizeof(words), "event=executor_died child=%d",
	    (int)pid);
	return (strstr(server_expect(srv, words), "how="));
}

static void
expect_how(struct server *srv, pid_t pid, const char *how)
{
	const char *told = how_it_died(srv, pid);

	ck_assert_msg(told != NULL && strncmp(told, how, strlen(how)) == 0,
	    "%s, not %s", told, how);
}

/* The worker sees the end of the channel before the master sees the end of the
 * process, or after it. */
static void
expect_kills_told(const char *handlers)
{
	enum { KILLS = 25 };
	struct server *srv = handlers_start(handlers, ONE("work", ""));
	int fd = client_connect(FRAME_PORT);
	pid_t pid;

	for (unsigned i = 1; i <= KILLS; i++) {
		pid = nth(srv, i);
		/* One that was never used would be replaced later and later. */
		client_echo(fd, "hello");
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		expect_how(srv, pid, "how=\"signal 9 (Killed)");
	}
	close(fd);
	server_end(srv);
}

START_TEST(a_killed_command_is_told_as_killed)
{
	expect_kills_told(HANDLERS(COMMAND("work", "\"echo\"", "")));
}
END_TEST

START_TEST(a_killed_module_is_told_as_killed)
{
	expect_kills_told(HANDLERS(MODULE("work", "", "threads = 4;")));
}
END_TEST

/* A program that only closes its output is still there, and is ended. */
START_TEST(a_command_that_closes_its_output_is_told_as_that)
{
	struct server *srv = handlers_start(HANDLERS(COMMAND("cmd",
	    "\"--every\", \"2\", \"close\"", "")), ONE("cmd", ""));
	int fd = client_connect(FRAME_PORT);
	pid_t pid = nth(srv, 1);

	client_echo(fd, "hello");
	client_send_text_frame(fd, "close");
	client_expect_text_frame(fd, ERR_FAILED);
	expect_how(srv, pid, "how=\"it closed its channel");
	client_echo(fd, "hello");
	close(fd);
	server_end(srv);
}
END_TEST

static pid_t
ready_of(struct server *srv, const char *handler)
{
	char words[64];

	snprintf(words, sizeof(words), "event=executor_ready handler=%s",
	    handler);
	return ((pid_t)log_number(server_expect(srv, words), "child"));
}

/* The worker has reported the end of the channel, and has no more to report:
 * the master does not wait for that.  Another process dies later, and is logged
 * later. */
START_TEST(a_death_after_the_end_of_the_channel_is_told_at_once)
{
	enum { ROUNDS = 8 };
	struct server *srv = handlers_start("workers = 1;\nhandlers = ( "
	    COMMAND("closes", "\"--every\", \"2\", \"close\"", "") ", "
	    COMMAND("other", "\"echo\"", "") " );\n",
	    ONE("closes", "") ",\n" ONE_LINE("other", ""));
	char words[64];

	for (unsigned i = 0; i < ROUNDS; i++) {
		pid_t closes = ready_of(srv, "closes");
		pid_t other = ready_of(srv, "other");
		int fd = client_connect(FRAME_PORT);

		server_mark(srv);
		client_echo(fd, "hello");
		client_send_text_frame(fd, "close");
		client_expect_text_frame(fd, ERR_FAILED);
		expect_answered(LINE_PORT, "hello\n");
		/* On a slow machine the master has done that already. */
		(void)kill(closes, SIGKILL);
		await(kill(closes, 0) == -1);
		ck_assert_int_eq(kill(other, SIGKILL), 0);
		how_it_died(srv, other);
		snprintf(words, sizeof(words), "event=executor_died child=%d",
		    (int)closes);
		ck_assert_ptr_nonnull(server_log(srv, words));
		close(fd);
	}
	server_end(srv);
}
END_TEST

/* Whether the master hears first of its death or of what it sent. */
static void
expect_told(const char *deed, const char *how)
{
	enum { ROUNDS = 10 };
	struct server *srv;
	char globals[512];
	int fd;

	snprintf(globals, sizeof(globals), HANDLERS(COMMAND("cmd",
	    "\"--every\", \"2\", \"%s\"", "")), deed);
	srv = handlers_start(globals, ONE("cmd", ""));
	for (unsigned i = 1; i <= ROUNDS; i++) {
		pid_t pid = nth(srv, i);

		/* One that comes again and again is slowed down. */
		fd = client_connect(FRAME_PORT);
		client_echo(fd, "hello");
		client_send_text_frame(fd, "whole");
		client_expect_text_frame(fd, ERR_FAILED);
		expect_how(srv, pid, how);
		close(fd);
	}
	server_end(srv);
}

START_TEST(what_a_command_sent_is_told_though_it_has_ended)
{
	expect_told("junk-exit", "how=\"it announced a reply");
}
END_TEST

START_TEST(half_a_reply_is_told_with_how_it_ended)
{
	expect_told("half-exit", "how=\"its reply begins "
	    "'\\\\x00\\\\x00\\\\x00\\\\x05wh'; exit status 0");
}
END_TEST

/*
 * What a program has started holds its pipes open, and is not of its process
 * group, with which it would be ended.
 */

/* It runs for no longer than the test. */
static void
end_orphan(struct server *srv, const char *file)
{
	pid_t orphan = handlers_pid_in(srv, file);

	ck_assert_msg(!proc_is_dead(orphan), "it was ended with its parent");
	ck_assert_int_eq(kill(orphan, SIGKILL), 0);
	ck_assert_int_eq(unlink(server_path(srv, file)), 0);
}

#define PATIENT	"request_timeout = 0; queue_timeout = 0;"

START_TEST(a_death_hidden_by_a_child_is_answered_at_once)
{
	struct server *srv = handlers_start(HANDLERS(TIMED_COMMAND("cmd",
	    "\"--every\", \"2\", \"orphan-group-exit\", \"orphan\"", PATIENT)),
	    ONE("cmd", ""));
	int fd = client_connect(FRAME_PORT);
	pid_t pid;

	for (unsigned i = 1; i <= 3; i++) {
		pid = nth(srv, i);
		client_echo(fd, "hello");
		client_send_text_frame(fd, "exit");
		client_expect_text_frame(fd, ERR_FAILED);
		expect_how(srv, pid, "how=\"exit status 5");
		ck_assert_uint_eq(log_number(srv->line, "with_message"), 1);
		/* It is replaced while what it has started still runs. */
		nth(srv, i + 1);
		end_orphan(srv, "orphan");
	}
	ck_assert_uint_eq(handler_counters(srv).timeouts, 0);
	close(fd);
	server_end(srv);
}
END_TEST

/* Its last reply comes, and nothing is sent to it any more. */
START_TEST(a_command_that_is_dead_gets_no_more_messages)
{
	struct server *srv = handlers_start(HANDLERS(TIMED_COMMAND("cmd",
	    "\"--every\", \"2\", \"orphan-group-last\", \"orphan\"", PATIENT)),
	    ONE("cmd", ""));
	int fd = client_connect(FRAME_PORT);
	pid_t pid = nth(srv, 1);

	client_echo(fd, "first");
	client_echo(fd, "last");
	expect_how(srv, pid, "how=\"exit status 5");
	ck_assert_uint_eq(log_number(srv->line, "with_message"), 0);
	client_echo(fd, "hello");
	ck_assert_uint_eq(handler_counters(srv).failed, 0);
	end_orphan(srv, "orphan");
	close(fd);
	server_end(srv);
}
END_TEST

/*
 * Several at once.
 */

START_TEST(two_executors_that_time_out_in_one_tick_are_replaced)
{
	struct server *srv = handlers_start(HANDLERS("{ name = \"cmd\"; "
	    "type = \"command\"; processes = 2; request_timeout = 1.0; "
	    MISBEHAVE("\"hang\"") " }"), ONE("cmd", ""));
	int fds[2] = { client_connect(FRAME_PORT), client_connect(FRAME_PORT) };
	pid_t pids[2] = { nth(srv, 1), nth(srv, 2) };

	/* Each of them has one. */
	for (int i = 0; i < 2; i++)
		client_send_text_frame(fds[i], "hello");
	for (int i = 0; i < 2; i++) {
		client_expect_text_frame(fds[i], ERR_TIMEOUT);
		expect_how(srv, pids[i], "how=\"it had a request for longer");
	}
	ck_assert_uint_eq(handler_counters(srv).timeouts, 2);
	ck_assert_uint_eq(handler_counters(srv).crashes, 2);
	nth(srv, 3);
	nth(srv, 4);
	await(handler_counters(srv).executors == 2);
	close(fds[0]);
	close(fds[1]);
	server_end(srv);
}
END_TEST

/* The worker is stopped and reports nothing: the first executor that is overdue
 * ends the start, and with it the other executors. */
START_TEST(two_failing_handlers_end_the_start_once)
{
	struct server *srv = handlers_new();
	pid_t pids[2], worker;

	srv->expects_deaths = true;
	handlers_configure(srv, HANDLERS("{ name = \"cmd\"; type = \"command\"; "
	    "processes = 2; " MISBEHAVE("\"echo\"") " },\n"
	    COMMAND("late", "\"never-ready\"", "ready = true;")),
	    ONE("cmd", ""));
	server_launch(srv);
	worker = (pid_t)log_number(server_expect(srv, "event=worker_ready"),
	    "child");
	pids[0] = nth(srv, 1);
	pids[1] = nth(srv, 2);
	ck_assert_int_eq(kill(worker, SIGSTOP), 0);
	ck_assert_int_eq(kill(pids[0], SIGKILL), 0);
	ck_assert_int_eq(kill(pids[1], SIGKILL), 0);
	server_expect(srv, "event=start_failed");
	server_await_exit(srv, 1);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_handlers_deaths",
    a_killed_command_is_told_as_killed,
    a_killed_module_is_told_as_killed,
    a_command_that_closes_its_output_is_told_as_that,
    a_death_after_the_end_of_the_channel_is_told_at_once,
    what_a_command_sent_is_told_though_it_has_ended,
    half_a_reply_is_told_with_how_it_ended,
    a_death_hidden_by_a_child_is_answered_at_once,
    a_command_that_is_dead_gets_no_more_messages,
    two_executors_that_time_out_in_one_tick_are_replaced,
    two_failing_handlers_end_the_start_once)
