/* SPDX-License-Identifier: ISC */
/*
 * tools/load/response.c and what the verifier makes of it: replies over HTTP
 * are cut where they end, however they come, and told apart by their bodies.
 */
#include "tools/load/response.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/harness.h"
#include "tools/load/verifier.h"

enum { SIZE = 100, CONN = 7, N = 5 };

static enum response_verdict
parse(const char *text, struct response *response)
{
	struct response_head kept = { .parsed = { .head_len = 0 } };

	return (response_parse(&kept, (const uint8_t *)text, strlen(text),
	    response));
}

START_TEST(a_response_ends_where_its_length_says)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nServer: x\r\n"
	    "content-LENGTH: \t5\r\nDate: now\r\n\r\nhelloHTTP/1.1 ";
	struct response response;

	ck_assert_int_eq(parse(text, &response), RESPONSE_WHOLE);
	ck_assert_uint_eq(response.status, 200);
	ck_assert_uint_eq(response.body_len, 5);
	ck_assert_int_eq(memcmp(text + response.head_len, "hello", 5), 0);
}
END_TEST

START_TEST(what_has_no_end_is_bad)
{
	static const char *const bad[] = {
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\n1",
		"SMTP\r\n\r\n",
		"\r\n\r\n",
	};
	struct response response;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(parse(bad[i], &response) == RESPONSE_BAD, "%s",
		    bad[i]);
}
END_TEST

START_TEST(a_head_that_comes_again_is_still_held_against_what_came)
{
	static const char first[] = "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 1\r\n\r\nx";
	static const char other[] = "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 2\r\n\r\nxy";
	struct response_head kept = { .parsed = { .head_len = 0 } };
	struct response response;

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(response_parse(&kept, (const uint8_t *)first,
		    sizeof(first) - 1, &response), RESPONSE_WHOLE);
		ck_assert_uint_eq(response.body_len, 1);
		ck_assert_int_eq(response_parse(&kept, (const uint8_t *)first,
		    sizeof(first) - 2, &response), RESPONSE_MORE);
		ck_assert_int_eq(response_parse(&kept, (const uint8_t *)other,
		    sizeof(other) - 1, &response), RESPONSE_WHOLE);
		ck_assert_uint_eq(response.body_len, 2);
	}
}
END_TEST

/*
 * The verifier.
 */

struct wire {
	struct message_form form;
	struct hold_report report;
	struct response_head head;
	struct verifier verifier;
	uint8_t scratch[1024];
	uint8_t bytes[8192];		/* what the server says */
	size_t len;
};

static void
wire_init(struct wire *wire)
{
	memset(wire, 0, sizeof(*wire));
	message_form_init(&wire->form, WIRE_POST, SIZE, SIZE);
}

/* Put a reply behind the others. */
static void
say(struct wire *wire, unsigned status, uint32_t number)
{
	uint8_t payload[SIZE];
	size_t len = message_build_payload(&wire->form, payload,
	    (struct message_id){ CONN, number });

	wire->len += (size_t)sprintf((char *)wire->bytes + wire->len,
	    "HTTP/1.1 %u X\r\nN: %u\r\nContent-Length: %zu\r\n\r\n", status,
	    number, len);
	memcpy(wire->bytes + wire->len, payload, len);
	wire->len += len;
}

/* Let all of it come in two pieces. */
static bool
hear(struct wire *wire, size_t cut)
{
	const struct verifier_rule rule = {
		.form = &wire->form,
		.report = &wire->report,
		.scratch = wire->scratch,
		.head = &wire->head,
	};

	return (verifier_take(&wire->verifier, &rule, CONN, N, wire->bytes,
	    cut) && verifier_take(&wire->verifier, &rule, CONN, N,
	    wire->bytes + cut, wire->len - cut));
}

START_TEST(replies_are_right_wherever_they_are_cut)
{
	struct wire wire;

	wire_init(&wire);
	for (uint32_t i = 0; i < N; i++)
		say(&wire, 200, i);
	for (size_t cut = 0; cut <= wire.len; cut++) {
		wire.report = (struct hold_report){ .answered = 0 };
		ck_assert(hear(&wire, cut));
		ck_assert_uint_eq(wire.report.answered, N);
		ck_assert(hold_report_is_clean(&wire.report));
		verifier_clear(&wire.verifier);
	}
}
END_TEST

START_TEST(what_is_wrong_is_called_by_its_name)
{
	struct wire wire;

	wire_init(&wire);
	say(&wire, 200, 0);
	say(&wire, 503, 1);
	say(&wire, 200, 3);
	say(&wire, 200, 3);
	say(&wire, 200, 4);
	wire.bytes[wire.len - 1] ^= 1;
	ck_assert(hear(&wire, wire.len / 2));
	ck_assert_uint_eq(wire.report.answered, 2);
	ck_assert_uint_eq(wire.report.errors, 1);
	ck_assert_uint_eq(wire.report.lost, 1);
	ck_assert_uint_eq(wire.report.doubled, 1);
	ck_assert_uint_eq(wire.report.corrupted, 1);
	verifier_clear(&wire.verifier);
}
END_TEST

START_TEST(a_head_without_end_is_given_up)
{
	struct wire wire;
	bool is_heard = true;

	wire_init(&wire);
	memset(wire.bytes, 'x', sizeof(wire.bytes));
	wire.len = sizeof(wire.bytes);
	for (int i = 0; i < 4 && is_heard; i++)
		is_heard = hear(&wire, 1000);
	ck_assert(!is_heard);
	ck_assert_uint_eq(wire.report.corrupted, 1);
	verifier_clear(&wire.verifier);
}
END_TEST

RUN_TESTS("response",
    a_response_ends_where_its_length_says,
    what_has_no_end_is_bad,
    a_head_that_comes_again_is_still_held_against_what_came,
    replies_are_right_wherever_they_are_cut,
    what_is_wrong_is_called_by_its_name,
    a_head_without_end_is_given_up)
