/* SPDX-License-Identifier: ISC */
/*
 * The monitor of a running server: what it answers, that it comes back, and
 * that nobody else sees anything of those who ask it.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/exposition.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tools/json_read.h"

#define MONITOR "monitor = { address = [ \"$A:9180\", \"unix:$D/m\" ]; };\n"

enum { MONITOR_PORT = 9180, REPLY_SIZE = 4 << 20 };

/*
 * HTTP.
 */

struct reply {
	int code;
	char *text;		/* all of it */
	const char *body;	/* in it */
};

static void
reply_free(struct reply *reply)
{
	free(reply->text);
}

/* What the other side sends up to the end of the connection. */
static struct reply
read_reply(int fd)
{
	struct reply reply = { .text = malloc(REPLY_SIZE) };
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n = 1;

	ck_assert_ptr_nonnull(reply.text);
	while (n > 0) {
		ck_assert_int_eq(poll(&wait, 1, (int)patience_ms()), 1);
		n = recv(fd, reply.text + len, REPLY_SIZE - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	reply.text[len] = '\0';
	close(fd);
	if (sscanf(reply.text, "HTTP/1.1 %d ", &reply.code) != 1)
		reply.code = 0;
	reply.body = strstr(reply.text, "\r\n\r\n");
	reply.body = reply.body == NULL ? "" : reply.body + 4;
	return (reply);
}

static void
send_request(int fd, const char *what, const char *headers)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\n%s\r\n", what, headers);
	client_send_text(fd, text);
}

static struct reply
ask(const char *what)
{
	int fd = client_connect(MONITOR_PORT);

	send_request(fd, what, "");
	return (read_reply(fd));
}

static struct reply
ask_on_path(const struct server *srv, const char *what)
{
	char address[128];
	int fd;

	snprintf(address, sizeof(address), "unix:%s", server_path(srv, "m"));
	fd = client_connect_text(address);
	send_request(fd, what, "");
	return (read_reply(fd));
}

static void
expect_code(const char *what, int code)
{
	struct reply reply = ask(what);

	ck_assert_msg(reply.code == code, "%s: %d, not %d", what, reply.code,
	    code);
	reply_free(&reply);
}

/* Whether "/readyz" says this. */
static bool
readiness_is(int code, const char *words)
{
	struct reply reply = ask("GET /readyz");
	bool is = reply.code == code && strcmp(reply.body, words) == 0;

	reply_free(&reply);
	return (is);
}

/* Whether what is asked for says this somewhere. */
static bool
page_says(const char *request, const char *words)
{
	struct reply reply = ask(request);
	bool says = strstr(reply.body, words) != NULL;

	reply_free(&reply);
	return (says);
}

static double
metric(const char *sample)
{
	struct reply reply = ask("GET /metrics");
	double value = exposition_value(reply.body, sample);

	reply_free(&reply);
	return (value);
}

static void
never_less(double *before, double now)
{
	ck_assert_msg(now >= *before, "%f has become %f", *before, now);
	*before = now;
}

static pid_t
monitor_of(struct server *srv)
{
	size_t mark = srv->log_mark;
	pid_t pid = 0;

	srv->log_mark = 0;
	if (server_log_last(srv, "event=monitor_start") != NULL)
		pid = (pid_t)log_number(srv->line, "child");
	srv->log_mark = mark;
	ck_assert_int_ne(pid, 0);
	return (pid);
}

/*
 * Pages.
 */

START_TEST(each_page_is_answered)
{
	struct server *srv = server_start("workers = 2;\n" MONITOR,
	    FRAMES("") "," LINES(""));
	struct json_value *whole;
	struct reply reply;

	expect_code("GET /", 200);
	expect_code("GET /healthz", 200);
	expect_code("HEAD /metrics", 200);
	expect_code("GET /nothing", 404);
	expect_code("GET /metrics/", 404);
	expect_code("POST /metrics", 404);
	expect_code("GET /connections?limit=0", 400);
	expect_code("GET /connections?sort=beauty", 400);
	expect_code("GET /connections?listener=none", 400);
	expect_code("GET /connections?colour=red", 400);
	expect_code("GET /rebalance", 405);
	ck_assert(readiness_is(200, "ready\n"));
	reply = ask("GET /status");
	ck_assert_int_eq(reply.code, 200);
	whole = json_read(reply.body, strlen(reply.body));
	ck_assert_msg(whole != NULL, "no JSON: %s", reply.body);
	ck_assert_uint_eq(json_u64(json_get(json_get(whole, "server"),
	    "pid")), (uint64_t)srv->master);
	/* Master, monitor and two workers. */
	ck_assert_uint_eq(json_count(json_get(whole, "processes")), 4);
	json_free(whole);
	reply_free(&reply);
	server_end(srv);
}
END_TEST

/* What follows the next header in the text. */
static const char *
after_header(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");

	ck_assert_msg(end != NULL, "no header: %s", text);
	return (end + 4);
}

START_TEST(a_head_gets_the_header_alone)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect(MONITOR_PORT);
	const char *second, *third, *length;
	struct reply reply;

	client_send_text(fd, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
	    "HEAD /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
	send_request(fd, "GET /healthz", "");
	reply = read_reply(fd);
	ck_assert_int_eq(reply.code, 200);
	second = after_header(reply.text);
	ck_assert_int_eq(strncmp(second, "HTTP/1.1 404 ", 13), 0);
	length = strstr(reply.text, "\r\nContent-Length: ");
	ck_assert(length != NULL && length < second);
	ck_assert_int_gt(atoi(length + 18), 1000);
	third = after_header(second);
	ck_assert_int_eq(strncmp(third, "HTTP/1.1 200 ", 13), 0);
	ck_assert_str_eq(after_header(third), "ok\n");
	reply_free(&reply);
	server_end(srv);
}
END_TEST

START_TEST(the_metrics_are_what_prometheus_reads)
{
	struct server *srv = server_start("workers = 2;\n" MONITOR,
	    FRAMES(""));
	struct reply reply = ask("GET /metrics");
	const char *wrong = exposition_check(reply.body, false);
	int fd;

	ck_assert_msg(wrong == NULL, "%s", wrong);
	ck_assert_ptr_nonnull(strstr(reply.text,
	    "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	reply_free(&reply);
	fd = client_connect(MONITOR_PORT);
	send_request(fd, "GET /metrics",
	    "Accept: application/openmetrics-text;version=1.0.0\r\n");
	reply = read_reply(fd);
	wrong = exposition_check(reply.body, true);
	ck_assert_msg(wrong == NULL, "%s", wrong);
	reply_free(&reply);
	server_end(srv);
}
END_TEST

/* "promtool check metrics" has no complaint, if it is installed. */
START_TEST(promtool_has_nothing_to_say)
{
	struct server *srv;
	struct reply reply;
	FILE *promtool;

	if (system("command -v promtool >/dev/null") != 0) {
		printf("no promtool here; our own check stands alone\n");
		return;
	}
	srv = server_start("workers = 2;\n" MONITOR, FRAMES(""));
	reply = ask("GET /metrics");
	ck_assert_ptr_nonnull(promtool = popen("promtool check metrics", "we"));
	fputs(reply.body, promtool);
	ck_assert_int_eq(pclose(promtool), 0);
	reply_free(&reply);
	server_end(srv);
}
END_TEST

START_TEST(the_connections_page_lists_all_clients)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES("") "," LINES(""));
	int fd = client_connect(LINE_PORT), other = client_connect(FRAME_PORT);
	const struct json_value *one;
	struct json_value *whole;
	struct reply reply;

	client_echo(other, "hello");
	client_echo_line(fd, "hello");
	client_echo_line(fd, "again");
	/* What was sent is counted a moment later. */
	await(page_says("GET /connections?listener=lines",
	    "\"bytes_out\":12"));
	reply = ask("GET /connections?listener=lines&sort=messages");
	ck_assert_ptr_nonnull(whole = json_read(reply.body,
	    strlen(reply.body)));
	ck_assert_uint_eq(json_u64(json_get(whole, "total")), 1);
	one = json_get(whole, "connections")->first;
	ck_assert_uint_eq(json_u64(json_get(one, "messages")), 2);
	ck_assert_uint_eq(json_u64(json_get(one, "bytes_in")), 12);
	ck_assert_uint_eq(json_u64(json_get(one, "bytes_out")), 12);
	ck_assert_str_eq(json_text(json_get(one, "state")), "reading");
	ck_assert_int_eq(strncmp(json_text(json_get(one, "peer")),
	    own_address(), strlen(own_address())), 0);
	json_free(whole);
	reply_free(&reply);
	close(fd);
	close(other);
	server_end(srv);
}
END_TEST

/*
 * Counts.
 */

static uint64_t
closed_in_all(const char *text)
{
	char sample[128];
	uint64_t sum = 0;

	for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
		snprintf(sample, sizeof(sample), "penstock_connections_closed_"
		    "total{listener=\"frames\",reason=\"%s\"}",
		    close_reason_name((enum close_reason)i));
		sum += (uint64_t)exposition_value(text, sample);
	}
	return (sum);
}

START_TEST(totals_are_what_clients_counted_over_reloads_and_a_crash)
{
	enum { ROUNDS = 5, CONNS = 20, MESSAGES = 10 };
	struct server *srv = server_start("workers = 2;\n" MONITOR,
	    FRAMES(""));
	uint64_t conns = 0, messages = 0;
	struct reply reply;
	int fds[CONNS];

	srv->expects_deaths = true;
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < CONNS; i++) {
			fds[i] = client_connect(FRAME_PORT);
			for (int k = 0; k < MESSAGES; k++)
				client_echo(fds[i], "hello");
		}
		conns += CONNS;
		messages += CONNS * MESSAGES;
		/* What was sent is counted a moment later. */
		await(server_counters(srv).bytes_out == messages * 9);
		if (round % 2 == 0)
			server_reload(srv);
		else {
			pid_t pid = server_worker(srv, 0);

			kill(pid, SIGKILL);
			server_await_successor(srv, 0, pid);
			await(readiness_is(200, "ready\n"));
		}
		for (int i = 0; i < CONNS; i++)
			close(fds[i]);
	}
	await(metric("penstock_connections{listener=\"frames\"}") == 0);
	/* A reload is counted when those whom it replaced are gone. */
	await(metric("penstock_orders_total{order=\"reload\","
	    "result=\"done\"}") == ROUNDS - ROUNDS / 2);
	reply = ask("GET /metrics");
	ck_assert_uint_eq((uint64_t)exposition_value(reply.body,
	    "penstock_connections_accepted_total{listener=\"frames\"}"),
	    conns);
	ck_assert_uint_eq(closed_in_all(reply.body), conns);
	ck_assert_uint_eq((uint64_t)exposition_value(reply.body,
	    "penstock_messages_received_total{listener=\"frames\"}"),
	    messages);
	ck_assert_uint_eq((uint64_t)exposition_value(reply.body,
	    "penstock_messages_sent_total{listener=\"frames\"}"), messages);
	ck_assert_uint_eq((uint64_t)exposition_value(reply.body,
	    "penstock_sent_bytes_total{listener=\"frames\"}"), messages * 9);
	ck_assert_uint_eq((uint64_t)exposition_value(reply.body,
	    "penstock_worker_restarts_total{slot=\"0\",cause=\"signal\"}"),
	    ROUNDS / 2);
	reply_free(&reply);
	server_end(srv);
}
END_TEST

/* Ask without pause until the server has done what it was told, and another
 * monitor answers.  Each time it must answer, and no counter go back. */
static void
ask_all_through(struct server *srv, const char *words, pid_t before)
{
	double accepted = 0, messages = 0;
	struct reply reply;
	unsigned asked = 0;

	do {
		reply = ask("GET /metrics");
		ck_assert_int_eq(reply.code, 200);
		ck_assert_ptr_null(exposition_check(reply.body, false));
		never_less(&accepted, exposition_value(reply.body,
		    "penstock_connections_accepted_total"
		    "{listener=\"frames\"}"));
		never_less(&messages, exposition_value(reply.body,
		    "penstock_messages_received_total{listener=\"frames\"}"));
		reply_free(&reply);
		ck_assert_uint_lt(++asked, 100000);
	} while (server_log(srv, words) == NULL || monitor_of(srv) == before);
	ck_assert(accepted > 0 && messages > 0);
}

START_TEST(an_upgrade_keeps_the_monitors_address_and_numbers)
{
	static const char *const programs[] = {
		"tests/programs/penstock-next", "penstock",
		"tests/programs/penstock-previous",
	};
	struct server *srv = server_new();
	double started, messages;
	pid_t pid;
	int fd;

	server_configure(srv, "workers = 2;\n" MONITOR, FRAMES(""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "before");
	started = metric("penstock_start_time_seconds");
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		pid = monitor_of(srv);
		server_install(srv, programs[i]);
		server_mark(srv);
		server_signal(srv, SIGUSR2);
		ask_all_through(srv, "event=reload_done kind=upgrade", pid);
		client_echo(fd, "after");
	}
	ck_assert(metric("penstock_start_time_seconds") == started);
	ck_assert(metric("penstock_monitor_restarts_total") == 0);
	messages = metric("penstock_messages_received_total"
	    "{listener=\"frames\"}");
	ck_assert(messages == 4);
	await(metric("penstock_connections_carried_in_total"
	    "{listener=\"frames\"}") == 3);
	await(metric("penstock_connections_carried_out_total"
	    "{listener=\"frames\"}") == 3);
	close(fd);
	await(metric("penstock_orders_total{order=\"upgrade\","
	    "result=\"done\"}") == 3);
	server_end(srv);
}
END_TEST

START_TEST(the_accept_queue_is_shown)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES("backlog = 7;"));

	ck_assert(metric("penstock_accept_queue_limit_connections"
	    "{listener=\"frames\"}") == 7);
	ck_assert(metric("penstock_accept_queue_connections"
	    "{listener=\"frames\"}") == 0);
	server_end(srv);
}
END_TEST

START_TEST(clients_in_the_accept_queue_are_counted)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	pid_t worker = server_worker(srv, 0);
	int fds[5];

	ck_assert_int_eq(kill(worker, SIGSTOP), 0);
	for (int i = 0; i < 5; i++)
		fds[i] = client_connect(FRAME_PORT);
	await(metric("penstock_accept_queue_connections"
	    "{listener=\"frames\"}") == 5);
	ck_assert_int_eq(kill(worker, SIGCONT), 0);
	for (int i = 0; i < 5; i++) {
		client_echo(fds[i], "hello");
		close(fds[i]);
	}
	server_end(srv);
}
END_TEST

/*
 * Life.
 */

START_TEST(a_killed_monitor_is_replaced_and_waiting_requests_are_answered)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	for (int i = 1; i <= 3; i++) {
		pid_t pid = monitor_of(srv);

		client_echo(fd, "hello");
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		/* It waits in the queue until the next one is there. */
		expect_code("GET /healthz", 200);
		await(monitor_of(srv) != pid);
		await(metric("penstock_monitor_restarts_total") == i);
	}
	client_echo(fd, "hello");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_monitor_that_hangs_is_replaced)
{
	struct server *srv = server_start("workers = 1; watchdog_timeout = 2;\n"
	    MONITOR, FRAMES(""));
	pid_t pid = monitor_of(srv);
	int fd = client_connect(FRAME_PORT);

	/* One that turns is let be. */
	holds_for(2500, monitor_of(srv) == pid);
	client_echo(fd, "hello");
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	expect_code("GET /healthz", 200);
	await(monitor_of(srv) != pid);
	server_expect(srv, "event=monitor_hung");
	server_expect(srv, "event=monitor_died");
	await(metric("penstock_monitor_restarts_total") == 1);
	client_echo(fd, "hello");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(readyz_reports_a_drain_until_its_end)
{
	struct server *srv = server_start("workers = 1; drain_timeout = 60;\n"
	    MONITOR, FRAMES("read_timeout = 60;"));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "hello");
	client_send(fd, "\0\0\0\5he", 6);
	await(server_counters(srv).bytes_in == 9 + 6);
	server_signal(srv, SIGTERM);
	await(readiness_is(503, "not ready: stopping\n"));
	await(client_is_refused(FRAME_PORT));
	ck_assert(metric("penstock_connections{listener=\"frames\"}") == 1);
	client_send(fd, "llo", 3);
	client_expect_text_frame(fd, "hello");
	client_expect_eof(fd);
	close(fd);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

START_TEST(readyz_reports_a_slot_without_a_worker)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	bool seen = false;

	srv->expects_deaths = true;
	/* The pause before the next one doubles each time. */
	for (int i = 0; i < 8 && !seen; i++) {
		pid_t pid = server_worker(srv, 0);

		kill(pid, SIGKILL);
		await(proc_is_dead(pid));
		seen = readiness_is(503, "not ready: slot 0 has no worker\n");
		server_await_successor(srv, 0, pid);
	}
	ck_assert(seen);
	await(readiness_is(200, "ready\n"));
	server_end(srv);
}
END_TEST

START_TEST(a_reload_moves_the_monitor_or_ends_it)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	struct reply reply;
	char address[64];
	int fd;

	server_configure(srv, "workers = 2;\n"
	    "monitor = { address = \"$A:9181\"; };", FRAMES("") "," LINES(""));
	server_reload(srv);
	await(client_is_refused(MONITOR_PORT));
	snprintf(address, sizeof(address), "%s:9181", own_address());
	fd = client_connect_text(address);
	send_request(fd, "GET /metrics", "");
	reply = read_reply(fd);
	/* The metrics show what came with the reload too. */
	ck_assert(exposition_value(reply.body, "penstock_slots") == 2);
	ck_assert(exposition_value(reply.body, "penstock_connections_"
	    "accepted_total{listener=\"lines\"}") == 0);
	reply_free(&reply);
	await(!server_has_file(srv, "m"));
	server_configure(srv, "workers = 2;\n"
	    "monitor = { enabled = false; };", FRAMES(""));
	server_reload(srv);
	await(client_try_text(address) == -1);
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

/* Somebody else on a port of the test's own address. */
static int
listen_on(uint32_t address, unsigned port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr = { .s_addr = htonl(address) },
		.sin_port = htons((uint16_t)port),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ne(fd, -1);
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 &&
	    listen(fd, 1) == 0)
		return (fd);
	ck_assert_int_eq(errno, EADDRINUSE);
	close(fd);
	return (-1);
}

START_TEST(an_address_that_is_taken_refuses_a_start_and_a_reload)
{
	int fd = listen_on(own_address_number(), MONITOR_PORT);
	struct server *srv = server_new();

	server_configure(srv, MONITOR, FRAMES(""));
	server_launch(srv);
	server_expect(srv, "event=start_failed");
	server_await_exit(srv, 1);
	server_configure(srv, "workers = 1;", FRAMES(""));
	server_mark(srv);
	server_launch(srv);
	server_expect(srv, "event=ready");
	server_configure(srv, "workers = 2;\n" MONITOR, FRAMES(""));
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_refused");
	await(server_children(srv) == 1);
	close(fd);
	server_reload(srv);
	expect_code("GET /healthz", 200);
	server_end(srv);
}
END_TEST

START_TEST(a_default_address_in_use_costs_only_the_monitor)
{
	uint64_t until_ms = clock_ms() + 5000;
	struct server *srv;
	int fd, client;

	/* Another test may have it for a moment; if somebody has it for longer,
	 * that serves as well. */
	while ((fd = listen_on(INADDR_LOOPBACK, MONITOR_PORT)) == -1 &&
	    clock_ms() < until_ms)
		await_pause();
	srv = server_start("workers = 1;\n"
	    "monitor = { enabled = true; };", FRAMES(""));
	client = client_connect(FRAME_PORT);

	server_expect(srv, "warn event=monitor_failed");
	ck_assert_uint_eq(server_children(srv), 1);
	client_echo(client, "hello");
	close(client);
	server_reload(srv);
	await(server_children(srv) == 1);
	if (fd != -1)
		close(fd);
	server_end(srv);
}
END_TEST

static unsigned
mode_of(const struct server *srv, const char *file)
{
	struct stat st;

	ck_assert_int_eq(stat(server_path(srv, file), &st), 0);
	return (st.st_mode & 07777);
}

/* Reload, and wait for the monitor that comes with it. */
static void
reload_with_monitor(struct server *srv)
{
	pid_t before = monitor_of(srv);

	server_reload(srv);
	await(monitor_of(srv) != before);
	expect_code("GET /healthz", 200);
}

START_TEST(a_reload_keeps_the_path_of_a_listening_socket)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s", server_path(srv, "m"));
	ck_assert_uint_eq(mode_of(srv, "m"), 0660);
	ck_assert_int_eq(chmod(path, 0600), 0);
	reload_with_monitor(srv);
	ck_assert_uint_eq(mode_of(srv, "m"), 0600);
	/* One that is gone is there again afterwards. */
	ck_assert_int_eq(unlink(path), 0);
	reload_with_monitor(srv);
	ck_assert_int_eq(unlink(path), 0);
	/* What somebody else has put there is none of ours. */
	fd = open(server_path(srv, "other"), O_WRONLY | O_CREAT | O_CLOEXEC,
	    0600);
	ck_assert_int_ne(fd, -1);
	close(fd);
	ck_assert_int_eq(symlink("other", path), 0);
	ck_assert_int_eq(kill(srv->master, SIGHUP), 0);
	server_expect(srv, "event=reload_refused");
	ck_assert_uint_eq(mode_of(srv, "other"), 0600);
	ck_assert_int_eq(unlink(path), 0);
	server_end(srv);
}
END_TEST

START_TEST(a_monitor_without_a_master_exits)
{
	struct server *srv = server_start("workers = 1; drain_timeout = 0;\n"
	    MONITOR, FRAMES(""));
	pid_t pid = monitor_of(srv);

	ck_assert_int_eq(kill(srv->master, SIGKILL), 0);
	server_await_exit(srv, 128 + SIGKILL);
	await(proc_is_dead(pid));
	server_end(srv);
}
END_TEST

/*
 * Orders.
 */

START_TEST(only_the_unix_socket_takes_orders_to_close_a_connection)
{
	struct server *srv = server_start("workers = 2;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect(FRAME_PORT), other = client_connect(FRAME_PORT);
	struct json_value *whole;
	struct reply reply;
	char order[64];

	client_echo(other, "hello");
	client_echo(fd, "hello");
	client_echo(fd, "hello");
	reply = ask("GET /connections?sort=messages&limit=1");
	whole = json_read(reply.body, strlen(reply.body));
	snprintf(order, sizeof(order), "POST /connections/%s/close",
	    json_text(json_get(json_get(whole, "connections")->first, "id")));
	json_free(whole);
	reply_free(&reply);
	expect_code(order, 403);
	client_echo(fd, "hello");
	reply = ask_on_path(srv, "POST /connections/1/close");
	ck_assert_int_eq(reply.code, 404);
	reply_free(&reply);
	reply = ask_on_path(srv, "POST /connections/-1/close");
	ck_assert_int_eq(reply.code, 400);
	reply_free(&reply);
	reply = ask_on_path(srv, order);
	ck_assert_int_eq(reply.code, 202);
	reply_free(&reply);
	client_expect_eof(fd);
	close(fd);
	await(server_closed(srv, CLOSE_OPERATOR) == 1);
	server_expect(srv, "event=conn_close reason=operator");
	client_echo(other, "hello");
	close(other);
	server_end(srv);
}
END_TEST

START_TEST(orders_to_close_harm_no_worker_that_is_slow)
{
	enum { ORDERS = 1000 };
	struct server *srv = server_start("workers = 1;\n"
	    "watchdog_timeout = 0;\n" MONITOR, FRAMES(""));
	int fd = client_connect(FRAME_PORT);
	pid_t worker = server_worker(srv, 0);
	struct json_value *whole;
	struct reply reply;
	char order[64];

	client_echo(fd, "hello");
	reply = ask("GET /connections");
	whole = json_read(reply.body, strlen(reply.body));
	snprintf(order, sizeof(order), "POST /connections/%s/close",
	    json_text(json_get(json_get(whole, "connections")->first, "id")));
	json_free(whole);
	reply_free(&reply);
	ck_assert_int_eq(kill(worker, SIGSTOP), 0);
	for (int i = 0; i < ORDERS; i++) {
		reply = ask_on_path(srv, order);
		ck_assert_int_eq(reply.code, 202);
		reply_free(&reply);
	}
	/* What may not get lost still finds room. */
	server_signal(srv, SIGUSR1);
	server_expect(srv, "event=reopen");
	ck_assert_int_eq(kill(worker, SIGCONT), 0);
	client_expect_eof(fd);
	close(fd);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "hello");
	close(fd);
	ck_assert_int_eq(server_worker(srv, 0), worker);
	ck_assert_uint_eq(server_count(srv, "event=worker_disowned"), 0);
	ck_assert_uint_lt(server_count(srv, "event=close_ordered"), ORDERS);
	server_end(srv);
}
END_TEST

/*
 * Abuse.
 */

static void
send_garbage(const void *bytes, size_t len)
{
	int fd = client_connect(MONITOR_PORT);

	/* It may hang up before it has seen all. */
	(void)!send(fd, bytes, len, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	(void)client_read_to_end(fd);
	close(fd);
}

START_TEST(garbage_is_refused_and_harms_nobody)
{
	static char long_line[40000];
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	pid_t pid = monitor_of(srv);
	int fd = client_connect(FRAME_PORT), client;
	uint8_t noise[512];

	memset(long_line, 'a', sizeof(long_line) - 1);
	srandom(6);
	for (int i = 0; i < 200; i++) {
		for (size_t k = 0; k < sizeof(noise); k++)
			noise[k] = (uint8_t)random();
		send_garbage(noise, sizeof(noise));
	}
	send_garbage("\r\n\r\n", 4);
	send_garbage("GET / HTTP/9.9\r\n\r\n", 19);
	send_garbage("GET //%zz?%=&=&&& HTTP/1.1\r\n\r\n", 31);
	send_garbage("GET /connections?limit=%00 HTTP/1.1\r\n\r\n", 39);
	send_garbage("POST /rebalance HTTP/1.1\r\nContent-Length: 99999999\r\n"
	    "\r\nabc", 56);
	send_garbage("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "ffffffffff\r\n", 60);
	client = client_connect(MONITOR_PORT);
	client_send_text(client, "GET / HTTP/1.1\r\nX: ");
	(void)!send(client, long_line, sizeof(long_line) - 1, MSG_NOSIGNAL);
	(void)client_read_to_end(client);
	close(client);
	client_echo(fd, "hello");
	close(fd);
	expect_code("GET /healthz", 200);
	ck_assert_int_eq(monitor_of(srv), pid);
	server_end(srv);
}
END_TEST

static unsigned
status_of(const char *raw, size_t len)
{
	int fd = client_connect(MONITOR_PORT);
	struct reply reply;
	unsigned status;

	client_send(fd, raw, len);
	reply = read_reply(fd);
	status = (unsigned)reply.code;
	reply_free(&reply);
	return (status);
}

#define CRLF		"\r\n"
#define LAST		"Connection: close" CRLF CRLF
#define RAW(text)	text, sizeof(text) - 1

/* As the workers do: RFC 9112, 2.2, 3.2 and 5.2. */
START_TEST(a_request_that_could_be_read_in_two_ways_is_refused)
{
	static const struct {
		const char *raw;
		size_t len;
		unsigned status;
	} rows[] = {
		{ RAW("GET /healthz HTTP/1.1" CRLF "Host: localhost" CRLF LAST), 200 },
		{ RAW("GET /healthz HTTP/1.1" CRLF "Host:" CRLF LAST), 200 },
		{ RAW("GET /healthz HTTP/1.0" CRLF CRLF), 200 },
		{ RAW("GET /healthz HTTP/1.1" CRLF LAST), 400 },
		{ RAW("GET /healthz HTTP/1.1" CRLF "Host: localhost" CRLF
		    "Host: localhost" CRLF LAST), 400 },
		{ RAW("GET /healthz HTTP/1.1" CRLF "Host: localhost" CRLF "X: a" CRLF
		    " b" CRLF LAST), 400 },
		{ RAW("GET /healthz HTTP/1.1" CRLF "Host: localhost" CRLF "X: \0" CRLF
		    LAST), 400 },
		{ RAW("GET /healthz\0 HTTP/1.1" CRLF "Host: localhost" CRLF LAST),
		    400 },
		{ RAW("GET /healthz HTTP/1.1\nHost: localhost\n\n"), 400 },
		{ RAW("GET /healthz HTTP/1.1" CRLF "Host : localhost" CRLF LAST),
		    400 },
		{ RAW("GET /healthz HTTP/2.0" CRLF "Host: localhost" CRLF LAST),
		    505 },
		{ RAW("POST /rebalance HTTP/1.1" CRLF "Host: localhost" CRLF
		    "Content-Length: 1" CRLF "Content-Length: 1" CRLF LAST "x"),
		    400 },
		{ RAW("POST /rebalance HTTP/1.1" CRLF "Host: localhost" CRLF
		    "Content-Length: 2000" CRLF LAST), 413 },
		{ RAW("POST /rebalance HTTP/1.1" CRLF "Host: localhost" CRLF
		    "Transfer-Encoding: chunked" CRLF LAST), 411 },
		{ RAW("PUT / HTTP/1.1" CRLF "Host: localhost" CRLF LAST), 501 },
	};
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		ck_assert_msg(status_of(rows[i].raw, rows[i].len) ==
		    rows[i].status, "not %u: %s", rows[i].status,
		    rows[i].raw);
	server_end(srv);
}
END_TEST

static unsigned
status_for(const char *host)
{
	char raw[256];
	int len;

	len = snprintf(raw, sizeof(raw), "GET /connections HTTP/1.1" CRLF
	    "Host: %s" CRLF LAST, host);
	return (status_of(raw, (size_t)len));
}

/* A page in a browser can have its own name lead here, and then read what it
 * likes: DNS rebinding. */
START_TEST(requests_for_other_hosts_are_refused)
{
	struct server *srv = server_start("workers = 1;\n"
	    "monitor = { address = [ \"$A:9180\", \"unix:m\" ]; "
	    "hosts = [ \"stats.example\" ]; };", FRAMES(""));
	char own[256] = "", text[300];
	struct reply reply;
	int fd;

	ck_assert_uint_eq(status_for("evil.example"), 421);
	ck_assert_uint_eq(status_for("evil.example:9180"), 421);
	ck_assert_uint_eq(status_for("localhost.evil.example"), 421);
	ck_assert_uint_eq(status_for("192.0.2.1"), 421);
	ck_assert_uint_eq(status_for("[2001:db8::1]:9180"), 421);
	ck_assert_uint_eq(status_for("0.0.0.0"), 421);
	ck_assert_uint_eq(status_for("localhost"), 200);
	ck_assert_uint_eq(status_for("LocalHost:9180"), 200);
	ck_assert_uint_eq(status_for("127.0.0.1:9180"), 200);
	ck_assert_uint_eq(status_for("[::1]:9180"), 200);
	ck_assert_uint_eq(status_for(own_address()), 200);
	ck_assert_uint_eq(status_for("stats.example"), 200);
	ck_assert_int_eq(gethostname(own, sizeof(own) - 1), 0);
	ck_assert_uint_eq(status_for(own), 200);
	/* The target's host counts: RFC 9112, 3.2.2. */
	ck_assert_uint_eq(status_of(RAW("GET http://evil.example/status "
	    "HTTP/1.1" CRLF "Host: localhost" CRLF LAST)), 421);
	snprintf(text, sizeof(text), "unix:%s", server_path(srv, "m"));
	fd = client_connect_text(text);
	client_send_text(fd, "GET /status HTTP/1.1" CRLF "Host: any" CRLF LAST);
	reply = read_reply(fd);
	ck_assert_int_eq(reply.code, 200);
	reply_free(&reply);
	server_end(srv);
}
END_TEST

START_TEST(silent_clients_do_not_keep_others_out)
{
	enum { N = 500 };
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	pid_t pid = monitor_of(srv);
	int fds[N];

	for (int i = 0; i < N; i++) {
		fds[i] = client_connect(MONITOR_PORT);
		client_send_text(fds[i], "GET / HT");
		if (i % 50 == 0)
			expect_code("GET /healthz", 200);
	}
	expect_code("GET /metrics", 200);
	/* Of them all it keeps so many. */
	await(proc_fds(pid, NULL, 0) < 200);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	await(proc_fds(pid, NULL, 0) < 40);
	ck_assert_int_eq(monitor_of(srv), pid);
	server_end(srv);
}
END_TEST

/* A process that connects again and again for a while, and says nothing. */
static pid_t
begin_flood(const struct server *srv)
{
	enum { HELD = 500, FOR_MS = 2000 };
	uint64_t until = clock_ms() + FOR_MS;
	int fds[HELD], first = 0;
	char address[128];
	pid_t pid;

	snprintf(address, sizeof(address), "unix:%s", server_path(srv, "m"));
	ck_assert_int_ne(pid = fork(), -1);
	if (pid != 0)
		return (pid);
	memset(fds, -1, sizeof(fds));
	for (; clock_ms() < until; first = (first + 1) % HELD) {
		if (fds[first] != -1)
			close(fds[first]);
		fds[first] = client_try_text(address);
	}
	_exit(0);
}

START_TEST(the_monitors_descriptors_are_bounded)
{
	enum { N = 4 };
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	pid_t pid = monitor_of(srv), children[N];
	size_t most = 0, now;
	unsigned alive = N;

	for (int i = 0; i < N; i++)
		children[i] = begin_flood(srv);
	while (alive > 0) {
		now = proc_fds(pid, NULL, 0);
		most = now > most ? now : most;
		if (waitpid(children[alive - 1], NULL, WNOHANG) != 0)
			alive--;
	}
	/* Its own, and 128 connections. */
	ck_assert_uint_lt(most, 128 + 40);
	expect_code("GET /healthz", 200);
	ck_assert_int_eq(monitor_of(srv), pid);
	server_end(srv);
}
END_TEST

START_TEST(a_chunk_size_without_end_is_refused)
{
	enum { MANY = 64 << 20 };
	static char zeros[65536];
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect(MONITOR_PORT);
	uint64_t begun = clock_ms();

	memset(zeros, '0', sizeof(zeros));
	client_send_text(fd, "POST / HTTP/1.1\r\nHost: localhost\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n");
	/* The size of a chunk. */
	ck_assert_uint_lt(client_stuff(fd, zeros, sizeof(zeros), MANY), MANY);
	(void)client_read_to_end(fd);
	/* Long before the time for a request is up, which is 10 s. */
	ck_assert_uint_lt(clock_ms() - begun, 9000);
	close(fd);
	expect_code("GET /healthz", 200);
	server_end(srv);
}
END_TEST

#define HEALTH_GET "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

START_TEST(requests_behind_a_reply_that_is_not_taken_wait_in_the_kernel)
{
	enum { MANY = 64 << 20 };
	static const char get[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
	static char block[1000 * (sizeof(get) - 1)];
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect_small(MONITOR_PORT, 2048);

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = get[i % (sizeof(get) - 1)];
	ck_assert_uint_lt(client_stuff(fd, block, sizeof(block), MANY), MANY);
	ck_assert_uint_lt(proc_pss_anon(monitor_of(srv)), 16 << 20);
	expect_code("GET /healthz", 200);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(more_requests_at_once_than_it_reads_at_once_are_answered)
{
	enum { N = 2000 };
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect(MONITOR_PORT);
	unsigned answered = 0;
	struct reply reply;

	for (int i = 0; i < N; i++)
		client_send_text(fd, HEALTH_GET);
	send_request(fd, "GET /healthz", "");
	reply = read_reply(fd);
	for (const char *at = reply.text;
	    (at = strstr(at, "HTTP/1.1 200 OK\r\n")) != NULL; at++)
		answered++;
	ck_assert_uint_eq(answered, N + 1);
	reply_free(&reply);
	server_end(srv);
}
END_TEST

START_TEST(a_request_that_drips_is_closed_in_time)
{
	struct server *srv = server_start("workers = 1;\n" MONITOR,
	    FRAMES(""));
	int fd = client_connect(MONITOR_PORT);
	uint64_t begun = clock_ms();

	/* Each byte comes in time; the request never does. */
	while (!client_has_input(fd)) {
		ck_assert_uint_lt(clock_ms() - begun, 10000 + patience_ms());
		if (send(fd, "G", 1, MSG_NOSIGNAL) == -1)
			break;
		pause_us(200000);
	}
	ck_assert_uint_ge(clock_ms() - begun, 9000);
	close(fd);
	expect_code("GET /healthz", 200);
	server_end(srv);
}
END_TEST

START_TEST(two_hundred_scrapes_at_a_time_are_answered)
{
	enum { N = 200, AT_A_TIME = 100 };
	struct server *srv = server_start("workers = 2;\n" MONITOR,
	    FRAMES(""));
	struct reply reply;
	const char *wrong;
	int fds[AT_A_TIME];

	for (int round = 0; round < N / AT_A_TIME; round++) {
		for (int i = 0; i < AT_A_TIME; i++) {
			fds[i] = client_connect(MONITOR_PORT);
			send_request(fds[i], "GET /metrics", "");
		}
		for (int i = 0; i < AT_A_TIME; i++) {
			reply = read_reply(fds[i]);
			wrong = exposition_check(reply.body, false);
			ck_assert_int_eq(reply.code, 200);
			ck_assert_msg(wrong == NULL, "%s", wrong);
			reply_free(&reply);
		}
	}
	server_end(srv);
}
END_TEST

/*
 * What it costs the workers.
 */

struct cost {
	uint64_t messages;
	uint64_t worker_ms;
};

static uint64_t
worker_cpu_ms(struct server *srv)
{
	return (proc_cpu_ms(server_worker(srv, 0)) +
	    proc_cpu_ms(server_worker(srv, 1)));
}

/* So many answers at a steady rate, asked about ten times a second or not at
 * all. */
static struct cost
measure(struct server *srv, struct hold_process *load, bool asked)
{
	enum { MESSAGES = 20000, EVERY_MS = 100 };
	uint64_t from = hold_peek(load)->answered;
	uint64_t cpu = worker_cpu_ms(srv), due = clock_ms();
	struct reply reply;

	while (hold_peek(load)->answered < from + MESSAGES) {
		pause_us(10000);
		if (!asked || clock_ms() < due)
			continue;
		due += EVERY_MS;
		reply = ask("GET /metrics");
		ck_assert_int_eq(reply.code, 200);
		reply_free(&reply);
		reply = ask("GET /connections?sort=bytes_in&limit=100");
		ck_assert_int_eq(reply.code, 200);
		reply_free(&reply);
	}
	return ((struct cost){
		.messages = hold_peek(load)->answered - from,
		.worker_ms = worker_cpu_ms(srv) - cpu,
	});
}

START_TEST(scrapes_among_ten_thousand_connections_cost_the_workers_nothing)
{
	enum { N = 10000, RATE = 5000 };
	struct server *srv = server_start("workers = 2;\n" MONITOR,
	    FRAMES("idle_timeout = 600.0; backlog = 4096;"));
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;
	struct cost quiet, asked;

	options.connections = N;
	options.connecting_max = 500;
	load = hold_start(&options);
	await(hold_peek(load)->open == N);
	hold_set_rate(load, RATE);
	quiet = measure(srv, load, false);
	asked = measure(srv, load, true);
	printf("worker CPU per message: %.2f us unasked, %.2f us asked 20 "
	    "times a second; slowest answer %" PRIu64 " us\n",
	    1000.0 * (double)quiet.worker_ms / (double)quiet.messages,
	    1000.0 * (double)asked.worker_ms / (double)asked.messages,
	    hold_peek(load)->slowest_us);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	await(server_counters(srv).active == 0);
	server_end(srv);
}
END_TEST

RUN_TESTS("server: monitor",
    each_page_is_answered,
    a_head_gets_the_header_alone,
    the_metrics_are_what_prometheus_reads,
    promtool_has_nothing_to_say,
    the_connections_page_lists_all_clients,
    totals_are_what_clients_counted_over_reloads_and_a_crash,
    an_upgrade_keeps_the_monitors_address_and_numbers,
    the_accept_queue_is_shown,
    clients_in_the_accept_queue_are_counted,
    a_killed_monitor_is_replaced_and_waiting_requests_are_answered,
    a_monitor_that_hangs_is_replaced,
    readyz_reports_a_drain_until_its_end,
    readyz_reports_a_slot_without_a_worker,
    a_reload_moves_the_monitor_or_ends_it,
    an_address_that_is_taken_refuses_a_start_and_a_reload,
    a_default_address_in_use_costs_only_the_monitor,
    a_reload_keeps_the_path_of_a_listening_socket,
    a_monitor_without_a_master_exits,
    only_the_unix_socket_takes_orders_to_close_a_connection,
    orders_to_close_harm_no_worker_that_is_slow,
    garbage_is_refused_and_harms_nobody,
    a_request_that_could_be_read_in_two_ways_is_refused,
    requests_for_other_hosts_are_refused,
    silent_clients_do_not_keep_others_out,
    the_monitors_descriptors_are_bounded,
    a_chunk_size_without_end_is_refused,
    requests_behind_a_reply_that_is_not_taken_wait_in_the_kernel,
    more_requests_at_once_than_it_reads_at_once_are_answered,
    a_request_that_drips_is_closed_in_time,
    two_hundred_scrapes_at_a_time_are_answered,
    scrapes_among_ten_thousand_connections_cost_the_workers_nothing)
