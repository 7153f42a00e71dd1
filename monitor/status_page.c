/* SPDX-License-Identifier: ISC */
#include "monitor/status_page.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "monitor/accept_queue.h"
#include "monitor/families.h"
#include "monitor/json.h"
#include "monitor/names.h"
#include "monitor/process_stat.h"

/*
 * Families.
 */

static void
status_page_put_histogram(struct json *json, const char *name,
    const struct histogram *histogram)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		all += histogram->count[i];
	json_open(json, name, '{');
	json_number(json, "count", all);
	json_seconds(json, "sum_seconds", histogram->sum_us);
	json_open(json, "below_2_to_the_i_us", '[');
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		json_number(json, NULL, histogram->count[i]);
	json_close(json, ']');
	json_close(json, '}');
}

static void
status_page_put_family(struct json *json, const struct family *family,
    const void *base)
{
	const uint64_t *value = family_value(family, base);

	if (family->kind == FAMILY_HISTOGRAM) {
		status_page_put_histogram(json, family->member,
		    (const void *)value);
		return;
	}
	if (family->count == 0 && family->per == 1) {
		json_number(json, family->member, *value);
		return;
	}
	if (family->count == 0) {
		json_seconds(json, family->member, *value);
		return;
	}
	json_open(json, family->member, '{');
	for (unsigned i = 0; i < family->count; i++)
		json_number(json, family->name(i), value[i]);
	json_close(json, '}');
}

static void
status_page_put_families(struct json *json, const struct family *family,
    const void *base)
{
	for (; family->member != NULL; family++)
		if (family->metric != NULL)
			status_page_put_family(json, family, base);
}

/*
 * The parts.
 */

static void
status_page_put_server(struct json *json, const struct view *view)
{
	const struct status_now *now = &view->now;
	char why[64] = "", hash[20];

	json_open(json, "server", '{');
	json_str(json, "version", now->build);
	json_signed(json, "pid", now->pid);
	json_str(json, "state", status_state_name(now->state));
	json_bool(json, "ready", view_is_ready(view, why, sizeof(why)));
	json_str(json, "not_ready_for", why);
	json_signed(json, "started", now->started);
	json_number(json, "generation", now->generation);
	json_number(json, "slots", now->slots);
	json_seconds(json, "probation_seconds",
	    now->probation_ms > view->now_ms ?
	    (now->probation_ms - view->now_ms) * 1000 : 0);
	json_close(json, '}');

	snprintf(hash, sizeof(hash), "%016" PRIx64, now->conf_hash);
	json_open(json, "configuration", '{');
	json_str(json, "file", now->conf_path);
	json_signed(json, "loaded", now->conf_loaded);
	json_str(json, "hash", hash);
	json_close(json, '}');
}

static void
put_tracing(struct json *json, const struct view *view)
{
	const struct conf_tracing *conf = &view->heritage->conf->tracing;
	const struct spans_map *spans = view->heritage->spans.map;

	json_open(json, "tracing", '{');
	json_str(json, "endpoint", conf->endpoint);
	json_number(json, "exported", counter_get(&spans->exported));
	json_number(json, "lost", counter_get(&spans->lost));
	json_close(json, '}');
}

static void
status_page_put_custody(struct json *json, const struct counters_custody *counts,
    const struct status_process *worker)
{
	json_open(json, "custody", '{');
	json_bool(json, "held", worker != NULL && worker->has_custody != 0);
	json_number(json, "rescues", counter_get(&counts->rescues));
	json_number(json, "kept", counter_get(&counts->kept));
	json_number(json, "answered", counter_get(&counts->answered));
	json_open(json, "dropped", '{');
	for (int i = RESCUE_OVER + 1; i < RESCUE_REASON_COUNT; i++)
		json_number(json, rescue_reason_name((enum rescue_reason)i),
		    counter_get(&counts->dropped[i]));
	json_close(json, '}');
	json_close(json, '}');
}

static void
status_page_put_slot(struct json *json, const struct view *view, unsigned slot)
{
	const struct status_process *worker = view_worker(view, slot);
	const struct status_counts *counts =
	    &view->heritage->status.map->counts;

	json_open(json, NULL, '{');
	json_number(json, "slot", slot);
	json_bool(json, "wanted", slot < view->now.slots);
	json_signed(json, "pid", worker != NULL ? worker->pid : 0);
	json_number(json, "generation",
	    worker != NULL ? worker->generation : 0);
	json_seconds(json, "age_seconds", worker != NULL ?
	    clock_us_between(worker->born_ms, view->now_ms) : 0);
	json_seconds(json, "silence_seconds",
	    clock_us_between(view->worker[slot].beat_ms, view->now_ms));
	json_open(json, "restarts", '{');
	for (uint32_t i = 0; i < STATUS_CAUSES; i++)
		json_number(json, status_cause_name(i),
		    counter_get(&counts->deaths[slot][i]));
	json_close(json, '}');
	status_page_put_custody(json,
	    &view->heritage->counters[slot].map->custody, worker);
	json_open(json, "worker", '{');
	status_page_put_families(json, worker_families, &view->worker[slot]);
	json_close(json, '}');
	json_open(json, "listeners", '{');
	status_page_put_families(json, listener_families, &view->slot[slot]);
	json_close(json, '}');
	json_close(json, '}');
}

static void
status_page_put_slots(struct json *json, const struct view *view)
{
	json_open(json, "slots", '[');
	for (unsigned i = 0; i < view->heritage->ncounters; i++)
		status_page_put_slot(json, view, i);
	json_close(json, ']');
}

static size_t
status_page_find_listener(const struct conf *conf, const char *name)
{
	size_t i;

	for (i = 0; i < conf->nlisteners; i++)
		if (strcmp(conf->listeners[i].name, name) == 0)
			break;
	return (i);
}

static void
status_page_put_listener(struct json *json, const struct view *view,
    size_t number, const struct accept_queue *queues)
{
	const struct conf *conf = view->heritage->conf;
	const char *name = view->listener_name[number];
	size_t i = status_page_find_listener(conf, name);

	json_open(json, NULL, '{');
	json_str(json, "name", name);
	json_bool(json, "configured", i < conf->nlisteners);
	if (i < conf->nlisteners) {
		json_open(json, "addresses", '[');
		for (size_t k = 0; k < conf->listeners[i].naddresses; k++)
			json_str(json, NULL,
			    conf->listeners[i].addresses[k].text);
		json_close(json, ']');
		json_str(json, "handler", conf->listeners[i].handler);
		json_number(json, "max_connections",
		    conf->listeners[i].max_connections);
	}
	if (i < conf->nlisteners && queues != NULL) {
		json_number(json, "accept_queue", queues[i].waiting);
		json_number(json, "accept_queue_limit", queues[i].limit);
	}
	status_page_put_families(json, listener_families,
	    &view->listener[number]);
	json_close(json, '}');
}

static void
status_page_put_listeners(struct json *json, const struct view *view)
{
	struct accept_queue queues[CONF_LISTENERS_MAX];
	bool known = accept_queues_read(view->heritage->conf, queues);

	json_open(json, "listeners", '[');
	for (size_t i = 0; i < view->heritage->nlistener_names; i++)
		if (view_tells_listener(view, i))
			status_page_put_listener(json, view, i,
			    known ? queues : NULL);
	json_close(json, ']');
}

static void
status_page_put_handlers(struct json *json, const struct view *view)
{
	const struct heritage *heritage = view->heritage;
	const struct status_counts *counts = &heritage->status.map->counts;

	json_open(json, "handlers", '[');
	for (size_t i = 0; i < heritage->nhandler_names; i++) {
		if (!view_tells_handler(view, i))
			continue;
		json_open(json, NULL, '{');
		json_str(json, "name", heritage->handler_names[i]);
		json_number(json, "executor_restarts",
		    counter_get(&counts->executor_deaths[i]));
		status_page_put_families(json, handler_families,
		    &view->handler[i]);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void
put_process(struct json *json, const struct view *view,
    const struct status_process *process)
{
	const char *handler = names_handler(view->heritage, process->handler);
	struct process_stat stat;

	if (!process_stat_read(&stat, process->pid))
		return;
	json_open(json, NULL, '{');
	json_signed(json, "pid", process->pid);
	json_str(json, "role", status_role_name(process->role));
	json_str(json, "state", status_life_name(process->life));
	if (process->role == STATUS_WORKER)
		json_number(json, "slot", process->slot);
	if (process->role == STATUS_EXECUTOR && handler != NULL)
		json_str(json, "handler", handler);
	json_number(json, "generation", process->generation);
	json_seconds(json, "cpu_seconds", stat.cpu_us);
	json_number(json, "resident_bytes", stat.resident_bytes);
	json_number(json, "threads", stat.threads);
	if (stat.fds_known)
		json_number(json, "open_fds", stat.fds);
	json_close(json, '}');
}

static void
status_page_put_processes(struct json *json, const struct view *view)
{
	json_open(json, "processes", '[');
	for (uint32_t i = 0; i < view->now.processes; i++)
		put_process(json, view, &view->now.process[i]);
	json_close(json, ']');
	json_number(json, "processes_not_listed", view->now.unlisted);
}

static void
put_report(struct json *json, uint64_t n, const struct status_report *report)
{
	uint32_t slots = report->slots < CONF_WORKERS_MAX ? report->slots :
	    CONF_WORKERS_MAX;

	json_open(json, NULL, '{');
	json_number(json, "number", n);
	json_str(json, "order", status_kind_name(report->kind));
	json_str(json, "result", status_result_name(report->result));
	json_str(json, "why", report->why);
	json_number(json, "generation", report->generation);
	json_signed(json, "begun", report->begun);
	json_seconds(json, "read_clock_seconds", report->read_ms * 1000);
	json_seconds(json, "duration_seconds", report->duration_ms * 1000);
	json_number(json, "held", report->held);
	json_number(json, "carried", report->carried);
	json_number(json, "finished", report->finished);
	json_number(json, "closed", status_closed(report));
	json_number(json, "cut", report->cut);
	json_number(json, "lost", report->lost);
	json_seconds(json, "longest_pause_seconds", report->longest_us);
	json_open(json, "slot_seconds", '[');
	for (uint32_t i = 0; i < slots; i++)
		json_seconds(json, NULL, (uint64_t)report->slot_ms[i] * 1000);
	json_close(json, ']');
	json_close(json, '}');
}

/* Print the reports: the number so far, the last ones, and their sums. */
static void
status_page_put_orders(struct json *json, const struct view *view)
{
	const struct status *status = &view->heritage->status;
	const struct status_map *map = status->map;
	struct status_report report;
	uint64_t n = __atomic_load_n(&map->reports, __ATOMIC_ACQUIRE);

	json_open(json, "orders", '{');
	for (uint32_t i = 0; i < STATUS_KINDS; i++) {
		json_open(json, status_kind_name(i), '{');
		for (uint32_t k = 0; k < STATUS_RESULTS; k++)
			json_number(json, status_result_name(k),
			    counter_get(&map->results[i][k]));
		json_signed(json, "last_success", __atomic_load_n(
		    &map->last_done[i], __ATOMIC_RELAXED));
		json_close(json, '}');
	}
	json_close(json, '}');
	json_number(json, "reports_ever", n);
	json_open(json, "reports", '[');
	for (uint64_t i = n < STATUS_REPORTS ? 1 : n - STATUS_REPORTS + 1;
	    i <= n; i++)
		if (status_get_report(status, i, &report))
			put_report(json, i, &report);
	json_close(json, ']');
}

void
status_page_print(FILE *out, const struct view *view)
{
	struct json json = { .out = out };

	json_open(&json, NULL, '{');
	json_number(&json, "schema", STATUS_PAGE_SCHEMA);
	json_seconds(&json, "clock_seconds", view->now_ms * 1000);
	status_page_put_server(&json, view);
	status_page_put_orders(&json, view);
	put_tracing(&json, view);
	status_page_put_slots(&json, view);
	status_page_put_listeners(&json, view);
	status_page_put_handlers(&json, view);
	status_page_put_processes(&json, view);
	json_close(&json, '}');
	putc('\n', out);
}
