/* SPDX-License-Identifier: ISC */
/*
 * Holds what the monitor makes of the mappings (monitor/view.c, metrics.c,
 * status_page.c, connections.c) to its word, and penstock-metrics(7) to the
 * names that there are.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <check.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/record.h"
#include "monitor/connections.h"
#include "monitor/families.h"
#include "monitor/metrics.h"
#include "monitor/status_page.h"
#include "monitor/view.h"
#include "tests/lib/exposition.h"
#include "tests/lib/harness.h"
#include "tools/json_read.h"

enum { SLOTS = 2, RECORDS = 3000, LINES = 1, UPPER = 2 };

static char frames[] = "frames", lines[] = "lines";
static char echo[] = "echo", discard[] = "discard", upper[] = "upper";
static char *listener_names[] = { frames, lines };
static char *handler_names[] = { echo, discard, upper };
static struct counters slots[SLOTS];
static struct heritage heritage;
static struct conf_listener listener = {
	.name = lines, .handler = upper, .max_connections = 5,
};
static struct conf_handler handlers[] = {
	{ .name = echo, .type = CONF_HANDLER_ECHO },
	{ .name = discard, .type = CONF_HANDLER_DISCARD },
	{ .name = upper, .type = CONF_HANDLER_COMMAND },
};
static char endpoint[] = "http://127.0.0.1:4318/v1/traces";
static char service[] = "odd \"name\"";
static struct conf conf = {
	.tracing = { .endpoint = endpoint, .service_name = service },
	.listeners = &listener, .nlisteners = 1,
	.handlers = handlers, .nhandlers = 3,
};

/* A block that a worker has, or had. */
static struct counters_block *
block_of(unsigned slot, unsigned block)
{
	struct counters_block *of = &slots[slot].map->block[block];

	of->worker.beat_ms = clock_ms();
	return (of);
}

/* What the master tells: so many slots have a worker. */
static void
tell(enum status_state state, unsigned workers)
{
	static struct status_now now;

	memset(&now, 0, sizeof(now));
	now.pid = getpid();
	now.state = state;
	now.slots = SLOTS;
	strcpy(now.build, "1.2.3");
	strcpy(now.conf_path, "/etc/\"odd\"\n\xc3\xa9");
	for (unsigned i = 0; i < workers; i++)
		now.process[now.processes++] = (struct status_process){
			.pid = getpid(), .role = STATUS_WORKER, .slot = i,
			.life = STATUS_SERVING, .generation = 3,
			.born_ms = clock_ms(),
		};
	now.process[now.processes++] = (struct status_process){
		.pid = getpid(), .role = STATUS_EXECUTOR, .handler = UPPER,
		.life = STATUS_SERVING,
	};
	status_set_now(&heritage.status, &now);
}

static void
start(void)
{
	heritage = (struct heritage){
		.conf = &conf, .slots = SLOTS,
		.counters = slots, .ncounters = SLOTS,
		.listener_names = listener_names, .nlistener_names = 2,
		.handler_names = handler_names, .nhandler_names = 3,
	};
	for (unsigned i = 0; i < SLOTS; i++)
		ck_assert_int_eq(counters_new(&slots[i], i, RECORDS), 0);
	ck_assert_int_eq(status_new(&heritage.status), 0);
	ck_assert_int_eq(spans_new(&heritage.spans), 0);
	tell(STATUS_RUNNING, SLOTS);
}

static void
end(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		counters_free(&slots[i]);
	status_free(&heritage.status);
	spans_free(&heritage.spans);
}

/* The text of /metrics; the caller frees it. */
static char *
print_metrics(bool open)
{
	struct view *view = view_new(&heritage);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(view);
	metrics_print(out, view, open);
	fclose(out);
	free(view);
	return (text);
}

static void
expect_value(const char *sample, double value)
{
	char *text = print_metrics(false);
	double found = exposition_value(text, sample);

	ck_assert_msg(found == value, "%s is %f, not %f", sample, found,
	    value);
	free(text);
}

/*
 * /metrics.
 */

START_TEST(the_text_is_what_prometheus_reads)
{
	char *text;
	const char *wrong;

	start();
	block_of(0, 0)->listener[LINES].accepted = UINT64_MAX;
	histogram_add(&block_of(1, 2)->handler[UPPER].handling, 12345);
	text = print_metrics(false);
	wrong = exposition_check(text, false);
	ck_assert_msg(wrong == NULL, "%s", wrong);
	free(text);
	text = print_metrics(true);
	wrong = exposition_check(text, true);
	ck_assert_msg(wrong == NULL, "%s", wrong);
	free(text);
	end();
}
END_TEST

START_TEST(the_check_of_the_text_finds_mistakes)
{
	static const char *const bad[] = {
		"", "a 1\n", "# HELP a x\n# TYPE a gauge\na 1",
		"# TYPE a gauge\na 1\n",
		"# HELP a x\n# TYPE a gauge\nb 1\n",
		"# HELP a x\n# TYPE a counter\na 1\n",
		"# HELP a_total x\n# TYPE a_total gauge\na_total 1\n",
		"# HELP a x\n# TYPE a gauge\na 1\na 2\n",
		"# HELP a x\n# TYPE a gauge\na{b=\"c} 1\n",
		"# HELP a x\n# TYPE a gauge\na{b=\"\\c\"} 1\n",
		"# HELP a x\n# TYPE a gauge\na one\n",
		"# HELP a x\n# TYPE a gauge\na 1\n\n",
		"# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n",
		"# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 1\n",
		"# HELP a x\n# TYPE a histogram\na_bucket{c=\"d\",le=\"1\"} 2\n"
		"a_bucket{c=\"d\",le=\"+Inf\"} 1\na_sum{c=\"d\"} 1\n",
		"# HELP a x\n# TYPE a histogram\na_bucket{c=\"d\",le=\"+Inf\"}"
		" 1\na_sum{c=\"d\"} 1\na_count{c=\"d\"} 2\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(exposition_check(bad[i], false) != NULL,
		    "not found in:\n%s", bad[i]);
	ck_assert_ptr_null(exposition_check(
	    "# HELP a x\n# TYPE a gauge\na{b=\"c\"} 1\n", false));
	ck_assert_ptr_nonnull(exposition_check(
	    "# HELP a x\n# TYPE a gauge\na{b=\"c\"} 1\n", true));
}
END_TEST

START_TEST(counters_are_summed_up_over_slots_and_blocks)
{
	start();
	block_of(0, 0)->listener[LINES].accepted = 5;
	block_of(0, 1)->listener[LINES].accepted = 6;
	block_of(1, 3)->listener[LINES].accepted = 7;
	block_of(1, 3)->listener[0].accepted = 1000;
	block_of(1, 3)->listener[LINES].closed[CLOSE_IDLE] = 3;
	block_of(1, 3)->listener[LINES].rejected[REJECT_NO_ROOM] = 2;
	expect_value("penstock_connections_accepted_total{listener=\"lines\"}",
	    18);
	expect_value("penstock_connections_closed_total{listener=\"lines\","
	    "reason=\"idle\"}", 3);
	expect_value("penstock_connections_rejected_total{listener=\"lines\","
	    "reason=\"no_room\"}", 2);
	end();
}
END_TEST

START_TEST(a_number_that_another_name_has_now_is_not_told_of)
{
	static const uint64_t lives[COUNTERS_LISTENERS] = { [0] = 5 };
	struct counters_listener *first;
	static const char frames_sample[] =
	    "penstock_connections_accepted_total{listener=\"frames\"}";
	static const char upper_sample[] =
	    "penstock_executor_restarts_total{handler=\"upper\"}";

	start();
	heritage.listener_lives = heritage.handler_lives = lives;
	first = block_of(0, 0)->listener;
	first[0].life = 5;
	first[0].accepted = 3;
	first[0].handler_life = 5;
	expect_value(frames_sample, 3);
	expect_value(upper_sample, 0);
	first[0].life = 6;
	first[UPPER].handler_life = 1;
	expect_value(frames_sample, -1);
	expect_value(upper_sample, -1);
	end();
}
END_TEST

START_TEST(peaks_are_the_highest_of_a_slot_and_added_up_over_slots)
{
	start();
	block_of(0, 0)->listener[LINES].peak = 5;
	block_of(0, 1)->listener[LINES].peak = 9;
	block_of(0, 2)->listener[LINES].peak = 7;
	block_of(1, 0)->listener[LINES].peak = 100;
	expect_value("penstock_connections_peak{listener=\"lines\"}", 109);
	block_of(1, 0)->worker.lag_peak_us = 250000;
	block_of(1, 1)->worker.lag_peak_us = 1500000;
	expect_value("penstock_worker_loop_lag_peak_seconds{slot=\"1\"}", 1.5);
	end();
}
END_TEST

static bool enough;

static void *
raise_peak(void *arg)
{
	uint64_t *peak = arg;

	while (!__atomic_load_n(&enough, __ATOMIC_RELAXED))
		counter_add(peak, 1);
	return (NULL);
}

START_TEST(a_peak_that_rises_while_it_is_read_is_told_once)
{
	struct counters_listener *live, sum;
	uint64_t *peak;
	unsigned told_more = 0;
	pthread_t riser;

	start();
	live = &block_of(0, 0)->listener[LINES];
	peak = &live->peak;
	ck_assert_int_eq(pthread_create(&riser, NULL, raise_peak, peak), 0);
	while (counter_get(peak) == 0)
		sched_yield();
	/* An assertion writes to Check; under valgrind, who writes gives the
	 * turn to the other, and gets it back late. */
	for (int i = 0; i < 20000; i++) {
		sum = (struct counters_listener){ .active = 0 };
		families_fold(listener_families, &sum, live, sizeof(sum));
		told_more += sum.peak > counter_get(peak);
	}
	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
	ck_assert_int_eq(pthread_join(riser, NULL), 0);
	ck_assert_uint_eq(told_more, 0);
	end();
}
END_TEST

START_TEST(a_process_born_after_the_snapshot_has_age_zero)
{
	struct status_now now;
	struct view *view;
	struct json_value *page;
	char *text;
	size_t size;
	FILE *out;

	start();
	block_of(0, 0)->worker.beat_ms = clock_ms() + 60000;
	ck_assert(status_get_now(&heritage.status, &now));
	now.process[0].born_ms = clock_ms() + 60000;
	status_set_now(&heritage.status, &now);
	expect_value("penstock_worker_age_seconds{slot=\"0\"}", 0);
	expect_value("penstock_worker_silence_seconds{slot=\"0\"}", 0);
	ck_assert_ptr_nonnull(view = view_new(&heritage));
	out = open_memstream(&text, &size);
	status_page_print(out, view);
	fclose(out);
	ck_assert_ptr_nonnull(page = json_read(text, size));
	ck_assert(json_double(json_get(json_get(page, "slots")->first,
	    "age_seconds")) == 0);
	json_free(page);
	free(text);
	free(view);
	end();
}
END_TEST

START_TEST(a_histogram_counts_what_is_not_above_each_bound)
{
	struct histogram *handling;

	start();
	handling = &block_of(0, 0)->handler[UPPER].handling;
	histogram_add(handling, 10);
	histogram_add(handling, 1000);
	histogram_add(handling, 200000000);
#define BUCKET(le) "penstock_handler_request_seconds_bucket"		\
	"{handler=\"upper\",le=\"" le "\"}"
	expect_value(BUCKET("0.000016"), 1);
	expect_value(BUCKET("0.000256"), 1);
	expect_value(BUCKET("0.001024"), 2);
	expect_value(BUCKET("67.108864"), 2);
	expect_value(BUCKET("+Inf"), 3);
	expect_value("penstock_handler_request_seconds_sum{handler=\"upper\"}",
	    200.00101);
	expect_value("penstock_handler_request_seconds_count"
	    "{handler=\"upper\"}", 3);
	end();
}
END_TEST

START_TEST(unused_blocks_are_not_read)
{
	struct stat before, after;

	start();
	(void)block_of(0, 0);
	ck_assert_int_eq(fstat(slots[0].fd, &before), 0);
	free(print_metrics(false));
	ck_assert(!connections_have(&heritage, 1));
	ck_assert_int_eq(fstat(slots[0].fd, &after), 0);
	/* The heads of the blocks, and what one worker has. */
	ck_assert_int_le(after.st_blocks - before.st_blocks,
	    (COUNTERS_BLOCKS + 4) * 4096 / 512);
	end();
}
END_TEST

START_TEST(handlers_without_executors_have_no_metrics)
{
	char *text;

	start();
	text = print_metrics(false);
	ck_assert_ptr_null(strstr(text, "handler=\"echo\""));
	ck_assert_ptr_nonnull(strstr(text, "handler=\"upper\""));
	/* One that has left the configuration stays. */
	conf.nhandlers = 2;
	free(text);
	text = print_metrics(false);
	ck_assert_ptr_nonnull(strstr(text, "handler=\"upper\""));
	free(text);
	end();
}
END_TEST

START_TEST(reports_are_counted_by_order_and_result)
{
	struct status_report report = {
		.kind = STATUS_UPGRADE, .result = STATUS_REFUSED,
	};
	char *text;

	start();
	status_add_report(&heritage.status, &report);
	report = (struct status_report){ .kind = STATUS_RELOAD, .held = 13,
		.carried = 7, .finished = 2, .cut = 1 };
	for (int i = 0; i < 40; i++)
		status_add_report(&heritage.status, &report);
	expect_value("penstock_orders_total{order=\"upgrade\","
	    "result=\"refused\"}", 1);
	expect_value("penstock_orders_total{order=\"reload\",result=\"done\"}",
	    40);
	expect_value("penstock_handovers_total{result=\"carried\"}", 280);
	expect_value("penstock_handovers_total{result=\"closed\"}", 120);
	expect_value("penstock_order_last_success_time_seconds"
	    "{order=\"upgrade\"}", 0);
	text = print_metrics(false);
	ck_assert(exposition_value(text, "penstock_order_last_success_time_"
	    "seconds{order=\"reload\"}") > 1e9);
	free(text);
	end();
}
END_TEST

START_TEST(deaths_are_counted_by_slot_and_cause)
{
	start();
	status_count_death(&heritage.status, 1, STATUS_HUNG);
	status_count_death(&heritage.status, 1, STATUS_HUNG);
	expect_value("penstock_worker_restarts_total{slot=\"1\","
	    "cause=\"hung\"}", 2);
	expect_value("penstock_worker_restarts_total{slot=\"0\","
	    "cause=\"hung\"}", 0);
	end();
}
END_TEST

START_TEST(rescues_are_counted_by_slot_and_reason)
{
	struct counters_custody *custody;
	struct status_now now;

	start();
	custody = &heritage.counters[1].map->custody;
	counter_add(&custody->rescues, 2);
	counter_add(&custody->kept, 500);
	counter_add(&custody->answered, 7);
	counter_add(&custody->dropped[RESCUE_BUSY], 3);
	expect_value("penstock_rescues_total{slot=\"1\"}", 2);
	expect_value("penstock_rescues_total{slot=\"0\"}", 0);
	expect_value("penstock_rescued_connections_total{slot=\"1\"}", 500);
	expect_value("penstock_rescued_requests_total{slot=\"1\"}", 7);
	expect_value("penstock_rescue_drops_total{slot=\"1\","
	    "reason=\"busy\"}", 3);
	expect_value("penstock_rescue_drops_total{slot=\"1\","
	    "reason=\"full\"}", 0);
	expect_value("penstock_custody{slot=\"1\"}", 0);
	ck_assert(status_get_now(&heritage.status, &now));
	for (uint32_t i = 0; i < now.processes; i++)
		now.process[i].has_custody = 1;
	status_set_now(&heritage.status, &now);
	expect_value("penstock_custody{slot=\"1\"}", 1);
	end();
}
END_TEST

/* What a counter of several had would go back when one of them ends. */
START_TEST(each_process_is_a_series_of_its_own)
{
	struct status_now now;
	char sample[160], *text;
	pid_t pid;

	start();
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0)
		for (;;)
			pause();
	ck_assert(status_get_now(&heritage.status, &now));
	now.process[now.processes] = now.process[now.processes - 1];
	now.process[now.processes++].pid = pid;
	status_set_now(&heritage.status, &now);
	expect_value("penstock_processes{role=\"executor\","
	    "handler=\"upper\"}", 2);
	expect_value("penstock_processes{role=\"worker\",slot=\"1\","
	    "generation=\"3\"}", 1);
	text = print_metrics(false);
	snprintf(sample, sizeof(sample), "process_threads{role=\"executor\","
	    "handler=\"upper\",pid=\"%d\"}", (int)pid);
	ck_assert(exposition_value(text, sample) == 1);
	snprintf(sample, sizeof(sample), "process_cpu_seconds_total"
	    "{role=\"executor\",handler=\"upper\",pid=\"%d\"}",
	    (int)getpid());
	ck_assert(exposition_value(text, sample) >= 0);
	snprintf(sample, sizeof(sample), "process_resident_memory_bytes"
	    "{role=\"worker\",slot=\"1\",generation=\"3\",pid=\"%d\"}",
	    (int)getpid());
	ck_assert(exposition_value(text, sample) > 0);
	free(text);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	end();
}
END_TEST

START_TEST(openmetrics_is_for_those_who_ask_for_it)
{
	ck_assert(!metrics_wants_open(NULL));
	ck_assert(!metrics_wants_open("text/plain;version=0.0.4;q=1,*/*"));
	ck_assert(metrics_wants_open("application/openmetrics-text"));
	ck_assert(metrics_wants_open("application/openmetrics-text; "
	    "version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5"));
	ck_assert(metrics_wants_open("text/plain, "
	    "application/openmetrics-text;q=0.1"));
	ck_assert(!metrics_wants_open("application/openmetrics-text;q=0"));
	ck_assert(!metrics_wants_open("application/openmetrics-text;q=0.0, "
	    "text/plain"));
}
END_TEST

/*
 * Readiness.
 */

static const char *
readiness(void)
{
	static char why[64];
	struct view *view = view_new(&heritage);

	if (view_is_ready(view, why, sizeof(why)))
		strcpy(why, "ready");
	free(view);
	return (why);
}

START_TEST(the_server_is_ready_when_every_slot_has_a_worker)
{
	start();
	ck_assert_str_eq(readiness(), "ready");
	tell(STATUS_RELOADING, 2);
	ck_assert_str_eq(readiness(), "ready");
	tell(STATUS_RUNNING, 1);
	ck_assert_str_eq(readiness(), "slot 1 has no worker");
	tell(STATUS_STOPPING, 2);
	ck_assert_str_eq(readiness(), "stopping");
	tell(STATUS_STARTING, 2);
	ck_assert_str_eq(readiness(), "starting");
	end();
}
END_TEST

START_TEST(a_status_that_is_never_whole_is_not_believed)
{
	start();
	heritage.status.map->now_seq++;
	ck_assert_str_eq(readiness(), "no status from the master");
	end();
}
END_TEST

/*
 * /status.
 */

START_TEST(the_status_is_json_whatever_it_tells)
{
	struct status_report report = {
		.result = STATUS_REFUSED, .why = "line \"3\":\x01\xff",
	};
	struct view *view;
	struct json_value *whole;
	const struct json_value *last = NULL;
	char *text;
	size_t size;
	FILE *out;

	start();
	status_add_report(&heritage.status, &report);
	block_of(1, 0)->listener[LINES].accepted = UINT64_MAX;
	out = open_memstream(&text, &size);
	view = view_new(&heritage);
	status_page_print(out, view);
	free(view);
	fclose(out);
	whole = json_read(text, size);
	ck_assert_msg(whole != NULL, "no JSON: %s", text);
	ck_assert_uint_eq(json_u64(json_get(whole, "schema")), 1);
	ck_assert_str_eq(json_text(json_get(json_get(whole, "configuration"),
	    "file")), "/etc/\"odd\"\n\xc3\xa9");
	JSON_EACH(one, json_get(whole, "reports"))
		last = one;
	ck_assert_str_eq(json_text(json_get(last, "why")),
	    "line \"3\":\x01\xef\xbf\xbd");
	last = json_get(whole, "listeners")->first->next;
	ck_assert_str_eq(json_text(json_get(last, "name")), "lines");
	ck_assert_uint_eq(json_u64(json_get(last, "accepted")), UINT64_MAX);
	ck_assert_uint_eq(json_count(json_get(whole, "slots")), SLOTS);
	ck_assert_uint_eq(json_count(json_get(whole, "handlers")), 1);
	json_free(whole);
	free(text);
	end();
}
END_TEST

START_TEST(text_that_is_not_json_is_refused)
{
	static const char *const bad[] = {
		"", "[1,]", "{\"a\" 1}", "{\"a\":1,}", "01", "1.", "1e", "-",
		"\"\\x\"", "\"\\u0000\"", "\"\\ud800\"", "\"a", "\"\n\"",
		"[", "[[", "tru", "{} x", "nul", "{1:2}", "[1 2]", "+1",
	};
	char deep[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(json_read(bad[i], strlen(bad[i])) == NULL,
		    "read: %s", bad[i]);
	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	ck_assert_ptr_null(json_read(deep, sizeof(deep)));
}
END_TEST

/*
 * /connections.
 */

static struct conn_record *
record_at(unsigned slot, unsigned block, unsigned i)
{
	return (&counters_records(&slots[slot], block)[i]);
}

static void
connect_one(unsigned slot, unsigned block, unsigned i, uint64_t id,
    uint64_t bytes_in)
{
	struct conn_record *record = record_at(slot, block, i);

	*record = (struct conn_record){
		.seq = 2, .listener = LINES, .family = AF_INET, .id = id,
		.opened_ms = 1000 + id, .since_ms = 2000, .bytes_in = bytes_in,
		.peer = { 192, 0, 2, 7 }, .peer_port = 4011,
	};
}

/* The ids in the order of the output: "3 1 2". */
static const char *
list(const char *sort, size_t limit, int number)
{
	static char ids[65536];
	struct connections_query query = {
		.sort = connections_find_sort(sort), .limit = limit,
		.listener = number,
	};
	struct json_value *whole;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(connections_print(out, &heritage, &query, 5000), 0);
	fclose(out);
	ck_assert_ptr_nonnull(whole = json_read(text, size));
	ids[0] = '\0';
	JSON_EACH(one, json_get(whole, "connections")) {
		if (ids[0] != '\0')
			strcat(ids, " ");
		strcat(ids, json_text(json_get(one, "id")));
	}
	json_free(whole);
	free(text);
	return (ids);
}

START_TEST(connections_are_sorted_and_limited)
{
	start();
	connect_one(0, 0, 0, 1, 50);
	connect_one(0, 3, 2999, 2, 70);
	connect_one(1, 2, 1500, 3, 60);
	ck_assert_str_eq(list("id", 100, -1), "1 2 3");
	ck_assert_str_eq(list("bytes_in", 100, -1), "2 3 1");
	ck_assert_str_eq(list("bytes_in", 2, -1), "2 3");
	ck_assert_str_eq(list("bytes_in", 1, -1), "2");
	/* The oldest first; of equals the lowest id. */
	ck_assert_str_eq(list("age", 2, -1), "1 2");
	ck_assert_str_eq(list("idle", 100, -1), "1 2 3");
	ck_assert_str_eq(list("id", 100, LINES), "1 2 3");
	ck_assert_str_eq(list("id", 100, 0), "");
	ck_assert(connections_have(&heritage, 2));
	ck_assert(!connections_have(&heritage, 4));
	end();
}
END_TEST

START_TEST(many_connections_are_sorted_as_a_sort_would)
{
	char expected[1024] = "";
	uint64_t bytes;

	start();
	for (unsigned i = 0; i < RECORDS; i++)
		connect_one(i % 2, i % COUNTERS_BLOCKS, i, i + 1,
		    (i * 7919) % RECORDS);
	for (uint64_t most = RECORDS - 1; most >= RECORDS - 50; most--)
		for (unsigned i = 0; i < RECORDS; i++) {
			bytes = (i * 7919) % RECORDS;
			if (bytes == most)
				sprintf(expected + strlen(expected), "%s%u",
				    *expected != '\0' ? " " : "", i + 1);
		}
	ck_assert_str_eq(list("bytes_in", 50, -1), expected);
	end();
}
END_TEST

START_TEST(a_connection_that_is_being_written_is_not_told)
{
	start();
	connect_one(0, 0, 0, 1, 0);
	connect_one(0, 0, 1, 2, 0);
	record_at(0, 0, 0)->seq = 3;
	ck_assert_str_eq(list("id", 10, -1), "2");
	record_at(0, 0, 1)->family = 0;
	ck_assert_str_eq(list("id", 10, -1), "");
	end();
}
END_TEST

/*
 * The manual.
 */

static char *
read_source(const char *name)
{
	const char *top = getenv("TOP_SRCDIR");
	char path[1024], *text = NULL;
	size_t size = 0;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", top != NULL ? top : ".", name);
	ck_assert_msg((in = fopen(path, "re")) != NULL, "%s", path);
	ck_assert_int_gt(getdelim(&text, &size, '\0', in), 0);
	fclose(in);
	return (text);
}

static void
expect_item(const char *name, void *arg)
{
	const char *manual = arg;
	char item[160];

	snprintf(item, sizeof(item), "\n.It Ic %s\n", name);
	ck_assert_msg(strstr(manual, item) != NULL,
	    "penstock-metrics(7) has no item %s", name);
}

START_TEST(every_metric_is_an_item_of_the_manual)
{
	char *text, *manual = read_source("man/penstock-metrics.7");

	start();
	text = print_metrics(false);
	exposition_each(text, expect_item, manual);
	free(text);
	free(manual);
	end();
}
END_TEST

START_TEST(every_item_of_the_manual_is_a_metric)
{
	char *manual = read_source("man/penstock-metrics.7"), *rest = manual, *line, *text;
	unsigned items = 0;

	start();
	text = print_metrics(false);
	while ((line = strsep(&rest, "\n")) != NULL) {
		char type[160];

		if (strncmp(line, ".It Ic ", 7) != 0)
			continue;
		items++;
		snprintf(type, sizeof(type), "\n# TYPE %s ", line + 7);
		ck_assert_msg(strstr(text, type) != NULL,
		    "there is no metric %s", line + 7);
	}
	ck_assert_uint_gt(items, 40);
	free(text);
	free(manual);
	end();
}
END_TEST

/* Check that a query asks for metrics that there are.  Returns how many it
 * names. */
static unsigned
check_query(const char *query, const char *metrics)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
	char type[160], *bucket;
	unsigned names = 0;
	size_t len;

	for (const char *at = query; *at != '\0'; at += len) {
		len = strspn(at, letters);
		if (strncmp(at, "penstock_", 9) == 0 ||
		    strncmp(at, "process_", 8) == 0) {
			snprintf(type, sizeof(type), "\n# TYPE %.*s", (int)len,
			    at);
			if ((bucket = strstr(type, "_bucket")) != NULL)
				*bucket = '\0';
			strcat(type, " ");
			ck_assert_msg(strstr(metrics, type) != NULL,
			    "no metric%s", type + 7);
			names++;
		}
		len += len == 0;
	}
	return (names);
}

START_TEST(alerts_are_on_metrics_that_there_are)
{
	char *rules = read_source("etc/penstock.rules.yml"), *text, *line;
	char *rest = rules;
	unsigned names = 0;

	start();
	text = print_metrics(false);
	while ((line = strsep(&rest, "\n")) != NULL)
		if (line[strspn(line, " ")] != '#')
			names += check_query(line, text);
	ck_assert_uint_gt(names, 8);
	free(text);
	free(rules);
	end();
}
END_TEST

static bool
overlap(const struct json_value *one, const struct json_value *other)
{
	uint64_t x = json_u64(json_get(one, "x"));
	uint64_t y = json_u64(json_get(one, "y"));
	uint64_t to_x = json_u64(json_get(other, "x"));
	uint64_t to_y = json_u64(json_get(other, "y"));

	return (x < to_x + json_u64(json_get(other, "w")) &&
	    to_x < x + json_u64(json_get(one, "w")) &&
	    y < to_y + json_u64(json_get(other, "h")) &&
	    to_y < y + json_u64(json_get(one, "h")));
}

static void
check_panel(const struct json_value *panel, const char *metrics)
{
	const char *title = json_text(json_get(panel, "title"));

	JSON_EACH(target, json_get(panel, "targets"))
		ck_assert_msg(check_query(json_text(json_get(target, "expr")),
		    metrics) > 0, "%s asks for nothing", title);
	if (strcmp(json_text(json_get(panel, "type")), "row") != 0)
		ck_assert_msg(json_count(json_get(panel, "targets")) > 0,
		    "%s shows nothing", title);
	for (const struct json_value *next = panel->next; next != NULL;
	    next = next->next)
		ck_assert_msg(!overlap(json_get(panel, "gridPos"),
		    json_get(next, "gridPos")), "%s lies over %s", title,
		    json_text(json_get(next, "title")));
}

START_TEST(the_dashboard_is_of_metrics_that_there_are)
{
	char *source = read_source("etc/penstock-dashboard.json"), *text;
	struct json_value *whole = json_read(source, strlen(source));
	unsigned panels = 0;

	ck_assert_ptr_nonnull(whole);
	start();
	text = print_metrics(false);
	JSON_EACH(panel, json_get(whole, "panels")) {
		check_panel(panel, text);
		panels++;
	}
	ck_assert_uint_gt(panels, 20);
	JSON_EACH(variable, json_get(json_get(whole, "templating"), "list"))
		(void)check_query(json_text(json_get(variable, "definition")),
		    text);
	free(text);
	json_free(whole);
	free(source);
	end();
}
END_TEST

RUN_TESTS("metrics",
    the_text_is_what_prometheus_reads,
    the_check_of_the_text_finds_mistakes,
    counters_are_summed_up_over_slots_and_blocks,
    a_number_that_another_name_has_now_is_not_told_of,
    peaks_are_the_highest_of_a_slot_and_added_up_over_slots,
    a_peak_that_rises_while_it_is_read_is_told_once,
    a_process_born_after_the_snapshot_has_age_zero,
    a_histogram_counts_what_is_not_above_each_bound,
    unused_blocks_are_not_read,
    handlers_without_executors_have_no_metrics,
    reports_are_counted_by_order_and_result,
    deaths_are_counted_by_slot_and_cause,
    rescues_are_counted_by_slot_and_reason,
    each_process_is_a_series_of_its_own,
    openmetrics_is_for_those_who_ask_for_it,
    the_server_is_ready_when_every_slot_has_a_worker,
    a_status_that_is_never_whole_is_not_believed,
    the_status_is_json_whatever_it_tells,
    text_that_is_not_json_is_refused,
    connections_are_sorted_and_limited,
    many_connections_are_sorted_as_a_sort_would,
    a_connection_that_is_being_written_is_not_told,
    every_metric_is_an_item_of_the_manual,
    every_item_of_the_manual_is_a_metric,
    alerts_are_on_metrics_that_there_are,
    the_dashboard_is_of_metrics_that_there_are)
