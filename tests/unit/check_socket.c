/* SPDX-License-Identifier: ISC */
/*
 * Holds master/socket.c to master/socket.h, on an address that no other test
 * uses.
 */
#include "master/socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/why.h"
#include "master/address_lock.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

enum {
	PORT = 9000,
	OTHER_PORT = 9001,
	SLOTS = 4,
	MANY = 400,		/* connections, where their spread matters */
	ADDRESSES_MAX = 4,
};

static struct sockets sockets;
static char dir[64], path[128];
static struct why why;

/* A configuration of one listener for each address. */
static struct conf conf;
static struct conf_listener listeners[ADDRESSES_MAX];
static struct conf_address addresses[ADDRESSES_MAX];
static char names[][8] = { "first", "second", "third", "fourth" };

static void
forget_addresses(void)
{
	conf = (struct conf){ .listeners = listeners };
}

static void
add_address(const char *text)
{
	struct conf_address into[2];
	const char *must;
	size_t i = conf.nlisteners++;

	ck_assert_uint_lt(i, ADDRESSES_MAX);
	ck_assert_uint_eq(conf_addr_parse(text, into, &must), 1);
	addresses[i] = into[0];
	listeners[i] = (struct conf_listener){
		.name = names[i],
		.addresses = &addresses[i],
		.naddresses = 1,
		.backlog = 511,
		.nodelay = true,
	};
}

static void
add_port(unsigned port)
{
	char text[64];

	snprintf(text, sizeof(text), "%s:%u", own_address(), port);
	add_address(text);
}

static void
add_path(void)
{
	char text[160];

	snprintf(text, sizeof(text), "unix:%s", path);
	add_address(text);
}

/* A configuration with one port. */
static void
start(void)
{
	log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	sockets = (struct sockets){ .groups = NULL };
	strcpy(dir, "/tmp/check_socket.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	why_set(&why, "nothing was said");
	forget_addresses();
	add_port(PORT);
}

static void
finish(void)
{
	sockets_close(&sockets);
	forget_addresses();
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void
prepare(unsigned slots)
{
	ck_assert_msg(sockets_prepare(&sockets, &conf, slots, &why) == 0,
	    "%s", why.text);
}

static void
begin_listening(void)
{
	ck_assert_msg(sockets_listen(&sockets, &conf, &why) == 0, "%s",
	    why.text);
}

static void
open_all(unsigned slots)
{
	prepare(slots);
	begin_listening();
	sockets_commit(&sockets, &conf, slots);
}

static void
expect_refused(unsigned slots, int error, const char *text)
{
	ck_assert_int_eq(sockets_prepare(&sockets, &conf, slots, &why), -1);
	ck_assert_int_eq(errno, error);
	ck_assert_str_eq(why.text, text);
}

static size_t
count_fds(void)
{
	return (proc_fds(getpid(), NULL, 0));
}

static bool
exists(void)
{
	struct stat st;

	return (lstat(path, &st) == 0);
}

/*
 * Clients.
 */

/* Returns a socket, or -1 with errno set. */
static int
connect_to(const struct conf_address *address)
{
	int fd = socket(address->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int saved;

	ck_assert_int_ge(fd, 0);
	if (connect(fd, (const struct sockaddr *)&address->addr,
	    address->len) == 0)
		return (fd);
	saved = errno;
	close(fd);
	errno = saved;
	return (-1);
}

static int
connect_or_fail(void)
{
	int fd = connect_to(&addresses[0]);

	ck_assert_msg(fd >= 0, "no connect: %s", strerror(errno));
	return (fd);
}

static void
expect_no_connect(const struct conf_address *address)
{
	ck_assert_int_eq(connect_to(address), -1);
	ck_assert(errno == ECONNREFUSED || errno == ENOENT);
}

/* Take all that is queued on a socket.  Returns how many that were. */
static unsigned
drain(int fd)
{
	unsigned n = 0;
	int client;

	while ((client = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		close(client);
		n++;
	}
	ck_assert(errno == EAGAIN || errno == EWOULDBLOCK);
	return (n);
}

/* What the sockets of a slot's worker have queued, of so many slots. */
static unsigned
drain_slot(unsigned slot, unsigned slots)
{
	struct heritage_socket *ours;
	unsigned sum = 0;
	size_t n;

	ours = sockets_for(&sockets, &conf, slot, slots, false, &n);
	ck_assert_ptr_nonnull(ours);
	for (size_t i = 0; i < n; i++)
		sum += drain(ours[i].fd);
	free(ours);
	return (sum);
}

/* Connect so many times; how many each of SLOTS sockets gets.  Sockets of slots
 * that are not there count as 0. */
static void
count_newcomers(unsigned n, unsigned got[SLOTS])
{
	unsigned sum = 0;

	for (unsigned i = 0; i < n; i++)
		close(connect_or_fail());
	for (unsigned slot = 0; slot < SLOTS; slot++)
		sum += got[slot] = drain_slot(slot, SLOTS);
	ck_assert_uint_eq(sum, n);
}

/* About as many as each of so many would get: within six standard
 * deviations. */
static void
expect_share(unsigned got, unsigned of, unsigned among)
{
	unsigned mean = of / among, slack = 0;

	while (slack * slack < 36 * mean)
		slack++;
	ck_assert_uint_ge(got + slack, mean);
	ck_assert_uint_le(got, mean + slack);
}

/* "101": slots 0 and 2 have a worker. */
static void
steer(const char *slots)
{
	bool live[SLOTS];
	unsigned n = (unsigned)strlen(slots);

	for (unsigned i = 0; i < n; i++)
		live[i] = slots[i] == '1';
	sockets_steer(&sockets, live, n);
}

/*
 * Preparing.
 */

START_TEST(what_is_prepared_is_bound_and_does_not_listen)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct heritage_socket *ours;
	size_t n;

	start();
	prepare(SLOTS);
	expect_no_connect(&addresses[0]);
	ours = sockets_for(&sockets, &conf, 0, SLOTS, true, &n);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(getsockname(ours[0].fd, (struct sockaddr *)&addr,
	    &len), 0);
	ck_assert_uint_eq(len, addresses[0].len);
	ck_assert_mem_eq(&addr, &addresses[0].addr, len);
	free(ours);
	finish();
}
END_TEST

START_TEST(what_is_prepared_is_undone_without_a_trace)
{
	unsigned before;

	start();
	add_port(OTHER_PORT);
	add_path();
	before = count_fds();
	prepare(SLOTS);
	ck_assert_uint_eq(count_fds(), before + 2 * SLOTS + 1 + 3);
	sockets_undo(&sockets);
	ck_assert_uint_eq(count_fds(), before);
	ck_assert_uint_eq(sockets.n, 0);
	ck_assert(!exists());
	for (int i = 0; i < 3; i++)
		expect_no_connect(&addresses[i]);
	open_all(1);
	finish();
}
END_TEST

START_TEST(to_undo_nothing_does_nothing)
{
	unsigned before;

	start();
	sockets_undo(&sockets);
	open_all(SLOTS);
	before = count_fds();
	sockets_undo(&sockets);
	prepare(SLOTS);
	sockets_undo(&sockets);
	ck_assert_uint_eq(count_fds(), before);
	close(connect_or_fail());
	finish();
}
END_TEST

START_TEST(what_is_undone_leaves_what_is_committed_as_it_was)
{
	unsigned before, got[SLOTS];
	int client;

	start();
	open_all(2);
	before = count_fds();
	client = connect_or_fail();
	add_port(OTHER_PORT);
	prepare(SLOTS);
	ck_assert_uint_eq(count_fds(), before + 1 + 2 + SLOTS + 1);
	sockets_undo(&sockets);
	ck_assert_uint_eq(count_fds(), before + 1);
	expect_no_connect(&addresses[1]);
	ck_assert_uint_eq(drain_slot(0, 2) + drain_slot(1, 2), 1);
	close(client);
	count_newcomers(40, got);
	ck_assert_uint_eq(got[0] + got[1], 40);
	finish();
}
END_TEST

START_TEST(sockets_do_not_block_and_are_closed_on_exec)
{
	struct heritage_socket *ours;
	size_t n;

	start();
	add_path();
	open_all(1);
	ours = sockets_for(&sockets, &conf, 0, 1, false, &n);
	ck_assert_uint_eq(n, 2);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(fcntl(ours[i].fd, F_GETFD), FD_CLOEXEC);
		ck_assert_int_ne(fcntl(ours[i].fd, F_GETFL) & O_NONBLOCK, 0);
	}
	free(ours);
	finish();
}
END_TEST

/*
 * What is in the way.
 */

static int
listen_elsewhere(const struct conf_address *address, int option)
{
	int fd = socket(address->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	ck_assert_int_ge(fd, 0);
	if (option != 0)
		ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, option, &on,
		    sizeof(on)), 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address->addr,
	    address->len), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	return (fd);
}

static void
expect_in_use(int option)
{
	char text[160];
	int other;

	start();
	add_port(OTHER_PORT);
	other = listen_elsewhere(&addresses[1], option);
	snprintf(text, sizeof(text), "listener second cannot have address "
	    "%s:%d: Address already in use", own_address(), OTHER_PORT);
	expect_refused(SLOTS, EADDRINUSE, text);
	/* And the first one is undone. */
	ck_assert_uint_eq(sockets.n, 0);
	expect_no_connect(&addresses[0]);
	close(other);
	open_all(SLOTS);
	finish();
}

START_TEST(an_address_in_use_is_refused)
{
	expect_in_use(0);
	expect_in_use(SO_REUSEADDR);
}
END_TEST

START_TEST(an_address_in_use_with_reuseport_is_refused)
{
	expect_in_use(SO_REUSEPORT);
}
END_TEST

START_TEST(an_address_that_the_host_does_not_have_is_refused)
{
	start();
	forget_addresses();
	add_address("192.0.2.1:9000");
	expect_refused(1, EADDRNOTAVAIL, "listener first cannot have address "
	    "192.0.2.1:9000: Cannot assign requested address");
	finish();
}
END_TEST

START_TEST(an_address_in_use_refuses_the_new_and_leaves_the_old)
{
	int other;

	start();
	open_all(2);
	add_port(OTHER_PORT);
	other = listen_elsewhere(&addresses[1], 0);
	ck_assert_int_eq(sockets_prepare(&sockets, &conf, SLOTS, &why), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	close(other);
	close(connect_or_fail());
	ck_assert_uint_eq(drain_slot(0, 2) + drain_slot(1, 2), 1);
	finish();
}
END_TEST

START_TEST(a_port_can_be_had_again_at_once)
{
	int client;

	start();
	for (int i = 0; i < 3; i++) {
		open_all(2);
		/* Closed by us first: it waits on our side. */
		client = connect_or_fail();
		drain_slot(0, 2);
		drain_slot(1, 2);
		sockets_close(&sockets);
		close(client);
	}
	finish();
}
END_TEST

START_TEST(half_of_a_wildcard_may_be_missing)
{
	static const struct sockaddr_in6 nowhere = {
		.sin6_family = AF_INET6,
		.sin6_port = 9000,
		/* 2001:db8::1, for documentation: no host has it. */
		.sin6_addr = { .s6_addr = { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
	};
	struct heritage_socket *ours;
	size_t n;

	start();
	add_address("[2001:db8::1]:9000");
	memcpy(&addresses[1].addr, &nowhere, sizeof(nowhere));
	ck_assert_int_eq(sockets_prepare(&sockets, &conf, SLOTS, &why), -1);
	addresses[1].from_wildcard = true;
	open_all(SLOTS);
	close(connect_or_fail());
	ours = sockets_for(&sockets, &conf, 0, SLOTS, false, &n);
	ck_assert_uint_eq(n, 1);
	free(ours);
	sockets_undo(&sockets);
	close(connect_or_fail());
	finish();
}
END_TEST

/*
 * The wildcard and an address of its own, on one port.
 */

static void
add_wild_and_own(char wild[64], char own[64])
{
	/* The wildcard is everybody's, so the port has to be ours. */
	unsigned port = 20000 + own_address_number() % 10000;

	snprintf(wild, 64, "0.0.0.0:%u", port);
	snprintf(own, 64, "%s:%u", own_address(), port);
}

static void
change_address(const char *text)
{
	forget_addresses();
	add_address(text);
	open_all(2);
}

START_TEST(an_address_can_become_the_wildcard_and_back)
{
	char wild[64], own[64];

	start();
	add_wild_and_own(wild, own);
	for (int i = 0; i < 2; i++) {
		change_address(own);
		close(connect_or_fail());
		ck_assert_uint_eq(drain_slot(0, 1), 1);
		change_address(wild);
		close(connect_or_fail());
		ck_assert_uint_eq(drain_slot(0, 1), 1);
	}
	finish();
}
END_TEST

START_TEST(the_wildcard_resets_no_client_that_waits_at_an_address)
{
	char wild[64], own[64];

	start();
	add_wild_and_own(wild, own);
	change_address(own);
	for (int i = 0; i < 4; i++)
		close(connect_or_fail());
	change_address(wild);
	ck_assert_uint_eq(drain_slot(0, 1), 4);
	/* Also where slots are new. */
	open_all(SLOTS);
	close(connect_or_fail());
	ck_assert_uint_eq(drain_slot(0, 1), 1);
	/* Without the wildcard it goes. */
	forget_addresses();
	add_port(PORT);
	open_all(2);
	change_address(wild);
	close(connect_or_fail());
	ck_assert_uint_eq(drain_slot(0, 1), 1);
	finish();
}
END_TEST

START_TEST(the_wildcard_and_an_address_can_be_had_together)
{
	char wild[64], own[64];

	start();
	add_wild_and_own(wild, own);
	forget_addresses();
	add_address(wild);
	add_address(own);
	open_all(2);
	open_all(SLOTS);
	close(connect_or_fail());
	ck_assert_uint_eq(drain_slot(0, 1), 1);
	finish();
}
END_TEST

START_TEST(a_port_of_ours_elsewhere_does_not_hide_that_an_address_is_in_use)
{
	char text[64];
	int other;

	start();
	open_all(2);
	/* Nobody else's: the addresses of tests end below 127.65. */
	snprintf(text, sizeof(text), "127.128%s:%d",
	    strchr(strchr(own_address(), '.') + 1, '.'), PORT);
	add_address(text);
	other = listen_elsewhere(&addresses[1], SO_REUSEPORT);
	ck_assert_int_eq(sockets_prepare(&sockets, &conf, 2, &why), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	close(other);
	finish();
}
END_TEST

/*
 * Listening.
 */

START_TEST(newcomers_can_come_and_wait_before_anything_is_committed)
{
	start();
	prepare(SLOTS);
	begin_listening();
	close(connect_or_fail());
	sockets_commit(&sockets, &conf, SLOTS);
	ck_assert_uint_eq(drain_slot(0, 1), 1);
	finish();
}
END_TEST

START_TEST(what_listens_and_is_not_committed_can_be_undone)
{
	unsigned before;

	start();
	add_path();
	before = count_fds();
	prepare(SLOTS);
	begin_listening();
	sockets_undo(&sockets);
	ck_assert_uint_eq(count_fds(), before);
	for (int i = 0; i < 2; i++)
		expect_no_connect(&addresses[i]);
	ck_assert(!exists());
	finish();
}
END_TEST

START_TEST(what_listens_and_is_undone_leaves_what_is_committed_as_it_was)
{
	unsigned got[SLOTS];

	start();
	open_all(2);
	prepare(SLOTS);
	begin_listening();
	sockets_undo(&sockets);
	steer("11");
	count_newcomers(MANY, got);
	expect_share(got[0], MANY, 2);
	expect_share(got[1], MANY, 2);
	finish();
}
END_TEST

START_TEST(an_address_that_somebody_took_meanwhile_is_told)
{
	char text[160];
	int other;

	start();
	prepare(2);
	/* While nobody listens there, two can have it. */
	other = listen_elsewhere(&addresses[0], SO_REUSEADDR);
	ck_assert_int_eq(sockets_listen(&sockets, &conf, &why), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	snprintf(text, sizeof(text), "listen on %s:%d: Address already in use",
	    own_address(), PORT);
	ck_assert_str_eq(why.text, text);
	sockets_undo(&sockets);
	ck_assert_uint_eq(sockets.n, 0);
	close(other);
	open_all(2);
	finish();
}
END_TEST

/*
 * Locks.
 */

/* Prepare the same once more, as another master would. */
static void
expect_rival(void)
{
	struct sockets rival = { .groups = NULL };
	char text[64];

	ck_assert_int_eq(sockets_prepare(&rival, &conf, 1, &why), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	snprintf(text, sizeof(text), "process %d is about to use it",
	    (int)getpid());
	ck_assert_msg(strstr(why.text, text) != NULL, "%s", why.text);
	ck_assert_uint_eq(rival.n, 0);
	sockets_close(&rival);
}

START_TEST(what_is_prepared_can_not_be_prepared_by_another_master)
{
	char plain[sizeof(path)];

	start();
	for (int i = 0; i < 2; i++) {
		prepare(2);
		expect_rival();
		begin_listening();
		expect_rival();
		sockets_undo(&sockets);
		forget_addresses();
		add_path();
	}
	/* A path can be written in many ways. */
	prepare(1);
	forget_addresses();
	strcpy(plain, path);
	snprintf(path, sizeof(path), "%s/..%s/sock", dir, strrchr(dir, '/'));
	add_path();
	expect_rival();
	strcpy(path, plain);
	sockets_undo(&sockets);
	finish();
}
END_TEST

START_TEST(a_lock_ends_when_the_address_is_listened_on)
{
	struct sockets rival = { .groups = NULL };
	unsigned before;

	start();
	before = count_fds();
	open_all(2);
	ck_assert_uint_eq(count_fds(), before + 2);
	ck_assert_int_eq(sockets_prepare(&rival, &conf, 1, &why), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	finish();
	sockets_close(&rival);
}
END_TEST

/* A process of another user's that has the lock.  Ends when its pipe is
 * closed. */
static void __attribute__((noreturn))
hold_lock_as_nobody(int from_test, int to_test)
{
	pid_t rival;
	char byte = 0;

	if (setuid(65534) == -1 ||
	    address_lock(&addresses[0].addr, &rival) == -1 ||
	    write(to_test, &byte, 1) != 1)
		_exit(1);
	_exit(read(from_test, &byte, 1) == 0 ? 0 : 1);
}

START_TEST(a_lock_of_another_user_s_keeps_nobody_from_an_address)
{
	int to[2], from[2], status;
	pid_t holder;
	char byte;

	if (geteuid() != 0)
		return;
	start();
	ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
	ck_assert_int_ne(holder = fork(), -1);
	if (holder == 0) {
		close(to[1]);
		hold_lock_as_nobody(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	ck_assert_int_eq(read(from[0], &byte, 1), 1);
	open_all(2);
	close(connect_or_fail());
	close(from[0]);
	close(to[1]);
	ck_assert_int_eq(waitpid(holder, &status, 0), holder);
	ck_assert_int_eq(status, 0);
	finish();
}
END_TEST

/*
 * Committing.
 */

START_TEST(every_slot_listens_on_every_address)
{
	unsigned got[SLOTS];

	start();
	add_port(OTHER_PORT);
	open_all(SLOTS);
	count_newcomers(MANY, got);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		expect_share(got[slot], MANY, SLOTS);
	close(connect_to(&addresses[1]));
	finish();
}
END_TEST

START_TEST(an_address_that_has_left_the_configuration_is_closed)
{
	unsigned before;

	start();
	add_port(OTHER_PORT);
	open_all(SLOTS);
	before = count_fds();
	conf.nlisteners = 1;
	prepare(SLOTS);
	ck_assert_uint_eq(count_fds(), before);
	begin_listening();
	sockets_commit(&sockets, &conf, SLOTS);
	ck_assert_uint_eq(count_fds(), before - SLOTS);
	close(connect_or_fail());
	add_port(OTHER_PORT);
	expect_no_connect(&addresses[1]);
	finish();
}
END_TEST

START_TEST(an_address_that_stays_keeps_its_queue)
{
	int client;

	start();
	open_all(SLOTS);
	client = connect_or_fail();
	add_port(OTHER_PORT);
	listeners[0].backlog = 100;
	open_all(SLOTS);
	ck_assert_uint_eq(drain_slot(0, 1), 1);
	close(client);
	finish();
}
END_TEST

START_TEST(a_new_address_of_a_listener_joins_the_old_one)
{
	start();
	open_all(SLOTS);
	add_port(OTHER_PORT);
	listeners[0].naddresses = 2;	/* they stand one behind the other */
	conf.nlisteners = 1;
	open_all(SLOTS);
	for (int i = 0; i < 2; i++)
		close(connect_to(&addresses[i]));
	ck_assert_uint_eq(drain_slot(0, 1), 2);
	conf.nlisteners = 2;		/* for who frees them */
	finish();
}
END_TEST

static int
option_of(int fd, int level, int option)
{
	socklen_t len = sizeof(int);
	int value;

	ck_assert_int_eq(getsockopt(fd, level, option, &value, &len), 0);
	return (value);
}

static void
expect_options(const struct conf_listener *listener)
{
	int client = connect_or_fail(), fd = -1;
	struct heritage_socket *ours;
	size_t n;

	ours = sockets_for(&sockets, &conf, 0, 1, false, &n);
	for (size_t i = 0; i < n && fd == -1; i++)
		fd = accept4(ours[i].fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(option_of(fd, IPPROTO_TCP, TCP_NODELAY) != 0,
	    listener->nodelay);
	ck_assert_int_gt(option_of(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 0);
	ck_assert_int_eq(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) != 0,
	    listener->keepalive.idle_s > 0);
	if (listener->keepalive.idle_s > 0) {
		ck_assert_int_eq(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE),
		    (int)listener->keepalive.idle_s);
		ck_assert_int_eq(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL),
		    (int)listener->keepalive.interval_s);
		ck_assert_int_eq(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT),
		    (int)listener->keepalive.count);
	}
	free(ours);
	close(fd);
	close(client);
}

START_TEST(accepted_sockets_have_the_options_of_their_listener)
{
	start();
	listeners[0].keepalive = (struct conf_keepalive){ 31, 7, 5 };
	open_all(2);
	expect_options(&listeners[0]);
	/* As a reload has it, on sockets old and new. */
	listeners[0].keepalive = (struct conf_keepalive){ 0, 10, 3 };
	listeners[0].nodelay = false;
	open_all(SLOTS);
	for (int i = 0; i < 8; i++)
		expect_options(&listeners[0]);
	finish();
}
END_TEST

START_TEST(the_backlog_is_that_of_the_listener_and_can_change)
{
	static const unsigned backlogs[] = { 7, 300, 12 };
	struct heritage_socket *ours;
	struct tcp_info info;
	socklen_t len;
	size_t n;

	start();
	for (int i = 0; i < 3; i++) {
		listeners[0].backlog = backlogs[i];
		open_all((unsigned)i + 1);
		ours = sockets_for(&sockets, &conf, 0, 1, false, &n);
		ck_assert_uint_eq(n, (unsigned)i + 1);
		for (size_t k = 0; k < n; k++) {
			len = sizeof(info);
			ck_assert_int_eq(getsockopt(ours[k].fd, IPPROTO_TCP,
			    TCP_INFO, &info, &len), 0);
			/* Of a socket that listens this is the backlog. */
			ck_assert_uint_eq(info.tcpi_sacked, backlogs[i]);
		}
		free(ours);
	}
	finish();
}
END_TEST

START_TEST(defer_accept_waits_for_the_clients_first_bytes)
{
	struct pollfd poll_ours;
	struct heritage_socket *ours;
	int client;
	size_t n;

	start();
	listeners[0].defer_accept_s = 5;
	open_all(1);
	ours = sockets_for(&sockets, &conf, 0, 1, false, &n);
	poll_ours = (struct pollfd){ .fd = ours[0].fd, .events = POLLIN };
	free(ours);
	client = connect_or_fail();
	ck_assert_int_eq(poll(&poll_ours, 1, 50), 0);
	ck_assert_int_eq(send(client, "x", 1, MSG_NOSIGNAL), 1);
	ck_assert_int_eq(poll(&poll_ours, 1, (int)patience_ms()), 1);
	ck_assert_uint_eq(drain_slot(0, 1), 1);
	close(client);
	finish();
}
END_TEST

/*
 * Steering.
 */

START_TEST(newcomers_go_to_the_slots_that_have_a_worker)
{
	static const char *const patterns[] = {
		"1010", "0100", "0001", "0111", "1111"
	};
	unsigned got[SLOTS];

	start();
	open_all(SLOTS);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		unsigned live = 0;

		for (unsigned slot = 0; slot < SLOTS; slot++)
			live += patterns[i][slot] == '1';
		steer(patterns[i]);
		count_newcomers(MANY, got);
		for (unsigned slot = 0; slot < SLOTS; slot++) {
			if (patterns[i][slot] == '1')
				expect_share(got[slot], MANY, live);
			else
				ck_assert_uint_eq(got[slot], 0);
		}
	}
	finish();
}
END_TEST

START_TEST(where_no_slot_has_a_worker_newcomers_go_to_all)
{
	unsigned got[SLOTS];

	start();
	open_all(SLOTS);
	steer("1000");
	steer("0000");
	count_newcomers(MANY, got);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		expect_share(got[slot], MANY, SLOTS);
	finish();
}
END_TEST

START_TEST(slots_that_went_get_no_newcomers_and_keep_their_queue)
{
	unsigned got[SLOTS], queued;

	start();
	open_all(SLOTS);
	for (int i = 0; i < MANY; i++)
		close(connect_or_fail());
	open_all(2);
	/* Slots 0 and 1 have taken over the sockets of 2 and 3. */
	queued = drain_slot(0, 2);
	expect_share(queued, MANY, 2);
	ck_assert_uint_eq(queued + drain_slot(1, 2), MANY);
	count_newcomers(MANY, got);
	expect_share(got[0], MANY, 2);
	expect_share(got[1], MANY, 2);
	ck_assert_uint_eq(got[2] + got[3], 0);
	finish();
}
END_TEST

START_TEST(slots_that_come_back_get_newcomers_again)
{
	unsigned got[SLOTS];

	start();
	open_all(SLOTS);
	open_all(1);
	count_newcomers(MANY, got);
	ck_assert_uint_eq(got[0], MANY);
	open_all(SLOTS);
	count_newcomers(MANY, got);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		expect_share(got[slot], MANY, SLOTS);
	finish();
}
END_TEST

START_TEST(slots_that_are_new_get_their_share)
{
	unsigned got[SLOTS];

	start();
	for (unsigned slots = 1; slots <= SLOTS; slots++) {
		open_all(slots);
		count_newcomers(MANY, got);
		for (unsigned slot = 0; slot < SLOTS; slot++) {
			if (slot < slots)
				expect_share(got[slot], MANY, slots);
			else
				ck_assert_uint_eq(got[slot], 0);
		}
	}
	finish();
}
END_TEST

START_TEST(slots_that_are_prepared_get_nothing_yet)
{
	unsigned got[SLOTS];

	start();
	open_all(2);
	prepare(SLOTS);
	count_newcomers(MANY, got);
	ck_assert_uint_eq(got[0] + got[1], MANY);
	sockets_undo(&sockets);
	count_newcomers(MANY, got);
	expect_share(got[0], MANY, 2);
	expect_share(got[1], MANY, 2);
	finish();
}
END_TEST

/*
 * Handing out.
 */

/* The sockets of a slot, as numbers of the listeners: "0", "01". */
static void
expect_handed(unsigned slot, unsigned slots, bool prepared, const char *numbers)
{
	struct heritage_socket *ours;
	char text[32] = "";
	size_t n;

	ours = sockets_for(&sockets, &conf, slot, slots, prepared, &n);
	ck_assert_ptr_nonnull(ours);
	ck_assert_uint_lt(n, sizeof(text));
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('0' + ours[i].listener);
	ck_assert_str_eq(text, numbers);
	free(ours);
}

START_TEST(prepared_sockets_are_handed_out_only_on_request)
{
	start();
	add_port(OTHER_PORT);
	prepare(2);
	expect_handed(0, 2, false, "");
	expect_handed(0, 2, true, "01");
	begin_listening();
	sockets_commit(&sockets, &conf, 2);
	expect_handed(1, 2, false, "01");
	prepare(SLOTS);
	expect_handed(0, 2, false, "01");
	expect_handed(3, SLOTS, false, "");
	expect_handed(3, SLOTS, true, "01");
	finish();
}
END_TEST

START_TEST(the_sockets_of_slots_that_went_are_shared_out)
{
	start();
	open_all(SLOTS);
	open_all(3);
	expect_handed(0, 3, false, "00");
	expect_handed(1, 3, false, "0");
	expect_handed(2, 3, false, "0");
	expect_handed(0, 1, false, "0000");
	finish();
}
END_TEST

START_TEST(no_two_slots_are_handed_the_same_socket)
{
	bool seen[1024] = { false };
	struct heritage_socket *ours;
	size_t n, sum = 0;

	start();
	open_all(SLOTS);
	for (unsigned slot = 0; slot < 3; slot++) {
		ours = sockets_for(&sockets, &conf, slot, 3, false, &n);
		for (size_t i = 0; i < n; i++, sum++) {
			ck_assert_int_lt(ours[i].fd, 1024);
			ck_assert(!seen[ours[i].fd]);
			seen[ours[i].fd] = true;
		}
		free(ours);
	}
	ck_assert_uint_eq(sum, SLOTS);
	finish();
}
END_TEST

START_TEST(an_address_that_is_not_configured_is_not_handed_out)
{
	start();
	add_port(OTHER_PORT);
	open_all(1);
	conf.nlisteners = 1;
	expect_handed(0, 1, false, "0");
	conf.nlisteners = 2;
	finish();
}
END_TEST

/*
 * Paths.
 */

static void
start_with_path(void)
{
	start();
	forget_addresses();
	add_path();
}

START_TEST(a_path_has_one_socket_that_all_slots_share)
{
	struct heritage_socket *ours[2];
	struct stat st;
	size_t n;

	start_with_path();
	open_all(SLOTS);
	for (unsigned slot = 0; slot < 2; slot++) {
		ours[slot] = sockets_for(&sockets, &conf, slot, SLOTS, false,
		    &n);
		ck_assert_uint_eq(n, 1);
	}
	ck_assert_int_eq(ours[0][0].fd, ours[1][0].fd);
	free(ours[0]);
	free(ours[1]);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0666);
	close(connect_or_fail());
	ck_assert_uint_eq(drain_slot(3, SLOTS), 1);
	finish();
}
END_TEST

START_TEST(the_file_of_a_path_goes_with_its_socket)
{
	start_with_path();
	open_all(1);
	ck_assert(exists());
	sockets_close(&sockets);
	ck_assert(!exists());

	open_all(1);
	forget_addresses();
	add_port(PORT);
	open_all(1);
	ck_assert(!exists());
	finish();
}
END_TEST

START_TEST(a_path_that_stays_keeps_its_file_and_queue)
{
	struct stat before, after;

	start_with_path();
	open_all(1);
	ck_assert_int_eq(lstat(path, &before), 0);
	close(connect_or_fail());
	prepare(SLOTS);
	sockets_undo(&sockets);
	open_all(SLOTS);
	ck_assert_int_eq(lstat(path, &after), 0);
	ck_assert_uint_eq(after.st_ino, before.st_ino);
	ck_assert_uint_eq(drain_slot(0, 1), 1);
	finish();
}
END_TEST

START_TEST(a_path_that_a_dead_server_left_is_taken)
{
	start_with_path();
	close(listen_elsewhere(&addresses[0], 0));
	ck_assert(exists());
	open_all(1);
	close(connect_or_fail());
	ck_assert_uint_eq(drain_slot(0, 1), 1);
	finish();
}
END_TEST

START_TEST(a_path_that_a_live_server_has_is_refused_and_left)
{
	char text[300];
	int other;

	start_with_path();
	other = listen_elsewhere(&addresses[0], 0);
	snprintf(text, sizeof(text), "listener first cannot have address "
	    "unix:%s: Address already in use", path);
	expect_refused(1, EADDRINUSE, text);
	close(connect_or_fail());
	close(other);
	finish();
}
END_TEST

START_TEST(a_path_whose_server_is_too_busy_to_answer_is_refused)
{
	struct conf_address *address = &addresses[0];
	int other, clients[64];
	unsigned n = 0;

	start_with_path();
	other = listen_elsewhere(address, 0);
	ck_assert_int_eq(listen(other, 0), 0);
	/* Until its queue is full. */
	do {
		clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
		    SOCK_CLOEXEC, 0);
		ck_assert_int_ge(clients[n], 0);
	} while (connect(clients[n++], (struct sockaddr *)&address->addr,
	    address->len) == 0 && n < 64);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(sockets_prepare(&sockets, &conf, 1, &why), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert(exists());
	while (n > 0)
		close(clients[--n]);
	close(other);
	finish();
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_refused_and_left)
{
	struct stat st;
	int fd;

	start_with_path();
	ck_assert_int_ge(fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600),
	    0);
	close(fd);
	ck_assert_int_eq(sockets_prepare(&sockets, &conf, 1, &why), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	finish();
}
END_TEST

START_TEST(a_link_in_the_way_is_refused_and_left)
{
	char target[160];

	start_with_path();
	snprintf(target, sizeof(target), "%s/target", dir);
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(sockets_prepare(&sockets, &conf, 1, &why), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert(exists());
	ck_assert_int_eq(unlink(target), -1);
	finish();
}
END_TEST

START_TEST(a_path_whose_directory_is_missing_is_refused)
{
	char text[300];

	start_with_path();
	ck_assert_int_eq(rmdir(dir), 0);
	snprintf(text, sizeof(text), "listener first cannot have address "
	    "unix:%s: No such file or directory", path);
	expect_refused(1, ENOENT, text);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	finish();
}
END_TEST

START_TEST(a_file_that_somebody_has_put_in_its_place_is_left)
{
	int other;

	start_with_path();
	open_all(1);
	ck_assert_int_eq(unlink(path), 0);
	other = listen_elsewhere(&addresses[0], 0);
	sockets_close(&sockets);
	ck_assert(exists());
	close(connect_or_fail());
	close(other);
	finish();
}
END_TEST

START_TEST(a_path_whose_file_was_removed_is_bound_again)
{
	struct stat st;
	int waiting;

	start_with_path();
	open_all(SLOTS);
	waiting = connect_or_fail();
	ck_assert_int_eq(unlink(path), 0);
	prepare(SLOTS);
	ck_assert(exists());
	/* Who serves goes on at the old one; who comes gets the new one. */
	ck_assert_uint_eq(drain_slot(0, SLOTS), 1);
	close(waiting);
	sockets_undo(&sockets);
	ck_assert(!exists());

	open_all(SLOTS);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0666);
	close(connect_or_fail());
	ck_assert_uint_eq(drain_slot(1, SLOTS), 1);
	sockets_close(&sockets);
	ck_assert(!exists());
	finish();
}
END_TEST

START_TEST(a_path_that_another_file_has_taken_is_refused_until_it_is_free)
{
	int other;

	start_with_path();
	open_all(1);
	ck_assert_int_eq(unlink(path), 0);
	other = listen_elsewhere(&addresses[0], 0);
	ck_assert_int_eq(sockets_prepare(&sockets, &conf, 1, &why), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	close(connect_or_fail());
	close(other);
	open_all(1);
	close(connect_or_fail());
	ck_assert_uint_eq(drain_slot(0, 1), 1);
	finish();
}
END_TEST

/*
 * The end.
 */

START_TEST(when_all_is_closed_nothing_is_left)
{
	unsigned before;

	start();
	add_port(OTHER_PORT);
	add_path();
	before = count_fds();
	open_all(SLOTS);
	prepare(2 * SLOTS);
	sockets_close(&sockets);
	ck_assert_uint_eq(count_fds(), before);
	for (int i = 0; i < 3; i++)
		expect_no_connect(&addresses[i]);
	ck_assert(!exists());
	sockets_close(&sockets);
	finish();
}
END_TEST

RUN_TESTS("socket",
    what_is_prepared_is_bound_and_does_not_listen,
    what_is_prepared_is_undone_without_a_trace,
    to_undo_nothing_does_nothing,
    what_is_undone_leaves_what_is_committed_as_it_was,
    sockets_do_not_block_and_are_closed_on_exec,
    an_address_in_use_is_refused,
    an_address_in_use_with_reuseport_is_refused,
    an_address_that_the_host_does_not_have_is_refused,
    an_address_in_use_refuses_the_new_and_leaves_the_old,
    a_port_can_be_had_again_at_once,
    half_of_a_wildcard_may_be_missing,
    an_address_can_become_the_wildcard_and_back,
    the_wildcard_resets_no_client_that_waits_at_an_address,
    the_wildcard_and_an_address_can_be_had_together,
    a_port_of_ours_elsewhere_does_not_hide_that_an_address_is_in_use,
    newcomers_can_come_and_wait_before_anything_is_committed,
    what_listens_and_is_not_committed_can_be_undone,
    what_listens_and_is_undone_leaves_what_is_committed_as_it_was,
    an_address_that_somebody_took_meanwhile_is_told,
    what_is_prepared_can_not_be_prepared_by_another_master,
    a_lock_ends_when_the_address_is_listened_on,
    a_lock_of_another_user_s_keeps_nobody_from_an_address,
    every_slot_listens_on_every_address,
    an_address_that_has_left_the_configuration_is_closed,
    an_address_that_stays_keeps_its_queue,
    a_new_address_of_a_listener_joins_the_old_one,
    accepted_sockets_have_the_options_of_their_listener,
    the_backlog_is_that_of_the_listener_and_can_change,
    defer_accept_waits_for_the_clients_first_bytes,
    newcomers_go_to_the_slots_that_have_a_worker,
    where_no_slot_has_a_worker_newcomers_go_to_all,
    slots_that_went_get_no_newcomers_and_keep_their_queue,
    slots_that_come_back_get_newcomers_again,
    slots_that_are_new_get_their_share,
    slots_that_are_prepared_get_nothing_yet,
    prepared_sockets_are_handed_out_only_on_request,
    the_sockets_of_slots_that_went_are_shared_out,
    no_two_slots_are_handed_the_same_socket,
    an_address_that_is_not_configured_is_not_handed_out,
    a_path_has_one_socket_that_all_slots_share,
    the_file_of_a_path_goes_with_its_socket,
    a_path_that_stays_keeps_its_file_and_queue,
    a_path_that_a_dead_server_left_is_taken,
    a_path_that_a_live_server_has_is_refused_and_left,
    a_path_whose_server_is_too_busy_to_answer_is_refused,
    a_file_that_is_no_socket_is_refused_and_left,
    a_link_in_the_way_is_refused_and_left,
    a_path_whose_directory_is_missing_is_refused,
    a_file_that_somebody_has_put_in_its_place_is_left,
    a_path_whose_file_was_removed_is_bound_again,
    a_path_that_another_file_has_taken_is_refused_until_it_is_free,
    when_all_is_closed_nothing_is_left)
