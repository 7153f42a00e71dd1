/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/parcel.c to worker/parcel.h: a connection comes out as it went
 * in, and what is damaged is refused and leaves nothing behind.
 */
#include "worker/parcel.h"
#include "worker/memory.h"
#include "worker/result.h"

#include <netinet/in.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"
#include "tests/lib/lone_worker.h"
#include "worker/conn_record.h"

enum {
	IN_LEN = 300,
	SCANNED = 123,
	OUT_LEN = 1000,
};

static struct lone_worker lone;
static struct parcel_bytes store;
static struct lineage lineage;
static int peer;

static void
start(void)
{
	lone_worker_init(&lone);
	lineage_init(&lineage, &lone.worker, 0);
	store = (struct parcel_bytes){
		.fd = -1, .version = HANDOVER_VERSION, .lineage = &lineage,
	};
}

static void
finish(void)
{
	if (store.fd != -1)
		close(store.fd);
	close(peer);
	lone_worker_clear(&lone);
	ck_assert_uint_eq(lone.worker.conns.count, 0);
	ck_assert_uint_eq(lone.worker.buffers.lent, 0);
	lone_worker_free(&lone);
}

static void
fill(struct conn *conn, struct buffer **buffer, size_t len, uint8_t first)
{
	uint8_t byte;

	ck_assert_int_eq(memory_reserve(conn, buffer, len), 0);
	for (size_t i = 0; i < len; i++) {
		byte = (uint8_t)(first + i * 7);
		buffer_append(*buffer, &byte, 1);
	}
}

static void
add_request(struct conn *conn, enum request_state state,
    enum request_result result, size_t len)
{
	struct request *request = calloc(1, sizeof(*request));

	ck_assert_ptr_nonnull(request);
	request->conn = conn;
	request->handler = conn->listener->handler;
	request->state = (uint8_t)state;
	request->result = (uint8_t)result;
	request->arrived_us = 1000 + len;
	request->number = 9 + len;
	if (len > 0)
		fill(conn, &request->payload, len, (uint8_t)len);
	ck_assert_int_eq(conn_add_request(conn, request), 0);
}

/* One that has all that a connection can have. */
static struct conn *
connect_loaded(void)
{
	struct conn *conn = lone_worker_connect(&lone, LONE_LINES, &peer);
	struct conn_record *record = conn_record(conn);
	struct conn_pending *pending = conn_pending(conn);

	record->messages = 11;
	record->bytes_in = 22;
	record->bytes_out = 33;
	record->opened_ms = 44;
	fill(conn, &pending->in, IN_LEN, 1);
	fill(conn, &pending->out, OUT_LEN, 2);
	pending->progress.scanned = SCANNED;
	pending->taken = 55;
	pending->unsent = 66;
	pending->unhandled = true;
	conn->finishing = true;
	conn->eof = true;
	conn->reason = CLOSE_TOO_LARGE;
	add_request(conn, REQUEST_PARKED, REQUEST_REPLIED, 70);
	add_request(conn, REQUEST_DONE, REQUEST_REPLIED, 800);
	add_request(conn, REQUEST_DONE, REQUEST_FAILED, 0);
	deadline_set(conn, DEADLINE_READ, lone.worker.now_ms);
	conn_park(conn);
	return (conn);
}

static struct handover_conn
pack(struct conn *conn)
{
	struct handover_conn packed;

	ck_assert_int_eq(parcel_pack(conn, &packed, &store), 0);
	return (packed);
}

/* With a descriptor of its own, as if it had come. */
static struct conn *
unpack(const struct handover_conn *packed)
{
	int fd = dup(peer), saved;
	struct conn *conn;

	ck_assert_int_ne(fd, -1);
	conn = parcel_unpack(&lone.worker, packed, &store, fd);
	saved = errno;
	if (conn == NULL) {
		/* It is still ours. */
		ck_assert_int_eq(close(fd), 0);
		errno = saved;
	}
	return (conn);
}

static void
expect_refusal(const struct handover_conn *packed, const char *what)
{
	size_t conns = lone.worker.conns.count;
	size_t lent = lone.worker.buffers.lent;

	store.at = 0;
	errno = 0;
	ck_assert_msg(unpack(packed) == NULL, "%s was taken", what);
	ck_assert_msg(errno == EPROTO, "%s: %s", what, strerror(errno));
	ck_assert_uint_eq(lone.worker.conns.count, conns);
	ck_assert_uint_eq(lone.worker.buffers.lent, lent);
}

static void
expect_same_bytes(const struct buffer *one, const struct buffer *other)
{
	ck_assert((one == NULL) == (other == NULL));
	if (one == NULL)
		return;
	ck_assert_uint_eq(one->len, other->len);
	ck_assert_mem_eq(one->bytes, other->bytes, one->len);
}

static void
expect_same_requests(const struct conn_pending *one,
    const struct conn_pending *other)
{
	const struct request *request = TAILQ_FIRST(&other->requests);
	const struct request *expected;

	ck_assert_uint_eq(one->nrequests, other->nrequests);
	TAILQ_FOREACH(expected, &one->requests, of_conn) {
		ck_assert_ptr_nonnull(request);
		ck_assert_uint_eq(request->state, expected->state);
		ck_assert_uint_eq(request->result, expected->result);
		ck_assert_uint_eq(request->arrived_us, expected->arrived_us);
		ck_assert_uint_eq(request->number, expected->number);
		ck_assert_ptr_eq(request->handler, expected->handler);
		expect_same_bytes(request->payload, expected->payload);
		request = TAILQ_NEXT(request, of_conn);
	}
	ck_assert_ptr_null(request);
}

static void
expect_same(const struct conn *one, const struct conn *other)
{
	struct conn_record a = *conn_record(one), b = *conn_record(other);

	a.seq = b.seq = 0;
	a.state = b.state = 0;
	ck_assert_mem_eq(&a, &b, sizeof(a));
	ck_assert_ptr_eq(one->listener, other->listener);
	ck_assert_uint_eq(one->reason, other->reason);
	ck_assert_int_eq(one->finishing, other->finishing);
	ck_assert_int_eq(one->eof, other->eof);
	ck_assert_int_eq(one->proxied, other->proxied);
	ck_assert((one->pending == NULL) == (other->pending == NULL));
	if (one->pending == NULL)
		return;
	expect_same_bytes(one->pending->in, other->pending->in);
	expect_same_bytes(one->pending->out, other->pending->out);
	ck_assert_mem_eq(&one->pending->progress, &other->pending->progress,
	    sizeof(one->pending->progress));
	ck_assert_uint_eq(one->pending->taken, other->pending->taken);
	ck_assert_uint_eq(one->pending->unsent, other->pending->unsent);
	ck_assert_int_eq(one->pending->unhandled, other->pending->unhandled);
	expect_same_requests(one->pending, other->pending);
}

START_TEST(a_connection_comes_out_as_it_went_in)
{
	struct handover_conn packed;
	struct conn *conn, *copy;

	start();
	conn = connect_loaded();
	packed = pack(conn);
	ck_assert_uint_eq(packed.deadline, DEADLINE_READ);
	ck_assert_uint_eq(packed.size, store.len);
	ck_assert_ptr_nonnull(copy = unpack(&packed));
	expect_same(conn, copy);
	conn_forget(copy);
	conn_forget(conn);
	finish();
}
END_TEST

/* The address in its record says nothing of its socket. */
START_TEST(a_connection_that_came_through_a_proxy_is_known_as_such)
{
	struct sockaddr_in client = { .sin_family = AF_INET, .sin_port = 0x101 };
	struct handover_conn packed;
	struct conn *conn, *copy;

	start();
	conn = connect_loaded();
	conn->proxied = true;
	conn_record_rename(conn, (struct sockaddr *)&client);
	packed = pack(conn);
	ck_assert_uint_eq(packed.family, AF_INET);
	ck_assert_ptr_nonnull(copy = unpack(&packed));
	expect_same(conn, copy);
	ck_assert(copy->proxied && copy->is_local);
	conn_forget(copy);
	/* A value that the previous version would refuse. */
	store.version = HANDOVER_PREVIOUS;
	packed = pack(conn);
	ck_assert_uint_eq(packed.flags & HANDOVER_PROXIED, 0);
	conn_forget(conn);
	finish();
}
END_TEST

static void
trace_first(struct conn *conn)
{
	struct request *request = TAILQ_FIRST(&conn->pending->requests);
	struct trace *trace = calloc(1, sizeof(*trace));
	struct span *span = &trace->span;

	ck_assert_ptr_nonnull(trace);
	memset(span->trace, 't', sizeof(span->trace));
	memset(span->id, 'i', sizeof(span->id));
	memset(span->parent, 'p', sizeof(span->parent));
	memset(span->handling, 'h', sizeof(span->handling));
	span->received_us = 7;
	span->handled_us = 8;
	trace->sampled = true;
	request->trace = trace;
	request->begun_us = 9;
}

START_TEST(a_request_keeps_its_place_in_its_trace)
{
	struct handover_conn packed;
	struct conn *conn, *copy;
	const struct request *request;
	const struct span *span;

	start();
	conn = connect_loaded();
	trace_first(conn);
	packed = pack(conn);
	ck_assert_uint_eq(packed.size, store.len);
	ck_assert_ptr_nonnull(copy = unpack(&packed));
	expect_same(conn, copy);
	/* Here nobody traces. */
	request = TAILQ_FIRST(&copy->pending->requests);
	ck_assert_ptr_null(request->trace);
	conn_forget(copy);
	lone.worker.tracing.on = true;
	store.at = 0;
	ck_assert_ptr_nonnull(copy = unpack(&packed));
	expect_same(conn, copy);
	request = TAILQ_FIRST(&copy->pending->requests);
	ck_assert_ptr_nonnull(request->trace);
	ck_assert(request->trace->sampled);
	ck_assert(request->trace->placed);
	ck_assert_uint_eq(request->begun_us, 9);
	span = &request->trace->span;
	ck_assert_mem_eq(span->trace, "tttttttttttttttt", 16);
	ck_assert_mem_eq(span->id, "iiiiiiii", 8);
	ck_assert_mem_eq(span->parent, "pppppppp", 8);
	ck_assert_mem_eq(span->handling, "hhhhhhhh", 8);
	ck_assert_uint_eq(span->received_us, 7);
	ck_assert_uint_eq(span->handled_us, 8);
	ck_assert_uint_eq(span->conn, conn_record(conn)->id);
	ck_assert_ptr_null(TAILQ_NEXT(request, of_conn)->trace);
	conn_forget(copy);
	conn_forget(conn);
	finish();
}
END_TEST

START_TEST(what_is_no_place_in_a_trace_is_refused)
{
	static const off_t at = IN_LEN + OUT_LEN +
	    sizeof(struct handover_request);
	struct handover_trace good, bad;
	struct handover_conn packed;
	struct conn *conn;

	start();
	lone.worker.tracing.on = true;
	conn = connect_loaded();
	trace_first(conn);
	packed = pack(conn);
	ck_assert_int_eq(pread(store.fd, &good, sizeof(good), at),
	    sizeof(good));
#define EXPECT_BAD(change)						\
	do {								\
		bad = good;						\
		change;							\
		ck_assert_int_eq(pwrite(store.fd, &bad, sizeof(bad), at), \
		    sizeof(bad));					\
		expect_refusal(&packed, #change);			\
	} while (0)
	EXPECT_BAD(memset(bad.trace, 0, sizeof(bad.trace)));
	EXPECT_BAD(memset(bad.id, 0, sizeof(bad.id)));
	EXPECT_BAD(memset(bad.handling, 0, sizeof(bad.handling)));
	EXPECT_BAD(bad.sampled = 2);
	EXPECT_BAD(bad.received_us = UINT64_MAX);
	EXPECT_BAD(bad.handled_us = UINT64_MAX);
#undef EXPECT_BAD
	conn_forget(conn);
	finish();
}
END_TEST

START_TEST(an_idle_connection_has_no_bytes)
{
	struct handover_conn packed;
	struct conn *conn, *copy;

	start();
	conn = lone_worker_connect(&lone, LONE_FRAMES, &peer);
	conn_park(conn);
	packed = pack(conn);
	ck_assert_uint_eq(packed.size, 0);
	ck_assert_int_eq(store.fd, -1);
	ck_assert_ptr_nonnull(copy = unpack(&packed));
	expect_same(conn, copy);
	ck_assert_ptr_null(copy->pending);
	conn_forget(copy);
	conn_forget(conn);
	finish();
}
END_TEST

/* Each part of the bytes belongs to one of them, and one after the other. */
START_TEST(those_of_a_batch_stand_one_behind_the_other)
{
	struct handover_conn packed[3];
	struct conn *conn, *copy;

	start();
	conn = connect_loaded();
	for (int i = 0; i < 3; i++)
		packed[i] = pack(conn);
	ck_assert_uint_eq(store.len, 3 * packed[0].size);
	for (int i = 0; i < 3; i++) {
		ck_assert_ptr_nonnull(copy = unpack(&packed[i]));
		expect_same(conn, copy);
		conn_forget(copy);
	}
	expect_refusal(&packed[1], "another one's bytes");
	conn_forget(conn);
	finish();
}
END_TEST

START_TEST(a_part_of_the_bytes_is_refused)
{
	struct handover_conn packed;
	struct conn *conn;
	uint64_t len;

	start();
	conn = connect_loaded();
	packed = pack(conn);
	len = store.len;
	/* As it is told, as it is, and both. */
	for (store.len = 0; store.len < len; store.len++)
		expect_refusal(&packed, "a part");
	for (off_t cut = 0; cut < (off_t)len; cut++) {
		packed.size = store.len = (uint64_t)cut;
		expect_refusal(&packed, "a part that says so");
	}
	packed.size = store.len = len;
	while (len-- > 0) {
		ck_assert_int_eq(ftruncate(store.fd, (off_t)len), 0);
		expect_refusal(&packed, "a file that is too short");
	}
	conn_forget(conn);
	finish();
}
END_TEST

/* Every bit of a number that says how much or where. */
static void
expect_refusal_of_flips(const struct handover_conn *packed, size_t offset,
    size_t size, const char *what)
{
	struct handover_conn flipped;

	for (size_t bit = 0; bit < size * 8; bit++) {
		flipped = *packed;
		((uint8_t *)&flipped)[offset + bit / 8] ^=
		    (uint8_t)(1U << bit % 8);
		expect_refusal(&flipped, what);
	}
}

#define FLIP(packed, member)						\
	expect_refusal_of_flips((packed),				\
	    offsetof(struct handover_conn, member),			\
	    sizeof((packed)->member), #member)

START_TEST(a_wrong_number_is_refused)
{
	struct handover_conn packed;
	struct conn *conn;

	start();
	conn = connect_loaded();
	packed = pack(conn);
	FLIP(&packed, offset);
	FLIP(&packed, size);
	FLIP(&packed, in_len);
	FLIP(&packed, out_len);
	FLIP(&packed, nrequests);
	packed.progress.scanned = IN_LEN + 1;
	expect_refusal(&packed, "progress");
	conn_forget(conn);
	finish();
}
END_TEST

START_TEST(a_wrong_number_of_a_request_is_refused)
{
	size_t at = IN_LEN + OUT_LEN;
	struct handover_request head;
	struct handover_conn packed;
	struct conn *conn;

	start();
	conn = connect_loaded();
	packed = pack(conn);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pread(store.fd, &head, sizeof(head),
		    (off_t)at), sizeof(head));
		for (int bit = 0; bit < 64; bit++) {
			head.len ^= UINT64_C(1) << bit;
			ck_assert_int_eq(pwrite(store.fd, &head, sizeof(head),
			    (off_t)at), sizeof(head));
			expect_refusal(&packed, "the length of a request");
			head.len ^= UINT64_C(1) << bit;
		}
		ck_assert_int_eq(pwrite(store.fd, &head, sizeof(head),
		    (off_t)at), sizeof(head));
		at += sizeof(head) + head.len;
	}
	ck_assert_uint_eq(at, store.len);
	conn_forget(conn);
	finish();
}
END_TEST

START_TEST(what_is_not_on_the_lists_is_refused)
{
	struct handover_conn good, packed;
	struct handover_request head = { .state = REQUEST_WAITING, .len = 70 };
	struct conn *conn;

	start();
	conn = connect_loaded();
	good = pack(conn);
#define WITH(member, value)						\
	packed = good;							\
	packed.member = (value);					\
	expect_refusal(&packed, #member " = " #value)
	WITH(listener, LONE_LISTENERS);
	WITH(listener, UINT16_MAX);
	WITH(family, 0);
	WITH(family, UINT8_MAX);
	WITH(deadline, DEADLINE_KINDS);
	WITH(reason, CLOSE_REASON_COUNT);
	WITH(flags, HANDOVER_FLAGS + 1);
#undef WITH
	ck_assert_int_eq(pwrite(store.fd, &head, sizeof(head),
	    IN_LEN + OUT_LEN), sizeof(head));
	expect_refusal(&good, "a request that waits");
	head.state = REQUEST_RUNNING;
	ck_assert_int_eq(pwrite(store.fd, &head, sizeof(head),
	    IN_LEN + OUT_LEN), sizeof(head));
	expect_refusal(&good, "a request that runs");
	head.state = REQUEST_DONE;
	head.result = REQUEST_FAILED + 1;
	ck_assert_int_eq(pwrite(store.fd, &head, sizeof(head),
	    IN_LEN + OUT_LEN), sizeof(head));
	expect_refusal(&good, "an unknown result");
	head.result = REQUEST_REPLIED;
	head.fields_len = 1;
	ck_assert_int_eq(pwrite(store.fd, &head, sizeof(head),
	    IN_LEN + OUT_LEN), sizeof(head));
	expect_refusal(&good, "fields of what is not HTTP");
	conn_forget(conn);
	finish();
}
END_TEST

/* Something else than a memfd, or none. */
START_TEST(a_descriptor_that_is_no_file_is_refused)
{
	struct handover_conn packed;
	struct conn *conn;
	int ends[2], memfd;

	start();
	conn = connect_loaded();
	packed = pack(conn);
	memfd = store.fd;
	ck_assert_int_eq(pipe(ends), 0);
	store.fd = ends[0];
	expect_refusal(&packed, "a pipe");
	store.fd = -1;
	expect_refusal(&packed, "nothing");
	store.fd = memfd;
	close(ends[0]);
	close(ends[1]);
	conn_forget(conn);
	finish();
}
END_TEST

/* One turn can bring one client's reply and another one's connection. */
START_TEST(what_wakes_sends_no_reply_of_another_client)
{
	static const uint8_t bytes[] = "for one alone";
	const struct payload reply = { bytes, sizeof(bytes) - 1 };
	struct conn *one, *other;
	int one_peer;

	start();
	one = lone_worker_connect(&lone, LONE_LINES, &one_peer);
	other = lone_worker_connect(&lone, LONE_LINES, &peer);
	ck_assert_ptr_nonnull(conn_pending(other));
	worker_turn(&lone.worker);
	conn_park(other);
	add_request(one, REQUEST_RUNNING, REQUEST_REPLIED, 0);
	result_store(TAILQ_FIRST(&one->pending->requests), REQUEST_REPLIED,
	    &reply);
	conn_wake(other);
	worker_end_turn(&lone.worker);
	client_expect_text(one_peer, "for one alone\n");
	ck_assert(!client_has_input(peer));
	close(one_peer);
	finish();
}
END_TEST

RUN_TESTS("parcel",
    a_connection_comes_out_as_it_went_in,
    a_connection_that_came_through_a_proxy_is_known_as_such,
    a_request_keeps_its_place_in_its_trace,
    what_is_no_place_in_a_trace_is_refused,
    an_idle_connection_has_no_bytes,
    those_of_a_batch_stand_one_behind_the_other,
    a_part_of_the_bytes_is_refused,
    a_wrong_number_is_refused,
    a_wrong_number_of_a_request_is_refused,
    what_is_not_on_the_lists_is_refused,
    a_descriptor_that_is_no_file_is_refused,
    what_wakes_sends_no_reply_of_another_client)
