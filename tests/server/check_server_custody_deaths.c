/* SPDX-License-Identifier: ISC */
/*
 * Custody: what each kind of client notices when its worker, a rescuer or an
 * anchor dies, at any step.  One that is between two messages notices nothing.
 */
#include <sys/socket.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/points.h"
#include "tests/lib/proc.h"
#include "tests/lib/web_client.h"

#define NEXT	"tests/programs/penstock-next"
#define CUSTODY	"custody = true; drain_timeout = 300.0;\n"
#define ALONE	CUSTODY "workers = 1;\n"
#define LOCAL								\
	"{ name = \"local\"; address = \"unix:$D/socket\"; "		\
	"protocol = \"frame\"; handler = \"echo\"; }"
#define EACH	FRAMES("") ", " LINES("") ", " WEB("echo", "") ", " LOCAL

enum {
	CHILDREN_MAX = 64,
	OF_EACH = 5,
};

/* What clients speak, all of one server.  Of a unix socket the kernel counts
 * nothing, so that a worker which has sent a reply has to count it: when it has
 * replied to others after that, it has. */
enum kind { UNIX, FRAME, LINE, HTTP, KINDS };

struct clients {
	int fd[KINDS][OF_EACH];
};

static struct point *points;

static struct server *
start(const char *globals, const char *listeners)
{
	struct server *srv = handlers_new();

	srv->expects_deaths = true;
	points = points_map(srv);
	handlers_configure(srv, globals, listeners);
	server_install(srv, NEXT);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

/*
 * Processes.
 */

/* How many children have a title that begins so. */
static size_t
count_titled(const struct server *srv, const char *title)
{
	return (proc_titled(srv->master, title, NULL, 0));
}

/* Only what serves is left: of each slot a worker and its anchor. */
static bool
is_settled(struct server *srv, unsigned slots)
{
	return (count_titled(srv, "penstock: rescuer ") == 0 &&
	    count_titled(srv, "penstock: anchor ") == slots &&
	    count_titled(srv, "penstock: worker ") == slots &&
	    (slots > 1 || server_worker(srv, 0) ==
	    proc_find_child(srv->master, "penstock: worker ")));
}

static void
await_settled(struct server *srv, unsigned slots)
{
	await(is_settled(srv, slots));
}

static pid_t
await_anchor(struct server *srv)
{
	await_settled(srv, 1);
	return (proc_find_child(srv->master, "penstock: anchor "));
}

static void
kill_worker(struct server *srv)
{
	(void)await_anchor(srv);
	server_mark(srv);
	ck_assert_int_eq(kill(server_worker(srv, 0), SIGKILL), 0);
}

/* Wait for a rescue that has kept so many. */
static void
expect_rescued(struct server *srv, unsigned kept)
{
	char words[64];

	snprintf(words, sizeof(words), "event=rescued kept=%u", kept);
	server_expect(srv, words);
}

static void
expect_lost(struct server *srv, const char *reason)
{
	char words[64];

	snprintf(words, sizeof(words), "event=conn_lost reason=%s", reason);
	server_expect(srv, words);
}

/*
 * Clients.
 */

static void
echo(int fd, enum kind kind, const char *text)
{
	char request[256];

	switch (kind) {
	case LINE:
		client_echo_line(fd, text);
		break;
	case HTTP:
		snprintf(request, sizeof(request), POST
		    "Content-Length: %zu" N N "%s", strlen(text), text);
		ask(fd, request, 200, text, false);
		break;
	default:
		client_echo(fd, text);
	}
}

static int
join(const struct server *srv, enum kind kind)
{
	char path[128];

	switch (kind) {
	case LINE:
		return (client_connect(LINE_PORT));
	case HTTP:
		return (client_connect(WEB_PORT));
	case UNIX:
		snprintf(path, sizeof(path), "unix:%s/socket", srv->dir);
		return (client_connect_text(path));
	default:
		return (client_connect(FRAME_PORT));
	}
}

static void
connect_all(struct server *srv, struct clients *clients)
{
	for (int k = 0; k < KINDS; k++)
		for (int i = 0; i < OF_EACH; i++) {
			clients->fd[k][i] = join(srv, (enum kind)k);
			/* Some have never said anything. */
			if (i > 0)
				echo(clients->fd[k][i], (enum kind)k, "before");
		}
	await(server_counters(srv).active == KINDS * OF_EACH);
}

static void
echo_all(const struct clients *clients, const char *text)
{
	for (int k = 0; k < KINDS; k++)
		for (int i = 0; i < OF_EACH; i++)
			echo(clients->fd[k][i], (enum kind)k, text);
}

static void
close_all(struct server *srv, const struct clients *clients)
{
	for (int k = 0; k < KINDS; k++)
		for (int i = 0; i < OF_EACH; i++)
			close(clients->fd[k][i]);
	await(server_counters(srv).active == 0);
}

/*
 * Those that are between two messages.
 */

/* A sanitizer would report SIGSEGV as an error of the program. */
#ifdef __SANITIZE_ADDRESS__
#define A_FAULT		SIGSYS
#else
#define A_FAULT		SIGSEGV
#endif

/* How a worker dies; in the order of rows. */
enum way { BY_KILL, BY_SEGV, BY_ABORT, BY_WATCHDOG, BY_EXIT, WAYS };

/* Returns how many connections are lost with it: that of who caused it. */
static unsigned
end_worker(struct server *srv, enum way way)
{
	int fd;

	(void)await_anchor(srv);
	server_mark(srv);
	if (way < BY_WATCHDOG) {
		ck_assert_int_eq(kill(server_worker(srv, 0),
		    way == BY_KILL ? SIGKILL :
		    way == BY_SEGV ? A_FAULT : SIGABRT), 0);
		return (0);
	}
	points_arm(points, "message", way == BY_EXIT ? POINT_EXIT :
	    POINT_HANG, 1, 1);
	strcpy(points->text, "end");
	fd = client_connect(FRAME_PORT);
	client_send_text_frame(fd, "end");
	(void)client_read_to_end(fd);
	close(fd);
	return (1);
}

START_TEST(those_between_two_messages_notice_no_death)
{
	struct server *srv = start(ALONE "watchdog_timeout = 1.0;", EACH);
	struct clients clients;
	unsigned lost = 0;

	connect_all(srv, &clients);
	for (unsigned n = 0; n < 3; n++) {
		lost += end_worker(srv, (enum way)_i);
		expect_rescued(srv, KINDS * OF_EACH);
		echo_all(&clients, "after");
		await_settled(srv, 1);
		echo_all(&clients, "and with the successor");
		ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), lost);
		ck_assert_uint_eq(server_counters(srv).active,
		    KINDS * OF_EACH);
		ck_assert_uint_eq(server_count(srv, "event=conn_lost"),
		    lost > 0);
	}
	close_all(srv, &clients);
	server_end(srv);
}
END_TEST

/* Those who are not lose their connection, and nobody else does. */
START_TEST(those_amid_a_message_are_lost)
{
	static const char *const parts[KINDS] = {
		"\0\0\0\5hel", "\0\0\0\5hel", "hel",
		POST "Content-Length: 5" N N "he"
	};
	struct server *srv = start(ALONE, EACH);
	struct clients clients;
	int fds[KINDS];

	connect_all(srv, &clients);
	for (int k = 0; k < KINDS; k++) {
		fds[k] = join(srv, (enum kind)k);
		client_send(fds[k], parts[k], k == FRAME || k == UNIX ? 7 :
		    strlen(parts[k]));
	}
	await(server_counters(srv).bytes_in >= 2 * 7 + 3 + strlen(parts[HTTP]) +
	    (uint64_t)(OF_EACH - 1) * (10 + 7 + 10 + strlen(POST) + 27));
	kill_worker(srv);
	expect_rescued(srv, KINDS * OF_EACH);
	for (int k = 0; k < KINDS; k++) {
		(void)client_read_to_end(fds[k]);
		close(fds[k]);
	}
	await(server_count(srv, "event=conn_lost reason=busy") == KINDS);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), KINDS);
	echo_all(&clients, "after");
	await_settled(srv, 1);
	close_all(srv, &clients);
	server_end(srv);
}
END_TEST

/* The kernel counts it among the bytes that came, and nobody has read it. */
START_TEST(who_has_sent_urgent_data_is_lost)
{
	struct server *srv = start(ALONE, FRAMES(""));
	int fd = client_connect(FRAME_PORT), other = client_connect(FRAME_PORT);

	client_echo(fd, "before");
	client_echo(other, "before");
	ck_assert_int_eq(send(fd, "!", 1, MSG_OOB), 1);
	client_echo(fd, "and on");
	kill_worker(srv);
	expect_rescued(srv, 1);
	ck_assert_int_eq(server_count(srv, "event=conn_lost"), 1);
	(void)client_read_to_end(fd);
	client_echo(other, "after");
	close(fd);
	close(other);
	server_end(srv);
}
END_TEST

/*
 * Those whose requests are with a handler.
 */

enum { WAYS_TO_HANDLE = 2 };

static const char *const handled[WAYS_TO_HANDLE] = {
	CUSTODY HANDLERS(COMMAND("held", "\"hold\"", "")),
	CUSTODY HANDLERS(MODULE("held", "", ""))
};

#define HELD								\
	LISTENER("frames", "9000", "frame", "held", "") ", "		\
	LISTENER("lines", "9001", "line", "held", "") ", " WEB("held", "")

/* Send each request, kill the worker when it has read all, and expect the
 * reply to each. */
struct exchange_of {
	unsigned port;
	const char *request;
	unsigned n;			/* messages in it */
	const char *reply;		/* of frame and line */
	unsigned status;		/* of http */
	bool is_head, close;
};

static void
expect_failed(int fd, const struct exchange_of *one)
{
	struct reply reply;

	for (unsigned i = 0; i < one->n; i++) {
		if (one->status == 0) {
			client_expect(fd, one->reply, one->port == FRAME_PORT ?
			    14 : strlen(one->reply));
			continue;
		}
		read_reply(fd, &reply, one->is_head);
		ck_assert_uint_eq(reply.status, one->status);
		ck_assert(reply.close == one->close);
	}
	if (one->close)
		client_expect_eof(fd);
}

static void
expect_goes_on(int fd, const struct exchange_of *one)
{
	if (one->port == FRAME_PORT)
		client_echo(fd, "hold y");
	else if (one->port == LINE_PORT)
		client_echo_line(fd, "hold y");
	else if (!one->close)
		ask(fd, POST "Content-Length: 6" N N "hold y", 200, "hold y",
		    false);
}

#define HOLD_POST POST "Content-Length: 6" N N "hold x"
#define FAILED_FRAME "\0\0\0\12" ERR_FAILED

static const struct exchange_of exchanges[] = {
	{ FRAME_PORT, "\0\0\0\6hold x", 1, FAILED_FRAME, 0, false, false },
	{ FRAME_PORT, "\0\0\0\6hold x\0\0\0\6hold x\0\0\0\6hold x", 3,
	    FAILED_FRAME, 0, false, false },
	{ LINE_PORT, "hold x\n", 1, ERR_FAILED "\n", 0, false, false },
	{ LINE_PORT, "hold x\nhold x\nhold x\nhold x\nhold x\nhold x\n", 6,
	    ERR_FAILED "\n", 0, false, false },
	{ WEB_PORT, HOLD_POST, 1, NULL, 500, false, false },
	{ WEB_PORT, HOLD_POST HOLD_POST HOLD_POST HOLD_POST, 4, NULL, 500,
	    false, false },
	{ WEB_PORT, "HEAD / HTTP/1.1" N "Host: a" N "Content-Length: 6" N N
	    "hold x", 1, NULL, 500, true, false },
	{ WEB_PORT, "POST / HTTP/1.0" N "Content-Length: 6" N N "hold x", 1,
	    NULL, 500, false, true },
	{ WEB_PORT, POST "Connection: close" N "Content-Length: 6" N N
	    "hold x", 1, NULL, 500, false, true },
};

enum { EXCHANGES = sizeof(exchanges) / sizeof(exchanges[0]) };

static void
fail_handled(const char *handler)
{
	struct server *srv = start(handler, HELD);
	const struct exchange_of *one;
	unsigned messages = 0;
	int fds[EXCHANGES];

	for (int i = 0; i < EXCHANGES; i++) {
		one = &exchanges[i];
		fds[i] = client_connect(one->port);
		client_send(fds[i], one->request, one->port == FRAME_PORT ?
		    one->n * 10 : strlen(one->request));
		messages += one->n;
	}
	await(server_counters(srv).messages_in == messages);
	kill_worker(srv);
	expect_rescued(srv, EXCHANGES);
	ck_assert_uint_eq(log_number(server_expect(srv, "event=rescued"),
	    "answered"), messages);
	for (int i = 0; i < EXCHANGES; i++)
		expect_failed(fds[i], &exchanges[i]);
	handlers_release(srv);
	for (int i = 0; i < EXCHANGES; i++) {
		expect_goes_on(fds[i], &exchanges[i]);
		close(fds[i]);
	}
	await(server_counters(srv).active == 0);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	server_end(srv);
}

START_TEST(requests_that_are_with_a_handler_fail)
{
	for (int i = 0; i < WAYS_TO_HANDLE; i++)
		fail_handled(handled[i]);
}
END_TEST

START_TEST(a_half_closed_client_gets_its_replies)
{
	struct server *srv = start(handled[1], HELD);
	int fd = client_connect(FRAME_PORT);

	client_send_text_frame(fd, "hold x");
	client_half_close(fd);
	await(server_counters(srv).messages_in == 1);
	kill_worker(srv);
	expect_rescued(srv, 1);
	client_expect_text_frame(fd, ERR_FAILED);
	client_expect_eof(fd);
	close(fd);
	server_end(srv);
}
END_TEST

/*
 * A worker dies at a step, with what it does for one client.
 */

enum fate { KEPT, LOST, NEVER_THERE };

static void
send_within(int fd, enum kind kind)
{
	if (kind == LINE)
		client_send_text(fd, "within\n");
	else if (kind == HTTP)
		client_send_text(fd, POST "Content-Length: 6" N N "within");
	else
		client_send_text_frame(fd, "within");
}

static void
expect_within(int fd, enum kind kind)
{
	if (kind == LINE)
		client_expect_text(fd, "within\n");
	else if (kind == HTTP)
		expect_reply(fd, 200, "within", false);
	else
		client_expect_text_frame(fd, "within");
}

/* Others notice nothing; its own client what is said. */
static void
die_at(struct server *srv, const char *point, enum fate fate)
{
	struct clients clients;
	int fd = -1;

	connect_all(srv, &clients);
	for (int k = 0; k < KINDS; k++) {
		if (fate != NEVER_THERE && strcmp(point, "entered") != 0) {
			fd = join(srv, (enum kind)k);
			echo(fd, (enum kind)k, "before");
		}
		(void)await_anchor(srv);
		server_mark(srv);
		points_arm(points, point, SIGKILL, 1, 1);
		if (fd == -1)
			fd = join(srv, (enum kind)k);
		if (fate != NEVER_THERE)
			send_within(fd, (enum kind)k);
		expect_rescued(srv, KINDS * OF_EACH + (fate == KEPT));
		if (fate == KEPT)
			expect_within(fd, (enum kind)k);
		else
			(void)client_read_to_end(fd);
		close(fd);
		fd = -1;
		ck_assert_uint_eq(server_count(srv, "event=conn_lost"),
		    fate == LOST);
		echo_all(&clients, "after");
		await_settled(srv, 1);
		echo_all(&clients, "and with the successor");
	}
	close_all(srv, &clients);
}

static const struct {
	const char *point;
	enum fate fate;
} steps[] = {
	{ "accepted", NEVER_THERE },
	{ "entered", KEPT },
	{ "received", LOST },
	{ "gathered", LOST },
	{ "sent", KEPT },
};

_Static_assert(sizeof(steps) / sizeof(steps[0]) == WAYS,
    "one for each row");

START_TEST(a_worker_that_dies_at_a_step_costs_one_at_most)
{
	struct server *srv = start(ALONE, EACH);

	die_at(srv, steps[_i].point, steps[_i].fate);
	server_end(srv);
}
END_TEST

START_TEST(a_message_that_kills_costs_only_its_senders)
{
	enum { SENDERS = 2 };
	struct server *srv = start(ALONE, EACH);
	struct clients clients;
	int fds[SENDERS];

	connect_all(srv, &clients);
	points_arm(points, "message", SIGKILL, 1, SENDERS);
	strcpy(points->text, "end");
	for (int i = 0; i < SENDERS; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_echo(fds[i], "before");
	}
	(void)await_anchor(srv);
	server_mark(srv);
	/* The second one comes to the rescuer. */
	kill(server_worker(srv, 0), SIGSTOP);
	for (int i = 0; i < SENDERS; i++)
		client_send_text_frame(fds[i], "end");
	kill(server_worker(srv, 0), SIGCONT);
	for (int i = 0; i < SENDERS; i++) {
		(void)client_read_to_end(fds[i]);
		close(fds[i]);
	}
	echo_all(&clients, "after");
	await_settled(srv, 1);
	echo_all(&clients, "and with the successor");
	ck_assert_uint_eq(points_killed(points), SENDERS);
	ck_assert_uint_eq(server_count(srv, "event=conn_lost"), SENDERS);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), SENDERS);
	close_all(srv, &clients);
	server_end(srv);
}
END_TEST

/*
 * Rescuers that die.
 */

static void
kill_rescuer_at(const char *point)
{
	struct server *srv = start(ALONE, EACH);
	struct clients clients;

	connect_all(srv, &clients);
	points_arm(points, point, SIGKILL, 1, 2);
	kill_worker(srv);
	await(points_killed(points) == 2);
	await(server_count(srv, "event=worker_died") == 3);
	echo_all(&clients, "after");
	await_settled(srv, 1);
	echo_all(&clients, "and with the successor");
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	ck_assert_uint_eq(server_counters(srv).active, KINDS * OF_EACH);
	await(server_count(srv, "event=rescued") >= 1);
	close_all(srv, &clients);
	server_end(srv);
}

START_TEST(a_rescuer_that_dies_is_rescued)
{
	static const char *const at[] = {
		"rescue_closed", "rescue_placed", "rescue_settled",
		"rescue_gives", "rescue_takes", "rescue_woken", "rescue_told"
	};

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		kill_rescuer_at(at[i]);
}
END_TEST

/* At the one that two rescuers looked at when they died, the next one does not
 * look again. */
static void
drop_who_kills_at(const char *point)
{
	struct server *srv = start(ALONE, FRAMES(""));
	unsigned ended = 0;
	int fds[OF_EACH];

	for (int i = 0; i < OF_EACH; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_echo(fds[i], "before");
	}
	points_arm(points, point, SIGKILL, 1, 2);
	kill_worker(srv);
	expect_rescued(srv, OF_EACH - 1);
	expect_lost(srv, "touched");
	await_settled(srv, 1);
	for (int i = 0; i < OF_EACH; i++) {
		if (client_has_input(fds[i]))
			ended++;
		else
			client_echo(fds[i], "after");
		close(fds[i]);
	}
	ck_assert_uint_eq(ended, 1);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 1);
	await(server_counters(srv).active == 0);
	server_end(srv);
}

START_TEST(a_connection_that_kills_its_rescuers_is_dropped)
{
	drop_who_kills_at("rescue_touched");
	drop_who_kills_at("rescue_wakes");
}
END_TEST

START_TEST(too_many_deaths_of_rescuers_are_the_end)
{
	struct server *srv = start(ALONE, EACH);
	struct clients clients;

	connect_all(srv, &clients);
	points_arm(points, "rescue_told", SIGKILL, 1, 10);
	kill_worker(srv);
	server_expect(srv, "event=custody_ended");
	for (int k = 0; k < KINDS; k++)
		for (int i = 0; i < OF_EACH; i++)
			(void)client_read_to_end(clients.fd[k][i]);
	ck_assert_uint_eq(points_killed(points), 3);
	points_arm(points, "", 0, 0, 0);
	await_settled(srv, 1);
	await(server_closed(srv, CLOSE_LOST) == KINDS * OF_EACH);
	ck_assert_uint_eq(server_counters(srv).active, 0);
	server_end(srv);
}
END_TEST

START_TEST(without_its_anchor_a_worker_serves_on)
{
	struct server *srv = start(ALONE, EACH);
	struct clients clients;

	connect_all(srv, &clients);
	server_mark(srv);
	/* The one that is to replace the worker. */
	points_arm(points, "worker_starts", POINT_HANG, 1, 1);
	kill(await_anchor(srv), SIGKILL);
	server_expect(srv, "event=custody_ended child_slot=0 conns_lost=0");
	await(points_killed(points) == 1);
	echo_all(&clients, "after");
	kill(server_worker(srv, 0), SIGKILL);
	kill(points->pid[0], SIGKILL);
	for (int k = 0; k < KINDS; k++)
		for (int i = 0; i < OF_EACH; i++)
			(void)client_read_to_end(clients.fd[k][i]);
	await(server_closed(srv, CLOSE_LOST) == KINDS * OF_EACH);
	/* The next one has an anchor again. */
	await_settled(srv, 1);
	server_end(srv);
}
END_TEST

START_TEST(an_anchor_that_dies_as_it_is_asked_costs_all)
{
	struct server *srv = start(ALONE, EACH);
	struct clients clients;

	connect_all(srv, &clients);
	points_arm(points, "anchor_asked", SIGKILL, 1, 1);
	kill_worker(srv);
	server_expect(srv, "event=custody_ended");
	for (int k = 0; k < KINDS; k++)
		for (int i = 0; i < OF_EACH; i++)
			(void)client_read_to_end(clients.fd[k][i]);
	await(server_closed(srv, CLOSE_LOST) == KINDS * OF_EACH);
	await_settled(srv, 1);
	server_end(srv);
}
END_TEST

/* The rescuer says itself that it is there. */
START_TEST(an_anchor_that_dies_after_its_clone_costs_nobody)
{
	struct server *srv = start(ALONE, EACH);
	struct clients clients;

	connect_all(srv, &clients);
	points_arm(points, "anchor_cloned", SIGKILL, 1, 1);
	kill_worker(srv);
	expect_rescued(srv, KINDS * OF_EACH);
	echo_all(&clients, "after");
	await_settled(srv, 1);
	echo_all(&clients, "and with the successor");
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	ck_assert_uint_eq(server_counters(srv).active, KINDS * OF_EACH);
	close_all(srv, &clients);
	server_end(srv);
}
END_TEST

/*
 * Many deaths.
 */

/* What all workers, and what the master has open. */
static size_t
count_fds(const struct server *srv)
{
	pid_t pids[CHILDREN_MAX];
	size_t n = proc_titled(srv->master, "penstock: worker ", pids,
	    CHILDREN_MAX), fds = 0;

	for (size_t i = 0; i < n && i < CHILDREN_MAX; i++)
		fds += proc_fds(pids[i], NULL, 0);
	return (fds + proc_fds(srv->master, NULL, 0));
}

/* One in each slot. */
static void
kill_all_workers(struct server *srv, unsigned slots)
{
	pid_t pid;

	for (unsigned slot = 0; slot < slots; slot++) {
		pid = server_worker(srv, slot);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		server_await_successor(srv, slot, pid);
	}
	await_settled(srv, slots);
}

START_TEST(nothing_adds_up_over_many_deaths)
{
	enum { SLOTS = 16, CLIENTS = 160 };
	struct server *srv = start(CUSTODY "workers = 16;", FRAMES(""));
	struct hold_options options = load_on(FRAME_PORT);
	unsigned n = rounds(2, 11);
	struct hold_process *load;
	uint64_t memory;
	size_t fds;

	options.connections = CLIENTS;
	load = hold_start(&options);
	await(hold_peek(load)->open == CLIENTS);
	ck_assert_uint_eq(hold_verify(load)->verified, CLIENTS);
	await_settled(srv, SLOTS);
	kill_all_workers(srv, SLOTS);
	ck_assert_uint_eq(hold_verify(load)->verified, CLIENTS);
	fds = count_fds(srv);
	memory = server_worker_memory(srv);
	for (unsigned i = 0; i < n; i++) {
		kill_all_workers(srv, SLOTS);
		ck_assert_uint_eq(hold_verify(load)->verified, CLIENTS);
	}
	printf("%u kills: descriptors %zu then %zu, memory %" PRIu64
	    " then %" PRIu64 "\n", (n + 1) * SLOTS, fds, count_fds(srv),
	    memory, server_worker_memory(srv));
	await(count_fds(srv) == fds);
	/* It differs by a few pages of what the master had touched. */
	ck_assert_uint_le(server_worker_memory(srv), memory + SLOTS * 65536);
	ck_assert_uint_eq(proc_tcp_sockets(own_address_number(), 0,
	    PROC_TCP_CLOSE_WAIT), 0);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
}
END_TEST

/* The rescuer has nobody to give to, and serves on. */
START_TEST(workers_that_die_at_once_cost_nobody)
{
	enum { LOOK_MS = 10000, LOG_MAX = 1024 };
	struct server *srv = start(ALONE, EACH);
	struct clients clients;
	uint64_t until_ms;
	size_t len;

	connect_all(srv, &clients);
	(void)await_anchor(srv);
	points_arm(points, "worker_starts", SIGKILL, 1, 1000);
	kill_worker(srv);
	await(points_killed(points) == 2);
	server_mark(srv);
	len = srv->log_len;
	until_ms = clock_ms() + LOOK_MS;
	while (clock_ms() < until_ms) {
		echo_all(&clients, "still");
		pause_us(200000);
	}
	server_mark(srv);
	printf("%u deaths, %zu bytes of the log in %d s\n",
	    points_killed(points), srv->log_len - len, LOOK_MS / 1000);
	ck_assert_uint_le(srv->log_len - len, LOOK_MS / 1000 * LOG_MAX);
	ck_assert_uint_eq(server_closed(srv, CLOSE_LOST), 0);
	points_arm(points, "", 0, 0, 0);
	await_settled(srv, 1);
	echo_all(&clients, "and with the successor");
	close_all(srv, &clients);
	server_end(srv);
}
END_TEST

RUN_TESTS_OF_ROWS("custody_deaths", 2, WAYS,
    those_between_two_messages_notice_no_death,
    a_worker_that_dies_at_a_step_costs_one_at_most,
    requests_that_are_with_a_handler_fail,
    a_half_closed_client_gets_its_replies,
    those_amid_a_message_are_lost,
    who_has_sent_urgent_data_is_lost,
    a_message_that_kills_costs_only_its_senders,
    a_rescuer_that_dies_is_rescued,
    a_connection_that_kills_its_rescuers_is_dropped,
    too_many_deaths_of_rescuers_are_the_end,
    without_its_anchor_a_worker_serves_on,
    an_anchor_that_dies_as_it_is_asked_costs_all,
    an_anchor_that_dies_after_its_clone_costs_nobody,
    nothing_adds_up_over_many_deaths,
    workers_that_die_at_once_cost_nobody)
