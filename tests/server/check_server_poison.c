/* SPDX-License-Identifier: ISC */
/*
 * Messages that crash their handler: other clients are served on, the client
 * that sends them is slowed down, and a reload is rolled back only if the new
 * handler is worse than the old one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "worker/blame.h"

/* An echo that exits at messages that begin with its first argument, which may
 * be empty, and holds those that begin with "hold", after it has made a file of
 * that name. */
static const char program[] =
    "import os, struct, sys\n"
    "fin, fout = sys.stdin.buffer, sys.stdout.buffer\n"
    "poison, tagged = sys.argv[1].encode(), 'tagged' in sys.argv\n"
    "def send(b):\n"
    "    fout.write(struct.pack('>I', len(b)) + b)\n"
    "    fout.flush()\n"
    "send(b'')\n"
    "while head := fin.read(4):\n"
    "    m = fin.read(*struct.unpack('>I', head))\n"
    "    text = m[8:] if tagged else m\n"
    "    if text.startswith(poison):\n"
    "        os._exit(3)\n"
    "    if text.startswith(b'hold'):\n"
    "        open(text, 'w').close()\n"
    "        continue\n"
    "    send(m)\n";

#define POISONED(args, more)						\
	"handlers = ( { name = \"mortal\"; type = \"command\"; "	\
	"command = [ \"python3\", \"mortal.py\", " args " ]; "		\
	/* A program in Python can take a while to start. */		\
	"ready = true; queue_timeout = 60.0; " more " } );\n"
#define MORTAL(processes)						\
	POISONED("\"boom\"", "processes = " processes ";")
#define PORTS	LISTENER("one", "9000", "frame", "mortal", "pipeline = 4;")

static struct server *
start(const char *globals)
{
	return (handlers_start_with("mortal.py", program, globals, PORTS));
}

/* The reply comes no earlier than it may; how much later is the machine's. */
static void
expect_after_delay(struct server *srv, int fd, const char *reply)
{
	uint64_t slowed_us, delay_ms;
	const char *line;

	line = server_log_last(srv, "event=conn_slowed");
	ck_assert_ptr_nonnull(line);
	slowed_us = log_time_us(line);
	delay_ms = log_number(line, "delay_ms");
	client_expect_text_frame(fd, reply);
	ck_assert_uint_ge((log_now_us() - slowed_us) / 1000, delay_ms / 2);
}

static void
reload(struct server *srv, const char *globals)
{
	handlers_configure(srv, globals, PORTS);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done kind=reload");
}

static void
send_poison(int fd)
{
	client_send_text_frame(fd, "boom");
	client_expect_text_frame(fd, ERR_FAILED);
}

/* From a client of its own, which no earlier one slows down. */
static void
poison_once(void)
{
	int fd = client_connect(FRAME_PORT);

	send_poison(fd);
	close(fd);
}

static void
expect_soon(const char *line, void *arg)
{
	unsigned *n = arg;

	++*n;
	ck_assert_uint_lt(log_number(line, "retry_ms"), 1000);
	ck_assert_uint_eq(log_number(line, "with_message"), 1);
}

START_TEST(poison_messages_do_not_starve_other_clients)
{
	struct server *srv = start("workers = 1;\n" MORTAL("4"));
	int other = client_connect(FRAME_PORT);
	unsigned deaths = 0;

	for (int i = 0; i < 14; i++) {
		poison_once();
		client_echo(other, "served");
	}
	await(server_count(srv, "event=executor_died") == 14);
	server_each(srv, "event=executor_died", expect_soon, &deaths);
	ck_assert_uint_eq(deaths, 14);
	await(handler_counters(srv).executors == 4);
	ck_assert_uint_eq(handler_counters(srv).crashes, 14);
	ck_assert_uint_eq(handler_counters(srv).offenders, 14);
	close(other);
	server_end(srv);
}
END_TEST

START_TEST(only_the_connection_that_sends_poison_is_slowed_down)
{
	struct server *srv = start("workers = 1;\n" MORTAL("2"));
	int guilty = client_connect(FRAME_PORT);
	int other = client_connect(FRAME_PORT);
	const char *line;
	char words[64];

	for (unsigned i = 1, delay_ms = BLAME_FIRST_MS; i <= 4; i++) {
		send_poison(guilty);
		snprintf(words, sizeof(words), "event=conn_slowed strikes=%u "
		    "delay_ms=%u", i, delay_ms);
		server_expect(srv, words);
		delay_ms *= 2;
	}
	/* What is sent meanwhile waits. */
	client_send_text_frame(guilty, "late");
	for (int i = 0; i < 10; i++)
		client_echo(other, "in time");
	expect_after_delay(srv, guilty, "late");
	ck_assert_uint_eq(handler_counters(srv).slowed, 4);
	ck_assert_uint_eq(handler_counters(srv).offenders, 1);
	line = server_log_last(srv, "event=conn_slowed handler=mortal");
	ck_assert_ptr_nonnull(line);
	ck_assert_uint_eq(log_number(line, "strikes"), 4);
	close(guilty);
	close(other);
	server_end(srv);
}
END_TEST

START_TEST(pipelined_messages_of_a_slowed_connection_wait_in_their_order)
{
	struct server *srv = start("workers = 1;\n" MORTAL("1"));
	int guilty = client_connect(FRAME_PORT);
	int other = client_connect(FRAME_PORT);
	uint8_t bytes[64];
	size_t len = 0;

	for (int i = 0; i < 3; i++)
		send_poison(guilty);
	len += frame_put(bytes + len, "boom", 4);
	len += frame_put(bytes + len, "first", 5);
	len += frame_put(bytes + len, "second", 6);
	client_send(guilty, bytes, len);
	client_expect_text_frame(guilty, ERR_FAILED);
	server_expect(srv, "event=conn_slowed strikes=4");
	client_echo(other, "in time");
	expect_after_delay(srv, guilty, "first");
	client_expect_text_frame(guilty, "second");
	/* One that leaves in the meantime leaves nothing behind. */
	client_send(guilty, bytes, len);
	client_expect_text_frame(guilty, ERR_FAILED);
	close(guilty);
	client_echo(other, "still here");
	close(other);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_does_not_end_the_slow_down)
{
	struct server *srv = start("workers = 2;\n" MORTAL("2"));
	int guilty = client_connect(FRAME_PORT);
	uint8_t bytes[64];
	size_t len = 0;

	for (int i = 0; i < 3; i++)
		send_poison(guilty);
	len += frame_put(bytes + len, "boom", 4);
	len += frame_put(bytes + len, "first", 5);
	client_send(guilty, bytes, len);
	client_expect_text_frame(guilty, ERR_FAILED);
	server_expect(srv, "event=conn_slowed strikes=4");
	reload(srv, "workers = 1;\n" MORTAL("2"));
	server_expect(srv, "event=reload_report carried=1");
	client_expect_text_frame(guilty, "first");
	send_poison(guilty);
	server_expect(srv, "event=conn_slowed gen=2 strikes=5");
	close(guilty);
	server_end(srv);
}
END_TEST

START_TEST(a_server_that_stops_does_not_wait_for_a_slowed_connection)
{
	struct server *srv = start("workers = 1; drain_timeout = 100.0;\n"
	    MORTAL("1"));
	int guilty = client_connect(FRAME_PORT);

	for (int i = 0; i < 4; i++)
		send_poison(guilty);
	client_send_text_frame(guilty, "last");
	server_signal(srv, SIGTERM);
	client_expect_text_frame(guilty, "last");
	client_expect_eof(guilty);
	close(guilty);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

START_TEST(of_several_in_flight_the_one_that_repeats_it_is_slowed_down)
{
	struct server *srv = start("workers = 1;\n" POISONED(
	    "\"boom\", \"tagged\"", "processes = 1; tagged = true; "
	    "pipeline = 8;"));
	int guilty = client_connect(FRAME_PORT);
	int other = client_connect(FRAME_PORT);
	char name[16];

	for (int i = 0; i < BLAME_COINCIDENCES; i++) {
		ck_assert_ptr_null(server_log(srv, "event=conn_slowed"));
		snprintf(name, sizeof(name), "hold%d", i);
		client_send_text_frame(other, name);
		await(server_has_file(srv, name));
		send_poison(guilty);
		client_expect_text_frame(other, ERR_FAILED);
		client_echo(other, "innocent");
	}
	server_expect(srv, "event=conn_slowed strikes=1");
	ck_assert_uint_eq(server_count(srv, "event=conn_slowed"), 1);
	ck_assert_uint_eq(handler_counters(srv).offenders, 1);
	client_echo(other, "still served");
	close(guilty);
	close(other);
	server_end(srv);
}
END_TEST

/*
 * Probation.
 */

START_TEST(poison_that_crashed_the_old_handler_too_does_not_roll_back)
{
	struct server *srv = start("workers = 2; probation = 60.0;\n"
	    MORTAL("4"));
	int other = client_connect(FRAME_PORT);

	for (int i = 0; i < 3; i++) {
		poison_once();
		client_echo(other, "served");
	}
	reload(srv, "workers = 1; probation = 60.0;\n" MORTAL("4"));
	for (int i = 0; i < 6; i++)
		poison_once();
	await(server_count(srv, "event=executor_died gen=2") == 6);
	holds_for(500, server_log(srv, "event=rollback") == NULL);
	client_echo(other, "served");
	close(other);
	server_end(srv);
}
END_TEST

START_TEST(one_poison_among_many_messages_does_not_roll_back)
{
	struct server *srv = start("workers = 1; probation = 60.0;\n"
	    MORTAL("4"));
	int other = client_connect(FRAME_PORT);

	client_echo(other, "served");
	reload(srv, "workers = 1; probation = 60.0;\n" MORTAL("4"));
	for (int i = 0; i < 4; i++) {
		for (int n = 0; n < 20; n++)
			client_echo(other, "served");
		poison_once();
	}
	await(server_count(srv, "event=executor_died gen=2") == 4);
	holds_for(500, server_log(srv, "event=rollback") == NULL);
	close(other);
	server_end(srv);
}
END_TEST

START_TEST(a_handler_that_crashes_on_everything_is_rolled_back)
{
	struct server *srv = start("workers = 1; probation = 60.0;\n"
	    MORTAL("2"));
	int client = client_connect(FRAME_PORT);

	client_echo(client, "served");
	reload(srv, "workers = 1; probation = 60.0;\n"
	    POISONED("\"\"", "processes = 2;"));
	for (int i = 0; i < 3; i++) {
		client_send_text_frame(client, "served");
		client_expect_text_frame(client, ERR_FAILED);
	}
	ck_assert_ptr_nonnull(strstr(
	    server_expect(srv, "event=rollback of=reload to=1"),
	    "error=\"mortal of generation 2 crash: 3 of 3 messages cost a "
	    "process, and 0 of 1 before: "));
	server_expect(srv, "event=reload_done kind=rollback");
	client_echo(client, "served again");
	close(client);
	server_end(srv);
}
END_TEST

START_TEST(a_worse_handler_is_rolled_back_though_the_old_one_crashed_too)
{
	struct server *srv = start("workers = 1; probation = 60.0;\n"
	    MORTAL("2"));
	int client = client_connect(FRAME_PORT), fd;

	poison_once();
	for (int i = 0; i < 20; i++)
		client_echo(client, "served");
	reload(srv, "workers = 1; probation = 60.0;\n"
	    POISONED("\"\"", "processes = 2;"));
	for (int i = 0; i < 3; i++) {
		fd = client_connect(FRAME_PORT);
		client_send_text_frame(fd, "served");
		client_expect_text_frame(fd, ERR_FAILED);
		close(fd);
	}
	server_expect(srv, "event=reload_done kind=rollback");
	client_echo(client, "served again");
	close(client);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_poison",
    poison_messages_do_not_starve_other_clients,
    only_the_connection_that_sends_poison_is_slowed_down,
    pipelined_messages_of_a_slowed_connection_wait_in_their_order,
    a_reload_does_not_end_the_slow_down,
    a_server_that_stops_does_not_wait_for_a_slowed_connection,
    of_several_in_flight_the_one_that_repeats_it_is_slowed_down,
    poison_that_crashed_the_old_handler_too_does_not_roll_back,
    one_poison_among_many_messages_does_not_roll_back,
    a_handler_that_crashes_on_everything_is_rolled_back,
    a_worse_handler_is_rolled_back_though_the_old_one_crashed_too)
