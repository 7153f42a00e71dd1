/* SPDX-License-Identifier: ISC */
#include "tools/load/hold_report.h"

#include <inttypes.h>

#include "common/counters.h"

const char *
hold_kind_name(enum hold_kind kind)
{
	static const char *const names[] = {
#define HOLD_KIND_NAME(id, name) [HOLD_##id] = name,
		HOLD_KINDS_LIST(HOLD_KIND_NAME)
#undef HOLD_KIND_NAME
	};

	return (names[kind]);
}

static void
hold_report_add(uint64_t *sum, const uint64_t *more)
{
	*sum += counter_get(more);
}

static void
keep_larger(uint64_t *largest, const uint64_t *other)
{
	uint64_t value = counter_get(other);

	if (value > *largest)
		*largest = value;
}

static void
keep_smaller(uint64_t *smallest, const uint64_t *other)
{
	uint64_t value = counter_get(other);

	if (value < *smallest)
		*smallest = value;
}

void
hold_report_merge(struct hold_report *sum, const struct hold_report *more)
{
	hold_report_add(&sum->open, &more->open);
	hold_report_add(&sum->numbered, &more->numbered);
	hold_report_add(&sum->connected, &more->connected);
	hold_report_add(&sum->refused, &more->refused);
	hold_report_add(&sum->finished, &more->finished);
	hold_report_add(&sum->disconnected, &more->disconnected);
	hold_report_add(&sum->reset, &more->reset);
	hold_report_add(&sum->broken, &more->broken);
	hold_report_add(&sum->hung, &more->hung);
	hold_report_add(&sum->unframed, &more->unframed);
	hold_report_add(&sum->sent, &more->sent);
	hold_report_add(&sum->answered, &more->answered);
	hold_report_add(&sum->lost, &more->lost);
	hold_report_add(&sum->doubled, &more->doubled);
	hold_report_add(&sum->reordered, &more->reordered);
	hold_report_add(&sum->corrupted, &more->corrupted);
	hold_report_add(&sum->errors, &more->errors);
	keep_larger(&sum->slowest_us, &more->slowest_us);
	keep_larger(&sum->slowest_connect_ms, &more->slowest_connect_ms);
	/* What is to hold of all has come about when the last one says so. */
	keep_smaller(&sum->resets, &more->resets);
	keep_smaller(&sum->rounds, &more->rounds);
	hold_report_add(&sum->verified, &more->verified);
	keep_smaller(&sum->is_done, &more->is_done);
	hold_report_add(&sum->crashed, &more->crashed);
	for (int i = 0; i < HOLD_KINDS; i++) {
		hold_report_add(&sum->kind[i].open, &more->kind[i].open);
		hold_report_add(&sum->kind[i].answered,
		    &more->kind[i].answered);
		latency_merge(&sum->kind[i].latency, &more->kind[i].latency);
	}
}

bool
hold_report_is_clean(const struct hold_report *report)
{
	return (report->refused == 0 && report->disconnected == 0 &&
	    report->reset == 0 && report->broken == 0 && report->hung == 0 &&
	    report->unframed == 0 && report->lost == 0 &&
	    report->doubled == 0 && report->reordered == 0 &&
	    report->corrupted == 0 && report->errors == 0 &&
	    report->crashed == 0);
}

void
hold_report_line(const struct hold_report *report, char *text, size_t size)
{
	snprintf(text, size, "open %" PRIu64 ", connected %" PRIu64
	    ", refused %" PRIu64 ", finished %" PRIu64 ", disconnected %"
	    PRIu64 ", reset %" PRIu64 ", broken %" PRIu64 ", hung %" PRIu64
	    "; sent %" PRIu64 ", answered %" PRIu64 ", lost %" PRIu64
	    ", doubled %" PRIu64 ", reordered %" PRIu64 ", corrupted %" PRIu64
	    ", errors %" PRIu64 "; slowest answer %.1f ms, connect %" PRIu64
	    " ms%s", report->open, report->connected, report->refused,
	    report->finished, report->disconnected, report->reset,
	    report->broken, report->hung, report->sent, report->answered,
	    report->lost, report->doubled, report->reordered,
	    report->corrupted, report->errors,
	    (double)report->slowest_us / 1e3, report->slowest_connect_ms,
	    report->crashed > 0 ? "; THE CLIENT CRASHED" : "");
}

void
hold_report_print(const struct hold_report *report, FILE *to)
{
	const struct latency *latency;
	char line[512];

	hold_report_line(report, line, sizeof(line));
	fprintf(to, "%s\n%" PRIu64 " numbers given to connections, %" PRIu64
	    " rounds of verification, %" PRIu64 " answered in the last\n"
	    "%-9s %8s %10s  %8s %8s %8s %8s\n", line, report->numbered,
	    report->rounds, report->verified, "kind", "open", "answered",
	    "p50 ms", "p99", "p99.9", "max");
	for (int i = 0; i < HOLD_KINDS; i++) {
		latency = &report->kind[i].latency;
		if (report->kind[i].open == 0 && report->kind[i].answered == 0)
			continue;
		fprintf(to, "%-9s %8" PRIu64 " %10" PRIu64
		    "  %8.2f %8.2f %8.2f %8.2f\n", hold_kind_name(i),
		    report->kind[i].open, report->kind[i].answered,
		    (double)latency_quantile_us(latency, 0.5) / 1e3,
		    (double)latency_quantile_us(latency, 0.99) / 1e3,
		    (double)latency_quantile_us(latency, 0.999) / 1e3,
		    (double)latency->max_us / 1e3);
	}
}
