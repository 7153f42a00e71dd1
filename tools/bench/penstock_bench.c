/* SPDX-License-Identifier: ISC */
/*
 * penstock-bench(1): load for a server, and how it bears that.
 *
 * The load is a hold (tools/load) in processes of its own; this one waits,
 * reads what they count, and prints it.
 */
#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/escape.h"
#include "tools/bench/bench_options.h"
#include "tools/bench/server_use.h"
#include "tools/load/hold_process.h"

/* What is measured between two instants. */
struct span {
	uint64_t us;
	uint64_t answered;
	struct server_use use;
};

struct bench {
	struct bench_options options;
	struct hold_process *load;
	double connect_seconds;
	struct server_use before;	/* without a connection */
	struct server_use idle;		/* with all, that did nothing yet */
	struct span begin, end;
	struct latency latency;		/* between the two */
	struct hold_report report;	/* in the end */
};

static volatile sig_atomic_t is_interrupted;

static void
bench_on_signal(int signal)
{
	(void)signal;
	is_interrupted = 1;
}

static void
read_use(const struct bench *bench, struct server_use *use)
{
	if (bench->options.pid != 0 &&
	    server_use_read(bench->options.pid, use) == -1)
		err(1, "process %d", (int)bench->options.pid);
}

static bool
is_idle(const struct bench *bench)
{
	return (bench->options.idle_seconds > 0);
}

static const struct latency *
latency_so_far(const struct hold_report *report)
{
	return (&report->kind[HOLD_ECHO].latency);
}

static double
rate_of(const struct bench_options *options)
{
	if (options->idle_seconds > 0)
		return (options->hold.connections / options->idle_seconds);
	return (options->rate > 0 ? options->rate : HOLD_FULL_SPEED);
}

/*
 * While it runs.
 */

static uint64_t
lost_connections(const struct hold_report *report)
{
	return (report->disconnected + report->reset + report->broken +
	    report->hung + report->unframed);
}

static void
sleep_until(uint64_t until_us)
{
	uint64_t now_us = clock_us();
	struct timespec pause;

	if (now_us >= until_us)
		return;
	pause.tv_sec = (time_t)((until_us - now_us) / 1000000);
	pause.tv_nsec = (long)((until_us - now_us) % 1000000 * 1000);
	nanosleep(&pause, NULL);
}

static void
print_progress(const struct bench *bench, uint64_t answered)
{
	const struct hold_report *report = hold_peek(bench->load);
	const struct latency *latency = latency_so_far(report);

	fprintf(stderr, "%8" PRIu64 "/s  p50 %" PRIu64 " us  p99 %" PRIu64
	    " us  max %" PRIu64 " us  open %" PRIu64 "  lost %" PRIu64 "\n",
	    report->answered - answered, latency_quantile_us(latency, 0.5),
	    latency_quantile_us(latency, 0.99), latency->max_us, report->open,
	    lost_connections(report));
}

/* Let time go by, with a line each second. */
static void
run_for(const struct bench *bench, double seconds)
{
	uint64_t end_us = clock_us() + (uint64_t)(seconds * 1e6), next_us;
	uint64_t answered = hold_peek(bench->load)->answered;

	while (!is_interrupted && clock_us() < end_us) {
		next_us = clock_us() + 1000000;
		if (next_us > end_us) {
			sleep_until(end_us);
			continue;
		}
		sleep_until(next_us);
		if (!bench->options.is_quiet && !is_interrupted)
			print_progress(bench, answered);
		answered = hold_peek(bench->load)->answered;
	}
}

/* Wait until each connection stands or has failed. */
static void
connect_all(struct bench *bench)
{
	uint64_t began_us = clock_us(), all = bench->options.hold.connections;
	const struct hold_report *report;

	read_use(bench, &bench->before);
	if ((bench->load = hold_start(&bench->options.hold)) == NULL)
		err(1, "cannot start");
	do {
		sleep_until(clock_us() + 1000);
		report = hold_peek(bench->load);
	} while (!is_interrupted && report->connected + report->refused < all);
	bench->connect_seconds = (double)(clock_us() - began_us) / 1e6;
	if (report->connected == 0)
		errx(1, "%s: no connection stands", bench->options.address);
	read_use(bench, &bench->idle);
	if (!bench->options.is_quiet)
		fprintf(stderr, "%" PRIu64 " connections in %.3f s\n",
		    report->connected, bench->connect_seconds);
}

static struct span
bench_look(const struct bench *bench)
{
	struct span span = { .us = clock_us() };

	span.answered = hold_peek(bench->load)->answered;
	read_use(bench, &span.use);
	return (span);
}

static void
bench_measure(struct bench *bench)
{
	hold_set_rate(bench->load, rate_of(&bench->options));
	if (!is_idle(bench))
		run_for(bench, bench->options.warmup_seconds);
	hold_remeasure(bench->load);
	bench->begin = bench_look(bench);
	run_for(bench, bench->options.seconds);
	bench->end = bench_look(bench);
	bench->latency = *latency_so_far(hold_peek(bench->load));
}

/* Those that were held are to be there still, each and every one. */
static void
bench_finish(struct bench *bench)
{
	hold_set_rate(bench->load, 0);
	bench->report = *hold_verify(bench->load);
	bench->report.verified = hold_peek(bench->load)->verified;
	hold_stop(bench->load);
	hold_drop(bench->load);
}

/*
 * Results.
 */

struct result {
	double seconds;
	uint64_t messages;
	double per_second;
	double cpu_seconds, per_cpu_second;	/* 0: not looked at */
	double bytes_per_conn;
};

static struct result
bench_result_of(const struct bench *bench)
{
	struct result result = {
		.seconds = (double)(bench->end.us - bench->begin.us) / 1e6,
		.messages = bench->end.answered - bench->begin.answered,
		.cpu_seconds = (double)(bench->end.use.cpu_us -
		    bench->begin.use.cpu_us) / 1e6,
		.bytes_per_conn = ((double)bench->idle.pss_kib -
		    (double)bench->before.pss_kib) * 1024 /
		    bench->options.hold.connections,
	};

	result.per_second = (double)result.messages / result.seconds;
	if (result.cpu_seconds > 0)
		result.per_cpu_second =
		    (double)result.messages / result.cpu_seconds;
	return (result);
}

static const struct {
	const char *name, *key;
	double part;
} quantiles[] = {
	{ "p50", "p50", 0.5 },
	{ "p90", "p90", 0.9 },
	{ "p99", "p99", 0.99 },
	{ "p99.9", "p99_9", 0.999 },
	{ "p99.99", "p99_99", 0.9999 },
};

enum { QUANTILES = sizeof(quantiles) / sizeof(quantiles[0]) };

#define FAULTS(F)							\
	F(refused) F(disconnected) F(reset) F(broken) F(hung) F(unframed) \
	F(lost) F(doubled) F(reordered) F(corrupted) F(errors)

static bool
is_clean(const struct bench *bench)
{
	return (hold_report_is_clean(&bench->report) &&
	    bench->report.verified == bench->options.hold.connections);
}

static void
print_text(const struct bench *bench)
{
	const struct hold_options *hold = &bench->options.hold;
	const struct hold_report *report = &bench->report;
	struct result result = bench_result_of(bench);

	printf("%s, %s, %u connections, pipeline %u, %u bytes, ",
	    bench->options.address, bench_wire_name(hold->wire),
	    hold->connections, hold->burst, hold->message_size);
	if (is_idle(bench))
		printf("a message each %g s\n", bench->options.idle_seconds);
	else if (bench->options.rate > 0)
		printf("%g/s\n", bench->options.rate);
	else
		printf("closed loop\n");
	printf("messages     %" PRIu64 " in %.2f s, %.0f/s\n", result.messages,
	    result.seconds, result.per_second);
	printf("latency us  ");
	for (unsigned i = 0; i < QUANTILES; i++)
		printf(" %s %" PRIu64, quantiles[i].name, latency_quantile_us(
		    &bench->latency, quantiles[i].part));
	printf(" max %" PRIu64 "\n", bench->latency.max_us);
	printf("connections  %" PRIu64 " in %.3f s, slowest %" PRIu64 " ms; "
	    "%" PRIu64 " verified in the end\n", report->connected,
	    bench->connect_seconds, report->slowest_connect_ms,
	    report->verified);
	if (bench->options.pid != 0)
		printf("server       %.2f s of CPU, %.0f messages per CPU "
		    "second; %u processes, %" PRIu64 " KiB, %.0f bytes per "
		    "idle connection\n", result.cpu_seconds,
		    result.per_cpu_second, bench->end.use.processes,
		    bench->end.use.pss_kib, result.bytes_per_conn);
	printf("wrong       ");
#define PRINT_FAULT(name)						\
	if (report->name > 0)						\
		printf(" " #name " %" PRIu64, report->name);
	FAULTS(PRINT_FAULT)
#undef PRINT_FAULT
	printf("%s\n", is_clean(bench) ? " nothing" : "");
}

static void
print_json_setup(const struct bench *bench)
{
	const struct hold_options *hold = &bench->options.hold;

	printf("{\"address\":");
	/* Of all the words only the address is not ours. */
	escape_json_print(stdout, bench->options.address);
	printf(",\"wire\":\"%s\",\"connections\":%u,\"pipeline\":%u,"
	    "\"size\":%u,\"processes\":%u", bench_wire_name(hold->wire),
	    hold->connections, hold->burst, hold->message_size,
	    hold->processes);
	if (is_idle(bench))
		printf(",\"idle_s\":%g", bench->options.idle_seconds);
	else if (bench->options.rate > 0)
		printf(",\"rate\":%g", bench->options.rate);
}

static void
print_json_server(const struct bench *bench, const struct result *result)
{
	if (bench->options.pid == 0)
		return;
	printf(",\"server\":{\"processes\":%u,\"cpu_s\":%.6f,"
	    "\"messages_per_cpu_s\":%.1f,\"pss_kib_before\":%" PRIu64
	    ",\"pss_kib_idle\":%" PRIu64 ",\"pss_kib\":%" PRIu64
	    ",\"bytes_per_connection\":%.1f}", bench->end.use.processes,
	    result->cpu_seconds, result->per_cpu_second,
	    bench->before.pss_kib, bench->idle.pss_kib,
	    bench->end.use.pss_kib, result->bytes_per_conn);
}

static void
print_json(const struct bench *bench)
{
	const struct hold_report *report = &bench->report;
	struct result result = bench_result_of(bench);

	print_json_setup(bench);
	printf(",\"seconds\":%.6f,\"messages\":%" PRIu64 ",\"messages_per_s\":"
	    "%.1f,\"latency_us\":{", result.seconds, result.messages,
	    result.per_second);
	for (unsigned i = 0; i < QUANTILES; i++)
		printf("\"%s\":%" PRIu64 ",", quantiles[i].key,
		    latency_quantile_us(&bench->latency, quantiles[i].part));
	printf("\"max\":%" PRIu64 "},\"connect\":{\"connected\":%" PRIu64
	    ",\"seconds\":%.6f,\"slowest_ms\":%" PRIu64 "}",
	    bench->latency.max_us, report->connected, bench->connect_seconds,
	    report->slowest_connect_ms);
	print_json_server(bench, &result);
	printf(",\"verified\":%" PRIu64 ",\"wrong\":{", report->verified);
#define PRINT_FAULT(name) printf("\"" #name "\":%" PRIu64 ",", report->name);
	FAULTS(PRINT_FAULT)
#undef PRINT_FAULT
	printf("\"crashed\":%" PRIu64 "},\"clean\":%s}\n", report->crashed,
	    is_clean(bench) ? "true" : "false");
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = bench_on_signal };
	struct bench bench = { .load = NULL };

	bench_options_read(&bench.options, argc, argv);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	connect_all(&bench);
	bench_measure(&bench);
	bench_finish(&bench);
	if (bench.options.is_json)
		print_json(&bench);
	else
		print_text(&bench);
	return (is_clean(&bench) ? 0 : 1);
}
