/* SPDX-License-Identifier: ISC */
/*
 * Clients that come through proxies: the address in the PROXY header is the
 * client's from then on, over reloads, upgrades and deaths of workers; and without
 * a right header from a right address there is no service.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
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

#define PROXY	"proxy_protocol = true; proxy_from = [ \"127.0.0.0/8\", \"unix\" ];"
#define V1	"PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n"
#define V1_PEER	"192.0.2.1:1234"
#define V2_HEAD	"\r\n\r\n\0\r\nQUIT\n"
#define V2_TCP6	V2_HEAD "\x21\x21\0\x24"				\
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"			\
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x04\xd2\x01\xbb"
#define V2_PEER	"[2001:db8::1]:1234"
#define V2_UNIX_HEAD V2_HEAD "\x21\x31\0\xd8"
#define V2_LOCAL V2_HEAD "\x20\0\0\0"
#define UNIX_LISTENER "{ name = \"local\"; address = \"unix:$D/s\"; "	\
	"protocol = \"frame\"; handler = \"who\"; " PROXY " }"
#define WHO	MODULE("who", "", "threads = 2;")
#define ONE_WHO	LISTENER("frames", "9000", "frame", "who", PROXY)

/*
 * Headers.
 */

struct header {
	const char *bytes;
	size_t len;
	const char *peer;	/* NULL: the proxy itself */
};

static char v2_unix[232] = V2_UNIX_HEAD "/run/client";

static const struct header headers[] = {
	{ V1, sizeof(V1) - 1, V1_PEER },
	{ V2_TCP6, sizeof(V2_TCP6) - 1, V2_PEER },
	{ v2_unix, sizeof(v2_unix), "unix" },
	{ V2_LOCAL, sizeof(V2_LOCAL) - 1, NULL },
	{ "PROXY UNKNOWN\r\n", 15, NULL },
};

enum { HEADERS = sizeof(headers) / sizeof(*headers) };

static int
connect_with(unsigned port, const struct header *header)
{
	int fd = client_connect(port);

	client_send(fd, header->bytes, header->len);
	return (fd);
}

static int
connect_local(const struct server *srv)
{
	char address[256];

	snprintf(address, sizeof(address), "unix:%s", server_path(srv, "s"));
	return (client_connect_text(address));
}

/* What a module's handler is told of who asks, in a frame. */
static void
expect_peer(int fd, const char *peer)
{
	struct wire in = { .lines = false };
	char text[1024], words[128];
	struct text reply;

	client_send_text_frame(fd, "facts");
	reply = wire_expect(fd, &in);
	snprintf(text, sizeof(text), "%.*s", (int)reply.len, reply.bytes);
	if (peer != NULL)
		snprintf(words, sizeof(words), " peer=%s ", peer);
	else
		snprintf(words, sizeof(words), " peer=%s:", own_address());
	ck_assert_msg(strstr(text, words) != NULL, "no %s: %s", words, text);
	free(in.bytes);
}

static struct server *
start_who(const char *globals, const char *listeners)
{
	struct server *srv = handlers_new();
	char text[1024];

	snprintf(text, sizeof(text), "workers = 1;\n%s\nhandlers = ( " WHO
	    " );", globals);
	handlers_configure(srv, text, listeners);
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

/*
 * Who the client is.
 */

/* What the monitor says on a page. */
static bool
monitor_says(const char *page, const char *words)
{
	static char text[65536];
	int fd = client_connect(9180);
	size_t len = 0;
	ssize_t n;

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\n\r\n", page);
	client_send_text(fd, text);
	do {
		await(client_has_input(fd));
		n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	text[len] = '\0';
	close(fd);
	return (strstr(text, words) != NULL);
}

START_TEST(the_client_of_the_header_is_told_everywhere)
{
	struct server *srv = handlers_start("workers = 1;\n"
	    "monitor = { address = \"$A:9180\"; };\n"
	    "access_log = { file = \"access\"; };\n"
	    "handlers = ( " WHO ", " COMMAND("facts", "\"--metadata\", "
	    "\"facts\"", "metadata = true;") " );", ONE_WHO ", "
	    LISTENER("lines", "9001", "line", "facts", PROXY) ", "
	    WEB("echo", PROXY));
	char via[64], line[512];
	int fd, web;

	fd = connect_with(FRAME_PORT, &headers[0]);
	expect_peer(fd, V1_PEER);
	snprintf(via, sizeof(via), " via=%s:", own_address());
	snprintf(line, sizeof(line), "%s", server_expect(srv,
	    "event=conn_open listener=frames peer=" V1_PEER));
	ck_assert_msg(strstr(line, via) != NULL, "%s", line);
	await(monitor_says("/connections", "\"peer\":\"" V1_PEER "\""));
	ck_assert(monitor_says("/connections", "\"state\":\"reading\""));
	close(fd);
	server_expect(srv, "event=conn_close reason=eof peer=" V1_PEER);
	/* In the metadata of a command. */
	fd = connect_with(LINE_PORT, &headers[1]);
	client_send_text(fd, "hello\n");
	await(client_has_input(fd));
	ck_assert_int_gt(recv(fd, line, sizeof(line) - 1, 0), 0);
	ck_assert_msg(strstr(line, "\"peer\":\"" V2_PEER "\"") != NULL, "%s",
	    line);
	close(fd);
	/* In the access log. */
	web = connect_with(WEB_PORT, &headers[0]);
	ask(web, POST "Content-Length: 2" N N "hi", 200, "hi", false);
	close(web);
	await(strncmp(server_file(srv, "access"), "192.0.2.1 - - [", 15) == 0);
	/* One that has said nothing is seen, too. */
	fd = client_connect(FRAME_PORT);
	await(monitor_says("/connections", "\"state\":\"proxy_header\""));
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(each_header_comes_byte_by_byte_or_with_messages)
{
	struct server *srv = start_who("", ONE_WHO);
	const struct header *header;
	uint8_t bytes[512];
	uint64_t before;
	size_t len;
	int fd;

	for (size_t i = 0; i < HEADERS; i++) {
		header = &headers[i];
		fd = client_connect(FRAME_PORT);
		for (size_t k = 0; k < header->len; k++) {
			before = server_counters(srv).bytes_in;
			client_send(fd, header->bytes + k, 1);
			await(server_counters(srv).bytes_in == before + 1);
		}
		expect_peer(fd, header->peer);
		close(fd);
		/* The messages after it are not lost, nor a part of one. */
		memcpy(bytes, header->bytes, header->len);
		len = header->len;
		len += frame_put(bytes + len, "one", 3);
		len += frame_put(bytes + len, "two", 3);
		fd = client_connect(FRAME_PORT);
		client_send(fd, bytes, len - 2);
		client_expect_text_frame(fd, "one");
		client_send(fd, bytes + len - 2, 2);
		client_expect_text_frame(fd, "two");
		expect_peer(fd, header->peer);
		close(fd);
	}
	/* More than is read with the header at a time. */
	fd = connect_with(FRAME_PORT, &headers[0]);
	for (int i = 0; i < 300; i++)
		client_send_text_frame(fd, "again");
	for (int i = 0; i < 300; i++)
		client_expect_text_frame(fd, "again");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(proxies_connect_to_unix_sockets_and_name_any_client)
{
	struct server *srv = start_who("", UNIX_LISTENER);
	int fd;

	for (size_t i = 0; i < HEADERS; i++) {
		fd = connect_local(srv);
		client_send(fd, headers[i].bytes, headers[i].len);
		expect_peer(fd, headers[i].peer == NULL ? "unix" :
		    headers[i].peer);
		if (headers[i].peer != NULL)
			server_expect(srv, "event=conn_open via=unix");
		server_mark(srv);
		server_reload(srv);
		expect_peer(fd, headers[i].peer == NULL ? "unix" :
		    headers[i].peer);
		close(fd);
	}
	server_end(srv);
}
END_TEST

/*
 * Who is not served.
 */

START_TEST(other_addresses_are_turned_away_and_told_of_at_most_20_times)
{
	enum { CLIENTS = 100 };
	struct server *srv = server_start("workers = 1;",
	    FRAMES("proxy_protocol = true; proxy_from = [ \"10.0.0.0/8\", "
	    "\"::1\", \"unix\" ];"));
	char peer[64];
	int fd;

	for (int i = 0; i < CLIENTS; i++) {
		fd = client_connect(FRAME_PORT);
		ck_assert_int_eq(send(fd, V1, sizeof(V1) - 1, MSG_NOSIGNAL),
		    sizeof(V1) - 1);
		(void)client_read_to_end(fd);
		close(fd);
	}
	ck_assert_uint_eq(server_counters(srv).not_proxied, CLIENTS);
	ck_assert_uint_eq(server_counters(srv).accepted, 0);
	ck_assert_uint_eq(server_counters(srv).bytes_out, 0);
	snprintf(peer, sizeof(peer), " peer=%s:", own_address());
	ck_assert_ptr_nonnull(strstr(server_expect(srv, "warn "
	    "event=conn_rejected listener=frames reason=proxy_from"), peer));
	ck_assert_uint_lt(server_count(srv, "event=conn_rejected"), CLIENTS);
	server_end(srv);
}
END_TEST

START_TEST(who_has_no_valid_header_gets_no_word)
{
	static const struct header wrong[] = {
		{ "\0\0\0\5hello", 9, NULL },
		{ "GET / HTTP/1.1\r\n\r\n", 18, NULL },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", 30, NULL },
		{ V2_HEAD "\x31\x11\0\0", 16, NULL },
		{ V2_HEAD "\x21\x11\xff\xff", 16, NULL },
		{ V2_HEAD "\x21\x11\0\x13" "\1\2\3\4\1\2\3\4\0\1\0\2"
		    "\3\0\4\1\2\3\4", 35, NULL },
	};
	enum { WRONG = sizeof(wrong) / sizeof(*wrong) };
	struct server *srv = server_start("workers = 1;", FRAMES(PROXY));
	int fd;

	for (size_t i = 0; i < WRONG; i++) {
		server_mark(srv);
		fd = connect_with(FRAME_PORT, &wrong[i]);
		(void)client_read_to_end(fd);
		close(fd);
		ck_assert(log_has(server_expect(srv, "event=conn_error "
		    "listener=frames reason=malformed"), "proxy_header"));
		server_expect(srv, "event=conn_close reason=malformed");
		ck_assert_ptr_null(server_log(srv, "event=conn_open"));
	}
	ck_assert_uint_eq(server_closed(srv, CLOSE_MALFORMED), WRONG);
	/* A health check says nothing. */
	close(client_connect(FRAME_PORT));
	await(server_closed(srv, CLOSE_EOF) == 1);
	fd = client_connect(FRAME_PORT);
	client_send(fd, V1, 10);
	close(fd);
	await(server_closed(srv, CLOSE_ABORTED) == 1);
	ck_assert_uint_eq(server_counters(srv).bytes_out, 0);
	ck_assert_uint_eq(server_counters(srv).messages_in, 0);
	server_end(srv);
}
END_TEST

START_TEST(a_header_has_five_seconds_however_it_comes)
{
	struct server *srv = server_start("workers = 1;",
	    FRAMES(PROXY " idle_timeout = 0; read_timeout = 0;"));
	int silent = client_connect(FRAME_PORT);
	int slow = client_connect(FRAME_PORT);
	uint64_t ms;

	for (size_t i = 0; i < sizeof(V1) - 1 && !client_has_input(slow); i++) {
		if (send(slow, &V1[i], 1, MSG_NOSIGNAL) != 1)
			break;
		pause_us(300000);
	}
	await(server_closed(srv, CLOSE_READ_TIMEOUT) == 2);
	(void)client_read_to_end(slow);
	client_expect_eof(silent);
	server_expect(srv, "event=conn_error reason=read_timeout");
	ms = log_number(server_expect(srv, "event=conn_close "
	    "reason=read_timeout"), "duration_ms");
	ck_assert_uint_ge(ms, 4900);
	ck_assert_uint_lt(ms, 6000 * slow_factor());
	close(silent);
	close(slow);
	server_end(srv);
}
END_TEST

START_TEST(those_without_a_header_count_for_the_limit)
{
	struct server *srv = server_start("workers = 1;",
	    FRAMES(PROXY " max_connections = 2;"));
	int one = client_connect(FRAME_PORT), two = client_connect(FRAME_PORT);
	int over;

	await(server_counters(srv).active == 2);
	over = client_connect(FRAME_PORT);
	client_expect_text_frame(over, ERR_BUSY);
	client_expect_eof(over);
	close(over);
	client_send_text(one, V1);
	client_echo(one, "hello");
	close(one);
	close(two);
	server_end(srv);
}
END_TEST

/*
 * Changing hands.
 */

/* The header comes in two parts, one before a reload, and then a message. */
START_TEST(a_header_that_is_incomplete_in_a_reload_stays_and_then_moves)
{
	struct server *srv = start_who("", ONE_WHO);
	pid_t old = server_worker(srv, 0);
	int silent = client_connect(FRAME_PORT);
	int half = client_connect(FRAME_PORT);
	int whole = connect_with(FRAME_PORT, &headers[1]);

	expect_peer(whole, V2_PEER);
	client_send(half, V1, 20);
	await(server_counters(srv).active == 3);
	server_signal(srv, SIGHUP);
	/* All that can move has moved. */
	server_expect(srv, "event=worker_drain");
	await(server_counters(srv).carried_out == 1);
	holds_for(300, !proc_is_dead(old));
	ck_assert_uint_eq(server_counters(srv).carried_out, 1);
	client_send_text(half, &V1[20]);
	expect_peer(half, V1_PEER);
	client_send_text(silent, V1);
	expect_peer(silent, V1_PEER);
	expect_peer(whole, V2_PEER);
	server_expect(srv, "event=worker_drained cut=0 closed=0");
	server_expect(srv, "event=reload_report held=3 carried=3 lost=0");
	await(proc_is_dead(old));
	expect_peer(half, V1_PEER);
	server_reload(srv);
	expect_peer(silent, V1_PEER);
	close(whole);
	server_expect(srv, "event=conn_close peer=" V2_PEER);
	close(half);
	close(silent);
	server_end(srv);
}
END_TEST

START_TEST(a_header_that_is_incomplete_at_a_stop_is_cut_after_the_drain)
{
	struct server *srv = server_start("workers = 1; drain_timeout = 1.0;",
	    FRAMES(PROXY));
	int half = client_connect(FRAME_PORT);
	int late = client_connect(FRAME_PORT);

	client_send(half, V1, 20);
	await(server_counters(srv).bytes_in == 20);
	await(server_counters(srv).active == 2);
	server_signal(srv, SIGTERM);
	server_expect(srv, "event=worker_drain");
	/* A message that comes with the header is the last one. */
	client_send(late, V1 "\0\0\0\5hello", sizeof(V1) - 1 + 9);
	client_expect_text_frame(late, "hello");
	client_expect_eof(late);
	server_await_exit(srv, 0);
	ck_assert_uint_eq(server_closed(srv, CLOSE_CUT), 1);
	ck_assert_uint_eq(server_closed(srv, CLOSE_DRAIN), 1);
	close(half);
	close(late);
	server_end(srv);
}
END_TEST

static void
upgrade_to(struct server *srv, const char *program)
{
	server_install(srv, program);
	server_mark(srv);
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_done kind=upgrade");
	server_expect(srv, "event=reload_report lost=0 cut=0 closed=0");
}

START_TEST(clients_keep_their_addresses_over_upgrades_and_downgrades)
{
	static const char *const programs[] = {
		"tests/programs/penstock-next",
		"tests/programs/penstock-previous", "penstock",
	};
	struct server *srv = start_who("", ONE_WHO ", " UNIX_LISTENER);
	int fds[2 * HEADERS];
	const char *peer;

	for (size_t i = 0; i < HEADERS; i++) {
		fds[2 * i] = connect_with(FRAME_PORT, &headers[i]);
		fds[2 * i + 1] = connect_local(srv);
		client_send(fds[2 * i + 1], headers[i].bytes, headers[i].len);
	}
	for (size_t k = 0; k < 4; k++) {
		if (k > 0)
			upgrade_to(srv, programs[k - 1]);
		for (size_t i = 0; i < HEADERS; i++) {
			peer = headers[i].peer;
			expect_peer(fds[2 * i], peer);
			expect_peer(fds[2 * i + 1], peer == NULL ? "unix" :
			    peer);
		}
	}
	for (size_t i = 0; i < 2 * HEADERS; i++)
		close(fds[i]);
	server_end(srv);
}
END_TEST

/* Each kind of name on each kind of socket; and those that have no name yet. */
START_TEST(killed_workers_cost_no_idle_client_of_a_proxy)
{
	enum { KILLS = 3 };
	struct server *srv = start_who("custody = true;",
	    ONE_WHO ", " UNIX_LISTENER);
	int fds[2 * HEADERS], silent[2], half;
	const char *peer;
	pid_t pid;

	srv->expects_deaths = true;
	for (size_t i = 0; i < HEADERS; i++) {
		fds[2 * i] = connect_with(FRAME_PORT, &headers[i]);
		fds[2 * i + 1] = connect_local(srv);
		client_send(fds[2 * i + 1], headers[i].bytes, headers[i].len);
	}
	for (size_t k = 0; k <= KILLS; k++) {
		for (size_t i = 0; i < HEADERS; i++) {
			peer = headers[i].peer;
			expect_peer(fds[2 * i], peer);
			expect_peer(fds[2 * i + 1], peer == NULL ? "unix" :
			    peer);
		}
		if (k == KILLS)
			break;
		silent[0] = client_connect(FRAME_PORT);
		silent[1] = connect_local(srv);
		half = client_connect(FRAME_PORT);
		client_send(half, V1, 20);
		await(server_counters(srv).active == 2 * HEADERS + 3);
		/* The rest has come to rest when a later one is answered. */
		expect_peer(fds[0], headers[0].peer);
		server_mark(srv);
		pid = server_worker(srv, 0);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		server_expect(srv, "event=rescued busy=1 counts=0 damaged=0");
		server_await_successor(srv, 0, pid);
		(void)client_read_to_end(half);
		close(half);
		for (size_t i = 0; i < 2; i++) {
			client_send_text(silent[i], V1);
			expect_peer(silent[i], V1_PEER);
			close(silent[i]);
		}
		await(proc_find_child(srv->master, "penstock: rescuer") == 0);
		await(server_counters(srv).active == 2 * HEADERS);
	}
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), KILLS);
	for (size_t i = 0; i < 2 * HEADERS; i++)
		close(fds[i]);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_proxy",
    the_client_of_the_header_is_told_everywhere,
    each_header_comes_byte_by_byte_or_with_messages,
    proxies_connect_to_unix_sockets_and_name_any_client,
    other_addresses_are_turned_away_and_told_of_at_most_20_times,
    who_has_no_valid_header_gets_no_word,
    a_header_has_five_seconds_however_it_comes,
    those_without_a_header_count_for_the_limit,
    a_header_that_is_incomplete_in_a_reload_stays_and_then_moves,
    a_header_that_is_incomplete_at_a_stop_is_cut_after_the_drain,
    clients_keep_their_addresses_over_upgrades_and_downgrades,
    killed_workers_cost_no_idle_client_of_a_proxy)
