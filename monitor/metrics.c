/* SPDX-License-Identifier: ISC */
#include "monitor/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
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
	const char *name;		/* of the metric, without "_total" */
	enum family_kind kind;
};

enum {
	SECOND_US = 1000000,
	/* The buckets double; every second one is shown, from 16 microseconds
	 * to 67 seconds. */
	BUCKET_FIRST = 4,
	BUCKET_STEP = 2,
};

/*
 * Lines.
 */

static const char *
type_of(enum family_kind kind)
{
	switch (kind) {
	case FAMILY_COUNTER:	return ("counter");
	case FAMILY_HISTOGRAM:	return ("histogram");
	case FAMILY_GAUGE:
	case FAMILY_PEAK:	break;
	}
	return ("gauge");
}

/* Begin with a metric.  Of a counter, Prometheus calls it "X_total" where
 * OpenMetrics calls it "X", with samples "X_total". */
static void
head(struct text *text, const char *name, enum family_kind kind,
    const char *help)
{
	const char *end = !text->open && kind == FAMILY_COUNTER ? "_total" : "";

	text->name = name;
	text->kind = kind;
	fprintf(text->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, end, help,
	    name, end, type_of(kind));
}

static void
put_seconds(FILE *out, uint64_t us)
{
	fprintf(out, "%" PRIu64 ".%06u\n", us / SECOND_US,
	    (unsigned)(us % SECOND_US));
}

/* A sample of the metric; per is SECOND_US for microseconds.  The labels are
 * a format, or NULL. */
static void __attribute__((format(printf, 4, 5)))
sample(const struct text *text, uint64_t value, unsigned per,
    const char *labels, ...)
{
	va_list args;

	fprintf(text->out, "%s%s", text->name,
	    text->kind == FAMILY_COUNTER ? "_total" : "");
	if (labels != NULL) {
		putc('{', text->out);
		va_start(args, labels);
		vfprintf(text->out, labels, args);
		va_end(args);
		putc('}', text->out);
	}
	putc(' ', text->out);
	if (per == SECOND_US)
		put_seconds(text->out, value);
	else
		fprintf(text->out, "%" PRIu64 "\n", value);
}

/* A metric of one sample, without labels. */
static void
one(struct text *text, const char *name, enum family_kind kind,
    const char *help, uint64_t value)
{
	head(text, name, kind, help);
	sample(text, value, 1, NULL);
}

static void
metrics_put_histogram(const struct text *text, const char *labels,
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
		    text->name, labels, (double)(1ULL << i) / SECOND_US, count);
	}
	fprintf(text->out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n",
	    text->name, labels, all);
	fprintf(text->out, "%s_sum{%s} ", text->name, labels);
	put_seconds(text->out, histogram->sum_us);
	fprintf(text->out, "%s_count{%s} %" PRIu64 "\n", text->name, labels,
	    all);
}

/*
 * Families.
 */

static void
metrics_put_family(const struct text *text, const struct family *family,
    const char *labels, const void *base)
{
	const uint64_t *value = family_value(family, base);

	if (family->kind == FAMILY_HISTOGRAM)
		metrics_put_histogram(text, labels, (const void *)value);
	else if (family->count == 0)
		sample(text, *value, family->per, "%s", labels);
	for (unsigned i = 0; i < family->count; i++)
		sample(text, value[i], 1, "%s,reason=\"%s\"", labels,
		    family->name(i));
}

/* The structs of a family: n structs, size bytes apart. */
struct subjects {
	const char *label;
	char *const *names;	/* NULL: numbers */
	size_t n;
	const void *base;
	size_t size;
	/* NULL: all are shown. */
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
metrics_put_families(struct text *text, const struct family *family,
    const struct subjects *subjects)
{
	char labels[128];

	for (; family->member != NULL; family++) {
		if (family->metric == NULL)
			continue;
		head(text, family->metric, family->kind, family->help);
		for (size_t i = 0; i < subjects->n; i++) {
			if (subjects->tells != NULL &&
			    !subjects->tells(text->view, i))
				continue;
			name_subject(subjects, i, labels);
			metrics_put_family(text, family, labels,
			    (const char *)subjects->base + i * subjects->size);
		}
	}
}

static void
put_counters(struct text *text)
{
	const struct view *view = text->view;
	const struct heritage *heritage = view->heritage;

	metrics_put_families(text, listener_families, &(struct subjects){
	    "listener", heritage->listener_names, heritage->nlistener_names,
	    view->listener, sizeof(view->listener[0]), view_tells_listener });
	metrics_put_families(text, handler_families, &(struct subjects){
	    "handler", heritage->handler_names, heritage->nhandler_names,
	    view->handler, sizeof(view->handler[0]), view_tells_handler });
	metrics_put_families(text, worker_families, &(struct subjects){
	    "slot", NULL, heritage->ncounters,
	    view->worker, sizeof(view->worker[0]), NULL });
}

/*
 * The server as a whole.
 */

static void
metrics_put_server(struct text *text)
{
	const struct status_now *now = &text->view->now;
	const char *build = text->open ? "penstock_build" :
	    "penstock_build_info";
	char why[64];

	fprintf(text->out, "# HELP %s The version that runs.\n# TYPE %s %s\n"
	    "penstock_build_info{version=\"%s\"} 1\n", build, build,
	    text->open ? "info" : "gauge", now->build);
	one(text, "penstock_ready", FAMILY_GAUGE,
	    "1 if every slot has a worker and the server does not stop.",
	    view_is_ready(text->view, why, sizeof(why)));
	one(text, "penstock_start_time_seconds", FAMILY_GAUGE,
	    "Start of the master, in seconds since 1970.",
	    (uint64_t)now->started);
	one(text, "penstock_generation", FAMILY_GAUGE,
	    "Number of the running generation.", now->generation);
	one(text, "penstock_configuration_load_time_seconds", FAMILY_GAUGE,
	    "When the configuration was read, since 1970.",
	    (uint64_t)now->conf_loaded);
	one(text, "penstock_slots", FAMILY_GAUGE,
	    "Workers that the configuration asks for.", now->slots);
}

static void
metrics_put_orders(struct text *text)
{
	const struct status_map *map = text->view->heritage->status.map;

	head(text, "penstock_orders", FAMILY_COUNTER,
	    "Reloads, upgrades and roll-backs, by result.");
	for (uint32_t i = 0; i < STATUS_KINDS; i++)
		for (uint32_t k = 0; k < STATUS_RESULTS; k++)
			sample(text, counter_get(&map->results[i][k]), 1,
			    "order=\"%s\",result=\"%s\"",
			    status_kind_name(i), status_result_name(k));
	head(text, "penstock_order_last_success_time_seconds", FAMILY_GAUGE,
	    "When the last one was done, since 1970; 0 if none.");
	for (uint32_t i = 0; i < STATUS_KINDS; i++)
		sample(text, (uint64_t)__atomic_load_n(&map->last_done[i],
		    __ATOMIC_RELAXED), 1, "order=\"%s\"", status_kind_name(i));
}

static void
put_handovers(struct text *text)
{
	const struct status_map *map = text->view->heritage->status.map;

	head(text, "penstock_handovers", FAMILY_COUNTER, "Open "
	    "connections when a generation took over, by result.");
	sample(text, counter_get(&map->carried), 1, "result=\"carried\"");
	sample(text, counter_get(&map->finished), 1, "result=\"finished\"");
	sample(text, status_closed_of_all(map), 1, "result=\"closed\"");
	sample(text, counter_get(&map->cut), 1, "result=\"cut\"");
	sample(text, counter_get(&map->lost), 1, "result=\"lost\"");
}

static void
put_spans(struct text *text)
{
	const struct spans_map *spans = text->view->heritage->spans.map;

	one(text, "penstock_spans_exported", FAMILY_COUNTER,
	    "Spans that the collector has accepted.",
	    counter_get(&spans->exported));
	one(text, "penstock_spans_lost", FAMILY_COUNTER,
	    "Spans that the collector refused or did not answer.",
	    counter_get(&spans->lost));
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
put_workers(struct text *text)
{
	const struct view *view = text->view;
	const struct status_counts *counts =
	    &view->heritage->status.map->counts;
	const struct status_process *worker;

	head(text, "penstock_workers", FAMILY_GAUGE,
	    "Workers, by state.");
	for (uint32_t i = 0; i < STATUS_LIVES; i++)
		sample(text, count_workers(view, (enum status_life)i), 1,
		    "state=\"%s\"", status_life_name(i));
	head(text, "penstock_worker_restarts", FAMILY_COUNTER,
	    "Workers that died while serving, by cause.");
	for (size_t i = 0; i < view->heritage->ncounters; i++)
		for (uint32_t k = 0; k < STATUS_CAUSES; k++)
			sample(text, counter_get(&counts->deaths[i][k]), 1,
			    "slot=\"%zu\",cause=\"%s\"", i,
			    status_cause_name(k));
	head(text, "penstock_worker_age_seconds", FAMILY_GAUGE,
	    "Time since the serving worker was started.");
	for (unsigned i = 0; i < view->now.slots; i++)
		if ((worker = view_worker(view, i)) != NULL)
			sample(text, clock_us_between(worker->born_ms,
			    view->now_ms), SECOND_US, "slot=\"%u\"", i);
}

/* What the master counts of the rescues in each slot. */
static void
put_rescue_counter(struct text *text, const char *metric, const char *help,
    size_t offset)
{
	const struct heritage *heritage = text->view->heritage;

	head(text, metric, FAMILY_COUNTER, help);
	for (size_t i = 0; i < heritage->ncounters; i++) {
		const char *counts =
		    (const char *)&heritage->counters[i].map->custody;

		sample(text, counter_get((const uint64_t *)(const void *)
		    (counts + offset)), 1, "slot=\"%zu\"", i);
	}
}

static void
metrics_put_custody(struct text *text)
{
	const struct heritage *heritage = text->view->heritage;
	const struct status_process *worker;

	head(text, "penstock_custody", FAMILY_GAUGE,
	    "Whether the connections of the slot would outlive its worker.");
	for (unsigned i = 0; i < text->view->now.slots; i++)
		if ((worker = view_worker(text->view, i)) != NULL)
			sample(text, worker->has_custody != 0, 1,
			    "slot=\"%u\"", i);
	put_rescue_counter(text, "penstock_rescues",
	    "Dead workers whose connections were adopted.",
	    offsetof(struct counters_custody, rescues));
	put_rescue_counter(text, "penstock_rescued_connections",
	    "Connections that were kept when their worker died.",
	    offsetof(struct counters_custody, kept));
	put_rescue_counter(text, "penstock_rescued_requests",
	    "Requests of these that were answered as failed.",
	    offsetof(struct counters_custody, answered));
	head(text, "penstock_rescue_drops", FAMILY_COUNTER,
	    "Connections that could not be kept, by reason.");
	for (size_t i = 0; i < heritage->ncounters; i++)
		for (int k = RESCUE_OVER + 1; k < RESCUE_REASON_COUNT; k++)
			sample(text, counter_get(&heritage->counters[i].map->
			    custody.dropped[k]), 1,
			    "slot=\"%zu\",reason=\"%s\"", i,
			    rescue_reason_name((enum rescue_reason)k));
}

static void
put_other_deaths(struct text *text)
{
	const struct heritage *heritage = text->view->heritage;
	const struct status_counts *counts = &heritage->status.map->counts;

	head(text, "penstock_executor_restarts", FAMILY_COUNTER,
	    "Executors that died while they were needed.");
	for (size_t i = 0; i < heritage->nhandler_names; i++)
		if (view_tells_handler(text->view, i))
			sample(text, counter_get(&counts->executor_deaths[i]),
			    1, "handler=\"%s\"", heritage->handler_names[i]);
	one(text, "penstock_monitor_restarts", FAMILY_COUNTER,
	    "Monitors that died.", counter_get(&counts->monitor_deaths));
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

/* Each process is a series of its own: a counter of several would go back when
 * one of them ends. */
static void
put_process_numbers(struct text *text, const struct reading *readings,
    size_t n)
{
	static const struct {
		const char *name, *help;
		enum family_kind kind;
		unsigned per;
		size_t offset;
	} numbers[] = {
		{ "process_cpu_seconds", "CPU time.", FAMILY_COUNTER,
		  SECOND_US, offsetof(struct process_stat, cpu_us) },
		{ "process_resident_memory_bytes",
		  "Memory that is in use, shared pages included.",
		  FAMILY_GAUGE, 1,
		  offsetof(struct process_stat, resident_bytes) },
		{ "process_threads", "Threads.", FAMILY_GAUGE, 1,
		  offsetof(struct process_stat, threads) },
		{ "process_open_fds",
		  "Open file descriptors, if the monitor may count them.",
		  FAMILY_GAUGE, 1, offsetof(struct process_stat, fds) },
	};
	uint64_t value;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		head(text, numbers[i].name, numbers[i].kind, numbers[i].help);
		for (size_t k = 0; k < n; k++) {
			if (numbers[i].offset ==
			    offsetof(struct process_stat, fds) &&
			    !readings[k].stat.fds_known)
				continue;
			memcpy(&value, (const char *)&readings[k].stat +
			    numbers[i].offset, sizeof(value));
			sample(text, value, numbers[i].per, "%s,pid=\"%" PRId32
			    "\"", readings[k].group, readings[k].pid);
		}
	}
}

static bool
are_alike(const struct reading *a, const struct reading *b)
{
	return (strcmp(a->group, b->group) == 0);
}

/* Of each group, how many there are. */
static void
count_processes(struct text *text, const struct reading *readings, size_t n)
{
	size_t first, count;

	head(text, "penstock_processes", FAMILY_GAUGE,
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
		sample(text, count, 1, "%s", readings[i].group);
	}
}

static void
metrics_put_processes(struct text *text)
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
put_accept_queues(struct text *text)
{
	const struct conf *conf = text->view->heritage->conf;
	struct accept_queue queues[CONF_LISTENERS_MAX];

	if (!accept_queues_read(conf, queues))
		return;
	head(text, "penstock_accept_queue_connections", FAMILY_GAUGE,
	    "Clients that wait in the kernel to be accepted.");
	for (size_t i = 0; i < conf->nlisteners; i++)
		sample(text, queues[i].waiting, 1, "listener=\"%s\"",
		    conf->listeners[i].name);
	head(text, "penstock_accept_queue_limit_connections", FAMILY_GAUGE,
	    "How many can wait there, over all sockets.");
	for (size_t i = 0; i < conf->nlisteners; i++)
		sample(text, queues[i].limit, 1, "listener=\"%s\"",
		    conf->listeners[i].name);
}

static void
put_silence(struct text *text)
{
	const struct view *view = text->view;

	head(text, "penstock_worker_silence_seconds", FAMILY_GAUGE,
	    "Time since the last turn of the event loop.");
	for (unsigned i = 0; i < view->now.slots; i++)
		sample(text, clock_us_between(view->worker[i].beat_ms,
		    view->now_ms), SECOND_US, "slot=\"%u\"", i);
}

void
metrics_print(FILE *out, const struct view *view, bool open)
{
	struct text text = { .out = out, .view = view, .open = open };

	metrics_put_server(&text);
	metrics_put_orders(&text);
	put_handovers(&text);
	put_spans(&text);
	put_workers(&text);
	metrics_put_custody(&text);
	put_other_deaths(&text);
	put_counters(&text);
	put_silence(&text);
	put_accept_queues(&text);
	metrics_put_processes(&text);
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
