/* SPDX-License-Identifier: ISC */
/*
 * tools/load: what a server does wrong is found and called by its name, and
 * what it does right is not.
 */
#include <sys/wait.h>

#include <string.h>
#include <unistd.h>

#include "tests/lib/bad_server.h"
#include "tests/lib/harness.h"
#include "tools/load/hold_process.h"

enum {
	PORT = 9000,
	SOON_MS = 1500,		/* patience with a server that hangs */
};

/* A test on each protocol. */
#define TEST_ALL(name)							\
	static void name##_by(enum message_wire);			\
	START_TEST(name)						\
	{								\
		name##_by(WIRE_FRAME);					\
		name##_by(WIRE_LINE);					\
		name##_by(WIRE_HTTP);					\
	}								\
	END_TEST							\
	static void name##_by(enum message_wire wire)

static struct hold_options
options_for(enum message_wire wire)
{
	struct hold_options options = load_on(PORT);

	options.wire = wire;
	options.slow_server_len = 0;
	return (options);
}

/* What was wrong is counted as one, and nothing else was. */
static void
expect_only(const struct hold_report *report, uint64_t lost, uint64_t doubled,
    uint64_t reordered, uint64_t corrupted, uint64_t errors)
{
	print_report("found", report);
	ck_assert_uint_eq(report->lost, lost);
	ck_assert_uint_eq(report->doubled, doubled);
	ck_assert_uint_eq(report->reordered, reordered);
	ck_assert_uint_eq(report->corrupted, corrupted);
	ck_assert_uint_eq(report->errors, errors);
}

static void
expect_all_stayed(const struct hold_report *report)
{
	ck_assert_uint_eq(report->disconnected + report->reset +
	    report->broken + report->hung + report->refused +
	    report->unframed, 0);
}

/* Let a few clients send bursts to a server that does this wrong to their 7th
 * message, until some more messages have gone by; keep what they counted. */
static struct hold_report
meet(enum message_wire wire, enum fault fault)
{
	struct hold_options options = options_for(wire);
	struct bad_server server = bad_server_start(PORT, wire, fault, 7);
	struct hold_process *load;
	struct hold_report report;

	options.pipeline = 1;
	options.pipeline_burst = 10;
	options.rate = HOLD_FULL_SPEED;
	options.patience_ms = SOON_MS * slow_factor();
	load = hold_start(&options);
	ck_assert_ptr_nonnull(load);
	await(server.view->messages >= 100 ||
	    (hold_peek(load)->connected == 1 && hold_peek(load)->is_done));
	hold_verify(load);
	report = *hold_stop(load);
	hold_drop(load);
	bad_server_end(&server);
	return (report);
}

TEST_ALL(a_good_server_is_found_to_be_good_by_all_kinds)
{
	enum { N = 70 };
	struct bad_server server = bad_server_start(PORT, wire, FAULT_NONE, 0);
	struct hold_options options = options_for(wire);
	const struct hold_report *report;
	struct hold_process *load;

	options.connections = options.split = options.slow = 20;
	options.pipeline = options.deaf = 3;
	options.stream = 4;
	options.rate = 1000;
	options.message_size_max = 3000;
	load = hold_start(&options);
	await(hold_peek(load)->open == N);
	for (uint64_t i = 1; i <= 3; i++) {
		await(hold_peek(load)->kind[HOLD_STREAM].answered > 50 * i);
		await(hold_peek(load)->kind[HOLD_PIPELINE].answered > 50 * i);
		await(server.view->owed_max > 0);
		hold_order_flush(load);
		report = hold_verify(load);
		ck_assert_uint_eq(report->rounds, i);
		ck_assert_uint_eq(report->verified, N);
		/* Nothing has come back yet that was not to. */
		expect_unharmed(report);
	}
	report = hold_stop(load);
	expect_unharmed(report);
	ck_assert_uint_eq(report->finished, N);
	ck_assert_uint_eq(report->numbered, N);
	ck_assert_uint_eq(report->answered, report->sent);
	for (int kind = 0; kind < HOLD_KINDS; kind++)
		ck_assert_uint_ge(report->kind[kind].answered, 60);
	load_report_print(report, stdout);
	hold_drop(load);
	bad_server_end(&server);
}

TEST_ALL(a_dropped_reply_is_lost)
{
	struct hold_report report = meet(wire, FAULT_DROP);

	expect_all_stayed(&report);
	expect_only(&report, 1, 0, 0, 0, 0);
	ck_assert_uint_eq(report.verified, 1);
}

TEST_ALL(a_second_reply_is_doubled)
{
	struct hold_report report = meet(wire, FAULT_DOUBLE);

	expect_all_stayed(&report);
	expect_only(&report, 0, 1, 0, 0, 0);
	ck_assert_uint_eq(report.answered, report.sent);
}

TEST_ALL(a_reply_after_the_next_one_is_out_of_order)
{
	struct hold_report report = meet(wire, FAULT_SWAP);

	expect_all_stayed(&report);
	expect_only(&report, 0, 0, 1, 0, 0);
	ck_assert_uint_eq(report.answered, report.sent);
}

TEST_ALL(a_flipped_bit_is_a_corrupted_reply)
{
	struct hold_report report = meet(wire, FAULT_FLIP);

	expect_all_stayed(&report);
	expect_only(&report, 0, 0, 0, 1, 0);
	ck_assert_uint_eq(report.answered, report.sent - 1);
}

START_TEST(a_wrong_length_ends_what_can_be_read)
{
	struct hold_report report = meet(WIRE_FRAME, FAULT_FLIP_LENGTH);

	ck_assert_uint_eq(report.unframed, 1);
	ck_assert_uint_eq(report.corrupted, 1);
	ck_assert_uint_eq(report.lost, report.sent - report.answered);
	ck_assert_uint_eq(report.verified, 0);
}
END_TEST

TEST_ALL(an_error_reply_is_an_error)
{
	struct hold_report report = meet(wire, FAULT_ERROR);

	expect_all_stayed(&report);
	expect_only(&report, 0, 0, 0, 0, 1);
	ck_assert_uint_eq(report.answered, report.sent - 1);
}

TEST_ALL(a_closed_connection_is_disconnected)
{
	struct hold_report report = meet(wire, FAULT_CLOSE);

	ck_assert_uint_eq(report.disconnected + report.reset, 1);
	ck_assert_uint_eq(report.lost, report.sent - report.answered);
	ck_assert_uint_gt(report.lost, 0);
	ck_assert_uint_eq(report.verified, 0);
}

TEST_ALL(a_reply_that_ends_half_way_is_lost)
{
	struct hold_report report = meet(wire, FAULT_CLOSE_LATE);

	ck_assert_uint_eq(report.disconnected + report.reset, 1);
	ck_assert_uint_eq(report.lost, report.sent - report.answered);
	ck_assert_uint_eq(report.answered, 6);
}

TEST_ALL(a_reset_connection_is_reset)
{
	struct hold_report report = meet(wire, FAULT_RESET);

	ck_assert_uint_eq(report.reset, 1);
	ck_assert_uint_eq(report.disconnected + report.broken, 0);
	ck_assert_uint_gt(report.lost, 0);
}

TEST_ALL(a_connection_without_an_answer_has_hung)
{
	struct hold_report report = meet(wire, FAULT_STALL);

	ck_assert_uint_eq(report.hung, 1);
	expect_only(&report, 4, 0, 0, 0, 0);
}

TEST_ALL(a_pause_is_measured)
{
	struct hold_report report = meet(wire, FAULT_DELAY);
	const struct latency *latency =
	    &report.kind[HOLD_PIPELINE].latency;

	expect_unharmed(&report);
	ck_assert_uint_ge(report.slowest_us, BAD_DELAY_MS * 1000);
	ck_assert_uint_eq(latency->max_us, report.slowest_us);
	ck_assert_uint_eq(latency->count, report.answered);
	ck_assert_uint_lt(latency_quantile_us(latency, 0.5),
	    BAD_DELAY_MS * 1000);
}

TEST_ALL(a_reply_of_another_connection_is_corrupted)
{
	/* The first connection's first message, sent to the second one. */
	struct bad_server server = bad_server_start(PORT, wire, FAULT_FOREIGN,
	    2);
	struct hold_options options = options_for(wire);
	const struct hold_report *report;
	struct hold_process *load;

	options.connections = 2;
	load = hold_start(&options);
	await(hold_peek(load)->open == 2);
	hold_set_rate(load, 500);
	await(server.view->messages > 20);
	ck_assert_uint_eq(hold_verify(load)->verified, 2);
	report = hold_stop(load);
	expect_all_stayed(report);
	expect_only(report, 0, 0, 0, 1, 0);
	hold_drop(load);
	bad_server_end(&server);
}

TEST_ALL(messages_are_split_at_every_byte)
{
	struct bad_server server = bad_server_start(PORT, wire, FAULT_NONE, 0);
	struct hold_options options = options_for(wire);
	const struct hold_report *report;
	struct hold_process *load;
	uint64_t flushes = 0;

	options.split = 1;
	load = hold_start(&options);
	await(hold_peek(load)->open == 1);
	for (size_t at = 1; at < MESSAGE_SIZE_MIN + 1; at++) {
		while (counter_get(&server.view->partial[at]) == 0) {
			ck_assert_uint_lt(++flushes, 500);
			hold_order_flush(load);
			await(hold_peek(load)->answered >= flushes);
		}
	}
	report = hold_stop(load);
	expect_unharmed(report);
	ck_assert_uint_eq(report->answered, flushes + 1);
	hold_drop(load);
	bad_server_end(&server);
}

TEST_ALL(a_deaf_client_finds_errors_when_it_reads_again)
{
	struct bad_server server = bad_server_start(PORT, wire, FAULT_FLIP,
	    1500);
	struct hold_options options = options_for(wire);
	const struct hold_report *report;
	struct hold_process *load;

	options.deaf = 1;
	load = hold_start(&options);
	await(server.view->messages == 2000);
	ck_assert_uint_gt(server.view->owed_max, 10000);
	ck_assert_uint_eq(hold_peek(load)->answered, 0);
	ck_assert_uint_eq(hold_peek(load)->corrupted, 0);
	hold_order_flush(load);
	await(hold_peek(load)->answered >= 1999);
	report = hold_stop(load);
	expect_all_stayed(report);
	expect_only(report, 0, 0, 0, 1, 0);
	hold_drop(load);
	bad_server_end(&server);
}

TEST_ALL(a_gap_in_a_stream_is_found)
{
	struct bad_server server = bad_server_start(PORT, wire, FAULT_DROP, 50);
	struct hold_options options = options_for(wire);
	const struct hold_report *report;
	struct hold_process *load;

	options.stream = 1;
	options.stream_bytes_s = 100000;
	load = hold_start(&options);
	await(server.view->messages > 500);
	report = hold_verify(load);
	ck_assert_uint_eq(report->verified, 1);
	report = hold_stop(load);
	expect_all_stayed(report);
	expect_only(report, 1, 0, 0, 0, 0);
	hold_drop(load);
	bad_server_end(&server);
}

TEST_ALL(the_rate_is_never_exceeded)
{
	struct bad_server server = bad_server_start(PORT, wire, FAULT_NONE, 0);
	struct hold_options options = options_for(wire);
	struct hold_process *load;
	uint64_t began_ms;

	options.connections = 20;
	options.pipeline = 2;
	options.pipeline_burst = 4;
	load = hold_start(&options);
	await(hold_peek(load)->open == 22);
	began_ms = clock_ms();
	hold_set_rate(load, 1000);
	await(server.view->messages >= 500);
	ck_assert_uint_ge(clock_ms() - began_ms, 480);
	expect_unharmed(hold_stop(load));
	hold_drop(load);
	bad_server_end(&server);
}

TEST_ALL(processes_share_the_work)
{
	struct bad_server server = bad_server_start(PORT, wire, FAULT_NONE, 0);
	struct hold_options options = options_for(wire);
	const struct hold_report *report;
	struct hold_process *load;

	options.connections = 31;
	options.split = 5;
	options.processes = 3;
	options.rate = 600;
	load = hold_start(&options);
	await(hold_peek(load)->open == 36);
	await(hold_peek(load)->answered > 300);
	report = hold_verify(load);
	ck_assert_uint_eq(report->verified, 36);
	report = hold_stop(load);
	ck_assert_uint_eq(report->is_done, 1);
	ck_assert_uint_eq(report->finished, 36);
	expect_unharmed(report);
	hold_drop(load);
	bad_server_end(&server);
}

TEST_ALL(a_connect_without_a_server_is_refused)
{
	struct hold_options options = options_for(wire);
	struct hold_process *load;

	options.connections = 3;
	load = hold_start(&options);
	await(hold_peek(load)->refused == 3);
	ck_assert_uint_eq(hold_verify(load)->verified, 0);
	ck_assert(!hold_report_is_clean(hold_stop(load)));
	hold_drop(load);
}

RUN_TESTS("hold",
    a_good_server_is_found_to_be_good_by_all_kinds,
    a_dropped_reply_is_lost,
    a_second_reply_is_doubled,
    a_reply_after_the_next_one_is_out_of_order,
    a_flipped_bit_is_a_corrupted_reply,
    a_wrong_length_ends_what_can_be_read,
    an_error_reply_is_an_error,
    a_closed_connection_is_disconnected,
    a_reply_that_ends_half_way_is_lost,
    a_reset_connection_is_reset,
    a_connection_without_an_answer_has_hung,
    a_pause_is_measured,
    a_reply_of_another_connection_is_corrupted,
    messages_are_split_at_every_byte,
    a_deaf_client_finds_errors_when_it_reads_again,
    a_gap_in_a_stream_is_found,
    the_rate_is_never_exceeded,
    processes_share_the_work,
    a_connect_without_a_server_is_refused)
