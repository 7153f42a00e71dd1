/* SPDX-License-Identifier: ISC */
/*
 * penstock-bench(1), against the server, the floor of bench/ and a server that
 * stalls.
 */
#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/bad_server.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

enum { FLOOR_PORT = 9005 };

/* What it said, and how it ended. */
static char said[8192];
static int status;

/* Run it with these words, in which $A is our address. */
static void
bench(const char *words)
{
	char command[1024];
	size_t len = 0, n;
	FILE *pipe;

	snprintf(command, sizeof(command), "A=%s; exec %s/penstock-bench %s "
	    "2>&1", own_address(), getenv("TOP_BUILDDIR"), words);
	ck_assert_ptr_nonnull(pipe = popen(command, "re"));
	while ((n = fread(said + len, 1, sizeof(said) - 1 - len, pipe)) > 0)
		len += n;
	said[len] = '\0';
	status = pclose(pipe);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	printf("%s: %s", words, said);
}

/* A number of its JSON. */
static double
value_of(const char *key)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	at = strstr(said, quoted);
	ck_assert_msg(at != NULL, "no %s in %s", key, said);
	return (strtod(at + strlen(quoted), NULL));
}

static void
expect_clean(void)
{
	ck_assert_int_eq(status, 0);
	ck_assert_ptr_nonnull(strstr(said, "\"clean\":true}"));
}

START_TEST(all_replies_of_a_good_server_are_right)
{
	struct server *srv = server_start("workers = 1;", FRAMES("") ",\n"
	    LINES(""));
	char words[256];

	snprintf(words, sizeof(words), "-jq -c 20 -p 4 -s 5000 -d 0.5 "
	    "--warmup 0 -P %d $A:9000", (int)srv->master);
	bench(words);
	expect_clean();
	ck_assert_double_ge(value_of("messages"), 100);
	ck_assert_double_gt(value_of("messages_per_cpu_s"), 100);
	ck_assert_double_ge(value_of("pss_kib"), 100);
	/* The master and its worker. */
	ck_assert_uint_ge((unsigned)strtod(strstr(said, "\"server\":"
	    "{\"processes\":") + 22, NULL), 2);
	bench("-jq -w line -c 21 -t 3 -d 0.5 --warmup 0 $A:9001");
	expect_clean();
	ck_assert_double_eq(value_of("verified"), 21);
	server_end(srv);
}
END_TEST

START_TEST(held_connections_are_verified_in_the_end)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));

	bench("-jq -c 300 -t 2 --idle=10 -d 1 $A:9000");
	expect_clean();
	ck_assert_double_eq(value_of("verified"), 300);
	/* Thirty a second, in all. */
	ck_assert_double_ge(value_of("messages"), 1);
	ck_assert_double_le(value_of("messages"), 100);
	server_end(srv);
}
END_TEST

START_TEST(closed_connections_are_counted)
{
	struct server *srv = server_start("workers = 1;",
	    FRAMES("idle_timeout = 0.2;"));

	bench("-jq -c 10 --idle=100 -d 1 $A:9000");
	ck_assert_int_eq(status, 1);
	ck_assert_double_ge(value_of("disconnected") + value_of("reset"), 8);
	ck_assert_ptr_nonnull(strstr(said, "\"clean\":false}"));
	server_end(srv);
}
END_TEST

/* One message a millisecond is due; those during the stall wait for what is
 * left of it, and are not left out. */
START_TEST(a_stall_counts_for_every_message_that_was_due_during_it)
{
	struct bad_server server = bad_server_start(9000, WIRE_FRAME,
	    FAULT_DELAY, 200);

	bench("-jq -c 4 -r 1000 -d 1 --warmup 0 $A:9000");
	expect_clean();
	ck_assert_double_ge(value_of("max"), BAD_DELAY_MS * 1000);
	/* At 9 out of 10, two thirds of the stall are still to come. */
	ck_assert_double_ge(value_of("p90"), BAD_DELAY_MS * 1000 / 3);
	/* Without those of the stall there are 700, at most. */
	ck_assert_double_ge(value_of("messages"), 750);
	bad_server_end(&server);
}
END_TEST

static pid_t
start_floor(const char *wire)
{
	const char *address = own_address();
	char path[512], port[16];
	pid_t pid;

	if ((pid = fork()) == 0) {
		snprintf(path, sizeof(path), "%s/bench/floor",
		    getenv("TOP_BUILDDIR"));
		snprintf(port, sizeof(port), "%d", FLOOR_PORT);
		execl(path, "floor", wire, address, port, NULL);
		_exit(1);
	}
	ck_assert_int_ne(pid, -1);
	return (pid);
}

static void
end_floor(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Whatever is measured against it is worth nothing if it does less. */
START_TEST(the_floor_is_an_echo_on_every_wire)
{
	static const char *const wires[] = { "frame", "line", "http" };
	char words[256];
	pid_t pid;

	for (size_t i = 0; i < 3; i++) {
		pid = start_floor(wires[i]);
		await(proc_tcp_sockets(own_address_number(), FLOOR_PORT,
		    PROC_TCP_LISTEN) > 0);
		snprintf(words, sizeof(words), "-jq -w %s -c 20 -p 16 -s 70 "
		    "-d 0.3 --warmup 0 $A:%d", wires[i], FLOOR_PORT);
		bench(words);
		expect_clean();
		snprintf(words, sizeof(words), "-jq -w %s -c 5 -p 40 -s 150000"
		    " -d 0.3 --warmup 0 $A:%d", wires[i], FLOOR_PORT);
		bench(words);
		expect_clean();
		end_floor(pid);
	}
}
END_TEST

START_TEST(on_a_raw_wire_reply_bytes_are_counted)
{
	struct server *srv = server_start("workers = 1;", LINES(""));

	/* Two lines, which are one message here. */
	bench("-jq -w raw --request 'a\\r\\nbc\\n' --reply-bytes 5 -c 3 "
	    "-d 0.3 --warmup 0 $A:9001");
	expect_clean();
	ck_assert_double_ge(value_of("messages"), 10);
	server_end(srv);
}
END_TEST

START_TEST(invalid_arguments_are_refused)
{
	static const char *const wrong[] = {
		"", "$A", "$A:9000 more", "-c 0 $A:9000", "-c 1.5 $A:9000",
		"-p x $A:9000", "-w tls $A:9000", "-w raw $A:9000",
		"-w raw --request '\\t' --reply-bytes 1 $A:9000",
		"--request x $A:9000", "-i -r 5 $A:9000", "-c 2 -t 3 $A:9000",
		"-s 1 $A:9000", "--source ::1 $A:9000", "--nonsense $A:9000",
		"-P 0 $A:9000",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bench(wrong[i]);
		ck_assert_int_eq(status, 2);
	}
	bench("-q -c 1 $A:9000");
	ck_assert_int_eq(status, 1);
	ck_assert_ptr_nonnull(strstr(said, "no connection stands"));
}
END_TEST

RUN_TESTS("server_bench",
    all_replies_of_a_good_server_are_right,
    held_connections_are_verified_in_the_end,
    closed_connections_are_counted,
    a_stall_counts_for_every_message_that_was_due_during_it,
    the_floor_is_an_echo_on_every_wire,
    on_a_raw_wire_reply_bytes_are_counted,
    invalid_arguments_are_refused)
