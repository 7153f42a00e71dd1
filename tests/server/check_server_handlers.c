/* SPDX-License-Identifier: ISC */
/*
 * Work off the loop: whatever a handler is written in and however it fails,
 * each request has one answer, in its turn, and no client is disconnected.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"
#include "tests/lib/proc.h"
#include "tests/lib/wire.h"

enum {
	FIRST_PORT = 9100,
	BIG = 100000,
};

/*
 * All handlers answer alike.
 */

enum { REQUESTS = 48 };

static struct text requests[REQUESTS];
static char digests[REQUESTS][65];

/* One byte to 100 KB, as many of each order of magnitude. */
static void
make_requests(void)
{
	static const size_t sizes[] = { 1, 10, 100, 1000, 10000, BIG };
	struct text *request;
	size_t most;

	srand(7);
	for (int i = 0; i < REQUESTS; i++) {
		request = &requests[i];
		most = sizes[i % 6];
		request->len = i < 6 ? most : 1 + (size_t)rand() % most;
		request->bytes = malloc(request->len + 16);
		ck_assert_ptr_nonnull(request->bytes);
		for (size_t k = 0; k < request->len; k++)
			request->bytes[k] = (char)(' ' + rand() % 95);
		if (request->len >= 10)
			request->bytes[snprintf(request->bytes, 10, "%04d", i)]
			    = ':';
	}
}

/* By another program than ours. */
static void
make_digests(struct server *srv)
{
	char path[128], command[256];
	FILE *file;

	for (int i = 0; i < REQUESTS; i++) {
		snprintf(path, sizeof(path), "%s/digest%02d", srv->dir, i);
		ck_assert_ptr_nonnull(file = fopen(path, "we"));
		fwrite(requests[i].bytes, 1, requests[i].len, file);
		fclose(file);
	}
	snprintf(command, sizeof(command), "sha256sum %s/digest*", srv->dir);
	ck_assert_ptr_nonnull(file = popen(command, "re"));
	for (int i = 0; i < REQUESTS; i++)
		ck_assert_int_eq(fscanf(file, "%64s %*s", digests[i]), 1);
	pclose(file);
}

static bool
is_same(int i, const struct text *reply)
{
	return (text_equal(reply, &requests[i]));
}

static bool
is_upper(int i, const struct text *reply)
{
	char want;

	if (reply->len != requests[i].len)
		return (false);
	for (size_t k = 0; k < reply->len; k++) {
		want = requests[i].bytes[k];
		if (want >= 'a' && want <= 'z')
			want = (char)(want - 'a' + 'A');
		if (reply->bytes[k] != want)
			return (false);
	}
	return (true);
}

static bool
is_reverse(int i, const struct text *reply)
{
	if (reply->len != requests[i].len)
		return (false);
	for (size_t k = 0; k < reply->len; k++)
		if (reply->bytes[k] != requests[i].bytes[reply->len - 1 - k])
			return (false);
	return (true);
}

/* "3: hello" */
static bool
is_prefixed(int i, const struct text *reply)
{
	struct text rest = *reply;
	size_t digit = strspn(reply->bytes, "0123456789");

	if (digit == 0 || digit + 2 > reply->len ||
	    memcmp(reply->bytes + digit, ": ", 2) != 0)
		return (false);
	rest.bytes += digit + 2;
	rest.len -= digit + 2;
	return (text_equal(&rest, &requests[i]));
}

static bool
is_digest(int i, const struct text *reply)
{
	return (text_is(reply, digests[i]));
}

static const struct kind {
	const char *name, *keys;
	const char *needs;	/* a file; NULL: nothing */
	bool (*is_right)(int i, const struct text *reply);
} kinds[] = {
	{ "same", "type = \"echo\";", NULL, is_same },
	{ "prefix", "type = \"module\"; threads = 8; "
	    "module = \"build/examples/example_prefix.so\";", NULL,
	    is_prefixed },
	{ "sha256", "type = \"module\"; threads = 8; "
	    "module = \"build/examples/example_sha256.so\";",
	    "build/examples/example_sha256.so", is_digest },
	{ "upper", "type = \"command\"; processes = 2; "
	    "command = [ \"src/examples/upper.py\" ];", NULL, is_upper },
	{ "reverse", "type = \"command\"; processes = 2; pipeline = 4; "
	    "command = [ \"src/examples/reverse.pl\" ];", NULL, is_reverse },
	{ "echo_one", "type = \"command\"; processes = 2; "
	    "command = [ \"build/examples/echo_command\" ];", NULL, is_same },
	{ "echo_many", "type = \"command\"; processes = 2; pipeline = 16; "
	    "command = [ \"build/examples/echo_command\" ];", NULL, is_same },
	{ "tagged", "type = \"command\"; processes = 2; pipeline = 16; "
	    "tagged = true; metadata = true; ready = true; "
	    "command = [ \"src/tests/programs/command_misbehave.py\", "
	    "\"--tagged\", \"--metadata\", \"--ready\" ];", NULL, is_same },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static bool
kind_is_there(const struct server *srv, const struct kind *kind)
{
	return (kind->needs == NULL ||
	    access(server_path(srv, kind->needs), R_OK) == 0);
}

/* A handler for each kind, and two listeners: frames at an even port, lines at
 * the odd one above it. */
static struct server *
start_all_kinds(void)
{
	static char globals[16384], listeners[16384];
	struct server *srv = handlers_new();
	size_t g, l = 0;

	g = (size_t)snprintf(globals, sizeof(globals),
	    "workers = 2;\nhandlers = (");
	for (int i = 0; i < KINDS; i++) {
		if (!kind_is_there(srv, &kinds[i]))
			continue;
		g += (size_t)snprintf(globals + g, sizeof(globals) - g,
		    "%s{ name = \"%s\"; %s }", i > 0 ? ",\n" : "",
		    kinds[i].name, kinds[i].keys);
		for (int k = 0; k < 2; k++)
			l += (size_t)snprintf(listeners + l,
			    sizeof(listeners) - l, "%s{ name = \"%s-%d\"; "
			    "address = \"$A:%d\"; protocol = \"%s\"; "
			    "handler = \"%s\"; pipeline = %d; }",
			    l > 0 ? ",\n" : "", kinds[i].name, k,
			    FIRST_PORT + 2 * i + k,
			    k == 0 ? "frame" : "line", kinds[i].name,
			    8 << (i % 3));
	}
	snprintf(globals + g, sizeof(globals) - g, ");");
	handlers_configure(srv, globals, listeners);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

static void
expect_kind(const struct kind *kind, unsigned port, bool lines)
{
	struct wire out = { .lines = lines }, in = { .lines = lines };
	int fd = client_connect(port);
	struct text reply;

	for (int i = 0; i < REQUESTS; i++)
		wire_put(&out, &requests[i]);
	wire_exchange(fd, &out, &in, REQUESTS);
	for (int i = 0; i < REQUESTS; i++) {
		ck_assert(wire_take(&in, &reply));
		ck_assert_msg(kind->is_right(i, &reply), "%s, %s: request %d "
		    "of %zu bytes has the reply \"%.*s\"", kind->name,
		    lines ? "line" : "frame", i, requests[i].len,
		    (int)(reply.len < 80 ? reply.len : 80), reply.bytes);
	}
	ck_assert_uint_eq(in.at, in.len);
	close(fd);
	free(out.bytes);
	free(in.bytes);
}

START_TEST(every_handler_answers_in_order_behind_every_protocol)
{
	struct server *srv = start_all_kinds();

	make_requests();
	make_digests(srv);
	for (int i = 0; i < KINDS; i++) {
		if (!kind_is_there(srv, &kinds[i]))
			continue;
		for (unsigned k = 0; k < 2; k++)
			expect_kind(&kinds[i], FIRST_PORT + 2 * (unsigned)i + k,
			    k == 1);
	}
	ck_assert_uint_eq(handler_counters(srv).failed, 0);
	ck_assert_ptr_null(server_log(srv, "event=executor_died"));
	for (int i = 0; i < REQUESTS; i++)
		free(requests[i].bytes);
	server_end(srv);
}
END_TEST

/*
 * Commands that misbehave.
 */

static const struct deed {
	const char *args;
	const char *more;	/* of the handler's keys */
	const char *fault;	/* the answer to each fourth; NULL: the reply */
	bool dies;
	bool loose;		/* another's reply may come in its place */
} deeds[] = {
	{ "\"exit\"", "", ERR_FAILED, true, false },
	{ "\"exit\", \"0\"", "", ERR_FAILED, true, false },
	{ "\"kill\"", "", ERR_FAILED, true, false },
	{ "\"kill\", \"KILL\"", "", ERR_FAILED, true, false },
	{ "\"hang\"", "", ERR_TIMEOUT, true, false },
	{ "\"stop\"", "", ERR_TIMEOUT, true, false },
	{ "\"close\"", "", ERR_FAILED, true, false },
	{ "\"deaf\"", "", NULL, true, true },
	{ "\"--by-name\", \"exit\"", "", ERR_FAILED, true, false },
	{ "\"--by-name\", \"kill\"", "", ERR_FAILED, true, false },
	{ "\"half\"", "", ERR_TIMEOUT, true, true },
	{ "\"half-exit\"", "", ERR_FAILED, true, false },
	{ "\"too-much\"", "", NULL, true, true },
	{ "\"huge\"", "", ERR_TIMEOUT, true, true },
	{ "\"--tagged\", \"wrong-tag\"", "tagged = true;", ERR_FAILED, true,
	    false },
	{ "\"flood\"", "", NULL, false, false },
	{ "\"long-line\"", "", NULL, false, false },
	{ "\"bad-bytes\"", "", NULL, false, false },
	{ "\"orphan\", \"orphan1\"", "", NULL, false, false },
	{ "\"orphan-exit\", \"orphan2\"", "", ERR_FAILED, true, false },
};

enum {
	DEEDS = sizeof(deeds) / sizeof(deeds[0]),
	DEED_REQUESTS = 10,
};

static struct server *
start_deeds(void)
{
	static char globals[16384], listeners[16384];
	size_t g, l = 0;

	g = (size_t)snprintf(globals, sizeof(globals),
	    "workers = 1;\nhandlers = (");
	for (int i = 0; i < DEEDS; i++) {
		g += (size_t)snprintf(globals + g, sizeof(globals) - g,
		    "%s{ name = \"deed%d\"; type = \"command\"; command = [ "
		    "\"src/tests/programs/command_misbehave.py\", "
		    "\"--every\", \"4\", \"--ready\", %s ]; ready = true; processes = 1; "
		    "request_timeout = 3.0; queue_timeout = 0; %s }",
		    i > 0 ? ",\n" : "", i, deeds[i].args, deeds[i].more);
		l += (size_t)snprintf(listeners + l, sizeof(listeners) - l,
		    "%s{ name = \"l%d\"; address = \"$A:%d\"; "
		    "handler = \"deed%d\"; }", i > 0 ? ",\n" : "", i,
		    FIRST_PORT + i, i);
	}
	snprintf(globals + g, sizeof(globals) - g, ");");
	return (handlers_start(globals, listeners));
}

static bool
is_a_number_below(const struct text *text, int n)
{
	char number[16];

	for (int i = 0; i < n; i++) {
		snprintf(number, sizeof(number), "%d", i);
		if (text_is(text, number))
			return (true);
	}
	return (false);
}

/* With one request at a time it is known which answer each one has. */
static void
expect_deed(const struct deed *deed, int fd)
{
	struct wire in = { .lines = false };
	char number[16];
	const char *want;
	struct text reply;

	for (int i = 0; i < DEED_REQUESTS; i++) {
		snprintf(number, sizeof(number), "%d", i);
		want = i % 4 == 3 && deed->fault != NULL ? deed->fault :
		    number;
		reply = wire_expect(fd, &in);
		if (text_is(&reply, want) || (deed->loose &&
		    (text_is(&reply, ERR_FAILED) ||
		    text_is(&reply, ERR_TIMEOUT) ||
		    is_a_number_below(&reply, i + 1))))
			continue;
		ck_abort_msg("%s: request %d has the answer \"%.*s\", not "
		    "\"%s\"", deed->args, i, (int)(reply.len < 80 ? reply.len :
		    80), reply.bytes, want);
	}
	/* No more than one each. */
	ck_assert_uint_eq(in.at, in.len);
	ck_assert(!client_has_input(fd));
	free(in.bytes);
}

static void
expect_deaths(struct server *srv)
{
	char words[64];

	for (int i = 0; i < DEEDS; i++) {
		snprintf(words, sizeof(words), "event=executor_died "
		    "handler=deed%d", i);
		if (deeds[i].dies)
			server_expect(srv, words);
		else
			ck_assert_msg(server_log(srv, words) == NULL, "%s: %s",
			    deeds[i].args, srv->line);
	}
}

/* What the master and its worker have. */
struct holdings {
	size_t fds[2];
	uint64_t memory[2];
	size_t children;
};

static struct holdings
take_stock(struct server *srv)
{
	const pid_t pids[2] = { srv->master, server_worker(srv, 0) };
	struct holdings now = { .children = server_children(srv) };

	for (int i = 0; i < 2; i++) {
		now.fds[i] = proc_fds(pids[i], NULL, 0);
		now.memory[i] = proc_pss_anon(pids[i]);
	}
	return (now);
}

/* The same descriptors and processes as before, once all has settled. */
static bool
holds_as_much(struct server *srv, const struct holdings *before)
{
	struct holdings now = take_stock(srv);

	/* What was about to be closed may have been counted before. */
	return (now.children == before->children &&
	    now.fds[0] <= before->fds[0] && now.fds[1] <= before->fds[1]);
}

static void
expect_no_leak(struct server *srv, const struct holdings *before)
{
	struct holdings now;

	await(holds_as_much(srv, before));
	now = take_stock(srv);
	for (int i = 0; i < 2; i++) {
		printf("%s: %u descriptors, %u children, memory %u KiB before "
		    "and %u KiB after\n", i == 0 ? "master" : "worker",
		    (unsigned)now.fds[i], (unsigned)now.children,
		    (unsigned)(before->memory[i] / 1024),
		    (unsigned)(now.memory[i] / 1024));
		ck_assert_uint_lt(now.memory[i], before->memory[i] +
		    (server_is_sanitized() ? 64U : 2U) * 1024 * 1024);
	}
}

START_TEST(whatever_a_command_does_each_request_has_one_answer)
{
	struct server *srv = start_deeds();
	struct holdings before;
	int fds[DEEDS], again;
	pid_t orphan;

	await(handler_counters(srv).executors == DEEDS);
	before = take_stock(srv);
	for (unsigned i = 0; i < DEEDS; i++) {
		fds[i] = client_connect(FIRST_PORT + i);
		send_numbers(fds[i], DEED_REQUESTS);
	}
	for (int i = 0; i < DEEDS; i++)
		expect_deed(&deeds[i], fds[i]);
	expect_deaths(srv);
	/* The handler that flooded first is named in it. */
	server_expect(srv, "event=handler_stderr");
	/* What a dead one leaves behind goes with it. */
	orphan = handlers_pid_in(srv, "orphan2");
	await(proc_is_dead(orphan));
	/* All are there again, and the clients still are. */
	for (unsigned i = 0; i < DEEDS; i++) {
		again = client_connect(FIRST_PORT + i);
		client_send_text_frame(again, "0");
		await(client_has_input(again));
		close(again);
		ck_assert(!client_has_input(fds[i]));
		close(fds[i]);
	}
	await(handler_counters(srv).executors == DEEDS);
	ck_assert_uint_gt(handler_counters(srv).timeouts, 5);
	expect_no_leak(srv, &before);
	orphan = handlers_pid_in(srv, "orphan1");
	server_end(srv);
	await(proc_is_dead(orphan));
}
END_TEST

/* It is heard before it has anything to answer. */
START_TEST(a_command_that_speaks_before_it_is_asked_is_replaced)
{
	struct server *srv = handlers_start(HANDLERS(COMMAND("early", "\"early\"",
	    "")), ONE("early", "") ",\n" EXTRA(""));

	server_expect(srv, "event=executor_died handler=early");
	await(server_count(srv, "event=executor_start handler=early") >= 3);
	expect_answered(EXTRA_PORT, "hello");
	server_end(srv);
}
END_TEST

/* What is on standard output, and how the log shows it. */
static const struct {
	const char *deed, *more, *how;
} wrong_frames[] = {
	{ "\"print\", \"Hello, world\"", "",
	  "it announced a reply of 1214606444 bytes by 'Hello, world\\\\n'" },
	{ "\"print\", \"Gr\xc3\xbc\xc3\x9f Gott und guten Tag\"", "",
	  "it announced a reply of 1198703548 bytes by "
	  "'Gr\xc3\xbc\xc3\x9f Gott und " },
	{ "\"huge\"", "", "it announced a reply of 4294967295 bytes by "
	  "'\\\\xff\\\\xff\\\\xff\\\\xff'" },
	{ "\"--tagged\", \"wrong-tag\"", "tagged = true; pipeline = 2;",
	  "it sent a reply that fits no message: "
	  "'\\\\x00\\\\x00\\\\x00\\\\x09\\\\xff\\\\xff" },
	{ "\"too-much\"", "", "it sent a reply that fits no message: "
	  "'\\\\x00\\\\x00\\\\x00\\\\x010'" },
	{ "\"print\", \"Content-Type: text/html\"", "reply_metadata = true;",
	  "it announced a reply of 1131376244 bytes by 'Content-Type: te'" },
	/* Shorter than a length: it is late. */
	{ "\"--ready\", \"early-text\"", "ready = true; request_timeout = 0.3;",
	  "it had a request for longer than request_timeout; "
	  "its reply begins 'ok\\\\n'" },
};

enum { WRONG_FRAMES = sizeof(wrong_frames) / sizeof(*wrong_frames) };

START_TEST(the_log_shows_what_a_command_writes_instead_of_frames)
{
	char globals[8192] = "workers = 1;\nhandlers = (", listeners[4096] = "";
	char words[64];
	struct server *srv;
	size_t end;
	int fds[WRONG_FRAMES];

	for (int i = 0; i < WRONG_FRAMES; i++) {
		end = strlen(globals);
		snprintf(globals + end, sizeof(globals) - end,
		    "%s { name = \"h%d\"; type = \"command\"; processes = 1; "
		    "command = [ "
		    "\"src/tests/programs/command_misbehave.py\", %s ]; %s }%s", i > 0 ? "," : "", i, wrong_frames[i].deed,
		    wrong_frames[i].more, i == WRONG_FRAMES - 1 ? " );" : "");
		end = strlen(listeners);
		snprintf(listeners + end, sizeof(listeners) - end,
		    "%s { name = \"l%d\"; address = \"$A:%d\"; "
		    "protocol = \"frame\"; handler = \"h%d\"; }",
		    i > 0 ? "," : "", i, FIRST_PORT + i, i);
	}
	srv = handlers_start(globals, listeners);
	for (int i = 0; i < WRONG_FRAMES; i++) {
		fds[i] = client_connect((unsigned)(FIRST_PORT + i));
		client_send_text_frame(fds[i], "0");
	}
	for (int i = 0; i < WRONG_FRAMES; i++) {
		snprintf(words, sizeof(words),
		    "event=executor_died handler=h%d", i);
		server_expect(srv, words);
		ck_assert_msg(strstr(srv->line, wrong_frames[i].how) != NULL,
		    "%s: %s", wrong_frames[i].how, srv->line);
		close(fds[i]);
	}
	server_end(srv);
}
END_TEST

START_TEST(a_flood_on_stderr_is_limited_in_the_log)
{
	struct server *srv = START_COMMAND("flood", "\"flood\", \"20000\"", "");

	expect_answered(FRAME_PORT, "hello");
	server_expect(srv, "event=handler_stderr handler=flood");
	ck_assert_uint_lt(server_count(srv, "event=handler_stderr"), 5000);
	server_end(srv);
}
END_TEST

START_TEST(what_a_command_says_cannot_forge_the_log)
{
	struct server *srv = START_COMMAND("bad", "\"bad-bytes\"", "");

	expect_answered(FRAME_PORT, "hello");
	await(server_count(srv, "event=handler_stderr handler=bad") == 2);
	ck_assert_ptr_null(strchr(srv->log, '\033'));
	ck_assert_ptr_null(strstr(srv->log, "\nlevel=error"));
	server_end(srv);
}
END_TEST

START_TEST(utf_8_of_a_command_stays_utf_8_in_the_log)
{
	enum { MANY = 400 };
	static const char word[] = "Gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x98\x80";
	struct server *srv = START_COMMAND("mine", "\"complain\"", "");
	char text[3 * MANY + 3] = "";

	expect_answered(FRAME_PORT, word);
	server_expect(srv, "event=handler_stderr handler=mine");
	ck_assert_msg(strstr(srv->line, word) != NULL, "%s", srv->line);
	/* Nor is a line that is logged in pieces cut within a character,
	 * wherever these end. */
	for (int shift = 0; shift < 3; shift++) {
		memset(text, 'x', (size_t)shift);
		for (int i = 0; i < MANY; i++)
			memcpy(text + shift + 3 * i, "\xe2\x82\xac", 4);
		expect_answered(FRAME_PORT, text);
		expect_answered(FRAME_PORT, "end");
		server_expect(srv, "event=handler_stderr handler=mine line=end");
		server_mark(srv);
	}
	ck_assert_ptr_null(strstr(srv->log, "\\ufffd"));
	server_end(srv);
}
END_TEST

/*
 * Modules that crash.
 */

enum {
	CRASH_CLIENTS = 4,
	CRASH_REQUESTS = 100,
	CRASH_THREADS = 8,
	CRASH_HELD_MAX = 64,	/* what a module has at a time */
};

/* What became of a request: the module's own journal, and its answer. */
struct fate {
	pid_t begun_by;		/* 0: never begun */
	bool ended;
	bool failed;
	bool overtaken;		/* never begun, but one behind it was */
};

static struct fate fates[CRASH_CLIENTS][CRASH_REQUESTS];

static void
read_journal(const struct server *srv)
{
	FILE *file = fopen(server_path(srv, "journal"), "re");
	char what[8];
	unsigned client, number;
	struct fate *fate;
	int pid;

	ck_assert_ptr_nonnull(file);
	while (fscanf(file, "%7s %d c%u-%u\n", what, &pid, &client, &number) ==
	    4) {
		ck_assert_uint_lt(client, CRASH_CLIENTS);
		ck_assert_uint_lt(number, CRASH_REQUESTS);
		fate = &fates[client][number];
		if (strcmp(what, "begin") == 0) {
			ck_assert_msg(fate->begun_by == 0,
			    "c%u-%u was run twice", client, number);
			fate->begun_by = pid;
			continue;
		}
		ck_assert_int_eq(fate->begun_by, pid);
		fate->ended = true;
	}
	ck_assert(feof(file));
	fclose(file);
}

static bool
has_died(struct server *srv, pid_t pid)
{
	char words[64];

	snprintf(words, sizeof(words), "event=executor_died child=%d",
	    (int)pid);
	return (server_log(srv, words) != NULL);
}

/* One that was never begun was with the last process that began one of the
 * client's before it, as they go to it in order.  A thread can have it in hand
 * while others begin what is behind it. */
static pid_t
held_by(struct fate *of_client, int number)
{
	pid_t pid = 0;

	for (int i = number; i >= 0 && pid == 0; i--)
		pid = of_client[i].begun_by;
	for (int i = number; i < CRASH_REQUESTS && pid != 0; i++)
		if (of_client[i].begun_by == pid)
			of_client[number].overtaken = true;
	return (pid);
}

/* Returns how many have failed. */
static unsigned
judge(struct server *srv, struct fate *of_client, int client)
{
	const struct fate *fate;
	unsigned failed = 0;
	pid_t pid;

	for (int i = 0; i < CRASH_REQUESTS; i++) {
		fate = &of_client[i];
		pid = fate->begun_by;
		failed += fate->failed;
		if (fate->failed && pid == 0)
			pid = held_by(of_client, i);
		ck_assert_msg(fate->failed || fate->ended,
		    "c%d-%d was answered, and never handled", client, i);
		/* A client knows of a death before the log does. */
		if (fate->failed && pid != 0)
			await(has_died(srv, pid));
	}
	return (failed);
}

static void
send_named(int fd, int client)
{
	char name[32];

	for (int i = 0; i < CRASH_REQUESTS; i++) {
		snprintf(name, sizeof(name), "c%d-%d", client, i);
		client_send_text_frame(fd, name);
	}
}

static void
expect_named_or_failed(int fd, int client)
{
	struct wire in = { .lines = false };
	struct text reply;
	char name[32];

	for (int i = 0; i < CRASH_REQUESTS; i++) {
		snprintf(name, sizeof(name), "c%d-%d", client, i);
		reply = wire_expect(fd, &in);
		fates[client][i].failed = text_is(&reply, ERR_FAILED);
		ck_assert_msg(fates[client][i].failed || text_is(&reply, name),
		    "%s has the answer \"%.*s\"", name, (int)reply.len,
		    reply.bytes);
	}
	/* No more than one each. */
	ck_assert_uint_eq(in.at, in.len);
	ck_assert(!client_has_input(fd));
	free(in.bytes);
}

/* Its connection is there, also if this is the request that the module dies of
 * next. */
static void
expect_still_here(int fd)
{
	struct wire in = { .lines = false };
	struct text reply;

	client_send_text_frame(fd, "still here");
	reply = wire_expect(fd, &in);
	ck_assert(text_is(&reply, "still here") ||
	    text_is(&reply, ERR_FAILED));
	free(in.bytes);
}

START_TEST(a_module_that_crashes_fails_exactly_what_it_held)
{
	struct server *srv = handlers_start("workers = 1;\nhandlers = (\n"
	    MODULE("mod", "segfault = 100; journal = \"journal\";",
	    "threads = 8; queue_timeout = 0;") "\n);", ONE("mod", ""));
	int fds[CRASH_CLIENTS];
	unsigned failed = 0, deaths, overtaken = 0;

	for (int c = 0; c < CRASH_CLIENTS; c++)
		fds[c] = client_connect(FRAME_PORT);
	for (int c = 0; c < CRASH_CLIENTS; c++)
		send_named(fds[c], c);
	for (int c = 0; c < CRASH_CLIENTS; c++)
		expect_named_or_failed(fds[c], c);
	read_journal(srv);
	for (int c = 0; c < CRASH_CLIENTS; c++)
		failed += judge(srv, fates[c], c);
	await((deaths = server_count(srv, "event=executor_died")) *
	    CRASH_HELD_MAX >= failed && deaths + 1 ==
	    server_count(srv, "event=executor_start"));
	printf("%u crashes in %d requests: %u failed\n", deaths,
	    CRASH_CLIENTS * CRASH_REQUESTS, failed);
	ck_assert_uint_ge(deaths, 2);
	ck_assert_uint_ge(failed, deaths);
	ck_assert_uint_eq(handler_counters(srv).failed, failed);
	for (int i = 0; i < CRASH_CLIENTS * CRASH_REQUESTS; i++)
		overtaken += fates[i / CRASH_REQUESTS][i % CRASH_REQUESTS]
		    .overtaken;
	ck_assert_uint_le(overtaken, deaths * CRASH_THREADS);
	for (int c = 0; c < CRASH_CLIENTS; c++) {
		expect_still_here(fds[c]);
		close(fds[c]);
	}
	server_end(srv);
}
END_TEST

/*
 * Full queues.
 */

START_TEST(with_overload_shed_a_full_queue_answers_busy_at_once)
{
	struct server *srv = START_COMMAND("slow", "\"hold\"",
	    "queue = 2; overload = \"shed\";");
	int one = client_connect(FRAME_PORT);
	int two = client_connect(FRAME_PORT);

	send_numbers(one, 3);
	await(handler_counters(srv).waiting == 2);
	client_send_text_frame(two, "me too");
	client_expect_text_frame(two, ERR_BUSY);
	/* In its turn behind what was taken. */
	client_send_text_frame(one, "one more");
	await(handler_counters(srv).shed == 2);
	ck_assert(!client_has_input(one));
	handlers_release(srv);
	expect_numbers(one, 3);
	client_expect_text_frame(one, ERR_BUSY);
	client_echo(two, "now");
	close(one);
	close(two);
	server_end(srv);
}
END_TEST

START_TEST(with_overload_wait_all_replies_come_in_the_end)
{
	enum { CLIENTS = 8, EACH = 30 };
	struct server *srv = START_COMMAND("slow", "\"sleep\", \"5\"",
	    "queue = 3; overload = \"wait\";");
	int fds[CLIENTS];

	for (int c = 0; c < CLIENTS; c++)
		fds[c] = client_connect(FRAME_PORT);
	for (int c = 0; c < CLIENTS; c++)
		send_numbers(fds[c], EACH);
	for (int c = 0; c < CLIENTS; c++)
		expect_numbers(fds[c], EACH);
	ck_assert_uint_gt(handler_counters(srv).held_back, 0);
	ck_assert_uint_eq(handler_counters(srv).shed, 0);
	for (int c = 0; c < CLIENTS; c++)
		close(fds[c]);
	server_end(srv);
}
END_TEST

/* A feeder that goes while it is held back must not be called. */
START_TEST(clients_that_are_held_back_can_leave)
{
	enum { CLIENTS = 6 };
	struct server *srv = handlers_start(HANDLERS(COMMAND("slow",
	    "\"sleep\", \"300\"", "queue = 1;")), ONE("slow", ""));
	int fds[CLIENTS];

	for (int c = 0; c < CLIENTS; c++) {
		fds[c] = client_connect(FRAME_PORT);
		send_numbers(fds[c], 3);
	}
	await(handler_counters(srv).held_back >= CLIENTS - 2);
	for (int c = 0; c < CLIENTS; c++)
		if (c % 2 == 0)
			client_reset(fds[c]);
		else {
			expect_numbers(fds[c], 3);
			close(fds[c]);
		}
	await(server_counters(srv).active == 0);
	expect_answered(FRAME_PORT, "hello");
	server_end(srv);
}
END_TEST

START_TEST(requests_older_than_queue_timeout_are_answered_busy)
{
	struct server *srv = handlers_start(HANDLERS(TIMED_COMMAND("slow",
	    "\"hold\"", "queue_timeout = 0.3;")),
	    ONE("slow", ""));
	int one = client_connect(FRAME_PORT);
	int two = client_connect(FRAME_PORT);

	client_send_text_frame(one, "first");
	await(server_counters(srv).messages_in == 1);
	client_send_text_frame(two, "second");
	client_expect_text_frame(two, ERR_BUSY);
	ck_assert(!client_has_input(one));
	handlers_release(srv);
	client_expect_text_frame(one, "first");
	ck_assert_uint_eq(handler_counters(srv).expired, 1);
	close(one);
	close(two);
	server_end(srv);
}
END_TEST

/*
 * Who goes first.
 */

static const char slow_both[] = HANDLERS(COMMAND("slow",
    "\"sleep\", \"20\"", ""));
static const char lanes[] =
    ONE("slow", "pipeline = 200;") ",\n"
    LISTENER("high", "9004", "frame", "slow",
    "priority = \"high\"; pipeline = 200;") ",\n" EXTRA("");

START_TEST(high_priority_goes_first_and_others_are_not_delayed)
{
	enum { NORMAL = 150, HIGH = 15 };
	struct server *srv = handlers_start(slow_both, lanes);
	int normal = client_connect(FRAME_PORT);
	int high = client_connect(HIGH_PORT);
	int extra = client_connect(EXTRA_PORT);
	struct wire in = { .lines = false };
	size_t done;

	send_numbers(normal, NORMAL);
	await(handler_counters(srv).waiting > NORMAL / 2);
	send_numbers(high, HIGH);
	for (int i = 0; i < HIGH; i++)
		client_echo(extra, "hello");
	done = wire_count(&in, normal);
	ck_assert_msg(done < NORMAL, "echoes waited for %zu slow ones", done);
	expect_numbers(high, HIGH);
	done = wire_count(&in, normal);
	ck_assert_msg(done > 0 && done < NORMAL / 2,
	    "%zu normal ones were done with %d high ones", done, HIGH);
	for (int i = 0; i < NORMAL; i++)
		wire_expect(normal, &in);
	free(in.bytes);
	close(normal);
	close(high);
	close(extra);
	server_end(srv);
}
END_TEST

START_TEST(the_normal_lane_moves_while_high_ones_wait)
{
	enum { NORMAL = 4, HIGH = 100 };
	struct server *srv = handlers_start(slow_both, lanes);
	int normal = client_connect(FRAME_PORT);
	int high = client_connect(HIGH_PORT);
	struct wire in = { .lines = false };

	send_numbers(high, HIGH);
	await(handler_counters(srv).waiting > HIGH / 2);
	send_numbers(normal, NORMAL);
	expect_numbers(normal, NORMAL);
	ck_assert_uint_lt(wire_count(&in, high), HIGH);
	for (int i = 0; i < HIGH; i++)
		wire_expect(high, &in);
	free(in.bytes);
	close(normal);
	close(high);
	server_end(srv);
}
END_TEST

/*
 * Connections with requests in flight.
 */

START_TEST(after_a_half_close_all_replies_come_before_the_end)
{
	struct server *srv = handlers_start(HANDLERS(COMMAND("slow",
	    "\"sleep\", \"30\"", "")), ONE("slow", "pipeline = 4;") ",\n"
	    ONE_LINE("slow", ""));
	int frames = client_connect(FRAME_PORT);
	int lines = client_connect(LINE_PORT);

	send_numbers(frames, 12);
	client_half_close(frames);
	client_send_text(lines, "a\nbc\n\nd\n");
	client_half_close(lines);
	expect_numbers(frames, 12);
	client_expect_eof(frames);
	client_expect_text(lines, "a\nbc\n\nd\n");
	client_expect_eof(lines);
	close(frames);
	close(lines);
	server_end(srv);
}
END_TEST

START_TEST(a_client_that_vanishes_leaves_nothing_to_others)
{
	enum { ROUNDS = 10 };
	struct server *srv = handlers_start(HANDLERS(COMMAND("slow",
	    "\"sleep\", \"20\"", "pipeline = 4;") ",\n"
	    MODULE("mod", "sleep_ms = 20;", "threads = 4;")),
	    ONE("slow", "") ",\n"
	    LISTENER("mod", "9004", "frame", "mod", ""));
	int gone, next;

	for (int i = 0; i < ROUNDS; i++) {
		gone = client_connect(i % 2 == 0 ? FRAME_PORT : HIGH_PORT);
		send_numbers(gone, 8);
		await(server_counters(srv).active > 0);
		if (i % 4 < 2)
			client_reset(gone);
		else
			close(gone);
		/* In the old one's place, perhaps in its very struct. */
		next = client_connect(i % 2 == 0 ? FRAME_PORT : HIGH_PORT);
		client_echo(next, "mine");
		holds_for(20, !client_has_input(next));
		close(next);
	}
	await(server_counters(srv).active == 0);
	await(handler_counters(srv).waiting == 0);
	expect_answered(FRAME_PORT, "hello");
	expect_answered(HIGH_PORT, "hello");
	ck_assert_ptr_null(server_log(srv, "event=executor_died"));
	server_end(srv);
}
END_TEST

START_TEST(one_connection_has_no_more_than_pipeline_in_flight)
{
	struct server *srv = handlers_start(HANDLERS(MODULE("mod", "sleep_ms = 200;",
	    "threads = 16;")), ONE("mod", "pipeline = 2;"));
	int fd = client_connect(FRAME_PORT);
	uint64_t since = clock_ms();

	send_numbers(fd, 8);
	expect_numbers(fd, 8);
	ck_assert_uint_ge(clock_ms() - since, 750);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(failure_and_timeout_can_close_the_connection_instead)
{
	struct server *srv = handlers_start(HANDLERS(
	    COMMAND("fails", "\"--every\", \"3\", \"exit\"",
	    "failed = \"close\";") ",\n"
	    TIMED_COMMAND("hangs", "\"--ready\", \"--every\", \"3\", \"hang\"",
	    "timeout = \"close\"; ready = true; request_timeout = 2.0;")),
	    ONE("fails", "") ",\n"
	    LISTENER("hang", "9004", "frame", "hangs", ""));

	for (int i = 0; i < 2; i++) {
		int fd = client_connect(i == 0 ? FRAME_PORT : HIGH_PORT);

		send_numbers(fd, 6);
		expect_numbers(fd, 2);
		client_expect_eof(fd);
		close(fd);
		expect_answered(i == 0 ? FRAME_PORT : HIGH_PORT, "hello");
	}
	await(server_closed(srv, CLOSE_HANDLER) == 2);
	server_end(srv);
}
END_TEST

START_TEST(error_replies_can_be_configured)
{
	struct server *srv = handlers_start(HANDLERS(COMMAND("fails",
	    "\"exit\"", "failed = \"sorry\";")), ONE("fails", "") ",\n"
	    ONE_LINE("fails", ""));
	int fd = client_connect(FRAME_PORT);

	client_send_text_frame(fd, "hello");
	client_expect_text_frame(fd, "sorry");
	close(fd);
	fd = client_connect(LINE_PORT);
	client_send_text(fd, "hello\n");
	client_expect_text(fd, "sorry\n");
	close(fd);
	server_end(srv);
}
END_TEST

/*
 * Reload.
 */

#define RELOADED(handler)						\
	"workers = 1; probation = 0.0;\nhandlers = ( { name = \"work\"; " handler " } );"

START_TEST(a_reload_puts_another_program_in_place)
{
	struct server *srv = handlers_start(RELOADED("type = \"command\"; "
	    "command = [ \"src/examples/upper.py\" ]; processes = 2;"),
	    ONE("work", ""));
	int fd = client_connect(FRAME_PORT);

	client_send_text_frame(fd, "hello");
	client_expect_text_frame(fd, "HELLO");
	handlers_configure(srv, RELOADED("type = \"command\"; "
	    "command = [ \"src/examples/reverse.pl\" ]; processes = 2;"),
	    ONE("work", ""));
	server_reload(srv);
	close(fd);
	fd = client_connect(FRAME_PORT);
	client_send_text_frame(fd, "hello");
	client_expect_text_frame(fd, "olleh");
	handlers_configure(srv, RELOADED("type = \"module\"; threads = 1; "
	    "module = \"build/examples/example_prefix.so\";"),
	    ONE("work", ""));
	server_reload(srv);
	close(fd);
	fd = client_connect(FRAME_PORT);
	client_send_text_frame(fd, "hello");
	await(client_has_input(fd));
	close(fd);
	/* The worker and its one process for the module. */
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

static const char *const unstartable[] = {
	"type = \"command\"; command = [ \"/no/such/file\" ];",
	"type = \"command\"; command = [ \"false\" ];",
	"type = \"command\"; command = [ \"cat\" ]; "
	    "working_directory = \"/no/such/dir\";",
	"type = \"command\"; ready = true; " MISBEHAVE("\"die-at-start\""),
	"type = \"command\"; ready = true; " MISBEHAVE("\"early\""),
	"type = \"module\"; module = \"/no/such/module.so\";",
	"type = \"module\"; module = \"build/tests/programs/module_empty.so\";",
	"type = \"module\"; module = \"build/tests/programs/module_version.so\";",
	"type = \"module\"; "
	    "module = \"build/tests/programs/module_misbehave.so\"; "
	    "settings = { open_fails = \"no licence\"; };",
	"type = \"module\"; "
	    "module = \"build/tests/programs/module_misbehave.so\"; "
	    "settings = { open_crashes = 1; };",
};

enum { UNSTARTABLE = sizeof(unstartable) / sizeof(unstartable[0]) };

START_TEST(a_handler_that_cannot_be_started_fails_only_the_reload)
{
	struct server *srv = handlers_start(RELOADED("type = \"command\"; "
	    "command = [ \"src/examples/upper.py\" ]; processes = 1;"),
	    ONE("work", ""));
	int fd = client_connect(FRAME_PORT);
	char globals[1024];

	for (int i = 0; i < UNSTARTABLE; i++) {
		snprintf(globals, sizeof(globals), RELOADED("%s"),
		    unstartable[i]);
		handlers_configure(srv, globals, ONE("work", ""));
		server_mark(srv);
		server_signal(srv, SIGHUP);
		server_expect(srv, "event=reload_refused");
		ck_assert_msg(strstr(srv->line, "handler work: ") != NULL,
		    "%s: %s", unstartable[i], srv->line);
		printf("%s\n", strstr(srv->line, "handler work: "));
		ck_assert_ptr_null(server_log(srv, "event=reload_done"));
		client_send_text_frame(fd, "hello");
		client_expect_text_frame(fd, "HELLO");
	}
	/* Of the frame that is not the empty one. */
	ck_assert_ptr_nonnull(strstr(srv->log,
	    ": it begins '\\\\x00\\\\x00\\\\x00\\\\x0c'"));
	close(fd);
	await(server_children(srv) == 2);
	server_end(srv);
}
END_TEST

START_TEST(a_handler_that_cannot_be_started_ends_the_start)
{
	struct server *srv;
	char globals[1024];

	for (int i = 0; i < 3; i++) {
		srv = handlers_new();
		snprintf(globals, sizeof(globals), RELOADED("%s"),
		    unstartable[i == 2 ? 5 : i]);
		handlers_configure(srv, globals, ONE("work", ""));
		server_launch(srv);
		server_await_exit(srv, 1);
		server_expect(srv, "event=start_failed");
		server_end(srv);
	}
}
END_TEST

START_TEST(during_a_slow_start_the_old_program_serves_on)
{
	struct server *srv = handlers_start(RELOADED("type = \"command\"; "
	    "command = [ \"src/examples/upper.py\" ]; processes = 1;"),
	    ONE("work", ""));
	unsigned served = 0;
	int fd = client_connect(FRAME_PORT);

	handlers_configure(srv, RELOADED("type = \"command\"; ready = true; "
	    MISBEHAVE("\"--ready\", \"--start-ms\", \"1500\"")
	    " processes = 1;"), ONE("work", ""));
	server_mark(srv);
	server_signal(srv, SIGHUP);
	while (server_log(srv, "event=reload_done") == NULL) {
		/* What both programs answer with the same. */
		client_send_text_frame(fd, "HELLO");
		client_expect_text_frame(fd, "HELLO");
		served++;
		await_pause();
	}
	ck_assert_uint_gt(log_number(srv->line, "duration_ms"), 1400);
	ck_assert_uint_gt(served, 2);
	close(fd);
	expect_answered(FRAME_PORT, "hello");
	server_end(srv);
}
END_TEST

/*
 * Ends.
 */

START_TEST(a_drain_answers_what_is_in_flight)
{
	struct server *srv = handlers_start(HANDLERS(COMMAND("slow",
	    "\"sleep\", \"100\"", "") ",\n"
	    MODULE("mod", "sleep_ms = 200;", "threads = 2;")),
	    ONE("slow", "") ",\n"
	    LISTENER("mod", "9004", "frame", "mod", ""));
	int slow = client_connect(FRAME_PORT);
	int mod = client_connect(HIGH_PORT);

	send_numbers(slow, 5);
	send_numbers(mod, 5);
	await(server_counters(srv).messages_in == 10);
	server_signal(srv, SIGTERM);
	expect_numbers(slow, 5);
	client_expect_eof(slow);
	expect_numbers(mod, 5);
	client_expect_eof(mod);
	close(slow);
	close(mod);
	server_await_exit(srv, 0);
	server_end(srv);
}
END_TEST

START_TEST(a_command_that_does_not_exit_is_killed)
{
	struct server *srv = START_COMMAND("lingers", "\"linger\"", "");

	(void)srv;
	server_end(srv);
}
END_TEST

static pid_t
ask_for_pid(int fd)
{
	struct wire in = { .lines = false };
	struct text reply;
	pid_t pid;

	client_send_text_frame(fd, "who?");
	reply = wire_expect(fd, &in);
	pid = (pid_t)strtol(reply.bytes, NULL, 10);
	free(in.bytes);
	ck_assert_int_gt(pid, 1);
	return (pid);
}

START_TEST(the_executors_of_a_dead_worker_leave_and_new_ones_come)
{
	struct server *srv = handlers_start(HANDLERS(COMMAND("pid", "\"pid\"", "")
	    ",\n" COMMAND("hangs", "\"hang\"", "")), ONE("pid", "") ",\n"
	    LISTENER("hang", "9004", "frame", "hangs", ""));
	pid_t worker = server_worker(srv, 0), old;
	int fd = client_connect(FRAME_PORT);
	int hung = client_connect(HIGH_PORT);

	srv->expects_deaths = true;
	old = ask_for_pid(fd);
	client_send_text_frame(hung, "hello");
	await(server_counters(srv).messages_in == 2);
	kill(worker, SIGKILL);
	/* Nobody will answer this one any more. */
	client_expect_text_frame(hung, ERR_FAILED);
	close(hung);
	await(proc_is_dead(old));
	server_await_successor(srv, 0, worker);
	ck_assert_int_ne(ask_for_pid(fd), old);
	close(fd);
	await(server_children(srv) == 3);
	server_end(srv);
}
END_TEST

/*
 * What is said to a program.
 */

START_TEST(metadata_tells_the_facts_of_a_request)
{
	struct server *srv = START_COMMAND("facts", "\"--metadata\", \"facts\"",
	    "metadata = true;");
	struct wire in = { .lines = false };
	struct text reply;
	char text[1024], peer[64];
	int fd = client_connect(FRAME_PORT);

	client_send_text_frame(fd, "one");
	wire_expect(fd, &in);
	client_send_text_frame(fd, "two");
	reply = wire_expect(fd, &in);
	snprintf(text, sizeof(text), "%.*s", (int)reply.len, reply.bytes);
	snprintf(peer, sizeof(peer), "\"peer\":\"%s:", own_address());
	ck_assert_msg(strstr(text, "\"listener\":\"one\"") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "\"request\":2") != NULL, "%s", text);
	ck_assert_msg(strstr(text, peer) != NULL, "%s", text);
	ck_assert_msg(strstr(text, "\"conn\":") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "\"waited_us\":") != NULL, "%s", text);
	free(in.bytes);
	close(fd);
	server_end(srv);
}
END_TEST

/* Replies to each four requests, the last first. */
static const char backwards[] =
    "#!/usr/bin/env python3\n"
    "import struct, sys\n"
    "i, o = sys.stdin.buffer, sys.stdout.buffer\n"
    "kept = []\n"
    "while head := i.read(4):\n"
    "    kept.append(head + i.read(*struct.unpack('>I', head)))\n"
    "    if len(kept) == 4:\n"
    "        o.write(b''.join(reversed(kept)))\n"
    "        o.flush()\n"
    "        kept = []\n";

START_TEST(tagged_replies_in_any_order_reach_their_clients_in_order)
{
	struct server *srv = handlers_start_with("backwards.py", backwards,
	    HANDLERS("{ name = \"back\"; type = \"command\"; "
	    "command = [ \"python3\", \"backwards.py\" ]; processes = 1; "
	    "tagged = true; pipeline = 8; }"), ONE("back", ""));
	int one, two;

	one = client_connect(FRAME_PORT);
	two = client_connect(FRAME_PORT);
	send_numbers(one, 3);
	await(server_counters(srv).messages_in == 3);
	send_numbers(two, 13);
	expect_numbers(one, 3);
	expect_numbers(two, 13);
	close(one);
	close(two);
	server_end(srv);
}
END_TEST

START_TEST(a_quick_request_overtakes_another_clients_slow_one)
{
	struct server *srv = START_MODULE("mod", "", "threads = 2;");
	int one = client_connect(FRAME_PORT);
	int two = client_connect(FRAME_PORT);

	client_send_text_frame(one, "hold x");
	client_send_text_frame(one, "quick");
	await(server_counters(srv).messages_in == 2);
	client_echo(two, "quick");
	ck_assert(!client_has_input(one));
	handlers_release(srv);
	client_expect_text_frame(one, "hold x");
	client_expect_text_frame(one, "quick");
	close(one);
	close(two);
	server_end(srv);
}
END_TEST

START_TEST(an_empty_reply_is_an_empty_line_and_no_frame)
{
	struct server *srv = handlers_start(HANDLERS(COMMAND("empty",
	    "\"--every\", \"2\", \"empty\"", "")), ONE("empty", "") ",\n"
	    ONE_LINE("empty", ""));
	int fd = client_connect(FRAME_PORT);

	send_numbers(fd, 4);
	client_expect_text_frame(fd, "0");
	client_expect_text_frame(fd, "2");
	client_half_close(fd);
	client_expect_eof(fd);
	close(fd);
	fd = client_connect(LINE_PORT);
	client_send_text(fd, "a\nb\nc\nd\n");
	client_expect_text(fd, "a\n\nc\n\n");
	client_half_close(fd);
	client_expect_eof(fd);
	close(fd);
	server_end(srv);
}
END_TEST

START_TEST(a_module_may_fail_or_say_nothing)
{
	struct server *srv = START_MODULE("mod", "", "threads = 2;");
	int fd = client_connect(FRAME_PORT);

	client_send_text_frame(fd, "one");
	client_send_text_frame(fd, "fail now");
	client_send_text_frame(fd, "silent now");
	client_send_text_frame(fd, "two");
	client_expect_text_frame(fd, "one");
	client_expect_text_frame(fd, ERR_FAILED);
	client_expect_text_frame(fd, "two");
	ck_assert_ptr_null(server_log(srv, "event=executor_died"));
	close(fd);
	server_end(srv);
}
END_TEST

RUN_TESTS("handlers",
    every_handler_answers_in_order_behind_every_protocol,
    whatever_a_command_does_each_request_has_one_answer,
    a_command_that_speaks_before_it_is_asked_is_replaced,
    the_log_shows_what_a_command_writes_instead_of_frames,
    a_flood_on_stderr_is_limited_in_the_log,
    what_a_command_says_cannot_forge_the_log,
    utf_8_of_a_command_stays_utf_8_in_the_log,
    a_module_that_crashes_fails_exactly_what_it_held,
    with_overload_shed_a_full_queue_answers_busy_at_once,
    with_overload_wait_all_replies_come_in_the_end,
    clients_that_are_held_back_can_leave,
    requests_older_than_queue_timeout_are_answered_busy,
    high_priority_goes_first_and_others_are_not_delayed,
    the_normal_lane_moves_while_high_ones_wait,
    after_a_half_close_all_replies_come_before_the_end,
    a_client_that_vanishes_leaves_nothing_to_others,
    one_connection_has_no_more_than_pipeline_in_flight,
    failure_and_timeout_can_close_the_connection_instead,
    error_replies_can_be_configured,
    a_reload_puts_another_program_in_place,
    a_handler_that_cannot_be_started_fails_only_the_reload,
    a_handler_that_cannot_be_started_ends_the_start,
    during_a_slow_start_the_old_program_serves_on,
    a_drain_answers_what_is_in_flight,
    a_command_that_does_not_exit_is_killed,
    the_executors_of_a_dead_worker_leave_and_new_ones_come,
    metadata_tells_the_facts_of_a_request,
    tagged_replies_in_any_order_reach_their_clients_in_order,
    a_quick_request_overtakes_another_clients_slow_one,
    an_empty_reply_is_an_empty_line_and_no_frame,
    a_module_may_fail_or_say_nothing)
