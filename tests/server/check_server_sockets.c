/* SPDX-License-Identifier: ISC */
/*
 * Addresses of every kind, and the descriptors that belong to them: who has
 * which, and who has none.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ctl.h"
#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define AT(name, addresses)						\
	"{ name = \"" name "\"; address = " addresses "; "		\
	"protocol = \"frame\"; handler = \"echo\"; }"

#define UNIX	AT("local", "\"unix:$D/sock\"")

/* "unix:" and the path of a file in the server's directory. */
static const char *
unix_address(const struct server *srv)
{
	static char text[256];

	snprintf(text, sizeof(text), "unix:%s", server_path(srv, "sock"));
	return (text);
}

static void
expect_echo(const char *address)
{
	int fd = client_connect_text(address);

	client_echo(fd, "hello");
	close(fd);
}

/* Returns the socket, if it listens. */
static int
make_unix_socket(const struct server *srv, bool listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, server_path(srv, "sock"));
	ck_assert_int_eq(bind(fd, (void *)&address, sizeof(address)), 0);
	if (listening) {
		ck_assert_int_eq(listen(fd, 5), 0);
		return (fd);
	}
	close(fd);
	return (-1);
}

enum { WAITING = 20 };

/* Stop the worker, and let clients send to it, which wait in the queue. */
static void
fill_queue(const struct server *srv, pid_t worker, int fds[WAITING])
{
	ck_assert_int_eq(kill(worker, SIGSTOP), 0);
	for (int i = 0; i < WAITING; i++) {
		fds[i] = client_connect_text(unix_address(srv));
		client_send_text_frame(fds[i], "waiting");
	}
}

START_TEST(a_unix_socket_serves_and_is_removed_at_the_end)
{
	struct server *srv = server_start("workers = 2;", UNIX);
	struct stat st;
	int fds[20];

	for (int i = 0; i < 20; i++) {
		fds[i] = client_connect_text(unix_address(srv));
		client_echo(fds[i], "hello");
	}
	ck_assert_int_eq(stat(server_path(srv, "sock"), &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_int_eq(st.st_mode & 07777, 0666);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	server_expect(srv, "event=conn_close listener=local peer=unix "
	    "reason=eof");
	server_counters(srv);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	ck_assert(!server_has_file(srv, "sock"));
	server_end(srv);
}
END_TEST

START_TEST(a_stale_unix_socket_is_replaced)
{
	struct server *srv = server_new();

	(void)make_unix_socket(srv, false);
	server_configure(srv, "workers = 1;", UNIX);
	server_launch(srv);
	server_await_ready(srv);
	expect_echo(unix_address(srv));
	/* The same after a death of its own. */
	server_signal(srv, SIGKILL);
	server_await_exit(srv, 128 + SIGKILL);
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	server_mark(srv);
	server_launch(srv);
	server_await_ready(srv);
	expect_echo(unix_address(srv));
	server_end(srv);
}
END_TEST

START_TEST(a_unix_socket_in_use_is_not_replaced)
{
	struct server *srv = server_new();

	(void)make_unix_socket(srv, true);
	server_configure(srv, "workers = 1;", UNIX);
	server_launch(srv);
	server_await_exit(srv, 1);
	ck_assert(server_has_file(srv, "sock"));
	server_expect(srv, "error event=start_failed");
	server_end(srv);
}
END_TEST

START_TEST(a_regular_file_at_the_sockets_path_is_not_replaced)
{
	struct server *srv = server_new();

	server_write(srv, "sock", "precious");
	server_configure(srv, "workers = 1;", UNIX);
	server_launch(srv);
	server_await_exit(srv, 1);
	ck_assert_str_eq(server_file(srv, "sock"), "precious");
	server_end(srv);
}
END_TEST

START_TEST(a_unix_socket_survives_reloads_and_goes_with_its_listener)
{
	struct server *srv = server_start("workers = 2;", UNIX);
	struct stat before, after;
	int fd;

	ck_assert_int_eq(stat(server_path(srv, "sock"), &before), 0);
	fd = client_connect_text(unix_address(srv));
	server_reload(srv);
	ck_assert_int_eq(stat(server_path(srv, "sock"), &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	client_echo(fd, "still here");
	expect_echo(unix_address(srv));
	server_configure(srv, "workers = 2;", FRAMES(""));
	server_reload(srv);
	await(!server_has_file(srv, "sock"));
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_killed_worker_loses_no_client_in_a_unix_sockets_queue)
{
	struct server *srv = server_start("workers = 1;", UNIX);
	pid_t worker = server_worker(srv, 0);
	int fds[WAITING];

	srv->expects_deaths = true;
	fill_queue(srv, worker, fds);
	ck_assert_int_eq(kill(worker, SIGKILL), 0);
	for (int i = 0; i < WAITING; i++) {
		client_expect_text_frame(fds[i], "waiting");
		close(fds[i]);
	}
	server_end(srv);
}
END_TEST

/* As by a cleaner of /tmp. */
START_TEST(a_socket_file_that_was_removed_is_reported_and_comes_back)
{
	struct server *srv = server_start("workers = 2;", UNIX);
	struct stat st;
	int fd;

	fd = client_connect_text(unix_address(srv));
	client_echo(fd, "before");
	ck_assert_int_eq(unlink(server_path(srv, "sock")), 0);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "error event=listen error=\"the socket file was removed\""),
	    unix_address(srv)));
	for (int i = 0; i < 2; i++) {
		server_reload(srv);
		expect_echo(unix_address(srv));
		client_echo(fd, "still here");
	}
	ck_assert_uint_eq(server_count(srv, "error event=listen"), 1);
	ck_assert_int_eq(stat(server_path(srv, "sock"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0666);
	close(fd);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	ck_assert(!server_has_file(srv, "sock"));
	server_end(srv);
}
END_TEST

START_TEST(clients_in_the_queue_of_a_removed_socket_are_served)
{
	struct server *srv = server_start("workers = 1;", UNIX);
	pid_t worker = server_worker(srv, 0);
	int fds[WAITING];

	fill_queue(srv, worker, fds);
	ck_assert_int_eq(unlink(server_path(srv, "sock")), 0);
	server_signal(srv, SIGHUP);
	await(server_has_file(srv, "sock"));
	ck_assert_int_eq(kill(worker, SIGCONT), 0);
	for (int i = 0; i < WAITING; i++) {
		client_expect_text_frame(fds[i], "waiting");
		client_echo(fds[i], "here");
	}
	server_expect(srv, "event=reload_done");
	expect_echo(unix_address(srv));
	for (int i = 0; i < WAITING; i++) {
		client_echo(fds[i], "still here");
		close(fds[i]);
	}
	server_end(srv);
}
END_TEST

START_TEST(a_socket_file_of_another_server_refuses_a_reload)
{
	struct server *srv = server_start("workers = 1;", UNIX);
	int fd = client_connect_text(unix_address(srv)), other;

	ck_assert_int_eq(unlink(server_path(srv, "sock")), 0);
	other = make_unix_socket(srv, true);
	server_expect(srv, "error event=listen error=\"another file has taken "
	    "the place of the socket file\"");
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "error event=reload_refused"), "Address already in use"));
	client_echo(fd, "still here");
	/* What the other one leaves is in nobody's way. */
	close(other);
	ck_assert(server_has_file(srv, "sock"));
	server_reload(srv);
	expect_echo(unix_address(srv));
	client_echo(fd, "still here");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(an_upgrade_brings_a_removed_socket_file_back)
{
	struct server *srv = server_new();
	int fd;

	server_install(srv, "penstock");
	server_configure(srv, "workers = 1;", UNIX);
	server_launch(srv);
	server_await_ready(srv);
	fd = client_connect_text(unix_address(srv));
	ck_assert_int_eq(unlink(server_path(srv, "sock")), 0);
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_done kind=upgrade");
	expect_echo(unix_address(srv));
	client_echo(fd, "still here");
	close(fd);
	server_end(srv);
}
END_TEST

/* IPv6 has but one loopback address, so there the port is the test's own. */
static const char *
own_port(void)
{
	static char text[16];

	snprintf(text, sizeof(text), "%u", 10000 + (unsigned)getpid() % 20000);
	return (text);
}

static bool
has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has = fd != -1 && access("/proc/net/if_inet6", R_OK) == 0;

	if (fd != -1)
		close(fd);
	if (!has)
		printf("no IPv6 here: not tested\n");
	return (has);
}

START_TEST(ipv6_is_served)
{
	struct server *srv;
	char listener[256], address[64];

	if (!has_ipv6())
		return;
	snprintf(address, sizeof(address), "[::1]:%s", own_port());
	snprintf(listener, sizeof(listener), AT("six", "\"%s\""), address);
	srv = server_start("workers = 2;", listener);
	expect_echo(address);
	server_expect(srv, "event=conn_open listener=six");
	ck_assert_ptr_nonnull(strstr(srv->line, "peer=[::1]:"));
	server_end(srv);
}
END_TEST

START_TEST(a_star_is_every_address_of_both_families)
{
	struct server *srv;
	char listener[256], address[64];

	if (!has_ipv6())
		return;
	snprintf(listener, sizeof(listener), AT("all", "\"*:%s\""),
	    own_port());
	srv = server_start("workers = 2;", listener);
	snprintf(address, sizeof(address), "[::1]:%s", own_port());
	expect_echo(address);
	snprintf(address, sizeof(address), "%s:%s", own_address(),
	    own_port());
	expect_echo(address);
	server_end(srv);
}
END_TEST

START_TEST(a_listener_has_many_addresses)
{
	struct server *srv = server_start("workers = 2;", AT("many",
	    "[ \"$A:9000\", \"$A:9001\", \"unix:$D/sock\" ]"));
	int fd;

	for (unsigned port = FRAME_PORT; port <= LINE_PORT; port++) {
		fd = client_connect(port);
		client_echo(fd, "hello");
		close(fd);
	}
	expect_echo(unix_address(srv));
	await(server_count(srv, "event=conn_close listener=many") == 3);
	server_end(srv);
}
END_TEST

START_TEST(a_port_that_another_server_has_is_not_shared_with_it)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	char said[4096];
	int fd;

	/* With SO_REUSEPORT the kernel would let a second one in. */
	server_write(srv, "conf2", "workers = 2;\n"
	    "listeners = (" FRAMES("") ");\n");
	ck_assert_int_eq(server_run(srv, said, sizeof(said), "-c", "conf2",
	    NULL), 1);
	ck_assert_msg(strstr(said, "9000") != NULL, "%s", said);
	for (int i = 0; i < 20; i++) {
		fd = client_connect(FRAME_PORT);
		client_echo(fd, "still one server");
		close(fd);
	}
	server_end(srv);
}
END_TEST

/*
 * Descriptors.
 */

enum { STRAY = 77, FDS_MAX = 128 };

/* What a careless parent would leave open for us. */
static void
leave_open(void)
{
	int fd = open("/etc/passwd", O_RDONLY);

	dup2(fd, STRAY);
	dup2(fd, STRAY + 1);
	close(fd);
}

static bool
is(const struct proc_fd *fd, const char *start)
{
	return (strncmp(fd->target, start, strlen(start)) == 0);
}

static unsigned
count_sockets(pid_t pid)
{
	struct proc_fd fds[FDS_MAX];
	size_t n = proc_fds(pid, fds, FDS_MAX);
	unsigned sockets = 0;

	for (size_t i = 0; i < n && i < FDS_MAX; i++)
		sockets += is(&fds[i], "socket:");
	return (sockets);
}

/* Whether it is the pipe that a logger reads from. */
static bool
is_log_pipe(const struct server *srv, const char *target)
{
	struct proc_fd fds[FDS_MAX];
	pid_t logger;
	size_t n;

	if (proc_loggers(srv->master, &logger, 1) == 0)
		return (false);
	n = proc_fds(logger, fds, FDS_MAX);
	for (size_t i = 0; i < n; i++)
		if (fds[i].number > 2 && strcmp(fds[i].target, target) == 0)
			return (true);
	return (false);
}

/* Everything that a worker has open has a reason. */
static void
check_descriptors(struct server *srv, pid_t pid, unsigned listening)
{
	struct proc_fd fds[FDS_MAX];
	unsigned logs = 0, polls = 0, pipes = 0;
	const char *pipe = NULL;
	size_t n;

	/* Its own listening sockets, the channel, and the places that the
	 * channel keeps free for what arrives on it, but while it does; and the
	 * channel of its anchor with one such place. */
	await(count_sockets(pid) == listening + 1 + CTL_FDS_MAX + 2);
	n = proc_fds(pid, fds, FDS_MAX);
	ck_assert_uint_ge(n, 3);
	for (size_t i = 0; i < n; i++) {
		if (fds[i].number <= 2)
			ck_assert_int_eq(fds[i].number, (int)i);
		else if (is(&fds[i], "pipe:") && is_log_pipe(srv,
		    fds[i].target))
			logs++;
		else if (is(&fds[i], "anon_inode:[eventpoll]"))
			polls++;
		else if (is(&fds[i], "socket:"))
			continue;
		else if (is(&fds[i], "pipe:") && (pipe == NULL ||
		    strcmp(pipe, fds[i].target) == 0)) {
			pipe = fds[i].target;
			pipes++;
		} else
			ck_abort_msg("descriptor %d of a worker is %s",
			    fds[i].number, fds[i].target);
	}
	ck_assert_uint_eq(logs, 1);
	ck_assert_uint_eq(polls, 1);
	/* Both ends of the one that libevent makes for signals. */
	ck_assert_uint_le(pipes, 2);
}

START_TEST(a_worker_has_its_own_descriptors_and_no_others)
{
	struct server *srv = server_new();

	srv->prepare = leave_open;
	srv->expects_deaths = true;
	server_configure(srv, "workers = 3;", FRAMES("") ",\n" LINES("") ",\n"
	    UNIX);
	server_launch(srv);
	server_await_ready(srv);
	for (unsigned slot = 0; slot < 3; slot++)
		check_descriptors(srv, server_worker(srv, slot), 3);
	/* Nor has one that was forked later, when there is more to inherit. */
	server_reload(srv);
	await(server_children(srv) == 3);
	for (unsigned slot = 0; slot < 3; slot++)
		check_descriptors(srv, server_worker(srv, slot), 3);
	for (unsigned slot = 0; slot < 3; slot++) {
		pid_t old = server_worker(srv, slot);

		ck_assert_int_eq(kill(old, SIGKILL), 0);
		check_descriptors(srv, server_await_successor(srv, slot, old),
		    3);
	}
	/* And one that stands for three has their sockets, but for the one
	 * that all share. */
	server_configure(srv, "workers = 1;", FRAMES("") ",\n" LINES("") ",\n"
	    UNIX);
	server_reload(srv);
	await(server_children(srv) == 1);
	check_descriptors(srv, server_worker(srv, 0), 2 * 3 + 1);
	server_end(srv);
}
END_TEST

/* Reload, and wait until nothing of the old workers is left in the master. */
static void
reload_wholly(struct server *srv)
{
	unsigned before = server_count(srv, "event=worker_exit");

	server_reload(srv);
	await(server_count(srv, "event=worker_exit") == before + 2);
}

START_TEST(the_master_s_descriptors_do_not_grow_with_reloads)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));
	size_t before;

	reload_wholly(srv);
	before = proc_fds(srv->master, NULL, 0);
	for (int i = 0; i < 10; i++)
		reload_wholly(srv);
	/* The end of a worker is logged before all of it is closed. */
	await(proc_fds(srv->master, NULL, 0) <= before);
	server_end(srv);
}
END_TEST

static void
close_standard(void)
{
	close(0);
	close(1);
	close(2);
}

/* Of another server a log line once went to a client then: nginx#1368. */
START_TEST(closed_standard_descriptors_are_not_reused)
{
	struct server *srv = server_new();
	struct proc_fd fds[3];
	pid_t pids[2];
	int fd;

	srv->prepare = close_standard;
	server_configure(srv, "workers = 1;", FRAMES(""));
	server_launch(srv);
	server_await_ready(srv);
	pids[0] = srv->master;
	pids[1] = server_worker(srv, 0);
	for (int who = 0; who < 2; who++) {
		ck_assert_uint_ge(proc_fds(pids[who], fds, 3), 3);
		for (int i = 0; i < 3; i++) {
			ck_assert_int_eq(fds[i].number, i);
			ck_assert_str_eq(fds[i].target, "/dev/null");
		}
	}
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "hello");
	client_send(fd, "\0\0\0\0", 4);
	client_expect_text_frame(fd, ERR_MALFORMED);
	client_expect_eof(fd);
	close(fd);
	server_end(srv);
}
END_TEST

RUN_TESTS("sockets",
    a_unix_socket_serves_and_is_removed_at_the_end,
    a_stale_unix_socket_is_replaced,
    a_unix_socket_in_use_is_not_replaced,
    a_regular_file_at_the_sockets_path_is_not_replaced,
    a_unix_socket_survives_reloads_and_goes_with_its_listener,
    a_killed_worker_loses_no_client_in_a_unix_sockets_queue,
    a_socket_file_that_was_removed_is_reported_and_comes_back,
    clients_in_the_queue_of_a_removed_socket_are_served,
    a_socket_file_of_another_server_refuses_a_reload,
    an_upgrade_brings_a_removed_socket_file_back,
    ipv6_is_served,
    a_star_is_every_address_of_both_families,
    a_listener_has_many_addresses,
    a_port_that_another_server_has_is_not_shared_with_it,
    a_worker_has_its_own_descriptors_and_no_others,
    the_master_s_descriptors_do_not_grow_with_reloads,
    closed_standard_descriptors_are_not_reused)
