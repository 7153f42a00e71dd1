/* SPDX-License-Identifier: ISC */
#include "tools/load/hold_report.h"

#include "common/counters.h"

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
