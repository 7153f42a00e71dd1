/* SPDX-License-Identifier: ISC */
/*
 * SIGHUP under load: nobody is refused, no request goes without its reply, and
 * what is wrong with a new configuration changes nothing.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define TWO	"workers = 2;"

/* Let so many more clients come and go. */
static void
await_more(struct hold_process *load, uint64_t clients)
{
	uint64_t enough = hold_peek(load)->finished + clients;

	await(hold_peek(load)->finished >= enough);
}

static void
stop_unharmed(const char *title, struct hold_process *load)
{
	const struct hold_report *report = hold_stop(load);

	print_report(title, report);
	expect_unharmed(report);
	hold_drop(load);
}

START_TEST(thirty_reloads_harm_no_client)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	struct hold_process *load = start_churn(30);

	for (int i = 0; i < 30; i++) {
		server_reload(srv);
		await_more(load, 300);
	}
	stop_unharmed("30 reloads", load);
	await(server_children(srv) == 2);
	server_expect(srv, "event=reload_done gen=31");
	server_end(srv);
}
END_TEST

START_TEST(four_workers_become_one_and_four_again_unnoticed)
{
	struct server *srv = server_start("workers = 4;", FRAMES(""));
	struct hold_process *load = start_churn(40);

	for (int i = 0; i < 3; i++) {
		server_configure(srv, "workers = 1;", FRAMES(""));
		server_reload(srv);
		await_more(load, 500);
		await(server_children(srv) == 1);
		server_configure(srv, "workers = 4;", FRAMES(""));
		server_reload(srv);
		await_more(load, 500);
		await(server_children(srv) == 4);
	}
	stop_unharmed("workers 4 -> 1 -> 4, three times", load);
	server_end(srv);
}
END_TEST

/* What is on its way from one worker to another is held by both. */
START_TEST(a_reload_near_max_connections_rejects_nobody)
{
	enum { LIMIT = 600, HELD = 540 };
	struct server *srv = server_start(
	    "workers = 2;\nmax_connections = 600;", FRAMES(""));
	struct hold_process *load;
	int fds[LIMIT + 1];

	for (int i = 0; i < HELD; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_echo(fds[i], "held");
	}
	load = start_churn(20);
	for (int i = 0; i < 6; i++) {
		server_reload(srv);
		await_more(load, 200);
	}
	stop_unharmed("90 % of max_connections", load);
	for (int i = 0; i < REJECT_REASON_COUNT; i++)
		ck_assert_uint_eq(server_counters(srv).rejected[i], 0);
	/* And no more than that many are let in. */
	await(server_counters(srv).active == HELD);
	for (int i = HELD; i < LIMIT; i++) {
		fds[i] = client_connect(FRAME_PORT);
		client_echo(fds[i], "held");
	}
	fds[LIMIT] = client_connect(FRAME_PORT);
	client_expect_text_frame(fds[LIMIT], ERR_BUSY);
	client_expect_eof(fds[LIMIT]);
	for (int i = 0; i <= LIMIT; i++)
		close(fds[i]);
	server_end(srv);
}
END_TEST

START_TEST(all_slots_are_used_again_after_there_was_one)
{
	struct server *srv = server_start("workers = 4;", FRAMES(""));
	struct hold_process *load;

	server_configure(srv, "workers = 1;", FRAMES(""));
	server_reload(srv);
	await(server_children(srv) == 1);
	server_configure(srv, "workers = 4;", FRAMES(""));
	server_reload(srv);
	await(server_children(srv) == 4);
	load = start_churn(40);
	await_more(load, 1000);
	stop_unharmed("after 4 -> 1 -> 4", load);
	server_counters(srv);
	for (unsigned slot = 0; slot < 4; slot++)
		ck_assert_uint_gt(observe_slot(&srv->counters, slot,
		    OBSERVE_ALL).accepted, 100);
	server_end(srv);
}
END_TEST

START_TEST(a_reload_keeps_open_connections)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	int before = client_connect(FRAME_PORT), after;

	client_echo(before, "before");
	client_send(before, "\0\0\0\4ha", 6);
	server_reload(srv);
	client_send_text(before, "lf");
	client_expect_text_frame(before, "half");
	after = client_connect(FRAME_PORT);
	client_echo(after, "after");
	client_echo(before, "still here");
	await(server_children(srv) == 2);
	server_expect(srv, "event=reload_report generation=2 held=1 carried=1 "
	    "finished=0 closed=0 cut=0 lost=0");
	close(before);
	server_expect(srv, "event=conn_close reason=eof gen=2 messages=3");
	close(after);
	server_expect(srv, "event=conn_close reason=eof gen=2 messages=1");
	server_end(srv);
}
END_TEST

START_TEST(the_new_configuration_applies_to_all_connections)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	int old = client_connect(FRAME_PORT), fd;

	client_echo(old, "hello");
	server_configure(srv, TWO, FRAMES("max_message_size = 10;"));
	server_reload(srv);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "0123456789");
	client_send_text_frame(fd, "0123456789x");
	client_expect_text_frame(fd, ERR_TOO_LARGE);
	client_expect_eof(fd);
	client_echo(old, "not long");
	client_send_text_frame(old, "the old worker has gone");
	client_expect_text_frame(old, ERR_TOO_LARGE);
	client_expect_eof(old);
	close(old);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(listeners_come_and_go_by_reload)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	int kept, gone;

	ck_assert(client_is_refused(LINE_PORT));
	server_configure(srv, TWO, FRAMES("") ",\n" LINES(""));
	server_reload(srv);
	gone = client_connect(LINE_PORT);
	client_echo_line(gone, "a new listener");
	server_configure(srv, TWO, FRAMES(""));
	server_reload(srv);
	await(client_is_refused(LINE_PORT));
	client_echo_line(gone, "its connections stay");
	kept = client_connect(FRAME_PORT);
	client_echo(kept, "the other one too");
	close(kept);
	close(gone);
	server_end(srv);
}
END_TEST

/* Who was in the queue of an address that goes is not reset: it was taken. */
START_TEST(the_queue_of_a_listener_that_goes_is_served)
{
	enum { N = 20 };
	struct server *srv = server_start("workers = 1;\n"
	    "watchdog_timeout = 0;", FRAMES("") ",\n" LINES(""));
	pid_t old = server_worker(srv, 0);
	int fds[N];

	ck_assert_int_eq(kill(old, SIGSTOP), 0);
	for (int i = 0; i < N; i++) {
		fds[i] = client_connect(LINE_PORT);
		client_send_text(fds[i], "in the queue\n");
	}
	server_configure(srv, "workers = 1;\nwatchdog_timeout = 0;",
	    FRAMES(""));
	server_signal(srv, SIGHUP);
	server_await_successor(srv, 0, old);
	ck_assert_int_eq(kill(old, SIGCONT), 0);
	for (int i = 0; i < N; i++) {
		client_expect_text(fds[i], "in the queue\n");
		close(fds[i]);
	}
	await(client_is_refused(LINE_PORT));
	server_end(srv);
}
END_TEST

START_TEST(a_listener_can_change_its_name_protocol_and_handler)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	struct hold_process *load = start_churn(5);
	int fd;

	/* The load's address is kept, another one changes beneath it. */
	server_configure(srv, TWO, FRAMES("") ",\n" EXTRA(""));
	server_reload(srv);
	fd = client_connect(EXTRA_PORT);
	client_echo(fd, "frames");
	close(fd);
	server_configure(srv, TWO, FRAMES("") ",\n"
	    LISTENER("other", "9003", "line", "echo", ""));
	server_reload(srv);
	fd = client_connect(EXTRA_PORT);
	client_echo_line(fd, "lines");
	close(fd);
	server_expect(srv, "event=conn_open listener=other");
	server_configure(srv, TWO, FRAMES("") ",\n"
	    LISTENER("other", "9003", "line", "discard", ""));
	server_reload(srv);
	fd = client_connect(EXTRA_PORT);
	client_send_text(fd, "nothing comes back\n");
	client_half_close(fd);
	client_expect_eof(fd);
	close(fd);
	stop_unharmed("beside a listener that changes", load);
	server_end(srv);
}
END_TEST

START_TEST(a_bad_configuration_is_refused_with_all_its_mistakes)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	pid_t worker = server_worker(srv, 0);
	int fd;

	server_write(srv, "conf", "workers = 1000000;\n"
	    "wrokers = 2;\n"
	    "listeners = ( { name = \"x\"; address = \"$A:9000\";\n"
	    "  handler = \"none such\"; } );\n");
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_refused");
	server_expect(srv, "event=conf_error file=conf line=1");
	server_expect(srv, "event=conf_error file=conf line=2");
	server_expect(srv, "event=conf_error file=conf line=4");
	ck_assert_int_eq(server_worker(srv, 0), worker);
	ck_assert_uint_eq(server_children(srv), 2);
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "as before");
	close(fd);
	/* And what is right again is taken again. */
	server_configure(srv, TWO, FRAMES(""));
	server_reload(srv);
	server_end(srv);
}
END_TEST

/* Let the configuration be a file that is never read to its end, and order a
 * reload.  Returns the process that reads; writer is to be closed. */
static pid_t
hang_reload(struct server *srv, int *writer)
{
	pid_t pids[SERVER_PROCESSES_MAX], reader = 0;
	char title[256];

	ck_assert_int_eq(unlink(server_path(srv, "conf")), 0);
	ck_assert_int_eq(mkfifo(server_path(srv, "conf"), 0600), 0);
	ck_assert_int_ne(*writer = open(server_path(srv, "conf"),
	    O_RDWR | O_CLOEXEC), -1);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	while (reader == 0) {
		size_t n = proc_children(srv->master, pids,
		    SERVER_PROCESSES_MAX);

		ck_assert_ptr_null(server_log(srv, "event=reload_refused"));
		for (size_t i = 0; i < n; i++) {
			proc_title(pids[i], title, sizeof(title));
			if (strstr(title, "conf reader") != NULL)
				reader = pids[i];
		}
		await_pause();
	}
	return (reader);
}

START_TEST(a_configuration_that_does_not_end_is_refused)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	struct hold_process *load = start_churn(10);
	struct proc_fd fds[64];
	pid_t reader;
	size_t n;
	int writer;

	await_more(load, 10);
	reader = hang_reload(srv, &writer);
	n = proc_fds(reader, fds, 64);
	for (size_t i = 0; i < n && i < 64; i++)
		ck_assert_msg(fds[i].number <= STDERR_FILENO ||
		    strstr(fds[i].target, "socket:") == NULL,
		    "the reader has %s", fds[i].target);
	await_more(load, 100);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=reload_refused"), "the configuration could not be read "
	    "within 5 s"));
	await(proc_is_dead(reader));
	await(server_children(srv) == 2);
	close(writer);
	ck_assert_int_eq(unlink(server_path(srv, "conf")), 0);
	server_configure(srv, TWO, FRAMES(""));
	server_reload(srv);
	stop_unharmed("beside a configuration that does not end", load);
	server_end(srv);
}
END_TEST

START_TEST(a_reader_ends_with_its_master)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	pid_t reader;
	int writer;

	reader = hang_reload(srv, &writer);
	kill(srv->master, SIGKILL);
	server_await_exit(srv, 128 + SIGKILL);
	await(proc_is_dead(reader));
	close(writer);
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	server_end(srv);
}
END_TEST

START_TEST(a_missing_configuration_is_refused_by_its_name)
{
	struct server *srv = server_start(TWO, FRAMES(""));

	ck_assert_int_eq(unlink(server_path(srv, "conf")), 0);
	server_signal(srv, SIGHUP);
	ck_assert_ptr_null(strstr(server_expect(srv,
	    "error event=conf_error file=conf"), "line="));
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "error event=reload_refused"),
	    "error=\"the configuration is wrong: conf: "));
	server_end(srv);
}
END_TEST

START_TEST(an_address_that_cannot_be_bound_refuses_the_reload)
{
	static const char *const bad[] = {
		LISTENER("taken", "9005", "frame", "echo", ""),
		"{ name = \"far\"; address = \"192.0.2.1:9000\"; "
		    "protocol = \"frame\"; handler = \"echo\"; }",
		"{ name = \"no dir\"; address = \"unix:none/such\"; "
		    "protocol = \"frame\"; handler = \"echo\"; }",
	};
	struct server *srv = server_start(TWO, FRAMES(""));
	int taken = take_port(9005), fd = client_connect(FRAME_PORT);
	char listeners[512];

	for (unsigned i = 0; i < 3; i++) {
		/* One that can be bound goes before it, and is undone. */
		snprintf(listeners, sizeof(listeners), "%s,\n%s,\n%s",
		    FRAMES(""), LINES(""), bad[i]);
		server_configure(srv, TWO, listeners);
		server_signal(srv, SIGHUP);
		await(server_count(srv, "event=reload_refused") == i + 1);
		await(client_is_refused(LINE_PORT));
		client_echo(fd, "as before");
	}
	ck_assert_uint_eq(server_count(srv, "event=reload_done"), 0);
	ck_assert_uint_eq(server_children(srv), 2);
	close(fd);
	close(taken);
	server_end(srv);
}
END_TEST

/* Whether there are so many workers, all of the generation of the last reload
 * that has ended. */
static bool
are_of_last_generation(struct server *srv, unsigned workers)
{
	pid_t pids[SERVER_PROCESSES_MAX];
	char title[256], wanted[32];

	if (proc_children(srv->master, pids, SERVER_PROCESSES_MAX) != workers)
		return (false);
	if (server_log_last(srv, "event=reload_done") == NULL)
		return (false);
	snprintf(wanted, sizeof(wanted), "gen=%" PRIu64,
	    log_number(srv->line, "gen"));
	for (unsigned i = 0; i < workers; i++) {
		proc_title(pids[i], title, sizeof(title));
		if (strstr(title, wanted) == NULL)
			return (false);
	}
	return (true);
}

/* Whether a frame of so many bytes comes back, and not an error. */
static bool
takes_frame_of(size_t len)
{
	uint8_t frame[1024] = { 0 }, got[4];
	int fd = client_connect(FRAME_PORT);

	frame[2] = (uint8_t)(len >> 8);
	frame[3] = (uint8_t)len;
	client_send(fd, frame, 4 + len);
	await(client_has_input(fd));
	ck_assert_int_eq(recv(fd, got, sizeof(got), 0), sizeof(got));
	close(fd);
	return (memcmp(got, frame, sizeof(got)) == 0);
}

START_TEST(a_hundred_hups_in_a_second_end_in_one_generation_of_the_newest)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	struct hold_process *load = start_churn(5);
	char listeners[256];
	uint64_t generation;

	/* The load's messages fit all of them. */
	for (int i = 1; i <= 100; i++) {
		snprintf(listeners, sizeof(listeners), FRAMES(
		    "max_message_size = %d;"), 100 + i);
		server_configure(srv, TWO, listeners);
		server_signal(srv, SIGHUP);
	}
	await(takes_frame_of(200));
	stop_unharmed("100 HUPs", load);
	ck_assert_uint_eq(server_count(srv, "event=reload_refused"), 0);
	/* The last order may still be to come: its file was there before. */
	await(are_of_last_generation(srv, 2));
	server_log_last(srv, "event=reload_done");
	generation = log_number(srv->line, "gen");
	ck_assert(!takes_frame_of(201));
	printf("100 HUPs made %" PRIu64 " generations\n", generation - 1);
	server_end(srv);
}
END_TEST

START_TEST(reloads_wait_while_too_many_generations_live)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	int fds[COUNTERS_BLOCKS - 1];
	char listeners[512];
	pid_t worker;

	/* Each time the clients of a listener that goes have to stay behind. */
	for (int i = 0; i < COUNTERS_BLOCKS - 1; i++) {
		snprintf(listeners, sizeof(listeners),
		    FRAMES("") ",\n" LISTENER("going%d", "900%d", "frame",
		    "echo", ""), i, 3 + i);
		server_configure(srv, "workers = 1;", listeners);
		server_reload(srv);
		fds[i] = client_connect(EXTRA_PORT + (unsigned)i);
		client_echo(fds[i], "I stay");
	}
	server_configure(srv, "workers = 1;", FRAMES(""));
	server_reload(srv);
	ck_assert_uint_eq(server_children(srv), COUNTERS_BLOCKS);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_waits");
	ck_assert_uint_eq(server_children(srv), COUNTERS_BLOCKS);
	/* The next worker gets the block of the one that it replaces. */
	srv->expects_deaths = true;
	worker = server_worker(srv, 0);
	ck_assert_int_eq(kill(worker, SIGKILL), 0);
	(void)server_await_successor(srv, 0, worker);
	ck_assert_uint_eq(server_count(srv, "event=worker_failed"), 0);
	for (int i = 0; i < COUNTERS_BLOCKS - 1; i++)
		client_echo(fds[i], "all the same");
	close(fds[1]);
	server_expect(srv, "event=reload_done");
	for (int i = 0; i < COUNTERS_BLOCKS - 1; i++)
		if (i != 1)
			client_echo(fds[i], "and still");
	for (int i = 0; i < COUNTERS_BLOCKS - 1; i++)
		if (i != 1)
			close(fds[i]);
	await(server_children(srv) == 1);
	server_end(srv);
}
END_TEST

/* Users of other servers have found 89 old workers, each kept by one client
 * that neither reads nor writes. */
START_TEST(the_clients_of_a_listener_that_goes_have_drain_timeout)
{
	struct server *srv = server_start("workers = 1;\n"
	    "drain_timeout = 1.0;", FRAMES("") ",\n" EXTRA(""));
	int idle = client_connect(EXTRA_PORT);
	int slow = client_connect(EXTRA_PORT);
	int deaf = client_connect_small(EXTRA_PORT, 4096);
	static uint8_t frame[4 + 1024 * 1024] = "\0\x10\0\0";

	client_echo(idle, "idle");
	client_send(slow, "\0\0\0\4ha", 6);
	client_stuff(deaf, frame, sizeof(frame), 64 * sizeof(frame));
	server_configure(srv, "workers = 1;\ndrain_timeout = 1.0;",
	    FRAMES(""));
	server_reload(srv);
	/* The default is longer than anybody waits here. */
	await(server_children(srv) == 1);
	server_expect(srv, "event=conn_close gen=1 reason=cut");
	ck_assert_uint_eq(server_closed(srv, CLOSE_CUT) +
	    server_closed(srv, CLOSE_DRAIN), 3);
	ck_assert_int_eq(client_read_to_end(idle), CLIENT_EOF);
	close(idle);
	close(slow);
	close(deaf);
	server_end(srv);
}
END_TEST

/* TCP_NODELAY of a worker's end of a connection; -1 where the kernel does not let
 * us look. */
static int
find_nodelay(pid_t worker, int client)
{
	struct sockaddr_in ours, theirs = { .sin_family = 0 };
	struct proc_fd fds[64];
	socklen_t len = sizeof(ours), size = sizeof(int);
	int pidfd, fd, found = -1;
	size_t n;

	ck_assert_int_eq(getsockname(client, (void *)&ours, &len), 0);
	if ((pidfd = (int)syscall(SYS_pidfd_open, worker, 0)) == -1)
		return (-1);
	n = proc_fds(worker, fds, 64);
	for (size_t i = 0; i < n && i < 64 && found == -1; i++) {
		len = sizeof(theirs);
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, fds[i].number, 0);
		if (fd != -1 && getpeername(fd, (void *)&theirs, &len) == 0 &&
		    theirs.sin_family == AF_INET &&
		    theirs.sin_port == ours.sin_port)
			(void)getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &found,
			    &size);
		if (fd != -1)
			close(fd);
	}
	close(pidfd);
	return (found);
}

START_TEST(a_reload_changes_nodelay_of_clients_that_are_there)
{
	struct server *srv = server_start("workers = 1;",
	    FRAMES("nodelay = false;"));
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "hello");
	if (find_nodelay(server_worker(srv, 0), fd) == -1) {
		printf("no pidfd_getfd here: not tested\n");
		close(fd);
		server_end(srv);
		return;
	}
	for (int wanted = 0; wanted < 2; wanted++) {
		server_configure(srv, "workers = 1;", wanted ?
		    FRAMES("nodelay = true;") : FRAMES("nodelay = false;"));
		server_reload(srv);
		client_echo(fd, "still here");
		ck_assert_int_eq(find_nodelay(server_worker(srv, 0), fd) != 0,
		    wanted);
	}
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(counters_go_on_over_a_reload)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	int fd;

	for (unsigned i = 1; i <= 6; i++) {
		fd = client_connect(FRAME_PORT);
		client_echo(fd, "one more");
		close(fd);
		server_reload(srv);
		ck_assert_uint_eq(server_counters(srv).accepted, i);
		ck_assert_uint_eq(server_counters(srv).messages_in, i);
	}
	server_end(srv);
}
END_TEST

START_TEST(a_worker_killed_amid_reloads_is_replaced_by_a_new_one)
{
	struct server *srv = server_start(TWO, FRAMES(""));
	pid_t pids[SERVER_PROCESSES_MAX];
	size_t n;
	int fd;

	srv->expects_deaths = true;
	for (int i = 0; i < 5; i++) {
		server_signal(srv, SIGHUP);
		n = proc_children(srv->master, pids, SERVER_PROCESSES_MAX);
		if (n > 0)
			kill(pids[i % n], SIGKILL);
	}
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "served");
	close(fd);
	server_reload(srv);
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

RUN_TESTS("reload",
    thirty_reloads_harm_no_client,
    four_workers_become_one_and_four_again_unnoticed,
    a_reload_near_max_connections_rejects_nobody,
    all_slots_are_used_again_after_there_was_one,
    a_reload_keeps_open_connections,
    the_new_configuration_applies_to_all_connections,
    listeners_come_and_go_by_reload,
    the_queue_of_a_listener_that_goes_is_served,
    a_listener_can_change_its_name_protocol_and_handler,
    a_bad_configuration_is_refused_with_all_its_mistakes,
    a_configuration_that_does_not_end_is_refused,
    a_reader_ends_with_its_master,
    a_missing_configuration_is_refused_by_its_name,
    an_address_that_cannot_be_bound_refuses_the_reload,
    a_hundred_hups_in_a_second_end_in_one_generation_of_the_newest,
    reloads_wait_while_too_many_generations_live,
    the_clients_of_a_listener_that_goes_have_drain_timeout,
    a_reload_changes_nodelay_of_clients_that_are_there,
    counters_go_on_over_a_reload,
    a_worker_killed_amid_reloads_is_replaced_by_a_new_one)
