/* SPDX-License-Identifier: ISC */
/*
 * Holds common/spans.c to common/spans.h, and monitor/otlp.c to the JSON form
 * of OTLP; whether all of its names are right,
 * tests/programs/collector.py tells.
 */
#include "common/spans.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/otlp.h"
#include "tests/lib/harness.h"
#include "tools/json_read.h"

static struct spans ring;
static struct span span, copy;
static uint64_t taken;

/* Tests can run in one process. */
static void
start(void)
{
	memset(&ring, 0, sizeof(ring));
	memset(&span, 0, sizeof(span));
	taken = 0;
}

static bool
put(uint64_t number)
{
	span.conn = number;
	return (spans_put(&ring, &taken, &span));
}

START_TEST(what_was_put_in_is_got_out)
{
	start();
	ck_assert(!spans_get(&ring, 0, &copy));
	ck_assert(put(7));
	ck_assert(put(8));
	ck_assert(spans_get(&ring, 0, &copy));
	ck_assert_uint_eq(copy.conn, 7);
	ck_assert(spans_get(&ring, 1, &copy));
	ck_assert_uint_eq(copy.conn, 8);
	ck_assert(!spans_get(&ring, 2, &copy));
}
END_TEST

START_TEST(a_full_ring_takes_no_more_until_it_is_read)
{
	start();
	for (uint64_t i = 0; i < SPANS_MAX; i++)
		ck_assert(put(i));
	ck_assert(!put(SPANS_MAX));
	taken = 2;
	ck_assert(put(SPANS_MAX));
	ck_assert(put(SPANS_MAX + 1));
	ck_assert(!put(SPANS_MAX + 2));
	ck_assert(!spans_get(&ring, 1, &copy));
	for (uint64_t i = 2; i < SPANS_MAX + 2; i++) {
		ck_assert(spans_get(&ring, i, &copy));
		ck_assert_uint_eq(copy.conn, i);
	}
}
END_TEST

START_TEST(a_reader_that_lies_stops_nobody)
{
	start();
	taken = UINT64_MAX;
	for (uint64_t i = 0; i < 3 * SPANS_MAX; i++)
		ck_assert(put(i));
}
END_TEST

START_TEST(text_ends_whatever_was_written)
{
	start();
	memset(&span, 'x', sizeof(span));
	ck_assert(put(1));
	ck_assert(spans_get(&ring, 0, &copy));
	ck_assert_uint_eq(strlen(copy.request), SPAN_REQUEST_MAX - 1);
}
END_TEST

START_TEST(how_far_it_was_read_outlives_a_process)
{
	struct spans_taken first, again;

	ck_assert_int_eq(spans_new(&first), 0);
	first.map->taken[3][1] = 17;
	ck_assert_int_eq(spans_open(&again, dup(first.fd)), 0);
	ck_assert_uint_eq(again.map->taken[3][1], 17);
	again.map->version++;
	spans_free(&again);
	ck_assert_int_eq(spans_open(&again, first.fd), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(spans_open(&again, STDERR_FILENO), -1);
	spans_free(&first);
	spans_free(&first);
}
END_TEST

START_TEST(a_reader_of_spans_cannot_write)
{
	struct spans_taken of;
	int ends[2], status;
	pid_t pid;

	ck_assert_int_eq(spans_new(&of), 0);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], "12345678", 8), 8);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0) {
		if (spans_seal(&of) == -1)
			_exit(1);
		/* As a store would, but with an error instead of a signal. */
		_exit(read(ends[0], &of.map->exported,
		    sizeof(of.map->exported)) == -1 && errno == EFAULT ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert_uint_eq(of.map->exported, 0);
	close(ends[0]);
	close(ends[1]);
	spans_free(&of);
}
END_TEST

/*
 * OTLP.
 */

static struct json_value *
print(const struct heritage *heritage, const struct span *spans, size_t n)
{
	static const unsigned slots[2] = { 0, 5 };
	const struct otlp_batch batch = {
		.spans = spans, .slots = slots, .n = n,
		.epoch_ns = INT64_C(1700000000000000000),
	};
	struct json_value *whole;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	otlp_print(out, heritage, &batch);
	fclose(out);
	whole = json_read(text, size);
	ck_assert_msg(whole != NULL, "no JSON: %s", text);
	free(text);
	return (whole);
}

static const struct json_value *
first_of(const struct json_value *object, const char *name)
{
	return (json_get(object, name)->first);
}

static const char *
attribute(const struct json_value *of, const char *key)
{
	JSON_EACH(one, json_get(of, "attributes"))
		if (strcmp(json_text(json_get(one, "key")), key) == 0)
			return (json_text(json_get(one, "value")->first));
	return ("");
}

START_TEST(spans_are_printed_whatever_a_worker_wrote)
{
	char names[2][8] = { "a\"b", "handler" };
	char *listeners[] = { names[0] }, *handlers[] = { names[1] };
	char service[] = "svc";
	const struct conf conf = { .tracing.service_name = service };
	const struct heritage heritage = {
		.conf = &conf, .listener_names = listeners,
		.nlistener_names = 1, .handler_names = handlers,
		.nhandler_names = 1,
	};
	struct span spans[2];
	const struct json_value *resource, *one;
	struct json_value *whole;

	memset(spans, 0xff, sizeof(spans));
	spans[1] = (struct span){
		.request = "5-1", .conn = 5, .received_us = 1000,
		.begun_us = 2000, .handled_us = 3000, .ended_us = 4000,
		.family = AF_INET, .peer = { 192, 0, 2, 1 }, .peer_port = 99,
		.result = SPAN_TIMEOUT,
	};
	spans[0].request[SPAN_REQUEST_MAX - 1] = '\0';
	memset(spans[1].trace, 0xab, TRACE_ID_LEN);
	memset(spans[1].id, 0x01, TRACE_SPAN_LEN);
	memset(spans[1].handling, 0x02, TRACE_SPAN_LEN);
	whole = print(&heritage, spans, 2);
	resource = first_of(whole, "resourceSpans");
	ck_assert_str_eq(attribute(json_get(resource, "resource"),
	    "service.name"), "svc");
	one = first_of(first_of(resource, "scopeSpans"), "spans");
	/* Of numbers that stand for nothing there are no names. */
	ck_assert_str_eq(attribute(one, "penstock.listener"), "");
	ck_assert_str_eq(attribute(one, "penstock.result"), "unknown");
	one = one->next->next;
	ck_assert_str_eq(json_text(json_get(one, "name")), names[0]);
	ck_assert_str_eq(json_text(json_get(one, "traceId")),
	    "abababababababababababababababab");
	ck_assert_str_eq(json_text(json_get(one, "spanId")),
	    "0101010101010101");
	ck_assert_ptr_null(json_get(one, "parentSpanId"));
	ck_assert_str_eq(json_text(json_get(one, "startTimeUnixNano")),
	    "1700000000001000000");
	ck_assert_str_eq(json_text(json_get(one, "endTimeUnixNano")),
	    "1700000000004000000");
	ck_assert_str_eq(attribute(one, "penstock.slot"), "5");
	ck_assert_str_eq(attribute(one, "network.peer.address"), "192.0.2.1");
	ck_assert_str_eq(attribute(one, "network.peer.port"), "99");
	ck_assert_str_eq(json_text(json_get(json_get(one, "status"),
	    "message")), "timeout");
	one = one->next;
	ck_assert_str_eq(json_text(json_get(one, "name")), "handler");
	ck_assert_str_eq(json_text(json_get(one, "parentSpanId")),
	    "0101010101010101");
	ck_assert_str_eq(json_text(json_get(one, "spanId")),
	    "0202020202020202");
	ck_assert_ptr_null(one->next);
	json_free(whole);
}
END_TEST

RUN_TESTS("spans",
    what_was_put_in_is_got_out,
    a_full_ring_takes_no_more_until_it_is_read,
    a_reader_that_lies_stops_nobody,
    text_ends_whatever_was_written,
    how_far_it_was_read_outlives_a_process,
    a_reader_of_spans_cannot_write,
    spans_are_printed_whatever_a_worker_wrote)
