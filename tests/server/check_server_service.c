/* SPDX-License-Identifier: ISC */
/*
 * What an administrator and a service manager see: the pid file, the messages
 * to NOTIFY_SOCKET, the process titles, and as whom the processes run.
 */
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

/*
 * The pid file.
 */

START_TEST(the_pid_file_exists_while_the_server_runs)
{
	struct server *srv = server_start("workers = 2;", FRAMES(""));

	/* "ready" was just logged: by then it is. */
	ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")), srv->master);
	server_reload(srv);
	ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")), srv->master);
	server_counters(srv);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	ck_assert(!server_has_file(srv, "penstock.pid"));
	server_end(srv);
}
END_TEST

/* Who waits for the pid file may connect when it is there. */
START_TEST(all_workers_accept_before_the_pid_file_is_there)
{
	enum { N = 40 };
	struct server *srv;
	int fds[N];

	for (int round = 0; round < 5; round++) {
		srv = server_new();
		server_configure(srv, "workers = 8;", FRAMES(""));
		server_launch(srv);
		/* Come at once, not when await() would look again. */
		while (!server_has_file(srv, "penstock.pid")) {
			ck_assert(!proc_is_dead(srv->master));
			pause_us(100);
		}
		ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")),
		    srv->master);
		for (int i = 0; i < N; i++)
			fds[i] = client_connect(FRAME_PORT);
		for (int i = 0; i < N; i++) {
			client_echo(fds[i], "hello");
			close(fds[i]);
		}
		server_end(srv);
	}
}
END_TEST

START_TEST(a_stale_pid_file_does_not_prevent_a_start)
{
	static const char *const stale[] = { "1\n", "999999\n", "", "junk" };
	struct server *srv;

	for (int i = 0; i < 4; i++) {
		srv = server_new();
		server_write(srv, "penstock.pid", stale[i]);
		server_configure(srv, "workers = 1;", FRAMES(""));
		server_launch(srv);
		server_await_ready(srv);
		ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")),
		    srv->master);
		server_end(srv);
	}
}
END_TEST

START_TEST(a_pid_file_whose_owner_lives_refuses_a_second_server)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	char said[4096];

	server_write(srv, "conf2", "pid_file = \"penstock.pid\";\n"
	    "listeners = (" LINES("") ");\n");
	ck_assert_int_eq(server_run(srv, said, sizeof(said), "-c", "conf2",
	    NULL), 1);
	ck_assert_msg(strstr(said, "penstock.pid") != NULL, "%s", said);
	ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")), srv->master);
	server_end(srv);
}
END_TEST

START_TEST(the_pid_file_of_a_killed_master_is_free_when_it_is_dead)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	/* A worker that still drains does not hold it. */
	client_echo(fd, "I stay");
	server_signal(srv, SIGKILL);
	server_await_exit(srv, 128 + SIGKILL);
	server_expect(srv, "event=worker_drain");
	server_mark(srv);
	server_launch(srv);
	server_await_ready(srv);
	ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")), srv->master);
	client_echo(fd, "and am served");
	close(fd);
	server_end(srv);
}
END_TEST

static void
name_pid_file(struct server *srv, const char *name)
{
	char text[1024];

	snprintf(text, sizeof(text), "workers = 1; pid_file = \"%s\";\n"
	    "log = { file = \"log\"; }; monitor = { enabled = false; };\n"
	    "listeners = (" FRAMES("") ");\n", name);
	server_write(srv, "conf", text);
}

START_TEST(a_reload_moves_the_pid_file)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));

	name_pid_file(srv, "moved.pid");
	server_reload(srv);
	ck_assert(!server_has_file(srv, "penstock.pid"));
	ck_assert_int_eq(atoi(server_file(srv, "moved.pid")), srv->master);
	server_mark(srv);
	ck_assert_int_eq(server_run(srv, NULL, 0, "-c", "conf", "-s", "reload",
	    NULL), 0);
	server_expect(srv, "event=reload_done");
	/* Another name of the same file. */
	name_pid_file(srv, "./moved.pid");
	server_reload(srv);
	ck_assert_int_eq(atoi(server_file(srv, "moved.pid")), srv->master);
	name_pid_file(srv, "");
	server_reload(srv);
	ck_assert(!server_has_file(srv, "moved.pid"));
	name_pid_file(srv, "penstock.pid");
	server_reload(srv);
	ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")), srv->master);
	ck_assert(!server_has_file(srv, "penstock.pid.starting"));
	server_end(srv);
}
END_TEST

static void
expect_refused_reload(struct server *srv, const char *why)
{
	server_mark(srv);
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "error event=reload_refused"), why));
	ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")), srv->master);
}

START_TEST(a_reload_whose_pid_file_cannot_be_had_is_refused)
{
	struct server *srv = server_start("workers = 1;", FRAMES(""));
	int fd;

	name_pid_file(srv, "none/such");
	expect_refused_reload(srv, "pid file none/such");
	server_write(srv, "taken", "1\n");
	fd = open(server_path(srv, "taken"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	name_pid_file(srv, "taken");
	expect_refused_reload(srv, "pid file taken: process 1 has it");
	ck_assert(!server_has_file(srv, "taken.starting"));
	close(fd);
	/* This one is found out when it is to be put in its place. */
	ck_assert_int_eq(mkdir(server_path(srv, "dir"), 0755), 0);
	name_pid_file(srv, "dir");
	expect_refused_reload(srv, "pid file dir");
	ck_assert(!server_has_file(srv, "dir.starting"));
	/* Nor does a refusal for another reason leave one. */
	fd = take_port(EXTRA_PORT);
	server_write(srv, "conf", "workers = 1; pid_file = \"moved.pid\";\n"
	    "log = { file = \"log\"; }; monitor = { enabled = false; };\n"
	    "listeners = (" FRAMES("") ",\n" EXTRA("") ");\n");
	expect_refused_reload(srv, "in use");
	ck_assert(!server_has_file(srv, "moved.pid"));
	ck_assert(!server_has_file(srv, "moved.pid.starting"));
	close(fd);
	server_reload(srv);
	ck_assert_int_eq(atoi(server_file(srv, "moved.pid")), srv->master);
	server_end(srv);
}
END_TEST

START_TEST(a_roll_back_moves_the_pid_file_back)
{
	struct server *srv = server_start("workers = 1; probation = 60.0;",
	    FRAMES(""));
	pid_t worker;

	srv->expects_deaths = true;
	server_write(srv, "conf", "workers = 1; pid_file = \"moved.pid\";\n"
	    "log = { file = \"log\"; }; monitor = { enabled = false; };\n"
	    "probation = 60.0; listeners = (" FRAMES("") ");\n");
	server_reload(srv);
	ck_assert_int_eq(atoi(server_file(srv, "moved.pid")), srv->master);
	for (int i = 0; i < 3; i++) {
		worker = server_worker(srv, 0);
		ck_assert_int_eq(kill(worker, SIGKILL), 0);
		server_await_successor(srv, 0, worker);
	}
	server_expect(srv, "event=reload_done kind=rollback");
	ck_assert(!server_has_file(srv, "moved.pid"));
	ck_assert_int_eq(atoi(server_file(srv, "penstock.pid")), srv->master);
	server_end(srv);
}
END_TEST

/*
 * The service manager.
 */

static int manager = -1;
static char manager_path[128];

static void
name_manager(void)
{
	setenv("NOTIFY_SOCKET", manager_path, 1);
}

static void
open_manager(struct server *srv, bool abstract)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len;

	snprintf(manager_path, sizeof(manager_path), "%s%s",
	    abstract ? "@" : "", server_path(srv, "notify"));
	strcpy(address.sun_path, manager_path);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    strlen(manager_path));
	if (abstract)
		address.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(manager, (void *)&address, len), 0);
	srv->prepare = name_manager;
}

/* The next message that says a thing; others may come before it. */
static const char *
expect_notice(const char *line)
{
	struct pollfd wait = { .fd = manager, .events = POLLIN };
	static char text[1024], lines[1028];
	char wanted[128];
	ssize_t n;

	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	for (;;) {
		ck_assert_msg(poll(&wait, 1, (int)patience_ms()) == 1,
		    "waited in vain for the message %s", line);
		n = recv(manager, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		snprintf(lines, sizeof(lines), "\n%s\n", text);
		if (strstr(lines, wanted) != NULL)
			return (lines);
	}
}

static bool
has_line(const char *lines, const char *start)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), "\n%s", start);
	return (strstr(lines, wanted) != NULL);
}

static void
live_under_a_manager(bool abstract)
{
	struct server *srv = server_new();
	uint64_t before_us, said_us;
	const char *notice;

	open_manager(srv, abstract);
	server_configure(srv, "workers = 2;", FRAMES(""));
	server_launch(srv);
	notice = expect_notice("READY=1");
	ck_assert(has_line(notice, "STATUS="));
	server_expect(srv, "event=ready");
	before_us = clock_us();
	server_signal(srv, SIGHUP);
	notice = expect_notice("RELOADING=1");
	/* Without this number a manager does not know which is newer. */
	ck_assert(has_line(notice, "MONOTONIC_USEC="));
	said_us = strtoull(strstr(notice, "MONOTONIC_USEC=") + 15, NULL, 10);
	ck_assert(said_us >= before_us && said_us <= clock_us());
	expect_notice("READY=1");
	server_counters(srv);
	server_signal(srv, SIGTERM);
	expect_notice("STOPPING=1");
	server_await_exit(srv, 0);
	close(manager);
	server_end(srv);
}

START_TEST(a_service_manager_is_told_of_start_reload_and_stop)
{
	live_under_a_manager(false);
}
END_TEST

START_TEST(a_service_manager_at_an_abstract_address_is_told_too)
{
	live_under_a_manager(true);
}
END_TEST

START_TEST(a_refused_reload_ends_for_the_service_manager_too)
{
	struct server *srv = server_new();

	open_manager(srv, false);
	server_configure(srv, "workers = 1;", FRAMES(""));
	server_launch(srv);
	expect_notice("READY=1");
	server_write(srv, "conf", "nonsense");
	server_signal(srv, SIGHUP);
	expect_notice("RELOADING=1");
	expect_notice("READY=1");
	close(manager);
	server_end(srv);
}
END_TEST

START_TEST(a_deaf_service_manager_delays_nothing)
{
	struct server *srv = server_new();

	open_manager(srv, false);
	close(manager);
	server_configure(srv, "workers = 1;", FRAMES(""));
	server_launch(srv);
	server_await_ready(srv);
	server_expect(srv, "warn event=notify_failed");
	server_reload(srv);
	server_end(srv);
}
END_TEST

/*
 * Processes.
 */

START_TEST(process_titles_show_role_slot_and_generation)
{
	struct server *srv = server_start("workers = 2;",
	    FRAMES("") ",\n" EXTRA(""));
	int fd = client_connect(EXTRA_PORT);
	pid_t old[2], busy;

	client_echo(fd, "hello");
	await(proc_title_is(srv->master, "penstock: master gen=1"));
	await(proc_title_is(server_worker(srv, 0), "penstock: worker slot=0 gen=1"));
	await(proc_title_is(server_worker(srv, 1), "penstock: worker slot=1 gen=1"));
	old[0] = server_worker(srv, 0);
	old[1] = server_worker(srv, 1);
	server_configure(srv, "workers = 2;", FRAMES(""));
	server_reload(srv);
	await(proc_title_is(srv->master, "penstock: master gen=2"));
	await(proc_title_is(server_worker(srv, 0), "penstock: worker slot=0 gen=2"));
	/* A worker with a connection that cannot be handed over stays. */
	await(server_children(srv) == 3);
	busy = proc_is_dead(old[0]) ? old[1] : old[0];
	await(proc_title_is(busy, busy == old[0] ?
	    "penstock: worker slot=0 gen=1 draining" :
	    "penstock: worker slot=1 gen=1 draining"));
	client_send(fd, "\0\0\0\1", 4);
	await(server_counters(srv).bytes_in == 9 + 4);
	server_signal(srv, SIGTERM);
	await(proc_title_is(srv->master, "penstock: master gen=2 stopping"));
	client_send(fd, "x", 1);
	client_expect_text_frame(fd, "x");
	close(fd);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

/* A line of /proc/PID/status, without the key. */
static const char *
status_of(pid_t pid, const char *key)
{
	static char line[512];
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	ck_assert_ptr_nonnull(file = fopen(path, "re"));
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			break;
	fclose(file);
	return (line + strlen(key));
}

START_TEST(only_the_master_stays_root)
{
	const struct passwd *nobody = getpwnam("nobody");
	struct server *srv;
	char ids[64];
	int fd;

	if (geteuid() != 0 || nobody == NULL) {
		printf("not root: not tested\n");
		return;
	}
	srv = server_start("workers = 1; user = \"nobody\";", FRAMES(""));
	snprintf(ids, sizeof(ids), "\t%u\t%u\t%u\t%u\n", nobody->pw_uid,
	    nobody->pw_uid, nobody->pw_uid, nobody->pw_uid);
	ck_assert_str_eq(status_of(server_worker(srv, 0), "Uid:"), ids);
	snprintf(ids, sizeof(ids), "\t%u\t%u\t%u\t%u\n", nobody->pw_gid,
	    nobody->pw_gid, nobody->pw_gid, nobody->pw_gid);
	ck_assert_str_eq(status_of(server_worker(srv, 0), "Gid:"), ids);
	snprintf(ids, sizeof(ids), "\t%u \n", nobody->pw_gid);
	ck_assert_str_eq(status_of(server_worker(srv, 0), "Groups:"), ids);
	ck_assert_str_eq(status_of(server_worker(srv, 0), "NoNewPrivs:"),
	    "\t1\n");
	ck_assert_str_eq(status_of(server_worker(srv, 0), "CapEff:"),
	    "\t0000000000000000\n");
	ck_assert_str_eq(status_of(srv->master, "Uid:"), "\t0\t0\t0\t0\n");
	fd = client_connect(FRAME_PORT);
	client_echo(fd, "hello");
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(cpu_affinity_puts_workers_on_cpus_of_their_own)
{
	struct server *srv = server_start("workers = 2; cpu_affinity = true;",
	    FRAMES(""));
	char first[64];

	snprintf(first, sizeof(first), "%s",
	    status_of(server_worker(srv, 0), "Cpus_allowed_list:"));
	ck_assert_ptr_null(strpbrk(first, ",-"));
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		ck_assert_str_ne(first, status_of(server_worker(srv, 1),
		    "Cpus_allowed_list:"));
	server_end(srv);
}
END_TEST

RUN_TESTS("service",
    the_pid_file_exists_while_the_server_runs,
    all_workers_accept_before_the_pid_file_is_there,
    a_stale_pid_file_does_not_prevent_a_start,
    a_pid_file_whose_owner_lives_refuses_a_second_server,
    the_pid_file_of_a_killed_master_is_free_when_it_is_dead,
    a_reload_moves_the_pid_file,
    a_reload_whose_pid_file_cannot_be_had_is_refused,
    a_roll_back_moves_the_pid_file_back,
    a_service_manager_is_told_of_start_reload_and_stop,
    a_service_manager_at_an_abstract_address_is_told_too,
    a_refused_reload_ends_for_the_service_manager_too,
    a_deaf_service_manager_delays_nothing,
    process_titles_show_role_slot_and_generation,
    only_the_master_stays_root,
    cpu_affinity_puts_workers_on_cpus_of_their_own)
