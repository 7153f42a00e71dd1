/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/custody.c to worker/custody.h, with real sockets: what a worker
 * has left, after whatever instruction it died, is at rest only if nothing was
 * lost and nothing would be done twice.
 */
#include "worker/custody.h"

#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/sockios.h>
#include <netinet/in.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/lone_worker.h"
#include "worker/conn_record.h"

static struct lone_worker lone;
static struct conn *conn;
static int client;

/*
 * Connections.
 */

static int
make_unix(int *peer, struct sockaddr_in *from)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, ends), 0);
	*from = (struct sockaddr_in){ .sin_family = AF_UNIX };
	*peer = ends[1];
	return (ends[0]);
}

static void
start_with(const char *conf, unsigned listener, bool is_unix)
{
	struct sockaddr_in from;
	int fd;

	if (conf != NULL)
		lone_worker_init_with(&lone, conf);
	else
		lone_worker_init(&lone);
	lone_worker_have_custody(&lone);
	fd = is_unix ? make_unix(&client, &from) :
	    lone_worker_tcp(&client, &from);
	conn = conn_new(&lone.worker.listeners[listener], fd,
	    (struct sockaddr *)&from);
	ck_assert_ptr_nonnull(conn);
}

static void
start(unsigned listener, bool is_unix)
{
	start_with(NULL, listener, is_unix);
}

/* On a listener for proxies. */
static void
start_proxied(bool is_unix)
{
	start_with("workers = 1; listeners = ( { name = \"frames\"; "
	    "address = \"127.0.0.1:9000\"; handler = \"echo\"; "
	    "proxy_protocol = true; proxy_from = [ \"127.0.0.1\", "
	    "\"unix\" ]; } );", LONE_FRAMES, is_unix);
}

static void
finish(void)
{
	close(client);
	lone_worker_free(&lone);
}

static int
check_now(void)
{
	return (custody_check(custody_of(conn), conn_record(conn)));
}

/* Have the worker read what was sent, and do what follows. */
static void
turn(void)
{
	struct pollfd readable = { .fd = conn_fd(conn), .events = POLLIN };

	ck_assert_int_eq(poll(&readable, 1, 5000), 1);
	lone_worker_turn(&lone);
}

static bool
is_acknowledged(void)
{
	int n;

	return (ioctl(conn_fd(conn), SIOCOUTQ, &n) == 0 && n == 0);
}

/*
 * At rest, and not.
 */

static void
expect_rest_between_messages(bool is_unix)
{
	start(LONE_FRAMES, is_unix);
	ck_assert_int_eq(check_now(), -1);
	for (int i = 0; i < 3; i++) {
		client_send_text_frame(client, "hello");
		turn();
		ck_assert_int_eq(check_now(), -1);
		client_expect_text_frame(client, "hello");
		ck_assert_int_eq(check_now(), -1);
	}
	ck_assert_uint_eq(custody_of(conn)->owed, 0);
	finish();
}

START_TEST(a_connection_is_at_rest_between_two_messages)
{
	expect_rest_between_messages(false);
	expect_rest_between_messages(true);
}
END_TEST

START_TEST(unread_bytes_do_not_matter)
{
	start(LONE_FRAMES, false);
	client_send_text_frame(client, "hello");
	await(client_has_input(conn_fd(conn)));
	ck_assert_int_eq(check_now(), -1);
	finish();
	start(LONE_FRAMES, true);
	client_send_text_frame(client, "hello");
	ck_assert_int_eq(check_now(), -1);
	finish();
}
END_TEST

static void
expect_busy_within_a_message(bool is_unix)
{
	start(LONE_FRAMES, is_unix);
	client_send(client, "\0\0\0\5he", 6);
	turn();
	ck_assert_int_eq(check_now(), RESCUE_BUSY);
	client_send(client, "llo", 3);
	turn();
	ck_assert_int_eq(check_now(), -1);
	finish();
}

START_TEST(a_connection_within_a_message_is_busy)
{
	expect_busy_within_a_message(false);
	expect_busy_within_a_message(true);
}
END_TEST

START_TEST(a_look_in_vain_leaves_a_connection_at_rest)
{
	for (int is_unix = 0; is_unix < 2; is_unix++) {
		start(LONE_FRAMES, is_unix);
		event_active(&conn->event, EV_READ, 0);
		lone_worker_turn(&lone);
		ck_assert_int_eq(check_now(), -1);
		finish();
	}
}
END_TEST

static void
expect_rest_with_requests(bool is_unix)
{
	start(LONE_LINES, is_unix);
	client_send_text(client, "one\ntwo\n");
	turn();
	ck_assert_int_eq(check_now(), -1);
	ck_assert_uint_eq(custody_of(conn)->owed, 2);
	client_send_text(client, "thr");
	turn();
	ck_assert_int_eq(check_now(), RESCUE_BUSY);
	client_send_text(client, "ee\n");
	turn();
	ck_assert_int_eq(check_now(), -1);
	ck_assert_uint_eq(custody_of(conn)->owed, 3);
	finish();
}

START_TEST(a_connection_is_at_rest_while_handlers_work)
{
	expect_rest_with_requests(false);
	expect_rest_with_requests(true);
}
END_TEST

/* Replies that the client does not take, and then does. */
static void
expect_busy_with_replies(bool is_unix)
{
	static uint8_t large[500000];
	int small = 4096;

	start(LONE_FRAMES, is_unix);
	(void)setsockopt(conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &small,
	    sizeof(small));
	(void)setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (size_t sent = 0; !conn_owes(conn) && sent < 4000;) {
		if (send(client, "\0\0\1\0", 4, MSG_DONTWAIT) == 4) {
			client_stuff(client, large, 256, 256);
			sent++;
		}
		lone_worker_turn(&lone);
	}
	ck_assert(conn_owes(conn));
	ck_assert_int_eq(check_now(), RESCUE_BUSY);
	while (conn_owes(conn) || client_has_input(client) ||
	    client_has_input(conn_fd(conn))) {
		(void)recv(client, large, sizeof(large), MSG_DONTWAIT);
		lone_worker_turn(&lone);
	}
	await((lone_worker_turn(&lone), check_now() == -1));
	finish();
}

START_TEST(a_connection_is_busy_while_its_client_does_not_take_replies)
{
	expect_busy_with_replies(false);
	expect_busy_with_replies(true);
}
END_TEST

START_TEST(replies_that_only_the_kernel_has_do_not_matter)
{
	start(LONE_FRAMES, false);
	client_send_text_frame(client, "hello");
	turn();
	/* Whether they are acknowledged or not. */
	ck_assert_int_eq(check_now(), -1);
	await(is_acknowledged());
	ck_assert_int_eq(check_now(), -1);
	finish();
}
END_TEST

/*
 * Ends.
 */

static void
expect_rest_after_half_close(bool is_unix)
{
	start(LONE_LINES, is_unix);
	client_send_text(client, "one\n");
	turn();
	client_half_close(client);
	await(client_has_input(conn_fd(conn)));
	ck_assert_int_eq(check_now(), -1);
	lone_worker_turn(&lone);
	lone_worker_turn(&lone);
	ck_assert(conn->eof);
	ck_assert_int_eq(check_now(), -1);
	ck_assert_uint_eq(custody_of(conn)->owed, 1);
	finish();
}

START_TEST(a_client_that_will_send_no_more_still_gets_its_replies)
{
	expect_rest_after_half_close(false);
	expect_rest_after_half_close(true);
}
END_TEST

START_TEST(unread_bytes_before_the_end_are_counted_without_it)
{
	start(LONE_FRAMES, false);
	client_send_text_frame(client, "hello");
	client_half_close(client);
	await(client_has_input(conn_fd(conn)));
	ck_assert_int_eq(check_now(), -1);
	finish();
}
END_TEST

START_TEST(a_connection_that_was_reset_is_over)
{
	start(LONE_FRAMES, false);
	client_reset(client);
	client = -1;
	await(check_now() == RESCUE_OVER);
	finish();
}
END_TEST

START_TEST(a_connection_that_lingers_is_over)
{
	start(LONE_FRAMES, false);
	client_send(client, "\0\0\0\0", 4);
	turn();
	ck_assert_int_eq(conn->state, CONN_CLOSING);
	ck_assert_int_eq(check_now(), RESCUE_OVER);
	finish();
}
END_TEST

/* recv(2) leaves it out, and so does what the worker counts. */
START_TEST(a_byte_out_of_band_makes_a_connection_no_rest)
{
	start(LONE_FRAMES, false);
	ck_assert_int_eq(send(client, "!", 1, MSG_OOB), 1);
	client_send_text_frame(client, "hello");
	await((lone_worker_turn(&lone), client_has_input(client)));
	client_expect_text_frame(client, "hello");
	ck_assert_int_eq(check_now(), RESCUE_BUSY);
	finish();
}
END_TEST

/*
 * Whose socket it is.
 */

START_TEST(another_socket_is_not_taken_for_that_of_the_record)
{
	struct sockaddr_in from;
	struct custody_conn held;
	int other, fd;

	start(LONE_FRAMES, false);
	held = *custody_of(conn);
	held.fd = fd = lone_worker_tcp(&other, &from);
	ck_assert_int_eq(custody_check(&held, conn_record(conn)),
	    RESCUE_DAMAGED);
	close(fd);
	close(other);
	ck_assert_int_eq(custody_check(&held, conn_record(conn)),
	    RESCUE_DAMAGED);
	held.fd = fd = make_unix(&other, &from);
	ck_assert_int_eq(custody_check(&held, conn_record(conn)),
	    RESCUE_DAMAGED);
	close(fd);
	close(other);
	held.fd = client;
	ck_assert_int_eq(custody_check(&held, conn_record(conn)),
	    RESCUE_DAMAGED);
	held.fd = -1;
	ck_assert_int_eq(custody_check(&held, conn_record(conn)),
	    RESCUE_DAMAGED);
	finish();
}
END_TEST

START_TEST(counts_that_the_kernel_does_not_confirm_are_told_apart)
{
	struct custody_conn held;

	start(LONE_FRAMES, false);
	client_send_text_frame(client, "hello");
	turn();
	held = *custody_of(conn);
	held.rest_in++;
	ck_assert_int_eq(custody_check(&held, conn_record(conn)),
	    RESCUE_COUNTS);
	held.rest_in -= 2;
	ck_assert_int_eq(custody_check(&held, conn_record(conn)), RESCUE_BUSY);
	held.rest_in++;
	held.rest_out--;
	ck_assert_int_eq(custody_check(&held, conn_record(conn)),
	    RESCUE_COUNTS);
	held.rest_out += 2;
	ck_assert_int_eq(custody_check(&held, conn_record(conn)), RESCUE_BUSY);
	finish();
}
END_TEST

START_TEST(a_record_that_was_being_written_is_damaged)
{
	start(LONE_FRAMES, false);
	conn_record(conn)->seq++;
	ck_assert_int_eq(check_now(), RESCUE_DAMAGED);
	finish();
}
END_TEST

/*
 * Deaths: the worker is another process, with the same descriptors and the same
 * shared memory, and is stopped after each of its instructions.
 */

static bool
is_under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return (preloaded != NULL &&
	    strstr(preloaded, "/vgpreload_") != NULL);
}

/* Returns after how many instructions something was to be seen. */
static unsigned
die_anywhere(void (*work)(void), void (*look)(void))
{
	struct custody_conn before = *custody_of(conn);
	unsigned changes = 0;
	pid_t pid;
	int status;

	fflush(NULL);
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL,
	    NULL, NULL);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
			_exit(1);
		(void)raise(SIGSTOP);
		work();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	while (WIFSTOPPED(status)) {
		look();
		if (memcmp(&before, custody_of(conn), sizeof(before)) != 0)
			changes++;
		before = *custody_of(conn);
		ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	}
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	look();
	return (changes);
}

static size_t
waiting_at(int fd)
{
	int n;

	ck_assert_int_eq(ioctl(fd, FIONREAD, &n), 0);
	return ((size_t)n);
}

static void
work_turn(void)
{
	lone_worker_turn(&lone);
}

enum { HELLO = 9 };	/* bytes of a frame */

/* Either the message is there, or its reply. */
static void
look_at_echo(void)
{
	size_t unread = waiting_at(conn_fd(conn)), got = waiting_at(client);
	int sent;

	/* It may still be on its way. */
	ck_assert_int_eq(ioctl(conn_fd(conn), SIOCOUTQ, &sent), 0);
	if (got == 0 && conn_record(conn)->family != AF_UNIX)
		got = (size_t)sent;
	/* Then its client runs, and often this worker does not. */
	if (got == HELLO && conn_record(conn)->family != AF_UNIX)
		ck_assert_int_eq(check_now(), -1);
	if (check_now() == -1)
		ck_assert_msg((unread == HELLO && got == 0) ||
		    (unread == 0 && got == HELLO), "at rest with %zu bytes "
		    "unread and %zu replied", unread, got);
}

static void
try_echo(bool is_unix)
{
	start(LONE_FRAMES, is_unix);
	client_send_text_frame(client, "hello");
	await(waiting_at(conn_fd(conn)) == HELLO);
	ck_assert_int_eq(check_now(), -1);
	ck_assert_uint_gt(die_anywhere(work_turn, look_at_echo), 2);
	ck_assert_int_eq(check_now(), -1);
	client_expect_text_frame(client, "hello");
	finish();
}

START_TEST(a_worker_that_dies_has_answered_or_not_read)
{
	if (is_under_valgrind())
		return;
	try_echo(false);
	try_echo(true);
}
END_TEST

enum { LINES_LEN = 8 };

/* Either the messages are there, or they are owed. */
static void
look_at_lines(void)
{
	size_t unread = waiting_at(conn_fd(conn));
	unsigned owed = custody_of(conn)->owed;

	if (check_now() == -1)
		ck_assert_msg((unread == LINES_LEN && owed == 0) ||
		    (unread == 0 && owed == 2), "at rest with %zu bytes "
		    "unread and %u requests", unread, owed);
}

static void
try_lines(bool is_unix)
{
	start(LONE_LINES, is_unix);
	client_send_text(client, "one\ntwo\n");
	await(waiting_at(conn_fd(conn)) == LINES_LEN);
	ck_assert_uint_gt(die_anywhere(work_turn, look_at_lines), 2);
	ck_assert_int_eq(check_now(), -1);
	ck_assert_uint_eq(custody_of(conn)->owed, 2);
	finish();
}

START_TEST(a_worker_that_dies_owes_what_it_has_read)
{
	if (is_under_valgrind())
		return;
	try_lines(false);
	try_lines(true);
}
END_TEST

#define PROXY_HEADER	"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"

/* Either the header is there, and waited for; or it was read, and its client has
 * the name. */
static void
look_at_header(void)
{
	const struct conn_record *record = conn_record(conn);
	size_t unread = waiting_at(conn_fd(conn));

	if (check_now() != -1)
		return;
	if (unread > 0)
		ck_assert_int_eq(record->state, CONN_PROXY_HEADER);
	else
		ck_assert(record->state == CONN_READING &&
		    record->family == AF_INET6 && record->peer_port == 1 &&
		    custody_of(conn)->proxied);
}

static void
try_header(bool is_unix)
{
	start_proxied(is_unix);
	ck_assert_int_eq(check_now(), -1);
	client_send_text(client, PROXY_HEADER);
	await(waiting_at(conn_fd(conn)) == sizeof(PROXY_HEADER) - 1);
	ck_assert_int_eq(check_now(), -1);
	ck_assert_uint_gt(die_anywhere(work_turn, look_at_header), 2);
	ck_assert_int_eq(check_now(), -1);
	finish();
}

START_TEST(a_worker_that_dies_has_the_name_of_the_client_or_not_read)
{
	if (is_under_valgrind())
		return;
	try_header(false);
	try_header(true);
}
END_TEST

static void
expect_rest_after_header(bool is_unix)
{
	start_proxied(is_unix);
	client_send_text(client, "PROXY ");
	turn();
	ck_assert_int_eq(check_now(), RESCUE_BUSY);
	client_send_text(client, &PROXY_HEADER[6]);
	turn();
	ck_assert_int_eq(check_now(), -1);
	client_send_text_frame(client, "hello");
	turn();
	client_expect_text_frame(client, "hello");
	ck_assert_int_eq(check_now(), -1);
	/* Else the record is not that of this socket. */
	custody_of(conn)->proxied = false;
	ck_assert_int_eq(check_now(), RESCUE_DAMAGED);
	finish();
}

START_TEST(a_connection_within_its_header_is_busy)
{
	expect_rest_after_header(false);
	expect_rest_after_header(true);
}
END_TEST

static struct sockaddr_in next_from;
static int next_fd;

static void
work_accept(void)
{
	if (conn_new(&lone.worker.listeners[LONE_FRAMES], next_fd,
	    (struct sockaddr *)&next_from) == NULL)
		_exit(1);
}

/* The place held another one before. */
static void
look_at_accept(void)
{
	const struct custody_conn *held = custody_of(conn);

	if (held->fd == 0)
		return;
	ck_assert_int_eq(held->fd, next_fd);
	ck_assert_uint_ge(lone.worker.custody->end, conn->index + 1);
	if (custody_check(held, conn_record(conn)) == -1)
		ck_assert(held->owed == 0 && held->hold == CUSTODY_OWN);
}

START_TEST(a_worker_that_dies_has_a_new_connection_or_not)
{
	static struct conn place;
	int other;

	if (is_under_valgrind())
		return;
	start(LONE_FRAMES, false);
	/* One with another past leaves its place. */
	custody_of(conn)->owed = 3;
	custody_of(conn)->hold = CUSTODY_OFFERED;
	place = *conn;
	conn_cut(conn, CLOSE_CUT);
	conn = &place;
	next_fd = lone_worker_tcp(&other, &next_from);
	ck_assert_uint_gt(die_anywhere(work_accept, look_at_accept), 2);
	ck_assert_int_eq(check_now(), -1);
	/* It is not in our table. */
	close(next_fd);
	close(other);
	finish();
}
END_TEST

static void
work_close(void)
{
	conn_cut(conn, CLOSE_CUT);
}

/* A number that is closed can be another one's. */
static void
look_at_close(void)
{
	ck_assert(custody_of(conn)->fd == 0 ||
	    fcntl(custody_of(conn)->fd, F_GETFD) != -1);
}

START_TEST(a_worker_that_dies_has_a_socket_for_each_connection)
{
	int fd;

	if (is_under_valgrind())
		return;
	start(LONE_FRAMES, false);
	fd = conn_fd(conn);
	ck_assert_uint_gt(die_anywhere(work_close, look_at_close), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(custody_of(conn)->fd, 0);
	finish();
}
END_TEST

/*
 * Deaths in a hand-over.
 */

static int link_fds[2];		/* of the giver, and of the taker */

/* What of the next message at an end of the link is looked for. */
static bool
has_come(int end, enum handover_type type)
{
	struct handover_header header;

	return (recv(end, &header, sizeof(header), MSG_PEEK | MSG_DONTWAIT) ==
	    sizeof(header) && header.type == type);
}

static void
send_to(int end, enum handover_type type, struct handover_message *msg)
{
	ck_assert_int_eq(handover_send(end, HANDOVER_VERSION, msg, type, NULL,
	    0), 0);
}

static void
start_giver(struct lone_worker *giver)
{
	static const struct ctl_give all = { .quota = CTL_GIVE_ALL };

	ck_assert_int_eq(channel_pair(link_fds), 0);
	giver_begin(&giver->worker, link_fds[0], &all);
}

static void
work_turns(void)
{
	for (int i = 0; i < 4; i++)
		lone_worker_turn(&lone);
}

static bool has_taken;		/* the taker, and has said so */

/* A batch is known before it can come to the taker; and what is the taker's is
 * never ours again. */
static void
look_at_offer(void)
{
	const struct custody_map *map = lone.worker.custody;
	const struct custody_conn *held = custody_of(conn);
	struct handover_message msg = { .adopted = { 1, 1 } };
	bool is_offered = held->hold == CUSTODY_OFFERED;

	if (!has_taken && has_come(link_fds[1], HANDOVER_BATCH)) {
		ck_assert(is_offered && map->batch[held->group] == 1);
		ck_assert(map->giver.number >= 1 &&
		    map->giver.fd == link_fds[0]);
		send_to(link_fds[1], HANDOVER_ADOPTED, &msg);
		has_taken = true;
	}
	if (!has_taken || held->fd == 0)
		return;
	ck_assert(is_offered && held->place == 0);
	ck_assert((map->batch[held->group] == 1 && map->giver.fd != 0) ||
	    (map->batch[held->group] == 0 && map->taken[held->group] == 1));
}

START_TEST(a_giver_that_dies_has_not_given_what_it_serves)
{
	struct handover_message msg = { .hello = { .protocol = {
	    CONF_PROTOCOL_FRAME + 1 } } };

	if (is_under_valgrind())
		return;
	start(LONE_FRAMES, false);
	start_giver(&lone);
	send_to(link_fds[1], HANDOVER_HELLO, &msg);
	has_taken = false;
	ck_assert_uint_gt(die_anywhere(work_turns, look_at_offer), 1);
	ck_assert(has_taken);
	ck_assert_int_eq(custody_of(conn)->fd, 0);
	close(link_fds[1]);
	finish();
}
END_TEST

/* What is said to be taken is known by then. */
static void
look_at_adoption(void)
{
	const struct custody_map *map = lone.worker.custody;
	const struct custody_conn *held = custody_of(conn);

	if (has_come(link_fds[0], HANDOVER_ADOPTED))
		ck_assert(held->fd != 0 && (held->hold == CUSTODY_OWN ||
		    (held->hold == CUSTODY_TAKEN &&
		    map->taker[held->group].number == 1 &&
		    map->taker[held->group].fd == link_fds[1])));
	else
		ck_assert(held->fd == 0 || held->hold == CUSTODY_TAKEN);
}

START_TEST(a_taker_that_dies_has_what_it_has_taken)
{
	const struct ctl_take order = { .giver = CTL_VERSION, .generation = 1 };
	static struct lone_worker giver;
	static struct conn place;

	if (is_under_valgrind())
		return;
	lone_worker_init(&giver);
	(void)lone_worker_accept(&giver, LONE_FRAMES, &client);
	start_giver(&giver);
	lone_worker_init(&lone);
	lone_worker_have_custody(&lone);
	taker_begin(&lone.worker, link_fds[1], &order);
	lone_worker_turn(&giver);
	ck_assert(has_come(link_fds[1], HANDOVER_BATCH));
	place.listener = &lone.worker.listeners[LONE_FRAMES];
	conn = &place;
	ck_assert_uint_gt(die_anywhere(work_turns, look_at_adoption), 2);
	ck_assert_int_eq(custody_of(conn)->hold, CUSTODY_OWN);
	ck_assert_int_eq(check_now(), -1);
	close(custody_of(conn)->fd);
	lone_worker_free(&giver);
	finish();
}
END_TEST

RUN_TESTS("custody",
    a_connection_is_at_rest_between_two_messages,
    unread_bytes_do_not_matter,
    a_connection_within_a_message_is_busy,
    a_look_in_vain_leaves_a_connection_at_rest,
    a_connection_is_at_rest_while_handlers_work,
    a_connection_is_busy_while_its_client_does_not_take_replies,
    replies_that_only_the_kernel_has_do_not_matter,
    a_client_that_will_send_no_more_still_gets_its_replies,
    unread_bytes_before_the_end_are_counted_without_it,
    a_connection_that_was_reset_is_over,
    a_connection_that_lingers_is_over,
    a_byte_out_of_band_makes_a_connection_no_rest,
    another_socket_is_not_taken_for_that_of_the_record,
    counts_that_the_kernel_does_not_confirm_are_told_apart,
    a_record_that_was_being_written_is_damaged,
    a_worker_that_dies_has_answered_or_not_read,
    a_worker_that_dies_owes_what_it_has_read,
    a_worker_that_dies_has_the_name_of_the_client_or_not_read,
    a_connection_within_its_header_is_busy,
    a_worker_that_dies_has_a_new_connection_or_not,
    a_worker_that_dies_has_a_socket_for_each_connection,
    a_giver_that_dies_has_not_given_what_it_serves,
    a_taker_that_dies_has_what_it_has_taken)
