/* SPDX-License-Identifier: ISC */
/*
 * What handlers may use, and what becomes of everybody else when one of them is
 * slow, floods, or has more to do than there is memory for.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tests/lib/web_client.h"
#include "tests/lib/wire.h"

/*
 * What is said in the log.
 */

START_TEST(a_number_that_is_rounded_up_is_told)
{
	static const char globals[] = "workers = 2;\nhandlers = (\n"
	    COMMAND("one", "\"echo\"", "") ",\n"
	    MODULE("odd", "", "threads = 5;") ",\n"
	    MODULE("even", "", "threads = 4;") "\n);";
	struct server *srv = handlers_start(globals, ONE("one", ""));

	for (int i = 0; i < 2; i++) {
		server_expect(srv, "warn event=handler_rounded handler=one "
		    "key=processes configured=1 all=2 workers=2 each=1");
		server_expect(srv, "info event=handler_rounded handler=odd "
		    "key=threads configured=5 all=6 workers=2 each=3");
		ck_assert_uint_eq(server_count(srv, "event=handler_rounded"),
		    2);
		server_mark(srv);
		if (i == 0)
			server_reload(srv);
	}
	server_end(srv);
}
END_TEST

enum { FLOOD = 20000 };

START_TEST(a_flood_on_stderr_hides_nothing_of_another_handler)
{
	struct server *srv = handlers_start(HANDLERS(
	    COMMAND("flood", "\"flood\", \"20000\"", "") ",\n"
	    COMMAND("quiet", "\"bad-bytes\"", "")),
	    ONE("flood", "") ",\n"
	    LISTENER("quiet", "9004", "frame", "quiet", ""));

	expect_answered(FRAME_PORT, "hello");
	server_expect(srv, "event=handler_stderr handler=flood");
	expect_answered(HIGH_PORT, "hello");
	await(server_count(srv, "event=handler_stderr handler=quiet") == 2);
	/* The log says how many lines of which handler it left out. */
	await(server_count_told(srv, "event=handler_stderr handler=flood") == FLOOD);
	ck_assert_uint_lt(server_count(srv,
	    "event=handler_stderr handler=flood"), 5000);
	ck_assert_uint_eq(server_count(srv, "event=handler_stderr"),
	    server_count(srv, "event=handler_stderr handler=flood") + 2);
	server_end(srv);
}
END_TEST

/*
 * What a handler's processes are given.
 */

static void
expect_said(unsigned port, const char *request, const char *reply)
{
	int fd = client_connect(port);

	client_send_text_frame(fd, request);
	client_expect_text_frame(fd, reply);
	close(fd);
}

START_TEST(a_command_has_its_environment_directory_and_limits)
{
	struct server *srv = handlers_new();
	char there[PATH_MAX];

	ck_assert_int_eq(mkdir(server_path(srv, "there"), 0777), 0);
	ck_assert_ptr_nonnull(realpath(server_path(srv, "there"), there));
	setenv("PENSTOCK_TEST_MASTERS", "the master's", 1);
	handlers_configure(srv, HANDLERS(
	    COMMAND("mine", "\"env\", \"PENSTOCK_TEST_MINE\"",
	    "environment = { PENSTOCK_TEST_MINE = \"two words\"; };") ",\n"
	    COMMAND("masters", "\"env\", \"PENSTOCK_TEST_MASTERS\"", "") ",\n"
	    COMMAND("instead", "\"env\", \"PENSTOCK_TEST_MASTERS\"",
	    "environment = { PENSTOCK_TEST_MASTERS = \"mine\"; };") ",\n"
	    COMMAND("limits", "\"limits\"",
	    "max_files = 33; max_memory = 1073741824;") ",\n"
	    "{ name = \"cwd\"; type = \"command\"; processes = 1; "
	    "working_directory = \"there\"; command = "
	    "[ \"../src/tests/programs/command_misbehave.py\", \"cwd\" ]; }"),
	    LISTENER("l0", "9100", "frame", "mine", "") ",\n"
	    LISTENER("l1", "9101", "frame", "masters", "") ",\n"
	    LISTENER("l2", "9102", "frame", "instead", "") ",\n"
	    LISTENER("l3", "9103", "frame", "limits", "") ",\n"
	    LISTENER("l4", "9104", "frame", "cwd", ""));
	server_launch(srv);
	server_await_ready(srv);
	expect_said(9100, "x", "two words");
	expect_said(9101, "x", "the master's");
	expect_said(9102, "x", "mine");
	expect_said(9103, "x", "nofile=33 as=1073741824");
	expect_said(9104, "x", there);
	server_end(srv);
}
END_TEST

START_TEST(a_module_has_its_environment_and_directory)
{
	struct server *srv = handlers_new();

	ck_assert_int_eq(mkdir(server_path(srv, "there"), 0777), 0);
	handlers_configure(srv, HANDLERS("{ name = \"mod\"; "
	    "type = \"module\"; working_directory = \"there\"; "
	    "module = \"../build/tests/programs/module_misbehave.so\"; "
	    "environment = { PENSTOCK_TEST_MINE = \"two words\"; }; "
	    "settings = { close_file = \"closed\"; }; }"), ONE("mod", ""));
	server_launch(srv);
	server_await_ready(srv);
	expect_said(FRAME_PORT, "env PENSTOCK_TEST_MINE", "two words");
	handlers_configure(srv, HANDLERS(COMMAND("other", "\"echo\"", "")),
	    ONE("other", ""));
	server_reload(srv);
	await(server_has_file(srv, "there/closed"));
	server_end(srv);
}
END_TEST

START_TEST(a_command_that_takes_too_much_memory_fails_only_itself)
{
	struct server *srv = handlers_start(HANDLERS(COMMAND("big",
	    "\"--every\", \"2\", \"big\", \"2000000000\"",
	    "max_memory = 1073741824;")), ONE("big", ""));
	int fd = client_connect(FRAME_PORT);

	for (int i = 0; i < 2; i++) {
		client_echo(fd, "hello");
		client_send_text_frame(fd, "too much");
		client_expect_text_frame(fd, ERR_FAILED);
	}
	/* Its last word is the reason. */
	server_expect(srv, "event=executor_died handler=big");
	ck_assert_ptr_nonnull(strstr(srv->line, "MemoryError"));
	close(fd);
	server_end(srv);
}
END_TEST

#define WHO_AM_I							\
	"{ name = \"who\"; type = \"command\"; processes = 1; "		\
	"command = [ \"python3\", \"who.py\" ]; }"
static const char who_am_i[] =
    "#!/usr/bin/env python3\n"
    "import os, struct, sys\n"
    "i, o = open('/dev/stdin', 'rb'), open('/dev/stdout', 'wb')\n"
    "while head := i.read(4):\n"
    "    i.read(*struct.unpack('>I', head))\n"
    "    print('this too', file=open('/dev/stderr', 'w'))\n"
    "    r = b'%d %d %d' % (os.getuid(), os.geteuid(), os.getgid())\n"
    "    o.write(struct.pack('>I', len(r)) + r)\n"
    "    o.flush()\n";

/* It may open its own standard streams.  Whoever is not root has no choice. */
START_TEST(a_command_runs_as_the_user_of_the_workers)
{
	struct server *srv = handlers_new();
	const struct passwd *user = geteuid() == 0 ? getpwnam("nobody") :
	    getpwuid(geteuid());
	char reply[64];

	ck_assert_ptr_nonnull(user);
	snprintf(reply, sizeof(reply), "%u %u %u", (unsigned)user->pw_uid,
	    (unsigned)user->pw_uid, geteuid() == 0 ?
	    (unsigned)user->pw_gid : (unsigned)getegid());
	server_write(srv, "who.py", who_am_i);
	server_configure(srv, geteuid() == 0 ?
	    "user = \"nobody\";\n" HANDLERS(WHO_AM_I) : HANDLERS(WHO_AM_I),
	    ONE("who", ""));
	server_launch(srv);
	server_await_ready(srv);
	expect_said(FRAME_PORT, "who?", reply);
	server_expect(srv, "event=handler_stderr handler=who");
	server_end(srv);
}
END_TEST

/*
 * More to do than there is memory for.
 */

enum { BIG = 100000 };

#define MEMORY(bytes, list) "max_buffered = " bytes ";\n" HANDLERS(list)
#define BIG_MESSAGES	"max_message_size = 131072; pipeline = 8;"

/* What queue, clients and executors have to do is far more than fits.  Returns
 * how often a client was held back from the queue; others are before that. */
static uint64_t
expect_all_served(const char *globals, struct hold_options *options,
    uint64_t enough)
{
	struct server *srv = handlers_start(globals, ONE("work", BIG_MESSAGES)
	    ",\n" EXTRA(BIG_MESSAGES));
	struct hold_process *load;
	struct counters_handler counters;
	uint64_t since, slowest = 0;
	int extra = client_connect(EXTRA_PORT);

	options->rate = HOLD_FULL_SPEED;
	load = hold_start(options);
	while (hold_peek(load)->answered < enough &&
	    hold_peek(load)->lost == 0) {
		since = clock_ms();
		client_echo(extra, "hello");
		since = clock_ms() - since;
		slowest = since > slowest ? since : slowest;
		await_pause();
	}
	print_report("more than fits", hold_peek(load));
	hold_stop(load);
	expect_unharmed(hold_peek(load));
	hold_drop(load);
	close(extra);
	counters = handler_counters(srv);
	printf("held back %u times; at most %u KiB; slowest echo beside it "
	    "%u ms\n", (unsigned)counters.held_back,
	    (unsigned)server_worker_counters(srv).buffered_peak / 1024,
	    (unsigned)slowest);
	ck_assert_uint_eq(counters.shed, 0);
	ck_assert_uint_eq(counters.failed, 0);
	ck_assert_ptr_null(server_log(srv, "event=memory_cap"));
	ck_assert_uint_lt(slowest, 2000 * slow_factor());
	await(server_worker_counters(srv).buffered == 0);
	server_end(srv);
	return (counters.held_back);
}

START_TEST(with_wait_big_messages_wait_for_memory_and_none_is_lost)
{
	struct hold_options options = load_on(FRAME_PORT);

	options.connections = 8;
	options.message_size = BIG;
	options.burst = 8;
	expect_all_served(MEMORY("2097152", "{ name = \"work\"; "
	    "type = \"command\"; " MISBEHAVE("\"sleep\", \"2\"")
	    " processes = 2; pipeline = 2; }"), &options, 400);
}
END_TEST

START_TEST(many_clients_messages_wait_for_memory_and_none_is_lost)
{
	struct hold_options options = load_on(FRAME_PORT);

	options.connections = 60;
	options.message_size = 30000;
	options.burst = 8;
	ck_assert_uint_gt(expect_all_served(MEMORY("8388608", MODULE("work",
	    "sleep_ms = 2;", "threads = 8;")), &options,
	    3000), 0);
}
END_TEST

START_TEST(with_shed_big_messages_beyond_memory_are_answered_busy)
{
	enum { CLIENTS = 8, EACH = 3 };
	struct server *srv = handlers_start(MEMORY("2097152",
	    COMMAND("work", "\"sleep\", \"20\"", "overload = \"shed\";")),
	    ONE("work", BIG_MESSAGES));
	struct wire out = { .lines = false }, in[CLIENTS] = {
		{ .lines = false }
	};
	struct text message = { .len = BIG }, reply;
	int fds[CLIENTS];
	unsigned busy = 0;

	ck_assert_ptr_nonnull(message.bytes = malloc(BIG));
	memset(message.bytes, 'm', BIG);
	for (int i = 0; i < EACH; i++)
		wire_put(&out, &message);
	for (int c = 0; c < CLIENTS; c++) {
		fds[c] = client_connect(FRAME_PORT);
		client_send(fds[c], out.bytes, out.len);
	}
	for (int c = 0; c < CLIENTS; c++) {
		for (int i = 0; i < EACH; i++) {
			reply = wire_expect(fds[c], &in[c]);
			if (text_is(&reply, ERR_BUSY))
				busy++;
			else
				ck_assert(text_equal(&reply, &message));
		}
	}
	ck_assert_uint_gt(busy, 0);
	ck_assert_uint_lt(busy, CLIENTS * EACH);
	ck_assert_uint_eq(handler_counters(srv).shed, busy);
	ck_assert_ptr_null(server_log(srv, "event=memory_cap"));
	for (int c = 0; c < CLIENTS; c++) {
		ck_assert(!client_has_input(fds[c]));
		close(fds[c]);
		free(in[c].bytes);
	}
	free(out.bytes);
	free(message.bytes);
	server_end(srv);
}
END_TEST

/* It waits with its message, and may be all that there is of it. */
START_TEST(what_a_handler_is_told_of_http_has_its_share_of_memory_too)
{
	enum { REQUESTS = 12, LONG = 7000 };
	struct server *srv = handlers_start(MEMORY("1048576",
	    COMMAND("work", "\"hold\"", "overload = \"shed\";")),
	    WEB("work", "pipeline = 16; max_message_size = 65536;"));
	int fd = client_connect(WEB_PORT);
	char target[LONG + 1] = "";
	struct reply reply;
	unsigned busy = 0;

	memset(target, 't', LONG);
	for (int i = 0; i < REQUESTS; i++) {
		client_send_text(fd, "GET /");
		client_send_text(fd, target);
		client_send_text(fd, " HTTP/1.1" N "Host: a" N N);
	}
	await(handler_counters(srv).shed > 0);
	handlers_release(srv);
	for (int i = 0; i < REQUESTS; i++) {
		read_reply(fd, &reply, false);
		ck_assert(reply.status == 200 || (i > 1 &&
		    reply.status == 503));
		busy += reply.status == 503;
	}
	ck_assert_uint_gt(busy, 0);
	ck_assert_uint_eq(handler_counters(srv).shed, busy);
	ck_assert_ptr_null(server_log(srv, "event=memory_cap"));
	await(server_worker_counters(srv).buffered == 0);
	close(fd);
	server_end(srv);
}
END_TEST

/* The executor would have been taken for one that talks nonsense. */
START_TEST(a_reply_finds_memory_though_slow_clients_have_it)
{
	enum { SLOW = 8, PART = 120000, REPLY = 200000 };
	static uint8_t message[PART];
	struct server *srv = handlers_start(MEMORY("1048576",
	    COMMAND("big", "\"big\", \"200000\"", "")),
	    ONE("big", "max_message_size = 262144;"));
	struct wire in = { .lines = false };
	int slow[SLOW], fd;

	message[1] = 3;		/* the head says 196,608 bytes */
	for (int i = 0; i < SLOW; i++) {
		slow[i] = client_connect(FRAME_PORT);
		client_send(slow[i], message, PART);
	}
	await(server_worker_counters(srv).buffered > 800000);
	fd = client_connect(FRAME_PORT);
	client_send_text_frame(fd, "hello");
	ck_assert_uint_eq(wire_expect(fd, &in).len, REPLY);
	ck_assert_ptr_null(server_log(srv, "event=executor_died"));
	for (int i = 0; i < SLOW; i++)
		close(slow[i]);
	close(fd);
	free(in.bytes);
	server_end(srv);
}
END_TEST

/* It would hold what others need for as long as request_timeout is. */
START_TEST(a_reply_too_large_is_refused_when_it_is_announced)
{
	struct server *srv = handlers_start(HANDLERS(TIMED_COMMAND("huge",
	    "\"--every\", \"2\", \"huge\"", "request_timeout = 0;")),
	    ONE("huge", ""));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "hello");
	client_send_text_frame(fd, "more");
	client_expect_text_frame(fd, ERR_FAILED);
	client_echo(fd, "hello");
	close(fd);
	server_end(srv);
}
END_TEST

/* How long it takes, over some rounds, until one who is held back has the place
 * of one who leaves the queue. */
static uint64_t
time_to_get_a_place(struct server *srv, int *waiting)
{
	uint64_t sum = 0, since, waits, held_back;
	int next;

	for (int i = 0; i < 16; i++) {
		waits = handler_counters(srv).waits;
		held_back = handler_counters(srv).held_back;
		next = client_connect(FRAME_PORT);
		client_send_text_frame(next, "may I?");
		await(handler_counters(srv).held_back > held_back);
		since = clock_ms();
		client_reset(*waiting);
		await(handler_counters(srv).waits > waits);
		sum += clock_ms() - since;
		*waiting = next;
	}
	return (sum);
}

START_TEST(a_held_back_client_takes_the_place_of_one_that_leaves)
{
	struct server *srv = handlers_start(HANDLERS(TIMED_COMMAND("hangs",
	    "\"hang\"", "queue = 1; queue_timeout = 0; request_timeout = 0;")),
	    ONE("hangs", ""));
	int running = client_connect(FRAME_PORT), waiting;
	uint64_t sum = 0;

	client_send_text_frame(running, "hello");
	await(server_counters(srv).messages_in == 1);
	waiting = client_connect(FRAME_PORT);
	client_send_text_frame(waiting, "hello");
	await(handler_counters(srv).waiting == 1);
	/* One that has to wait for the tick takes 800 ms, each time; and so can
	 * one that does not, on a machine that has much to do. */
	for (int tries = 0; tries == 0 || (tries < 20 && sum >= 400); tries++)
		sum = time_to_get_a_place(srv, &waiting);
	printf("16 times to get a place: %u ms\n", (unsigned)sum);
	ck_assert_uint_lt(sum, 400);
	close(waiting);
	close(running);
	server_end(srv);
}
END_TEST

/* Its place is taken for want of memory: it may go, but "ERR busy" would stand
 * where it looks for its reply. */
START_TEST(a_client_that_waits_for_a_reply_gets_nothing_else)
{
	enum { OTHERS = 8, PART = 500000 };
	struct server *srv = handlers_start(MEMORY("2097152",
	    COMMAND("slow", "\"hold\"", "")),
	    ONE("slow", "max_message_size = 524288; pipeline = 8;") ",\n"
	    EXTRA("max_message_size = 524288;"));
	int fd = client_connect(FRAME_PORT), fds[OTHERS];
	static uint8_t part[PART] = "\0\x07\xff\xff";

	client_send_text_frame(fd, "first");
	client_send(fd, part, 100000);
	await(server_worker_counters(srv).buffered >= 90000);
	for (int i = 0; i < OTHERS; i++) {
		fds[i] = client_connect(EXTRA_PORT);
		client_stuff(fds[i], part, sizeof(part), sizeof(part));
	}
	server_expect(srv, "event=memory_cap listener=one");
	client_expect_eof(fd);
	close(fd);
	for (int i = 0; i < OTHERS; i++)
		close(fds[i]);
	server_end(srv);
}
END_TEST

RUN_TESTS("limits of handlers",
    a_number_that_is_rounded_up_is_told,
    a_flood_on_stderr_hides_nothing_of_another_handler,
    a_command_has_its_environment_directory_and_limits,
    a_module_has_its_environment_and_directory,
    a_command_that_takes_too_much_memory_fails_only_itself,
    a_command_runs_as_the_user_of_the_workers,
    with_wait_big_messages_wait_for_memory_and_none_is_lost,
    many_clients_messages_wait_for_memory_and_none_is_lost,
    with_shed_big_messages_beyond_memory_are_answered_busy,
    what_a_handler_is_told_of_http_has_its_share_of_memory_too,
    a_reply_finds_memory_though_slow_clients_have_it,
    a_reply_too_large_is_refused_when_it_is_announced,
    a_held_back_client_takes_the_place_of_one_that_leaves,
    a_client_that_waits_for_a_reply_gets_nothing_else)
