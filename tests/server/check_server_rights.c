/* SPDX-License-Identifier: ISC */
/*
 * Descriptors that clients and handlers send along with their bytes, and that
 * take minutes to close: nobody waits for that.
 *
 * Newer kernels keep them out.  With tests/lib/faults.so the server believes
 * that it runs on an older one.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/faults.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tests/lib/rights.h"

#define LOCAL(name, protocol)						\
	"{ name = \"" name "\"; address = \"unix:$D/" name "\"; "	\
	"protocol = \"" protocol "\"; handler = \"echo\"; }"
#define SINGLE	"workers = 1;"

static char self[PATH_MAX], library[PATH_MAX];

static void
be_old(void)
{
	setenv("LD_PRELOAD", library, 1);
	setenv(FAULTS_OLD_ENV, "1", 1);
}

static struct server *
start_program(const char *program, bool old, const char *globals,
    const char *listeners)
{
	struct server *srv = handlers_new();

	if (old)
		srv->prepare = be_old;
	server_install(srv, program);
	handlers_configure(srv, globals, listeners);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

static struct server *
start(bool old, const char *globals, const char *listeners)
{
	return (start_program("penstock", old, globals, listeners));
}

/*
 * Clients.
 */

static int
connect_to(const struct server *srv, const char *name)
{
	char address[128];

	snprintf(address, sizeof(address), "unix:%s", server_path(srv, name));
	return (client_connect_text(address));
}

/* The process that is to receive it has the last copy. */
static bool
send_unseen(pid_t receiver, int fd, const void *bytes, size_t len)
{
	bool sent;

	ck_assert_int_eq(kill(receiver, SIGSTOP), 0);
	sent = rights_send(fd, bytes, len);
	ck_assert_int_eq(kill(receiver, SIGCONT), 0);
	return (sent);
}

/* What a client does: it sends a good message, perhaps, then bytes with a
 * descriptor, and closes at once, perhaps. */
static void
abuse(struct server *srv, const char *name, const char *good, size_t good_len,
    const char *bytes, size_t len, bool closes, bool old)
{
	int other = client_connect(FRAME_PORT);
	int fd = connect_to(srv, name);

	client_echo(other, "before");
	if (good_len > 0)
		client_send(fd, good, good_len);
	ck_assert_int_eq(send_unseen(server_worker(srv, 0), fd, bytes, len),
	    old);
	if (closes)
		close(fd);
	client_echo(other, "meanwhile");
	if (!closes && old)
		(void)client_read_to_end(fd);
	if (!closes)
		close(fd);
	client_echo(other, "after");
	close(other);
}

static void
expect_echo(void)
{
	int fd = client_connect(FRAME_PORT);

	client_echo(fd, "hello");
	close(fd);
}

static void
abuse_all(bool old)
{
	static const struct {
		const char *name;
		const char *good, *bytes;
		size_t good_len, len;
	} all[] = {
		{ "f", "\0\0\0\2hi", "\0\0\0\2hi", 6, 6 },
		{ "l", "hi\n", "hi\n", 3, 3 },
		{ "h", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		  "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, 27 },
		/* Nonsense: the connection ends with the descriptor unread. */
		{ "f", "\377\377\377\377", "\0\0\0\2hi", 4, 6 },
		{ "h", "\1\2\3\r\n\r\n", "hi", 7, 2 },
	};
	struct server *srv = start(old, SINGLE, FRAMES("") ", " LOCAL("f",
	    "frame") ", " LOCAL("l", "line") ", " LOCAL("h", "http"));
	pid_t worker = server_worker(srv, 0);
	size_t fds;

	/* When its loop has turned, it has all that it keeps open. */
	expect_echo();
	fds = proc_fds(worker, NULL, 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		for (int mode = 0; mode < 4; mode++)
			abuse(srv, all[i].name, all[i].good,
			    mode % 2 == 0 ? all[i].good_len : 0, all[i].bytes,
			    all[i].len, mode >= 2, old);
	await(proc_fds(worker, NULL, 0) <= fds);
	ck_assert_int_eq(server_worker(srv, 0), worker);
	if (old)
		server_expect(srv, "event=conn_close listener=f "
		    "reason=malformed");
	server_end(srv);
}

START_TEST(a_descriptor_from_a_client_delays_no_other_client)
{
	abuse_all(true);
}
END_TEST

START_TEST(a_descriptor_does_no_harm_on_this_kernel)
{
	struct server *srv = start(false, SINGLE, LOCAL("f", "frame"));
	int fd = connect_to(srv, "f");
	bool old;

	old = rights_send(fd, "\0\0\0\2hi", 6);
	close(fd);
	server_end(srv);
	abuse_all(old);
}
END_TEST

/* It has not been accepted when the server ends. */
START_TEST(a_descriptor_in_the_accept_queue_delays_no_stop)
{
	struct server *srv = start(true, SINGLE "max_connections = 1;",
	    LISTENER("f", "9000", "frame", "echo", "on_limit = \"wait\";")
	    ", { name = \"u\"; address = \"unix:$D/u\"; protocol = \"frame\"; "
	    "handler = \"echo\"; on_limit = \"wait\"; }");
	int first = client_connect(FRAME_PORT), fd;

	client_echo(first, "takes the place");
	fd = connect_to(srv, "u");
	ck_assert(rights_send(fd, "\0\0\0\2hi", 6));
	server_counters(srv);
	server_signal(srv, SIGINT);
	server_await_exit(srv, 0);
	close(first);
	close(fd);
	server_end(srv);
}
END_TEST

/* Its listener reads with a library that knows nothing of descriptors. */
START_TEST(a_descriptor_does_not_freeze_the_monitor)
{
	struct server *srv = start(true, SINGLE
	    "monitor = { address = \"unix:$D/m\"; };", FRAMES(""));
	static const char request[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
	int fd = connect_to(srv, "m"), other;
	char line[16] = "";
	pid_t monitor;

	monitor = (pid_t)log_number(server_expect(srv, "event=monitor_start"),
	    "child");
	ck_assert(send_unseen(monitor, fd, request, sizeof(request) - 1));
	other = connect_to(srv, "m");
	client_send_text(other, "GET /healthz HTTP/1.0\r\n\r\n");
	await(recv(other, line, 12, MSG_PEEK | MSG_DONTWAIT) == 12);
	ck_assert_str_eq(line, "HTTP/1.1 200");
	close(other);
	close(fd);
	ck_assert_ptr_null(server_log(srv, "event=monitor_died"));
	server_end(srv);
}
END_TEST

/*
 * Handlers: this program, called in another way.
 */

static int
read_frame(char *payload, size_t size)
{
	uint32_t length;
	size_t have = 0;
	ssize_t n;

	if (read(STDIN_FILENO, &length, sizeof(length)) != sizeof(length) ||
	    (length = ntohl(length)) > size)
		return (-1);
	for (; have < length; have += (size_t)n)
		if ((n = read(STDIN_FILENO, payload + have,
		    length - have)) <= 0)
			return (-1);
	return ((int)length);
}

/* Each reply brings a descriptor; or the word that it is ready does. */
static int
handle(const char *how)
{
	char frame[1024];
	int len;

	if (strcmp(how, "word") == 0 &&
	    !rights_send(STDOUT_FILENO, "\0\0\0\0", 4) &&
	    write(STDOUT_FILENO, "\0\0\0\0", 4) != 4)
		return (1);
	while ((len = read_frame(frame + 4, sizeof(frame) - 4)) != -1) {
		uint32_t length = htonl((uint32_t)len);

		memcpy(frame, &length, sizeof(length));
		if (!rights_send(STDOUT_FILENO, frame, (size_t)len + 4) &&
		    write(STDOUT_FILENO, frame, (size_t)len + 4) != len + 4)
			return (1);
	}
	return (0);
}

static void
write_handler(char *text, size_t size, const char *how, const char *more)
{
	snprintf(text, size, SINGLE "handlers = ( { name = \"sender\"; "
	    "type = \"command\"; processes = 1; %s "
	    "command = [ \"%s\", \"--handle\", \"%s\" ]; } );", more, self,
	    how);
}

#define SENDER	LISTENER("sender", "9003", "frame", "sender", "")
/* As the previous release does, it gives a command a socket. */
#define PREVIOUS	"tests/programs/penstock-previous"

START_TEST(a_descriptor_from_a_handler_delays_no_client)
{
	char globals[PATH_MAX + 256];
	struct server *srv;
	int fd, other;

	write_handler(globals, sizeof(globals), "reply", "");
	srv = start_program(PREVIOUS, true, globals, FRAMES("") ", " SENDER);
	fd = client_connect(EXTRA_PORT);
	other = client_connect(FRAME_PORT);
	for (int i = 0; i < 2; i++) {
		client_send_text_frame(fd, "hi");
		client_expect_text_frame(fd, "ERR failed");
		client_echo(other, "meanwhile");
	}
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=executor_died"), "it sent a descriptor"));
	close(fd);
	close(other);
	server_end(srv);
}
END_TEST

START_TEST(a_descriptor_with_the_first_word_does_not_freeze_the_master)
{
	char globals[PATH_MAX + 256];
	struct server *srv = start_program(PREVIOUS, true, SINGLE,
	    FRAMES(""));
	int fd = client_connect(FRAME_PORT);

	write_handler(globals, sizeof(globals), "word", "ready = true;");
	handlers_configure(srv, globals, FRAMES("") ", " SENDER);
	server_signal(srv, SIGHUP);
	ck_assert_ptr_nonnull(strstr(server_expect(srv,
	    "event=reload_refused"), "came with a descriptor"));
	client_echo(fd, "still there");
	close(fd);
	await(server_children(srv) == 1);
	server_end(srv);
}
END_TEST

/* As every program that writes to its standard output does. */
START_TEST(a_handler_on_a_kernel_that_keeps_them_out_is_served)
{
	char globals[PATH_MAX + 256];
	struct server *srv = start(false, SINGLE, LOCAL("f", "frame"));
	int fd = connect_to(srv, "f");
	bool old;

	old = rights_send(fd, "\0\0\0\2hi", 6);
	close(fd);
	server_end(srv);
	if (old)
		return;
	write_handler(globals, sizeof(globals), "reply", "");
	srv = start_program(PREVIOUS, false, globals, SENDER);
	fd = client_connect(EXTRA_PORT);
	client_echo(fd, "at your service");
	close(fd);
	server_end(srv);
}
END_TEST

/* On any kernel: the first word and the replies go through a pipe. */
START_TEST(a_command_has_no_way_to_send_a_descriptor)
{
	char globals[PATH_MAX + 256];
	struct server *srv;
	int fd;

	write_handler(globals, sizeof(globals), "word", "ready = true;");
	srv = start(true, globals, SENDER);
	fd = client_connect(EXTRA_PORT);
	client_echo(fd, "at your service");
	ck_assert_ptr_null(server_log(srv, "event=executor_died"));
	close(fd);
	server_end(srv);
}
END_TEST

static int
run_all(void)
{
	const TTest *const tests[] = {
		a_descriptor_from_a_client_delays_no_other_client,
		a_descriptor_does_no_harm_on_this_kernel,
		a_descriptor_in_the_accept_queue_delays_no_stop,
		a_descriptor_does_not_freeze_the_monitor,
		a_descriptor_from_a_handler_delays_no_client,
		a_descriptor_with_the_first_word_does_not_freeze_the_master,
		a_handler_on_a_kernel_that_keeps_them_out_is_served,
		a_command_has_no_way_to_send_a_descriptor,
	};

	return (run_tests("rights", tests, sizeof(tests) / sizeof(*tests)));
}

int
main(int argc, char *argv[])
{
	const char *top = getenv("TOP_BUILDDIR");
	char path[PATH_MAX];

	if (argc == 3 && strcmp(argv[1], "--handle") == 0)
		return (handle(argv[2]));
	if (server_is_sanitized()) {
		puts("nothing can be preloaded before a sanitizer");
		return (77);
	}
	snprintf(path, sizeof(path), "%s/tests/lib/faults.so",
	    top != NULL ? top : ".");
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) == -1 ||
	    realpath(path, library) == NULL) {
		perror(path);
		return (1);
	}
	return (run_all());
}
