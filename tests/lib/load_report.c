/* SPDX-License-Identifier: ISC */
#include "tests/lib/load_report.h"

#include <inttypes.h>

void
load_report_line(const struct hold_report *report, char *text, size_t size)
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
load_report_print(const struct hold_report *report, FILE *to)
{
	static const char *const names[HOLD_KINDS] = {
		[HOLD_ECHO] = "echo",
		[HOLD_PIPELINE] = "pipeline",
		[HOLD_SLOW] = "slow",
		[HOLD_SPLIT] = "split",
		[HOLD_DEAF] = "deaf",
		[HOLD_STREAM] = "stream",
	};
	const struct latency *latency;
	char line[512];

	load_report_line(report, line, sizeof(line));
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
		    "  %8.2f %8.2f %8.2f %8.2f\n", names[i],
		    report->kind[i].open, report->kind[i].answered,
		    (double)latency_quantile_us(latency, 0.5) / 1e3,
		    (double)latency_quantile_us(latency, 0.99) / 1e3,
		    (double)latency_quantile_us(latency, 0.999) / 1e3,
		    (double)latency->max_us / 1e3);
	}
}
