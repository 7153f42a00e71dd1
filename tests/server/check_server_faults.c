/* SPDX-License-Identifier: ISC */
/*
 * Hand-overs while calls of the workers fail as they would under a shortage:
 * whatever cannot be passed stays with the worker that has it, is served there,
 * and follows when the shortage is over.  With tests/lib/faults.so; exits with
 * 77, which automake counts as skipped, where that cannot be preloaded.
 */
#include "tests/lib/faults.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"

#define GLOBALS	"drain_timeout = 300.0; probation = 0.0;"
#define LONG	"idle_timeout = 600.0; read_timeout = 600.0; "		\
		"write_timeout = 600.0;"

enum {
	ECHOES = 300,
	SPLITS = 40,
	DEAFS = 4,
	CLIENTS = ECHOES + SPLITS + DEAFS,
	RELOADS = 3,
};

static const char *const names[FAULTS] = {
	"send: EAGAIN", "send: ENOBUFS", "send: ETOOMANYREFS",
	"receive: EAGAIN", "receive: ENOMEM", "receive: MSG_CTRUNC",
	"memfd_create", "short read or write", "write: ENOSPC", "malloc",
	"accept", "dup", "death when sent", "death when received",
	"an order of the master", "malloc in the master",
	"descriptors of the master", "fork", "getpwnam",
	"malloc in the reader", "death of the reader", "execvp"
};

static char library[PATH_MAX], control[PATH_MAX];

/* What the processes of the server look at. */
static struct faults *
share_faults(void)
{
	struct faults *faults;
	int fd;

	ck_assert_int_ne(fd = open(control, O_RDWR | O_CREAT | O_CLOEXEC,
	    0600), -1);
	ck_assert_int_eq(ftruncate(fd, sizeof(*faults)), 0);
	faults = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	ck_assert(faults != MAP_FAILED);
	close(fd);
	return (faults);
}

static void
preload(void)
{
	setenv("LD_PRELOAD", library, 1);
	setenv(FAULTS_ENV, control, 1);
}

static struct server *
start(const char *globals, struct faults **faults)
{
	struct server *srv = server_new();

	snprintf(control, sizeof(control), "%s", server_path(srv, "faults"));
	*faults = share_faults();
	srv->prepare = preload;
	server_configure(srv, globals, FRAMES(LONG));
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

/* Those who hold back have sent what they can before anything fails: a worker
 * without memory may refuse who has more to say. */
static void
await_silence(struct server *srv)
{
	uint64_t bytes;

	do {
		bytes = server_counters(srv).bytes_in;
		pause_us(100000 * slow_factor());
	} while (bytes == 0 || server_counters(srv).bytes_in != bytes);
}

static struct hold_process *
start_load(struct server *srv)
{
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = ECHOES;
	options.split = SPLITS;
	options.deaf = DEAFS;
	ck_assert_ptr_nonnull(load = hold_start(&options));
	await(hold_peek(load)->open == CLIENTS);
	await_silence(srv);
	hold_set_rate(load, 300);
	return (load);
}

static uint64_t
clients_cut(struct hold_process *load)
{
	const struct hold_report *report = hold_peek(load);

	return (report->disconnected + report->reset + report->broken);
}

/* Nobody is harmed.  Without memory a worker lets those go who do not take their
 * replies, if their kernel suddenly takes some and it has more to say to them; it
 * says so, and harms nobody else. */
static void
expect_service(struct server *srv, struct hold_process *load, uint32_t on)
{
	const struct hold_report *report;

	if ((on & 1U << FAULT_MALLOC) == 0) {
		expect_unharmed(hold_peek(load));
		return;
	}
	await(clients_cut(load) == server_closed(srv, CLOSE_MEMORY));
	ck_assert_uint_le(server_closed(srv, CLOSE_MEMORY), DEAFS);
	report = hold_peek(load);
	ck_assert_uint_eq(report->refused + report->hung + report->unframed +
	    report->doubled + report->reordered + report->corrupted +
	    report->errors + report->crashed, 0);
	if (report->is_done)
		return;
	ck_assert_uint_eq(report->kind[HOLD_ECHO].open, ECHOES);
	ck_assert_uint_eq(report->kind[HOLD_SPLIT].open, SPLITS);
}

static void
verify(struct server *srv, struct hold_process *load, uint32_t on)
{
	hold_verify(load);
	expect_service(srv, load, on);
	ck_assert_uint_eq(hold_peek(load)->verified, CLIENTS -
	    server_closed(srv, CLOSE_MEMORY));
}

static void
set_faults(struct faults *faults, uint32_t on, uint32_t one_in, uint32_t most)
{
	faults->one_in = one_in;
	faults->left = most;
	faults->seed = 1;
	__atomic_store_n(&faults->on, on, __ATOMIC_SEQ_CST);
}

/* Reload while one call in that many fails; the bits of on say which calls can
 * fail. */
static void
reload_amid(uint32_t on, uint32_t one_in)
{
	struct faults *faults;
	struct server *srv = start("workers = 2;" GLOBALS, &faults);
	struct hold_process *load = start_load(srv);
	uint64_t answered, injected = 0;

	set_faults(faults, on, one_in, UINT32_MAX);
	for (int i = 0; i < RELOADS; i++) {
		server_mark(srv);
		server_signal(srv, SIGHUP);
		server_expect(srv, "event=reload_done");
		answered = hold_peek(load)->answered;
		await(hold_peek(load)->answered > answered + 50);
		expect_service(srv, load, on);
	}
	if ((on & 1U << FAULT_MALLOC) == 0)
		verify(srv, load, on);
	set_faults(faults, 0, 1, 0);
	await(server_children(srv) == 2);
	for (int i = 0; i < FAULTS; i++)
		if ((on & 1U << i) != 0) {
			printf("%s: %u times\n", names[i],
			    faults->injected[i]);
			injected += faults->injected[i];
		}
	ck_assert_uint_gt(injected, 0);
	verify(srv, load, on);
	hold_stop(load);
	expect_service(srv, load, on);
	hold_drop(load);
	server_end(srv);
	munmap(faults, sizeof(*faults));
}

START_TEST(reloads_carry_clients_over_full_links)
{
	reload_amid(1U << FAULT_SEND_AGAIN, 2);
}
END_TEST

START_TEST(reloads_carry_clients_though_links_cannot_send)
{
	reload_amid(1U << FAULT_SEND_NOBUFS | 1U << FAULT_SEND_REFS, 4);
}
END_TEST

START_TEST(reloads_carry_clients_though_links_are_empty_at_first)
{
	reload_amid(1U << FAULT_RECEIVE_AGAIN, 2);
}
END_TEST

START_TEST(reloads_carry_clients_though_links_cannot_receive)
{
	reload_amid(1U << FAULT_RECEIVE_NOMEM, 2);
}
END_TEST

START_TEST(clients_whose_descriptor_does_not_arrive_stay_served)
{
	reload_amid(1U << FAULT_RECEIVE_CUT, 2);
}
END_TEST

START_TEST(clients_stay_served_if_no_descriptor_ever_arrives)
{
	reload_amid(1U << FAULT_RECEIVE_CUT, 1);
}
END_TEST

START_TEST(clients_stay_served_if_their_bytes_find_no_place)
{
	reload_amid(1U << FAULT_MEMFD | 1U << FAULT_NO_SPACE, 2);
}
END_TEST

START_TEST(clients_stay_served_if_no_memfd_can_be_made)
{
	reload_amid(1U << FAULT_MEMFD, 1);
}
END_TEST

START_TEST(reloads_carry_clients_while_bytes_move_in_small_pieces)
{
	reload_amid(1U << FAULT_SHORT, 3);
}
END_TEST

START_TEST(reloads_keep_clients_while_malloc_sometimes_fails)
{
	reload_amid(1U << FAULT_MALLOC, 3);
}
END_TEST

START_TEST(reloads_keep_clients_while_malloc_always_fails)
{
	reload_amid(1U << FAULT_MALLOC, 1);
}
END_TEST

START_TEST(a_shortage_while_the_master_sends_orders_kills_no_worker)
{
	reload_amid(1U << FAULT_TELL, 2);
}
END_TEST

START_TEST(orders_that_fail_are_sent_when_the_shortage_is_over)
{
	struct faults *faults;
	struct server *srv = start("workers = 2;" GLOBALS, &faults);
	struct hold_process *load = start_load(srv);
	enum { AFEW = 40 };

	/* START, DRAIN, TAKE, GIVE and LOG of the first tries. */
	set_faults(faults, 1U << FAULT_TELL, 1, AFEW);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done");
	server_expect(srv, "event=reload_report");
	ck_assert_uint_eq(faults->injected[FAULT_TELL], AFEW);
	await(server_children(srv) == 2);
	verify(srv, load, 0);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
	munmap(faults, sizeof(*faults));
}
END_TEST

/*
 * The master's own calls.
 */

static bool
has_ended(struct server *srv)
{
	return (server_log(srv, "event=reload_done") != NULL ||
	    server_log(srv, "event=reload_refused") != NULL);
}

/* Without a fault the next reload is done, and the load has met none. */
static void
finish_unharmed(struct server *srv, struct hold_process *load,
    struct faults *faults)
{
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done");
	await(server_children(srv) == 2);
	verify(srv, load, 0);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
	munmap(faults, sizeof(*faults));
}

/* Have one call of a kind after another fail during a reload, until the reload
 * makes fewer of them than that; the later ones are not all tried if they are
 * many. */
static void
fail_one_by_one(enum fault fault)
{
	enum { ALL_UP_TO = 32 };
	struct faults *faults;
	struct server *srv = start("workers = 2;" GLOBALS, &faults);
	struct hold_process *load = start_load(srv);
	unsigned refused = 0, n = 0;

	srv->expects_deaths = true;
	await(hold_peek(load)->answered > 0);
	do {
		server_mark(srv);
		faults->injected[fault] = 0;
		faults->spared = n;
		set_faults(faults, 1U << fault, 1, 1);
		server_signal(srv, SIGHUP);
		await(has_ended(srv));
		set_faults(faults, 0, 1, 0);
		if (server_log(srv, "event=reload_refused") != NULL)
			refused++;
		await(server_children(srv) == 2);
		expect_unharmed(hold_peek(load));
		n += 1 + n / ALL_UP_TO;
	} while (faults->injected[fault] > 0);
	printf("%s: %u calls, %u reloads refused\n", names[fault], n, refused);
	ck_assert_uint_gt(refused, 0);
	faults->spared = 0;
	finish_unharmed(srv, load, faults);
}

START_TEST(a_master_without_memory_refuses_a_reload_and_lives)
{
	fail_one_by_one(FAULT_MASTER_MALLOC);
}
END_TEST

START_TEST(a_master_without_descriptors_refuses_a_reload_and_lives)
{
	fail_one_by_one(FAULT_MASTER_FDS);
}
END_TEST

START_TEST(a_master_that_cannot_fork_refuses_a_reload_and_lives)
{
	fail_one_by_one(FAULT_FORK);
}
END_TEST

/* Whether libconfig, the C library or the server itself asks for it. */
START_TEST(a_reader_without_memory_refuses_a_reload)
{
	fail_one_by_one(FAULT_READER_MALLOC);
}
END_TEST

START_TEST(a_reader_that_dies_refuses_a_reload)
{
	struct faults *faults;
	struct server *srv = start("workers = 2;" GLOBALS, &faults);
	struct hold_process *load = start_load(srv);

	srv->expects_deaths = true;
	set_faults(faults, 1U << FAULT_READER_DIES, 1, 1);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=reload_refused"), "the configuration could not be read: the "
	    "reader died of signal 9"));
	finish_unharmed(srv, load, faults);
}
END_TEST

START_TEST(a_configuration_is_not_read_without_address_space_for_it)
{
	struct faults *faults;
	struct server *srv = start("workers = 1;" GLOBALS, &faults);
	const struct rlimit none = { 1 << 20, RLIM_INFINITY };
	struct rlimit before;

	ck_assert_int_eq(prlimit(srv->master, RLIMIT_AS, &none, &before), 0);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=reload_refused"), "the configuration could not be read: no memory"));
	ck_assert_int_eq(prlimit(srv->master, RLIMIT_AS, &before, NULL), 0);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done");
	await(server_children(srv) == 1);
	server_end(srv);
	munmap(faults, sizeof(*faults));
}
END_TEST

START_TEST(a_name_service_that_hangs_does_not_hold_up_the_master)
{
	struct faults *faults;
	struct server *srv;

	if (geteuid() != 0) {
		printf("not root: no user is looked up\n");
		return;
	}
	srv = start("workers = 1;" GLOBALS, &faults);
	set_faults(faults, 1U << FAULT_NAMES, 1, 0);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	/* The name is the same. */
	server_expect(srv, "event=reload_done");
	await(server_children(srv) == 1);
	server_configure(srv, "workers = 1; user = \"daemon\";" GLOBALS,
	    FRAMES(LONG));
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=reload_refused"), "could not be looked up within"));
	set_faults(faults, 0, 1, 0);
	server_mark(srv);
	server_signal(srv, SIGHUP);
	server_expect(srv, "event=reload_done");
	await(server_children(srv) == 1);
	server_end(srv);
	munmap(faults, sizeof(*faults));
}
END_TEST

START_TEST(reloads_keep_clients_under_all_faults_together)
{
	reload_amid((1U << FAULT_ACCEPT) - 1, 5);
}
END_TEST

/* Who dies at the worst moment takes those along that are its own then, and
 * they are counted. */
static void
die_amid(enum fault fault)
{
	enum { DEATHS = 12 };
	struct faults *faults;
	struct server *srv = start("workers = 2;" GLOBALS, &faults);
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	srv->expects_deaths = true;
	options.connections = ECHOES;
	options.reconnect = true;
	load = hold_start(&options);
	while (faults->injected[fault] < DEATHS) {
		uint32_t before = faults->injected[fault];

		await(hold_peek(load)->open == ECHOES);
		await(server_counters(srv).active == ECHOES);
		server_mark(srv);
		/* One at a time: what is on its way between two that die is
		 * nobody's to count. */
		set_faults(faults, 1U << fault, 3, 1);
		server_signal(srv, SIGHUP);
		await(server_log(srv, "event=reload_done") != NULL ||
		    server_log(srv, "event=reload_refused") != NULL);
		set_faults(faults, 0, 1, 0);
		await(server_children(srv) == 2);
		await(server_count(srv, "event=worker_died signal=9") ==
		    faults->injected[fault] - before);
		/* Its clients may have to be told yet. */
		await(clients_cut(load) == server_closed(srv, CLOSE_LOST));
	}
	printf("%s: %u times, %" PRIu64 " connections lost\n", names[fault],
	    faults->injected[fault], server_closed(srv, CLOSE_LOST));
	hold_stop(load);
	hold_drop(load);
	server_end(srv);
	munmap(faults, sizeof(*faults));
}

START_TEST(a_worker_that_dies_after_sending_costs_only_what_it_held)
{
	die_amid(FAULT_DIE_SENT);
}
END_TEST

START_TEST(a_worker_that_dies_after_receiving_costs_only_what_it_held)
{
	die_amid(FAULT_DIE_RECEIVED);
}
END_TEST

/* Who comes meanwhile waits in the queue, and is taken. */
START_TEST(new_clients_are_served_while_descriptors_run_out)
{
	struct faults *faults;
	struct server *srv = start("workers = 2;" GLOBALS, &faults);
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;
	uint64_t finished;

	options.connections = 50;
	options.churn = 5;
	options.rate = HOLD_FULL_SPEED;
	load = hold_start(&options);
	set_faults(faults, 1U << FAULT_ACCEPT | 1U << FAULT_DUP, 5,
	    UINT32_MAX);
	for (int i = 0; i < RELOADS; i++) {
		server_mark(srv);
		server_signal(srv, SIGHUP);
		server_expect(srv, "event=reload_done");
		finished = hold_peek(load)->finished;
		await(hold_peek(load)->finished > finished + 200);
	}
	set_faults(faults, 0, 1, 0);
	await(server_children(srv) == 2);
	ck_assert_uint_gt(faults->injected[FAULT_ACCEPT], 0);
	ck_assert_uint_gt(faults->injected[FAULT_DUP], 0);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	server_end(srv);
	munmap(faults, sizeof(*faults));
}
END_TEST

/* Processes of handlers that end in every way.  A process that has been reaped
 * is not there any more, and its number may be another one's: no signal is sent
 * to it, nor to its process group. */
START_TEST(no_signal_is_sent_to_a_reaped_process)
{
	enum { ROUNDS = 5 };
	struct server *srv = handlers_new();
	struct faults *faults;
	uint32_t signals;
	int exits, hangs;
	pid_t orphan;

	snprintf(control, sizeof(control), "%s", server_path(srv, "faults"));
	faults = share_faults();
	srv->prepare = preload;
	handlers_configure(srv, HANDLERS(
	    COMMAND("exits", "\"orphan-exit\", \"orphan\"", "") ",\n"
	    TIMED_COMMAND("hangs", "\"hang\"", "request_timeout = 0.1;") ",\n"
	    MODULE("mod", "", "threads = 1;")),
	    ONE("exits", "") ",\n"
	    LISTENER("hangs", "9004", "frame", "hangs", ""));
	server_launch(srv);
	server_await_ready(srv);
	exits = client_connect(FRAME_PORT);
	hangs = client_connect(HIGH_PORT);
	for (int i = 0; i < ROUNDS; i++) {
		client_send_text_frame(hangs, "hello");
		client_send_text_frame(exits, "hello");
		client_expect_text_frame(exits, ERR_FAILED);
		client_expect_text_frame(hangs, ERR_TIMEOUT);
		/* It is of the group of what has exited. */
		orphan = handlers_pid_in(srv, "orphan");
		await(proc_is_dead(orphan));
		ck_assert_int_eq(unlink(server_path(srv, "orphan")), 0);
	}
	server_reload(srv);
	await(server_children(srv) == 4);
	signals = __atomic_load_n(&faults->signals, __ATOMIC_RELAXED);
	ck_assert_uint_ge(signals, 2 * ROUNDS);
	ck_assert_uint_eq(__atomic_load_n(&faults->strays, __ATOMIC_RELAXED),
	    0);
	close(exits);
	close(hangs);
	server_signal(srv, SIGTERM);
	server_await_exit(srv, 0);
	ck_assert_uint_eq(faults->strays, 0);
	server_end(srv);
	munmap(faults, sizeof(*faults));
}
END_TEST

/* The moment for which a program has to live begins with the program. */
START_TEST(a_program_that_starts_late_can_still_fail_the_start)
{
	struct server *srv = handlers_new();
	struct faults *faults;

	snprintf(control, sizeof(control), "%s", server_path(srv, "faults"));
	faults = share_faults();
	srv->prepare = preload;
	handlers_configure(srv, HANDLERS(COMMAND("cmd", "\"echo\"", "")),
	    ONE("cmd", ""));
	server_launch(srv);
	server_await_ready(srv);
	set_faults(faults, 1U << FAULT_EXEC, 1, UINT32_MAX);
	handlers_configure(srv, HANDLERS("{ name = \"cmd\"; "
	    "type = \"command\"; command = [ \"false\" ]; "
	    "processes = 1; }"), ONE("cmd", ""));
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=reload_refused"), "handler cmd: exit status 1"));
	expect_answered(FRAME_PORT, "hello");
	server_end(srv);
	munmap(faults, sizeof(*faults));
}
END_TEST

static int
run_all(void)
{
	const TTest *const tests[] = {
		reloads_carry_clients_over_full_links,
		reloads_carry_clients_though_links_cannot_send,
		reloads_carry_clients_though_links_are_empty_at_first,
		reloads_carry_clients_though_links_cannot_receive,
		clients_whose_descriptor_does_not_arrive_stay_served,
		clients_stay_served_if_no_descriptor_ever_arrives,
		clients_stay_served_if_their_bytes_find_no_place,
		clients_stay_served_if_no_memfd_can_be_made,
		reloads_carry_clients_while_bytes_move_in_small_pieces,
		reloads_keep_clients_while_malloc_sometimes_fails,
		reloads_keep_clients_while_malloc_always_fails,
		a_shortage_while_the_master_sends_orders_kills_no_worker,
		orders_that_fail_are_sent_when_the_shortage_is_over,
		a_master_without_memory_refuses_a_reload_and_lives,
		a_master_without_descriptors_refuses_a_reload_and_lives,
		a_master_that_cannot_fork_refuses_a_reload_and_lives,
		a_reader_without_memory_refuses_a_reload,
		a_reader_that_dies_refuses_a_reload,
		a_configuration_is_not_read_without_address_space_for_it,
		a_name_service_that_hangs_does_not_hold_up_the_master,
		reloads_keep_clients_under_all_faults_together,
		a_worker_that_dies_after_sending_costs_only_what_it_held,
		a_worker_that_dies_after_receiving_costs_only_what_it_held,
		new_clients_are_served_while_descriptors_run_out,
		no_signal_is_sent_to_a_reaped_process,
		a_program_that_starts_late_can_still_fail_the_start,
	};

	return (run_tests("faults", tests, sizeof(tests) / sizeof(*tests)));
}

int
main(void)
{
	const char *build = getenv("TOP_BUILDDIR");

	snprintf(library, sizeof(library), "%s/tests/lib/faults.so",
	    build != NULL ? build : ".");
	if (server_is_sanitized()) {
		printf("skipped: a sanitized server can't have its calls "
		    "fail\n");
		return (77);
	}
	if (access(library, R_OK) == -1)
		err(1, "%s", library);
	return (run_all());
}
