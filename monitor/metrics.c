/* SPDX-License-Identifier: ISC */
#include "monitor/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "monitor/accept_queue.h"
#include "monitor/families.h"
#include "monitor/names.h"
#include "monitor/process_stat.h"

/* A text that is being made. */
struct text {
	FILE *out;
	const struct view *view;
	bool open;			/* OpenMetrics */
};

enum {
	SECOND_US = 1000000,
	/* Of the buckets, which double, every second one is told: from 16
	 * microseconds to 67 seconds. */
	BUCKET_FIRST = 4,
	BUCKET_STEP = 2,
};

/*
 * Lines.
 */

/* Of a counter, Prometheus calls the metric "X_total" where OpenMetrics calls
 * it "X", with a sample "X_total". */
static void
head(const struct text *text, const char *name, const char *type,
    const char *help)
{
	const char *end = "";

	if (!text->open && strcmp(type, "counter") == 0)
		end = "_total";
	fprintf(text->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, end, help,
	    name, end, type);
}

static void
put_seconds(FILE *out, uint64_t us)
{
	fprintf(out, "%" PRIu64 ".%06u\n", us / SECOND_US,
	    (unsigned)(us % SECOND_US));
}

static void
put_value(FILE *out, uint64_t value, unsigned per)
{
	if (per == SECOND_US)
		put_seconds(out, value);
	else
		fprintf(out, "%" PRIu64 "\n", value);
}

/* A metric of one sample, without labels. */
static void
one(const struct text *text, const char *name, const char *type,
    const char *help, int64_t value)
{
	head(text, name, type, help);
	fprintf(text->out, "%s%s %" PRId64 "\n", name,
	    strcmp(type, "counter") == 0 ? "_total" : "", value);
}

static void
put_histogram(const struct text *text, const char *name, const char *labels,
    const struct histogram *histogram)
{
	uint64_t count = 0, all = 0;
	unsigned next = BUCKET_FIRST;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		all += histogram->count[i];
		if (i != next || i == HISTOGRAM_BUCKETS - 1)
			continue;
		count = all;
		next += BUCKET_STEP;
		fprintf(text->out, "%s_bucket{%s,le=\"%.6f\"} %" PRIu64 "\n",
		    name, labels, (double)(1ULL << i) / SECOND_US, count);
	}
	fprintf(text->out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name,
	    labels, all);
	fprintf(text->out, "%s_sum{%s} ", name, labels);
	put_seconds(text->out, histogram->sum_us);
	fprintf(text->out, "%s_count{%s} %" PRIu64 "\n", name, labels, all);
}

/*
 * Families.
 */

static const char *
type_of(const struct family *family)
{
	switch (family->kind) {
	case FAMILY_COUNTER:	return ("counter");
	case FAMILY_HISTOGRAM:	return ("histogram");
	case FAMILY_GAUGE:
	case FAMILY_PEAK:	break;
	}
	return ("gauge");
}

static void
put_family(const struct text *text, const struct family *family,
    const char *labels, const void *base)
{
	const uint64_t *value = family_value(family, base);
	const char *end = family->kind == FAMILY_COUNTER ? "_total" : "";

	if (family->kind == FAMILY_HISTOGRAM) {
		put_histogram(text, family->metric, labels,
		    (const void *)value);
		return;
	}
	if (family->count == 0) {
		fprintf(text->out, "%s%s{%s} ", family->metric, end, labels);
		put_value(text->out, *value, family->per);
		return;
	}
	for (unsigned i = 0; i < family->count; i++)
		fprintf(text->out, "%s%s{%s,reason=\"%s\"} %" PRIu64 "\n",
		    family->metric, end, labels, family->name(i), value[i]);
}

/* Something that the families tell of: n structs, size bytes apart. */
struct subjects {
	const char *label;
	char *const *names;	/* NULL: numbers */
	size_t n;
	const void *base;
	size_t size;
	/* NULL: all are told of. */
	bool (*tells)(const struct view *, size_t);
};

static void
name_subject(const struct subjects *subjects, size_t i, char labels[128])
{
	if (subjects->names == NULL)
		snprintf(labels, 128, "%s=\"%zu\"", subjects->label, i);
	else
		snprintf(labels, 128, "%s=\"%s\"", subjects->label,
		    subjects->names[i]);
}

static void
put_families(const struct text *text, const struct family *family,
    const struct subjects *subjects)
{
	char labels[128];

	for (; family->member != NULL; family++) {
		if (family->metric == NULL)
			continue;
		head(text, family->metric, type_of(family), family->help);
		for (size_t i = 0; i < subjects->n; i++) {
			if (subjects->tells != NULL &&
			    !subjects->tells(text->view, i))
				continue;
			name_subject(subjects, i, labels);
			put_family(text, family, labels,
			    (const char *)subjects->base + i * subjects->size);
		}
	}
}

static void
put_counters(const struct text *text)
{
	const struct view *view = text->view;
	const struct heritage *heritage = view->heritage;

	put_families(text, listener_families, &(struct subjects){
	    "listener", heritage->listener_names, heritage->nlistener_names,
	    view->listener, sizeof(view->listener[0]), view_tells_listener });
	put_families(text, handler_families, &(struct subjects){
	    "handler", heritage->handler_names, heritage->nhandler_names,
	    view->handler, sizeof(view->handler[0]), view_tells_handler });
	put_families(text, worker_families, &(struct subjects){
	    "slot", NULL, heritage->ncounters,
	    view->worker, sizeof(view->worker[0]), NULL });
}

/*
 * The server as a whole.
 */

static void
put_server(const struct text *text)
{
	const struct status_now *now = &text->view->now;
	char why[64];

	head(text, text->open ? "penstock_build" : "penstock_build_info",
	    text->open ? "info" : "gauge", "The version that runs.");
	fprintf(text->out, "penstock_build_info{version=\"%s\"} 1\n",
	    now->build);
	one(text, "penstock_ready", "gauge",
	    "1 if every slot has a worker and the server does not stop.",
	    view_is_ready(text->view, why, sizeof(why)));
	one(text, "penstock_start_time_seconds", "gauge",
	    "When the master was started, since 1970.", now->started);
	one(text, "penstock_generation", "gauge",
	    "Counts starts and reloads.", (int64_t)now->generation);
	one(text, "penstock_configuration_load_time_seconds", "gauge",
	    "When the running configuration was read, since 1970.",
	    now->conf_loaded);
	one(text, "penstock_slots", "gauge", "Workers that there are to be.",
	    now->slots);
}

static void
put_orders(const struct text *text)
{
	const struct status_map *map = text->view->heritage->status.map;

	head(text, "penstock_orders", "counter",
	    "Reloads, upgrades and rollbacks, by how they went.");
	for (uint32_t i = 0; i < STATUS_KINDS; i++)
		for (uint32_t k = 0; k < STATUS_RESULTS; k++)
			fprintf(text->out, "penstock_orders_total{order=\"%s\""
			    ",result=\"%s\"} %" PRIu64 "\n",
			    status_kind_name(i), status_result_name(k),
			    counter_get(&map->results[i][k]));
	head(text, "penstock_order_last_success_time_seconds", "gauge",
	    "When the last one was done, since 1970; 0 if none was.");
	for (uint32_t i = 0; i < STATUS_KINDS; i++)
		fprintf(text->out, "penstock_order_last_success_time_seconds"
		    "{order=\"%s\"} %" PRId64 "\n", status_kind_name(i),
		    __atomic_load_n(&map->last_done[i], __ATOMIC_RELAXED));
}

static void
put_handovers(const struct text *text)
{
	const struct status_map *map = text->view->heritage->status.map;
	const struct {
		const char *name;
		uint64_t value;
	} fates[] = {
		{ "carried", counter_get(&map->carried) },
		{ "finished", counter_get(&map->finished) },
		{ "closed", status_closed_of_all(map) },
		{ "cut", counter_get(&map->cut) },
		{ "lost", counter_get(&map->lost) },
	};

	head(text, "penstock_handovers", "counter", "What became of "
	    "connections that were there when a generation took over.");
	for (size_t i = 0; i < sizeof(fates) / sizeof(*fates); i++)
		fprintf(text->out, "penstock_handovers_total{result=\"%s\"} %"
		    PRIu64 "\n", fates[i].name, fates[i].value);
}

static void
put_spans(const struct text *text)
{
	const struct spans_map *spans = text->view->heritage->spans.map;

	one(text, "penstock_spans_exported", "counter",
	    "Spans that the collector has taken.",
	    (int64_t)counter_get(&spans->exported));
	one(text, "penstock_spans_lost", "counter",
	    "Spans that the collector refused, or did not answer for.",
	    (int64_t)counter_get(&spans->lost));
}

/*
 * Processes.
 */

static unsigned
count_workers(const struct view *view, enum status_life life)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < view->now.processes; i++)
		n += view->now.process[i].role == STATUS_WORKER &&
		    view->now.process[i].life == life;
	return (n);
}

static void
put_workers(const struct text *text)
{
	const struct view *view = text->view;
	const struct status_counts *counts =
	    &view->heritage->status.map->counts;
	const struct status_process *worker;

	head(text, "penstock_workers", "gauge", "Workers, by what they do.");
	for (uint32_t i = 0; i < STATUS_LIVES; i++)
		fprintf(text->out, "penstock_workers{state=\"%s\"} %u\n",
		    status_life_name(i),
		    count_workers(view, (enum status_life)i));
	head(text, "penstock_worker_restarts", "counter",
	    "Workers that died while they served, by cause.");
	for (size_t i = 0; i < view->heritage->ncounters; i++)
		for (uint32_t k = 0; k < STATUS_CAUSES; k++)
			fprintf(text->out, "penstock_worker_restarts_total"
			    "{slot=\"%zu\",cause=\"%s\"} %" PRIu64 "\n", i,
			    status_cause_name(k),
			    counter_get(&counts->deaths[i][k]));
	head(text, "penstock_worker_age_seconds", "gauge",
	    "Since the worker that serves in the slot was started.");
	for (unsigned i = 0; i < view->now.slots; i++) {
		if ((worker = view_worker(view, i)) == NULL)
			continue;
		fprintf(text->out, "penstock_worker_age_seconds"
		    "{slot=\"%u\"} ", i);
		put_seconds(text->out,
		    clock_us_between(worker->born_ms, view->now_ms));
	}
}

static void
put_other_deaths(const struct text *text)
{
	const struct heritage *heritage = text->view->heritage;
	const struct status_counts *counts = &heritage->status.map->counts;

	head(text, "penstock_executor_restarts", "counter",
	    "Executors that died while they were needed.");
	for (size_t i = 0; i < heritage->nhandler_names; i++)
		if (view_tells_handler(text->view, i))
			fprintf(text->out, "penstock_executor_restarts_total"
			    "{handler=\"%s\"} %" PRIu64 "\n",
			    heritage->handler_names[i],
			    counter_get(&counts->executor_deaths[i]));
	one(text, "penstock_monitor_restarts", "counter",
	    "Monitors that died.",
	    (int64_t)counter_get(&counts->monitor_deaths));
}

/* A process that is there. */
struct reading {
	char group[128];	/* its labels, but for the pid */
	int32_t pid;
	struct process_stat stat;
};

static void
name_group(const struct view *view, const struct status_process *process,
    char labels[128])
{
	const char *handler = names_handler(view->heritage, process->handler);
	const char *role = status_role_name(process->role);

	if (process->role == STATUS_WORKER)
		snprintf(labels, 128, "role=\"%s\",slot=\"%u\",generation=\"%"
		    PRIu64 "\"", role, process->slot, process->generation);
	else if (process->role == STATUS_EXECUTOR && handler != NULL)
		snprintf(labels, 128, "role=\"%s\",handler=\"%s\"", role,
		    handler);
	else
		snprintf(labels, 128, "role=\"%s\"", role);
}

static size_t
read_processes(struct reading *readings, const struct view *view)
{
	const struct status_process *process;
	size_t n = 0;

	for (uint32_t i = 0; i < view->now.processes; i++) {
		process = &view->now.process[i];
		if (!process_stat_read(&readings[n].stat, process->pid))
			continue;
		name_group(view, process, readings[n].group);
		readings[n++].pid = process->pid;
	}
	return (n);
}

static void
put_name(FILE *out, const char *name, const struct reading *reading)
{
	fprintf(out, "%s{%s,pid=\"%" PRId32 "\"} ", name, reading->group,
	    reading->pid);
}

/* Each process is a series of its own: a counter of several would go back when
 * one of them ends. */
static void
put_process_numbers(const struct text *text, const struct reading *readings,
    size_t n)
{
	FILE *out = text->out;

	head(text, "process_cpu_seconds", "counter", "Processor time.");
	for (size_t i = 0; i < n; i++) {
		put_name(out, "process_cpu_seconds_total", &readings[i]);
		put_seconds(out, readings[i].stat.cpu_us);
	}
	head(text, "process_resident_memory_bytes", "gauge",
	    "Memory that is in use, shared pages included.");
	for (size_t i = 0; i < n; i++) {
		put_name(out, "process_resident_memory_bytes", &readings[i]);
		put_value(out, readings[i].stat.resident_bytes, 1);
	}
	head(text, "process_threads", "gauge", "Threads.");
	for (size_t i = 0; i < n; i++) {
		put_name(out, "process_threads", &readings[i]);
		put_value(out, readings[i].stat.threads, 1);
	}
	head(text, "process_open_fds", "gauge",
	    "Open descriptors, where the monitor may look.");
	for (size_t i = 0; i < n; i++) {
		if (!readings[i].stat.fds_known)
			continue;
		put_name(out, "process_open_fds", &readings[i]);
		put_value(out, readings[i].stat.fds, 1);
	}
}

static bool
are_alike(const struct reading *a, const struct reading *b)
{
	return (strcmp(a->group, b->group) == 0);
}

/* Of each group, how many there are. */
static void
count_processes(const struct text *text, const struct reading *readings,
    size_t n)
{
	size_t first, count;

	head(text, "penstock_processes", "gauge",
	    "Processes of the server, by role.");
	for (size_t i = 0; i < n; i++) {
		first = 0;
		while (!are_alike(&readings[first], &readings[i]))
			first++;
		if (first < i)
			continue;
		count = 0;
		for (size_t k = i; k < n; k++)
			count += are_alike(&readings[k], &readings[i]);
		fprintf(text->out, "penstock_processes{%s} %zu\n",
		    readings[i].group, count);
	}
}

static void
put_processes(const struct text *text)
{
	struct reading *readings;
	size_t n;

	readings = calloc(text->view->now.processes + 1, sizeof(*readings));
	if (readings == NULL)
		return;
	n = read_processes(readings, text->view);
	put_process_numbers(text, readings, n);
	count_processes(text, readings, n);
	free(readings);
}

/*
 * What is looked up elsewhere.
 */

static void
put_accept_queues(const struct text *text)
{
	const struct conf *conf = text->view->heritage->conf;
	struct accept_queue queues[CONF_LISTENERS_MAX];

	if (!accept_queues_read(conf, queues))
		return;
	head(text, "penstock_accept_queue_connections", "gauge",
	    "Clients that wait in the kernel to be accepted.");
	for (size_t i = 0; i < conf->nlisteners; i++)
		fprintf(text->out, "penstock_accept_queue_connections"
		    "{listener=\"%s\"} %" PRIu64 "\n",
		    conf->listeners[i].name, queues[i].waiting);
	head(text, "penstock_accept_queue_limit_connections", "gauge",
	    "How many may wait there, over all sockets.");
	for (size_t i = 0; i < conf->nlisteners; i++)
		fprintf(text->out, "penstock_accept_queue_limit_connections"
		    "{listener=\"%s\"} %" PRIu64 "\n",
		    conf->listeners[i].name, queues[i].limit);
}

static void
put_silence(const struct text *text)
{
	const struct view *view = text->view;

	head(text, "penstock_worker_silence_seconds", "gauge",
	    "Since the event loop of the slot has turned.");
	for (unsigned i = 0; i < view->now.slots; i++) {
		fprintf(text->out, "penstock_worker_silence_seconds"
		    "{slot=\"%u\"} ", i);
		put_seconds(text->out,
		    clock_us_between(view->worker[i].beat_ms, view->now_ms));
	}
}

void
metrics_print(FILE *out, const struct view *view, bool open)
{
	const struct text text = { .out = out, .view = view, .open = open };

	put_server(&text);
	put_orders(&text);
	put_handovers(&text);
	put_spans(&text);
	put_workers(&text);
	put_other_deaths(&text);
	put_counters(&text);
	put_silence(&text);
	put_accept_queues(&text);
	put_processes(&text);
	if (open)
		fputs("# EOF\n", out);
}

bool
metrics_wants_open(const char *accept)
{
	static const char name[] = "application/openmetrics-text";
	const char *found;

	if (accept == NULL || (found = strstr(accept, name)) == NULL)
		return (false);
	/* "q=0" declines it; any other weight will do. */
	found += strlen(name);
	for (; *found != '\0' && *found != ','; found++)
		if (strncmp(found, "q=0", 3) == 0 &&
		    strspn(found + 3, ".0") == strcspn(found + 3, ",; "))
			return (false);
	return (true);
}
