/* SPDX-License-Identifier: ISC */
#include "tools/show.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/*
 * Short forms.
 */

const char *
show_time(char text[SHOW_MAX], double seconds)
{
	uint64_t s = seconds > 0 && seconds < 1e18 ? (uint64_t)seconds : 0;

	if (s < 60)
		snprintf(text, SHOW_MAX, "%" PRIu64 " s", s);
	else if (s < 3600)
		snprintf(text, SHOW_MAX, "%" PRIu64 " min %" PRIu64 " s",
		    s / 60, s % 60);
	else if (s < 86400)
		snprintf(text, SHOW_MAX, "%" PRIu64 " h %" PRIu64 " min",
		    s / 3600, s % 3600 / 60);
	else
		snprintf(text, SHOW_MAX, "%" PRIu64 " d %" PRIu64 " h",
		    s / 86400, s % 86400 / 3600);
	return (text);
}

const char *
show_count(char text[SHOW_MAX], double count)
{
	static const char units[] = " KMGTPE";
	unsigned unit = 0;

	for (; count >= 9999.5 && unit < sizeof(units) - 2; unit++)
		count /= 1000;
	if (unit == 0)
		snprintf(text, SHOW_MAX, "%.0f", count);
	else
		snprintf(text, SHOW_MAX, "%.*f %c", count < 99.95 ? 1 : 0,
		    count, units[unit]);
	return (text);
}

const char *
show_duration(char text[SHOW_MAX], double seconds)
{
	if (seconds <= 0)
		snprintf(text, SHOW_MAX, "-");
	else if (seconds < 0.001)
		snprintf(text, SHOW_MAX, "%.0f us", seconds * 1e6);
	else if (seconds < 1)
		snprintf(text, SHOW_MAX, "%.1f ms", seconds * 1e3);
	else
		snprintf(text, SHOW_MAX, "%.1f s", seconds);
	return (text);
}

static double
show_bucket_of(const struct json_value *value, const struct json_value **before)
{
	double count = json_double(value);

	if (*before != NULL) {
		count -= json_double(*before);
		*before = (*before)->next;
	}
	return (count > 0 ? count : 0);
}

double
show_quantile(const struct json_value *histogram,
    const struct json_value *before, double part)
{
	const struct json_value *buckets = json_get(histogram,
	    "below_2_to_the_i_us");
	const struct json_value *old = json_get(before, "below_2_to_the_i_us");
	const struct json_value *at = old != NULL ? old->first : NULL;
	double all = 0, below = 0, bound = 1e-6, count;

	JSON_EACH(value, buckets)
		all += show_bucket_of(value, &at);
	if (all == 0)
		return (0);
	at = old != NULL ? old->first : NULL;
	JSON_EACH(value, buckets) {
		count = show_bucket_of(value, &at);
		/* Assume that values are spread evenly over their bucket. */
		if (below + count >= part * all)
			return (bound / 2 + bound / 2 *
			    (count > 0 ? (part * all - below) / count : 1));
		below += count;
		bound *= 2;
	}
	return (bound);
}

static const char *
clock_text(char text[SHOW_MAX], const struct json_value *seconds)
{
	time_t t = (time_t)json_u64(seconds);
	struct tm tm;

	if (t == 0 || localtime_r(&t, &tm) == NULL)
		return ("never");
	strftime(text, SHOW_MAX, "%Y-%m-%d %H:%M:%S", &tm);
	return (text);
}

static uint64_t
sum_members(const struct json_value *object)
{
	uint64_t sum = 0;

	JSON_EACH(member, object)
		sum += json_u64(member);
	return (sum);
}

/*
 * Reports.
 */

static void
put_fates(FILE *out, const struct json_value *report)
{
	static const char *const fates[] = {
		"carried", "finished", "closed", "cut", "lost"
	};
	char text[SHOW_MAX];

	fprintf(out, "  of %s connections", json_text(json_get(report,
	    "held")));
	for (size_t i = 0; i < sizeof(fates) / sizeof(*fates); i++)
		fprintf(out, "%s %s %s", i > 0 ? "," : "",
		    json_text(json_get(report, fates[i])), fates[i]);
	fprintf(out, "; longest pause %s\n", show_duration(text,
	    json_double(json_get(report, "longest_pause_seconds"))));
}

void
show_report(FILE *out, const struct json_value *report)
{
	const char *why = json_text(json_get(report, "why"));
	char begun[SHOW_MAX], took[SHOW_MAX];

	fprintf(out, "%s %s: %s, generation %s, in %s",
	    clock_text(begun, json_get(report, "begun")),
	    json_text(json_get(report, "order")),
	    json_text(json_get(report, "result")),
	    json_text(json_get(report, "generation")),
	    show_duration(took,
	    json_double(json_get(report, "duration_seconds"))));
	fprintf(out, *why != '\0' ? "\n  %s\n" : "%s\n", why);
	if (json_u64(json_get(report, "held")) > 0)
		put_fates(out, report);
}

/*
 * The status.
 */

static void
show_put_server(FILE *out, const struct json_value *status)
{
	const struct json_value *server = json_get(status, "server");
	const struct json_value *conf = json_get(status, "configuration");
	char text[SHOW_MAX];
	double up = (double)time(NULL) -
	    json_double(json_get(server, "started"));

	fprintf(out, "penstock %s, pid %s, %s, generation %s, up %s\n",
	    json_text(json_get(server, "version")),
	    json_text(json_get(server, "pid")),
	    json_text(json_get(server, "state")),
	    json_text(json_get(server, "generation")), show_time(text, up));
	if (json_is_true(json_get(server, "ready")))
		fputs("ready\n", out);
	else
		fprintf(out, "not ready: %s\n",
		    json_text(json_get(server, "not_ready_for")));
	fprintf(out, "configuration %s, read %s, hash %s\n",
	    json_text(json_get(conf, "file")),
	    clock_text(text, json_get(conf, "loaded")),
	    json_text(json_get(conf, "hash")));
}

static void
show_put_slots(FILE *out, const struct json_value *slots)
{
	const struct json_value *worker, *listeners, *lag;
	char age[SHOW_MAX], messages[SHOW_MAX], buffered[SHOW_MAX];
	char median[SHOW_MAX], worst[SHOW_MAX];

	fprintf(out, "\n%4s %8s %5s %12s %7s %9s %9s %8s %8s %9s\n", "SLOT",
	    "PID", "GEN", "AGE", "CONNS", "MESSAGES", "BUFFERED", "LAG P50",
	    "LAG P99", "RESTARTS");
	JSON_EACH(slot, slots) {
		worker = json_get(slot, "worker");
		listeners = json_get(slot, "listeners");
		lag = json_get(worker, "lag");
		fprintf(out, "%4s %8s %5s %12s %7s %9s %9s %8s %8s %9" PRIu64
		    "%s\n", json_text(json_get(slot, "slot")),
		    json_text(json_get(slot, "pid")),
		    json_text(json_get(slot, "generation")),
		    show_time(age, json_double(json_get(slot, "age_seconds"))),
		    json_text(json_get(worker, "active")),
		    show_count(messages,
		    json_double(json_get(listeners, "messages_in"))),
		    show_count(buffered,
		    json_double(json_get(worker, "buffered"))),
		    show_duration(median, show_quantile(lag, NULL, 0.5)),
		    show_duration(worst, show_quantile(lag, NULL, 0.99)),
		    sum_members(json_get(slot, "restarts")),
		    json_is_true(json_get(slot, "wanted")) ? "" : "  (gone)");
	}
}

/* If a worker has died and its connections were kept, or some of them. */
static void
show_put_rescues(FILE *out, const struct json_value *slots)
{
	uint64_t rescues = 0, kept = 0, answered = 0, dropped = 0;
	const struct json_value *custody;

	JSON_EACH(slot, slots) {
		custody = json_get(slot, "custody");
		rescues += json_u64(json_get(custody, "rescues"));
		kept += json_u64(json_get(custody, "kept"));
		answered += json_u64(json_get(custody, "answered"));
		dropped += sum_members(json_get(custody, "dropped"));
	}
	if (rescues > 0)
		fprintf(out, "rescued from %" PRIu64 " dead workers: %" PRIu64
		    " connections kept, %" PRIu64 " dropped, %" PRIu64
		    " requests answered as failed\n", rescues, kept, dropped,
		    answered);
}

static void
show_put_listeners(FILE *out, const struct json_value *listeners)
{
	char accepted[SHOW_MAX], rejected[SHOW_MAX], in[SHOW_MAX];
	char messages[SHOW_MAX], sent[SHOW_MAX];

	fprintf(out, "\n%-20s %7s %7s %6s %9s %9s %9s %9s %9s\n", "LISTENER",
	    "CONNS", "PEAK", "QUEUE", "ACCEPTED", "REJECTED", "MESSAGES",
	    "BYTES IN", "BYTES OUT");
	JSON_EACH(one, listeners)
		fprintf(out, "%-20s %7s %7s %6s %9s %9s %9s %9s %9s%s\n",
		    json_text(json_get(one, "name")),
		    json_text(json_get(one, "active")),
		    json_text(json_get(one, "peak")),
		    json_text(json_get(one, "accept_queue")),
		    show_count(accepted,
		    json_double(json_get(one, "accepted"))),
		    show_count(rejected,
		    (double)sum_members(json_get(one, "rejected"))),
		    show_count(messages,
		    json_double(json_get(one, "messages_in"))),
		    show_count(in, json_double(json_get(one, "bytes_in"))),
		    show_count(sent, json_double(json_get(one, "bytes_out"))),
		    json_is_true(json_get(one, "configured")) ? "" :
		    "  (gone)");
}

static void
show_put_handlers(FILE *out, const struct json_value *handlers)
{
	const struct json_value *handling;
	char waits[SHOW_MAX], shed[SHOW_MAX], median[SHOW_MAX], high[SHOW_MAX];

	if (json_count(handlers) == 0)
		return;
	fprintf(out, "\n%-20s %6s %6s %6s %9s %9s %8s %8s %9s %9s\n",
	    "HANDLER", "EXECS", "BUSY", "QUEUE", "WAITED", "SHED", "TIMEOUT",
	    "FAILED", "TIME P50", "TIME P99");
	JSON_EACH(one, handlers) {
		handling = json_get(one, "handling");
		fprintf(out, "%-20s %6s %6s %6s %9s %9s %8s %8s %9s %9s\n",
		    json_text(json_get(one, "name")),
		    json_text(json_get(one, "executors")),
		    json_text(json_get(one, "executors_busy")),
		    json_text(json_get(one, "waiting")),
		    show_count(waits, json_double(json_get(one, "waits"))),
		    show_count(shed, json_double(json_get(one, "shed")) +
		    json_double(json_get(one, "expired"))),
		    json_text(json_get(one, "timeouts")),
		    json_text(json_get(one, "failed")),
		    show_duration(median, show_quantile(handling, NULL, 0.5)),
		    show_duration(high, show_quantile(handling, NULL, 0.99)));
	}
}

void
show_status(FILE *out, const struct json_value *status)
{
	const struct json_value *reports = json_get(status, "reports");
	const struct json_value *last = NULL;

	show_put_server(out, status);
	show_put_slots(out, json_get(status, "slots"));
	show_put_rescues(out, json_get(status, "slots"));
	show_put_listeners(out, json_get(status, "listeners"));
	show_put_handlers(out, json_get(status, "handlers"));
	JSON_EACH(report, reports)
		last = report;
	if (last == NULL)
		return;
	fputs("\nlast order:\n", out);
	show_report(out, last);
}

/*
 * Connections.
 */

void
show_connections(FILE *out, const struct json_value *whole)
{
	const struct json_value *all = json_get(whole, "connections");
	char age[SHOW_MAX], idle[SHOW_MAX], in[SHOW_MAX], sent[SHOW_MAX];
	char messages[SHOW_MAX];

	fprintf(out, "%-12s %-28s %-16s %4s %-10s %12s %12s %9s %9s %9s %4s\n",
	    "ID", "PEER", "LISTENER", "SLOT", "STATE", "AGE", "IDLE",
	    "MESSAGES", "BYTES IN", "BYTES OUT", "REQS");
	JSON_EACH(one, all)
		fprintf(out, "%-12s %-28s %-16s %4s %-10s %12s %12s %9s %9s "
		    "%9s %4s\n", json_text(json_get(one, "id")),
		    json_text(json_get(one, "peer")),
		    json_text(json_get(one, "listener")),
		    json_text(json_get(one, "slot")),
		    json_text(json_get(one, "state")),
		    show_time(age, json_double(json_get(one, "age_seconds"))),
		    show_time(idle, json_double(json_get(one,
		    "idle_seconds"))),
		    show_count(messages,
		    json_double(json_get(one, "messages"))),
		    show_count(in, json_double(json_get(one, "bytes_in"))),
		    show_count(sent, json_double(json_get(one, "bytes_out"))),
		    json_text(json_get(one, "requests")));
	fprintf(out, "%zu of %s connections\n", json_count(all),
	    json_text(json_get(whole, "total")));
}
