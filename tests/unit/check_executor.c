/* SPDX-License-Identifier: ISC */
/*
 * Holds executor/ to its word: executor_main() in a child, this test in the
 * place of its master and of its worker.
 *
 * The modules are those of the build: examples/ and tests/programs/module_*.so
 * below TOP_BUILDDIR.
 */
#include "executor/executor.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/exec.h"
#include "penstock/handler.h"
#include "tests/lib/harness.h"

#define MISBEHAVE "tests/programs/module_misbehave.so"

enum {
	SETTINGS_MAX = 8,
	MESSAGE_MAX = 1024 * 1024,
	LOG_MAX = 16 * 1024,
};

/* Bytes that grow. */
struct bytes {
	uint8_t *data;
	size_t len;
	size_t capacity;
};

struct reply {
	uint64_t tag;
	uint32_t result;
	size_t len;
	const uint8_t *payload;		/* in what was received */
};

/* Filled before start(). */
static struct conf_setting settings[SETTINGS_MAX];
static struct conf_listener listeners[2];
static struct conf_handler handler;
static struct conf conf;

static struct {
	pid_t pid;
	int channel;
	int work;
	int log;
	struct bytes out;	/* requests to be sent */
	struct bytes in;	/* what has been received */
	struct reply *replies;
	size_t nreplies;
	size_t parsed;		/* bytes of in that are in replies */
} host;

/*
 * Bytes.
 */

static void
put(struct bytes *bytes, const void *data, size_t len)
{
	if (bytes->len + len > bytes->capacity) {
		bytes->capacity = 2 * (bytes->len + len);
		bytes->data = realloc(bytes->data, bytes->capacity);
		ck_assert_ptr_nonnull(bytes->data);
	}
	if (len > 0)
		memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

static void
put_head(uint32_t length, const struct exec_request *facts)
{
	uint32_t wire = htonl(length);

	put(&host.out, &wire, sizeof(wire));
	put(&host.out, facts, sizeof(*facts));
}

static void
put_request(uint64_t tag, const void *payload, size_t len)
{
	struct exec_request facts = { .tag = tag, .family = AF_UNIX };

	put_head((uint32_t)(sizeof(facts) + len), &facts);
	put(&host.out, payload, len);
}

static void
put_text(uint64_t tag, const char *text)
{
	put_request(tag, text, strlen(text));
}

/*
 * The child.
 */

static const char *
built(const char *file)
{
	static char path[PATH_MAX];
	const char *top = getenv("TOP_BUILDDIR");

	snprintf(path, sizeof(path), "%s/%s", top == NULL ? "." : top, file);
	return (path);
}

static void
configure(const char *module)
{
	static char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s", module);
	memset(settings, 0, sizeof(settings));
	memset(listeners, 0, sizeof(listeners));
	listeners[0].name = (char *)(uintptr_t)"first";
	listeners[0].max_message_size = 16;
	listeners[1].name = (char *)(uintptr_t)"second";
	listeners[1].max_message_size = MESSAGE_MAX;
	handler = (struct conf_handler){
		.name = (char *)(uintptr_t)"tested",
		.type = CONF_HANDLER_MODULE,
		.module = name,
		.settings = settings,
	};
	conf = (struct conf){
		.listeners = listeners,
		.nlisteners = 2,
		.handlers = &handler,
		.nhandlers = 1,
	};
}

static void
set(const char *key, const char *value)
{
	ck_assert_uint_lt(handler.nsettings, SETTINGS_MAX);
	settings[handler.nsettings].key = (char *)(uintptr_t)key;
	settings[handler.nsettings++].value = (char *)(uintptr_t)value;
}

static void __attribute__((noreturn))
be_executor(int channel, int work, unsigned threads)
{
	static const struct rlimit no_core = { .rlim_cur = 0 };
	struct heritage heritage = {
		.slot = 1,
		.generation = 2,
		.conf = &conf,
		.channel = channel,
		.speaks = CTL_VERSION,
		.work_speaks = CTL_VERSION,
		.threads = threads,
		.work = work,
	};

	/* Some of them crash on purpose. */
	setrlimit(RLIMIT_CORE, &no_core);
	dup2(host.log, STDERR_FILENO);
	close(host.channel);
	close(host.work);
	exit(executor_main(&heritage));
}

static void
launch(unsigned threads)
{
	int channel[2], work[2];

	ck_assert_int_eq(channel_pair(channel), 0);
	ck_assert_int_eq(socketpair(AF_UNIX,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, work), 0);
	host.log = memfd_create("log", 0);
	host.channel = channel[0];
	host.work = work[0];
	fflush(NULL);
	if ((host.pid = fork()) == 0)
		be_executor(channel[1], work[1], threads);
	ck_assert_int_gt(host.pid, 0);
	close(channel[1]);
	close(work[1]);
}

static bool
wait_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return (poll(&pollfd, 1, (int)patience_ms()) == 1);
}

/* What the executor has to say to its master. */
static struct ctl
expect_message(enum ctl_type type)
{
	struct ctl msg;
	ssize_t n;

	memset(&msg, 0, sizeof(msg));
	ck_assert(wait_readable(host.channel));
	n = recv(host.channel, &msg, sizeof(msg), 0);
	ck_assert_int_gt(n, 0);
	ck_assert_ptr_null(ctl_check(&msg, (size_t)n, CTL_FROM_CHILD));
	ck_assert_msg(msg.header.type == type, "%s: %s",
	    ctl_name(msg.header.type), msg.failed.why);
	ck_assert_uint_eq(msg.header.generation, 2);
	return (msg);
}

static void
start(unsigned threads)
{
	launch(threads);
	expect_message(CTL_READY);
}

static void
say(enum ctl_type type, const void *payload, int pass_fd)
{
	struct event_base *base = event_base_new();
	struct channel *channel = channel_new(base, dup(host.channel),
	    CTL_FROM_CHILD, CTL_VERSION, NULL, NULL);

	ck_assert_int_eq(channel_send(channel, type, 2, payload, pass_fd), 0);
	channel_free(channel);
	event_base_free(base);
}

static const char *
log_text(void)
{
	static char text[LOG_MAX];
	ssize_t n = pread(host.log, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return (text);
}

static int
await_end(void)
{
	int status = 0;
	pid_t pid = 0;

	await((pid = waitpid(host.pid, &status, WNOHANG)) != 0);
	ck_assert_int_eq(pid, host.pid);
	return (status);
}

static void
forget(void)
{
	close(host.log);
	close(host.channel);
	close(host.work);
	free(host.out.data);
	free(host.in.data);
	free(host.replies);
	memset(&host, 0, sizeof(host));
}

static void
expect_exit(int status)
{
	int got = await_end();

	ck_assert_msg(WIFEXITED(got) && WEXITSTATUS(got) == status,
	    "its status is 0x%x, and it said: %.2000s", (unsigned)got,
	    log_text());
	forget();
}

/* Hang up, as a worker does; the executor is to leave in peace. */
static void
finish(void)
{
	shutdown(host.work, SHUT_RDWR);
	expect_exit(EXIT_SUCCESS);
}

/* The executor must not come up; returns what it says. */
static const char *
expect_failure(void)
{
	static char why[sizeof(((struct ctl_failed *)NULL)->why)];
	struct ctl msg;

	launch(2);
	msg = expect_message(CTL_FAILED);
	snprintf(why, sizeof(why), "%s", msg.failed.why);
	expect_exit(EXIT_FAILURE);
	return (why);
}

/*
 * The exchange.
 */

static void
send_some(void)
{
	ssize_t n = send(host.work, host.out.data, host.out.len,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n == -1 && errno == EAGAIN)
		return;
	ck_assert_int_gt(n, 0);
	host.out.len -= (size_t)n;
	memmove(host.out.data, host.out.data + n, host.out.len);
}

/* Returns false at the end. */
static bool
receive_some(void)
{
	static uint8_t piece[256 * 1024];
	ssize_t n = recv(host.work, piece, sizeof(piece), MSG_DONTWAIT);

	if (n == -1 && errno == EAGAIN)
		return (true);
	if (n <= 0)
		return (false);
	put(&host.in, piece, (size_t)n);
	return (true);
}

static bool
parse_one(void)
{
	const uint8_t *bytes;
	size_t avail = host.in.len - host.parsed;
	struct exec_reply head;
	struct reply *reply;
	uint32_t length;

	if (avail < EXEC_LENGTH_LEN)
		return (false);
	bytes = host.in.data + host.parsed;
	memcpy(&length, bytes, sizeof(length));
	length = ntohl(length);
	ck_assert_uint_ge(length, sizeof(head));
	if (avail - EXEC_LENGTH_LEN < length)
		return (false);
	memcpy(&head, bytes + EXEC_LENGTH_LEN, sizeof(head));
	host.replies = realloc(host.replies,
	    (host.nreplies + 1) * sizeof(*host.replies));
	reply = &host.replies[host.nreplies++];
	*reply = (struct reply){
		.tag = head.tag,
		.result = head.result,
		.len = length - sizeof(head),
	};
	host.parsed += EXEC_LENGTH_LEN + length;
	return (true);
}

/* The bytes have come to rest: find the payloads in them. */
static void
locate(void)
{
	size_t at = 0;

	for (size_t i = 0; i < host.nreplies; i++) {
		at += EXEC_LENGTH_LEN + sizeof(struct exec_reply);
		host.replies[i].payload = host.in.data + at;
		at += host.replies[i].len;
	}
}

/* Send what waits, until there are n replies in all, or the end comes.  Returns
 * false at the end. */
static bool
exchange(size_t n)
{
	struct pollfd pollfd = { .fd = host.work };
	bool more = true;

	while (more && (host.nreplies < n || host.out.len > 0)) {
		pollfd.events = POLLIN;
		if (host.out.len > 0)
			pollfd.events |= POLLOUT;
		ck_assert_msg(poll(&pollfd, 1, (int)patience_ms()) == 1,
		    "waited in vain for %zu replies; %zu have come", n,
		    host.nreplies);
		if ((pollfd.revents & POLLOUT) != 0)
			send_some();
		if ((pollfd.revents & (POLLIN | POLLHUP)) != 0)
			more = receive_some();
		while (parse_one())
			;
	}
	locate();
	return (more);
}

/* Wait for n replies, and not more. */
static void
expect_replies(size_t n)
{
	ck_assert(exchange(n));
	ck_assert_uint_eq(host.nreplies, n);
	ck_assert_uint_eq(host.parsed, host.in.len);
}

static const struct reply *
reply_to(uint64_t tag)
{
	const struct reply *found = NULL;

	for (size_t i = 0; i < host.nreplies; i++)
		if (host.replies[i].tag == tag) {
			ck_assert_ptr_null(found);
			found = &host.replies[i];
		}
	ck_assert_msg(found != NULL, "no reply to %lu", (unsigned long)tag);
	return (found);
}

static void
expect_bytes(uint64_t tag, const void *payload, size_t len)
{
	const struct reply *reply = reply_to(tag);

	ck_assert_uint_eq(reply->result, EXEC_REPLY);
	ck_assert_uint_eq(reply->len, len);
	ck_assert_int_eq(memcmp(reply->payload, payload, len), 0);
}

static void
expect_text(uint64_t tag, const char *text)
{
	expect_bytes(tag, text, strlen(text));
}

/* A payload that no other tag has. */
static size_t
fill(uint8_t *payload, uint64_t tag, size_t max)
{
	size_t len = (size_t)(tag * 7919 % max);

	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)('!' + (tag * 31 + i * 7) % 90);
	return (len);
}

/*
 * Requests and replies.
 */

START_TEST(a_request_is_answered)
{
	configure(built(MISBEHAVE));
	start(2);
	put_text(7, "hello");
	expect_replies(1);
	expect_text(7, "hello");
	finish();
}
END_TEST

START_TEST(an_empty_request_is_answered)
{
	configure(built(MISBEHAVE));
	start(2);
	put_text(1, "");
	expect_replies(1);
	expect_text(1, "");
	finish();
}
END_TEST

static void
pipeline(unsigned threads, const char *spin_us, size_t n, size_t max)
{
	uint8_t *payload = malloc(max);
	size_t len;

	configure(built(MISBEHAVE));
	set("spin_us", spin_us);
	start(threads);
	for (uint64_t tag = 0; tag < n; tag++) {
		len = fill(payload, tag, max);
		put_request(tag, payload, len);
	}
	expect_replies(n);
	for (uint64_t tag = 0; tag < n; tag++) {
		len = fill(payload, tag, max);
		expect_bytes(tag, payload, len);
	}
	free(payload);
	finish();
}

START_TEST(pipelined_requests_are_answered_once_each)
{
	pipeline(4, "0", 3000, 300);
}
END_TEST

/* Slow enough for every thread to have its share. */
START_TEST(busy_threads_answer_once_each)
{
	pipeline(8, "60", 3000, 300);
}
END_TEST

/* And around the border between quick and slow. */
START_TEST(threads_that_come_and_go_answer_once_each)
{
	pipeline(8, "40", 3000, 30000);
}
END_TEST

START_TEST(one_thread_answers_all)
{
	pipeline(1, "0", 1000, 300);
}
END_TEST

START_TEST(payloads_of_all_sizes_come_back_whole)
{
	pipeline(8, "0", 200, 150000);
}
END_TEST

START_TEST(large_payloads_come_back_whole)
{
	uint8_t *payload = malloc(MESSAGE_MAX);

	configure(built(MISBEHAVE));
	start(4);
	for (uint64_t tag = 0; tag < 16; tag++) {
		memset(payload, 'a' + (int)tag, MESSAGE_MAX);
		put_request(tag, payload, MESSAGE_MAX);
	}
	expect_replies(16);
	for (uint64_t tag = 0; tag < 16; tag++) {
		memset(payload, 'a' + (int)tag, MESSAGE_MAX);
		expect_bytes(tag, payload, MESSAGE_MAX);
	}
	free(payload);
	finish();
}
END_TEST

START_TEST(a_reply_may_be_larger_than_any_message)
{
	configure(built(MISBEHAVE));
	set("reply_bytes", "5000000");
	start(2);
	put_text(1, "more");
	put_text(2, "more");
	expect_replies(2);
	ck_assert_uint_eq(reply_to(1)->len, 5000000);
	ck_assert_uint_eq(reply_to(2)->len, 5000000);
	ck_assert_uint_eq(reply_to(2)->payload[4999999], 'x');
	finish();
}
END_TEST

START_TEST(a_reply_that_is_too_large_fails)
{
	configure(built(MISBEHAVE));
	set("reply_bytes", "1073741825");
	start(2);
	put_text(1, "more");
	expect_replies(1);
	ck_assert_uint_eq(reply_to(1)->result, EXEC_FAILED);
	ck_assert_uint_eq(reply_to(1)->len, 0);
	finish();
}
END_TEST

START_TEST(requests_may_come_in_pieces)
{
	configure(built(MISBEHAVE));
	start(2);
	put_text(1, "first");
	put_text(2, "");
	put_text(3, "third");
	for (size_t i = 0; i < host.out.len; i++) {
		ck_assert_int_eq(send(host.work, host.out.data + i, 1, 0), 1);
		if (i % 16 == 0)
			await_pause();
	}
	host.out.len = 0;
	expect_replies(3);
	expect_text(1, "first");
	expect_text(2, "");
	expect_text(3, "third");
	finish();
}
END_TEST

START_TEST(a_worker_that_does_not_read_loses_nothing)
{
	configure(built(MISBEHAVE));
	set("reply_bytes", "100000");
	start(4);
	for (uint64_t tag = 0; tag < 200; tag++)
		put_text(tag, "more");
	while (host.out.len > 0)
		send_some();
	/* More than the socket takes is waiting now, and soon everyone who
	 * could write it. */
	holds_for(100, waitpid(host.pid, NULL, WNOHANG) == 0);
	expect_replies(200);
	for (uint64_t tag = 0; tag < 200; tag++)
		ck_assert_uint_eq(reply_to(tag)->len, 100000);
	finish();
}
END_TEST

START_TEST(failed_and_silent_results_are_sent)
{
	configure(built(MISBEHAVE));
	start(2);
	put_text(1, "fail ");
	put_text(2, "silent ");
	put_text(3, "neither");
	expect_replies(3);
	ck_assert_uint_eq(reply_to(1)->result, EXEC_FAILED);
	ck_assert_uint_eq(reply_to(1)->len, 0);
	ck_assert_uint_eq(reply_to(2)->result, EXEC_SILENT);
	ck_assert_uint_eq(reply_to(2)->len, 0);
	expect_text(3, "neither");
	finish();
}
END_TEST

static void
put_facts(uint64_t tag, uint8_t family, const char *address, uint16_t listener)
{
	struct exec_request facts = {
		.tag = tag,
		.conn = 81204,
		.arrived_us = 1000001,
		.deadline_us = 2000002,
		.family = family,
		.peer_port = 5000,
		.listener = listener,
	};

	if (address != NULL)
		inet_pton(family, address, facts.peer);
	if (tag == 2) {
		facts.id = 5;
		facts.id_high = 1;
		facts.traced = EXEC_SAMPLED;
		memset(facts.trace, 0x4b, sizeof(facts.trace));
		memset(facts.span, 0xf0, sizeof(facts.span));
	}
	put_head(sizeof(facts) + 5, &facts);
	put(&host.out, "facts", 5);
}

START_TEST(a_module_sees_the_facts_of_its_request)
{
	configure(built(MISBEHAVE));
	start(1);
	put_facts(1, AF_INET, "192.0.2.1", 0);
	put_facts(2, AF_INET6, "2001:db8::1", 1);
	put_facts(3, AF_UNIX, NULL, 1);
	expect_replies(3);
	expect_text(1, "conn=81204 request=1 listener=first "
	    "peer=192.0.2.1:5000 arrived_us=1000001 deadline_us=2000002 "
	    "thread=0");
	expect_text(2, "conn=81204 request=2 listener=second "
	    "peer=[2001:db8::1]:5000 arrived_us=1000001 deadline_us=2000002 "
	    "thread=0 traceparent=00-4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b-"
	    "f0f0f0f0f0f0f0f0-01 id=81204-4294967301");
	expect_text(3, "conn=81204 request=3 listener=second peer=unix "
	    "arrived_us=1000001 deadline_us=2000002 thread=0");
	finish();
}
END_TEST

/* A request of HTTP, with 16 bytes of strings and what stands behind them. */
static void
put_http(uint64_t tag, uint32_t at, const char behind[32], const char *text)
{
	static const char strings[17] = "\0\0\0\0GET\0/\0/\0\0\0\0";
	struct exec_request facts = {
		.tag = tag,
		.told_len = 48,
		.id = at,
	};

	put_head((uint32_t)(sizeof(facts) + facts.told_len + strlen(text)),
	    &facts);
	put(&host.out, strings, 16);
	put(&host.out, behind, 32);
	put(&host.out, text, strlen(text));
}

static void
expect_id(uint64_t tag, const char *id)
{
	const char *text = (const char *)reply_to(tag)->payload;
	size_t len = strlen(id);

	ck_assert_uint_gt(reply_to(tag)->len, len);
	ck_assert_int_eq(memcmp(text + reply_to(tag)->len - len, id, len), 0);
}

START_TEST(a_request_of_http_has_the_id_that_its_worker_gives)
{
	static const char id[32] = "my.id", endless[32] =
	    "my.id.my.id.my.id.my.id.my.id.my";

	configure(built(MISBEHAVE));
	start(1);
	put_http(1, 16, id, "facts");
	/* A worker of the previous release. */
	put_http(2, 0, id, "facts");
	/* And what no worker says. */
	put_http(3, 48, id, "facts");
	put_http(4, UINT32_MAX, id, "facts");
	put_http(5, 16, endless, "facts");
	expect_replies(5);
	expect_id(1, " thread=0 id=my.id");
	for (uint64_t tag = 2; tag <= 5; tag++)
		expect_id(tag, " thread=0");
	finish();
}
END_TEST

/* Behind a reply of so many bytes. */
static void
expect_behind(uint64_t tag, size_t len, const char *type, const char *fields)
{
	const struct reply *reply = reply_to(tag);
	const char *at = (const char *)reply->payload + len;

	ck_assert_uint_eq(reply->result & EXEC_RESULT_MASK, EXEC_REPLY);
	ck_assert_uint_eq(reply->result >> EXEC_FIELDS_SHIFT, strlen(fields));
	ck_assert_uint_eq(reply->len, len + strlen(type) + strlen(fields));
	ck_assert_mem_eq(at, type, strlen(type));
	ck_assert_mem_eq(at + strlen(type), fields, strlen(fields));
}

START_TEST(the_fields_of_a_reply_stand_behind_it)
{
	static const char id[32] = "my.id";
	static char many[16384], *at = many;

	configure(built(MISBEHAVE));
	start(1);
	put_http(1, 16, id, "fields 302|Location|/b|Set-Cookie| a=1 |"
	    "content-type|x/y|Set-Cookie|b=2");
	/* Nothing is left of it. */
	put_http(2, 16, id, "fields 200");
	/* The draft grows for them. */
	at = stpcpy(at, "fields 200");
	for (int i = 0; i < 4; i++)
		at += sprintf(at, "|x|%02000d", 0);
	put_http(3, 16, id, many);
	/* What knows nothing of HTTP has none. */
	put_text(4, "fields 200|Location|/b");
	/* A worker of the previous release takes none. */
	put_http(5, 0, id, "fields 200|Location|/b");
	expect_replies(5);
	expect_behind(1, 9, "x/y", "\r\nLocation: /b\r\nSet-Cookie: a=1"
	    "\r\nSet-Cookie: b=2");
	expect_behind(2, 9, "", "");
	ck_assert_uint_eq(reply_to(3)->result >> EXEC_FIELDS_SHIFT, 4 * 2005);
	ck_assert_uint_eq(reply_to(3)->len, 9 + 4 * 2005);
	expect_text(4, "0 refused");
	expect_text(5, "1 refused");
	finish();
}
END_TEST

START_TEST(a_field_that_may_not_be_given_fails_the_reply)
{
	static const char *const bad[] = {
		"fields 200|A|b\r\nc: d", "fields 200|A b|c",
		"fields 200|Good|yes|Content-Length|1|Good|yes",
		"fields 200|Content-Type|a\r\nb: c", "fields 200|A|\x7f",
	};
	static const char id[32] = "my.id";
	const size_t n = sizeof(bad) / sizeof(*bad);
	static char many[16384], *at = many;

	configure(built(MISBEHAVE));
	start(1);
	for (size_t i = 0; i < n; i++)
		put_http(i, 16, id, bad[i]);
	/* Whoever asked for it. */
	put_text(n, bad[0]);
	at = stpcpy(at, "fields 200");
	for (int i = 0; i < 65; i++)
		at = stpcpy(at, "|a|b");
	put_http(n + 1, 16, id, many);
	put_http(n + 2, 16, id, "fields 200|A|b");
	expect_replies(n + 3);
	for (size_t i = 0; i <= n + 1; i++) {
		ck_assert_uint_eq(reply_to(i)->result, EXEC_FAILED);
		ck_assert_uint_eq(reply_to(i)->len, 0);
	}
	expect_behind(n + 2, 9, "", "\r\nA: b");
	await(strstr(log_text(), "a reply is refused: response field "
	    "Content-Length: the server sets this field itself") != NULL);
	finish();
}
END_TEST

START_TEST(a_module_does_without_what_an_older_penstock_has_not)
{
	struct penstock_reply reply = {
		.size = offsetof(struct penstock_reply, add_field),
	};
	struct penstock_request request = {
		.size = offsetof(struct penstock_request, id),
	};

	ck_assert_ptr_null(penstock_id(&request));
	/* Structs grow at their end. */
	ck_assert_uint_eq(offsetof(struct penstock_request, id),
	    offsetof(struct penstock_request, traceparent) + sizeof(char *));
	ck_assert_int_eq(penstock_add_field(&reply, "a", "b"), -1);
	ck_assert_int_eq(reply.failed, 0);
	ck_assert_uint_ge(offsetof(struct penstock_reply, add_field),
	    offsetof(struct penstock_reply, content_type) +
	    PENSTOCK_CONTENT_TYPE_MAX);
}
END_TEST

/*
 * Threads.
 */

START_TEST(threads_work_at_the_same_time)
{
	enum { THREADS = 40, SLEEP_MS = 200 };
	uint64_t begun_ms;

	configure(built(MISBEHAVE));
	set("sleep_ms", "200");
	start(THREADS);
	begun_ms = clock_ms();
	for (uint64_t tag = 0; tag < 2 * THREADS; tag++)
		put_text(tag, "zzz");
	expect_replies(2 * THREADS);
	/* Half of what they take one after another. */
	ck_assert_uint_lt(clock_ms() - begun_ms, THREADS * SLEEP_MS);
	finish();
}
END_TEST

/* Until the executor takes the module for a quick one. */
static void
warm_up(void)
{
	for (uint64_t tag = 0; tag < 2000; tag++)
		put_text(1000000 + tag, "quick");
	expect_replies(2000);
}

/* A quick module is run by the thread that reads, and its replies gathered; if
 * it then is slow after all, others must not wait for that. */
START_TEST(a_slow_request_among_quick_ones_holds_up_nobody)
{
	configure(built(MISBEHAVE));
	start(4);
	warm_up();
	put_text(1, "first");
	put_text(2, "hang ");
	put_text(3, "behind it");
	expect_replies(2002);
	put_text(4, "after it");
	expect_replies(2003);
	expect_text(1, "first");
	expect_text(3, "behind it");
	expect_text(4, "after it");
	say(CTL_STOP, NULL, -1);
	expect_exit(EXIT_SUCCESS);
}
END_TEST

START_TEST(replies_leave_while_the_only_thread_works)
{
	configure(built(MISBEHAVE));
	start(1);
	warm_up();
	put_text(1, "first");
	put_text(2, "hang ");
	expect_replies(2001);
	expect_text(1, "first");
	say(CTL_STOP, NULL, -1);
	expect_exit(EXIT_SUCCESS);
}
END_TEST

START_TEST(replies_that_do_not_fit_leave_when_they_do)
{
	static uint8_t payload[10000];

	configure(built(MISBEHAVE));
	start(1);
	warm_up();
	/* More than a socket holds; what is left over when the thread hangs
	 * has nobody but the watch to write it. */
	for (uint64_t tag = 0; tag < 24; tag++)
		put_request(tag, payload, sizeof(payload));
	put_text(24, "hang ");
	while (host.out.len > 0)
		send_some();
	holds_for(100, waitpid(host.pid, NULL, WNOHANG) == 0);
	expect_replies(2024);
	expect_bytes(23, payload, sizeof(payload));
	say(CTL_STOP, NULL, -1);
	expect_exit(EXIT_SUCCESS);
}
END_TEST

START_TEST(threads_that_hang_leave_the_others_at_work)
{
	configure(built(MISBEHAVE));
	start(4);
	for (uint64_t tag = 0; tag < 3; tag++)
		put_text(tag, "hang ");
	for (uint64_t tag = 10; tag < 110; tag++)
		put_text(tag, "on we go");
	expect_replies(100);
	say(CTL_STOP, NULL, -1);
	expect_exit(EXIT_SUCCESS);
}
END_TEST

/*
 * Beginning.
 */

START_TEST(ready_waits_for_open)
{
	uint64_t begun_ms;

	configure(built(MISBEHAVE));
	set("open_ms", "300");
	begun_ms = clock_ms();
	start(2);
	ck_assert_uint_ge(clock_ms() - begun_ms, 290);
	finish();
}
END_TEST

START_TEST(an_open_that_fails_says_why)
{
	const char *why;

	configure(built(MISBEHAVE));
	set("open_fails", "the moon is full");
	why = expect_failure();
	ck_assert_ptr_nonnull(strstr(why, "module_misbehave.so: open: "));
	ck_assert_ptr_nonnull(strstr(why, "the moon is full"));
}
END_TEST

START_TEST(a_setting_that_is_wrong_is_refused)
{
	configure(built("examples/example_sha256.so"));
	set("upper", "perhaps");
	ck_assert_ptr_nonnull(strstr(expect_failure(), "perhaps"));
}
END_TEST

START_TEST(a_file_that_is_missing_is_named)
{
	configure("/nonexistent/module.so");
	ck_assert_ptr_nonnull(strstr(expect_failure(),
	    "/nonexistent/module.so"));
}
END_TEST

START_TEST(a_name_without_path_is_looked_for_in_one_place)
{
	configure("no_such_module");
	ck_assert_ptr_nonnull(strstr(expect_failure(),
	    "/no_such_module.so"));
}
END_TEST

START_TEST(a_module_without_descriptor_is_refused)
{
	configure(built("tests/programs/module_empty.so"));
	ck_assert_ptr_nonnull(strstr(expect_failure(),
	    "it does not define penstock_handler"));
}
END_TEST

START_TEST(a_module_of_another_version_is_refused)
{
	configure(built("tests/programs/module_version.so"));
	ck_assert_ptr_nonnull(strstr(expect_failure(),
	    "it is made for version 99"));
}
END_TEST

/*
 * Ending.
 */

START_TEST(the_end_waits_for_what_was_sent)
{
	char dir[] = "/tmp/check_executor.XXXXXX", file[64];
	struct stat st;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/closed", dir);
	configure(built(MISBEHAVE));
	set("sleep_ms", "50");
	set("close_file", file);
	start(2);
	for (uint64_t tag = 0; tag < 10; tag++)
		put_text(tag, "wait for me");
	while (host.out.len > 0)
		send_some();
	shutdown(host.work, SHUT_WR);
	/* Ten replies, and then the end. */
	ck_assert(!exchange(11));
	ck_assert_uint_eq(host.nreplies, 10);
	finish();
	ck_assert_int_eq(stat(file, &st), 0);
	unlink(file);
	rmdir(dir);
}
END_TEST

START_TEST(a_worker_that_is_gone_needs_no_replies)
{
	configure(built(MISBEHAVE));
	set("sleep_ms", "50");
	start(4);
	for (uint64_t tag = 0; tag < 20; tag++)
		put_text(tag, "who is there");
	while (host.out.len > 0)
		send_some();
	finish();
}
END_TEST

START_TEST(a_partial_request_at_the_end_is_dropped)
{
	configure(built(MISBEHAVE));
	start(2);
	put_text(1, "whole");
	put_text(2, "half");
	host.out.len -= 2;
	expect_replies(1);
	finish();
}
END_TEST

START_TEST(stop_ends_it_at_once)
{
	configure(built(MISBEHAVE));
	start(2);
	put_text(1, "hang ");
	while (host.out.len > 0)
		send_some();
	say(CTL_STOP, NULL, -1);
	expect_exit(EXIT_SUCCESS);
}
END_TEST

START_TEST(without_a_master_the_worker_is_served_on)
{
	configure(built(MISBEHAVE));
	start(2);
	shutdown(host.channel, SHUT_RDWR);
	await(strstr(log_text(), "event=master_gone") != NULL);
	put_text(1, "still there");
	expect_replies(1);
	expect_text(1, "still there");
	finish();
}
END_TEST

START_TEST(the_log_goes_where_the_master_says)
{
	struct ctl_log order = { .level = LOG_LEVEL_INFO };
	int fd = memfd_create("new", 0);
	struct stat st;

	configure(built(MISBEHAVE));
	start(2);
	say(CTL_LOG, &order, fd);
	shutdown(host.channel, SHUT_RDWR);
	await(fstat(fd, &st) == 0 && st.st_size > 0);
	close(fd);
	finish();
}
END_TEST

/* A request that was carried over a reload may be larger than the limits of the
 * configuration that the executor has. */
START_TEST(a_request_of_an_earlier_configuration_is_handled)
{
	enum { LARGE = 3 * MESSAGE_MAX };
	char *text = malloc(LARGE);

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', LARGE);
	configure(built(MISBEHAVE));
	start(2);
	put_request(1, text, LARGE);
	put_text(2, "small");
	expect_replies(2);
	expect_text(2, "small");
	expect_bytes(1, text, LARGE);
	free(text);
	finish();
}
END_TEST

/* Send this instead of a request; the executor is to give up, and to say so. */
static void
expect_refusal(const void *bytes, size_t len, const char *why)
{
	configure(built(MISBEHAVE));
	start(2);
	put(&host.out, bytes, len);
	while (host.out.len > 0)
		send_some();
	await(strstr(log_text(), why) != NULL);
	expect_exit(EXIT_FAILURE);
}

START_TEST(lengths_that_cannot_be_are_refused)
{
	static const uint32_t lengths[] = {
		0, 1, sizeof(struct exec_request) - 1,
		0x7fffffff,
		0xffffffff,
	};
	uint32_t length;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		length = htonl(lengths[i]);
		expect_refusal(&length, sizeof(length), "a request");
	}
}
END_TEST

START_TEST(a_listener_that_cannot_be_is_refused)
{
	struct {
		uint32_t length;
		uint8_t facts[sizeof(struct exec_request)];
	} frame = { .length = htonl(sizeof(frame.facts)) };
	struct exec_request facts = { .listener = 2 };

	memcpy(frame.facts, &facts, sizeof(facts));
	expect_refusal(&frame, sizeof(frame), "unknown listener");
}
END_TEST

START_TEST(a_module_that_crashes_takes_its_process_along)
{
	int status;

	configure(built(MISBEHAVE));
	set("segfault", "3");
	start(1);
	for (uint64_t tag = 0; tag < 2; tag++)
		put_text(tag, "fine");
	expect_replies(2);
	put_text(2, "not fine");
	ck_assert(!exchange(3));
	status = await_end();
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	forget();
}
END_TEST

/*
 * The examples.
 */

START_TEST(prefix_tells_the_thread)
{
	const struct reply *reply;

	configure(built("examples/example_prefix.so"));
	start(3);
	for (uint64_t tag = 0; tag < 500; tag++)
		put_text(tag, "hello");
	expect_replies(500);
	for (uint64_t tag = 0; tag < 500; tag++) {
		reply = reply_to(tag);
		ck_assert_uint_eq(reply->len, 8);
		ck_assert_uint_ge(reply->payload[0], '0');
		ck_assert_uint_le(reply->payload[0], '2');
		ck_assert_int_eq(memcmp(reply->payload + 1, ": hello", 7), 0);
	}
	finish();
}
END_TEST

START_TEST(sha256_is_that_of_the_standard)
{
	configure(built("examples/example_sha256.so"));
	start(2);
	put_text(1, "abc");
	put_text(2, "");
	expect_replies(2);
	expect_text(1, "ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad");
	expect_text(2, "e3b0c44298fc1c149afbf4c8996fb924"
	    "27ae41e4649b934ca495991b7852b855");
	finish();
}
END_TEST

RUN_TESTS("executor",
    a_request_is_answered,
    an_empty_request_is_answered,
    pipelined_requests_are_answered_once_each,
    busy_threads_answer_once_each,
    threads_that_come_and_go_answer_once_each,
    one_thread_answers_all,
    payloads_of_all_sizes_come_back_whole,
    large_payloads_come_back_whole,
    a_reply_may_be_larger_than_any_message,
    a_reply_that_is_too_large_fails,
    requests_may_come_in_pieces,
    a_worker_that_does_not_read_loses_nothing,
    failed_and_silent_results_are_sent,
    a_module_sees_the_facts_of_its_request,
    a_request_of_http_has_the_id_that_its_worker_gives,
    the_fields_of_a_reply_stand_behind_it,
    a_field_that_may_not_be_given_fails_the_reply,
    a_module_does_without_what_an_older_penstock_has_not,
    threads_work_at_the_same_time,
    a_slow_request_among_quick_ones_holds_up_nobody,
    replies_leave_while_the_only_thread_works,
    replies_that_do_not_fit_leave_when_they_do,
    threads_that_hang_leave_the_others_at_work,
    ready_waits_for_open,
    an_open_that_fails_says_why,
    a_setting_that_is_wrong_is_refused,
    a_file_that_is_missing_is_named,
    a_name_without_path_is_looked_for_in_one_place,
    a_module_without_descriptor_is_refused,
    a_module_of_another_version_is_refused,
    the_end_waits_for_what_was_sent,
    a_worker_that_is_gone_needs_no_replies,
    a_partial_request_at_the_end_is_dropped,
    stop_ends_it_at_once,
    without_a_master_the_worker_is_served_on,
    the_log_goes_where_the_master_says,
    a_request_of_an_earlier_configuration_is_handled,
    lengths_that_cannot_be_are_refused,
    a_listener_that_cannot_be_is_refused,
    a_module_that_crashes_takes_its_process_along,
    prefix_tells_the_thread,
    sha256_is_that_of_the_standard)
